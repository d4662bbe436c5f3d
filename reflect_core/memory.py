"""Give memory that is free back to the system."""

from __future__ import annotations

import ctypes
import gc

__all__ = ["release"]


def release() -> None:
    """Collect garbage and return the allocator's free pages to the system.

    Batches of many shapes leave glibc's heap full of holes, which it keeps: the next stage's
    batches do not fit them, and the process grows by what the last stage had used. Systems
    without ``malloc_trim`` are left to their own ways.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not glibc: macOS, musl, Windows
        return
    trim(0)
