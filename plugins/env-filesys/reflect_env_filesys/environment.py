"""The episodes: what is shown, what may be done, what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reflect_core.errors import EpisodeOver, ReflectError
from reflect_core.records import Observation, Step, Task
from reflect_core.streams import stream, stream_seed
from reflect_env_filesys.config import STAGES, FilesysConfig
from reflect_env_filesys.corpus import load_corpus
from reflect_env_filesys.experts import EXPERTS
from reflect_env_filesys.names import one_line, shown_name
from reflect_env_filesys.session import Session
from reflect_env_filesys.tasks import DESCRIBE
from reflect_env_filesys.tree import ShownTree, draw_tree

if TYPE_CHECKING:
    from reflect_env_filesys.corpus import Corpus

UNIT = 1 / 15
"""The paper's points are divided by 15, whatever the horizon."""
TURN = -1 * UNIT
ERROR = -2 * UNIT
RIGHT = 15 * UNIT
WRONG = -15 * UNIT

NEAR, PART, FULL = STAGES


class FilesysEnvironment:
    """Find a file in a tree by ``cd DIR``, ``cd ..``, ``cat FILE`` and ``id FILE``.

    The rewards add up: every turn costs 1/15, or 2/15 if its action was not on the menu; the
    turn that identifies the right file gives 15/15 besides, the one that identifies a wrong
    file or is the last of the horizon takes 15/15 besides.

    The stages ``near`` and ``part`` start the episode in the target's folder and half way to it.
    There every ``cd`` that leads nearer to the target is shaped by 1/15, one that leads away by
    -1/15, as a potential (Ng, Harada and Russell 1999): over an episode that ends, shaping adds
    up to the distance of its start, whatever was done.

    >>> env = FilesysEnvironment(FilesysConfig(corpus="synthetic"))
    >>> observation = env.reset(env.tasks("train")[0], seed=0)
    >>> step = env.step(observation.legal_actions[0])
    """

    def __init__(self, config: FilesysConfig | None = None, *, seed: int = 0) -> None:
        """Read the corpus.

        Args:
            config: The options.
            seed: Of the synthetic corpus; nothing else depends on it.

        Raises:
            ConfigError: The corpus cannot be used.
        """
        self.config = config or FilesysConfig()
        self._corpus: Corpus | None = load_corpus(self.config, seed)
        self._expert = EXPERTS[self.config.expert]()
        self._session: Session | None = None
        self._key = ""
        self._shaped = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the folder was left out, one line for each reason."""
        return self._loaded().notes

    def summary(self) -> str:
        """A few lines for people: what is explored, how many tasks, what was left out."""
        corpus = self._loaded()
        counts = ", ".join(f"{len(tasks)} {split}" for split, tasks in corpus.tasks.items())
        return "\n".join((f"{corpus.name}: {counts} tasks", *corpus.notes))

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of a split, in a fixed order.

        Raises:
            ReflectError: There is no such split.
        """
        tasks = self._loaded().tasks
        if split not in tasks:
            raise ReflectError.unknown("split", split, tasks)
        return tasks[split]

    def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Observation:
        """Begin an episode; the tree that is shown depends on the task and ``seed`` alone.

        Args:
            task: Of :meth:`tasks`.
            seed: Draws the tree.
            stage: ``near``, ``part`` or ``full``, the real task and the default.

        Raises:
            ReflectError: The task is not of this corpus, or the stage is unknown.
        """
        stage = FULL if stage is None else stage
        if stage not in STAGES:
            raise ReflectError.unknown("stage", stage, STAGES)
        path = tuple(task.data.get("path", ()))
        pool = self._loaded().pools.get((task.split, task.data.get("root", "")))
        if pool is None or not pool.has(path):
            raise ReflectError(
                f"task {task.task_id!r} is not of this corpus",
                why=f"{self._loaded().name} has no such file in its {task.split} split",
                then="take tasks from an environment with the same options",
            )
        tree = draw_tree(
            stream(seed, "filesys", "tree", task.task_id),
            pool,
            path,
            entries=self.config.entries,
            folders=self.config.folders,
        )
        named = task.task_id.startswith("find:")
        self._session = Session(
            tree,
            wanted=tree.target if named else None,
            sentence="" if named else task.text.removeprefix(DESCRIBE),
            horizon=self.config.horizon,
            cat_chars=self.config.cat_chars,
            start=_start(tree, stage),
            seed=stream_seed(seed, "filesys", "expert", task.task_id),
        )
        self._shaped = stage != FULL
        self._key = f"{task.task_id}@{seed}"
        if self._shaped:  # the same place is worth something else there
            self._key += f":{stage}"
        return self._observe("")

    def step(self, action: str) -> Step:
        """Take a turn.

        Raises:
            EpisodeOver: The episode has ended or not begun.
        """
        session = self._playing()
        before = session.distance
        legal = action in session.menu()
        reward = TURN if legal else ERROR
        if legal:
            result = session.act(action)
        else:
            session.fail()
            result = f"error: no command {one_line(shown_name(action[:40]), 40)!r}"
        if session.identified is not None:
            reward += RIGHT if session.success else WRONG
        elif session.turns_left == 0:
            reward += WRONG
            result += ". Out of turns"
        info = {} if legal else {"error": "not on the menu"}
        # the potential of an ended episode is 0, or where it ended would be worth something
        nearer = before - (0 if session.over else session.distance)
        return Step(
            observation=self._observe(result),
            reward=reward,
            shaping=nearer * UNIT if self._shaped else 0.0,
            terminated=session.over,
            success=session.success,
            info=info,
        )

    def close(self) -> None:
        """Let go of the snapshot."""
        self._corpus = None
        self._session = None

    def expert_action(self) -> str:
        """The action of the expert chosen by option ``expert``, one of the legal actions.

        Raises:
            EpisodeOver: The episode has ended or not begun.
        """
        return self._expert.action(self._playing())

    def expert_reflection(self) -> str:
        """What that expert says now: what to make of the last action, and the next command.

        Raises:
            EpisodeOver: The episode has ended or not begun.
        """
        return self._expert.reflection(self._playing())

    def _observe(self, result: str) -> Observation:
        session = self._session
        assert session is not None
        over = session.over
        return Observation(
            text=session.text(result),
            legal_actions=() if over else session.menu(),
            state_key=f"{self._key}:{session.state_key()}",
        )

    def _loaded(self) -> Corpus:
        if self._corpus is None:
            raise EpisodeOver("the environment is closed")
        return self._corpus

    def _playing(self) -> Session:
        if self._session is None:
            raise EpisodeOver("reset was not called")
        if self._session.over:
            raise EpisodeOver("the episode has ended; call reset")
        return self._session


def _start(tree: ShownTree, stage: str) -> int:
    """Index of the folder where an episode of this stage begins."""
    deepest = tree.depth_of(tree.target_folder)
    return tree.on_the_way({NEAR: deepest, PART: deepest // 2, FULL: 0}[stage])
