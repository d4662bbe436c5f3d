"""Names of legal actions alone after a colon."""

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reflect_reflector_local.legal import LegalNames
from reflect_reflector_local.reflector import LocalReflector
from small_models import ARCHITECTURES
from toy import pool, stir, turns
from toy import settings as run_settings

from reflect_core.lm.generate import generate
from reflect_core.records import Observation

WORDS = ("go", "to", "desk", "desk 1", "cd", "src", "né", "日本", "a:b", "1", "12", "/", "x.py")
ACTIONS = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
    min_size=1,
    max_size=6,
    unique=True,
)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def names(request, model_folder):
    models = pool(model_folder(request.param))
    pieces = models.tokenizer.batch_decode([[token] for token in range(len(models.tokenizer))])
    return models.encoder, LegalNames(models.encoder, pieces)


@given(actions=ACTIONS, head=st.sampled_from([" Not here:", " go:", ":"]), data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_may_follow_spells_legal_actions_and_each_of_them(names, actions, head, data):
    encoder, legal = names
    before = list(encoder.text(head))
    assert legal.next_tokens(before[:-1], actions) is None
    spelt = data.draw(st.lists(st.sampled_from(actions), min_size=1, max_size=3, unique=True))
    path = [*encoder.text(f"{head} {' or '.join(spelt)}"), encoder.end_id]
    for place in range(len(before), len(path)):
        assert path[place] in (legal.next_tokens(path[:place], actions) or ())
    written = before
    while True:
        token = data.draw(st.sampled_from(legal.next_tokens(written, actions)))
        if token == encoder.end_id:
            break
        written = [*written, token]
    text = encoder.tokenizer.decode(written)
    said = text.removeprefix(f"{head} ").split(" or ")
    assert text.startswith(f"{head} ")
    assert set(said) <= set(actions)
    assert len(set(said)) == len(said)


def test_what_cannot_become_a_legal_action_is_not_held_up(names):
    encoder, legal = names
    written = [*encoder.text(" Not here: sing")]
    assert legal.next_tokens(written, ["go to desk 1"]) is None
    assert legal.next_tokens([*encoder.text(" a: ")], []) is None


def begins_with_a_colon(model_folder, *, legal_names, **rollout):
    """A random model that writes a colon first."""
    folder = model_folder("lfm2")
    reflector = LocalReflector(
        pool(folder),
        run_settings(folder, rollout={"max_reflection_tokens": 24, **rollout}),
        legal_names=legal_names,
    )
    stir(reflector.player.trainable(), scale=0.3, seed=0)
    (colon,) = reflector.models.encoder.text(":")

    def dictate(module, inputs, logits):
        first = inputs[0].shape[1] == 1 and not dictate.begun
        dictate.begun = True
        return logits.index_fill(-1, torch.tensor([colon]), 1e6) if first else logits

    dictate.begun = False
    reflector.player.model.get_output_embeddings().register_forward_hook(dictate)
    return reflector, dictate


@pytest.mark.parametrize("greedy", [True, False])
def test_after_a_colon_a_reflection_names_a_legal_action_of_its_own_state(model_folder, greedy):
    states, _, draws = turns(7)
    states = [
        attrs.evolve(s, observation=Observation("", (f"push {i}", f"push {i}0", "red")))
        for i, s in enumerate(states)
    ]
    said = {}
    for legal_names in (True, False):
        reflector, dictate = begins_with_a_colon(model_folder, legal_names=legal_names)
        said[legal_names] = reflector.reflect(states, draws, greedy=greedy)
        dictate.begun = False
        assert reflector.reflect(states[:1], draws[:1], greedy=greedy) == said[legal_names][:1]
    for text, state in zip(said[True], states, strict=True):
        assert set(text.removeprefix(":").strip().split(" or ")) <= {
            *state.observation.legal_actions
        }
    assert said[True] != said[False]


def test_where_reflections_may_not_name_actions_nothing_is_held_to_them(model_folder):
    states, _, draws = turns(3)
    free, _ = begins_with_a_colon(model_folder, legal_names=False, name_actions=False)
    asked, _ = begins_with_a_colon(model_folder, legal_names=True, name_actions=False)
    assert asked.reflect(states, draws, greedy=True) == free.reflect(states, draws, greedy=True)


def test_only_the_tokens_allowed_are_written(model_folder):
    models = pool(model_folder("llama"))
    model = models.player("reflector").model
    prompts = [list(models.encoder.text(text)) for text in ("red", "blue green")]
    asked = []

    def allowed(row, written):
        asked.append((row, len(written)))
        return [3 + row] if len(written) < 2 else None

    new = generate(model, prompts, None, max_new_tokens=4, end_id=-1, pad_id=0, allowed=allowed)
    assert [tokens[:2] for tokens in new] == [[3, 3], [4, 4]]
    assert asked == [(row, step) for step in range(4) for row in range(2)]
