"""``reflect new``: what it makes works as it stands, and it harms nothing."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from fake_plugins import FakeEntryPoint, environment, environments, module
from hypothesis import given
from hypothesis import strategies as st

from reflect_core import API_VERSION, ConfigError, ReflectError, scaffold
from reflect_core.cli import main
from reflect_core.plugins import load
from reflect_core.scaffold import SECTIONS, Package

ROOT = Path(__file__).parents[1]
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,6}){0,3}", fullmatch=True)


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}


def call(*words: object, folder: Path, **variables: str) -> str:
    """Run a command to its good end, with one thread; returns what it said."""
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- names ---------------------------------------------------------------------------------


@given(section=st.sampled_from(SECTIONS), name=NAMES)
def test_every_good_name_gives_a_whole_package(section: str, name: str) -> None:
    package = Package(section, name)
    made = package.render()
    project = tomllib.loads(made["pyproject.toml"])
    assert project["project"]["name"] == f"reflect-{section}-{name}"
    assert project["project"]["entry-points"] == {
        "reflect": {f"{section}-{name}": f"{package.package}.plugin"}
    }
    assert project["tool"]["setuptools"]["packages"] == [package.package]
    assert {"README.md", f"{package.package}/py.typed", "tests/test_contract.py"} <= set(made)
    for path, text in made.items():
        assert "$" not in text, path
        if path.endswith(".py"):
            compile(text, path, "exec")
    assert f"REFLECT_API = {API_VERSION}\n" in made[f"{package.package}/plugin.py"]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("Maze", "maze"),
        ("my_maze", "my-maze"),
        ("my maze", "my-maze"),
        ("-maze", "maze"),
        ("maze-", "maze"),
        ("a--b", "a-b"),
        ("../maze", "maze"),
        ("maze\n", "maze"),
        ("x" * 41, "x" * 40),
        ("3d", None),
        ("", None),
        ("迷路", None),
    ],
)
def test_a_bad_name_is_refused_with_a_good_one(name: str, better: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        Package("env", name)
    suggestion = re.search("did you mean: (.*)", str(caught.value))
    assert (suggestion and suggestion[1]) == better


@given(st.text(max_size=50))
def test_what_is_suggested_can_be_used(name: str) -> None:
    try:
        Package("env", name)
    except ConfigError as error:
        for detail in error.details:
            Package("env", detail.removeprefix("did you mean: "))


def test_a_name_that_is_taken_is_refused_for_its_kind_alone() -> None:
    plugin = module(reflect_environments=environments(environment("maze")))
    point = FakeEntryPoint("env-maze", lambda: plugin)
    registry = load([point], disabled=())  # type: ignore[list-item]
    Package("trainer", "maze").check_free(registry)
    with pytest.raises(ReflectError, match="environment 'maze' exists already") as caught:
        Package("env", "maze").check_free(registry)
    assert "'env-maze' (reflect-env-maze 0.1.0)" in str(caught.value)


# -- folders -------------------------------------------------------------------------------


def test_the_command_tells_what_it_made_and_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "env", "grotto"]) == 0
    said = capsys.readouterr().out
    made = tree(tmp_path / "reflect-env-grotto")
    assert made == Package("env", "grotto").render()
    for path in made:
        assert f"  {path}\n" in said
    assert "  pip install -e 'reflect-env-grotto[test]'\n" in said
    assert "  reflect check grotto\n" in said
    assert "  reflect run --env grotto --trainer ppo\n" in said


@pytest.mark.parametrize("section", SECTIONS)
def test_into_a_folder_that_is_not_there_yet(section: str, tmp_path: Path) -> None:
    assert main(["new", section, "grotto", "--into", str(tmp_path / "a" / "b")]) == 0
    [made] = (tmp_path / "a" / "b").iterdir()
    assert made.name == f"reflect-{section}-grotto"


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dangling link"])
def test_nothing_is_overwritten(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "reflect-env-grotto"
    if kind == "file":
        there.write_text("mine")
    elif kind == "dangling link":
        there.symlink_to("nowhere")
    else:
        there.mkdir()
    if kind == "folder":
        (there / "pyproject.toml").write_text("mine")
    before = [(path, path.lstat().st_mtime_ns) for path in sorted(tmp_path.rglob("*"))]
    assert main(["new", "env", "grotto", "--into", str(tmp_path)]) == 2
    assert "reflect-env-grotto exists already" in capsys.readouterr().err
    assert before == [(path, path.lstat().st_mtime_ns) for path in sorted(tmp_path.rglob("*"))]


def test_a_place_where_nothing_can_be_made_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["new", "env", "grotto", "--into", str(tmp_path / "file" / "below")]) == 2
    assert "Error: Not a directory" in capsys.readouterr().err


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scaffold.Path, "write_text", fail)
    assert main(["new", "env", "grotto", "--into", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "teapot", "grotto"]) == 2
    assert "teapot" in capsys.readouterr().err


# -- what was made -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one package of each kind."""
    folder = tmp_path_factory.mktemp("made")
    for section in SECTIONS:
        Package(section, "grotto").write(folder)
    return folder


