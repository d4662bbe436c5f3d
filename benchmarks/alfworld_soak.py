"""Whether real ALFWorld games can be played for long, in worker processes.

    python benchmarks/alfworld_soak.py ../shared/alfworld [--episodes 2000] [--games 3892] [--write]

All games are begun once and must offer something to do. Then episodes of random legal actions
are played over them by fresh workers, and the memory of the process tree and the temporary files
are measured all along: neither may grow after the first episodes. Exits with code 1 when
something fails. With ``--write`` the result goes to ``alfworld_soak.md`` and ``.json``.

The folder has games as ALFWorld lays them out, or compact ones with a ``load_compact.py``.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import psutil

from reflect_core import files
from reflect_core.errors import ReflectError
from reflect_core.records import Observation, Task
from reflect_core.settings import RolloutSettings
from reflect_core.streams import stream
from reflect_core.workers import EnvironmentRaised, Registered, WorkerEnvironment, WorkerPool

HERE = Path(__file__).parent
MARK = 200
"""Episodes after which nothing may grow: by then every worker has what it keeps."""
GROWTH = 1.1
"""Times the memory at the mark that there may be at the end."""
WINDOW = 5
"""Samples whose median is the memory at their end: a worker that is being replaced shows twice."""
SAMPLES = 50
"""Samples that are written, beside the last one."""
DATA = "json_2.1.1"
ALL_WELL = "Nothing failed and nothing grew."

Item = TypeVar("Item")


@attrs.frozen
class Folders:
    """Where a soak has its files.

    Args:
        games: Games as ALFWorld lays them out.
        cache: Translations of games, each made once.
        scratch: All that is temporary.
    """

    games: Path
    cache: Path
    scratch: Path


@attrs.frozen
class Begun:
    """What beginning the games showed.

    Args:
        menus: Number of legal actions at the start of each game that has any.
        failures: What went wrong, by game.
    """

    menus: Sequence[int]
    failures: Sequence[str]

    @property
    def games(self) -> int:
        """Number of games that were tried."""
        return len(self.menus) + len(self.failures)


@attrs.frozen
class Sample:
    """What there was when so many episodes were over.

    Args:
        episodes: Their number.
        memory: Private memory of this process and all below it, MiB.
        files: Files and folders among the temporary ones.
        processes: Of the pool.
    """

    episodes: int
    memory: float
    files: int
    processes: int


@attrs.frozen
class Played:
    """What the random episodes showed.

    Args:
        turns: Of all episodes.
        menu: Legal actions per turn on average.
        won: Episodes that reached the goal.
        restarts: Workers that were lost or replaced.
        samples: In order.
        failures: What went wrong, by episode.
        left: Processes, temporary files and unfinished translations when all was closed.
        mark: Episodes after which nothing may grow.
    """

    turns: int
    menu: float
    won: int
    restarts: int
    samples: Sequence[Sample]
    failures: Sequence[str]
    left: int
    mark: int

    def until(self, episodes: int) -> list[Sample]:
        """The last samples up to the first one that was taken after so many episodes."""
        over = [sample.episodes for sample in self.samples]
        end = 1 + bisect.bisect_left(over, episodes)
        return list(self.samples[max(0, end - WINDOW) : end])

    @property
    def episodes(self) -> int:
        """Number of episodes that were over at the end."""
        return self.samples[-1].episodes

    @property
    def memory_ratio(self) -> float:
        """Memory at the end, as a multiple of that at the mark."""
        ends = (self.until(self.episodes), self.until(self.mark))
        last, first = (statistics.median(each.memory for each in end) for end in ends)
        return last / first

    @property
    def file_growth(self) -> int:
        """How many more temporary files there were at the end than at the mark, at most."""
        last, first = (
            max(each.files for each in self.until(end)) for end in (self.episodes, self.mark)
        )
        return last - first


def unpack(source: Path, work: Path, splits: Sequence[str]) -> Path:
    """A folder of games as ALFWorld lays them out; compact ones are written below ``work``.

    Raises:
        ReflectError: There are no games, or not of these splits.
    """
    compact = {path.name.partition(".")[0] for path in (source / "compact").glob("*.jsonl.xz")}
    if not compact:
        if not (source / DATA).is_dir():
            raise ReflectError(f"{source} has no games", why=f"neither {DATA}/ nor compact/")
        return source
    if missing := sorted(set(splits) - compact):
        raise ReflectError(
            f"{source} has no games of {', '.join(missing)}",
            details=[f"it has: {', '.join(sorted(compact))}"],
        )
    for split in sorted(splits or compact):
        if not (work / DATA / split).is_dir():
            _write_games(source / "load_compact.py", split, work)
    return work


def _write_games(loader: Path, split: str, work: Path) -> None:
    with tempfile.TemporaryDirectory(dir=work) as unfinished:
        subprocess.run(
            [sys.executable, str(loader), split, unfinished],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "ALFWORLD_DATA": unfinished},  # else one is made at home
        )
        (work / DATA).mkdir(exist_ok=True)
        (Path(unfinished) / DATA / split).rename(work / DATA / split)


def spread(items: Sequence[Item], most: int | None) -> list[Item]:
    """So many of the items, evenly over all."""
    count = len(items) if most is None else min(most, len(items))
    return [items[place * len(items) // count] for place in range(count)]


class Soak:
    """Plays the games of a folder.

    Args:
        folders: Where everything is.
        splits: Folders of games; all there are, if none is named.
        workers: Processes.
        environments: In all processes together.
        memory: MiB above which a worker is replaced.
        horizon: Turns of an episode.
    """

    def __init__(
        self,
        folders: Folders,
        *,
        splits: Sequence[str] = (),
        workers: int = 2,
        environments: int = 8,
        memory: float = RolloutSettings().worker_memory,
        horizon: int = 50,
    ) -> None:
        from reflect_env_alfworld.config import AlfworldConfig

        there = sorted(path.name for path in (folders.games / DATA).iterdir() if path.is_dir())
        self._folders = folders
        self._workers = workers
        self._count = environments
        self._memory = memory
        self._build = Registered(
            "alfworld",
            AlfworldConfig(
                source="real",
                data=str(folders.games),
                train=" ".join(splits or there),
                valid="",
                test="",
                horizon=horizon,
                cache=str(folders.cache),
            ),
        )

    def tasks(self) -> list[Task]:
        """All games.

        Raises:
            ReflectError: The environment leaves some out.
        """
        environment = self._build()
        tasks = list(environment.tasks("train"))
        left_out = getattr(environment, "notes", ())
        environment.close()
        if left_out:
            raise ReflectError("not all games can be played", details=list(left_out))
        return tasks

    def begin(self, tasks: Sequence[Task]) -> Begun:
        """Begin every game once."""
        menus: list[int] = []
        failures: list[str] = []
        with self._pool() as pool:
            environments = [pool.environment() for _ in range(self._count)]
            for first in range(0, len(tasks), self._count):
                some = tasks[first : first + self._count]
                begun = [
                    (task, environment.begin_reset(task, seed=0))
                    for task, environment in zip(some, environments, strict=False)
                ]
                for task, finish in begun:
                    try:
                        number = len(finish().legal_actions)
                    except (ReflectError, EnvironmentRaised) as error:
                        failures.append(f"{task.task_id}: {error}")
                        continue
                    if number:
                        menus.append(number)
                    else:
                        failures.append(f"{task.task_id}: offers nothing to do")
        return Begun(menus, failures)

    def play(self, tasks: Sequence[Task], episodes: int, *, mark: int = MARK) -> Played:
        """Play so many episodes of random legal actions.

        A sample is taken whenever some episodes have ended, with all workers at rest.
        """
        told = Told()
        samples: list[Sample] = []
        with self._pool() as pool:
            players = [
                random_episodes(pool.environment(), tasks, range(slot, episodes, self._count), told)
                for slot in range(min(self._count, episodes))
            ]
            waiting: list[tuple[Player, Answer]] = [(player, next(player)) for player in players]
            while waiting:
                waiting = list(_answered(waiting))
                if not samples or samples[-1].episodes < told.episodes:
                    samples.append(self._sample(told.episodes, pool))
            processes, restarts = pool.processes, pool.restarts
        left = sum(psutil.pid_exists(process) for process in processes)
        left += len(list(self._folders.scratch.iterdir()))
        left += len(list(self._folders.cache.glob(".*")))
        return Played(
            turns=told.turns,
            menu=told.offered / max(1, told.turns),
            won=told.won,
            restarts=restarts,
            samples=samples,
            failures=told.failures,
            left=left,
            mark=mark,
        )

    def _pool(self) -> WorkerPool:
        return WorkerPool(self._build, workers=self._workers, memory=self._memory, name="alfworld")

    def _sample(self, episodes: int, pool: WorkerPool) -> Sample:
        return Sample(
            episodes,
            tree_memory(),
            sum(1 for _ in self._folders.scratch.rglob("*")),
            len(pool.processes),
        )


@attrs.define
class Told:
    """What the episodes of a soak add up to."""

    episodes: int = 0
    turns: int = 0
    offered: int = 0
    won: int = 0
    failures: list[str] = attrs.field(factory=list)


Answer = Callable[[], Any]
Player = Iterator[Answer]


def random_episodes(
    environment: WorkerEnvironment, tasks: Sequence[Task], numbers: Sequence[int], told: Told
) -> Player:
    """Play the episodes of these numbers; yields a call that was begun, to be gone on after it."""
    for number in numbers:
        generator = stream(0, "soak", number)
        task = tasks[int(generator.integers(len(tasks)))]
        try:
            reset = environment.begin_reset(task, seed=number)
            yield reset
            seen: Observation = reset()
            over = False
            while not over:
                legal = seen.legal_actions
                told.offered += len(legal)
                act = environment.begin_step(legal[int(generator.integers(len(legal)))])
                yield act
                step = act()
                told.turns += 1
                seen, over = step.observation, step.over
            told.won += step.success
        except (ReflectError, EnvironmentRaised) as error:
            told.failures.append(f"episode {number}, {task.task_id}: {error}")
        told.episodes += 1


def _answered(waiting: Sequence[tuple[Player, Answer]]) -> Iterator[tuple[Player, Answer]]:
    """Go on with every player; those that have more to play begin their next call."""
    for player, _ in waiting:
        for answer in player:
            yield player, answer
            break


def tree_memory() -> float:
    """Private memory of this process and all below it, MiB."""
    this = psutil.Process()
    total = 0
    for process in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            total += process.memory_full_info().uss
    return float(total) / 2**20


def misses(begun: Begun, played: Played) -> list[str]:
    """All that went wrong."""
    found = [*begun.failures, *played.failures]
    if played.memory_ratio > GROWTH:
        found.append(
            f"memory after episode {played.episodes} is {played.memory_ratio:.2f} times that after "
            f"episode {played.mark}, not {GROWTH}"
        )
    if played.file_growth > 0:
        found.append(f"there are {played.file_growth} more temporary files than at the mark")
    if played.left:
        found.append(f"{played.left} processes or files are left at the end")
    return found


def summary(begun: Begun, played: Played, options: argparse.Namespace) -> list[str]:
    """The result as Markdown."""
    last, first = played.samples[-1], played.until(played.mark)[-1]
    memory = [sample.memory for sample in played.samples]
    after = [sample.memory for sample in played.samples if sample.episodes > played.mark]
    rows = [
        ("games begun", f"{begun.games:,}"),
        ("of these with something to do", f"{len(begun.menus):,}"),
        ("legal actions at the start, least, mean, most", _range(begun.menus)),
        ("episodes", f"{played.episodes:,}"),
        ("turns", f"{played.turns:,}"),
        ("legal actions per turn, mean", f"{played.menu:.1f}"),
        ("episodes won by chance", f"{played.won:,}"),
        ("workers, environments", f"{options.workers}, {options.environments}"),
        ("workers lost or replaced", f"{played.restarts}"),
        (f"memory after episode {first.episodes:,}, MiB", f"{first.memory:.0f}"),
        (f"memory after episode {last.episodes:,}, MiB", f"{last.memory:.0f}"),
        ("most memory, MiB", f"{max(memory):.0f}"),
        ("most memory after the mark, MiB", f"{max(after, default=0):.0f}"),
        (f"end against mark, medians of {WINDOW} samples", f"{played.memory_ratio:.3f}"),
        ("temporary files at the mark, at the end", f"{first.files}, {last.files}"),
        ("processes and files left when closed", f"{played.left}"),
    ]
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return "none"
    return f"{min(numbers)}, {statistics.mean(numbers):.1f}, {max(numbers)}"


def soak(options: argparse.Namespace, work: Path) -> int:
    """Do it all, and print it.

    Returns:
        1 if something went wrong, else 0.

    Raises:
        ReflectError: There are no games, or they cannot be played.
    """
    from reflect_env_alfworld import library

    library.load()
    with temporary_files(work) as scratch:
        games = unpack(options.games_folder, work, options.split)
        folders = Folders(games, work / "cache", scratch)
        folders.cache.mkdir(exist_ok=True)
        soaking = Soak(
            folders,
            splits=options.split,
            workers=options.workers,
            environments=options.environments,
            memory=options.memory,
            horizon=options.horizon,
        )
        tasks = spread(soaking.tasks(), options.games)
        begun = soaking.begin(tasks)
        print(f"{len(begun.menus):,} of {begun.games:,} games can be played", flush=True)
        played = soaking.play(tasks, options.episodes, mark=options.mark)
    table, wrong = summary(begun, played, options), misses(begun, played)
    print(*table, "", *(wrong or [ALL_WELL]), sep="\n")
    if options.write:
        _write(begun, played, table, wrong)
    return int(bool(wrong))


@contextlib.contextmanager
def temporary_files(work: Path) -> Iterator[Path]:
    """Keep all temporary files of this process and its workers in a folder of their own."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=work) as folder:
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before


