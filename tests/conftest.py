"""Shared fixtures."""

from small_models import model_folder
from studies import base, registry

__all__ = ["base", "model_folder", "registry"]
