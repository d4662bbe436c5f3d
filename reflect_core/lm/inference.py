"""Forward passes that nothing is learnt from."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

__all__ = ["inference"]


def inference(model: torch.nn.Module) -> AbstractContextManager[object]:
    """In it a model is read without gradients, in the fastest way that spoils no later training.

    What is computed is the same as under ``torch.no_grad``.

    Args:
        model: That is read. A quantised one may keep what it makes in its first pass for the
            passes that train it, where tensors made in inference mode are refused.
    """
    if getattr(model, "is_quantized", False):
        return torch.no_grad()
    return torch.inference_mode()
