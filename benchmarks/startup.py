"""How long ``reflect --help`` and ``reflect plugins`` take: the median over fresh processes.

    python benchmarks/startup.py [--repeats 21] [--limit 0.4]

Exits with code 1 when a median is above the limit.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = (["--help"], ["plugins"])


def seconds(words: list[str]) -> float:
    """Wall time of one call in a process of its own."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "reflect_core", *words], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def main() -> int:
    """Measure, print, and say by the exit code whether all is within the limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--limit", type=float, default=0.4, help="seconds")
    options = parser.parse_args()
    medians = []
    for words in COMMANDS:
        seconds(words)  # the first call compiles and warms the disk's cache
        times = [seconds(words) for _ in range(options.repeats)]
        medians.append(statistics.median(times))
        print(
            f"reflect {' '.join(words):<8} median {medians[-1]:.3f} s"
            f"  (fastest {min(times):.3f}, slowest {max(times):.3f}, {options.repeats} calls)"
        )
    return int(max(medians) > options.limit)


if __name__ == "__main__":
    sys.exit(main())
