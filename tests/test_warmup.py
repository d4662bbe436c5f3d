"""Where the policy's warm-up begins, and what it is shown."""

import pytest
import torch
from safetensors.torch import load_file
from toy import lamps_registry, settings

from reflect_core.errors import CheckpointError, ConfigError
from reflect_core.lm.policy import LmPolicy
from reflect_core.progress import QuietProgress
from reflect_core.run import execute


def warm_up(folder, made):
    execute(folder, made, ["teach", "sft"], lamps_registry(), QuietProgress())


@pytest.mark.parametrize("tuning", ["full", "lora"])
@pytest.mark.parametrize("origin", ["base", "reflector"])
def test_the_policys_warm_up_begins_where_it_is_told(model_folder, tmp_path, tuning, origin):
    sft = {"reflector_updates": 3, "policy_updates": 0, "policy_from": origin}
    warm_up(tmp_path, settings(model_folder("lfm2"), tuning, sft=sft))
    name = "model.safetensors" if tuning == "full" else "adapter_model.safetensors"
    reflector, policy = (load_file(tmp_path / player / name) for player in ("reflector", "warmup"))
    assert reflector.keys() == policy.keys()
    same = all(torch.equal(reflector[key], policy[key]) for key in reflector)
    assert same == (origin == "reflector")


@pytest.mark.parametrize(
    ("in_warm_up", "in_play", "reflector", "share"),
    [(None, 0.25, "local", 0.25), (0.5, 1.0, "local", 0.5), (0.0, 1.0, "local", 0.0),
     (0.5, 1.0, "none", 0.0)],
)  # fmt: skip
def test_the_policy_is_shown_reflections_as_often_as_it_is_told(
    model_folder, tmp_path, monkeypatch, in_warm_up, in_play, reflector, share
):
    seen = []
    monkeypatch.setattr(
        LmPolicy, "fit", lambda self, examples, *, reflect, progress: seen.append(reflect) or []
    )
    made = settings(
        model_folder("lfm2"),
        sft={"reflector_updates": 1, "policy_updates": 0, "policy_reflected": in_warm_up},
        rollout={"reflect_probability": in_play},
        reflector=reflector,
    )
    warm_up(tmp_path, made)
    assert seen == [share]


def test_a_policy_begins_with_the_base_where_no_reflector_learns(model_folder, tmp_path):
    sft = {"policy_updates": 0, "policy_from": "reflector"}
    warm_up(tmp_path, settings(model_folder("lfm2"), sft=sft, reflector="none"))
    base = load_file(model_folder("lfm2") / "model.safetensors")
    policy = load_file(tmp_path / "warmup" / "model.safetensors")
    assert all(torch.equal(policy[key], base[key]) for key in policy)


def test_a_policy_that_cannot_begin_as_the_reflector_says_so(model_folder, tmp_path, monkeypatch):
    def load(self, folder):
        raise CheckpointError(f"the policy in {folder} belongs to another model", why="no match")

    monkeypatch.setattr(LmPolicy, "load", load)
    made = settings(model_folder("lfm2"), sft={"policy_from": "reflector"})
    with pytest.raises(ConfigError) as caught:
        warm_up(tmp_path, made)
    assert caught.value.what == "the policy cannot begin as the reflector"
    assert caught.value.why == "no match"
    assert "policy_from=base" in caught.value.then
