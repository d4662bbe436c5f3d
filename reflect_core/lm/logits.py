"""What a model does to its logits after the output matrix.

The players multiply no more rows of the output matrix than they need, and so have to do by
themselves what the model's own ``forward`` does next. Some architectures scale the product (Granite
divides, Cohere and HyperCLOVA X multiply, each by an option of its own), some squash it (Gemma 2).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator

import torch
from transformers import PreTrainedModel

from reflect_core.errors import ModelError

__all__ = ["LogitMap", "logit_map"]

LogitMap = Callable[[torch.Tensor], torch.Tensor]
"""From the output matrix's product to the model's logits, number by number."""

SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier")
"""Options of configurations that scale; which way is not the same everywhere."""
CAP = "final_logit_softcapping"
TOLERANCE = 0.02
"""Of the largest logit; bf16 has two to three digits."""


@torch.no_grad()
def logit_map(lm: PreTrainedModel) -> LogitMap:
    """What this model does to its logits, found by trying what its configuration names.

    Raises:
        ModelError: It has no output matrix, or does something else to them.
    """
    head = lm.get_output_embeddings()
    if head is None:
        raise _not_known(lm, "it has no output matrix")
    ids = torch.arange(4, device=lm.device).remainder(head.weight.shape[0]).unsqueeze(0)
    was_training = lm.training
    lm.eval()
    backbone = getattr(lm, lm.base_model_prefix)
    product = head(backbone(input_ids=ids, use_cache=False).last_hidden_state).float()
    logits = lm(input_ids=ids, use_cache=False).logits.float()
    lm.train(was_training)

    def error(candidate: LogitMap) -> float:
        return float((candidate(product) - logits).abs().max())

    # those with a cap come first: where logits are small it hardly shows, and it is there
    for candidates in _candidates(lm):
        best = min(candidates, key=error)
        if error(best) <= TOLERANCE * float(logits.abs().max()):
            return best
    raise _not_known(lm, "they are not the output matrix times the last hidden state")


def _candidates(lm: PreTrainedModel) -> Iterator[list[LogitMap]]:
    config = lm.config.get_text_config()
    named = [getattr(config, name, None) for name in SCALES]
    told = [float(value) for value in named if isinstance(value, int | float) and value]
    scales = [1.0, *itertools.chain.from_iterable((value, 1 / value) for value in told)]
    if cap := getattr(config, CAP, None):
        yield [functools.partial(_mapped, scale=scale, cap=float(cap)) for scale in scales]
    yield [functools.partial(_mapped, scale=scale, cap=None) for scale in scales]


def _mapped(logits: torch.Tensor, *, scale: float, cap: float | None) -> torch.Tensor:
    if scale != 1:
        logits = logits * scale
    return logits if cap is None else torch.tanh(logits / cap) * cap


def _not_known(lm: PreTrainedModel, why: str) -> ModelError:
    return ModelError(
        f"how {type(lm).__name__} makes its logits is not known here",
        why=why,
        then="use a causal LM of another architecture",
    )
