"""One of Gymnasium's environments as one of ours."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import gymnasium
from gymnasium import spaces

from reflect_core.errors import ConfigError, EpisodeOver, NoAdvice, ReflectError
from reflect_core.records import Hint, Observation, Step, Task
from reflect_core.streams import stream

__all__ = ["Ending", "GymnasiumEnvironment", "from_gymnasium", "reached_goal"]

Describe = Callable[[Any, "gymnasium.Env[Any, Any]"], str]
"""Tells an observation in words; the environment is there to be looked at, not to be changed."""
Advise = Callable[[Any, "gymnasium.Env[Any, Any]"], Hint]
"""Names a right action and what a teacher would say, likewise."""

FIRST_SEEDS = {"train": 0, "valid": 1_000_000, "test": 2_000_000}
"""Where the seeds of each split begin: a split can grow and leave the others as they are."""
MOST_TASKS = 1_000_000
FULL = "full"


@attrs.frozen
class Ending:
    """How an episode ended, for the rule that says whether it was a success.

    Args:
        observation: The last one, as Gymnasium's environment gave it.
        reward: Of the last turn, likewise.
        episode_return: Sum of those rewards; turns without a legal action are not in it.
        turns: How many were taken.
        terminated, truncated: What the last turn said; both are False where the horizon ended
            the episode.
        info: Of the last turn.
    """

    observation: Any
    reward: float
    episode_return: float
    turns: int
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]


def reached_goal(ending: Ending) -> bool:
    """Whether it terminated with a positive reward: FrozenLake, Taxi, Blackjack, MiniGrid."""
    return ending.terminated and ending.reward > 0


@attrs.frozen
class Game:
    """What is played, and how it is shown; see :func:`from_gymnasium`.

    Args:
        tasks: By split and id.
        first: Number of the first action.
    """

    id: str
    describe: Describe
    actions: tuple[str, ...]
    first: int
    horizon: int
    success: Callable[[Ending], bool]
    expert: Advise | None
    masked: bool
    tasks: Mapping[str, Mapping[str, Task]]
    reward_scale: float
    error_reward: float


@attrs.define
class _Episode:
    """Where an episode stands."""

    observation: Any
    info: Mapping[str, Any]
    menu: tuple[str, ...]
    turns: int = 0
    episode_return: float = 0.0
    over: bool = False
    cut: bool = False


class GymnasiumEnvironment:
    """What :func:`from_gymnasium` makes where there is no expert.

    Args:
        game: What is played.
        engine: Gymnasium's environment; it is closed with this one.
    """

    def __init__(self, game: Game, engine: gymnasium.Env[Any, Any]) -> None:
        self.game = game
        self._engine: gymnasium.Env[Any, Any] | None = engine
        self._numbers = {name: game.first + place for place, name in enumerate(game.actions)}
        self._episode: _Episode | None = None

    def tasks(self, split: str) -> Sequence[Task]:
        """One task for each seed of the split.

        Raises:
            ReflectError: There is no such split.
        """
        if split not in self.game.tasks:
            raise ReflectError.unknown("split", split, self.game.tasks)
        return list(self.game.tasks[split].values())

    def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Observation:
        """Begin an episode.

        Args:
            task: Its seed decides the start.
            seed: Decides what is drawn afterwards.
            stage: ``full``, the only one and the default.

        Raises:
            ReflectError: The task or the stage is unknown.
        """
        engine = self._open()
        if stage not in (None, FULL):
            raise ReflectError.unknown("stage", stage, [FULL])
        known = self.game.tasks.get(task.split, {}).get(task.task_id)
        if known is None:
            raise ReflectError(
                f"task {task.task_id!r} is not one of {self.game.id}'s in split {task.split!r}",
                then="take tasks from an environment with the same options",
            )
        start = known.data["seed"]
        observation, info = engine.reset(seed=start)
        # or the luck of a task would be the same in all of its episodes, and be learnt by heart
        engine.unwrapped.np_random = stream(seed, "gymnasium", self.game.id, start)
        self._episode = _Episode(observation, info, self._menu(info))
        return self._observe()

    def step(self, action: str) -> Step:
        """Take a turn; what is not on the menu is told, costs and leaves all else as it is.

        Raises:
            EpisodeOver: The episode has ended or not begun.
        """
        episode, engine = self._playing(), self._open()
        episode.turns += 1
        late = episode.turns == self.game.horizon
        if action not in episode.menu:
            episode.over = late
            episode.menu = () if late else episode.menu
            return Step(
                observation=self._observe(f"error: no action {action[:20]!a}\n"),
                reward=self.game.error_reward,
                terminated=late,
                info={"error": "not on the menu"},
            )
        episode.observation, reward, terminated, truncated, episode.info = engine.step(
            self._numbers[action]
        )
        episode.episode_return += float(reward)
        episode.over = bool(terminated or truncated or late)
        episode.cut = bool(truncated) and not (terminated or late)
        if episode.cut:
            # what would have followed is estimated on this state, so it has its menu still
            episode.menu = self._last_menu(episode.info)
        else:
            episode.menu = () if episode.over else self._menu(episode.info)
        ending = Ending(
            episode.observation,
            float(reward),
            episode.episode_return,
            episode.turns,
            bool(terminated),
            bool(truncated),
            episode.info,
        )
        return Step(
            observation=self._observe(),
            reward=self.game.reward_scale * float(reward),
            terminated=bool(terminated) or late,
            truncated=episode.cut,
            success=episode.over and bool(self.game.success(ending)),
        )

    def close(self) -> None:
        """Close Gymnasium's environment."""
        if self._engine is not None:
            self._engine.close()
        self._engine = self._episode = None

    def _menu(self, info: Mapping[str, Any]) -> tuple[str, ...]:
        if not self.game.masked:
            return self.game.actions
        mask = info.get("action_mask")
        if mask is None or len(mask) != len(self.game.actions):
            found = "no mask" if mask is None else f"a mask of {len(mask)} entries"
            raise ReflectError(
                f"the info of {self.game.id} has no action_mask that fits its actions",
                why=f"there are {len(self.game.actions)} actions, and {found}",
                then="leave out masked=True",
            )
        menu = tuple(name for name, legal in zip(self.game.actions, mask, strict=True) if legal)
        if not menu:
            raise ReflectError(f"{self.game.id} allows no action in an episode that has not ended")
        return menu

    def _last_menu(self, info: Mapping[str, Any]) -> tuple[str, ...]:
        """As :meth:`_menu`; none where the last info of an episode has no mask to go by."""
        try:
            return self._menu(info)
        except ReflectError:
            return ()

    def _observe(self, said: str = "") -> Observation:
        episode = self._playing(ended=True)
        told = self.game.describe(episode.observation, self._open())
        if not isinstance(told, str):
            raise ReflectError(f"describe gave {type(told).__name__} for {self.game.id}, not text")
        left = self.game.horizon - episode.turns
        turns = f"{left} turn{'s' * (left != 1)} left."
        return Observation(f"{said}{told}\n{turns}", episode.menu)

    def _open(self) -> gymnasium.Env[Any, Any]:
        if self._engine is None:
            raise EpisodeOver("the environment is closed")
        return self._engine

    def _playing(self, *, ended: bool = False) -> _Episode:
        if self._episode is None:
            raise EpisodeOver("reset was not called")
        if self._episode.over and not ended:
            raise EpisodeOver("the episode has ended; call reset")
        return self._episode