def test_it_is_written_as_this_project_writes(made: Path) -> None:
    # which imports are one's own depends on where the code stands
    for words in (("check", "--ignore", "I001"), ("format", "--check")):
        config = ("--no-cache", "--config", ROOT / "pyproject.toml")
        call(sys.executable, "-m", "ruff", *words, *config, ".", folder=made)


@pytest.mark.slow
def test_its_tests_pass(made: Path) -> None:
    folders = [made / f"reflect-{section}-grotto" for section in SECTIONS]
    for folder in folders:
        install(folder)
    said = call(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        "--import-mode=importlib",
        *(folder / "tests" for folder in folders),
        folder=made,
        PYTHONPATH=os.pathsep.join(map(str, (*folders, ROOT))),
    )
    assert re.search(r"^\d+ passed", said.splitlines()[-1]), said


def install(folder: Path) -> None:
    """What an installer leaves beside a package, so that its entry point is found there."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata)
    [(name, value)] = project["entry-points"]["reflect"].items()
    (info / "entry_points.txt").write_text(f"[reflect]\n{name} = {value}\n")


@pytest.mark.slow
def test_new_install_check_run(tmp_path: Path) -> None:
    """The commands of the documentation, in an environment and a folder of their own."""
    python = virtual_environment(tmp_path / "venv")
    here = tmp_path / "work"
    here.mkdir()
    reflect = functools.partial(call, python, "-m", "reflect_core", folder=here)
    reflect("new", "env", "grotto")
    # offline: what it is built with is there
    offline = ("--no-build-isolation", "--no-index", "--quiet")
    call(python, "-m", "pip", "install", *offline, "-e", "reflect-env-grotto", folder=here)
    assert re.search(r"^\d+ ok$", reflect("check", "grotto", "--max-examples", "2"), re.MULTILINE)
    smoke = (
        "teach.episodes=4 sft.reflector_updates=1 sft.policy_updates=1 train.iterations=1 "
        "train.episodes=4 train.valid_episodes=2 eval.episodes=2 "
        "eval.players=trained"
    )
    said = reflect("run", "--env", "grotto", "--trainer", "ppo", *smoke.split())
    assert "grotto (version 1): 2 test episodes" in said


def virtual_environment(folder: Path) -> Path:
    """One that sees what this interpreter sees, and keeps what is installed to itself."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = call(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder
    )
    outer = [path for path in sys.path if Path(path).name == "site-packages"]
    lines = [f"import site; site.addsitedir({path!r})\n" for path in outer]
    (Path(packages.strip()) / "outer.pth").write_text("".join(lines))
    return python


def test_the_templates_are_part_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["package-data"]["reflect_core.scaffold"] == ["**/*.in"]
    here = Path(scaffold.__file__).parent
    others = {path.suffix for path in here.rglob("*") if path.is_file()} - {".in", ".py", ".pyc"}
    assert not others
