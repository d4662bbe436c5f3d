"""The local reflector: one line per state, the same whatever stands beside it."""

import attrs
import pytest
import reflect_reflector_local.reflector as module
import torch
from reflect_reflector_local.plugin import LocalConfig, make_reflector
from reflect_reflector_local.reflector import Draft, LocalReflector
from small_models import ARCHITECTURES
from toy import context, examples, hashes, policy, pool, settings, stir, turns

from reflect_core.alarms import Alarms
from reflect_core.errors import CheckpointError
from reflect_core.lm.generate import generate
from reflect_core.records import Observation, PastTurn, State


def make(model_folder, architecture="lfm2", tuning="full", *, seed=0, **sections):
    folder = model_folder(architecture)
    made = LocalReflector(
        pool(folder, tuning, **sections.get("model", {})), settings(folder, tuning, **sections)
    )
    stir(made.player.trainable(), scale=0.3, seed=seed)
    return made


def ask(reflector, *, greedy=False, count=9):
    states, _, draws = turns(count)
    return reflector.reflect(states, draws, greedy=greedy)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("greedy", [True, False])
def test_one_reflection_per_state_in_order_whatever_stands_beside_it(
    model_folder, architecture, greedy
):
    reflector = make(model_folder, architecture)
    states, _, draws = turns()
    alone = [
        reflector.reflect([s], [d], greedy=greedy)[0] for s, d in zip(states, draws, strict=True)
    ]
    assert len(set(alone)) > 1
    for rows in (1, 2, 64):
        beside = make(model_folder, architecture, rollout={"batch_rows": rows})
        assert beside.reflect(states, draws, greedy=greedy) == alone
    assert reflector.reflect(states[::-1], draws[::-1], greedy=greedy) == alone[::-1]


def test_nothing_asked_nothing_said(model_folder):
    assert make(model_folder).reflect([], [], greedy=False) == []


def test_sampling_follows_the_draws_and_greedy_ignores_them(model_folder):
    reflector = make(model_folder)
    states, _, draws = turns()
    assert ask(reflector) == ask(reflector)
    assert reflector.reflect(states, draws[::-1], greedy=False) != ask(reflector)
    assert reflector.reflect(states, draws[::-1], greedy=True) == ask(reflector, greedy=True)
    assert ask(reflector) != ask(reflector, greedy=True)


class Mumbler(LocalReflector):
    """Instead of a model: says a letter by chance, cut off one time in three; notes its orders."""

    letters = "ab"
    asked = ()

    def _write(self, states, prompts, draws, *, greedy):
        self.asked = (*self.asked, (len(states), greedy))
        return [self.draft(draw) for draw in draws]

    def draft(self, draws):
        uniforms = draws.stream("reflection")
        letter = self.letters[int(uniforms.random() * len(self.letters))]
        return Draft(letter, cut=uniforms.random() < 1 / 3)


def mumbler(model_folder, tries, letters="ab", **sections):
    folder = model_folder("lfm2")
    made = Mumbler(pool(folder, "full"), settings(folder, "full", **sections), tries=tries)
    made.letters = letters
    return made


def naming(states, action):
    """The same states, with one legal action."""
    return [attrs.evolve(s, observation=Observation("", (action,))) for s in states]


@pytest.mark.parametrize("greedy", [True, False])
def test_what_names_no_legal_action_is_written_anew(model_folder, greedy):
    states, _, draws = turns(9)
    states = naming(states, "a")
    once, more = mumbler(model_folder, 1), mumbler(model_folder, 20)
    before = once.reflect(states, draws, greedy=greedy)
    assert set(before) == {"a", "b"} and once.asked == ((9, greedy),)
    assert more.reflect(states, draws, greedy=greedy) == ["a"] * 9
    # in one call, however many; and sampled, as greedy again would say the same
    assert more.asked == ((9, greedy), (19 * before.count("b"), False))


