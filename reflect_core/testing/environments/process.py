"""What shows in a process of its own."""

from __future__ import annotations

import pickle

from reflect_core.testing.environments.subject import FRESH, EnvironmentSubject
from reflect_core.testing.environments.telling import differ
from reflect_core.testing.laws import Broken, Effort, Skipped, law
from reflect_core.testing.places import told
from reflect_core.testing.walks import drawn_plans

__all__ = ["files", "folder", "fresh_process", "light", "releases", "spawns"]


@law(
    cause="a lambda, an open file or a class made in a function among the options: "
    "a worker process gets them as a pickle",
    look="__init__",
    needs=["resets"],
)
def spawns(subject: EnvironmentSubject, effort: Effort) -> None:
    """Its name and config pickle to a fresh process, which can build and play it."""
    if subject.config is not None:
        try:
            again = pickle.loads(pickle.dumps(subject.config))
        except Exception as error:  # pickle raises many kinds
            raise Broken(f"its config does not pickle: {told(error)}") from error
        if again != subject.config:
            raise Broken(
                "its config is another one after pickling",
                shown=[f"before: {subject.config!r}"[:300], f"after:  {again!r}"[:300]],
            )
    report = subject.fresh_process(effort)
    if report.failure:
        raise Broken(f"a fresh process failed: {report.failure}", shown=report.last_lines)


@law(
    cause="an order of a set, hash() or id(), or what is left in a module by an earlier episode: "
    "sort sets, and use reflect_core.streams.stream_seed in place of hash()",
    look="reset",
    needs=["spawns", "repeats"],
)
def fresh_process(subject: EnvironmentSubject, effort: Effort) -> None:
    """The same seed and actions give the same episode in a fresh process."""
    report = subject.fresh_process(effort)
    for plan, there in zip(drawn_plans(FRESH, seed=effort.seed), report.episodes, strict=True):
        here = subject.alone(plan)
        differ(here.keys(), there, ("here", "there"), here)


@law(
    cause="torch at the top of a module that the environment loads: workers have no use for it "
    "and pay for it in memory and time; import it where it is needed",
    look="__init__",
    needs=["spawns"],
)
def light(subject: EnvironmentSubject, effort: Effort) -> None:
    """It does not import torch."""
    report = subject.fresh_process(effort)
    if report.heavy_before:
        raise Skipped("the module that defines it in the test imports torch")
    for name, place in report.imported:
        raise Broken(f"it imports {name}", place=place)


@law(
    cause="a cache, a log or a download beside the code: read only, or write below "
    "tempfile.gettempdir(); what can be made again, below $XDG_CACHE_HOME",
    look="__init__",
    needs=["spawns"],
)
def files(subject: EnvironmentSubject, effort: Effort) -> None:
    """It writes no files outside the temporary folder and the user's cache."""
    for what, place in subject.fresh_process(effort).writes:
        raise Broken(what, place=place)


@law(
    cause="os.chdir, which is the whole program's: use absolute paths",
    look="__init__",
    needs=["spawns"],
)
def folder(subject: EnvironmentSubject, effort: Effort) -> None:
    """It does not change the working directory."""
    for what, place in subject.fresh_process(effort).moves:
        raise Broken(what, place=place)


@law(
    cause="something is opened at each reset and only the last one closed: close the last one "
    "before the next is opened",
    look="close",
    needs=["spawns", "closes"],
)
def releases(subject: EnvironmentSubject, effort: Effort) -> None:
    """After close nothing is left open, and no temporary files."""
    for what in subject.fresh_process(effort).left:
        raise Broken(what)
