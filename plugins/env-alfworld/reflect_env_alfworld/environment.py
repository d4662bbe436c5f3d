"""The episodes: what is shown, what may be done, what it is worth."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from reflect_core.errors import EpisodeOver, NoAdvice, ReflectError
from reflect_core.records import SPLITS, Observation, Step, Task
from reflect_env_alfworld import text
from reflect_env_alfworld.config import TEXTWORLD, AlfworldConfig
from reflect_env_alfworld.engine import Engine, GameText, Shown, read_game
from reflect_env_alfworld.experts import Adviser, make_adviser
from reflect_env_alfworld.explorer import Advice
from reflect_env_alfworld.games import FAMILIES, Game
from reflect_env_alfworld.goals import Goal
from reflect_env_alfworld.library import versions
from reflect_env_alfworld.memory import Memory, kind_of
from reflect_env_alfworld.tasks import Games
from reflect_env_alfworld.textworld_game import TextWorldEngine

FULL = "full"
TURN = -0.01
ERROR = -0.05
WON = 1.0
PICKED_UP = 0.5

MORE = "more commands"
"""Turns the page of a menu that is too long for one."""
_LOOKING = ("look", "inventory", "help", "examine ")


@attrs.define
class _Episode:
    """An episode in progress."""

    task: Task
    game: Game
    engine: Engine | TextWorldEngine
    memory: Memory | None
    adviser: Adviser | None
    shown: Shown
    turns_left: int
    page: int = 0
    over: bool = False
    useless: bool = False
    planned: bool = False
    """It is a game of TextWorld's, and told how to win when it began."""


