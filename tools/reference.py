"""Write the pages of docs/reference that follow from the code.

    python tools/reference.py

writes ``hooks.md``, ``records.md``, ``cli.md`` and ``options.md`` anew, from docstrings, click
commands and option metadata. ``tests/test_docs_reference.py`` fails where they are not up to date.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import click

from reflect_core import context, hookspecs, protocols, records, settings
from reflect_core.cli.app import command
from reflect_core.config import keys
from reflect_core.options import Key, options, written
from reflect_core.plugins import KINDS, Kind, Offer, Registry, load
from reflect_core.settings import Part, Settings

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
NOTICE = "<!-- Written by tools/reference.py from the code: change it there. -->"
ENTRY = re.compile(r"^(\*{0,2}\w+(?:, \w+)*):\s+(.*)$")

Lines = Iterator[str]


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def pages() -> Mapping[str, str]:
    """The generated pages by file name."""
    made: Mapping[str, Callable[[], Lines]] = {
        "hooks.md": _hooks,
        "records.md": _records,
        "cli.md": _cli,
        "options.md": _options,
    }
    return {name: f"{NOTICE}\n\n{_joined(page())}" for name, page in made.items()}


def _joined(lines: Lines) -> str:
    """The text without runs of empty lines."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


# Docstrings: Google's sections, reStructuredText's roles and code, as Markdown.


@attrs.frozen
class Docstring:
    """A docstring, taken apart.

    Args:
        text: All outside of sections, as Markdown.
        sections: What stands under ``Args:``, ``Raises:`` and so on, by name and entry.
    """

    text: str
    sections: Mapping[str, Mapping[str, str]]


def parse(docstring: str | None, module: ModuleType) -> Docstring:
    """Take a docstring apart.

    Args:
        docstring: As written.
        module: Where it stands: its examples use that module's names.
    """
    blocks = re.split(r"\n{2,}", inspect.cleandoc(docstring or ""))
    texts: list[str] = []
    sections: dict[str, dict[str, str]] = {}
    for block in blocks:
        head, _, body = block.partition("\n")
        if re.fullmatch(r"(Args|Attributes|Returns|Raises):", head):
            sections[head[:-1]] = _entries(textwrap.dedent(body))
        elif block.startswith(">>>"):
            texts.append(f"<!-- names: {module.__name__} -->\n```pycon\n{block}\n```")
        elif block.startswith("    "):
            code = textwrap.dedent(block)
            if texts and texts[-1].endswith("\n```") and "```python" in texts[-1]:
                texts[-1] = f"{texts[-1][:-4]}\n\n{code}\n```"  # an empty line within the code
            else:
                texts.append(f"```python\n{code}\n```")
        else:
            texts.append(_prose(block))
    return Docstring("\n\n".join(texts), sections)


def _entries(body: str) -> dict[str, str]:
    """The entries of a section; what has no name stands under the empty one."""
    found: dict[str, str] = {}
    name = ""
    for line in body.splitlines():
        entry = ENTRY.match(line)
        if entry:
            name, line = entry.groups()
        found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return {name: _prose(text) for name, text in found.items()}


def _prose(text: str) -> str:
    """Roles, double backquotes and names of pages as Markdown has them."""
    text = re.sub(r"``docs/reference/([\w-]+)\.md``", r"[\1](\1.md)", text)
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return re.sub(r"``(.+?)``", r"`\1`", text, flags=re.DOTALL)


def _raises(doc: Docstring) -> Lines:
    for name, why in doc.sections.get("Raises", {}).items():
        yield f"- raises `{name}`: {why}"


# hooks.md


def _hooks() -> Lines:
    yield "# Hooks, specs and parts"
    yield ""
    yield parse(hookspecs.__doc__, hookspecs).text
    yield "\n## Hooks\n"
    yield f"This is API {hookspecs.API_VERSION}; the rules are in [API versions](api-versions.md)."
    for kind in KINDS:
        hook = getattr(hookspecs, kind.hook)
        yield f"\n### {kind.hook}\n"
        yield parse(hook.__doc__, hookspecs).text
        yield f"\nYields: [`{kind.spec.__name__}`](#{kind.spec.__name__.lower()})."
    yield "\n## Specs\n"
    yield "All fields are given by keyword."
    specs: list[type] = [hookspecs.Spec, *(kind.spec for kind in KINDS)]
    for spec in specs:
        yield from _class(spec, hookspecs, own=spec is not hookspecs.Spec)
    yield "\n## Options\n"
    yield "### option\n"
    yield _code(hookspecs.option, hookspecs)
    yield parse(hookspecs.option.__doc__, hookspecs).text
    yield "\n## Contexts\n"
    yield parse(context.__doc__, context).text
    for each in _classes(context):
        yield from _class(each, context)
    yield "\n## Parts\n"
    yield parse(protocols.__doc__, protocols).text
    for part in _classes(protocols):
        yield from _protocol(part)


