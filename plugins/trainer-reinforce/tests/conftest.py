"""Shared fixtures."""

from small_models import model_folder

__all__ = ["model_folder"]
