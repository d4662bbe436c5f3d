"""The command line, the only place that speaks to a person."""

from reflect_core.cli.app import main

__all__ = ["main"]
