"""What makes any run small enough for a test, and a place for packages of others."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = (
    "teach.episodes=2",
    "teach.negatives=1",
    "sft.reflector_updates=1",
    "sft.policy_updates=1",
    "sft.batch_size=2",
    "train.iterations=1",
    "train.episodes=4",
    "train.valid_episodes=1",
    "rollout.max_reflection_tokens=2",
    "eval.episodes=1",
    "eval.decoding=sampled",
)
"""Settings that come after whatever a page or example says."""


class Site:
    """A folder into which pip installs what is not part of this project.

    Packages there can be imported, and reflect finds their plugins, as if they were installed; the
    environment of the tests stays as it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed: set[Path] = set()

    def install(self, package: Path) -> None:
        """``pip install`` of a folder; what it depends on is installed already."""
        folder = package.resolve()
        if folder in self.installed:
            return
        source = self.folder.parent / f"{self.folder.name}-source-{len(self.installed)}"
        copy_source(folder, source)
        words = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--upgrade"]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *words, "--target", self.folder, source],
            check=True,
            capture_output=True,
        )
        self.installed.add(folder)
        importlib.invalidate_caches()  # the folder may have been listed in this same moment

    @property
    def environment(self) -> dict[str, str]:
        """For processes that are to find the packages."""
        return {**os.environ, "PYTHONPATH": str(self.folder)}

    @contextlib.contextmanager
    def visible(self) -> Iterator[None]:
        """Let this process find the packages, for a while."""
        before = set(sys.modules)
        sys.path.insert(0, str(self.folder))
        try:
            yield
        finally:
            sys.path.remove(str(self.folder))
            for name in set(sys.modules) - before:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(self.folder)):
                    del sys.modules[name]


def copy_source(folder: Path, target: Path) -> None:
    """Copy a package's source, so that building leaves nothing behind in it."""

    def skip(place: str, names: list[str]) -> set[str]:
        links = {name for name in names if (Path(place) / name).is_symlink()}
        return links | set(builds(place, names))

    builds = shutil.ignore_patterns("build", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(folder, target, ignore=skip)
