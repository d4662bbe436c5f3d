"""The model card of `tiny`: what it is, the commands that made it, and what it can do."""

from __future__ import annotations

import math
import platform
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
import transformers

if TYPE_CHECKING:
    from tiny_settings import Settings

SHIPPED = "reflect_core/lm/tiny"
MADE, KNOWS = "## How it was made", "## Held-out skills"

CARD = """---
library_name: transformers
pipeline_tag: text-generation
---

# tiny

A causal language model of {parameters:,} parameters: the base that `reflect` fine-tunes when
no other model is named. It is small enough to train on a laptop's CPU. On its own it says
nothing of use: it was taught operations on its context, not facts.

- **Architecture**: LFM2, {layers} layers (short convolutions of width {kernel} and attention
  by turns), width {width}, tied embeddings, weights in bfloat16.
- **Tokenizer**: byte-level BPE, {vocabulary} entries. Spaces and digits are tokens of their
  own, so a name is the same token sequence wherever it stands. `<|00|>` to `<|99|>` are
  reserved label tokens; text tokenized with `split_special_tokens=True` never produces them.
- **Data**: synthetic text, generated on the fly by `tools/tiny_text` from made-up names
  and a list of common words. No module name of Python's standard library (its tests aside) and
  no room of a household occurs in it. Some examples hold imperatives, to be copied where a
  condition holds; none asks which action leads to a goal.
- **Trained for contexts** of up to {longest} tokens.

{made}
{knows}

Share of answers with every token right (greedy, {examples} fresh examples per skill at full
difficulty, bfloat16 weights as shipped). An example often holds several answers; a copied
sentence counts as one.

| skill | what is asked | accuracy |
|---|---|---|
{rows}
"""

STEPS = """
    {command}

{steps:,} steps of up to {batch:,} tokens ({tokens:,} tokens in all) with
AdamW (0.9, 0.98), peak learning rate {rate}. It took {minutes:.0f} minutes on {threads} CPU
thread(s), about {throughput:,.0f} tokens per second.

Python {python}, torch {torch}, transformers {transformers}. Other versions or another
processor may round differently and give other weights of the same quality.

SHA-256 of `model.safetensors`: `{digest}`
"""


@dataclass(frozen=True)
class Making:
    """One command's part in the weights.

    Attributes:
        settings: of the training.
        first: steps already made when it began.
        facts: what `train` returned with the weights.
        digest: of the weights, as hexadecimal SHA-256.
        before: the card of the weights that it began from, if it did not begin from nothing.
    """

    settings: Settings
    first: int
    facts: dict[str, float]
    digest: str
    before: str = ""

    def text(self) -> str:
        """The section of the card; what went before comes first."""
        seconds = self.facts["seconds"]
        rate = self.settings.alike_rate if self.before else self.settings.learning_rate
        section = STEPS.format(
            command=self._command(),
            steps=int(self.facts["step"]) - self.first,
            batch=self.settings.tokens_per_batch,
            tokens=int(self.facts["tokens"]),
            rate=rate,
            minutes=seconds / 60,
            threads=torch.get_num_threads(),
            throughput=self.facts["tokens"] / max(1.0, seconds),
            python=platform.python_version(),
            torch=torch.__version__,
            transformers=transformers.__version__,
            digest=self.digest,
        )
        if not self.before:
            return f"{MADE}\n{section}"
        made = self.before[self.before.index(MADE) : self.before.index(KNOWS)].rstrip()
        then = "Then, from the weights that this wrote, on lists whose items end alike:"
        return f"{made}\n\n{then}\n{section}"

    def _command(self) -> str:
        words = ["python", "tools/pretrain_tiny.py", "--out", SHIPPED]
        words += ["--base", SHIPPED] if self.before else []
        words += ["--seed", str(self.settings.seed)]
        defaults = asdict(type(self.settings)())
        for key, value in asdict(self.settings).items():
            if key != "seed" and value != defaults[key]:
                flag = f"--{key.replace('_', '-')}"
                words += ["--eager"] if key == "compiled" else [flag, str(value)]
        if torch.get_num_threads() > 1:  # sums in another order end in other last bits
            words += ["--threads", str(torch.get_num_threads())]
        done = int(self.facts["step"])
        stopped = f"    # stopped early, after step {done}" if done < self.settings.whole else ""
        return shlex.join(words) + stopped


def model_card(
    model: transformers.PreTrainedModel,
    making: Making,
    skills: Sequence[tuple[str, str, float]],
    examples: int,
) -> str:
    """The card; ``skills`` are names, what each asks, and the share of right answers.

    A skill without an answer, whose share is not a number, has no row.
    """
    return CARD.format(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        layers=model.config.num_hidden_layers,
        kernel=model.config.conv_L_cache,
        width=model.config.hidden_size,
        vocabulary=model.config.vocab_size,
        longest=making.settings.longest,
        made=making.text(),
        knows=KNOWS,
        examples=examples,
        rows="\n".join(
            f"| `{name}` | {asked} | {value:.3f} |"
            for name, asked, value in skills
            if not math.isnan(value)
        ),
    )