def _protocol(part: type) -> Lines:
    yield f"\n### {part.__name__}\n"
    yield parse(part.__doc__, protocols).text
    for name, method in vars(part).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        doc = parse(method.__doc__, protocols)
        yield _code(method, protocols)
        yield doc.text
        yield ""
        yield from _raises(doc)


def _code(function: Callable[..., Any], module: ModuleType) -> str:
    """A function's signature as a block of code."""
    return f"\n<!-- names: {module.__name__} -->\n```python\n{_signature(function)}\n```\n"


def _signature(function: Callable[..., Any]) -> str:
    """As written in the code, with the body left out."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    node.body, node.decorator_list = [ast.Expr(ast.Constant(...))], []
    text = ast.unparse(node).replace("\n    ...", " ...")
    text = re.sub(r"(?<=[\w\]])=(?=\S)", " = ", text)
    if len(text) <= 90:
        return text
    text = text.replace("(", "(\n    ", 1).replace(") -> ", "\n) -> ", 1)
    return re.sub(r", (?=\*|\w+:)", ",\n    ", text)


# records.md


def _records() -> Lines:
    yield "# Records"
    yield ""
    yield parse(records.__doc__, records).text
    yield ""
    yield "They are in `reflect_core.records`; the usual ones are in `reflect_core` too."
    for record in _classes(records):
        yield from _class(record, records)


def _classes(module: ModuleType) -> list[type]:
    """The public classes that a module defines, in its order."""
    found = [
        each
        for name, each in vars(module).items()
        if inspect.isclass(each) and each.__module__ == module.__name__ and name[0] != "_"
    ]
    return sorted(found, key=lambda each: inspect.getsourcelines(each)[1])


def _class(made: type, module: ModuleType, *, own: bool = False) -> Lines:
    """An attrs class: its text, its fields and its properties.

    Args:
        made: The class.
        module: Where it stands.
        own: Leave out the fields that it has from its base class.
    """
    doc = parse(made.__doc__, module)
    told: dict[str, str] = {}
    for names, text in doc.sections.get("Args", {}).items():
        told |= dict.fromkeys(re.split(r",\s*", names), text)
    base = [field.name for field in attrs.fields(made.__mro__[1])] if own else []
    # as written: attrs may have been asked to resolve the types by now
    annotations = {
        name: text for each in reversed(made.__mro__) for name, text in _annotated(each).items()
    }
    level = "##" if module is records else "###"
    yield f"\n{level} {made.__name__}\n"
    yield doc.text
    yield ""
    for field in attrs.fields(made):
        if field.name in base and field.name not in told and field.name != "factory":
            continue
        meaning = f": {told[field.name]}" if field.name in told else ""
        yield f"- `{field.name}: {annotations[field.name]}{_default(field)}`{meaning}"
    for name, each in vars(made).items():
        if isinstance(each, property) and not name.startswith("_"):
            yield f"- `{name}`, a property: {parse(each.__doc__, module).text}"
        elif inspect.isfunction(each) and not name.startswith("_") and each.__doc__:
            summary = parse(each.__doc__, module).text
            yield f"- `{_signature(each).removesuffix(': ...')}`: {summary}"


def _annotated(made: type) -> Mapping[str, str]:
    found: Mapping[str, str] = vars(made).get("__annotations__", {})
    return found


def _default(field: Any) -> str:
    if field.default is attrs.NOTHING:
        return ""
    if not isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
        default = field.default
        return f" = {default.__name__ if inspect.isclass(default) else repr(default)}"
    return " = {}" if field.default.factory is dict else " = (empty)"


# cli.md


def _cli() -> Lines:
    context = click.Context(command, info_name="reflect", **command.context_settings)
    yield "# The command line"
    yield ""
    yield str(command.help)
    yield ""
    yield "| Command | |\n|---|---|"
    for path, each, _ in commands(context):
        if not isinstance(each, click.Group):
            name = " ".join(path)
            yield f"| [`{name}`](#{name.replace(' ', '-')}) | {each.get_short_help_str(limit=90)} |"
    yield ""
    yield "| Exit code | |\n|---|---|"
    yield "| 0 | done |"
    yield "| 1 | `reflect check`: a law is broken |"
    yield "| 2 | a mistake or an obstacle, told on standard error: what, why, what next |"
    yield "| 130 | interrupted |"
    yield "| 143 | asked to end (SIGTERM), as schedulers do |"
    yield ""
    yield "`KEY=VALUE` sets any of the [settings and options](options.md). `-h` or `--help` after"
    yield "any command shows its help, `reflect --version` the version."
    for path, each, inner in commands(context):
        yield f"\n## {' '.join(path)}\n"
        yield f"```text\n{_usage(each, inner)}\n```\n"
        yield _prose(_paragraphs(each.help))
        yield ""
        for parameter in each.params:
            spelling, told = parameter.get_help_record(inner) or ("", "")
            if told:
                yield f"- `{spelling}`: {_escaped(re.sub(r'  +', ' ', told))}"


def commands(
    context: click.Context, path: Sequence[str] = ("reflect",)
) -> Iterator[tuple[Sequence[str], click.Command, click.Context]]:
    """All commands below a group, with their words and contexts."""
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        assert each is not None
        inner = click.Context(each, info_name=name, parent=context)
        yield (*path, name), each, inner
        if isinstance(each, click.Group):
            yield from commands(inner, (*path, name))


def _usage(each: click.Command, context: click.Context) -> str:
    return " ".join([context.command_path, *each.collect_usage_pieces(context)])


def _paragraphs(text: str | None) -> str:
    """Help in paragraphs; click keeps the lines of one that begins with a backspace."""
    kept = []
    for block in re.split(r"\n{2,}", inspect.cleandoc(text or "")):
        keep, lines = block.startswith("\b"), block.removeprefix("\b\n")
        kept.append(f"```text\n{lines}\n```" if keep else lines)
    return "\n\n".join(kept)


# options.md


def _options() -> Lines:
    registry = load()
    yield "# Settings and options"
    yield ""
    yield (
        "Every option has a key, `SECTION.OPTION`. On a command line it is written `KEY=VALUE`; a\n"
        "bare option will do where one section alone has it. In a file, a section is a table of\n"
        "TOML. Later sources win: the defaults below, what the environment would rather have, the\n"
        "file, flags, `KEY=VALUE`. `none` stands for no value; a list is written with commas."
    )
    yield "\n## Settings of a run\n"
    yield from _table([key for key in keys() if not key.section])
    for field in attrs.fields(attrs.resolve_types(Settings)):
        section: Any = field.type
        if attrs.has(section) and section is not Part:
            yield f"\n### {field.name}\n"
            yield parse(section.__doc__, settings).text
            yield ""
            yield from _table([key for key in keys() if key.section == field.name])
    yield "\n## Parts\n"
    yield "| Key | Default | Flag |\n|---|---|---|"
    for key in keys():
        if key.option == "name" and key.section != "model":
            default = f"`{key.default}`" if key.default else "must be given"
            yield f"| `{key}` | {default} | `--{key.section}` |"
    yield "\nThe teacher is a reflector that also teaches; its options stand in section `teacher`."
    for kind in KINDS:
        yield f"\n## {kind.plural.capitalize()}"
        for offer in shipped(registry, kind):
            yield from _part(kind, offer)


def shipped(registry: Registry, kind: Kind) -> list[Offer[Any]]:
    """The parts of the core and of the distributions in plugins/."""
    ours = {"reflect-core"}
    for manifest in ROOT.glob("plugins/*/pyproject.toml"):
        ours.add(tomllib.loads(manifest.read_text(encoding="utf-8"))["project"]["name"])
    return [offer for offer in registry.offers(kind.name).values() if offer.distribution in ours]


def _part(kind: Kind, offer: Offer[Any]) -> Lines:
    spec = offer.spec
    yield f"\n### {kind.name} {spec.name}\n"
    yield f"{_escaped(spec.summary)}. From `{offer.distribution}`."
    yield ""
    if kind.name == "environment":
        yield f"Stages: {', '.join(f'`{stage}`' for stage in spec.stages)}."
        if spec.baselines:
            yield f"Baselines: {', '.join(f'`{name}`' for name in spec.baselines)}."
        if spec.defaults:
            wishes = (f"`{key}={written(value)}`" for key, value in spec.defaults.items())
            yield f"Its own defaults: {', '.join(wishes)}."
        yield ""
    found = options(spec.config, kind.section)
    yield from _table(found) if found else iter(["No options."])


def _table(found: Sequence[Key]) -> Lines:
    yield "| Key | Default | May be | Meaning |\n|---|---|---|---|"
    for key in found:
        cells = (f"`{key}`", f"`{written(key.default)}`", key.expected, _escaped(key.help))
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _escaped(text: str) -> str:
    """Text in which Markdown finds no markup; what stands in backquotes is left alone."""
    return re.sub(r"([*_<\[])(?=[^`]*(?:`[^`]*`[^`]*)*$)", r"\\\1", text)


if __name__ == "__main__":
    main()
