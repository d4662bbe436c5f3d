"""PDDL problems as the engine's compiled part reads them, kept so that each is translated once.

Translating is what costs most when a game is loaded. Its result depends on the domain and the
problem alone: it is kept in a folder where there is one.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import sys
import threading
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import cattrs
import fast_downward

from reflect_core.errors import ReflectError

FORMAT = 1
"""Of the files in the folder; raised when an older one can no longer be read."""
_translating = threading.Lock()


@attrs.frozen
class Translation:
    """A problem in the language of the planner, and what the texts need besides.

    Args:
        sas: The problem; every fact and operator of it is there.
        types: Each type with those that it is a kind of.
        objects: The type of each object.
        actions: For each action the name and type of each parameter.
        facts: The initial facts: a name, then objects.
        changing: Predicates that some action changes.
    """

    sas: str
    types: tuple[tuple[str, tuple[str, ...]], ...]
    objects: Mapping[str, str]
    actions: Mapping[str, tuple[tuple[str, str], ...]]
    facts: tuple[tuple[str, ...], ...]
    changing: tuple[str, ...]


def translate(domain: str, problem: str, folder: Path | None = None) -> Translation:
    """The translation of a problem, as it was kept or made now.

    Args:
        domain, problem: Two PDDL texts.
        folder: Where translations are kept; a file in it that cannot be read is made anew.
    """
    if folder is None:
        return _made(domain, problem)
    path = folder / f"{key(domain, problem)}.json.z"
    kept = _read(path)
    if kept is None:
        kept = _made(domain, problem)
        _write(path, kept)
    return kept


def key(domain: str, problem: str) -> str:
    """Names what a translation depends on: the texts, the translator and the form it is kept in."""
    digest = hashlib.blake2b(digest_size=16)
    translator = importlib.metadata.version("fast_downward_textworld")
    for part in (str(FORMAT), translator, domain, problem):
        digest.update(len(part).to_bytes(8, "little") + part.encode())
    return digest.hexdigest()


def search_translation(domain: str, problem: str) -> str:
    """The same problem with all left out that no plan needs."""
    return _sas(domain, problem, optimize=True)[1]


def _read(path: Path) -> Translation | None:
    try:
        return cattrs.structure(json.loads(zlib.decompress(path.read_bytes())), Translation)
    except OSError:
        return None  # writing it will tell why, if it is not that there is none yet
    except (zlib.error, ValueError, cattrs.BaseValidationError):
        return None  # cut off or of another program's: it is overwritten


def _write(path: Path, translation: Translation) -> None:
    content = json.dumps(cattrs.unstructure(translation))
    # several processes may make the same one at a time: each writes to a name of its own
    unfinished = path.with_name(f".{path.stem}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(zlib.compress(content.encode(), 6))
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise ReflectError(
            f"the folder {path.parent} cannot keep translations",
            why=error.strerror or str(error),
            then="another folder (cache=DIR) or none (cache=none)",
        ) from error


def _made(domain: str, problem: str) -> Translation:
    task, sas = _sas(domain, problem, optimize=False)
    changed = {effect.literal.predicate for action in task.actions for effect in action.effects}
    return Translation(
        sas=sas,
        types=tuple((each.name, tuple(each.supertype_names)) for each in task.types),
        objects={each.name: each.type_name for each in task.objects},
        actions={
            action.name: tuple((p.name.removeprefix("?"), p.type_name) for p in action.parameters)
            for action in task.actions
        },
        facts=tuple(_facts(task.init)),
        changing=tuple(sorted(changed.union(axiom.name for axiom in task.axioms))),
    )


def _facts(initial: Sequence[Any]) -> Iterator[tuple[str, ...]]:
    for fact in initial:
        if isinstance(fact, fast_downward.translate.pddl.conditions.Atom):
            if fact.predicate != "=":
                yield (fact.predicate, *fact.args)
        elif fact.fluent.symbol != "total-cost":
            value = str(fact.expression.value)
            if not value.isdigit():  # distances are no facts
                yield (value, *fact.fluent.args)


def _sas(domain: str, problem: str, *, optimize: bool) -> tuple[Any, str]:
    """Run the translator, which changes the program's arguments and output and is not reentrant."""
    said = io.StringIO()
    with _translating, _arguments_kept(), contextlib.redirect_stdout(said):
        try:
            task, sas = fast_downward.pddl2sas(domain, problem, optimize=optimize)
        except SystemExit as end:  # it is a program, and would end this one
            why = " ".join(f"{end} {said.getvalue()}".split())[-300:]
            raise ValueError(f"the translator refuses the game: {why}") from end
    return task, sas


@contextlib.contextmanager
def _arguments_kept() -> Iterator[None]:
    arguments = sys.argv
    try:
        yield
    finally:
        sys.argv = arguments
