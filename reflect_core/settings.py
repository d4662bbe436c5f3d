"""The configuration of a run as attrs classes: what can be set, with defaults and help.

``config.py`` reads and checks it; everything else is handed the resolved values.
Options of plugins live with the plugins and appear here as :class:`Part`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from reflect_core.hookspecs import NoConfig, option
from reflect_core.records import SPLITS


@attrs.frozen
class Part:
    """A chosen plugin part: its name and its options, an instance of its spec's ``config``."""

    name: str
    options: Any = attrs.field(factory=NoConfig)


def _is_model_folder(name: str) -> bool:
    """Whether a model's name is a folder's: it looks like one, or there is one of that name."""
    return name.startswith((".", "/", "~")) or (name != "tiny" and Path(name).is_dir())


@attrs.frozen
class ModelSettings:
    """Which causal language model plays, and how it is loaded and tuned."""

    name: str = option(
        "tiny",
        "Hub name or folder of a causal LM; 'tiny' ships with the package.",
        path=_is_model_folder,
    )
    revision: str | None = option(None, "Commit, branch or tag of a hub model.")
    dtype: str = option(
        "float32",
        "Precision of the weights: float32, bfloat16 or float16.",
        choices=("float32", "bfloat16", "float16"),
    )
    quantize: str = option(
        "none",
        "none, 8bit or 4bit (needs bitsandbytes and a GPU).",
        choices=("none", "8bit", "4bit"),
    )
    tuning: str = option(
        "auto", "full, lora, or auto: full below 50 M parameters.", choices=("auto", "full", "lora")
    )
    lora_r: int = option(16, "Rank of the LoRA adapters.", minimum=1)
    lora_alpha: int = option(8, "Scale of the LoRA adapters.", minimum=1)
    context: int = option(1024, "Longest prompt in tokens.", minimum=16)


@attrs.frozen
class TeachSettings:
    """The teacher's examples for the warm-up."""

    episodes: int = option(2000, "Expert episodes, over the train tasks in turn.", minimum=0)
    share: float = option(
        0.5,
        "Share of the train tasks that the teacher shows; RL plays the rest, or practice tasks.",
        minimum=0,
        maximum=1,
    )
    negatives: float = option(2.0, "Negative examples per episode; 0 turns them off.", minimum=0)
    named_negatives: float = option(
        0.0,
        "Chance that the wrong move of a negative example is another action that the reflection "
        "names, where it names one.",
        minimum=0,
        maximum=1,
    )
    spoiler: bool = option(
        True,
        "Tell a teacher that is not the expert which action is right; else it plays by itself.",
    )
    stages: str = option(
        "final",
        "Stages of the environment that are shown: final, the real task; all, in turn.",
        choices=("final", "all"),
    )


@attrs.frozen
class SftSettings:
    """Supervised warm-up of both players."""

    reflector_updates: int = option(320, "Optimizer steps for the reflector.", minimum=0)
    policy_updates: int = option(40, "Optimizer steps for the policy.", minimum=0)
    policy_from: str = option(
        "base",
        "Where the policy's warm-up begins: the base, or the reflector, if that was warmed up.",
        choices=("base", "reflector"),
    )
    policy_reflected: float | None = option(
        None,
        "Share of the policy's examples with a reflection; if none, rollout.reflect_probability.",
        minimum=0,
        maximum=1,
    )
    batch_size: int = option(32, "Examples per step.", minimum=1)
    balance: float = option(
        0.0,
        "How far rare kinds of reflections are learnt from as often as common ones: 0 draws "
        "examples as they come, 1 all kinds alike.",
        minimum=0,
        maximum=1,
    )
    lr: float = option(1e-3, "Peak learning rate; linear warm-up, then cosine decay.", minimum=0)
    policy_lr: float | None = option(None, "The policy's own; if none, lr.", minimum=0)
    max_grad_norm: float = option(1.0, "Gradient clipping; 0 for none.", minimum=0)

    @property
    def for_policy(self) -> SftSettings:
        """These settings, with the policy's own learning rate for ``lr``."""
        return self if self.policy_lr is None else attrs.evolve(self, lr=self.policy_lr)