class ExpertGymnasiumEnvironment(GymnasiumEnvironment):
    """What :func:`from_gymnasium` makes where there is an expert."""

    def expert_action(self) -> str:
        """The action of the function ``expert``.

        Raises:
            EpisodeOver: The episode has ended or not begun.
            NoAdvice: The function gave a hint that says ``given_up``.
        """
        return self._hint().action

    def expert_reflection(self) -> str:
        """What the function ``expert`` says.

        Raises:
            EpisodeOver: The episode has ended or not begun.
            NoAdvice: The function gave a hint that says ``given_up``.
        """
        return self._hint().reflection

    def _hint(self) -> Hint:
        assert self.game.expert is not None
        cut = self._episode is not None and self._episode.cut
        hint = self.game.expert(self._playing(ended=cut).observation, self._open())
        if hint.given_up:
            raise NoAdvice(f"the expert of {self.game.id} has given up")
        return hint


def from_gymnasium(
    id: str,
    *,
    describe: Describe,
    actions: Sequence[str],
    instruction: str | None = None,
    horizon: int | None = None,
    success: Callable[[Ending], bool] = reached_goal,
    expert: Advise | None = None,
    masked: bool = False,
    train_tasks: int = 1000,
    valid_tasks: int = 100,
    test_tasks: int = 200,
    reward_scale: float = 1.0,
    error_reward: float = -1.0,
    options: Mapping[str, Any] | None = None,
) -> GymnasiumEnvironment:
    r"""Make an environment of ours of any of Gymnasium's whose actions are ``Discrete``.

    A task is a seed. It decides the start: what ``reset(seed=...)`` draws. What is drawn in later
    turns depends on the episode's seed as well, where the environment draws from its
    ``np_random``, as Gymnasium asks of it.

    The horizon is the task's own: its last turn ends the episode as ``terminated``, and each
    observation says how many turns are left. A ``TimeLimit`` that the id is registered with is
    not applied; it gives the horizon. Where the environment itself says ``truncated``, so does
    the step. A text that is not on the menu takes a turn and is not played.

    What is made does not pickle and need not: a worker process calls the plugin's factory, so
    that the functions given here may be of any kind.

    Args:
        id: As for ``gymnasium.make``, ``module:name`` included.
        describe: ``describe(observation, env)`` tells a state in words. ``env`` is what
            ``gymnasium.make`` returned; look at its ``unwrapped``, and change nothing.
        actions: A name for each action, in the order of their numbers.
        instruction: The text of all tasks.
        horizon: Turns of an episode; if none, the limit that the id is registered with.
        success: Says of an ending whether the task was solved.
        expert: ``expert(observation, env)`` gives a :class:`reflect_core.Hint`, a right action by
            its name and what a teacher would say; ``given_up`` where it knows of none. Without
            one there is no ``--teacher expert``.
        masked: Only what ``info["action_mask"]`` allows is on the menu.
        train_tasks, valid_tasks, test_tasks: Seeds of each split; no two splits share one.
        reward_scale: What rewards are multiplied by.
        error_reward: For a text that is not on the menu; it is not scaled.
        options: Further arguments of ``gymnasium.make``.

    Raises:
        ConfigError: There is no such environment, its actions are of another kind or number, or
            an argument is out of range.

    >>> env = from_gymnasium(
    ...     "FrozenLake-v1",
    ...     describe=lambda cell, env: f"You stand on cell {cell} of 16.",
    ...     actions=("left", "down", "right", "up"),
    ... )
    >>> env.reset(env.tasks("train")[0], seed=0).text
    'You stand on cell 0 of 16.\n100 turns left.'
    """
    names = _names(id, actions)
    counts = {"train": train_tasks, "valid": valid_tasks, "test": test_tasks}
    text = f"Solve {id}." if instruction is None else instruction
    tasks = {split: _tasks(id, split, count, text) for split, count in counts.items()}
    turns = _horizon(id, horizon)
    engine = _engine(id, options or {})
    try:
        first = _first_action(id, engine, len(names))
    except ConfigError:
        engine.close()
        raise
    game = Game(id, describe, names, first, turns, success, expert, masked, tasks,
                reward_scale, error_reward)  # fmt: skip
    return (GymnasiumEnvironment if expert is None else ExpertGymnasiumEnvironment)(game, engine)


