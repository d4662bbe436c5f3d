"""Labels: single tokens, found in tokenizers of every common kind, the same everywhere."""

import string

import pytest
from small_models import make_tokenizer
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from reflect_core.errors import ModelError
from reflect_core.lm.encode import Encoder
from reflect_core.lm.labels import choose_labels
from reflect_core.lm.shipped import TINY
from reflect_core.prompt import draw_menu, policy_segments
from reflect_core.records import Draws, Observation, State, Task

SYMBOLS = [*string.ascii_uppercase, *string.digits, *string.ascii_lowercase]
CORPUS = [" ".join(SYMBOLS), "x " + " x ".join(SYMBOLS), "Actions: cd src/lib id main.py .."] * 60
ENDINGS = ("cd ..", "cat main.py", "id Makefile", "go (north)", "café", "take 7", "say: x,", "'q'",
           "naïve ☃", "tab\tin", "A", "a_b-", "end.")  # fmt: skip

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_SPLIT = QWEN_SPLIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


def byte_level(split=None, *, specials=("<|endoftext|>",), bos=None, size=420):
    raw = Tokenizer(models.BPE())
    steps = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None)]
    if split:
        steps.insert(0, pre_tokenizers.Split(Regex(split), behavior="isolated"))
        raw.normalizer = normalizers.NFC()
    raw.pre_tokenizer = pre_tokenizers.Sequence(steps)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(CORPUS, trainer)
    if bos:
        raw.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, raw.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=specials[0], bos_token=bos)


def sentencepiece(*, prepend_by_normalizer):
    marks = [*SYMBOLS, *"é.,:/()'_-\n\t"]
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -6.0), ("▁▁", -9.0)]
    pieces += [(mark, -5.0) for mark in marks] + [(f"▁{mark}", -6.0) for mark in SYMBOLS]
    raw = Tokenizer(models.Unigram(pieces, unk_id=0))
    if prepend_by_normalizer:  # as in Llama 2 and the first Mistral
        raw.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        raw.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    raw.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", eos_token="</s>")


def reserving():
    made = make_tokenizer()
    made.add_special_tokens({"additional_special_tokens": [f"<|{i:02}|>" for i in range(64)]})
    return made


KINDS = {
    "gpt2": byte_level,
    "qwen2": lambda: byte_level(QWEN_SPLIT),
    "llama3": lambda: byte_level(
        LLAMA_SPLIT, specials=("<|end_of_text|>", "<|begin_of_text|>"), bos="<|begin_of_text|>"
    ),
    "metaspace": lambda: sentencepiece(prepend_by_normalizer=False),
    "llama2": lambda: sentencepiece(prepend_by_normalizer=True),
    "reserving": reserving,
}


@pytest.fixture(scope="module")
def tokenizers():
    return {name: make() for name, make in KINDS.items()}


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "reserving"])
def test_a_label_is_a_space_and_a_short_string_in_one_token(tokenizers, kind):
    tokenizer = tokenizers[kind]
    labels = choose_labels(tokenizer)
    assert len(labels) == len(set(labels)) >= 26
    for label in labels:
        token = tokenizer.convert_ids_to_tokens(label)
        assert token[0] in "Ġ▁"
        assert token[1:].isalnum()
    firsts = [tokenizer.convert_ids_to_tokens(label)[1:] for label in labels[:26]]
    assert firsts == list(string.ascii_uppercase)


@pytest.mark.parametrize("kind", ["gpt2", "qwen2", "llama3", "metaspace", "llama2"])
def test_a_label_in_running_text_is_the_same_token_after_every_ending(tokenizers, kind):
    tokenizer = tokenizers[kind]
    for label in choose_labels(tokenizer)[::7]:
        text = " " + tokenizer.convert_ids_to_tokens(label)[1:]
        for ending in (*ENDINGS, "Action:"):
            assert tokenizer(ending + text, add_special_tokens=False)["input_ids"][-1] == label


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_prompt_a_label_has_one_id_after_its_action_and_at_the_answer(tokenizers, kind):
    encoder = Encoder(tokenizers[kind], context=4096)
    menu = draw_menu(len(ENDINGS), len(encoder.labels), Draws(3, ("menu",)))
    state = State(Task("t", "train", "win"), Observation("A b C: 1 2 3", ENDINGS))
    answers = encoder.label_ids(menu.labels).tolist()
    assert len(set(answers)) == len(ENDINGS)
    segments = policy_segments(state, "B is next", menu, history=-1)
    ids = encoder.prompt(segments).ids.tolist()
    place = len(encoder.prompt([]).ids)
    named = None
    for segment in segments:
        if segment.kind == "label":
            assert ids[place] == answers[named]
            place += 1
        else:
            tokens = list(encoder.text(segment.text))
            assert ids[place : place + len(tokens)] == tokens
            place += len(tokens)
            named = ENDINGS.index(segment.text) if segment.kind == "action" else None
    assert place == len(ids)


def test_reserved_labels_are_preferred_and_text_cannot_spell_them(tokenizers):
    tokenizer = tokenizers["reserving"]
    labels = choose_labels(tokenizer)
    assert tokenizer.convert_ids_to_tokens(labels) == [f"<|{i:02}|>" for i in range(64)]
    encoder = Encoder(tokenizer, context=64)
    assert not set(encoder.text("id <|07|> <|08|>.py")) & set(labels)


def test_the_embedded_tokenizer_reserves_labels_for_long_menus():
    tokenizer = PreTrainedTokenizerFast.from_pretrained(TINY)
    encoder = Encoder(tokenizer, context=64)
    assert len(encoder.labels) >= 64
    assert all(tokenizer.convert_ids_to_tokens(i).startswith("<|") for i in encoder.labels)
    assert not set(encoder.text("<|00|><|07|> A B")) & set(encoder.labels)


def test_a_tokenizer_without_such_tokens_is_refused_in_plain_words():
    raw = Tokenizer(models.WordLevel({"[UNK]": 0, "lamp": 1}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]")
    with pytest.raises(ModelError) as caught:
        choose_labels(tokenizer)
    assert "labels" in caught.value.what
    assert caught.value.why
    assert caught.value.then
