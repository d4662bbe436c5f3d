"""The running Python's standard library as a file tree."""

from __future__ import annotations

import sysconfig

MODULES = "*.py"
"""What is read of it by default: the rest is mostly data of its own tests."""


def stdlib_folder() -> str:
    """Where the running Python keeps its standard library."""
    return sysconfig.get_path("stdlib")


def not_library(name: str) -> bool:
    """Whether an entry of that folder belongs to the installation, not to the library.

    ``config-3.11-x86_64-linux-gnu`` and the like hold what building extensions needs.
    """
    return name.startswith("config-")
