"""What can be known of a model without loading or downloading it: its size, its tokenizer."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from reflect_core.lm.pool import FULL_TUNING_BELOW
from reflect_core.lm.quiet import quiet
from reflect_core.lm.shipped import TINY
from reflect_core.settings import ModelSettings

__all__ = ["local_tokenizer", "parameters"]


def parameters(settings: ModelSettings) -> tuple[int, int] | None:
    """Parameters of the base, and those of one player that are trained.

    Returns None where the model's configuration is not on this machine, or of no model that could
    be tuned so.
    """
    quiet()
    try:
        config = AutoConfig.from_pretrained(_source(settings), **_local(settings))
        with torch.device("meta"):  # shapes without memory
            model = AutoModelForCausalLM.from_config(config)
        base = int(model.num_parameters())
        small = base < FULL_TUNING_BELOW and settings.quantize == "none"
        if settings.tuning == "full" or (settings.tuning == "auto" and small):
            return base, base
        lora = LoraConfig(
            r=settings.lora_r,
            lora_alpha=settings.lora_alpha,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        with torch.device("meta"):
            adapted = get_peft_model(model, lora, low_cpu_mem_usage=True)
    except (OSError, ValueError, KeyError):
        return None
    return base, int(sum(p.numel() for p in adapted.parameters() if p.requires_grad))


def local_tokenizer(settings: ModelSettings) -> PreTrainedTokenizerBase | None:
    """The model's tokenizer, None where it is not on this machine."""
    try:
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            _source(settings), **_local(settings)
        )
    except (OSError, ValueError, KeyError):
        return None
    return found


def _source(settings: ModelSettings) -> str:
    return str(TINY) if settings.name == "tiny" else settings.name


def _local(settings: ModelSettings) -> dict[str, Any]:
    revision = {"revision": settings.revision} if settings.revision else {}
    return {"local_files_only": True, **revision}
