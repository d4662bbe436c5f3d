"""A causal LM that writes reflections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from reflect_core import Draws, State
from reflect_core.alarms import Alarms, truncated
from reflect_core.balance import example_weights
from reflect_core.grounding import named_action
from reflect_core.lm.batch import by_length
from reflect_core.lm.completion import CompletionBatch, CompletionLoss, completion_batch
from reflect_core.lm.generate import generate
from reflect_core.lm.inference import inference
from reflect_core.lm.pool import ModelPool
from reflect_core.lm.sft import PARTS, StepBatches, fit
from reflect_core.prompt import reflector_segments
from reflect_core.records import Example, Tokens
from reflect_core.settings import Settings
from reflect_reflector_local.legal import LegalNames


@attrs.frozen
class Draft:
    """A reflection as it was written, and whether the limit on its length cut it off."""

    text: str
    cut: bool


class LocalReflector:
    """Implements :class:`reflect_core.protocols.Reflector` with the run's base model.

    Args:
        models: Gives the weights and the tokenizer.
        settings: The run's configuration.
        alarms: Told of reflections, taught and written, that the limit on their length cuts.
        tries: Most reflections written in a state until one names a legal action. A small model
            garbles a name now and then while it copies it, which is easily told; what is written
            anew is distributed as the model's own words, given that they name an action that is
            possible. The last one stands if none does.
        legal_names: Whether after a colon only legal actions can be written; see
            :class:`reflect_reflector_local.legal.LegalNames`.
    """

    def __init__(
        self,
        models: ModelPool,
        settings: Settings,
        alarms: Alarms | None = None,
        *,
        tries: int = 1,
        legal_names: bool = False,
    ) -> None:
        self.models = models
        self.settings = settings
        self.alarms = Alarms() if alarms is None else alarms
        # where reflections may not name actions none does, and greedy ones would be the same again
        rollout = settings.rollout
        self.tries = tries if rollout.name_actions and rollout.reflection_temperature else 1
        models.check_writes()
        self.player = models.player("reflector")
        vocabulary = range(len(models.tokenizer))
        pieces = models.tokenizer.batch_decode([[token] for token in vocabulary])
        named = legal_names and rollout.name_actions
        self._legal = LegalNames(models.encoder, pieces) if named else None
        # one reflection is one line
        self._breaks = frozenset(i for i, piece in enumerate(pieces) if "\n" in piece)

    def reflect(
        self, states: Sequence[State], draws: Sequence[Draws], *, greedy: bool
    ) -> list[str]:
        """One reflection per state, in order; empty where the model ends at once.

        Greedy decoding is used when asked for, and always at reflection temperature 0; what is
        written anew is sampled.
        """
        prompts = self._prompts(states)
        drafts = self._write(states, prompts, draws, greedy=greedy)
        vain = [row for row in range(len(states)) if not self._possible(drafts[row], states[row])]
        # All further tries at once: a batch takes little longer than one of its rows. Of these the
        # first that names something possible stands, as if they were written one after the other.
        rows = [row for row in vain for _ in range(1, self.tries)]
        anew = [draws[row].again(attempt) for row in vain for attempt in range(1, self.tries)]
        if rows:
            written = self._write(
                [states[row] for row in rows], [prompts[row] for row in rows], anew, greedy=False
            )
            for row, draft in zip(rows, written, strict=True):
                if not self._possible(drafts[row], states[row]):
                    drafts[row] = draft
        room = self.settings.rollout.max_reflection_tokens
        self.alarms.sound(
            "cut_reflections",
            f"the reflector wrote rollout.max_reflection_tokens={room} tokens without coming to "
            "an end: the last words may be missing; raise it if that happens often",
            count=sum(draft.cut for draft in drafts),
        )
        return [draft.text for draft in drafts]

    def _possible(self, draft: Draft, state: State) -> bool:
        return named_action(draft.text, state.observation.legal_actions) is not None

    def _prompts(self, states: Sequence[State]) -> list[Tokens]:
        rollout = self.settings.rollout
        encoded = [
            self.models.encoder.prompt(
                reflector_segments(state, history=rollout.history),
                room=rollout.max_reflection_tokens,
            )
            for state in states
        ]
        truncated(sum(prompt.dropped > 0 for prompt in encoded), self.alarms)
        return [prompt.ids for prompt in encoded]

    def _write(
        self,
        states: Sequence[State],
        prompts: Sequence[Tokens],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> list[Draft]:
        """One draft per state, in order."""
        rollout = self.settings.rollout
        encoder = self.models.encoder
        room = rollout.max_reflection_tokens
        argmax = greedy or rollout.reflection_temperature == 0
        drafts = [Draft("", cut=False)] * len(states)
        with self.player.active() as model, inference(model):
            for rows in by_length([len(prompt) for prompt in prompts], rollout.batch_rows):
                written = generate(
                    model,
                    [prompts[i] for i in rows],
                    None if argmax else [draws[i].stream("reflection") for i in rows],
                    max_new_tokens=room,
                    end_id=encoder.end_id,
                    pad_id=encoder.pad_id,
                    stop_ids=self._breaks,
                    temperature=rollout.reflection_temperature or 1.0,
                    allowed=self._allowed([states[i] for i in rows]),
                )
                texts = self.models.tokenizer.batch_decode(written, skip_special_tokens=True)
                for row, tokens, text in zip(rows, written, texts, strict=True):
                    drafts[row] = Draft(text.strip(), cut=len(tokens) == room)
        return drafts

    def _allowed(
        self, states: Sequence[State]
    ) -> Callable[[int, Sequence[int]], list[int] | None] | None:
        """What may follow in each row; None where anything may."""
        legal = self._legal
        if legal is None:
            return None
        return lambda row, written: legal.next_tokens(
            written, states[row].observation.legal_actions
        )

    def fit(
        self, examples: Sequence[Example], *, progress: Callable[[int, float], None]
    ) -> list[float]:
        """Supervised warm-up on the teacher's reflections; returns losses in nats a token."""
        sft = self.settings.sft
        encoder = self.models.encoder
        history = self.settings.rollout.history
        taught = [[*encoder.text(f" {example.reflection}"), encoder.end_id] for example in examples]
        self._measure([len(completion) for completion in taught])

        def encode(row: int, step: int, place: int) -> tuple[Tokens, list[int]]:
            segments = reflector_segments(examples[row].state, history=history)
            return encoder.prompt(segments, room=len(taught[row])).ids, taught[row]

        def collate(samples: Sequence[tuple[Tokens, list[int]]]) -> CompletionBatch:
            prompts, completions = zip(*samples, strict=True)
            return completion_batch(
                prompts, completions, pad_id=encoder.pad_id, device=self.models.device
            )

        def loss(module: torch.nn.Module, batch: Any) -> torch.Tensor:
            result: torch.Tensor = module(batch)
            return result

        batches = StepBatches(
            encode,
            length=lambda sample: len(sample[0]) + len(sample[1]),
            collate=collate,
            examples=len(examples),
            updates=sft.reflector_updates,
            batch_size=sft.batch_size,
            seed=self.settings.seed,
            name="reflector",
            weights=example_weights(examples, sft.balance),
            parts=PARTS,
            processes=self.models.processes,
        )
        with self.player.active(training=True) as model:
            return fit(
                CompletionLoss(model, logit_map=self.models.logit_map),
                batches,
                loss,
                sft,
                seed=self.settings.seed,
                progress=progress,
            )

    def _measure(self, lengths: Sequence[int]) -> None:
        """Sound an alarm where what is taught, its end included, is longer than may be written."""
        room = self.settings.rollout.max_reflection_tokens
        long = sum(length > room for length in lengths)
        if long and self.settings.sft.reflector_updates:
            self.alarms.sound(
                "long_reflections",
                f"{long} of the {len(lengths)} reflections that the reflector is taught do not "
                f"end within rollout.max_reflection_tokens={room}: in play their last words, "
                f"which say what to do, are cut off; raise it (the longest takes {max(lengths)})",
                count=long,
            )

    def save(self, folder: Path) -> None:
        """Write the weights as a model or adapter folder."""
        self.player.save(folder, self.models.tokenizer)

    def load(self, folder: Path) -> None:
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: The folder is missing, corrupt or another model's.
        """
        self.player.load(folder)
