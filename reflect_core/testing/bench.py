"""What players, trainers and curricula are tried out with: a toy environment and a random model.

Everything is made on the spot: no network, no file outside a temporary folder.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from reflect_core.context import Context
from reflect_core.hookspecs import EnvironmentSpec, TrainerSpec
from reflect_core.plugins import Offer, Registry, load
from reflect_core.records import (
    Assignment,
    Choice,
    Draws,
    Hint,
    Observation,
    PastTurn,
    State,
    Task,
    Trajectory,
    Transition,
)
from reflect_core.rollout import Collector, training_episodes
from reflect_core.settings import Settings
from reflect_core.testing.lamps import COLOURS, Lamps
from reflect_core.testing.model import random_model

if TYPE_CHECKING:
    from reflect_core.lm.policy import LmPolicy
    from reflect_core.lm.pool import ModelPool

__all__ = ["Bench", "BenchLamps", "bench_registry", "bench_settings"]

STAGES = ("easy", "middle", "full")
LEVELS = 3


class BenchLamps(Lamps):
    """The lamps with levels, stages and menus of two to four buttons, the right one among them.

    So every curriculum has something to climb, and who mistakes the length of a menu is found out.
    """

    def tasks(self, split: str) -> Sequence[Task]:
        """Tasks of three levels."""
        return [
            attrs.evolve(task, level=1 + number % LEVELS)
            for number, task in enumerate(super().tasks(split))
        ]

    def _observe(self) -> Observation:
        shown = super()._observe()
        right = self.expert_action()
        wrong = [action for action in shown.legal_actions if action != right]
        number = int(self.task.task_id.rpartition("-")[2]) + self.turn
        kept = {right, *wrong[: 1 + number % len(wrong)]}
        return attrs.evolve(shown, legal_actions=[a for a in shown.legal_actions if a in kept])


def bench_offer() -> Offer[EnvironmentSpec]:
    """The environment ``lamps`` as if a plugin offered it, with defaults for a small model."""
    spec = EnvironmentSpec(
        name="lamps",
        factory=lambda config, context: BenchLamps(),
        stages=STAGES,
        summary="push the button of the lamp that is lit",
        defaults={
            "model.context": 256,
            "rollout.max_reflection_tokens": 8,
            "rollout.num_envs": 8,
            # who forgets it is found out
            "rollout.temperature": 0.8,
            "train.iterations": 20,
        },
    )
    return Offer(spec, "builtin", "reflect-core", "")


def bench_registry(registry: Registry) -> Registry:
    """The registry with the lamps, and a default trainer where none is installed."""
    stand_in = Offer(TrainerSpec(name="ppo", factory=_nobody), "builtin", "reflect-core", "")
    return attrs.evolve(
        registry,
        environments={**registry.environments, "lamps": bench_offer()},
        trainers={"ppo": stand_in, **registry.trainers},
    )


def bench_settings() -> Settings:
    """The configuration in which a part is tried out where none is given."""
    from reflect_core.config import resolve

    registry = bench_registry(load((), disabled=()))
    return resolve(registry, flags={"env": "lamps", "reflector": "none"})


def _nobody(config: Any, context: Any) -> Any:
    raise AssertionError("stands for a trainer that is never built")


class Bench:
    """Builds parts in a context, and gives them something to do.

    Args:
        settings: The configuration of the context; the model is the random one where the
            settings name ``tiny``, their default.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or bench_settings()

    @functools.cached_property
    def models(self) -> ModelPool:
        """The model, loaded once."""
        import torch

        from reflect_core.lm.pool import ModelPool

        wanted = self.settings.model
        if wanted.name != "tiny":
            return ModelPool(wanted, torch.device("cpu"), seed=self.settings.seed)
        with tempfile.TemporaryDirectory(prefix="reflect-model-") as folder:
            random_model(Path(folder))
            named = attrs.evolve(wanted, name=folder)
            return ModelPool(named, torch.device("cpu"), seed=self.settings.seed)

    @functools.cached_property
    def environment(self) -> BenchLamps:
        """For its tasks."""
        return BenchLamps()

    def context(self, *, seed: int | None = None, models: bool = True, **more: Any) -> Context:
        """What a factory is given.

        Args:
            seed: Of the run, in place of the settings'.
            models: Whether there is a model.
            more: Other fields.
        """
        if models:
            from accelerate import Accelerator

            more = {"models": self.models, "accelerator": Accelerator(cpu=True), **more}
        return Context(
            seed=self.settings.seed if seed is None else seed,
            settings=self.settings,
            make_environment=BenchLamps,
            tasks=self.environment.tasks,
            stages=STAGES,
            **more,
        )

    def states(self, count: int) -> tuple[list[State], list[str], list[Draws]]:
        """States with and without history, reflections (some empty), and draws."""
        states, reflections, draws = [], [], []
        tasks = self.environment.tasks("train")
        for number in range(count):
            lamps = Lamps(horizon=3)
            task = tasks[number % len(tasks)]
            shown = lamps.reset(task, seed=number)
            past: tuple[PastTurn, ...] = ()
            for turn in range(number % 3):
                action = f"push {COLOURS[(number + turn) % len(COLOURS)]}"
                past += (PastTurn(shown.text, action),)
                shown = lamps.step(action).observation
            # menus of several lengths
            menu = shown.legal_actions[: 2 + number % 3]
            shown = attrs.evolve(shown, legal_actions=menu)
            said = f"{lamps.lit[lamps.turn]} is lit. {menu[0]}"
            states.append(State(task, shown, past, Hint(menu[0], said)))
            reflections.append(said if number % 3 else "")
            draws.append(Draws(self.settings.seed, ("bench", number)))
        return states, reflections, draws

    def policy(self, *, critic: bool = True, silent: bool = False) -> LmPolicy:
        """A policy ``lm`` with weights of its own, none of them the untouched first ones.

        Args:
            critic: With a value head.
            silent: All values are 0.
        """
        import torch

        from reflect_core.lm.policy import LmPolicy

        made = LmPolicy(self.models, self.settings, critic=critic)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in made.trainable():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
            if silent and made.module.value_head is not None:
                for parameter in made.module.value_head.parameters():
                    parameter.zero_()
        return made

    def play(
        self, policy: Any, count: int, *, iteration: int = 0, group_size: int = 1
    ) -> list[Trajectory]:
        """Episodes that a policy played, in groups."""
        from reflect_core.baselines import SilentReflector

        tasks = self.environment.tasks("train")
        plan = training_episodes(
            [
                Assignment(tasks[group % len(tasks)], group_size=group_size)
                for group in range(-(-count // group_size))
            ],
            seed=self.settings.seed,
            iteration=iteration,
        )
        seed = self.settings.seed
        collector = Collector(BenchLamps, SilentReflector(), policy, seed=seed, num_envs=8)
        return collector.play(plan, greedy=False).trajectories

    def bandit(
        self,
        policy: Any,
        reward: Callable[[int, int], float],
        *,
        group_size: int = 1,
        states: int = 1,
    ) -> list[Trajectory]:
        """Episodes of one turn, as many in each state, in which its actions take turns.

        Args:
            policy: Tells the probabilities.
            reward: Of the number-th episode of a state and its action: ``reward(number, action)``.
            group_size: The episodes of a state are of whole groups, at least eight.
            states: At most 3, whose menus are of different lengths.
        """
        made: list[Trajectory] = []
        count = -(-8 // group_size) * group_size
        for state, choice in self._bandit_choices(policy)[:states]:
            for number in range(count):
                index = number % len(choice.probabilities)
                logprob = float(np.log(choice.probabilities[index]))
                taken = attrs.evolve(choice, index=index, logprob=logprob)
                turn = Transition(state.observation, "", taken, reward(number, index))
                made.append(
                    Trajectory(
                        len(made), state.task, None, (turn,), True, False, turn.reward > 0,
                        group=len(made) // group_size,
                    )
                )  # fmt: skip
        return made

    def bandit_logprobs(self, policy: Any) -> list[float]:
        """What the policy thinks of the actions in the first of :meth:`bandit`'s states, nats."""
        _, choice = self._bandit_choices(policy)[0]
        return [float(np.log(p)) for p in choice.probabilities]

    def _bandit_choices(self, policy: Any) -> list[tuple[State, Choice]]:
        states, _, draws = self.states(3)
        states = [attrs.evolve(state, history=()) for state in reversed(states)]
        return list(zip(states, policy.act(states, [""] * 3, draws, greedy=False), strict=True))
