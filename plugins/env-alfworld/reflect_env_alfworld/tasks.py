"""The games of each split as tasks, and what is known of where they come from."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from reflect_core.errors import ConfigError, ReflectError
from reflect_core.files import whole
from reflect_core.records import SPLITS, Task
from reflect_env_alfworld import downloaded
from reflect_env_alfworld.config import GENERATED, TEXTWORLD, AlfworldConfig
from reflect_env_alfworld.games import FAMILIES, Game, task_folder
from reflect_env_alfworld.library import versions

GENERATED_TASKS = {"train": 600, "valid": 60, "test": 200}
SURPLUS, MOST = 40, 4000
"""So many times more games are generated, to be filtered, than are wanted; and at most."""

ANY_GOAL = "Win the game"
"""The task of a game that does not tell it."""

LEVELS = dict(zip(FAMILIES, (1, 1, 2, 2, 2, 3), strict=True))
"""1: fetch; 2: change it on the way; 3: fetch two."""


class Games:
    """The games that the options ask for, read or made when they are first wanted.

    Args:
        config: The options.

    Raises:
        ConfigError: A family is not known.
    """

    def __init__(self, config: AlfworldConfig) -> None:
        for family in (config.families or "").split():
            if family not in FAMILIES:
                raise ConfigError.unknown("family of tasks", family, FAMILIES)
        self.config = config
        self.left_out: Counter[str] = Counter()
        self._games: dict[str, dict[str, Game]] = {}

    @property
    def source(self) -> str:
        """Where the games come from: generated, real, folder or textworld."""
        return TEXTWORLD if self.config.game is not None else self.config.source

    def of(self, split: str) -> Sequence[Game]:
        """The games of a split, in a fixed order.

        Raises:
            ReflectError: There are none, or there is no such split.
        """
        if split not in SPLITS:
            raise ReflectError.unknown("split", split, SPLITS)
        return list(self._of(split).values())

    def find(self, task: Task) -> Game:
        """The game of a task.

        Raises:
            ReflectError: There is no such game under these options.
        """
        if self.source in (GENERATED, TEXTWORLD):
            game = self._of(task.split).get(task.task_id) if task.split in SPLITS else None
            if game is None:
                raise ReflectError(
                    f"task {task.task_id!r} is not one of these games",
                    why="the options make other games",
                    then="take tasks from an environment with the same options",
                )
            return game
        return downloaded.find(self.config, task.task_id, task.split, task.text)

    def hash(self, split: str) -> str:
        """Names the content of all games of a split."""
        digest = hashlib.blake2b(digest_size=8)
        for game in self.of(split):
            # the id of a generated game names its content
            digest.update(f"{game.game_id} {game.data.get('hash', '')}\n".encode())
        return digest.hexdigest()

    def tasks(self, split: str) -> list[Task]:
        """The games of a split as tasks; the data of each says where it is from."""
        label = {"source": self.source, "games": self.hash(split), **versions()}
        return [
            Task(
                task_id=game.game_id,
                split=split,
                text=game.text,
                level=LEVELS.get(game.family, 1),
                data={**game.data, "family": game.family, **label},
            )
            for game in self.of(split)
        ]

    def _of(self, split: str) -> dict[str, Game]:
        found = self._games.get(split)
        if found is None:
            if self.source == TEXTWORLD:
                games = [self._file(split)]
            elif self.source == GENERATED:
                games = self._generated(split)
            else:
                games = downloaded.read_split(self.config, split, self.left_out)
            games = self._cut(games, split)
            if not games:
                raise ReflectError(
                    f"there are no {split} games of this kind",
                    why=f"filter={self.config.filter}, families={self.config.families}",
                    then="another filter, other families, or other folders of the split "
                    f"({split}=FOLDER)",
                )
            found = self._games[split] = {game.game_id: game for game in games}
        return found

    def _cut(self, games: list[Game], split: str) -> list[Game]:
        """As many as the options ask for."""
        most = self.config.most_tasks(split)
        if self.source == GENERATED:
            return games[: most or GENERATED_TASKS[split]]
        if most is None or most >= len(games):
            return games
        # by their names the first are all of one family
        drawn = sorted(games, key=lambda game: hashlib.blake2b(game.game_id.encode()).digest())
        kept = {game.game_id for game in drawn[:most]}
        return [game for game in games if game.game_id in kept]

    def _file(self, split: str) -> Game:
        path = whole(str(self.config.game))
        if not path.is_file():
            raise ReflectError(f"there is no game {path}", then="game=FILE of an existing file")
        content = path.read_bytes()
        digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        return Game(
            game_id=f"{TEXTWORLD}:{split}:{path.name}",
            split=split,
            family=path.suffix.removeprefix("."),
            text=_objective(path, content),
            source=TEXTWORLD,
            path=path,
            data={"hash": digest},
        )

    def _generated(self, split: str) -> list[Game]:
        from reflect_env_alfworld.generate import generate_games

        config = self.config
        count = config.most_tasks(split) or GENERATED_TASKS[split]
        games = generate_games(
            split,
            count if config.filter is None else min(count * SURPLUS, MOST),
            receptacles=config.receptacles,
            objects=config.objects,
            families=config.families.split() if config.families else FAMILIES,
            invented=config.made_up(split),
        )
        return [game for game in games if downloaded.chosen(config, game.family, task_folder(game))]


def _objective(path: Path, content: bytes) -> str:
    """What a game of TextWorld asks for, where it says so itself or in the file beside it."""
    if path.suffix == ".tw-pddl":
        return downloaded.task_of(content.decode(errors="replace")) or ANY_GOAL
    beside = path.with_suffix(".json")
    try:
        told = json.loads(beside.read_bytes()).get("objective")
    except (OSError, ValueError, AttributeError):
        return ANY_GOAL
    return str(told) if told else ANY_GOAL
