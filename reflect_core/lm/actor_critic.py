"""The one module that is trained by RL: a distribution over labels, and a value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from reflect_core.lm.batch import PromptBatch
from reflect_core.lm.logits import LogitMap


class ActorCritic(nn.Module):
    """A causal LM read at the last token of the prompt.

    The actor's logits are the rows of the output matrix that belong to the legal labels,
    times the last hidden state; no other row is multiplied. The critic is a linear head on
    the same hidden state.

    Args:
        lm: The causal LM, with or without adapters injected.
        critic: Whether there is a value head; without one, values are 0.
        logit_map: What the model does to its logits after the output matrix.
    """

    def __init__(self, lm: PreTrainedModel, *, critic: bool, logit_map: LogitMap) -> None:
        super().__init__()
        self.lm = lm
        self._logit_map = logit_map
        width = lm.get_output_embeddings().weight.shape[1]
        self.value_head: nn.Linear | None = None
        if critic:
            self.value_head = nn.Linear(width, 1).to(lm.device, torch.float32)
            # starts at 0: the first advantages are the returns themselves
            nn.init.zeros_(self.value_head.weight)
            nn.init.zeros_(self.value_head.bias)

    def forward(self, batch: PromptBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Label logits (B, K) in fp32, -inf where padded, and values (B,) in fp32."""
        return self.heads(self.state(batch), batch)

    def heads(self, state: torch.Tensor, batch: PromptBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`forward`, of hidden states (B, D) that :meth:`state` gave."""
        logits = self._label_logits(state, batch.label_ids)
        logits = logits.masked_fill(~batch.label_mask, float("-inf"))
        if self.value_head is None:
            return logits, torch.zeros(len(state), device=logits.device)
        return logits, self.value_head(state.float()).squeeze(-1)

    def state(self, batch: PromptBatch) -> torch.Tensor:
        """The hidden state that actor and critic read, (B, D)."""
        backbone = getattr(self.lm, self.lm.base_model_prefix)
        hidden = backbone(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).last_hidden_state  # (B, T, D)
        last = batch.attention_mask.sum(dim=1) - 1
        state: torch.Tensor = hidden[torch.arange(len(last), device=last.device), last]
        return state

    def set_critic(self, weight: npt.ArrayLike, bias: float) -> None:
        """Give the critic other weights, (D,), and another bias."""
        assert self.value_head is not None
        with torch.no_grad():
            self.value_head.weight.copy_(torch.as_tensor(np.asarray(weight)).unsqueeze(0))
            self.value_head.bias.fill_(bias)

    def _label_logits(self, state: torch.Tensor, label_ids: torch.Tensor) -> torch.Tensor:
        head = self.lm.get_output_embeddings()
        rows = head.weight[label_ids]  # (B, K, D)
        # in full precision: half of it would round a logit of 20 to an eighth, and so its
        # probability by an eighth, and not in the same way in play and in an update
        logits = torch.einsum("bd,bkd->bk", state.float(), rows.float())
        if getattr(head, "bias", None) is not None:
            logits = logits + head.bias[label_ids].float()
        return self._logit_map(logits)
