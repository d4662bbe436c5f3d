"""Hooks and options of the plugin; what needs torch is imported by the factory."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from reflect_core import Context, Trainer, TrainerSpec, hookimpl, option

BASELINES = ("none", "mean", "loo", "critic")


@attrs.frozen
class ReinforceConfig:
    """Options of the trainer ``reinforce``; names as in CleanRL."""

    lr: float = option(3e-4, "Learning rate of Adam.", minimum=0)
    anneal_lr: bool = option(
        False, "Let the rate fall linearly, to nothing after the last iteration."
    )
    adam_eps: float = option(
        1e-5,
        "Added to the root of Adam's second moment; far above that, a step is as long as the "
        "gradient is steep.",
        minimum=1e-12,
    )
    gamma: float = option(1.0, "Discount per turn.", minimum=0, maximum=1)
    baseline: str = option(
        "loo",
        "What returns are compared with: none; mean, of the episodes; loo, the mean of the "
        "others (of the group, where it has others); critic, a learnt value.",
        choices=BASELINES,
    )
    group_size: int = option(1, "Episodes of each task in an iteration.", minimum=1)
    vf_coef: float = option(0.5, "Weight of the value loss, with baseline critic.", minimum=0)
    ent_coef: float = option(0.01, "Weight of the entropy bonus.", minimum=0)
    kl_coef: float = option(0.0, "Weight of the KL divergence to the warm-up policy.", minimum=0)
    keep_certain: float = option(
        0.25,
        "Chance to learn from a turn whose action was certain; those kept weigh the more.",
        minimum=0.01,
        maximum=1,
    )
    minibatch_size: int = option(0, "Turns per optimizer step; 0 for one step.", minimum=0)
    micro_batch_size: int = option(8, "Turns per forward pass; memory, not mathematics.", minimum=1)
    max_grad_norm: float = option(0.5, "Gradient clipping; 0 for none.", minimum=0)


def make_trainer(config: ReinforceConfig, context: Context) -> Trainer:
    """The factory behind ``--trainer reinforce``."""
    from reflect_trainer_reinforce.trainer import ReinforceTrainer

    return ReinforceTrainer(config, context)


@hookimpl
def reflect_trainers() -> Iterable[TrainerSpec]:
    """Offer ``reinforce``."""
    yield TrainerSpec(
        name="reinforce",
        factory=make_trainer,
        config=ReinforceConfig,
        summary="REINFORCE on the return-to-go, with a choice of baselines (RLOO among them)",
        needs_critic=True,  # for baseline critic
        needs_lm=True,
    )
