"""Free memory goes back to the system, and where that cannot be asked for nothing happens."""

import ctypes
import sys
from pathlib import Path

import pytest

from reflect_core.memory import release


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_holes_in_the_heap_are_given_back():
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("not glibc")
    # below the size that gets pages of its own, and a live block after every free one
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    size = 100_000
    blocks = [libc.malloc(ctypes.c_size_t(size)) for _ in range(2000)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks[::2]:
        libc.free(ctypes.c_void_p(block))
    before = resident()
    release()
    assert before - resident() > 50_000_000
    for block in blocks[1::2]:
        libc.free(ctypes.c_void_p(block))


def test_without_such_a_call_nothing_happens(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    release()