def _write(begun: Begun, played: Played, table: Sequence[str], wrong: Sequence[str]) -> None:
    from reflect_env_alfworld.library import versions

    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    python = platform.python_version()
    text = [
        "# Long play of real ALFWorld games",
        "",
        f"Random legal actions in worker processes; {packages}, Python {python}. Memory is what "
        "this process and its workers have to themselves.",
        "",
        *table,
        "",
        *(wrong or [ALL_WELL]),
    ]
    files.write_atomic(HERE / "alfworld_soak.md", "\n".join(text) + "\n")
    result = {
        "python": python,
        **versions(),
        "begun": {
            "games": begun.games,
            "games_by_legal_actions": dict(sorted(Counter(begun.menus).items())),
            "failures": list(begun.failures),
        },
        "played": {
            **attrs.asdict(played),
            "samples": [
                attrs.asdict(sample)
                for sample in (*spread(played.samples[:-1], SAMPLES), played.samples[-1])
            ],
        },
        "memory_ratio": played.memory_ratio,
        "misses": list(wrong),
    }
    files.write_json(HERE / "alfworld_soak.json", result)


def main(words: Sequence[str] | None = None) -> int:
    """Soak, and say by the exit code how it went."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("games_folder", type=Path, help="of real games")
    parser.add_argument("--split", action="append", default=[], help="a folder of games; or all")
    parser.add_argument("--games", type=int, help="spread over all; or all")
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--mark", type=int, default=MARK, help="episode from which nothing grows")
    parser.add_argument("--horizon", type=int, default=50, help="turns of an episode")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--environments", type=int, default=8, help="in all processes together")
    parser.add_argument(
        "--memory",
        type=float,
        default=RolloutSettings().worker_memory,
        help="MiB above which a worker is replaced",
    )
    parser.add_argument("--work", type=Path, help="keeps games and translations for another time")
    parser.add_argument("--write", action="store_true", help="to alfworld_soak.md and .json")
    options = parser.parse_args(words)
    if options.mark >= options.episodes:
        parser.error(f"no episode is left after the mark, {options.mark}: see --mark")
    try:
        with contextlib.ExitStack() as stack:
            work = options.work
            if work is None:
                work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
            work.mkdir(parents=True, exist_ok=True)
            return soak(options, work.absolute())
    except ReflectError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
