"""Pre-train `tiny`, the small embedded base model, from nothing.

    python tools/pretrain_tiny.py --out reflect_core/lm/tiny --seed 0

makes the tokenizer, trains the model on the synthetic text of ``tiny_text`` and writes
both, with a model card, to the folder.  With ``--base`` it goes on from weights made before,
with ``--alike-steps`` more on lists whose items end alike; the card tells both commands.
The number of steps is fixed, not the time, so the same seed repeats the run.  An interrupted
run goes on from ``--checkpoint`` when that file exists.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from tiny_card import Making, model_card
from tiny_text import (
    ALIKE,
    LABELS,
    MATCHING,
    SKILLS,
    WRITING,
    Draft,
    World,
    load_words,
    make_example,
)
from tiny_text.skills.copying import records, repeating
from tiny_text.skills.lookup import lookup_after, lookup_before
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.utils.data import DataLoader, IterableDataset
from transformers import Lfm2Config, Lfm2ForCausalLM, PreTrainedTokenizerFast

log = logging.getLogger("pretrain_tiny")

PAD, BOS, EOS = "<|pad|>", "<|bos|>", "<|eos|>"
SPECIALS = (PAD, BOS, EOS, *LABELS)
VOCABULARY = 2048
WEIGHTS_NAME = "model.safetensors"
# Words that take the space before them into their token.  All other words are one and the
# same token sequence wherever they stand, so that a name can be matched by its tokens.
JOINED_WORDS = (
    "the a an is are was were be has had do did not it its he she they we you his her my your "
    "our their of to for from with by at as that and but or so then in on"
)
EXAMPLES_PER_POOL = 512


@dataclass(frozen=True)
class Settings:
    """What determines the weights, besides the versions of the libraries.

    After ``steps`` there may be ``alike_steps`` more, in which three examples of five are look-ups
    in lists most of whose items end alike, as ``read_helper.py`` and ``write_helper.py`` do.
    """

    seed: int = 0
    steps: int = 10_000
    warmup: int = 150
    decay: int = 2000
    hold: int = 800
    ramp: int = 4200
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    clip: float = 1.0
    average: float = 0.995
    tokens_per_batch: int = 2048
    longest: int = 512
    compiled: bool = True
    alike_steps: int = 0
    alike_rate: float = 1e-3

    @property
    def whole(self) -> int:
        """All steps."""
        return self.steps + self.alike_steps

    def rate(self, step: int) -> float:
        """The learning rate: warm-up, then constant, then a cosine down to a fiftieth.

        On lists of items that end alike it rises anew, and falls by a cosine from the start.
        """
        if step >= self.steps:
            done = step - self.steps
            fall = 0.5 * (1 + math.cos(math.pi * done / self.alike_steps))
            return self.alike_rate * min(1.0, (done + 1) / 100) * (0.02 + 0.98 * fall)
        rise = min(1.0, (step + 1) / self.warmup)
        gone = max(0.0, (step - (self.steps - self.decay)) / max(1, self.decay))
        return self.learning_rate * rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * gone)))

    def level(self, step: int) -> float:
        """How far the curriculum has got, from 0 to 1."""
        return min(1.0, max(0.0, (step - self.hold) / self.ramp)) ** 1.5


def build_tokenizer(seed: int, examples: int = 24_000) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE tokenizer and reserve the label tokens."""
    tokenizer = Tokenizer(models.BPE())
    joined = "|".join(JOINED_WORDS.split())
    pattern = (
        rf" (?:{joined})(?![A-Za-z0-9_])|\.[a-z]{{1,4}}(?![A-Za-z0-9])|[,.;] |"
        r"[A-Z]?[a-z]+|[A-Z]+|[0-9]|\s|[^A-Za-z0-9\s]"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    rng = random.Random(f"tokenizer-{seed}")

    def texts() -> Iterator[str]:
        for number in range(examples):
            draft = make_example(rng, level=(number % 4) / 3)
            yield "".join(text for text, _ in draft.pieces if not text.startswith("<|"))
        for words in load_words().values():
            yield from (f"{word}\n" for word in words for _ in range(20))

    tokenizer.train_from_iterator(texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        additional_special_tokens=list(LABELS),
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )


def build_model(seed: int) -> Lfm2ForCausalLM:
    """The untrained model: short convolutions and attention by turns."""
    torch.manual_seed(seed)
    config = Lfm2Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        layer_types=["conv", "full_attention"] * 3,
        conv_L_cache=4,
        block_auto_adjust_ff_dim=False,
        initializer_range=0.06,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        pad_token_id=SPECIALS.index(PAD),
        bos_token_id=SPECIALS.index(BOS),
        eos_token_id=SPECIALS.index(EOS),
    )
    return Lfm2ForCausalLM(config)


