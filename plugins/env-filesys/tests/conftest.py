from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from reflect_env_filesys.config import FilesysConfig
from reflect_env_filesys.environment import FilesysEnvironment


@pytest.fixture(scope="session")
def default() -> FilesysEnvironment:
    """The environment with all options at their defaults."""
    return FilesysEnvironment()


@pytest.fixture(scope="session")
def searching() -> FilesysEnvironment:
    """The default environment with the expert that searches."""
    return FilesysEnvironment(FilesysConfig(expert="explorer"))


@pytest.fixture(scope="session")
def knowing() -> FilesysEnvironment:
    """The default environment with the expert that knows the way."""
    return FilesysEnvironment(FilesysConfig(expert="oracle"))


@pytest.fixture(scope="session")
def synthetic() -> FilesysEnvironment:
    """A generated corpus, the same on every machine."""
    return FilesysEnvironment(FilesysConfig(corpus="synthetic", expert="explorer"))


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[Mapping[str, str | bytes]], Path]:
    """``make_folder({"a/b.txt": "text"})`` writes the files and returns their root."""

    def make(files: Mapping[str, str | bytes]) -> Path:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            place = root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return make
