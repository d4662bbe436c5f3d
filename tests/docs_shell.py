"""A shell for the commands of a page: it knows a few programs, and tries each out in earnest."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import click
import pytest
from small_runs import ROOT, SMALL, Site

from reflect_core.cli import main, run
from reflect_core.cli.app import command

Marks = Collection[str]
IN_A_FOLDER = {"sft", "train", "eval", "report"}
"""Commands that go on with a run."""


class Shell:
    """Carries out or plans commands in a folder that looks like a checkout.

    Args:
        folder: Of the page; what the commands make is made there.
        site: Where packages are installed.
        patch: Undoes changes of the environment's variables.
    """

    def __init__(self, folder: Path, site: Site, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.site, self.patch = folder, site, patch
        for path in ROOT.iterdir():
            if path.name == "docs":  # something to explore: links are not followed
                shutil.copytree(path, folder / path.name)
            elif path.name[0] != "." and path.name != "runs":
                (folder / path.name).symlink_to(path)

    def write(self, name: str, text: str) -> None:
        """Write a file of the page; a name that the checkout has too is the page's from now on."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")

    def call(self, words: Sequence[str], *, marks: Marks) -> None:
        """Try out one command; ``marks`` are those of its block."""
        program, *rest = words
        known = {
            "reflect": self.reflect,
            "accelerate": self.accelerate,
            "pip": self.pip,
            "make": self.make,
            "python": self.python,
            "export": self.export,
            "cd": self.cd,
            "source": self.source,
        }
        assert program in known, f"the shell of the tests does not know {program!r}"
        known[program](rest, marks=marks)

    def reflect(self, words: Sequence[str], *, marks: Marks) -> None:
        """Carry out what is quick or marked; plan or parse the rest."""
        name, *rest = words
        parse(words)
        if name == "check":
            words = [*words, "--max-examples", "2"]
        elif name in IN_A_FOLDER:
            words = [*words, "--episodes", "1"] if name == "eval" else words
        elif name in {"run", "teach"} and "run" in marks and "--resume" not in rest:
            words = [*words, *SMALL]
        elif name in {"run", "ablate", "teach"} and "run" not in marks:
            words = ["run" if name == "teach" else name, *rest]
            words += [] if "--dry-run" in rest else ["--dry-run"]
        elif name == "play":
            return  # it waits for a person
        told = io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(told),
            contextlib.redirect_stderr(told),
        ):
            if "settings" in marks:
                patch.setattr(run, "_show_plan", lambda settings, registry: None)
            code = main(words)
        last = "\n".join(told.getvalue().splitlines()[-12:])
        assert code == 0, f"exit code {code}\n{last}"

    def accelerate(self, words: Sequence[str], *, marks: Marks) -> None:
        """Parse the launcher's own options; plan what every process would do."""
        from accelerate.commands.launch import launch_command_parser

        assert words[0] == "launch"
        given = launch_command_parser().parse_args(list(words[1:]))
        assert given.module and given.training_script == "reflect_core"
        self.reflect(given.training_script_args, marks=())

    def pip(self, words: Sequence[str], *, marks: Marks) -> None:
        """Install packages of others aside; see that those of ours exist."""
        assert words[0] == "install"
        places = iter(words[1:])
        for word in places:
            if word == "-c":
                assert (self.folder / next(places)).is_file()
            elif word != "-e":
                self._install(word)

    def _install(self, word: str) -> None:
        name, _, extras = word.rstrip("]").partition("[")
        if not (Path(name) / "pyproject.toml").is_file():
            name = {"reflect-core": ".", **_ours()}[name]
        manifest = Path(name) / "pyproject.toml"
        project = tomllib.loads(manifest.read_text(encoding="utf-8"))["project"]
        wanted = set(filter(None, extras.split(",")))
        assert wanted <= project.get("optional-dependencies", {}).keys(), f"no such extra: {word}"
        ours = manifest.resolve().parent
        if ours != ROOT and ours.parent != ROOT / "plugins":
            self.site.install(ours)

    def make(self, words: Sequence[str], *, marks: Marks) -> None:
        """See that there is such a target."""
        for word in words:
            assert word in targets(), f"the Makefile has no target {word}"

    def python(self, words: Sequence[str], *, marks: Marks) -> None:
        """See that the script exists, and that it takes these words where click reads them."""
        script, *rest = words
        path = self.folder / script
        assert path.is_file(), f"there is no {script}"
        if "import click" in path.read_text(encoding="utf-8"):
            spec = importlib.util.spec_from_file_location(path.stem, path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module.main.make_context(script, list(rest))

    def export(self, words: Sequence[str], *, marks: Marks) -> None:
        """Set a variable for the rest of the page."""
        name, _, value = words[0].partition("=")
        self.patch.setenv(name, value)

    def cd(self, words: Sequence[str], *, marks: Marks) -> None:
        """Go to another folder."""
        os.chdir(words[0])

    def source(self, words: Sequence[str], *, marks: Marks) -> None:
        """See that it is the environment that the Makefile makes."""
        made = re.search(r"^VENV \?= (.+)$", Path("Makefile").read_text(encoding="utf-8"), re.M)
        assert made is not None and list(words) == [f"{made[1]}/bin/activate"]


def parse(words: Sequence[str]) -> None:
    """Let click parse a command of reflect, without doing anything.

    Raises:
        click.UsageError: There is no such command, or it takes no such words.
    """
    context = click.Context(command, info_name="reflect", **command.context_settings)
    rest = list(words)
    told = contextlib.redirect_stdout(io.StringIO())
    with told, contextlib.suppress(click.exceptions.Exit):  # --help, --version
        while isinstance(context.command, click.Group) and rest:
            name, each, rest = context.command.resolve_command(context, rest)
            assert name is not None and each is not None
            if not isinstance(each, click.Group):
                each.make_context(name, rest, parent=context)
                return
            context = click.Context(each, info_name=name, parent=context)


def targets() -> set[str]:
    """The Makefile's targets."""
    listed = subprocess.run(
        ["make", "--dry-run", "--print-data-base", "--question", "lint"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    ).stdout  # fmt: skip
    return set(re.findall(r"^([a-z][\w-]*):", listed, re.MULTILINE))


def _ours() -> dict[str, str]:
    """The distributions of plugins/, by name."""
    found = {}
    for manifest in (ROOT / "plugins").glob("*/pyproject.toml"):
        name = tomllib.loads(manifest.read_text(encoding="utf-8"))["project"]["name"]
        found[name] = str(manifest.parent)
    return found


@contextlib.contextmanager
def shell(folder: Path, site: Site, patch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A shell whose folder is the present one, and whose packages can be imported."""
    patch.chdir(folder)
    with site.visible():
        yield Shell(folder, site, patch)
