"""A toy run for tests of what learns: the lamps, a small model, and all that goes between."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from fake_plugins import FakeEntryPoint, environments, module

from reflect_core import Context, EnvironmentSpec
from reflect_core.baselines import SilentReflector
from reflect_core.plugins import GROUP, Registry, load
from reflect_core.records import Assignment, Draws, Example, State, Trajectory
from reflect_core.rollout import Collector, training_episodes
from reflect_core.settings import (
    EvalSettings,
    ModelSettings,
    Part,
    RolloutSettings,
    Settings,
    SftSettings,
    TeachSettings,
    TrainSettings,
)
from reflect_core.teach import teach
from reflect_core.testing.lamps import Lamps

CPU = torch.device("cpu")


def model_settings(folder: Path, tuning: str = "full", **more: Any) -> ModelSettings:
    return ModelSettings(name=str(folder), tuning=tuning, **{"context": 256, "lora_r": 4, **more})


def settings(folder: Path, tuning: str = "full", **sections: Any) -> Settings:
    """A short run on the lamps; ``sections`` are parts, the seed, or options of a section."""
    plain = {
        "teach": (TeachSettings, {"episodes": 6}),
        "sft": (SftSettings, {"reflector_updates": 3, "policy_updates": 4, "batch_size": 8}),
        "rollout": (RolloutSettings, {"num_envs": 4, "max_reflection_tokens": 6}),
        "train": (
            TrainSettings,
            {
                "iterations": 3,
                "episodes": 6,
                "valid_every": 2,
                "valid_episodes": 4,
                "checkpoint_every": 1,
            },
        ),
        "eval": (EvalSettings, {"episodes": 6}),
    }
    made = {
        name: kind(**{**defaults, **sections.pop(name, {})})
        for name, (kind, defaults) in plain.items()
    }
    parts = {
        "env": "lamps",
        "reflector": "local",
        "policy": "lm",
        "trainer": "ppo",
        "curriculum": "uniform",
    }
    registry = lamps_registry()
    kinds = {"env": "environment"}
    for section, name in parts.items():
        chosen = sections.pop(section, name)
        options = {}
        if not isinstance(chosen, str):
            chosen, options = chosen
        spec = registry.find(kinds.get(section, section), chosen).spec
        made[section] = Part(chosen, spec.config(**options))
    model = model_settings(folder, tuning, **sections.pop("model", {}))
    return Settings(seed=sections.pop("seed", 0), model=model, **made, **sections)


def lamps_registry(*, make: Any = Lamps, baselines: Sequence[str] = (), **lamps: Any) -> Registry:
    """The installed plugins and the environment ``lamps``."""
    spec = EnvironmentSpec(
        name="lamps", factory=lambda config, context: make(**lamps), baselines=tuple(baselines)
    )
    plugin = module(reflect_environments=environments(spec))
    installed = importlib.metadata.entry_points(group=GROUP)
    return load([*installed, FakeEntryPoint("lamps", lambda: plugin)], disabled=())  # type: ignore[list-item]


def lamps_that_fail(where: str, **options: Any) -> Lamps:
    """Lamps whose method of this name raises on the task ``train-1``."""

    def fails(self: Any, *args: Any, **more: Any) -> Any:
        task = args[0] if where == "reset" else self.task
        if task.task_id == "train-1":
            raise RuntimeError("a fuse blew")
        return getattr(Lamps, where)(self, *args, **more)

    return type("FailingLamps", (Lamps,), {where: fails})(**options)


def pool(folder: Path, tuning: str = "full", **more: Any):
    from reflect_core.lm.pool import ModelPool

    return ModelPool(model_settings(folder, tuning, **more), CPU)


def policy(folder: Path, tuning: str = "full", *, models: Any = None, **sections: Any):
    """An ``lm`` policy whose weights are not the untouched random ones."""
    from reflect_core.lm.policy import LmPolicy

    made = LmPolicy(
        models or pool(folder, tuning, **sections.get("model", {})),
        settings(folder, tuning, **sections),
        critic=True,
    )
    stir(made.trainable())
    return made


def stir(parameters: Any, *, scale: float = 0.05, seed: int = 0) -> None:
    """Add noise, so that no two answers are nearly equal and no adapter is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))


def examples(episodes: int = 8, *, negatives: float = 1.0) -> list[Example]:
    """The lamp expert's turns: histories of no and of one turn, right and wrong."""
    lamps = Lamps()
    lesson = teach(
        lambda: lamps,
        lamps.tasks("train"),
        TeachSettings(episodes=episodes, negatives=negatives),
        seed=0,
        stages=["full"],
    )
    return lesson.examples


def turns(count: int = 9) -> tuple[list[State], list[str], list[Draws]]:
    """States of different lengths, with reflections (some empty) and draws."""
    found = examples(count)[:count]
    states = [example.state for example in found]
    texts = [example.reflection if i % 3 else "" for i, example in enumerate(found)]
    return states, texts, [Draws(7, ("turn", i)) for i in range(count)]


def play(
    player: Any, count: int = 8, *, iteration: int = 0, reflector: Any = None, **lamps: Any
) -> list[Trajectory]:
    """Episodes that the policy played."""
    tasks = Lamps(**lamps).tasks("train")
    plan = training_episodes(
        [Assignment(tasks[i % len(tasks)]) for i in range(count)], seed=1, iteration=iteration
    )
    collector = Collector(
        lambda: Lamps(**lamps), reflector or SilentReflector(), player, seed=1, num_envs=4
    )
    return collector.play(plan, greedy=False).trajectories


def context(player: Any) -> Context:
    """What a trainer's factory is given."""
    from accelerate import Accelerator

    return Context(
        seed=0,
        settings=player.settings,
        make_environment=Lamps,
        tasks=Lamps().tasks,
        models=player.models,
        accelerator=Accelerator(cpu=True),
        policy=player,
    )


def rewarded(trajectory: Trajectory, rewards: list[float], **changes: Any) -> Trajectory:
    """The same episode with other rewards."""
    transitions = tuple(
        attrs.evolve(turn, reward=reward)
        for turn, reward in zip(trajectory.transitions, rewards, strict=True)
    )
    return attrs.evolve(trajectory, transitions=transitions, **changes)


def hashes(parameters: Any) -> list[bytes]:
    """The bytes of tensors, to see whether anything changed."""
    return [p.detach().numpy().tobytes() for p in parameters]
