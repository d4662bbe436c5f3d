"""What models do to their logits after the output matrix, found by trying."""

import pytest
import torch
from small_models import ARCHITECTURES, SCALED, make_model

from reflect_core.errors import ModelError
from reflect_core.lm.logits import logit_map

IDS = torch.tensor([[5, 9, 3, 7, 11]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *SCALED])
def test_it_is_what_the_model_does(architecture, dtype):
    model = make_model(architecture, 400).to(dtype)
    mapped = logit_map(model)
    with torch.no_grad():
        hidden = getattr(model, model.base_model_prefix)(input_ids=IDS).last_hidden_state
        product = model.get_output_embeddings()(hidden).float()
        logits = model(input_ids=IDS).logits.float()
    size = float(logits.abs().max())
    assert torch.allclose(
        mapped(product), logits, atol=1e-5 * size if dtype.itemsize == 4 else 0.05 * size
    )
    changed = not torch.allclose(product, logits, atol=0.05 * size)
    assert changed is (architecture in SCALED)


def test_a_cap_is_there_also_where_logits_are_too_small_to_show_it():
    model = make_model("gemma2", 400)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(1e-4)
    assert float(logit_map(model)(torch.tensor(50.0))) == pytest.approx(1.0)


def test_it_leaves_the_model_as_it_was():
    model = make_model("llama", 400).train()
    logit_map(model)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_is_done_in_another_way_is_refused(monkeypatch):
    model = make_model("llama", 400)
    forward = type(model).forward

    def shifted(self, *args, **more):
        output = forward(self, *args, **more)
        output.logits = output.logits + torch.arange(400) / 100
        return output

    monkeypatch.setattr(type(model), "forward", shifted)
    with pytest.raises(ModelError, match="how LlamaForCausalLM makes its logits is not known"):
        logit_map(model)
