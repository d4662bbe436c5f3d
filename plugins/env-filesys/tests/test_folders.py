"""Folders of any kind: a result or a clear error, never a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflect_env_filesys.config import MOST_ENTRIES, FilesysConfig
from reflect_env_filesys.environment import FilesysEnvironment
from reflect_env_filesys.names import one_line, shown_name
from reflect_env_filesys.snapshot import File, Snapshot, read_folder

from reflect_core.errors import ConfigError
from reflect_core.lm import labels

Make = Callable[[Mapping[str, str | bytes]], Path]


def snapshot(root: Path, max_files: int = 1000, longest_name: int = 40) -> Snapshot:
    return read_folder(str(root), max_files=max_files, longest_name=longest_name, deepest=6)


def play_all(environment: FilesysEnvironment) -> dict[str, int]:
    """Let the expert solve every task; how many there were."""
    for split in ("train", "valid", "test"):
        for number, task in enumerate(environment.tasks(split)):
            observation = environment.reset(task, seed=number)
            while True:
                observation.text.encode("utf-8")
                legal = observation.legal_actions
                assert len(set(legal)) == len(legal) > 0
                step = environment.step(environment.expert_action())
                observation = step.observation
                if step.over:
                    break
            assert step.success
    return {split: len(environment.tasks(split)) for split in ("train", "valid", "test")}


def explore(root: Path, **options: object) -> FilesysEnvironment:
    return FilesysEnvironment(
        FilesysConfig(root=str(root), expert="explorer", **options)  # type: ignore[arg-type]
    )


def test_ten_files_in_one_folder(make_folder: Make) -> None:
    counts = play_all(explore(make_folder({f"file{n}.txt": "text" for n in range(10)})))
    assert sum(counts.values()) == 10
    assert min(counts.values()) >= 1


def test_three_files_are_enough(make_folder: Make) -> None:
    environment = explore(make_folder({"a": "1", "b/c": "2", "b/d/e": "3"}))
    assert play_all(environment) == {"train": 1, "valid": 1, "test": 1}


@pytest.mark.parametrize("files", [{}, {"one.txt": "1"}, {"one.txt": "1", "a/two.txt": "2"}])
def test_fewer_files_are_an_error(make_folder: Make, files: dict[str, str]) -> None:
    root = make_folder(files)
    with pytest.raises(ConfigError, match="too few files") as caught:
        explore(root)
    assert caught.value.why == (
        f"it has {len(files)}, and train, valid and test need at least one each"
    )
    assert caught.value.then


@pytest.mark.parametrize(
    ("name", "why"), [("missing", "there is no such folder"), ("file", "it is a file")]
)
def test_a_root_that_is_no_folder(make_folder: Make, name: str, why: str) -> None:
    root = make_folder({"file": "text"})
    with pytest.raises(ConfigError) as caught:
        explore(root / name)
    assert caught.value.why == why


@pytest.mark.parametrize("root", ["a\0b", "x" * 5000, ""])
def test_a_root_that_is_no_path(root: str) -> None:
    with pytest.raises(ConfigError):
        FilesysEnvironment(FilesysConfig(root=root or "\0"))


def test_one_name_everywhere(make_folder: Make) -> None:
    root = make_folder({f"d{n % 4}/e{n}/index.html": str(n) for n in range(24)})
    assert sum(play_all(explore(root)).values()) == 24


def test_odd_names_are_shown_as_distinct_words(tmp_path: Path) -> None:
    odd = [b"a b", b"a\\ b", b"a\nb", b"a\\nb", b"\xff", b"\\xff", b" ", b"-rf", b"..a", b"id x"]
    odd += [b"caf\xc3\xa9", b"cafe\xcc\x81", b"\xe2\x80\x8b", b"\xe2\x80\x8b\xe2\x80\x8b", b"'\""]
    odd += [b"tab\there", b"\x07", b"$(rm)", b"(done)", b"\xe2\x80\xae.txt", b"*", b"~"]
    for folder in (b"", b"sub dir/", b"\xfe\n/"):
        place = tmp_path / os.fsdecode(folder)
        place.mkdir(exist_ok=True)
        for name in odd:
            (place / os.fsdecode(name)).write_bytes(name)
    environment = explore(tmp_path, hidden=True)
    assert sum(play_all(environment).values()) == 3 * len(odd)
    root = snapshot(tmp_path).root
    assert r"a\ b" in {file.name for file in root.files}
    assert {folder.name for folder in root.folders} == {r"sub\ dir", r"\xfe\n"}


@given(st.sets(st.binary(min_size=1, max_size=6), min_size=2, max_size=20))
def test_no_two_names_are_shown_alike(names: set[bytes]) -> None:
    shown = [shown_name(os.fsdecode(name)) for name in names]
    assert len(set(shown)) == len(shown)
    for text in shown:
        text.encode("utf-8")
        assert text.isprintable()
        assert len(text.split(" ")) == len(text.replace("\\ ", "").split(" ")) + text.count("\\ ")
        assert text.replace("\\ ", "_").split() == [text.replace("\\ ", "_")]


@given(st.text(max_size=200), st.integers(1, 50))
def test_one_line_is_one_short_line(text: str, length: int) -> None:
    line = one_line(text, length)
    line.encode("utf-8")
    assert line.isprintable()
    assert len(line) <= length + 3


def test_links_are_left_out_and_counted(make_folder: Make, tmp_path: Path) -> None:
    root = make_folder({f"d/file{n}.txt": "text" for n in range(5)})
    outside = tmp_path / "secret"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (root / "loop").symlink_to(root)
    (root / "d" / "up").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "gone").symlink_to("nowhere")
    (root / "out").symlink_to(outside)
    (root / "out.txt").symlink_to(outside / "secret.txt")
    (root / "twice.txt").symlink_to("d/file0.txt")
    (tmp_path / "root-beside").mkdir()
    (root / "beside").symlink_to(tmp_path / "root-beside")
    environment = explore(root)
    assert sum(play_all(environment).values()) == 5
    assert set(environment.notes) == {
        "left out, links inside the root: 3",
        "left out, links that lead outside the root: 3",
        "left out, links that lead nowhere: 2",
    }
    assert "links that lead outside the root: 3" in environment.summary()
    link = tmp_path / "link-to-root"
    link.symlink_to(root)
    assert sum(play_all(explore(link)).values()) == 5


def test_a_pipe_does_not_block(make_folder: Make) -> None:
    root = make_folder({f"{n}.txt": "text" for n in range(3)})
    os.mkfifo(root / "pipe")
    taken = snapshot(root)
    assert taken.notes == ("left out, pipes, sockets and devices: 1",)
    assert len(taken.root.files) == 3


def test_what_cat_says_of_special_files(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(
        {
            "binary": bytes(range(256)),
            "latin": "caf\xe9 au lait".encode("latin-1"),
            "empty": "",
            "blank": " \n\t\n",
            "lines": "first\n\nsecond  line\x07",
            "long": "word " * 1000,
            "huge": "word " * 250_000,
            "cut": "\u20ac" * 1000,
            "secret": "text",
        }
    )
    opened = os.open

    def refuse(path: str, flags: int) -> int:
        if path.endswith("secret"):
            raise PermissionError(path)
        return opened(path, flags)

    monkeypatch.setattr("reflect_env_filesys.snapshot.os.open", refuse)
    said = {file.name: file.excerpt(20) for file in snapshot(root).root.files}
    assert said == {
        "binary": "binary file, 256 bytes",
        "latin": "binary file, 12 bytes",
        "empty": "empty",
        "blank": "blank",
        "lines": "first second line?",
        "long": "word word word word...",
        "huge": "word word word word... (head of 1250000 bytes)",
        "cut": "\u20ac" * 20 + "...",
        "secret": "unreadable",
    }


def test_little_of_a_huge_file_is_kept(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as handle:
        handle.truncate(50 * 2**30)  # sparse
    file = snapshot(tmp_path).root.files[0]
    assert file.size == 50 * 2**30
    assert file.head is not None and len(file.head) <= 4096


def test_a_folder_that_cannot_be_listed(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder({**{f"{n}.txt": "text" for n in range(3)}, "closed/secret.txt": "text"})
    scandir = os.scandir

    def refuse(path: str):  # type: ignore[no-untyped-def]
        if str(path).endswith("closed"):
            raise PermissionError(path)
        return scandir(path)

    def closed(self: Path) -> bool:  # as Path.exists, where one may not look into the folder
        if self.parent.name == "closed":
            raise PermissionError(self)
        return self.is_file()

    monkeypatch.setattr("reflect_env_filesys.snapshot.os.scandir", refuse)
    monkeypatch.setattr("reflect_env_filesys.snapshot.Path.exists", closed)
    taken = snapshot(root)
    assert taken.notes == ("left out, folders that cannot be listed: 1",)
    assert taken.root.folders == ()


def test_thousands_of_files(tmp_path: Path) -> None:
    for folder in range(40):
        place = tmp_path / f"dir{folder % 8}" / f"sub{folder}"
        place.mkdir(parents=True)
        for number in range(100):
            (place / f"f{folder}_{number}.txt").touch()
    environment = explore(tmp_path)
    assert {split: len(environment.tasks(split)) for split in ("train", "valid", "test")} == {
        "train": 1000,
        "valid": 100,
        "test": 200,
    }
    limited = explore(tmp_path, max_files=500)
    assert limited.notes == ("left out, beyond max_files=500: 3500",)
    for task in environment.tasks("test")[:20]:
        assert len(environment.reset(task, seed=0).legal_actions) <= 14


def test_the_largest_menu_has_a_label_for_every_action(make_folder: Make) -> None:
    files = {f"{top}/file{n}.txt": "text" for n in range(300) for top in ("a", "b")}
    environment = explore(make_folder(files), entries=MOST_ENTRIES, test_tasks=10)
    largest = 0
    for task in environment.tasks("test"):
        observation = environment.reset(task, seed=0)
        while observation.legal_actions:
            largest = max(largest, len(observation.legal_actions))
            observation = environment.step(environment.expert_action()).observation
    assert largest == 2 * MOST_ENTRIES + 1 <= labels.MOST


def test_very_deep_folders(tmp_path: Path) -> None:
    place = tmp_path
    for depth in range(60):
        place = place / f"deep{depth}"
        place.mkdir()
        (place / f"file{depth}.txt").write_text("text")
    environment = explore(tmp_path)
    play_all(environment)
    levels = {task.level for split in ("train", "test") for task in environment.tasks(split)}
    assert max(levels) <= 7
    assert environment.notes == ("left out, folders below 6 folders: 1",)


def test_only_too_deep_files_are_an_error_that_says_so(make_folder: Make) -> None:
    root = make_folder({f"a/b/c/{n}.txt": "text" for n in range(9)})
    with pytest.raises(ConfigError, match="too few files") as caught:
        explore(root, folders=2)
    assert caught.value.details == ("left out, folders below 2 folders: 1",)
    play_all(explore(root, folders=3))


def test_the_snapshot_does_not_follow_changes(make_folder: Make) -> None:
    root = make_folder({f"{n}.txt": "before" for n in range(6)})
    environment = explore(root)
    task = environment.tasks("train")[0]
    first = environment.reset(task, seed=0)
    for file in root.iterdir():
        file.write_text("after")
    (root / "new.txt").write_text("new")
    assert environment.reset(task, seed=0) == first
    cat = next(action for action in first.legal_actions if action.startswith("cat "))
    assert "before" in environment.step(cat).observation.text
    again = explore(root)  # lives beside the first and agrees with it
    assert again.reset(task, seed=0) == first
    environment.close()
    again.close()
    renewed = explore(root)
    observation = renewed.reset(renewed.tasks("train")[0], seed=0)
    cat = next(action for action in observation.legal_actions if action.startswith("cat "))
    assert "after" in renewed.step(cat).observation.text


def test_hidden_and_built_entries_are_left_out(make_folder: Make) -> None:
    files = {f"{n}.txt": "text" for n in range(4)}
    files |= {".git/x": "", ".env": "", "a.pyc": "", "__pycache__/b": "", "node_modules/c": ""}
    root = make_folder(files)
    assert sum(play_all(explore(root)).values()) == 4
    assert sum(play_all(explore(root, hidden=True)).values()) == 6


def test_long_names_are_left_out(make_folder: Make) -> None:
    root = make_folder({**{f"{n}.txt": "" for n in range(4)}, "x" * 200: "", "y" * 90 + "/z": ""})
    environment = explore(root)
    assert environment.notes == ("left out, names longer than 32: 2",)
    assert all(
        file.name != "z" for _, folder in snapshot(root).root.walk() for file in folder.files
    )


def test_the_projects_own_folder() -> None:
    project = Path(__file__).resolve().parents[3]
    if not (project / "reflect_core").is_dir():
        pytest.skip("not in the project's tree")
    assert min(play_all(explore(project)).values()) >= 1


def test_a_description_is_masked_and_needs_a_docstring() -> None:
    from reflect_env_filesys.describe import description

    def told(content: str, name: str = "cart.py") -> str | None:
        return description(File(name, len(content), content.encode()))

    assert told('"""Keep a cart of goods. More."""\n') == "Keep a ... of goods."
    assert told("# Licence\n\n'''Count what is sold.\n\nMore.'''") == "Count what is sold."
    assert told('r"""Read goods, e.g. fruit. Then stop."""') == "Read goods, e.g. fruit."
    assert told("import os\n'''Not a docstring at all.'''") is None
    assert told('"""Cart."""') is None
    assert told('"""Keep a cart of goods."""', "cart.txt") is None
    assert told('"""An unfinished docstring of many words') is None


def test_no_handle_is_left_open(make_folder: Make) -> None:
    root = make_folder({f"{n}.txt": "text" for n in range(3)})
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("this system does not list open handles")
    before = len(list(handles.iterdir()))
    explore(root)
    assert len(list(handles.iterdir())) <= before
