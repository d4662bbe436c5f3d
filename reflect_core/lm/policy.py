"""The policy ``lm``: one forward pass, softmax over the labels of the legal actions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from reflect_core.balance import example_weights
from reflect_core.context import Context
from reflect_core.errors import CheckpointError, ConfigError, ReflectError
from reflect_core.hookspecs import NoConfig
from reflect_core.lm.actor_critic import ActorCritic
from reflect_core.lm.batch import PromptBatch, by_length, prompt_batch
from reflect_core.lm.encode import Encoded, Encoder
from reflect_core.lm.generate import inverse_cdf
from reflect_core.lm.inference import inference
from reflect_core.lm.pool import ModelPool, Player
from reflect_core.lm.sft import PARTS, StepBatches, fit
from reflect_core.prompt import draw_menu, policy_segments
from reflect_core.records import Choice, Draws, Example, Hidden, State, Tokens, Transition
from reflect_core.rollout import asked
from reflect_core.settings import Settings

VALUE_HEAD = "value_head.safetensors"


def make_policy(config: NoConfig, context: Context) -> LmPolicy:
    """The factory behind ``--policy lm``."""
    assert context.models is not None and context.accelerator is not None
    return LmPolicy(context.models, context.settings, critic=context.critic)


def lm_policy(policy: object, settings: Settings) -> LmPolicy:
    """The policy, where it is one that goes through a model as ``lm`` does.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(policy, LmPolicy):
        raise ConfigError(
            f"the trainer {settings.trainer.name!r} cannot update the policy "
            f"{settings.policy.name!r}",
            why="it updates the model of lm, or of a policy derived from the class LmPolicy",
            then="choose --policy lm, or a trainer that goes with this policy",
        )
    return policy