@dataclass
class Encoded:
    """One example as token ids, with the weight of predicting each and its piece."""

    ids: np.ndarray
    weights: np.ndarray
    pieces: np.ndarray


def encode(tokenizer: Tokenizer, drafts: Sequence[Draft], rng: random.Random) -> list[Encoded]:
    """Tokenize whole examples and give each token the weight of the piece it starts in."""
    encoded = []
    bos, eos = SPECIALS.index(BOS), SPECIALS.index(EOS)
    for draft, result in zip(
        drafts, tokenizer.encode_batch([draft.text for draft in drafts]), strict=True
    ):
        ends = np.cumsum([len(text) for text, _ in draft.pieces])
        starts = np.array([start for start, _ in result.offsets])
        pieces = np.searchsorted(ends, starts, side="right")
        weights = np.array([weight for _, weight in draft.pieces], dtype=np.float32)[pieces]
        head = [bos] if rng.random() < 0.5 else []
        tail = [eos] if draft.text.endswith("\n") else []
        encoded.append(
            Encoded(
                np.array([*head, *result.ids, *tail], dtype=np.int64),
                np.array([*([0.0] * len(head)), *weights, *([0.1] * len(tail))], dtype=np.float32),
                np.array([*([-1] * len(head)), *pieces, *([-1] * len(tail))], dtype=np.int64),
            )
        )
    return encoded


def pad_batch(examples: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad on the right (a causal model needs no mask then) to a multiple of 16."""
    width = -(-max(len(example.ids) for example in examples) // 16) * 16
    ids = torch.zeros(len(examples), width, dtype=torch.long)
    weights = torch.zeros(len(examples), width)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.from_numpy(example.ids)
        weights[row, : len(example.ids)] = torch.from_numpy(example.weights)
    return ids, weights


Position = tuple[int, int, int]
"""Where the stream of batches stands: pool, step at the pool's start, batches used of it."""


class Batches(IterableDataset):
    """Endless batches of examples of like length, in an order fixed by the seed."""

    def __init__(self, settings: Settings, tokenizer: Tokenizer, position: Position) -> None:
        self.settings = settings
        self.tokenizer = tokenizer
        self.position = position

    def pool(self, number: int, step: int) -> list[list[Encoded]]:
        """The batches of one pool, whose difficulty is that of ``step``."""
        settings = self.settings
        rng = random.Random(f"pool-{settings.seed}-{number}")
        write = self.look_up if step >= settings.steps else self.example
        drafts = [write(rng, settings.level(step)) for _ in range(EXAMPLES_PER_POOL)]
        examples = encode(self.tokenizer, drafts, rng)
        examples = [e for e in examples if len(e.ids) <= settings.longest and e.weights[1:].any()]
        examples.sort(key=lambda example: len(example.ids))
        batches: list[list[Encoded]] = [[]]
        for example in examples:
            if (len(batches[-1]) + 1) * len(example.ids) > settings.tokens_per_batch:
                batches.append([])
            batches[-1].append(example)
        rng.shuffle(batches)
        return batches

    @staticmethod
    def example(rng: random.Random, level: float) -> Draft:
        """One of any skill, sometimes an easier one."""
        return make_example(rng, level if rng.random() < 0.8 else level * rng.random())

    @staticmethod
    def look_up(rng: random.Random, level: float) -> Draft:
        """Seven times of ten a look-up or a copy among items most of which end alike."""
        kind = rng.random()
        if kind < 0.7:
            return make_example(rng, level, rng.choice(MATCHING if kind < 0.4 else WRITING), ALIKE)
        return make_example(rng, level)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, Position]]:
        """Yield ids, weights and the position after each batch."""
        torch.set_num_threads(1)
        number, start, used = self.position
        while True:
            batches = self.pool(number, start)
            for index in range(used, len(batches)):
                ids, weights = pad_batch(batches[index])
                yield ids, weights, (number, start, index + 1)
            number, start, used = number + 1, start + len(batches), 0