@pytest.mark.parametrize(("letters", "tries"), [("ab", 2), ("abcdefgh", 2), ("abcdefgh", 5)])
def test_all_tries_at_once_are_as_one_after_the_other(model_folder, letters, tries):
    states, _, draws = turns(24)
    states = naming(states, "a")
    reflector = mumbler(model_folder, tries, letters)
    stands = []
    for draw in draws:
        for attempt in range(tries):
            draft = reflector.draft(draw.again(attempt) if attempt else draw)
            if draft.text == "a":
                break
        stands.append(draft)
    assert len({draft.text for draft in stands}) > 1
    assert reflector.reflect(states, draws, greedy=False) == [draft.text for draft in stands]
    # of those that do not stand none is counted
    assert reflector.alarms.counted() == {"cut_reflections": sum(d.cut for d in stands)}


def test_a_second_try_is_what_its_own_draws_say_whatever_stands_beside_it(model_folder):
    states, _, draws = turns(6)
    states = naming(states, "no model says this")
    once, twice = make(model_folder), make(model_folder)
    twice.tries = 2
    anew = [draw.again(1) for draw in draws]
    assert twice.reflect(states, draws, greedy=True) == once.reflect(states, anew, greedy=False)


def test_what_is_never_possible_stands_after_so_many_tries(model_folder):
    states, _, draws = turns(5)
    reflector = mumbler(model_folder, 3)
    said = reflector.reflect(naming(states, "c"), draws, greedy=False)
    assert said == [reflector.draft(draw.again(2)).text for draw in draws]
    assert reflector.asked == ((5, False), (10, False))


@pytest.mark.parametrize("rollout", [{"name_actions": False}, {"reflection_temperature": 0.0}])
def test_nothing_is_written_anew_where_that_is_in_vain(model_folder, rollout):
    states, _, draws = turns(5)
    reflector = mumbler(model_folder, 3, rollout=rollout)
    reflector.reflect(naming(states, "c"), draws, greedy=False)
    assert reflector.asked == ((5, False),)


def test_temperature_zero_is_greedy(model_folder):
    warm = make(model_folder)
    cold = make(model_folder, rollout={"reflection_temperature": 0.0, "max_reflection_tokens": 6})
    assert ask(cold) == ask(warm, greedy=True)


@pytest.mark.parametrize("limit", [1, 5])
def test_a_reflection_is_one_line_of_bounded_length(model_folder, limit):
    reflector = make(model_folder, rollout={"max_reflection_tokens": limit})
    tokenizer = reflector.models.tokenizer
    said = ask(reflector, count=12)
    assert all("\n" not in text and text == text.strip() for text in said)
    # a model that spells nonsense may need more tokens to say it again, but never more bytes
    longest = max(
        len(piece) for piece in tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
    )
    assert all(len(text) <= limit * longest for text in said)
    assert any(said)


def test_reflecting_changes_no_weights(model_folder):
    for tuning in ("full", "lora"):
        reflector = make(model_folder, tuning=tuning)
        model = reflector.player.model
        before = hashes(model.parameters())
        switches = [p.requires_grad for p in model.parameters()]
        ask(reflector)
        assert hashes(model.parameters()) == before
        assert [p.requires_grad for p in model.parameters()] == switches


def test_a_long_past_is_cut_so_that_the_answer_fits(model_folder, monkeypatch):
    reflector = make(model_folder, model={"context": 96})
    lengths = []

    def watched(model, prompts, uniforms, *, max_new_tokens, **more):
        lengths.extend(len(prompt) + max_new_tokens for prompt in prompts)
        return generate(model, prompts, uniforms, max_new_tokens=max_new_tokens, **more)

    monkeypatch.setattr(module, "generate", watched)
    (state,), _, draws = turns(1)
    for length in range(1, 25):
        past = tuple(PastTurn("red " * length, "push red") for _ in range(9))
        long = State(state.task, Observation("now", state.observation.legal_actions), past)
        assert len(reflector.reflect([long], draws, greedy=True)) == 1
    assert max(lengths) <= 96