@attrs.frozen
class RolloutSettings:
    """How episodes are played."""

    num_envs: int = option(128, "Episodes that run side by side in a cohort.", minimum=1)
    batch_rows: int = option(
        32,
        "Prompts of a player in one forward pass of play: memory and speed, not mathematics.",
        minimum=1,
    )
    temperature: float = option(1.0, "Of the policy while it samples.", minimum=0)
    reflection_temperature: float = option(
        1.0, "Of the reflector while it samples; 0 is greedy.", minimum=0
    )
    max_reflection_tokens: int = option(64, "Longest reflection in tokens.", minimum=1)
    reflect_probability: float = option(
        1.0, "Chance that a turn has a reflection, in warm-up and play.", minimum=0, maximum=1
    )
    name_actions: bool = option(
        True, "Whether reflections may name legal actions word for word; else these are cut out."
    )
    check_reflections: bool = option(
        True, "Tell the policy where a reflection names no legal action."
    )
    history: int = option(-1, "Past turns shown in the prompt; -1 for all that fit.", minimum=-1)
    workers: int = option(
        0,
        "Processes for environments that are slow, leak or crash; 0 plays them in this one.",
        minimum=0,
    )
    worker_timeout: float = option(
        120.0,
        "Seconds that one call of an environment in a worker may take.",
        minimum=0.01,
        neutral=True,
    )
    worker_memory: float = option(
        2048.0,
        "MiB above which a worker is replaced between episodes; 0 for no limit.",
        minimum=0,
        neutral=True,
    )
    failed_episodes: float = option(
        0.05,
        "Share of failed episodes above which the run stops.",
        minimum=0,
        maximum=1,
        neutral=True,
    )


@attrs.frozen
class TrainSettings:
    """Online reinforcement learning."""

    iterations: int = option(8, "Rounds of collect and update.", minimum=0)
    episodes: int = option(96, "Episodes per iteration.", minimum=1)
    valid_every: int = option(4, "Iterations between validations; the best is kept.", minimum=1)
    valid_episodes: int = option(100, "Episodes of a validation, sampled.", minimum=1)
    checkpoint_every: int = option(4, "Iterations between checkpoints.", minimum=1)
    keep_checkpoints: int = option(2, "Newest checkpoints to keep beside the best.", minimum=1)


@attrs.frozen
class ReplaySettings:
    """Solved episodes of earlier iterations that are learnt from once more.

    They add ``coef`` times the probability of success to what is maximised.
    """

    episodes: int = option(
        0, "Old solved episodes that join each iteration's update; 0 turns replay off.", minimum=0
    )
    capacity: int = option(
        1000, "Most episodes kept; of more, a random part that weighs the more.", minimum=1
    )
    max_age: int = option(5, "Iterations after which an episode is dropped.", minimum=1)
    coef: float = option(
        1.0,
        "Weight of the replayed term, which raises the probability of success, not the return.",
        minimum=0,
    )


@attrs.frozen
class EvalSettings:
    """The final evaluation on held-out tasks."""

    split: str = option("test", "train, valid or test.", choices=SPLITS)
    episodes: int = option(200, "Episodes per row; every row plays the same ones.", minimum=1)
    decoding: str = option(
        "both", "sampled, argmax or both.", choices=("sampled", "argmax", "both")
    )
    players: tuple[str, ...] = option(
        (), "Rows to play, by name: random, warmup, trained, ...; if none are named, all."
    )
    label: str = option("", "Of an evaluation beside the run's own: evaluation-LABEL.json.")


@attrs.frozen
class Settings:
    """One run, whole."""

    seed: int
    env: Part
    reflector: Part
    policy: Part
    trainer: Part
    curriculum: Part
    teacher: Part = attrs.field(factory=lambda: Part("expert"))
    model: ModelSettings = attrs.field(factory=ModelSettings)
    teach: TeachSettings = attrs.field(factory=TeachSettings)
    sft: SftSettings = attrs.field(factory=SftSettings)
    rollout: RolloutSettings = attrs.field(factory=RolloutSettings)
    train: TrainSettings = attrs.field(factory=TrainSettings)
    replay: ReplaySettings = attrs.field(factory=ReplaySettings)
    eval: EvalSettings = attrs.field(factory=EvalSettings)

    @property
    def reflected_examples(self) -> float:
        """Share of the policy's warm-up examples that carry a reflection."""
        if self.reflector.name == "none":
            return 0.0
        share = self.sft.policy_reflected
        return self.rollout.reflect_probability if share is None else share
