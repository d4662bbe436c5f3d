"""The options of the environment, checked where they are made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from reflect_core.errors import ConfigError
from reflect_core.files import whole
from reflect_core.hookspecs import option

GENERATED, REAL, FOLDER = SOURCES = ("generated", "real", "folder")
TEXTWORLD = "textworld"
"""The source of a game that is given as a file."""
EXPLORER, VISITOR, PLANNER, HANDCODED = EXPERTS = (
    "explorer",
    "visitor",
    "planner",
    "handcoded",
)
USER = "user"
"""The folder for what may be made again, as the system has it."""


def _types() -> frozenset[str]:
    from reflect_env_alfworld.alfred import constants  # only where games are made

    return frozenset(constants.OBJECTS)


def _check_folders(config: AlfworldConfig) -> None:
    """Refuse what is not a plain name, by which splits are told apart."""
    for split in ("train", "valid", "test"):
        for name in config.folders(split):
            if name in (".", "..") or "/" in name or "\\" in name:
                raise ConfigError(
                    f"option {split}={name} is no name of a folder of games",
                    why="splits are told apart by the names of their folders in data",
                    then=f"{split}=NAME of a folder in data, or several, separated by blanks",
                )


@attrs.frozen
class AlfworldConfig:
    """Which games are played, and how they are shown.

    Raises:
        ConfigError: An option is out of range or two of them exclude each other.
    """

    source: str = option(
        GENERATED,
        "generated: made up here; real: ALFWorld's own in $ALFWORLD_DATA; folder: any in data.",
        choices=SOURCES,
    )
    data: str | None = option(None, "Where the games lie, in place of $ALFWORLD_DATA.", path=True)
    game: str | None = option(
        None, "One game of TextWorld (.z8, .tw-pddl) in place of all.", path=True
    )
    filter: str | None = option(
        None, "Only tasks of this name, as pick_and_place_simple-Tomato-None-Microwave."
    )
    families: str | None = option(None, "Only these families of tasks, separated by blanks.")
    train: str = option("train", "Folders of the train games, separated by blanks.")
    valid: str = option("valid_seen", "Folders of the valid games.")
    test: str = option("valid_unseen", "Folders of the test games.")
    train_tasks: int | None = option(
        None, "Most train tasks; if none, all there are, or 600 generated ones.", minimum=1
    )
    valid_tasks: int | None = option(
        None, "Most valid tasks; if none, all there are, or 60 generated ones.", minimum=1
    )
    test_tasks: int | None = option(
        None, "Most test tasks; if none, all there are, or 200 generated ones.", minimum=1
    )
    receptacles: int = option(17, "Receptacles in a generated room.", minimum=4)
    objects: int = option(6, "Movable objects in a generated room.", minimum=3)
    invented: float = option(
        0.8,
        "Share of the generated train games whose objects have made-up names.",
        minimum=0,
        maximum=1,
    )
    horizon: int | None = option(
        None, "Turns of an episode; if none, 30 in generated games and 50 in others.", minimum=1
    )
    shape_pickup: bool = option(
        False, "Whether the first object in hand of the type asked for is shaped by +0.5."
    )
    looking: bool = option(True, "Whether look, inventory, help and examine are offered.")
    memory: bool = option(True, "Whether an observation lists what was seen where.")
    most_actions: int = option(
        64, "Longest menu; where there is more to do it has pages.", minimum=3
    )
    expert: str = option(
        EXPLORER,
        "explorer: searches, as seen; visitor: so too, but mostly leaves closed what is closed; "
        "planner: the engine's, knows all; handcoded: ALFWorld's.",
        choices=EXPERTS,
    )
    planner_seconds: float = option(20.0, "Longest search for a plan.", minimum=0.1)
    cache: str | None = option(
        USER,
        "Folder for translated games; user: $XDG_CACHE_HOME/reflect/alfworld; none: keep none.",
        path=lambda place: place != USER,
    )

    def __attrs_post_init__(self) -> None:
        from reflect_core.options import check_all  # heavier than all that plugins are asked first

        check_all(self)
        if self.game is not None and (self.filter, self.families, self.data) != (None, None, None):
            raise ConfigError(
                f"option game={self.game} does not go with data, filter or families",
                why="one game is played",
                then="leave out the others",
            )
        if self.source == FOLDER and self.data is None and self.game is None:
            raise ConfigError("option source=folder needs a folder", then="data=DIRECTORY")
        if self.source != GENERATED:
            _check_folders(self)
        others = {name: self.folders(name) for name in ("train", "valid")}
        shared = {name for folders in others.values() for name in folders} & {*self.folders("test")}
        if self.source != GENERATED and shared:
            raise ConfigError(
                f"option test={self.test} names a folder that train or valid has: "
                f"{', '.join(sorted(shared))}",
                why="nothing may be learnt from test games, nor may weights be chosen by them",
                then="other folders; valid=train chooses by games that were learnt from",
            )
        if self.expert == HANDCODED and not self.looking:
            raise ConfigError(
                "option expert=handcoded does not go with looking=false",
                why="ALFWorld's expert looks and examines",
                then="looking=true, or another expert",
            )

    @property
    def turns(self) -> int:
        """The horizon: as chosen, else what goes with the games; 50 is customary on real ones."""
        if self.horizon is not None:
            return self.horizon
        return 30 if self.source == GENERATED and self.game is None else 50

    def most_tasks(self, split: str) -> int | None:
        """Upper limit of the number of tasks of a split."""
        limits: Mapping[str, int | None] = {
            "train": self.train_tasks,
            "valid": self.valid_tasks,
            "test": self.test_tasks,
        }
        return limits[split]

    def made_up(self, split: str) -> float:
        """Share of a split's generated games whose objects have made-up names.

        None outside train; none where ALFWorld's own expert plays, which knows its own types
        only; and none where ``filter`` asks for one of these.
        """
        wanted = (self.filter or "").split("-")[1:2]
        if split != "train" or self.expert == HANDCODED or (wanted and wanted[0] in _types()):
            return 0.0
        return self.invented

    def folders(self, split: str) -> list[str]:
        """Names of the folders that make up a split."""
        named = {"train": self.train, "valid": self.valid, "test": self.test}[split].split()
        return [name.rstrip("/") or name for name in named]

    def cache_folder(self) -> Path | None:
        """Where translations are kept, None where they are not."""
        if self.cache != USER:
            return None if self.cache is None else whole(self.cache)
        place = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return whole(place) / "reflect" / "alfworld"