def _names(id: str, actions: Sequence[str]) -> tuple[str, ...]:
    if isinstance(actions, str):
        raise ConfigError(f"the actions of {id} are one text", then="actions=('left', 'right')")
    names = tuple(actions)
    if any(not isinstance(name, str) or not name.strip() for name in names):
        raise ConfigError(f"an action of {id} has no name", why="each needs a text")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ConfigError(f"two actions of {id} are called {twice[0]!r}")
    return names


def _tasks(id: str, split: str, count: int, text: str) -> dict[str, Task]:
    if not 1 <= count <= MOST_TASKS:
        raise ConfigError(
            f"{split}_tasks={count} is out of range", why=f"it must be from 1 to {MOST_TASKS}"
        )
    first = FIRST_SEEDS[split]
    names = {f"{id}:{seed}": seed for seed in range(first, first + count)}
    return {name: Task(name, split, text, data={"seed": seed}) for name, seed in names.items()}


def _horizon(id: str, horizon: int | None) -> int:
    if horizon is None:
        horizon = _limit(id)
    if horizon is None:
        raise ConfigError(
            f"{id} needs a horizon", why="it is registered without a limit", then="horizon=20"
        )
    if horizon < 1:
        raise ConfigError(f"horizon={horizon} is too small", why="at least 1 is needed")
    return horizon


def _limit(id: str) -> int | None:
    """The limit that an id is registered with."""
    module, colon, name = id.rpartition(":")
    try:
        if colon:  # which registers the environment
            importlib.import_module(module)
        return gymnasium.spec(name).max_episode_steps
    except (gymnasium.error.Error, ImportError, ValueError) as error:
        raise _no_such(id, error) from error


def _engine(id: str, options: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    if "max_episode_steps" in options:
        raise ConfigError(
            "max_episode_steps is not among the options",
            why="the turns of an episode are the task's, and observations tell them",
            then=f"horizon={options['max_episode_steps']}",
        )
    try:
        return gymnasium.make(id, max_episode_steps=-1, **options)
    except (gymnasium.error.Error, ImportError) as error:
        raise _no_such(id, error) from error
    except TypeError as error:
        raise ConfigError(f"{id} cannot be made with these options", why=str(error)) from error


def _no_such(id: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"Gymnasium cannot make {id!r}",
        why=str(error),
        then="look at gymnasium.pprint_registry(), or write MODULE:NAME",
    )


def _first_action(id: str, engine: gymnasium.Env[Any, Any], names: int) -> int:
    """The number of the first action."""
    space = engine.action_space
    if not isinstance(space, spaces.Discrete):
        raise ConfigError(
            f"the actions of {id} are {type(space).__name__}",
            why="only Discrete ones can stand on a menu",
            then="wrap it and register what you made",
        )
    if space.n != names:
        raise ConfigError(f"{id} has {space.n} actions, and {names} names were given")
    return int(space.start)
