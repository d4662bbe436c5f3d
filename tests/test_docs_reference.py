"""The reference: generated pages are up to date, and nothing of the code is left out."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import attrs
import click
import pytest

from reflect_core import hookspecs, records
from reflect_core.cli.app import command
from reflect_core.config import keys
from reflect_core.options import options
from reflect_core.plugins import KINDS, load

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name):
    return (REFERENCE / name).read_text(encoding="utf-8")


def by_heading(text):
    """What stands below each heading of the second level."""
    return dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))


@pytest.mark.parametrize("name", ["hooks.md", "records.md", "cli.md", "options.md"])
def test_a_generated_page_is_up_to_date(tool, name):
    made = tool.pages()[name].splitlines()
    missing = [line for line in made if line not in page(name).splitlines()]
    assert page(name).splitlines() == made, (
        f"run: python tools/reference.py (not yet in {name}: {missing[:3]})"
    )


def test_pages_do_not_depend_on_what_else_was_done_in_the_process(tool):
    attrs.resolve_types(records.Step)
    assert tool.pages()["records.md"] == page("records.md")


def test_every_hook_has_its_heading_and_its_spec():
    source = ast.parse(Path(hookspecs.__file__).read_text(encoding="utf-8"))
    hooks = [
        node.name
        for node in source.body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(each) == "hookspec" for each in node.decorator_list)
    ]
    assert len(hooks) >= 5
    for hook in hooks:
        assert f"### {hook}\n" in page("hooks.md")
    for kind in KINDS:
        assert f"### {kind.spec.__name__}\n" in page("hooks.md")


def test_every_field_of_every_record_is_there():
    sections = by_heading(page("records.md"))
    made = {name: each for name, each in vars(records).items() if attrs.has(each)}
    assert sections.keys() == made.keys()
    for name, record in made.items():
        for field in attrs.fields(record):
            assert f"- `{field.name}: " in sections[name]


def leaves(group, words=("reflect",)):
    for name, each in group.commands.items():
        if isinstance(each, click.Group):
            yield from leaves(each, (*words, name))
        else:
            yield " ".join((*words, name)), each


def test_every_option_of_every_command_is_there():
    sections = by_heading(page("cli.md"))
    for name, each in leaves(command):
        for parameter in each.params:
            if isinstance(parameter, click.Option):
                assert any(spelling in sections[name] for spelling in parameter.opts), name


def test_every_option_has_help():
    for name, each in leaves(command):
        for parameter in each.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts}"
    for key in keys():
        assert key.help or key.option == "name", str(key)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_setting_and_every_option_of_a_part_is_there(tool, kind):
    text = page("options.md")
    for key in keys():
        assert f"| `{key}` |" in text
    for offer in tool.shipped(load(), kind):
        section = text.partition(f"\n### {kind.name} {offer.spec.name}\n")[2].partition("\n### ")[0]
        assert section, f"{kind.name} {offer.spec.name}"
        for key in options(offer.spec.config, kind.section):
            assert key.help, f"{key} of {offer.spec.name} has no help"
            assert f"| `{key}` |" in section


def test_text_becomes_markdown(tool):
    doc = tool.parse(
        """Takes :class:`a.Spec` and ``None``.

        Args:
            one, two: The first
                lines.

        Raises:
            ValueError: For ``three``.

        >>> 1 + 1
        2
        """,
        hookspecs,
    )
    assert doc.sections == {
        "Args": {"one, two": "The first lines."},
        "Raises": {"ValueError": "For `three`."},
    }
    assert doc.text.startswith("Takes `Spec` and `None`.")
    assert "```pycon\n>>> 1 + 1\n2\n```" in doc.text


def test_text_that_markdown_would_take_for_markup_is_escaped(tool):
    assert tool._escaped("a *b* `c*d` [e]") == r"a \*b\* `c*d` \[e]"
