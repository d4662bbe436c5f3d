"""Everything that touches torch: models, tokens, prompts as tensors, warm-up, sampling."""
