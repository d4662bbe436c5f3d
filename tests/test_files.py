from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reflect_core import files
from reflect_core.errors import CheckpointError
from reflect_core.runfolder import RunFolder


def test_write_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_atomic(path, "eins\n")
    files.write_atomic(path, "zwölf\n")
    assert path.read_bytes() == "zwölf\n".encode()
    files.write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        assert temporary.suffix == ".safetensors"
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        files.write_through(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_rows_come_back_without_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert files.read_rows(path) == []
    files.append_rows(path, {"a": 1}, {"b": "ü"})
    files.append_rows(path, {"c": None})
    with path.open("ab") as file:
        file.write(b'{"d": 4')
    assert files.read_rows(path) == [{"a": 1}, {"b": "ü"}, {"c": None}]


@pytest.mark.parametrize("line", ["{]", "[1]", "7"])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n')
    with pytest.raises(CheckpointError, match="line 2"):
        files.read_rows(path)


def test_json_that_is_missing_or_broken(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"ü": [1]})
    assert files.read_json(tmp_path / "a.json") == {"ü": [1]}
    with pytest.raises(CheckpointError, match="is missing"):
        files.read_json(tmp_path / "b.json")
    (tmp_path / "c.json").write_bytes(b"\xff{")
    with pytest.raises(CheckpointError, match="not a JSON file"):
        files.read_json(tmp_path / "c.json")


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be flushed on Windows")
def test_a_tree_is_flushed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("x")
    flushed, fsync = [], os.fsync

    def noted(file):
        flushed.append(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    files.fsync_tree(tmp_path)
    assert sorted(flushed) == sorted(p.stat().st_ino for p in (tmp_path, *tmp_path.rglob("*")))


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be flushed on Windows")
def test_what_was_written_is_on_the_disk_when_a_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed, fsync = set(), os.fsync

    def noted(file):
        flushed.add(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    files.append_rows(tmp_path / "log", {"a": 1})
    files.write_atomic(tmp_path / "one", "x")
    folder = RunFolder(tmp_path / "run")
    folder.write_folder(folder.path / "policy", lambda new: (new / "a").write_text("1"))
    written = (tmp_path / "log", tmp_path / "one", tmp_path, folder.path, folder.path / "policy",
               folder.path / "policy" / "a")  # fmt: skip
    assert {path.stat().st_ino for path in written} <= flushed


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks on Windows")
def test_one_process_at_a_time(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from reflect_core import files\n"
        "with files.lock(pathlib.Path(sys.argv[1])): print('held')"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with files.lock(tmp_path):
        busy = subprocess.run(command, capture_output=True, text=True, check=False)
    free = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another process is at work" in busy.stderr
    assert free.stdout == "held\n", free.stderr


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(file: object, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with files.lock(tmp_path):
        pass
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output"), files.lock(tmp_path):
        pass