class LmPolicy:
    """A causal LM that picks actions by label.

    Args:
        models: Gives the weights and the tokenizer.
        settings: The run's configuration.
        critic: Whether it estimates values too.

    Attributes:
        module: The actor-critic, the module that a trainer prepares and updates.
        player: Its language model's weights.
        weights_version: Counts updates; set by the loop.
        keeps_hidden: Whether choices keep the last hidden state; set by a trainer that wants it.
    """

    def __init__(self, models: ModelPool, settings: Settings, *, critic: bool) -> None:
        self.models = models
        self.settings = settings
        self.encoder: Encoder = models.encoder
        self.player: Player = models.player("policy")
        self.module = ActorCritic(self.player.model, critic=critic, logit_map=models.logit_map)
        self.weights_version = 0
        self.keeps_hidden = False

    # -- acting ---------------------------------------------------------------------------

    def act(
        self,
        states: Sequence[State],
        reflections: Sequence[str],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> list[Choice]:
        """One choice per state, in order; see :class:`reflect_core.protocols.Policy`."""
        temperature = self.settings.rollout.temperature
        greedy = greedy or temperature == 0
        encoded = [self.encode(*parts) for parts in zip(states, reflections, draws, strict=True)]
        logits: list[torch.Tensor | None] = [None] * len(states)
        values = [0.0] * len(states)
        hidden: list[Hidden | None] = [None] * len(states)
        lengths = [len(prompt.ids) for prompt, _ in encoded]
        with self.player.active(), inference(self.player.model):
            for rows in by_length(lengths, self.settings.rollout.batch_rows):
                batch = self._batch([(encoded[i][0].ids, encoded[i][1]) for i in rows])
                state = self.module.state(batch)
                # all of them at once: each copy waits for the device
                found, estimates = (tensor.cpu() for tensor in self.module.heads(state, batch))
                for place, row in enumerate(rows):
                    logits[row] = found[place, : len(encoded[row][1])]
                    values[row] = float(estimates[place])
                if self.keeps_hidden:
                    for row, one in zip(rows, state.float().cpu().numpy(), strict=True):
                        hidden[row] = one
        choices = []
        for row, (prompt, label_ids) in enumerate(encoded):
            scores = logits[row]
            assert scores is not None
            logprobs = torch.log_softmax(scores / (1.0 if greedy else temperature), dim=-1)
            if greedy:
                index = int(scores.argmax())
            else:
                drawn = draws[row].stream("action").random()
                uniform = torch.tensor([drawn], dtype=torch.float64)
                index = int(inverse_cdf(logprobs.exp().unsqueeze(0), uniform))
            choices.append(
                Choice(
                    index=index,
                    logprob=float(logprobs[index]),
                    probabilities=tuple(logprobs.exp().tolist()),
                    value=values[row],
                    prompt_ids=prompt.ids,
                    label_ids=label_ids,
                    temperature=0.0 if greedy else temperature,
                    weights_version=self.weights_version,
                    truncated_turns=-(-prompt.dropped // 2),  # two segments a turn
                    hidden=hidden[row],
                )
            )
        return choices

    def encode(self, state: State, reflection: str, draws: Draws) -> tuple[Encoded, Tokens]:
        """A turn's prompt, and the label token of each legal action in its order.

        Raises:
            ReflectError: There are more legal actions than the model has labels.
        """
        actions = len(state.observation.legal_actions)
        if actions > len(self.encoder.labels):
            raise ReflectError(
                f"{actions} legal actions, but the model has {len(self.encoder.labels)} labels",
                why=f"task {state.task.task_id}: every action needs a label of its own",
                then="choose options with shorter menus, or another model",
            )
        menu = draw_menu(actions, len(self.encoder.labels), draws)
        rollout = self.settings.rollout
        segments = policy_segments(
            state,
            reflection,
            menu,
            history=rollout.history,
            check=rollout.check_reflections and rollout.name_actions,
        )
        return self.encoder.prompt(segments), self.encoder.label_ids(menu.labels)

    def _batch(self, rows: Sequence[tuple[Tokens, Tokens]]) -> PromptBatch:
        return prompt_batch(
            [ids for ids, _ in rows],
            [labels for _, labels in rows],
            pad_id=self.encoder.pad_id,
            device=self.models.device,
        )

    # -- learning -------------------------------------------------------------------------

    def batch(self, transitions: Sequence[Transition]) -> PromptBatch:
        """The prompts of past turns as they were read, for an update."""
        return self._batch([(t.choice.prompt_ids, t.choice.label_ids) for t in transitions])

    @contextmanager
    def training(self) -> Iterator[ActorCritic]:
        """The module with the policy's weights switched on and ready for gradients."""
        with self.player.active(training=True):
            yield self.module

    def trainable(self) -> list[torch.nn.Parameter]:
        """What an optimizer holds: the player's weights and the value head, nothing else."""
        head = self.module.value_head
        return [*self.player.trainable(), *(head.parameters() if head is not None else [])]

    def fit(
        self,
        examples: Sequence[Example],
        *,
        reflect: float,
        progress: Callable[[int, float], None],
    ) -> list[float]:
        """Supervised warm-up: cross-entropy over the legal labels; returns losses in nats.

        Args:
            examples: The teacher's turns.
            reflect: Share of the prompts that carry the teacher's reflections.
            progress: Called with (step, loss).
        """
        sft = self.settings.sft
        seed = self.settings.seed

        def encode(row: int, step: int, place: int) -> tuple[Tokens, Tokens, int]:
            example = examples[row]
            draws = Draws(seed, ("sft", "policy", step, place))
            reflection = example.reflection if asked(draws, reflect) else ""
            prompt, label_ids = self.encode(example.state, reflection, draws)
            target = example.state.observation.legal_actions.index(example.action)
            return prompt.ids, label_ids, target

        def collate(
            samples: Sequence[tuple[Tokens, Tokens, int]],
        ) -> tuple[PromptBatch, torch.Tensor]:
            targets = torch.tensor([target for *_, target in samples], device=self.models.device)
            return self._batch([(ids, labels) for ids, labels, _ in samples]), targets

        def loss(module: torch.nn.Module, item: Any) -> torch.Tensor:
            batch, target = item
            logits, _ = module(batch)
            return torch.nn.functional.cross_entropy(logits, target)

        batches = StepBatches(
            encode,
            length=lambda sample: len(sample[0]),
            collate=collate,
            examples=len(examples),
            updates=sft.policy_updates,
            batch_size=sft.batch_size,
            seed=seed,
            name="policy",
            weights=example_weights(examples, sft.balance),
            parts=PARTS,
            processes=self.models.processes,
        )
        with self.training() as module:
            return fit(module, batches, loss, sft.for_policy, seed=seed, progress=progress)

    # -- saving ---------------------------------------------------------------------------

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Copies of all trainable tensors, by name."""
        state = {f"lm.{name}": tensor for name, tensor in self.player.state_dict().items()}
        if self.module.value_head is not None:
            for name, tensor in self.module.value_head.state_dict().items():
                state[f"value_head.{name}"] = tensor.detach().clone()
        return state

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take up what :meth:`state_dict` gave."""
        self.player.load_state_dict(
            {name.removeprefix("lm."): t for name, t in state.items() if name.startswith("lm.")}
        )
        if self.module.value_head is not None:
            self.module.value_head.load_state_dict(
                {
                    name.removeprefix("value_head."): tensor
                    for name, tensor in state.items()
                    if name.startswith("value_head.")
                }
            )

    def save(self, folder: Path) -> None:
        """Write the weights as a model or adapter folder, and the value head beside."""
        self.player.save(folder, self.models.tokenizer)
        if self.module.value_head is not None:
            head = self.module.value_head.state_dict()
            save_file({name: t.cpu() for name, t in head.items()}, str(folder / VALUE_HEAD))

    def load(self, folder: Path) -> None:
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: The folder is missing, corrupt or another model's.
        """
        self.player.load(folder)
        if self.module.value_head is not None and (folder / VALUE_HEAD).exists():
            try:
                self.module.value_head.load_state_dict(load_file(str(folder / VALUE_HEAD)))
            except Exception as error:  # safetensors and torch raise many kinds
                raise CheckpointError(
                    f"the value head in {folder} could not be read",
                    why=str(error).splitlines()[0],
                    then="point to a folder that a run wrote, or make the run anew",
                ) from error


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of each row's distribution; (B, K) with -inf padding to (B,)."""
    logprobs = torch.log_softmax(logits, dim=-1)
    return -(logprobs.exp() * logprobs.masked_fill(logprobs == -math.inf, 0.0)).sum(dim=-1)
