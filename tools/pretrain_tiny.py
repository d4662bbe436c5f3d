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
import os
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from tiny_batches import Batches
from tiny_card import Making, model_card
from tiny_measure import measure
from tiny_model import build_model, build_tokenizer
from tiny_settings import Settings
from tiny_text import SKILLS
from tiny_text.skills.copying import records, repeating
from tiny_text.skills.lookup import lookup_after, lookup_before
from torch.utils.data import DataLoader
from transformers import Lfm2ForCausalLM, PreTrainedTokenizerFast

log = logging.getLogger("pretrain_tiny")

WEIGHTS_NAME = "model.safetensors"


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
