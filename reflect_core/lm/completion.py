"""Completion-only language modelling: the loss a reflector is warmed up with."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from reflect_core.lm.batch import pad
from reflect_core.lm.logits import LogitMap
from reflect_core.records import Tokens


@attrs.frozen
class CompletionBatch:
    """Prompts with their completions.

    Args:
        input_ids, attention_mask: (B, T), padded on the right.
        targets: (B, T), at each place the token that follows, -100 where it is not learnt.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    targets: torch.Tensor


def completion_batch(
    prompts: Sequence[Tokens],
    completions: Sequence[Sequence[int]],
    *,
    pad_id: int,
    device: torch.device,
) -> CompletionBatch:
    """Prompts and completions side by side; only completion tokens are targets."""
    rows = [
        np.concatenate([prompt, np.asarray(completion, np.int32)])
        for prompt, completion in zip(prompts, completions, strict=True)
    ]
    ids, mask = pad(rows, pad_id)
    targets = torch.full_like(ids, -100)
    for i, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        targets[i, len(prompt) - 1 : len(row) - 1] = ids[i, len(prompt) : len(row)]
    return CompletionBatch(ids.to(device), mask.to(device), targets.to(device))


class CompletionLoss(nn.Module):
    """Mean cross-entropy in nats over completion tokens, and nothing else.

    Only the places before a completion token are multiplied with the output matrix.

    Args:
        lm: The causal LM that learns.
        logit_map: What it does to its logits after the output matrix.
    """

    def __init__(self, lm: PreTrainedModel, *, logit_map: LogitMap) -> None:
        super().__init__()
        self.lm = lm
        self._logit_map = logit_map

    def forward(self, batch: CompletionBatch) -> torch.Tensor:
        """The loss of a batch, a scalar."""
        backbone = getattr(self.lm, self.lm.base_model_prefix)
        hidden = backbone(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).last_hidden_state
        learnt = batch.targets != -100
        logits = self._logit_map(self.lm.get_output_embeddings()(hidden[learnt]).float())
        return nn.functional.cross_entropy(logits, batch.targets[learnt])
