"""Hooks and options of the plugin; what needs torch is imported by the factory."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from reflect_core import Context, Trainer, TrainerSpec, hookimpl, option

GRADIENT, LEAST_SQUARES = CRITICS = ("gradient", "least-squares")


@attrs.frozen
class PpoConfig:
    """Options of the trainer ``ppo``; names as in CleanRL."""

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
    gae_lambda: float = option(
        0.95, "Lambda of generalised advantage estimation.", minimum=0, maximum=1
    )
    clip_coef: float = option(0.2, "Clipping range of the probability ratio.", minimum=0)
    critic: str = option(
        GRADIENT,
        "gradient: learns with the policy, from zero; least-squares: fitted to every iteration's "
        "returns before they are learnt from.",
        choices=CRITICS,
    )
    vf_coef: float = option(0.5, "Weight of the value loss; with critic=gradient.", minimum=0)
    ent_coef: float = option(0.01, "Weight of the entropy bonus.", minimum=0)
    kl_coef: float = option(0.0, "Weight of the KL divergence to the warm-up policy.", minimum=0)
    update_epochs: int = option(2, "Passes over an iteration's turns.", minimum=1)
    keep_certain: float = option(
        0.25,
        "Chance to learn from a turn whose action was certain; those kept weigh the more.",
        minimum=0.01,
        maximum=1,
    )
    minibatch_size: int = option(32, "Turns per optimizer step; 0 for all in one.", minimum=0)
    micro_batch_size: int = option(8, "Turns per forward pass; memory, not mathematics.", minimum=1)
    max_grad_norm: float = option(0.5, "Gradient clipping; 0 for none.", minimum=0)
    target_kl: float | None = option(
        0.05, "Stop an update's passes above this approximate KL.", minimum=0
    )
    norm_adv: bool = option(True, "Standardise advantages over the iteration.")


def make_trainer(config: PpoConfig, context: Context) -> Trainer:
    """The factory behind ``--trainer ppo``."""
    from reflect_trainer_ppo.trainer import PpoTrainer

    return PpoTrainer(config, context)


@hookimpl
def reflect_trainers() -> Iterable[TrainerSpec]:
    """Offer ``ppo``."""
    yield TrainerSpec(
        name="ppo",
        factory=make_trainer,
        config=PpoConfig,
        summary="clipped PPO with a critic and generalised advantage estimation",
        needs_critic=True,
        needs_lm=True,
    )