def weighted_loss(model: Lfm2ForCausalLM, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the weighted tokens; other positions never meet the vocabulary."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    weights = weights[:, 1:].reshape(-1)
    chosen = weights.nonzero().squeeze(1)
    logits = model.lm_head(hidden.reshape(-1, hidden.shape[-1])[chosen])
    losses = torch.nn.functional.cross_entropy(
        logits, ids[:, 1:].reshape(-1)[chosen], reduction="none"
    )
    return (losses * weights[chosen]).sum() / weights[chosen].sum()


@torch.no_grad()
def measure(
    model: Lfm2ForCausalLM,
    tokenizer: Tokenizer,
    level: float = 1.0,
    examples: int = 16,
    skills: Sequence[Callable[[World], Draft]] = tuple(SKILLS),
) -> dict[str, float]:
    """The share of held-out answers whose tokens are all the most likely ones, per skill."""
    model.eval()
    accuracies = {}
    for skill in skills:
        rng = random.Random(f"held-out-{skill.__name__}-{level}")
        drafts = [make_example(rng, level, skill) for _ in range(examples)]
        encoded = encode(tokenizer, drafts, rng)
        encoded = [example for example in encoded if len(example.ids) <= 640]
        encoded.sort(key=lambda example: len(example.ids))
        right = total = 0
        for first in range(0, len(encoded), 12):
            batch = encoded[first : first + 12]
            ids, _ = pad_batch(batch)
            best = model(input_ids=ids, use_cache=False).logits.argmax(-1).numpy()
            for row, example in enumerate(batch):
                hits = best[row, : len(example.ids) - 1] == example.ids[1:]
                asked = (example.weights[1:] >= 0.5) & (example.pieces[1:] >= 0)
                for piece in np.unique(example.pieces[1:][asked]):
                    total += 1
                    right += bool(hits[example.pieces[1:] == piece].all())
        accuracies[skill.__name__] = right / total if total else float("nan")
    return accuracies


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def export(
    folder: Path,
    state: dict[str, torch.Tensor],
    tokenizer: PreTrainedTokenizerFast,
    settings: Settings,
    facts: dict[str, float],
    before: str = "",
) -> dict[str, float]:
    """Write weights in bfloat16, tokenizer and model card; return the measured skills.

    ``before`` is the card of the weights from which the training began.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = build_model(settings.seed)
    model.load_state_dict(state)
    model = model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder)
    if not (folder / "tokenizer.json").exists():
        tokenizer.save_pretrained(folder)
    examples = 200
    skills = measure(model.float(), tokenizer.backend_tokenizer, examples=examples)
    docs = {skill.__name__: (skill.__doc__ or "").split("\n")[0] for skill in SKILLS}
    making = Making(
        settings, settings.steps if before else 0, facts, sha256(folder / WEIGHTS_NAME), before
    )
    card = model_card(
        model, making, [(name, docs[name], value) for name, value in skills.items()], examples
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    return skills


def train(
    settings: Settings,
    tokenizer: PreTrainedTokenizerFast,
    checkpoint: Path | None = None,
    base: Path | None = None,
    evaluate_every: int = 500,
    checkpoint_every: int = 300,
    stop_after: int | None = None,
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Train and return the averaged weights and the facts of the run.

    With ``base``, a folder that this has written, only the steps on items that end alike are
    trained, from its weights.
    """
    model = build_model(settings.seed)
    step, position = 0, (0, 0, 0)
    if base is not None:
        known = Lfm2ForCausalLM.from_pretrained(base, dtype=torch.float32)
        model.load_state_dict(known.state_dict())
        step = settings.steps
        position = (settings.steps, settings.steps, 0)  # fewer pools than steps: none is met again
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings.weight_decay, "scale": 1.0},
            # Norms scale queries and keys, so they set how sharp attention can be: go faster.
            {"params": plain, "weight_decay": 0.0, "scale": 3.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
    )
    average = {key: value.detach().clone() for key, value in model.state_dict().items()}
    facts = {"seconds": 0.0, "tokens": 0.0, "step": 0.0}
    if checkpoint is not None and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        average, step, facts = saved["average"], saved["step"], saved["facts"]
        position = tuple(saved["position"])
        log.info("going on from step %d", step)
    twin = build_model(settings.seed)  # measured without compilation, with averaged weights
    if settings.compiled:
        torch._dynamo.config.recompile_limit = 64
        for layer in model.model.layers:
            layer.compile(dynamic=True)
    batches = DataLoader(
        Batches(settings, tokenizer.backend_tokenizer, position),
        batch_size=None,
        num_workers=1 if settings.steps > 50 else 0,
        prefetch_factor=32 if settings.steps > 50 else None,
    )
    parameters = list(model.parameters())
    targets = list(average.values())
    sources = list(model.state_dict().values())
    last = min(settings.whole, stop_after or settings.whole)
    seconds_before, started, recent = facts["seconds"], time.perf_counter(), []
    for ids, weights, position in batches:
        if step >= last:
            break
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step) * group["scale"]
        model.train()
        loss = weighted_loss(model, ids, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        keep = min(settings.average, step / (step + 10))
        torch._foreach_lerp_(targets, sources, 1 - keep)
        recent.append(loss.item())
        facts["tokens"] += ids.numel()
        facts["seconds"] = seconds_before + time.perf_counter() - started
        facts["step"] = step
        if step % 50 == 0:
            log.info(
                "step %d level %.2f loss %.3f, %.0f tokens, %.1f min, %.0f tokens/s",
                step, settings.level(step), sum(recent) / len(recent), facts["tokens"],
                facts["seconds"] / 60, facts["tokens"] / facts["seconds"],
            )  # fmt: skip
            recent.clear()
        if step % evaluate_every == 0:
            twin.load_state_dict(average)
            skills = measure(twin, tokenizer.backend_tokenizer)
            easy = (repeating, lookup_after, lookup_before, records)
            skills |= {
                f"easy {name}": value
                for name, value in measure(
                    twin, tokenizer.backend_tokenizer, level=0.0, skills=easy
                ).items()
            }
            log.info("skills %d %s", step, json.dumps({k: round(v, 3) for k, v in skills.items()}))
        if checkpoint is not None and (step % checkpoint_every == 0 or step == last):
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            partial = checkpoint.with_suffix(".partial")
            torch.save(
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average,
                    "step": step,
                    "position": position,
                    "facts": facts,
                },
                partial,
            )
            partial.replace(checkpoint)
    return average, facts


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, train, export and say how long it took."""
    defaults = Settings()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for model and tokenizer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=defaults.steps, help="number of updates")
    parser.add_argument("--decay", type=int, default=defaults.decay, help="steps of the decay")
    parser.add_argument(
        "--alike-steps",
        type=int,
        default=defaults.alike_steps,
        help="further updates on lists whose items end alike",
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--eager", action="store_true", help="do not compile the layers")
    parser.add_argument(
        "--base", type=Path, help="a folder written before: train only --alike-steps, from there"
    )
    parser.add_argument("--checkpoint", type=Path, help="file to save to and to go on from")
    parser.add_argument(
        "--export-only", action="store_true", help="write what --checkpoint holds, and stop"
    )
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(options.threads)
    settings = Settings(
        seed=options.seed,
        steps=options.steps,
        decay=options.decay,
        compiled=not options.eager,
        alike_steps=options.alike_steps,
    )
    before = ""
    if options.base:
        if options.alike_steps < 1:
            parser.error("--base trains only the further steps: say how many by --alike-steps")
        for name in (WEIGHTS_NAME, "README.md"):
            if not (options.base / name).exists():
                parser.error(f"--base: {options.base} has no {name}; name a folder of --out")
        before = (options.base / "README.md").read_text(encoding="utf-8")
    known = options.base or options.out
    if (known / "tokenizer.json").exists():
        tokenizer = PreTrainedTokenizerFast.from_pretrained(known)
    else:
        tokenizer = build_tokenizer(settings.seed)
    if not (options.out / "tokenizer.json").exists():
        tokenizer.save_pretrained(options.out)
    if options.export_only:
        saved = torch.load(options.checkpoint, weights_only=True)
        state, facts = saved["average"], saved["facts"]
    else:
        state, facts = train(settings, tokenizer, options.checkpoint, options.base)
    skills = export(options.out, state, tokenizer, settings, facts, before)
    print(json.dumps(skills, indent=1))
    print(f"{int(facts['step'])} steps took {facts['seconds'] / 60:.1f} minutes")


if __name__ == "__main__":
    main()
