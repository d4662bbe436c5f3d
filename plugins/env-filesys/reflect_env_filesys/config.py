"""The options of the environment, checked where they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from reflect_core.errors import ConfigError, choices
from reflect_core.hookspecs import option

CORPORA = ("stdlib", "synthetic")
KINDS = ("find", "describe")
EXPERTS = ("oracle", "explorer", "impatient")
STAGES = ("near", "part", "full")
"""Where an episode starts: in the target's folder, half way to it, in the root."""
MOST_ENTRIES = 49
"""Each takes two actions at most, and ``cd ..`` one: no model has labels for more than 100."""


@attrs.frozen
class FilesysConfig:
    """Which files are explored, what is asked, and how much of the tree is shown.

    Raises:
        ConfigError: An option is out of range or two of them exclude each other.
    """

    corpus: str = option(
        "stdlib", "stdlib: the running Python's library; synthetic: generated.", choices=CORPORA
    )
    root: str | None = option(None, "A folder to explore in place of the corpus.", path=True)
    tasks: str | None = option(None, "Tasks from a JSON file in AutoExplore's format.", path=True)
    kind: str = option(
        "find", "find: the file's name is given; describe: what it is about.", choices=KINDS
    )
    expert: str = option(
        "explorer",
        "oracle: knows the path; explorer: searches, as seen; impatient: so too, but mostly gives "
        "up a folder after one look below it.",
        choices=EXPERTS,
    )
    horizon: int = option(15, "Turns of an episode.", minimum=2)
    entries: int = option(
        6,
        "Files and folders in a shown folder, where the split has enough.",
        minimum=2,
        maximum=MOST_ENTRIES,
    )
    folders: int = option(
        6, "Most folders shown below the root; at most half the horizon.", minimum=1
    )
    levels: str = option("1 9 55 35", "Weights of the targets' levels; the last: or deeper.")
    train_tasks: int = option(1000, "Most train tasks.", minimum=1)
    valid_tasks: int = option(100, "Most valid tasks.", minimum=1)
    test_tasks: int = option(200, "Most test tasks.", minimum=1)
    invented: int = option(
        1000, "Tasks on made-up names for RL to practise on, beside the library's own.", minimum=0
    )
    invented_lessons: int = option(
        0, "Tasks on other made-up names for the teacher to show.", minimum=0
    )
    cat_chars: int = option(80, "Characters of a file that 'cat' shows.", minimum=1)
    pattern: str | None = option(
        None, "Files to read, such as *.md; if none, *.py of the library, else all."
    )
    longest_name: int = option(
        32, "Entries whose name is longer (as shown) are left out.", minimum=1
    )
    max_files: int = option(
        20_000, "Most files read from a folder; the rest is left out.", minimum=3
    )
    hidden: bool = option(False, "Whether names that begin with a dot are read.")

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(type(self)):
            _check(field.name, getattr(self, field.name), field.metadata)
        if 2 * self.folders > self.horizon:
            raise ConfigError(
                f"option folders={self.folders} does not fit horizon={self.horizon}",
                why="a search of n folders takes up to 2 n turns",
                then=f"folders={self.horizon // 2} or horizon={2 * self.folders}",
            )
        if self.tasks is not None and self.kind != "find":
            raise ConfigError(
                f"option kind={self.kind} does not go with tasks={self.tasks}",
                why="the task file has the questions",
                then="leave out kind",
            )
        level_weights(self.levels)

    def most_tasks(self, split: str) -> int:
        """Upper limit of the number of tasks of a split."""
        return {"train": self.train_tasks, "valid": self.valid_tasks, "test": self.test_tasks}[
            split
        ]


def _check(name: str, value: object, limits: Mapping[str, Any]) -> None:
    known, minimum, maximum = (limits.get(key) for key in ("choices", "minimum", "maximum"))
    if known is not None and value not in known:
        raise ConfigError(
            f"option {name}={value!r} is not known",
            details=choices(str(value), known, called="known"),
        )
    if minimum is not None and isinstance(value, int) and value < minimum:
        raise ConfigError(
            f"option {name}={value} is too small", why=f"at least {minimum} is needed"
        )
    if maximum is not None and isinstance(value, int) and value > maximum:
        raise ConfigError(
            f"option {name}={value} is too large", why=f"at most {maximum} is possible"
        )


def level_weights(text: str) -> tuple[float, ...]:
    """The weights of levels 1, 2, ... as given by option ``levels``, summing to 1.

    >>> level_weights("1 3")
    (0.25, 0.75)

    Raises:
        ConfigError: The text is not a list of non-negative numbers with a positive sum.
    """
    try:
        weights = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        weights = []
    total = sum(weights)
    # the comparison is False for NaN and infinity too
    if not weights or min(weights) < 0 or not 0 < total < float("inf"):
        raise ConfigError(
            f"option levels={text!r} is not a list of weights",
            why="numbers of at least 0, not all of them 0, are needed",
            then="levels='1 9 55 35'",
        )
    return tuple(weight / total for weight in weights)
