"""An environment of ours as one of Gymnasium's."""

from __future__ import annotations

import copy
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import gymnasium
import numpy as np
from gymnasium import spaces

from reflect_core.errors import ConfigError, EpisodeOver, ReflectError, choices
from reflect_core.gym.spaces import UnicodeText
from reflect_core.protocols import Environment
from reflect_core.records import SPLITS, Observation, Step, Task

__all__ = ["ActionKind", "TextEnvironment"]

ActionKind = Literal["discrete", "text"]
OPTIONS = ("task", "stage")
"""What may stand in the ``options`` of ``reset``."""


class TextEnvironment(gymnasium.Env[str, Any]):
    """Shows an environment through Gymnasium's interface.

    The observation is the task's instruction, a blank line, and what the environment shows: only
    what is new, as ever. The reward is the task's own. ``info`` holds, after ``reset`` and
    ``step`` alike:

    - ``admissible_commands``: the menu, a list; after the end it may be empty;
    - ``action_mask``: with discrete actions, 1 for each number that is on the menu;
    - ``task_id``, ``task`` (the instruction), ``split``, ``level``, ``stage``;
    - ``episode_seed``: what the environment was given as its seed;
    - ``state_key``: as in :class:`reflect_core.Observation`;
    - ``success``, ``shaping``, ``details``: as in :class:`reflect_core.Step`, where ``details``
      is its ``info``; False, 0 and nothing after ``reset``.

    Args:
        environment: What is shown; it is closed with this one.
        split: Whose tasks ``reset`` draws.
        stage: Stage of all episodes; None for the real task.
        actions: ``discrete``: an action is the number of an item of ``admissible_commands``;
            ``text``: it is the item itself. What is not on the menu, number or text, is answered
            by the environment as an illegal action.
        max_actions: Size of the discrete space, and the longest menu that can be played.
        max_length: Characters of an observation at most, and of an action that is a text.
        instruction: Whether observations begin with the task's instruction.
        render_mode: ``ansi`` or None.

    Raises:
        ConfigError: An argument is out of range, or the split has no tasks.

    >>> from reflect_core.testing import Lamps
    >>> env = TextEnvironment(Lamps(), max_actions=4)
    >>> observation, info = env.reset(seed=0, options={"task": "train-3"})
    >>> info["admissible_commands"]
    ['push red', 'push blue', 'push green', 'push white']
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012, as the base has it

    def __init__(
        self,
        environment: Environment,
        *,
        split: str = "train",
        stage: str | None = None,
        actions: ActionKind = "discrete",
        max_actions: int = 256,
        max_length: int = 20_000,
        instruction: bool = True,
        render_mode: str | None = None,
    ) -> None:
        if actions not in get_args(ActionKind):
            raise ConfigError(
                f"actions={actions!r} is not known",
                details=choices(str(actions), get_args(ActionKind), called="known"),
            )
        for name, value in (("max_actions", max_actions), ("max_length", max_length)):
            if value < 1:
                raise ConfigError(f"{name}={value} is too small", why="at least 1 is needed")
        self.environment = environment
        self.split = split
        self.stage = stage
        self.actions = actions
        self.instruction = instruction
        self.render_mode = render_mode
        self._longest = max_length
        self.observation_space = UnicodeText(max_length)
        self.action_space = (
            spaces.Discrete(max_actions) if actions == "discrete" else UnicodeText(max_length)
        )
        self._tasks = self._read(split)
        if not self._tasks:
            raise ConfigError(
                f"split {split!r} has no tasks", then="choose another split or other options"
            )
        self._order = tuple(self._tasks.values())
        self._task: Task | None = None
        self._seed = 0
        self._stage = stage
        self._seen: Observation | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode of a task that ``np_random`` draws.

        Args:
            seed: Of ``np_random``, from which the environment's own seed is drawn as well.
            options: ``task``: this task, by its id or itself; ``stage``: this stage.

        Raises:
            ReflectError: An option, the task or the stage is unknown.
        """
        super().reset(seed=seed)
        options = options or {}
        for name in options:
            if name not in OPTIONS:
                raise ReflectError(
                    f"reset has no option {name!r}", details=choices(name, OPTIONS, called="known")
                )
        # both are always drawn, so that a task that is given leaves what follows as it was
        self._seed = int(self.np_random.integers(2**63))
        drawn = self._order[int(self.np_random.integers(len(self._order)))]
        self._task = self._find(options["task"]) if "task" in options else drawn
        self._stage = options.get("stage", self.stage)
        self._seen = self.environment.reset(self._task, seed=self._seed, stage=self._stage)
        return self._text(), self._info(None)

    def step(self, action: Any) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take a turn.

        Raises:
            TypeError: The action is neither a whole number nor, with ``actions="text"``, a text.
            EpisodeOver: The episode has ended or not begun.
        """
        step = self.environment.step(self._spell(action))
        self._seen = step.observation
        return (
            self._text(),
            float(step.reward),
            bool(step.terminated),
            bool(step.truncated),
            self._info(step),
        )

    def render(self) -> str | None:
        """The last observation and the numbered menu; None without a render mode.

        Raises:
            EpisodeOver: No episode has begun.
        """
        if self.render_mode is None:
            return None
        text = self._text()
        menu = [f"{number}: {item}" for number, item in enumerate(self._menu)]
        return "\n".join([text, "", *menu])

    def close(self) -> None:
        """Close the environment."""
        self.environment.close()

    @property
    def _menu(self) -> Sequence[str]:
        return () if self._seen is None else self._seen.legal_actions

    def _spell(self, action: Any) -> str:
        if self.actions == "text":
            if not isinstance(action, str):
                raise TypeError(f"an action is a text here, not {action!r}")
            return str(action)
        number = operator.index(action)
        if 0 <= number < len(self._menu):
            return self._menu[number]
        # not the number itself: an integer may have more digits than Python writes
        text = f"action {number}" if abs(number) < 10**9 else "action of a large number"
        while text in self._menu:
            text += "?"
        return text

    def _text(self) -> str:
        if self._seen is None or self._task is None:
            raise EpisodeOver("reset was not called")
        parts = [self._task.text] * self.instruction + [self._seen.text]
        text = "\n\n".join(parts)
        if len(text) > self._longest:
            raise ReflectError(
                f"an observation of task {self._task.task_id!r} has {len(text)} characters",
                why=f"the observation space has texts of up to {self._longest}",
                then=f"gymnasium.make(..., max_length={2 * len(text)})",
            )
        return text

    def _info(self, step: Step | None) -> dict[str, Any]:
        task, seen = self._task, self._seen
        assert task is not None and seen is not None
        info: dict[str, Any] = {
            "admissible_commands": list(seen.legal_actions),
            "task_id": task.task_id,
            "task": task.text,
            "split": task.split,
            "level": task.level,
            "stage": self._stage,
            "episode_seed": self._seed,
            "state_key": seen.state_key,
            "success": bool(step and step.success),
            "shaping": float(step.shaping) if step else 0.0,
            # what the caller does to it must not come back
            "details": copy.deepcopy(dict(step.info)) if step else {},
        }
        if self.actions == "discrete":
            info["action_mask"] = self._mask(len(seen.legal_actions))
        return info

    def _mask(self, count: int) -> np.ndarray[Any, np.dtype[np.int8]]:
        size = int(self.action_space.n)  # type: ignore[attr-defined]
        if count > size:
            raise ReflectError(
                f"a menu has {count} actions and the action space {size}",
                then=f"gymnasium.make(..., max_actions={2 * count}), or actions='text'",
            )
        mask = np.zeros(size, np.int8)
        mask[:count] = 1
        return mask

    def _read(self, split: str) -> Mapping[str, Task]:
        return {task.task_id: task for task in self.environment.tasks(split)}

    def _find(self, wanted: object) -> Task:
        """A task by its id: of the own split, else of another."""
        if isinstance(wanted, Task):
            return wanted
        if not isinstance(wanted, str):
            raise ReflectError(f"a task is named by its id, or given itself, not by {wanted!r}")
        for split in (self.split, *SPLITS):
            tasks = self._tasks if split == self.split else self._read(split)
            if wanted in tasks:
                return tasks[wanted]
        raise ReflectError(
            f"no task is called {wanted!r}",
            why=f"neither split {self.split!r} nor another has it",
            then="take an id from env.unwrapped.environment.tasks(SPLIT)",
        )