@pytest.mark.parametrize(("tuning", "share"), [("full", 0.5), ("lora", 0.97)])
def test_it_learns_what_the_teacher_says(model_folder, tuning, share):
    folder = model_folder("llama")
    sft = {"reflector_updates": 60, "batch_size": 8, "lr": 2e-2}
    reflector = LocalReflector(
        pool(folder, tuning, lora_r=16),
        settings(folder, tuning, sft=sft, rollout={"max_reflection_tokens": 40}),
    )
    losses = reflector.fit(examples(), progress=lambda step, loss: None)
    assert losses[-1] < share * losses[0]
    if tuning == "full":  # adapters on a random base of this size learn next to nothing
        said = ask(reflector, greedy=True)
        assert sum("lit. push" in text for text in said) > len(said) // 2


def test_taught_reflections_longer_than_may_be_written_are_counted_and_told(model_folder):
    folder = model_folder("llama")
    models = pool(folder)
    taught = [
        attrs.evolve(one, reflection="Now " * (i % 3) + one.reflection)
        for i, one in enumerate(examples())
    ]
    lengths = [len(models.encoder.text(f" {one.reflection}")) + 1 for one in taught]
    assert len(set(lengths)) > 1
    for room in (max(lengths) - 1, max(lengths)):
        told = []
        alarms = Alarms(told.append)
        sections = {"rollout": {"max_reflection_tokens": room}, "sft": {"reflector_updates": 1}}
        reflector = LocalReflector(models, settings(folder, **sections), alarms)
        reflector.fit(taught, progress=lambda step, loss: None)
        long = sum(length > room for length in lengths)
        assert alarms.counted() == ({"long_reflections": long} if long else {})
        assert len(told) == (room < max(lengths))
        for text in told:
            assert f"{long} of the {len(lengths)} reflections" in text
            assert f"rollout.max_reflection_tokens={room}" in text
            assert f"takes {max(lengths)})" in text


def test_reflections_without_an_end_are_counted_whatever_stands_beside_them(
    model_folder, monkeypatch
):
    lengths, sizes = [], []

    def watched(*args, **more):
        written = generate(*args, **more)
        lengths.extend(len(tokens) for tokens in written)
        sizes.append(len(written))
        return written

    monkeypatch.setattr(module, "generate", watched)
    counts = []
    for rows in (1, 2, 64):
        reflector = make(model_folder, rollout={"max_reflection_tokens": 6, "batch_rows": rows})
        lengths.clear()
        sizes.clear()
        ask(reflector, count=30)
        assert max(sizes) == min(rows, 30)
        counts.append(dict(reflector.alarms.counted()))
        assert counts[-1] == {"cut_reflections": lengths.count(6)}
    assert 0 < lengths.count(6) < 30
    assert counts == counts[:1] * 3


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_saved_and_loaded_it_says_the_same(model_folder, tmp_path, tuning):
    saved = make(model_folder, tuning=tuning, seed=3)
    saved.save(tmp_path / "r")
    loaded = make(model_folder, tuning=tuning)
    assert ask(loaded) != ask(saved)
    loaded.load(tmp_path / "r")
    assert ask(loaded) == ask(saved)
    with pytest.raises(CheckpointError):
        loaded.load(tmp_path / "nowhere")


def test_a_line_break_ends_a_reflection(model_folder):
    reflector = make(model_folder)
    plan = [*reflector.models.encoder.text("red"), *reflector.models.encoder.text("\nblue blue")]
    said = iter(plan)

    def dictate(module, inputs, logits):
        return logits.index_fill(-1, torch.tensor([next(said)]), 1e6)

    reflector.player.model.get_output_embeddings().register_forward_hook(dictate)
    assert ask(reflector, greedy=True, count=1) == ["red"]
    assert reflector.alarms.counted() == {}


def test_the_factory_passes_the_runs_alarms_on(model_folder):
    folder = model_folder("llama")
    where = context(policy(folder))
    assert make_reflector(LocalConfig(), where).alarms is where.alarms
