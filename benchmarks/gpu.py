"""Measure speed and memory of a model of GPT-2 XL's size on one GPU: bf16, LoRA, random weights.

    python benchmarks/gpu.py [--write] [--layers 48] [--width 1600] [KEY=VALUE ...]

Builds the model from a configuration, with the tokenizer of ``tiny``, saves it, and loads it as
any model is loaded. Then it times what a run does with it on the file tree: reflections (of full
length: random weights come to no end), choices, and passes of an update. With ``--write`` the
table goes to ``benchmarks/gpu.md``.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import torch
from reflect_reflector_local.reflector import LocalReflector
from throughput import Turns, expert_turns, learn, median_seconds, tell
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from reflect_core import config, plugins
from reflect_core.baselines import ExpertReflector
from reflect_core.lm.policy import LmPolicy
from reflect_core.lm.shipped import TINY
from reflect_core.progress import QuietProgress
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session

EPISODES, ROUNDS = 26, 2
HEAD = 64
"""Width of an attention head in GPT-2."""
PLAY_ROWS, UPDATE_ROWS = (32, 128), (4, 16)


@attrs.frozen
class Figure:
    """A part of a run at one batch size: turns per second, and memory at its peak in GiB."""

    part: str
    rows: int
    turns: float
    tokens: float
    peak: float


def save_model(folder: Path, *, layers: int, width: int) -> None:
    """A GPT-2 with random weights in bf16."""
    tokenizer = AutoTokenizer.from_pretrained(str(TINY))
    shape = GPT2Config(
        n_layer=layers,
        n_embd=width,
        n_head=max(1, width // HEAD),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = GPT2LMHeadModel(shape).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def figures(session: Session) -> Iterator[Figure]:
    """Every part at every batch size."""
    turns = expert_turns(session, ExpertReflector(), EPISODES)
    room = session.settings.rollout.max_reflection_tokens
    for rows in PLAY_ROWS:
        _set_rows(session, rows)

        def reflect() -> object:
            return session.reflector.reflect(turns.states, turns.draws, greedy=False)

        def act() -> object:
            return session.policy.act(turns.states, turns.reflections, turns.draws, greedy=False)

        yield _figure("reflections", rows, turns, reflect, len(turns.states) * room)
        yield _figure("choices", rows, turns, act, turns.acted)
    for rows in UPDATE_ROWS:
        update = functools.partial(learn, session, turns.transitions, rows)
        yield _figure("update", rows, turns, update, turns.acted)


def _figure(part: str, rows: int, turns: Turns, work: Callable[[], object], tokens: int) -> Figure:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    seconds = median_seconds(work, ROUNDS)
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    return Figure(part, rows, len(turns.states) / seconds, tokens / seconds, peak)


def _set_rows(session: Session, rows: int) -> None:
    rollout = attrs.evolve(session.settings.rollout, batch_rows=rows)
    policy, reflector = session.policy, session.reflector
    assert isinstance(policy, LmPolicy)
    assert isinstance(reflector, LocalReflector)
    policy.settings = reflector.settings = attrs.evolve(session.settings, rollout=rollout)


def main() -> int:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--layers", type=int, default=48)
    parser.add_argument("--width", type=int, default=1600)
    options, overrides = parser.parse_known_args()
    registry = plugins.load()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        save_model(folder, layers=options.layers, width=options.width)
        flags = {"env": "filesys", "model": str(folder), "trainer": "ppo"}
        overrides = ["model.dtype=bfloat16", "model.tuning=lora", "reflector.tries=1", *overrides]
        settings = config.resolve(registry, file=None, overrides=overrides, flags=flags)
        started = time.perf_counter()
        session = Session(RunFolder(Path(place) / "run"), settings, registry, QuietProgress())
        device = session.accelerator.device
        parameters = session.models.parameters
        loaded = time.perf_counter() - started
        found = []
        for figure in figures(session):
            print(figure, file=sys.stderr, flush=True)
            found.append(figure)
        policy = session.policy
        assert isinstance(policy, LmPolicy)
        trained = sum(parameter.numel() for parameter in policy.trainable())
        session.close()
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    text = [
        f"# A model of {parameters / 1e9:.2f} billion parameters on {name}",
        "",
        f"GPT-2's architecture, {options.layers} layers of width {options.width}, random weights, "
        f"{settings.model.dtype}; LoRA of rank {settings.model.lora_r} on all linear layers for "
        f"each player, {trained / 1e6:.1f} M parameters trained. Loaded in {loaded:.0f} s; torch "
        f"{torch.__version__}. Turns of the file tree's expert; reflections are "
        f"{settings.rollout.max_reflection_tokens} tokens long, tokens of the other parts are "
        "those of prompts. The optimizer's own memory comes on top: 8 bytes for each parameter "
        "trained.",
        "",
        "| part | rows at once | turns/s | tokens/s | peak GiB |",
        "|---|---|---|---|---|",
        *(
            f"| {each.part} | {each.rows} | {each.turns:,.1f} | {each.tokens:,.0f} "
            f"| {each.peak:.1f} |"
            for each in found
        ),
    ]
    tell(text, "gpu.md" if options.write else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
