"""From defaults, a file and a command line to the :class:`Settings` of a run.

Later sources win: the defaults of the classes, what the environment's spec would rather
have, a TOML file, flags, ``KEY=VALUE`` words. Every option has a dotted key, ``SECTION.OPTION``;
a section is one of the tables in :mod:`reflect_core.settings` or the part chosen for it.
"""

from __future__ import annotations

import importlib.metadata
import platform
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import tomli_w

from reflect_core.errors import ConfigError, choices, suggest
from reflect_core.lm.shipped import tiny_digest
from reflect_core.options import Key, anchored, check, from_text, options, plain, to_toml
from reflect_core.plugins import KINDS, Offer, Registry
from reflect_core.settings import Part, Settings

__all__ = ["DEFAULT_PARTS", "dump", "keys", "load", "loads", "override", "resolve", "versions"]

DEFAULT_PARTS = {
    "reflector": "local",
    "policy": "lm",
    "trainer": "ppo",
    "curriculum": "uniform",
    "teacher": "expert",
}
"""The parts of a run that names none; an environment must always be named."""

VERSIONS = "versions"
"""The table of a ``run.toml`` that records and does not configure."""


def resolve(
    registry: Registry,
    *,
    file: Path | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """Read, check and merge all sources.

    Args:
        registry: The parts to choose from; their config classes are the schema of their
            sections.
        file: A TOML file, as written by hand or by :func:`dump`.
        overrides: ``KEY=VALUE`` words; a bare key will do where one section alone has it.
        flags: ``seed``, ``negatives``, ``model`` and the names of parts by section; None means
            not given.

    Raises:
        ConfigError: A key is unknown or ambiguous, or a value is of the wrong type or range.
        PluginError: A part is unknown, ambiguous or broken.
    """
    table = _read(file) if file else {}
    return _resolve(registry, table, overrides, flags or {}, source=str(file))


def override(registry: Registry, settings: Settings, words: Sequence[str]) -> Settings:
    """The settings with some ``KEY=VALUE`` words on top."""
    table = _parse(dump(settings), "the configuration")
    return _resolve(registry, table, words, {}, "the configuration", filed_here=False)


def load(registry: Registry, file: Path) -> Settings:
    """The settings in a file that :func:`dump` wrote.

    An option that did not exist then has its own default, which changes nothing: the defaults of
    its environment are those of now, and a run goes on as it began.
    """
    return _resolve(registry, _read(file), (), {}, str(file), recorded=True)


def loads(registry: Registry, text: str) -> Settings:
    """As :func:`load`, from the text itself; ``loads(registry, dump(x)) == x``."""
    source = "the configuration"
    return _resolve(registry, _parse(text, source), (), {}, source, recorded=True)


def dump(settings: Settings, versions: Mapping[str, object] | None = None) -> str:
    """The settings as TOML, complete: no default is left to the version that reads it.

    Args:
        settings: What to write. None is written as the word ``none``.
        versions: What else to record, in a table that :func:`resolve` passes over.
    """
    table: dict[str, Any] = {"seed": settings.seed}
    for field in attrs.fields(Settings):
        value = getattr(settings, field.name)
        if isinstance(value, Part):
            table[field.name] = {"name": value.name, **to_toml(value.options)}
        elif attrs.has(type(value)):
            table[field.name] = to_toml(value)
    if versions:
        table[VERSIONS] = plain(versions)
    return tomli_w.dumps(table)


def versions(registry: Registry, settings: Settings) -> dict[str, object]:
    """What a run's results may depend on besides its settings, to be recorded with them."""
    found: dict[str, object] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for name in ("numpy", "torch", "transformers", "peft", "accelerate"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    for section, kind in _SECTION_KINDS.items():
        offer = registry.find(kind, getattr(settings, section).name)
        found[offer.distribution] = offer.version
        found[f"{section}-{offer.spec.name}"] = offer.spec.version
    if settings.model.name == "tiny":
        found["model-tiny"] = tiny_digest()
    return found


def keys(offers: Mapping[str, Offer[Any]] | None = None) -> list[Key]:
    """All keys of a run with these parts, by section; without parts, those of the core."""
    offers = offers or {}
    found = [Key("", "seed", int, 0, "The root of every random choice.", minimum=0)]
    for field in attrs.fields(Settings):
        if field.name in _SECTION_KINDS:
            found.append(Key(field.name, "name", str, DEFAULT_PARTS.get(field.name)))
            if field.name in offers:
                found += options(offers[field.name].spec.config, field.name)
        elif field.name != "seed":
            found += options(_settings_class(field.name), field.name)
    return found


_FLAGS = {"seed": "seed", "negatives": "teach.negatives"}
"""The flags that do not name a part or the model, and the keys that they set."""

_WISHES = "in the defaults of environment"
# a teacher is a reflector that also teaches
_SECTION_KINDS = {kind.section: kind.name for kind in KINDS} | {"teacher": "reflector"}
# an environment's own options are always known: a wrong one among them is a mistake
_OTHER_PARTS = _SECTION_KINDS.keys() - {"env"}


def _resolve(
    registry: Registry,
    table: Mapping[str, Any],
    overrides: Sequence[str],
    flags: Mapping[str, object],
    source: str,
    *,
    recorded: bool = False,
    filed_here: bool = True,
) -> Settings:
    """Merge a table, words and flags.

    Args:
        recorded: The table is of a run: nothing but the options' own defaults is added to it.
        filed_here: Paths of the table are as seen from here, as those of words and flags are; a
            table that :func:`dump` made has them whole.
    """
    words = [_split(word) for word in overrides]
    given = _flatten(table, source)
    flagged = {
        _FLAGS.get(flag, f"{flag}.name"): value
        for flag, value in flags.items()
        if value is not None
    }

    offers = _choose(registry, given, flagged, words, recorded=recorded)
    known = {str(key): key for key in keys(offers)}
    values: dict[str, object] = {}
    wishes = {} if recorded else offers["env"].spec.defaults
    _put(values, wishes, known, where=f"{_WISHES} {offers['env'].spec.name!r}")
    _put(values, given, known, where=f"in {source}")
    _put(values, flagged, known, where="on the command line")
    for name, text in words:
        key = known[_spell(name, known)]
        if key.path is True and not text.strip():
            raise ConfigError(
                f"{key} is empty",
                why="it names a file or folder; a variable of the shell may not be set",
                then=f"give a path, or {name}=none",
            )
        values[str(key)] = check(key, from_text(text, key.type), "on the command line")
    here = {*flagged, *(_spell(name, known) for name, _ in words)}
    if filed_here and not recorded:
        here |= given.keys()
    for name in here & values.keys():
        values[name] = anchored(known[name], values[name])
    return _build(offers, values)


def _choose(
    registry: Registry,
    given: dict[str, object],
    flagged: Mapping[str, object],
    words: Sequence[tuple[str, str]],
    *,
    recorded: bool,
) -> dict[str, Offer[Any]]:
    """The part of each section; drops from ``given`` the options of parts that lost.

    A file's options under ``[trainer]`` belong to the trainer that it names. When the
    command line names another, they go with it instead of being misread as the other's.
    """
    spelt = dict(words)
    offers: dict[str, Offer[Any]] = {}
    wishes: Mapping[str, object] = {}
    for section, kind in _SECTION_KINDS.items():  # the environment comes first
        key = f"{section}.name"
        default = wishes.get(key, DEFAULT_PARTS.get(section))
        filed = given.get(key, default)
        name = spelt.get(key, spelt.get(section, flagged.get(key, filed)))
        if name is None:
            raise ConfigError(
                "no environment was chosen",
                details=[f"installed: {', '.join(registry.offers(kind)) or 'none'}"],
                then="add --env NAME",
            )
        if not isinstance(name, str):
            raise ConfigError(f"{key} cannot be {name!r}", why="the name of a part is text")
        offers[section] = registry.find(kind, name)
        if key in given and name != filed:
            for option in [each for each in given if each.startswith(f"{section}.")]:
                del given[option]
        if section == "env" and not recorded:
            wishes = offers[section].spec.defaults
    return offers


def _put(
    values: dict[str, object], given: Mapping[str, object], known: Mapping[str, Key], *, where: str
) -> None:
    """Check ``given`` and take it over. ``where`` names the source in messages."""
    for name, value in given.items():
        section = name.partition(".")[0]
        if where.startswith(_WISHES) and section in _OTHER_PARTS and name not in known:
            continue  # a wish for a part that was not chosen
        if name not in known:
            raise _unknown(name, known, where)
        values[name] = check(known[name], value, where)


def _build(offers: Mapping[str, Offer[Any]], values: Mapping[str, object]) -> Settings:
    """Make the settings classes from checked values."""
    sections: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        section, _, option = name.rpartition(".")
        sections.setdefault(section, {})[option] = value
    built: dict[str, Any] = {"seed": values.get("seed", 0)}
    for field in attrs.fields(Settings):
        chosen = sections.get(field.name, {})
        if field.name in offers:
            chosen.pop("name", None)
            spec = offers[field.name].spec
            built[field.name] = Part(spec.name, _make(spec.config, chosen, field.name))
        elif field.name != "seed":
            built[field.name] = _make(_settings_class(field.name), chosen, field.name)
    return Settings(**built)


def _make(config: type, chosen: Mapping[str, object], section: str) -> Any:
    """An instance of a config class; its own validators have the last word."""
    try:
        return config(**chosen)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the options of {section} do not go together", why=str(error)) from error


def _settings_class(section: str) -> type:
    attrs.resolve_types(Settings)
    found: Any = attrs.fields_dict(Settings)[section].type
    return found  # type: ignore[no-any-return]


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {file}", then="check --config") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not a TOML file", why="it is not UTF-8 text") from error
    return _parse(text, str(file))


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not TOML", why=str(error)) from error


def _flatten(table: Mapping[str, Any], source: str) -> dict[str, object]:
    """Tables to dotted keys, without what only records."""
    sections = {field.name for field in attrs.fields(Settings)}
    flat: dict[str, object] = {}
    for section, value in table.items():
        if section == VERSIONS:
            continue
        if section not in sections:
            raise ConfigError(
                f"no section or key is called {section!r} (in {source})",
                details=choices(section, sections, called="they are"),
            )
        if section == "seed":
            flat[section] = value
        elif isinstance(value, Mapping):
            flat |= {f"{section}.{option}": each for option, each in value.items()}
        else:
            raise ConfigError(
                f"{section!r} must be a table (in {source})",
                then=f'write [{section}] and below it name = "{value}"'
                if section in {*_SECTION_KINDS, "model"}
                else f"write [{section}] and its options below",
            )
    return flat


def _split(word: str) -> tuple[str, str]:
    name, equals, text = word.partition("=")
    if not equals or not name.strip():
        raise ConfigError(
            f"{word!r} is not an option", then="write KEY=VALUE, for example train.iterations=5"
        )
    return name.strip().replace("-", "_"), text


def _spell(name: str, known: Mapping[str, Key]) -> str:
    """The full key for what a user typed."""
    if name in known:
        return name
    if f"{name}.name" in known:  # trainer=ppo, model=tiny
        return f"{name}.name"
    full = [str(key) for key in known.values() if key.option == name and key.section]
    if len(full) == 1:
        return full[0]
    if full:
        raise ConfigError(
            f"option {name!r} is ambiguous",
            why=f"{len(full)} sections have it",
            then=f"write {' or '.join(f'{key}=...' for key in full)}",
        )
    raise _unknown(name, known, "on the command line")


def _unknown(name: str, known: Mapping[str, Key], where: str) -> ConfigError:
    section, _, option = name.rpartition(".")
    siblings = [key.option for key in known.values() if key.section == section]
    bare = {key.option: str(key) for key in known.values()}
    near = suggest(name, known)
    if near is None and (close := suggest(option, bare)):
        near = bare[close]
    details = [f"did you mean: {near}"] if near else []
    if section and siblings:
        details.append(f"options of {section}: {', '.join(siblings)}")
    elif section:
        sections = dict.fromkeys(key.section for key in known.values() if key.section)
        details.append(f"sections: {', '.join(sections)}")
    return ConfigError(f"no option is called {name!r} ({where})", details=details)
