"""Prompts as tokens: prefixes stay prefixes, special tokens stay out, history goes first."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import make_tokenizer

from reflect_core.errors import PromptTooLong
from reflect_core.lm.encode import TOLD, Encoder
from reflect_core.prompt import (
    Segment,
    draw_menu,
    policy_segments,
    reflector_segments,
    state_segments,
)
from reflect_core.records import Draws, Observation, PastTurn, State, Task

TOKENIZER = make_tokenizer()
ENCODER = Encoder(TOKENIZER, 100_000)


def encoder(context=100_000):
    made = copy.copy(ENCODER)
    made.context = context
    return made


def state(past=3, actions=("push red", "push blue")):
    history = tuple(PastTurn(f"The {i} lamp is lit", f"push {i}") for i in range(past))
    return State(Task("t", "train", "push the lit lamp"), Observation("now red", actions), history)


def test_every_earlier_prompt_of_an_episode_is_a_prefix_of_the_later_ones():
    def ids(past):
        segments = state_segments(state(past), history=-1)
        return encoder().prompt(segments[:-1]).ids.tolist()  # up to the present observation

    longest = ids(6)
    for past in range(6):
        assert longest[: len(ids(past))] == ids(past)


def test_both_players_read_the_same_tokens_of_the_state():
    menu = draw_menu(2, len(encoder().labels), Draws(0, ("m",)))
    shared = encoder().prompt(state_segments(state(), history=-1)).ids.tolist()
    asked = encoder().prompt(reflector_segments(state(), history=-1)).ids
    assert asked[: len(shared)].tolist() == shared
    # what would merge across a border if the text were tokenised whole
    for reflection in ("red", ":", " :", "\n", ""):
        whole = encoder().prompt(policy_segments(state(), reflection, menu, history=-1)).ids
        assert whole[: len(shared)].tolist() == shared


@given(st.lists(st.text(max_size=12), max_size=5))
def test_segments_are_tokenised_one_by_one(texts):
    made = encoder()
    ids = made.prompt([Segment("history", text) for text in texts]).ids.tolist()
    assert ids == [token for text in texts for token in made.text(text)]


@given(st.text(max_size=20), st.text(max_size=20))
def test_text_that_spells_a_special_token_is_not_one(before, after):
    ids = encoder().text(f"{before}<|end|>{after}")
    assert TOKENIZER.eos_token_id not in ids
    assert TOKENIZER.decode(ids) == f"{before}<|end|>{after}"


def test_lone_surrogates_are_text_like_any_other():
    ids = encoder().text("cat \udcff.py")
    assert TOKENIZER.decode(ids) == "cat ?.py"


def test_a_tokenizer_that_opens_texts_with_bos_opens_prompts_with_it_once():
    from tokenizers import processors

    opening = make_tokenizer()
    opening.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", opening.eos_token_id)]
    )
    opening.bos_token = "<|end|>"
    ids = Encoder(opening, 1000).prompt(state_segments(state(), history=-1)).ids.tolist()
    assert ids[0] == opening.eos_token_id
    assert ids.count(opening.eos_token_id) == 1
    assert encoder().prompt(state_segments(state(), history=-1)).ids.tolist() == ids[1:]


def test_label_ids_go_by_rank():
    made = encoder()
    assert made.label_ids([2, 0, 5]).tolist() == [made.labels[2], made.labels[0], made.labels[5]]
    assert made.label_ids([]).dtype == np.int32


def parts(past, history):
    """Tokens of the fixed head, of each segment of history, and of the fixed tail."""
    made = encoder()
    menu = draw_menu(2, len(made.labels), Draws(0, ("m",)))
    segments = policy_segments(state(past), "red is lit", menu, history=history)
    pieces = {"head": [], "history": [], "tail": []}
    for segment in segments:
        label = segment.kind == "label"
        ids = [made.labels[int(segment.text)]] if label else list(made.text(segment.text))
        if segment.kind == "history":
            pieces["history"].append(ids)
        else:
            pieces["head" if segment.kind == "task" else "tail"].extend(ids)
    return segments, pieces["head"], pieces["history"], pieces["tail"]


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(60, 400), st.integers(0, 40))
def test_when_it_does_not_fit_the_oldest_history_goes_and_nothing_else(past, context, room):
    segments, head, history, tail = parts(past, -1)
    fixed = len(head) + len(tail)
    if fixed + room > context:
        with pytest.raises(PromptTooLong):
            encoder(context).prompt(segments, room=room)
        return
    made = encoder(context).prompt(segments, room=room)
    kept = history[made.dropped :]
    assert made.ids.tolist() == head + [token for ids in kept for token in ids] + tail
    assert len(made.ids) + room <= context
    # no more than was needed, one halving at a time, and whole turns only
    turns = len(history) // 2
    sizes = [2 * turns]
    while turns:
        turns //= 2
        sizes.append(2 * turns)
    stage = sizes.index(len(kept))
    if stage:
        before = history[len(history) - sizes[stage - 1] :]
        assert fixed + sum(map(len, before)) + room > context


def test_a_prompt_that_cannot_fit_says_what_is_too_long_and_what_to_do():
    with pytest.raises(PromptTooLong) as caught:
        encoder(20).prompt(parts(2, -1)[0])
    assert "context of 20" in caught.value.what
    assert "2 actions" in caught.value.why
    assert "model.context" in caught.value.then
    assert f"  Task: {state(0).task.text}\n" in str(caught.value)


def test_of_a_long_task_the_beginning_is_told():
    long = Segment("task", "Task: " + "find it " * 100 + "\n")
    with pytest.raises(PromptTooLong) as caught:
        encoder(20).prompt([long, Segment("observation", "here\n")])
    (told,) = caught.value.details
    assert told.startswith("Task: find it find it") and told.endswith(" ...")
    assert len(told) <= TOLD


def test_room_for_an_answer_is_part_of_what_must_fit():
    segments = reflector_segments(state(0), history=-1)
    length = len(encoder().prompt(segments).ids)
    assert len(encoder(length + 9).prompt(segments, room=9).ids) == length
    with pytest.raises(PromptTooLong) as caught:
        encoder(length + 9).prompt(segments, room=10)
    assert f"{length} tokens and 10" in caught.value.what