class AlfworldEnvironment:
    """A household task, done by commands such as ``take egg 1 from fridge 1``.

    The turn that reaches the goal gives +1, every turn costs 0.01, one whose action was not on
    the menu 0.05. The last turn of the horizon ends the episode. With ``shape_pickup`` the first
    object in hand of the type that the task asks for is shaped by +0.5.

    >>> env = AlfworldEnvironment()                                         # doctest: +SKIP
    >>> observation = env.reset(env.tasks("train")[0], seed=0)              # doctest: +SKIP
    >>> step = env.step(env.expert_action())                                # doctest: +SKIP
    """

    def __init__(self, config: AlfworldConfig | None = None) -> None:
        """Read nothing yet: games and engine are made ready when they are first wanted.

        Raises:
            ConfigError: A family is not known.
        """
        self.config = config or AlfworldConfig()
        self._games: Games | None = Games(self.config)
        self._engine: Engine | None = None
        self._interpreter: TextWorldEngine | None = None
        self._episode: _Episode | None = None
        self._given_up: set[str] = set()

    @property
    def notes(self) -> tuple[str, ...]:
        """Which games were left out and where the expert failed, one line for each reason."""
        notes = self._left_out()
        if self._given_up:
            count, games = len(self._given_up), ", ".join(sorted(self._given_up))
            notes.append(f"the {self.config.expert} expert gave up {count} games: {games}")
        return tuple(notes)

    def summary(self) -> str:
        """A few lines for people: whose games, which versions, how many tasks of which content."""
        games = self._loaded()
        packages = ", ".join(f"{name} {number}" for name, number in versions().items())
        lines = [f"{games.source} games, {packages}"]
        for split in SPLITS:
            try:
                lines.append(f"{split}: {len(games.of(split))} tasks, {games.hash(split)}")
            except ReflectError as error:
                lines.append(f"{split}: {error.what}")
        return "\n".join((*lines, *self._left_out()))

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of a split, in a fixed order; the data of each says where it comes from.

        Raises:
            ReflectError: There are none, or there is no such split.
        """
        return self._loaded().tasks(split)

    def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Observation:
        """Begin an episode.

        Args:
            task: Of :meth:`tasks`.
            seed: Of what the expert ``visitor`` draws; nothing else is random.
            stage: Only ``full``.

        Raises:
            ReflectError: The task is not one of these games, or the stage is unknown.
        """
        if stage not in (None, FULL):
            raise ReflectError.unknown("stage", stage, [FULL])
        game = self._loaded().find(task)
        self._episode = None  # a game that fails to load leaves none behind
        engine, shown = self._begun(game)
        memory = Memory.of(shown.feedback) if game.family in FAMILIES else None
        self._episode = _Episode(
            task, game, engine, memory, None, shown, turns_left=self.config.turns
        )
        if isinstance(engine, Engine):
            self._episode.adviser = self._adviser(game, engine, memory, shown, seed)
        else:
            self._episode.planned = bool(engine.plan)
        return self._observe(text.first_words(shown.feedback, remembers=self._remembers))

    def step(self, action: str) -> Step:
        """Take a turn.

        Raises:
            EpisodeOver: The episode has ended or not begun.
        """
        episode = self._playing()
        episode.turns_left -= 1
        reward = TURN
        shaping = 0.0
        info: dict[str, Any] = {}
        if action not in self._menu(episode):
            said, reward = f"error: no command {_one_line(action)}", ERROR
            info["error"] = "not on the menu"
            episode.useless = False
        elif action == MORE:
            said = "ok"
            episode.page += 1
            episode.useless = False
        else:
            had = _has_had_what_is_asked_for(episode)
            said = self._act(episode, action)
            if self.config.shape_pickup and not had and _has_had_what_is_asked_for(episode):
                shaping = PICKED_UP
        success = episode.shown.won
        if success:
            reward += WON
        episode.over = success or episode.shown.lost or episode.turns_left == 0
        if episode.over and not success:
            said += " Lost." if episode.shown.lost else " Out of turns."
        if episode.over:
            info |= self._origin(episode)
        return Step(
            self._observe(said),
            reward,
            terminated=episode.over,
            success=success,
            shaping=shaping,
            info=info,
        )

    def game_text(self, task: Task) -> GameText:
        """The files of a task's game, for whoever would play it without this environment.

        Raises:
            ReflectError: The task is not one of these games.
        """
        return _text_of(self._loaded().find(task))

    def close(self) -> None:
        """Give the engine back; may be called twice."""
        for engine in (self._engine, self._interpreter):
            if engine is not None:
                engine.close()
        self._engine = self._interpreter = self._episode = self._games = None

    def expert_action(self) -> str:
        """The action of the expert chosen by option ``expert``, one of the legal actions.

        Raises:
            EpisodeOver: The episode has ended or not begun.
            NoAdvice: It has given up the game; :attr:`notes` counts these.
            ReflectError: The game has no expert.
        """
        return self._advised().action

    def expert_reflection(self) -> str:
        """What the expert sees, and its action after a colon.

        Raises:
            EpisodeOver: The episode has ended or not begun.
            NoAdvice: It has given up the game.
            ReflectError: The game has no expert.
        """
        advice = self._advised()
        wrong = "Wrong move. " if self._playing().useless else ""
        return f"{wrong}{advice}"

    @property
    def _remembers(self) -> bool:
        return self.config.memory and self._episode is not None and self._episode.memory is not None

    def _left_out(self) -> list[str]:
        counts = self._loaded().left_out.items()
        return [f"{count} games left out: {why}" for why, count in counts]

    def _act(self, episode: _Episode, action: str) -> str:
        """Do a command of the game; returns what the game said."""
        known = _known(episode.memory)
        adviser = episode.adviser
        astray = adviser is not None and not adviser.expects(action, self._commands(episode))
        episode.shown = episode.engine.step(action)
        episode.page = 0
        if episode.memory is not None:
            episode.memory.note(episode.shown.feedback)
        if adviser is not None:
            adviser.note(action, episode.shown)
        episode.useless = astray and _known(episode.memory) == known
        return episode.shown.feedback

    def _observe(self, said: str) -> Observation:
        episode = self._episode
        assert episode is not None
        if episode.over:
            return Observation(" ".join(said.split()), ())
        return Observation(
            text.observation(
                said,
                episode.memory,
                episode.turns_left,
                remembers=self._remembers,
                named=text.named_in(episode.task.text, _goal_kinds(episode.game)),
                asked=text.asked_in(episode.task.text),
            ),
            tuple(self._menu(episode)),
            _key(episode),
        )

    def _commands(self, episode: _Episode) -> list[str]:
        """All that can be done, without what only looks where that is not offered."""
        commands = episode.shown.commands
        if self.config.looking:
            return list(commands)
        return [each for each in commands if not each.startswith(_LOOKING)] or list(commands)

    def _menu(self, episode: _Episode) -> list[str]:
        """The legal actions: of many, those of the page that is open."""
        commands, most = self._commands(episode), self.config.most_actions
        if len(commands) <= most:
            return commands
        size = most - 1
        page = episode.page % -(-len(commands) // size)
        return [*commands[page * size : (page + 1) * size], MORE]

    def _advised(self) -> Advice:
        episode = self._playing()
        menu = self._menu(episode)
        advice = self._advice(episode)
        if advice is not None and advice.action in menu:
            # of two that it names one may be on another page
            offered = tuple(each for each in advice.choices if each in menu)
            return attrs.evolve(advice, choices=offered)
        if advice is not None and MORE in menu and advice.action in self._commands(episode):
            return attrs.evolve(advice, action=MORE, choices=())
        self._given_up.add(episode.task.task_id)
        raise NoAdvice(f"the {self.config.expert} expert has given up {episode.task.task_id}")

    def _advice(self, episode: _Episode) -> Advice | None:
        if isinstance(episode.engine, TextWorldEngine):
            if episode.planned and not episode.engine.plan:
                return None  # what was done cannot be undone, and there is no way from here
            if not episode.planned:
                raise ReflectError(
                    f"the game {self.config.game} has no expert",
                    why="it does not tell which commands win",
                    then="run without warm-up (teach.episodes=0)",
                )
            return Advice(episode.engine.plan[0], "Next")
        if episode.adviser is None:
            raise ReflectError(
                f"the game {self.config.game} has no {self.config.expert} expert",
                why="it is none of ALFWorld's",
                then="expert=planner",
            )
        return episode.adviser.advise(self._commands(episode))

    def _adviser(
        self, game: Game, engine: Engine, memory: Memory | None, shown: Shown, seed: int
    ) -> Adviser | None:
        if memory is None and self.config.expert != "planner":
            return None
        return make_adviser(self.config, game, engine, memory or Memory(), shown, seed)

    def _begun(self, game: Game) -> tuple[Engine | TextWorldEngine, Shown]:
        """An engine at the start of a game.

        Raises:
            ReflectError: It is the only one, and cannot be played. Of many games one that cannot
                be played is an episode that failed.
        """
        try:
            engine = self._ready(game)
            return engine, engine.reset()
        except ReflectError:
            raise
        except Exception as error:
            if game.source != TEXTWORLD:
                raise
            raise ReflectError(
                f"the game {self.config.game} cannot be played",
                why=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
                then="game=FILE of a game that TextWorld or ALFWorld has made",
            ) from error

    def _ready(self, game: Game) -> Engine | TextWorldEngine:
        """An engine with the game loaded."""
        path = game.path
        if path is not None and path.suffix not in {".tw-pddl", ".json"}:
            if self._interpreter is None:
                self._interpreter = TextWorldEngine(path)
            return self._interpreter
        if self._engine is None:
            self._engine = Engine(self.config.cache_folder())
        self._engine.load(_text_of(game))
        return self._engine

    def _origin(self, episode: _Episode) -> dict[str, str]:
        """What figures of other games or versions must not be mixed with."""
        return {
            "source": episode.game.source,
            "split": episode.task.split,
            "family": episode.game.family,
            "games": str(episode.task.data.get("games", "")),
            **versions(),
        }

    def _playing(self) -> _Episode:
        if self._episode is None or self._episode.over:
            raise EpisodeOver("the episode has ended or not begun: call reset")
        return self._episode

    def _loaded(self) -> Games:
        if self._games is None:
            raise EpisodeOver("the environment is closed")
        return self._games


def _text_of(game: Game) -> GameText:
    if game.path is not None:
        return read_game(Path(game.path))
    from reflect_env_alfworld.pddl import domain, grammar

    assert game.problem is not None, "a game lies in a file or in memory"
    return GameText(domain(), grammar(game.text), game.problem)


def _goal_kinds(game: Game) -> list[str]:
    return [str(game.data.get(part, "")) for part in ("object", "receptacle", "lamp")]


def _has_had_what_is_asked_for(episode: _Episode) -> bool:
    """Whether an object of the goal's type was ever in hand."""
    if episode.memory is None:
        return False
    kind = Goal.of(episode.game).kind
    return any(kind_of(name) == kind for name in episode.memory.moved)


def _known(memory: Memory | None) -> int | None:
    """How many receptacles were looked into, which tells whether a turn taught anything."""
    return None if memory is None else len(memory.contents) - len(memory.unknown())


def _key(episode: _Episode) -> str | None:
    if episode.memory is None:
        return None
    state = repr((episode.memory.key(), episode.page, episode.turns_left))
    digest = hashlib.blake2b(state.encode(), digest_size=8).hexdigest()
    return f"{episode.task.task_id}@{digest}"


def _one_line(action: str) -> str:
    return ascii(action[:40])
