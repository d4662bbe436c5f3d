"""Every command and block of code in the docs works, and every setting that they name exists."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import attrs
import click
import pytest
from docs_blocks import DATA, KNOWN, SHELL, Block, blocks, commands, inline
from docs_shell import Shell, parse, shell, targets
from small_runs import ROOT, SMALL, Site

from reflect_core.cli import main
from reflect_core.config import keys
from reflect_core.options import options
from reflect_core.plugins import KINDS, load
from reflect_core.settings import Settings

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("plugins/*/README.md"),
        *ROOT.glob("examples/**/README.md"),
        ROOT / "benchmarks" / "README.md",
    ]
)
RUN = "runs/NAME"
"""A finished run that pages may speak of."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A small run, made when a page first needs it."""
    folder = tmp_path_factory.mktemp("finished") / "run"

    def make() -> Path:
        if not folder.exists():
            words = ["--env", "filesys", "--trainer", "ppo", "--out", str(folder)]
            with contextlib.redirect_stdout(io.StringIO()):
                assert main(["run", *words, *SMALL]) == 0
        return folder

    return make


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(text_of(page))], ids=named)
def test_a_page_does_as_it_says(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    finished: Callable[[], Path],
) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    text = text_of(page)
    if RUN in text:
        shutil.copytree(finished(), folder / RUN)
    names: dict[str, object] = {"__name__": "page"}
    with shell(folder, Site(tmp_path / "site"), monkeypatch) as sh:
        for block in blocks(text):
            try:
                try_out(block, sh, names)
            except Exception as error:
                error.add_note(f"{named(page)}, line {block.line}:\n{block.text}")
                raise


def try_out(block: Block, sh: Shell, names: dict[str, object]) -> None:
    """Run, plan or parse one block."""
    assert block.language in KNOWN, f"the tests do not know blocks of {block.language!r}"
    if "file" in block.marks:
        sh.write(block.marks["file"], block.text)
    if block.language in SHELL:
        for variables, words in commands(block):
            with pytest.MonkeyPatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value)
                sh.call(words, marks=block.marks)
    elif block.language in DATA:
        {"toml": tomllib.loads, "json": json.loads}[block.language](block.text)
    elif block.language in {"python", "pycon"}:
        if module := block.marks.get("names"):
            names = {**vars(importlib.import_module(module))}
        if block.language == "pycon":
            example = doctest.DocTestParser().get_doctest(block.text + "\n", names, "page", None, 0)
            assert doctest.DocTestRunner(verbose=False).run(example).failed == 0
        else:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.text, "page", "exec"), names)


@pytest.mark.parametrize("page", [page for page in PAGES if inline(text_of(page))], ids=named)
def test_commands_within_sentences_exist(page: Path) -> None:
    for line in inline(text_of(page)):
        program, *words = line.split()
        if program == "make":
            assert set(words) <= targets() or "=" in line, line
        elif "|" not in line and "..." not in line:
            with contextlib.suppress(click.MissingParameter):  # a command that is only mentioned
                parse(words)


def known_keys() -> set[str]:
    parts = (
        (kind.section, offer.spec) for kind in KINDS for offer in load().offers(kind.name).values()
    )
    found = {str(key) for key in keys()}
    for section, spec in parts:
        found |= {str(key) for key in options(spec.config, section)}
        if section == "reflector":
            found |= {str(key) for key in options(spec.config, "teacher")}
    return found


def test_every_setting_that_a_page_names_exists() -> None:
    sections = "|".join(field.name for field in attrs.fields(Settings))
    key = re.compile(rf"`((?:{sections})\.(?!py|pt|safetensors)[a-z_]+)(?:=[^`]*)?`")
    known = known_keys()
    unknown = {
        (named(page), found)
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for found in key.findall(text_of(page))
        if found not in known
    }
    assert not unknown


def test_blocks_are_found_with_their_marks() -> None:
    page = """
- an item

    its second paragraph

    make demo     # indented

Text.

    reflect plugins

<!-- file: a.toml -->
<!-- run -->
```toml
x = 1
```

```
reflect run \\
    --env maze
```
"""
    found = [(each.language, each.text, dict(each.marks)) for each in blocks(page)]
    assert found == [
        ("bash", "reflect plugins", {}),
        ("toml", "x = 1", {"file": "a.toml", "run": ""}),
        ("bash", "reflect run \\\n    --env maze", {}),
    ]


def test_a_wrong_command_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with shell(tmp_path, Site(tmp_path / "site"), monkeypatch) as sh:
        for line, told in (
            ("reflect runs --env filesys", "runs"),
            ("reflect run --env filesys train.iteration=3", "train.iteration"),
            ("reflect run --env filesys --trainer pppo", "pppo"),
            ("accelerate launch -m reflect_core run --env filesys --nv x", "--nv"),
            ("make demonstration", "no target demonstration"),
            ("pip install 'reflect-core[tests]'", "no such extra"),
            ("python examples/compare.py", "compare.py"),
            ("rm -r runs", "does not know 'rm'"),
        ):
            [(_, words)] = commands(Block("bash", line, 1, {}))
            with pytest.raises((Exception, SystemExit)) as caught:
                sh.call(words, marks=())
            assert told in str(caught.value), line
