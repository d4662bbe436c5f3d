"""Supervised warm-up with transformers' Trainer, one prepared batch a step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from reflect_core.advantages import Floats
from reflect_core.balance import draw_pass
from reflect_core.errors import NonFiniteLoss
from reflect_core.settings import SftSettings
from reflect_core.streams import stream

Progress = Callable[[int, float], None]
PARTS = 4
"""Pieces in which a player's step is computed: prompts hold whole listings and menus."""


class StepBatches(Dataset[Any]):
    """Batch ``i`` is what step ``i`` learns from, a pure function of seed and ``i``.

    With ``parts`` a step's batch comes in that many pieces of equal size, whose gradients the
    Trainer adds up: the same step in less memory. Pieces hold samples of like length, so that
    little is padded. Each piece weighs the same: where a loss is a mean over tokens, those of short
    samples weigh more than those of long ones.

    With several processes a step has ``batch_size`` examples for each. The Trainer deals out the
    pieces in turn, so that each process has as many, and no two have the same.

    Args:
        encode: Makes a sample from the index of its example, the step, and its place among the
            step's samples as they were drawn.
        length: Of a sample, in tokens.
        collate: Makes a batch of samples.
        examples: Number of examples; they come in shuffled passes.
        weights: How often each comes in a pass on average, shape (examples,); None for once.
        updates, batch_size: Steps, and examples in each for each process.
        name: Names the random stream.
        parts: Pieces of a step for each process; where it does not divide ``batch_size``, 1 is
            taken.
        processes: How many learn together.
    """

    def __init__(
        self,
        encode: Callable[[int, int, int], Any],
        *,
        length: Callable[[Any], int],
        collate: Callable[[Sequence[Any]], Any],
        examples: int,
        updates: int,
        batch_size: int,
        seed: int,
        name: str,
        weights: Floats | None = None,
        parts: int = 1,
        processes: int = 1,
    ) -> None:
        self.encode, self.length, self.collate = encode, length, collate
        self._encoded: tuple[int, list[Any]] = (-1, [])  # the step that was asked for last
        self.updates = updates
        self.parts = parts if batch_size % parts == 0 else 1
        """Pieces of a step for each process."""
        self.pieces = self.parts * processes
        batch_size *= processes
        need = updates * batch_size
        passes = -(-need // examples)
        order = []
        for number in range(passes):
            draws = stream(seed, "sft", name, "pass", number)
            rows = draws.permutation(examples) if weights is None else draw_pass(weights, draws)
            order += [int(row) for row in rows]
        self.rows = [order[k * batch_size : (k + 1) * batch_size] for k in range(updates)]

    def __len__(self) -> int:
        return self.updates * self.pieces

    def __getitem__(self, index: int) -> Any:
        step, piece = divmod(index, self.pieces)
        samples = self._samples(step)
        size = len(samples) // self.pieces
        return {"step_batch": self.collate(samples[piece * size : (piece + 1) * size])}

    def _samples(self, step: int) -> list[Any]:
        """Those of a step, from the shortest to the longest."""
        if self._encoded[0] != step:
            samples = [self.encode(row, step, place) for place, row in enumerate(self.rows[step])]
            self._encoded = step, sorted(samples, key=self.length)
        return self._encoded[1]


class _Warmup(Trainer):
    """A Trainer whose loss is given as a function of module and batch."""

    def __init__(self, loss: Callable[[nn.Module, Any], torch.Tensor], **options: Any) -> None:
        super().__init__(**options)
        self._loss = loss
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The given loss of the step's batch."""
        loss = self._loss(model, inputs["step_batch"])
        return (loss, {}) if return_outputs else loss

    def _get_train_sampler(self, *_: Any) -> Sampler[int]:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]


class _Report(TrainerCallback):
    def __init__(self, progress: Progress, losses: list[float]) -> None:
        self.progress, self.losses = progress, losses

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        # what is left of the last ten steps counts too, and may not be a number
        control.should_log |= state.global_step == state.max_steps
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))
            self.progress(state.global_step, float(logs["loss"]))


def fit(
    module: nn.Module,
    batches: StepBatches,
    loss: Callable[[nn.Module, Any], torch.Tensor],
    settings: SftSettings,
    *,
    seed: int,
    progress: Progress,
    log_every: int = 10,
) -> list[float]:
    """Minimise ``loss`` over the batches.

    Returns the mean loss of each ``log_every`` steps, and of those that remain at the end.
    AdamW with a linear warm-up over a twentieth of the steps and cosine decay. The Trainer's
    own checkpoints are off: the stage is short and begins anew when it is interrupted.

    Raises:
        NonFiniteLoss: The loss became NaN or infinite.
    """
    losses: list[float] = []
    if not len(batches):
        return losses
    with tempfile.TemporaryDirectory(prefix="reflect-sft-") as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=batches.updates,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=batches.parts,
            learning_rate=settings.lr,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, batches.updates // 20),
            max_grad_norm=settings.max_grad_norm,
            adam_beta2=0.98,
            weight_decay=0.0,
            logging_steps=log_every,
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_num_workers=0,
            dataloader_pin_memory=False,
            seed=seed % 2**32,
        )
        # else a Trainer that sees several GPUs splits the batch among copies of the module, which
        # take tensors alone: a process has one GPU here, as in the rest of a run
        arguments._n_gpu = min(arguments.n_gpu, 1)
        trainer = _Warmup(
            loss,
            model=module,
            args=arguments,
            train_dataset=batches,
            data_collator=lambda items: items[0],
            callbacks=[_Report(progress, losses)],
        )
        trainer.remove_callback(_printer())
        trainer.train()
    if any(value != value or value in (float("inf"), float("-inf")) for value in losses):
        raise NonFiniteLoss(
            "the warm-up's loss is not finite",
            why=f"the learning rate {settings.lr} may be too high",
            then="lower sft.lr (for the policy alone, sft.policy_lr) or set sft.max_grad_norm",
        )
    return losses


def _printer() -> type[TrainerCallback]:
    from transformers import PrinterCallback

    return PrinterCallback
