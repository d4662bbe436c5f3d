"""Keeping the libraries' own chatter out of the progress lines."""

from __future__ import annotations

import logging
import warnings

from transformers.utils import logging as transformers_logging


class _NoKernelAdvice(logging.Filter):
    """Drops the advice to install GPU kernels for short convolutions; we run without them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "is falling back to its reference PyTorch implementation" not in record.getMessage()


def quiet() -> None:
    """Turn off progress bars and two messages that a user can do nothing about."""
    transformers_logging.disable_progress_bar()
    advice = logging.getLogger("transformers.integrations.hub_kernels")
    if not any(isinstance(known, _NoKernelAdvice) for known in advice.filters):
        advice.addFilter(_NoKernelAdvice())
    # peft reads an attribute that transformers renamed
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
