"""Running an ablation: every arm with every seed, each in a process and a folder of its own.

An arm is an ordinary run. It takes over the stages that another arm of its seed has done
already, so it waits for an earlier arm with which it has a stage in common. What is finished
is not done again; a stopped study goes on where it was.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from reflect_core import config, folders
from reflect_core.ablation.arms import REFERENCE, Arm
from reflect_core.ablation.children import Children
from reflect_core.ablation.costs import seconds
from reflect_core.ablation.identity import SHARED, adopt, stage_keys
from reflect_core.errors import ReflectError
from reflect_core.files import write_atomic
from reflect_core.neutral import deciding, renewed
from reflect_core.plugins import Registry
from reflect_core.progress import Progress
from reflect_core.runfolder import RunFolder
from reflect_core.settings import Settings

__all__ = ["Study", "default_jobs"]


def default_jobs(settings: Settings) -> int:
    """Arms side by side: one per core for the shipped model, else one.

    A larger model uses all cores, or the one GPU, by itself.
    """
    if settings.model.name != "tiny":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@attrs.frozen
class _Job:
    """One arm with one seed.

    Args:
        waits_for: Earlier jobs that do a stage of this one, or whose time it is given.
    """

    arm: Arm
    seed: int
    folder: Path
    waits_for: tuple[Path, ...]


@attrs.define
class Study:
    """An ablation in a folder: ``seed-0/ARM/`` are its runs.

    Args:
        folder: Of the study.
        registry: The plugins.
        base: The configuration that the arms override.
        arms: In the order of the table.
        seeds: Each arm is run with each.
        jobs: Arms side by side; the cores are shared out among them.
    """

    folder: Path
    registry: Registry
    base: Settings
    arms: Sequence[Arm]
    seeds: Sequence[int]
    jobs: int
    _children: Children = attrs.field(init=False, factory=Children)

    def runs(self) -> Mapping[tuple[str, int], Path]:
        """The run folder of each arm and seed."""
        return {
            (arm.name, seed): self._place(arm.name, seed)
            for arm in self.arms
            for seed in self.seeds
        }

    def run(self, progress: Progress) -> None:
        """Do whatever is not done yet.

        Whatever stops this, stops the arms as well: they can go on later.

        Raises:
            ReflectError: An arm failed; the others that were under way are finished first.
        """
        waiting = self._plan()
        changed = threading.Condition()
        done: set[Path] = set()
        failed: list[str] = []
        with progress.stage("ablate", len(waiting)) as stage:

            def work() -> None:
                while True:
                    with changed:
                        while (job := self._next(waiting, done)) is None:
                            if not waiting or failed:
                                return
                            changed.wait()
                        waiting.remove(job)
                    error = self._attempt(job)
                    with changed:
                        if error:
                            failed.append(error)
                            waiting.clear()
                        else:
                            done.add(job.folder)
                            stage.advance()
                        changed.notify_all()

            with ThreadPoolExecutor(self.jobs) as pool:
                try:
                    for future in [pool.submit(work) for _ in range(self.jobs)]:
                        future.result()
                except BaseException:
                    self._children.stop()
                    raise
        if failed:
            raise ReflectError(
                "an arm of the ablation failed", details=failed, then="call it again to go on"
            )

    def _place(self, arm: str, seed: int) -> Path:
        return self.folder / f"seed-{seed}" / arm

    def _settings(self, arm: Arm, seed: int) -> Settings:
        """The configuration of an arm, but for what depends on another arm's time."""
        words = [*arm.overrides, f"eval.players={arm.row}", f"seed={seed}"]
        return config.override(self.registry, self.base, words)

    def _plan(self) -> list[_Job]:
        """All jobs, those first that do what others take over."""
        jobs: list[_Job] = []
        # the whole method last in the table, first in time: most others share its stages
        arms = sorted(self.arms, key=_haste)
        for seed in self.seeds:
            doing: dict[str, Path] = {}
            for arm in arms:
                folder = self._place(arm.name, seed)
                if arm.longer_than:
                    waits = {self._place(arm.longer_than, seed)}
                else:
                    needed = needed_stages(self.registry, self._settings(arm, seed))
                    waits = {doing.setdefault(key, folder) for key in needed.values()} - {folder}
                jobs.append(_Job(arm, seed, folder, tuple(sorted(waits))))
        # whatever the seed, so that no core is left alone with a long one in the end
        return sorted(jobs, key=lambda job: _haste(job.arm))

    def _next(self, waiting: Sequence[_Job], done: set[Path]) -> _Job | None:
        return next((job for job in waiting if done.issuperset(job.waits_for)), None)

    def _attempt(self, job: _Job) -> str:
        """As :meth:`_do`; nothing is raised, or the others would wait for ever."""
        try:
            return self._do(job)
        except ReflectError as error:
            return f"{job.folder}: {error}"
        except Exception as error:  # noqa: BLE001 - told with the study's failure
            return f"{job.folder}: {type(error).__name__}: {error}"

    def _do(self, job: _Job) -> str:
        """Run one arm to its end; what went wrong, or nothing."""
        if not (job.folder / folders.CONFIG).exists():
            self._prepare(job)
        else:
            self._renew(job)
        run = RunFolder(job.folder)
        own = folders.open_run(job.folder, self.registry).eval
        if run.finished("eval") and run.evaluation_of(own).exists():
            return ""
        log = job.folder.parent / f"{job.arm.name}.log"
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else self.jobs
        threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores // self.jobs)))
        with log.open("a", encoding="utf-8") as stream:
            code = self._children.call(
                [sys.executable, "-m", "reflect_core", "run", "--resume", str(job.folder)],
                stdout=stream,
                stderr=stream,
                env={**os.environ, "OMP_NUM_THREADS": threads},
            )
        if not code:
            return ""
        told = log.read_text(encoding="utf-8", errors="replace").strip()
        return f"{job.folder} (exit code {code}, see {log}): {_last_error(told)}"

    def _prepare(self, job: _Job) -> None:
        """Make the run's folder, with the stages that other arms have done."""
        settings = self._settings(job.arm, job.seed)
        if job.arm.longer_than:
            settings = self._lengthened(settings, self._place(job.arm.longer_than, job.seed))
        # run.toml is written last: a folder that has it is complete
        shared = RunFolder(job.folder)
        for stage, key in needed_stages(self.registry, settings).items():
            donor = self._donor(stage, key, job)
            if donor is not None and not shared.finished(stage):
                adopt(shared, donor, stage)
        self._write(job, settings)

    def _renew(self, job: _Job) -> None:
        """Take over neutral options that have changed, such as a budget that was raised.

        Raises:
            ReflectError: The arm was begun with other settings.
        """
        old, now = folders.open_run(job.folder, self.registry), self._settings(job.arm, job.seed)
        # how long an equal time is was found out when the arm began
        same = (
            old if job.arm.longer_than is None else attrs.evolve(old, teach=now.teach, sft=now.sft)
        )
        if deciding(same) != deciding(now):
            raise ReflectError(
                f"the arm {job.arm.name!r} was begun with other settings",
                why=f"they are in {job.folder / folders.CONFIG}",
                then="give it another name, or remove its folder",
            )
        if (new := renewed(old, now)) != old:
            self._write(job, new)

    def _write(self, job: _Job, settings: Settings) -> None:
        text = config.dump(settings, config.versions(self.registry, settings))
        write_atomic(job.folder / folders.CONFIG, text)

    def _donor(self, stage: str, key: str, job: _Job) -> RunFolder | None:
        for other in self.arms:
            place = self._place(other.name, job.seed)
            if place == job.folder or not (place / folders.CONFIG).exists():
                continue
            theirs = stage_keys(folders.open_run(place, self.registry))
            if theirs.get(stage) == key and RunFolder(place).finished(stage):
                return RunFolder(place)
        return None

    def _lengthened(self, settings: Settings, model: Path) -> Settings:
        """A warm-up as long as all that ``model`` learnt: more examples and more updates."""
        warm = seconds(model, ("teach", "sft"))
        times = (warm + seconds(model, ("train",))) / warm if warm else 1.0
        sft, teach = settings.sft, settings.teach
        return attrs.evolve(
            settings,
            teach=attrs.evolve(teach, episodes=round(teach.episodes * times)),
            sft=attrs.evolve(
                sft,
                reflector_updates=round(sft.reflector_updates * times),
                policy_updates=round(sft.policy_updates * times),
            ),
        )


def _last_error(log: str) -> str:
    r"""What a log ends with: its last error with what is said of it, else its last line.

    >>> _last_error("sft: done\nError: no row 'randm'\n  did you mean: random")
    "no row 'randm'; did you mean: random"
    """
    _, found, error = log.rpartition("\nError: ")
    if not found and log.startswith("Error: "):
        found, error = "Error: ", log.removeprefix("Error: ")
    lines = [line.strip() for line in (error if found else log).splitlines()]
    return "; ".join(lines if found else lines[-1:])


def _haste(arm: Arm) -> tuple[bool, bool]:
    """Orders arms in time: the whole method, then what is as long as it, then all else."""
    return arm.name != REFERENCE, arm.longer_than is None


def needed_stages(registry: Registry, settings: Settings) -> dict[str, str]:
    """The keys of the shared stages that a run has at all."""
    trainable = {
        "sft reflector": registry.find("reflector", settings.reflector.name).spec.trainable,
        "sft policy": registry.find("policy", settings.policy.name).spec.trainable,
    }
    if not settings.teach.episodes or not any(trainable.values()):
        return {}
    keys = stage_keys(settings)
    return {stage: keys[stage] for stage in SHARED if trainable.get(stage, True)}
