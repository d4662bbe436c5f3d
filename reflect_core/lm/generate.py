"""Batched generation with a key/value cache, sampled from each row's own random stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from reflect_core.errors import ModelError
from reflect_core.lm.batch import pad
from reflect_core.records import Tokens


def inverse_cdf(probabilities: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Sample an index per row: the first whose cumulative probability exceeds the uniform.

    Args:
        probabilities: (B, K), rows sum to 1.
        uniforms: (B,) in [0, 1).

    Returns:
        (B,) int64; never an index of probability 0.
    """
    if probabilities.device.type == "mps":  # has no float64
        return inverse_cdf(probabilities.cpu(), uniforms.cpu()).to(probabilities.device)
    cumulative = probabilities.double().cumsum(dim=-1)
    total = cumulative[:, -1:]
    target = uniforms.double().unsqueeze(-1) * total
    # a uniform that rounds up to 1 takes the last index with any probability
    last = (cumulative < total).sum(dim=-1)
    return torch.minimum((cumulative <= target).sum(dim=-1), last)


def _of_doubles(device: torch.device) -> torch.device:
    """Where numbers in double precision may lie."""
    return torch.device("cpu") if device.type == "mps" else device


def _keep(cache: Any, rows: torch.Tensor) -> None:
    """Leave out all rows of a cache but these."""
    if hasattr(cache, "linear_cache"):  # MiniMax's, which reorders a part of itself alone
        cache.batch_select_indices(rows)
    else:  # linear-attention layers such as LFM2's have no batch_select_indices
        cache.reorder_cache(rows)


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    prompts: Sequence[Tokens],
    uniforms: Sequence[np.random.Generator] | None,
    *,
    max_new_tokens: int,
    end_id: int,
    pad_id: int,
    stop_ids: frozenset[int] = frozenset(),
    temperature: float = 1.0,
    allowed: Callable[[int, Sequence[int]], Sequence[int] | None] | None = None,
) -> list[list[int]]:
    """Continue each prompt until it ends.

    Args:
        model: A causal LM in evaluation mode.
        prompts: Token ids, one array per row.
        uniforms: One generator per row, which draws one number a token; None for argmax.
        max_new_tokens: Limit on what is written.
        end_id: Ends a row; not part of the result.
        stop_ids: End a row as well (tokens with a line break).
        temperature: Of sampling.
        allowed: Given a row and what it has written, the tokens of which the next must be one;
            None or none of them: any.

    Returns:
        New tokens of each row, without the token that ended it.
    """
    if not prompts or max_new_tokens < 1:
        return [[] for _ in prompts]
    device = model.device
    # on the left, so that all rows write their next token at the same place
    ids, mask = (t.to(device) for t in pad(prompts, pad_id, left=True))
    positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
    written: list[list[int]] = [[] for _ in prompts]
    # the prompts that the tensors' rows belong to, and which of them still run
    rows = np.arange(len(prompts))
    running = np.ones(len(prompts), bool)
    cache = None
    for _ in range(max_new_tokens):
        output = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = getattr(output, "past_key_values", None)
        if cache is None:
            raise ModelError(
                f"a model of the architecture {model.config.model_type!r} cannot write reflections",
                why="it gives back no past_key_values, without which each token would read all "
                "that is before it again",
                then="choose another --model, or --reflector none",
            )
        logits = output.logits[:, -1].float()
        if allowed is not None:
            for place in np.flatnonzero(running[rows]).tolist():
                only = allowed(int(rows[place]), written[rows[place]])
                if only:
                    others = torch.ones_like(logits[place], dtype=torch.bool)
                    others[list(only)] = False
                    logits[place, others] = -torch.inf
        if uniforms is None:
            chosen = logits.argmax(dim=-1)
        else:
            # a row draws only while it runs: its numbers depend on itself alone
            drawn = [uniforms[row].random() if running[row] else 0.0 for row in rows.tolist()]
            chosen = inverse_cdf(
                torch.softmax(logits / temperature, dim=-1),
                torch.tensor(drawn, dtype=torch.float64).to(_of_doubles(device)),
            )
        for row, token in zip(rows.tolist(), chosen.tolist(), strict=True):
            if running[row]:
                if token == end_id or token in stop_ids:
                    running[row] = False
                else:
                    written[row].append(token)
        on = running[rows]
        if not on.any():
            break
        ids = chosen.unsqueeze(1)
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        positions = positions[:, -1:] + 1
        # one that goes on and on should not take all the others along
        if 2 * on.sum() <= len(rows):
            kept = torch.from_numpy(np.flatnonzero(on)).to(device)
            _keep(cache, kept)
            ids, mask, positions = ids[kept], mask[kept], positions[kept]
            rows = rows[on]
    return written
