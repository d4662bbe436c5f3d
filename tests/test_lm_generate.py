"""Generation: batched and cached gives what one row alone without a cache gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ARCHITECTURES
from toy import pool, stir

from reflect_core.lm.generate import generate
from reflect_core.streams import stream

END = 0
each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
PROMPTS = [
    np.array(ids, np.int32)
    for ids in ([5], [7, 8, 9, 30, 2, 60, 61, 62, 63, 64, 65], [100, 101, 102], [5, 5, 200, 201, 7])
]


@pytest.fixture(scope="module")
def make(model_folder):
    made = {}

    def get(architecture):
        if architecture not in made:
            with pool(model_folder(architecture)).player("reflector").active() as model:
                made[architecture] = model
            stir(model.parameters(), scale=0.3)
        return made[architecture]

    return get


def plainly(model, prompt, count, *, ends=()):
    """Argmax without a cache, a mask or a batch."""
    ids = prompt.tolist()
    with torch.no_grad():
        for _ in range(count):
            token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            if token in ends:
                break
            ids.append(token)
    return ids[len(prompt) :]


def write(model, prompts, uniforms=None, **more):
    options = {"max_new_tokens": 9, "end_id": END, "pad_id": END, **more}
    return generate(model, prompts, uniforms, **options)


@each_architecture
def test_greedy_text_is_that_of_each_row_alone_without_a_cache(make, architecture):
    model = make(architecture)
    expected = [plainly(model, prompt, 9, ends=[END]) for prompt in PROMPTS]
    assert write(model, PROMPTS) == expected
    assert any(len(row) == 9 and len(set(row)) > 1 for row in expected)


@each_architecture
def test_a_row_stops_at_its_end_or_line_break_and_others_go_on(make, architecture):
    model = make(architecture)
    whole = [plainly(model, prompt, 9) for prompt in PROMPTS]
    ends = {whole[0][1], whole[1][2]}
    expected = [plainly(model, prompt, 9, ends=ends) for prompt in PROMPTS]
    assert len({len(row) for row in expected}) > 1
    end, *stops = ends
    assert write(model, PROMPTS, end_id=end, stop_ids=frozenset(stops)) == expected


@each_architecture
def test_rows_that_have_ended_are_no_longer_computed(make, architecture):
    model = make(architecture)
    longest = plainly(model, PROMPTS[1], 9)
    # of twelve rows three go on to the end, not the first ones
    prompts = [PROMPTS[0]] * 4 + [PROMPTS[1]] * 3 + [PROMPTS[0]] * 5
    end = plainly(model, PROMPTS[0], 1)[0]
    assert end not in longest
    computed = []

    def count(module, args, kwargs):
        computed.append(len(kwargs["input_ids"]))

    watched = model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        written = write(model, prompts, end_id=end)
    finally:
        watched.remove()
    assert computed == [12] + [3] * 8
    assert written == [[]] * 4 + [longest] * 3 + [[]] * 5


@pytest.mark.parametrize("limit", [0, 1, 4])
def test_no_row_is_longer_than_the_limit(make, limit):
    written = write(make("lfm2"), PROMPTS, end_id=-1, max_new_tokens=limit)
    assert [len(row) for row in written] == [limit] * len(PROMPTS)


def test_nothing_to_continue_nothing_written(make):
    assert write(make("gpt2"), []) == []


def streams(rows):
    return [stream(3, "row", row) for row in rows]


@each_architecture
@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_a_sampled_row_depends_on_its_own_stream_alone(make, architecture, rows):
    model = make(architecture)
    # prompts that end early stand beside ones that do not
    alone = [write(model, [PROMPTS[r]], streams([r]), end_id=PROMPTS[0][0])[0] for r in range(4)]
    together = write(model, [PROMPTS[r] for r in rows], streams(rows), end_id=PROMPTS[0][0])
    assert together == [alone[r] for r in rows]


def test_sampling_follows_the_models_distribution(make):
    model = make("llama")
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([PROMPTS[2].tolist()])).logits[0, -1]
    expected = torch.softmax(logits.double() / 0.7, dim=-1)
    rows = 3000
    written = write(
        model,
        [PROMPTS[2]] * rows,
        [stream(0, i) for i in range(rows)],
        max_new_tokens=1,
        end_id=-1,
        temperature=0.7,
    )
    top = int(expected.argmax())
    share = sum(row[0] == top for row in written) / rows
    deviation = (float(expected[top]) * (1 - float(expected[top])) / rows) ** 0.5
    assert abs(share - float(expected[top])) < 5 * deviation
