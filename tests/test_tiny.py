"""The embedded model `tiny`: its files, its tokenizer, its skills and the text it is made of."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import random
import re
import statistics
import sys
from pathlib import Path

import pretrain_tiny
import pytest
import tiny_batches
import tiny_text
import torch
from safetensors import safe_open
from tiny_batches import Batches
from tiny_measure import measure
from tiny_model import build_model
from tiny_settings import Settings
from tiny_text.skills import lookup
from tiny_text.skills.copying import story
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "reflect_core" / "lm" / "tiny"
WEIGHTS = FOLDER / "model.safetensors"

PROMPT = (
    "see zorbek.py now.\nlist:\ntalim.py<|12|>\nzorbek.py<|40|>\nzorval.py<|77|>\nopen rim<|03|>\n"
    "so:"
)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()


def drafts(count, seed=11):
    rng = random.Random(seed)
    return [tiny_text.make_example(rng, level=(n % 5) / 4) for n in range(count)]


def test_size_and_dtype(model):
    assert 1_000_000 <= sum(p.numel() for p in model.parameters()) <= 2_000_000
    assert sum(f.stat().st_size for f in FOLDER.rglob("*") if f.is_file()) <= 5_000_000
    with safe_open(WEIGHTS, framework="pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.bfloat16}  # noqa: SIM118
    assert not list(FOLDER.glob("*.bin")) + list(FOLDER.glob("*.pt"))


def test_card_names_the_weights():
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() in card
    assert "python tools/pretrain_tiny.py --out" in card


def test_labels_are_atomic(tokenizer, model):
    ids = {tokenizer.convert_tokens_to_ids(label) for label in tiny_text.LABELS}
    assert len(ids) == len(tiny_text.LABELS) == 100
    assert max(ids) < model.config.vocab_size == len(tokenizer)
    for label in tiny_text.LABELS:
        assert tokenizer(label, add_special_tokens=False).input_ids == [
            tokenizer.convert_tokens_to_ids(label)
        ]


def test_text_never_makes_a_special_token(tokenizer):
    special = set(tokenizer.all_special_ids)
    assert special == set(range(103))
    texts = [
        "<|07|>",
        "a<|07|>b",
        "<|pad|><|bos|><|eos|>",
        "< |07|>",
        "<|7|>",
        "\u00e9\u4e16 \t\r\n",
    ]
    texts += [draft.text for draft in drafts(200)]
    for text in texts:
        ids = tokenizer(text, split_special_tokens=True).input_ids
        assert not special & set(ids), text
        assert tokenizer.decode(ids) == text


def test_a_name_has_the_same_tokens_everywhere(tokenizer):
    ids = tokenizer("zorbek").input_ids
    for text in ("see zorbek", "zorbek.py", "a/zorbek/b", "x_zorbek-y", "zorbek, k", "(zorbek)"):
        found = tokenizer(text).input_ids
        assert any(found[i : i + len(ids)] == ids for i in range(len(found))), text


def test_nothing_is_added_at_the_ends(tokenizer):
    first, second = "the names are", " zorbek"
    both = tokenizer(first).input_ids + tokenizer(second).input_ids
    assert tokenizer.decode(both) == first + second
    assert tokenizer.padding_side == "left"
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)


@torch.no_grad()
def test_left_padding_leaves_logits_unchanged(tokenizer, model):
    texts = [PROMPT, "so:", "one two three four five\none two"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    assert batch.input_ids[1, 0] == tokenizer.pad_token_id
    together = model(**batch).logits[:, -1]
    for row, text in enumerate(texts):
        alone = model(**tokenizer(text, return_tensors="pt")).logits[0, -1]
        torch.testing.assert_close(together[row], alone, atol=1e-4, rtol=1e-4)


def test_cached_generation_equals_uncached(tokenizer, model):
    batch = tokenizer(
        [PROMPT, "first: lamp zorbek stone\nagain:"], padding=True, return_tensors="pt"
    )
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
    cached = model.generate(**batch, use_cache=True, **options)
    plain = model.generate(**batch, use_cache=False, **options)
    assert cached.tolist() == plain.tolist()


@pytest.mark.parametrize(("name", "level", "floor"), [
    # far above a guess among what is listed
    ("lookup_before", 0.2, 0.6),
    ("lookup_after", 0.2, 0.6),
])  # fmt: skip
def test_held_out_look_up(tokenizer, model, name, level, floor):
    skill = getattr(lookup, name)
    measured = measure(model, tokenizer.backend_tokenizer, level=level, examples=48, skills=[skill])
    assert measured[name] >= floor


def test_word_list_has_no_reserved_name():
    words = [word for kind in tiny_text.load_words().values() for word in kind]
    assert 600 <= len(set(words)) <= 1200
    assert not {word for word in words if tiny_text.reserved_in(word)}


def test_text_has_no_module_and_no_room():
    modules = {name.lower() for name in sys.stdlib_module_names}
    rooms = {"kitchen", "bathroom", "bedroom", "living room", "livingroom"}
    rng = random.Random(12)
    alike = [Batches.look_up(rng, 1.0) for _ in range(1000)]
    for draft in drafts(3000) + alike:
        text = draft.text.lower()
        words = set(re.findall(r"[a-z]+", text)) | set(re.findall(r"[a-z_][a-z_0-9]*", text))
        assert not words & modules, text
        assert not any(room in text for room in rooms), text
        assert not tiny_text.reserved_in(draft.text)


def test_a_reserved_name_is_noticed():
    assert tiny_text.reserved_in("see Argparse.py") == {"argparse"}
    assert tiny_text.reserved_in("a/importlib/b") == {"importlib"}
    assert tiny_text.reserved_in("the bathroom 1") == {"bathroom"}
    assert not tiny_text.reserved_in("zorbek.py")


def test_tools_stand_alone():
    tools = ROOT / "tools"
    parts = [*tools.glob("tiny_*.py"), tools / "pretrain_tiny.py"]
    sources = [*(tools / "tiny_text").rglob("*.py"), *parts]
    assert len(parts) > 4 and len(sources) > 10
    for path in sources:
        source = path.read_text(encoding="utf-8")
        imports = re.findall(r"^\s*(?:from|import)\s+([\w.]+)", source, flags=re.MULTILINE)
        assert not [module for module in imports if module.startswith(("reflect", "plugins"))]


def test_same_seed_same_text():
    assert [d.pieces for d in drafts(300)] == [d.pieces for d in drafts(300)]
    assert [d.text for d in drafts(20)] != [d.text for d in drafts(20, seed=12)]


@pytest.mark.parametrize("skill", tiny_text.SKILLS, ids=lambda skill: skill.__name__)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_every_skill_asks_something(skill, level):
    rng = random.Random(5)
    for _ in range(20):
        draft = tiny_text.make_example(rng, level, skill)
        assert draft.text
        if skill is not story:
            assert any(weight >= tiny_text.COPY_WEIGHT for _, weight in draft.pieces)


def test_look_up_answers_follow_from_the_text():
    rng = random.Random(7)
    for _ in range(200):
        pieces = tiny_text.make_example(rng, 1.0, lookup.lookup_before).pieces
        labels = [text for text, weight in pieces if weight == 1.0]
        assert labels
        listed = "".join(text for text, weight in pieces if weight < 1.0)
        assert all(label in listed or label == tiny_text.NOTHING for label in labels)


@pytest.mark.parametrize("name", ["lookup_before", "lookup_told", "lookup_after"])
def test_what_has_no_label_is_not_listed(name):
    rng = random.Random(8)
    nothing = 0
    for _ in range(200):
        pieces = tiny_text.make_example(rng, 1.0, getattr(lookup, name)).pieces
        asked = [text for text, weight in pieces if weight == 1.0]
        assert all(text == tiny_text.NOTHING or text in tiny_text.LABELS for text in asked)
        nothing += tiny_text.NOTHING in asked
    assert 20 < nothing < 190


def test_the_text_of_the_shipped_weights_stays_as_it_was():
    rng, digest = random.Random("shipped"), hashlib.sha256()
    for number in range(60):
        digest.update(tiny_text.make_example(rng, (number % 4) / 3).text.encode())
    assert digest.hexdigest().startswith("570e1fbf5f2b3db8")
    for _ in range(60):
        digest.update(Batches.look_up(rng, 1.0).text.encode())
    assert digest.hexdigest().startswith("2c29371fd6554004")


def test_items_that_end_alike_do_so_farther_back_than_a_convolution_sees(tokenizer, model):
    def shared(one, other):
        pairs = zip(
            reversed(tokenizer.encode(one)), reversed(tokenizer.encode(other)), strict=False
        )
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))

    rng, long, lists = random.Random(0), 0, 100
    for _ in range(lists):
        world = tiny_text.World(rng, 1.0, alike=1.0)
        assert world.pick_family() == "tail"
        items = world.items(8)
        assert len(set(items)) == 8
        nearest = [max(shared(one, other) for other in items if other != one) for one in items]
        long += statistics.median(nearest) >= model.config.conv_L_cache
    assert long > 0.6 * lists


def test_the_rate_rises_anew_for_lists_that_end_alike():
    settings = Settings(alike_steps=1000)
    rates = [settings.rate(step) for step in range(settings.whole)]
    assert rates[: settings.steps] == [Settings().rate(step) for step in range(settings.steps)]
    later = rates[settings.steps :]
    assert later.index(max(later)) in range(90, 110)
    assert 0.95e-3 < max(later) <= settings.alike_rate
    assert later[0] < 0.02e-3 and later[-1] < 0.03e-3


def test_look_ups_that_end_alike_come_after_all_else(tokenizer, monkeypatch):
    monkeypatch.setattr(tiny_batches, "EXAMPLES_PER_POOL", 60)
    chances = []

    def make_example(rng, level=1.0, skill=None, alike=0.0):
        chances.append(alike)
        return tiny_text.make_example(rng, level, skill, alike)

    monkeypatch.setattr(tiny_batches, "make_example", make_example)
    settings = Settings(steps=10, alike_steps=5)
    batches = Batches(settings, tokenizer.backend_tokenizer, (0, 0, 0))
    batches.pool(0, 9)
    assert set(chances) == {0.0}
    chances.clear()
    batches.pool(1, 10)
    assert 30 < sum(chance > 0 for chance in chances) < 54


def short_training(monkeypatch, alike_steps):
    monkeypatch.setattr(tiny_batches, "EXAMPLES_PER_POOL", 24)
    return Settings(
        seed=3,
        steps=3,
        decay=1,
        warmup=1,
        tokens_per_batch=512,
        compiled=False,
        alike_steps=alike_steps,
    )


@pytest.mark.parametrize("alike_steps", [0, 2])
def test_short_training_is_reproducible(tokenizer, monkeypatch, alike_steps):
    settings = short_training(monkeypatch, alike_steps)
    first, facts = pretrain_tiny.train(settings, tokenizer)
    second, _ = pretrain_tiny.train(settings, tokenizer)
    assert facts["step"] == 3 + alike_steps
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    untrained = build_model(3).state_dict()
    assert any(not torch.equal(first[key], untrained[key]) for key in first)


def test_training_goes_on_from_a_checkpoint(tokenizer, tmp_path, monkeypatch):
    settings = short_training(monkeypatch, alike_steps=2)
    whole, _ = pretrain_tiny.train(settings, tokenizer)
    file = tmp_path / "run.pt"
    pretrain_tiny.train(settings, tokenizer, checkpoint=file, stop_after=4)
    parted, _ = pretrain_tiny.train(settings, tokenizer, checkpoint=file)
    assert all(torch.equal(whole[key], parted[key]) for key in whole)


def test_further_training_begins_from_the_weights_of_a_folder_and_says_so(
    tokenizer, tmp_path, monkeypatch
):
    settings = short_training(monkeypatch, alike_steps=2)
    seen = []
    measured = dict.fromkeys(("lookup_after", "copying"), 0.5)
    monkeypatch.setattr(pretrain_tiny, "measure", lambda *args, **kwargs: measured)
    monkeypatch.setattr(
        tiny_batches,
        "make_example",
        lambda *args: seen.append(args) or tiny_text.make_example(*args),
    )
    still = dataclasses.replace(settings, alike_rate=0.0)
    state, facts = pretrain_tiny.train(still, tokenizer, base=FOLDER)
    shipped = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).state_dict()
    assert all(torch.equal(state[key], shipped[key]) for key in shipped)
    assert facts["step"] == settings.whole
    assert any(len(args) == 4 for args in seen)  # from the first pool on, lists that end alike

    moved, facts = pretrain_tiny.train(settings, tokenizer, base=FOLDER)
    assert not all(torch.equal(moved[key], shipped[key]) for key in shipped)
    before = (FOLDER / "README.md").read_text(encoding="utf-8")
    pretrain_tiny.export(tmp_path, moved, tokenizer, settings, facts, before)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    first, then = card.rsplit("Then, from the weights that this wrote", 1)
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() in first
    assert hashlib.sha256((tmp_path / WEIGHTS.name).read_bytes()).hexdigest() in then
    assert "--base reflect_core/lm/tiny" in then and "--alike-steps 2" in then
    assert "\n2 steps of up to 512 tokens" in then
    assert card.count("## How it was made") == card.count("## Held-out skills") == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "say how many by --alike-steps"),
        (("--alike-steps", "5"), "has no model.safetensors"),
    ],
)
def test_a_base_that_cannot_be_used_is_refused(tmp_path, capsys, words, why):
    with pytest.raises(SystemExit) as stop:
        pretrain_tiny.main(["--out", str(tmp_path / "out"), "--base", str(tmp_path), *words])
    assert stop.value.code == 2
    assert why in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
