"""Prompts of different lengths as rectangular tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import torch

from reflect_core.records import Tokens


@attrs.frozen
class PromptBatch:
    """Prompts and their menus, padded on the right.

    Args:
        input_ids: (B, T) int64.
        attention_mask: (B, T) int64, 0 where padded.
        label_ids: (B, K) int64, the label token of each legal action, 0 where padded.
        label_mask: (B, K) bool, False where padded.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    label_ids: torch.Tensor
    label_mask: torch.Tensor


def pad(
    rows: Sequence[Tokens], value: int, *, left: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as one (B, T) tensor, and the mask of what is not padding."""
    width = max(len(row) for row in rows)
    ids = np.full((len(rows), width), value, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, place] = row
        mask[i, place] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def prompt_batch(
    prompts: Sequence[Tokens], labels: Sequence[Tokens], *, pad_id: int, device: torch.device
) -> PromptBatch:
    """Pad prompts and menus and put them on the device."""
    input_ids, attention_mask = pad(prompts, pad_id)
    label_ids, label_mask = pad(labels, 0)
    return PromptBatch(
        input_ids.to(device),
        attention_mask.to(device),
        label_ids.to(device),
        label_mask.bool().to(device),
    )


def by_length(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Indices in groups of at most ``size``, alike in length, so that little is padded."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    for start in range(0, len(order), size):
        yield order[start : start + size]
