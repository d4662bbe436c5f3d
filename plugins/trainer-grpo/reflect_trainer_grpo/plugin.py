"""Hooks and options of the plugin; what needs torch is imported by the factory."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from reflect_core import Context, Trainer, TrainerSpec, hookimpl, option


@attrs.frozen
class GrpoConfig:
    """Options of the trainer ``grpo``; names as in CleanRL."""

    lr: float = option(1e-4, "Learning rate of Adam.", minimum=0)
    anneal_lr: bool = option(
        False, "Let the rate fall linearly, to nothing after the last iteration."
    )
    adam_eps: float = option(
        1e-5,
        "Added to the root of Adam's second moment; far above that, a step is as long as the "
        "gradient is steep.",
        minimum=1e-12,
    )
    group_size: int = option(8, "Episodes of each task that are compared.", minimum=2)
    norm_std: bool = option(
        True, "Divide advantages by their group's standard deviation (false: Dr. GRPO)."
    )
    step_coef: float = option(
        0.0,
        "Weight of the advantage among turns in the same state (GiGPO: 1); 0 turns it off.",
        minimum=0,
    )
    gamma: float = option(0.95, "Discount per turn, for step_coef only.", minimum=0, maximum=1)
    clip_coef: float = option(0.2, "Clipping range of the probability ratio.", minimum=0)
    ent_coef: float = option(0.01, "Weight of the entropy bonus.", minimum=0)
    kl_coef: float = option(0.0, "Weight of the KL divergence to the warm-up policy.", minimum=0)
    update_epochs: int = option(1, "Passes over an iteration's turns.", minimum=1)
    keep_certain: float = option(
        0.25,
        "Chance to learn from a turn whose action was certain; those kept weigh the more.",
        minimum=0.01,
        maximum=1,
    )
    minibatch_size: int = option(64, "Turns per optimizer step; 0 for one step.", minimum=0)
    micro_batch_size: int = option(8, "Turns per forward pass; memory, not mathematics.", minimum=1)
    max_grad_norm: float = option(0.5, "Gradient clipping; 0 for none.", minimum=0)
    target_kl: float | None = option(
        0.05, "Stop an update's passes above this approximate KL.", minimum=0
    )


def make_trainer(config: GrpoConfig, context: Context) -> Trainer:
    """The factory behind ``--trainer grpo``."""
    from reflect_trainer_grpo.trainer import GrpoTrainer

    return GrpoTrainer(config, context)


@hookimpl
def reflect_trainers() -> Iterable[TrainerSpec]:
    """Offer ``grpo``."""
    yield TrainerSpec(
        name="grpo",
        factory=make_trainer,
        config=GrpoConfig,
        summary="GRPO: episodes of one task compared with one another, no critic; also GiGPO",
        needs_lm=True,
    )
