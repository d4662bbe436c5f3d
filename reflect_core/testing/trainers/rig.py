"""A trainer with the policy that it trains, and what an update does to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from reflect_core.records import Trajectory
from reflect_core.testing.laws import Skipped
from reflect_core.testing.parts import PartSubject

if TYPE_CHECKING:
    from reflect_core.lm.policy import LmPolicy

__all__ = ["BARE", "ONE_STEP", "Rig", "actor_of", "differing", "flat"]

BARE: dict[str, Any] = {
    "ent_coef": 0.0,
    "vf_coef": 0.0,
    "kl_coef": 0.0,
    "weight_decay": 0.0,
    "keep_certain": 1.0,
}
"""Options that leave nothing of a loss but its policy term, of all turns."""
ONE_STEP: dict[str, Any] = {
    "minibatch_size": 1_000_000,
    "micro_batch_size": 1_000_000,
    "update_epochs": 1,
    "target_kl": None,
}
"""Options that make one optimizer step of a batch, in one forward pass."""


@attrs.frozen
class Rig:
    """A trainer and the policy that it trains.

    Args:
        trainer: The trainer.
        policy: A policy ``lm`` on a small random model.
    """

    trainer: Any
    policy: LmPolicy

    @classmethod
    def of(cls, subject: PartSubject, *, silent: bool = False, **options: Any) -> Rig:
        """A new one, with these options where the trainer has them.

        Args:
            silent: The critic says 0 to everything.
        """
        policy = subject.policy(silent=silent)
        return cls(subject.build(config=subject.changed(**options), policy=policy), policy)

    @property
    def group_size(self) -> int:
        """Episodes of each task that it wants."""
        return int(getattr(self.trainer, "group_size", 1))

    def update(self, episodes: Sequence[Trajectory], iteration: int = 0) -> Mapping[str, float]:
        """Make an update; returns what it logs."""
        found: Mapping[str, float] = self.trainer.update(episodes, iteration=iteration)
        return found

    def actor(self) -> list[Any]:
        """The parameters that choose actions."""
        head = self.policy.module.value_head
        critics = {id(each) for each in head.parameters()} if head is not None else set()
        return [each for each in self.policy.trainable() if id(each) not in critics]

    def gradient(self, episodes: Sequence[Trajectory]) -> Any:
        """The actor's gradient in the one step that an update makes, flat, as numpy.

        Raises:
            Skipped: It makes another number of steps.
        """
        with self._noted() as steps:
            self.update(episodes)
        if len(steps) != 1:
            raise Skipped(
                f"it makes {len(steps)} steps of a batch; one step is asked for with the options "
                "minibatch_size, update_epochs and target_kl, where it has them"
            )
        return steps[0]

    @contextlib.contextmanager
    def _noted(self) -> Iterator[list[Any]]:
        """The actor's gradients before each step of any optimizer."""
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        steps: list[Any] = []
        parameters = self.actor()
        handle = register_optimizer_step_pre_hook(
            lambda *_: steps.append(flat([p.grad for p in parameters], parameters))
        )
        try:
            yield steps
        finally:
            handle.remove()


def flat(gradients: Sequence[Any], parameters: Sequence[Any]) -> Any:
    """Gradients, None for none, of all parameters in one numpy array of doubles."""
    import torch

    parts = [
        (torch.zeros_like(p) if g is None else g).flatten()
        for g, p in zip(gradients, parameters, strict=True)
    ]
    return torch.cat(parts).double().cpu().numpy().copy()


def actor_of(policy: LmPolicy) -> dict[str, Any]:
    """Copies of what chooses actions."""
    return {k: v for k, v in policy.state_dict().items() if not k.startswith("value_head.")}


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the tensors that differ."""
    import torch

    return [name for name in before if not torch.equal(before[name], after[name])]
