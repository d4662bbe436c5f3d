"""A policy that is a table, in double precision: every gradient can be written down.

A state is a number; it has a row of logits and a value. Prompts are one token, the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np
import torch
from accelerate import Accelerator

from reflect_core import Choice, Context, Observation, Task, Trajectory, Transition
from reflect_core.lm.policy import LmPolicy
from reflect_core.settings import Part, Settings, TrainSettings
from reflect_core.testing.lamps import Lamps


@attrs.frozen
class States:
    rows: torch.Tensor  # (B,)
    mask: torch.Tensor  # (B, K)


class Rows(torch.nn.Module):
    def __init__(self, logits: Any, values: Any) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.as_tensor(logits, dtype=torch.float64))
        self.values = torch.nn.Parameter(torch.as_tensor(values, dtype=torch.float64))

    def forward(self, states: States) -> tuple[torch.Tensor, torch.Tensor]:
        width = states.mask.shape[1]
        logits = self.logits[states.rows, :width].masked_fill(~states.mask, -torch.inf)
        return logits, self.values[states.rows]


class Table(LmPolicy):
    """S states with up to K actions each.

    Args:
        logits: (S, K).
        values: (S,), 0 by default.
        menus: Number of legal actions of each state, K by default.
    """

    def __init__(self, logits: Any, values: Any = None, menus: Sequence[int] | None = None) -> None:
        states, actions = np.shape(logits)
        self.module = Rows(logits, np.zeros(states) if values is None else values)
        self.menus = menus or [actions] * states
        self.player = self
        self.weights_version = 0

    @contextmanager
    def active(self) -> Iterator[Rows]:
        yield self.module

    @contextmanager
    def training(self) -> Iterator[Rows]:
        yield self.module

    def trainable(self) -> list[torch.nn.Parameter]:
        return list(self.module.parameters())

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in self.module.state_dict().items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.module.load_state_dict(state)

    def batch(self, transitions: Sequence[Transition]) -> States:
        counts = [len(turn.choice.label_ids) for turn in transitions]
        rows = torch.tensor([int(turn.choice.prompt_ids[0]) for turn in transitions])
        return States(rows, torch.arange(max(counts)) < torch.tensor(counts).unsqueeze(1))

    def logprobs(self, state: int) -> np.ndarray:
        """Of the legal actions, shape (K,)."""
        logits = self.module.logits[state, : self.menus[state]].detach().numpy()
        return logits - np.log(np.exp(logits).sum())


def context(player: Table, iterations: int = 8) -> Context:
    """What a trainer's factory is given."""
    return Context(
        seed=0,
        settings=Settings(0, *[Part("none")] * 5, train=TrainSettings(iterations)),
        make_environment=Lamps,
        tasks=Lamps().tasks,
        accelerator=Accelerator(cpu=True),
        policy=player,
    )


def game(
    player: Table,
    turns: Sequence[tuple[int, int, float]],
    *,
    by: Any = None,
    keys: Sequence[str | None] | None = None,
    values: Any = None,
    **more: Any,
) -> Trajectory:
    """An episode of (state, action, reward), played by the table ``by`` or by the player itself."""
    transitions = []
    for turn, (state, action, reward) in enumerate(turns):
        actions = player.menus[state]
        choice = Choice(
            index=action,
            logprob=float((by or player).logprobs(state)[action]),
            value=player.module.values[state].item() if values is None else values[turn],
            prompt_ids=np.array([state], np.int32),
            label_ids=np.arange(actions, dtype=np.int32),
        )
        observation = Observation("", [str(a) for a in range(actions)], keys and keys[turn])
        transitions.append(Transition(observation, "", choice, reward))
    ending = {"terminated": True, "truncated": False, "success": False, "episode": 0}
    task = Task("t", "train", "")
    return Trajectory(task=task, stage=None, transitions=tuple(transitions), **ending | more)


def gradients(player: Table) -> tuple[np.ndarray, np.ndarray]:
    """Of the logits (S, K) and of the values (S,), after an update."""
    found = [p.grad for p in player.trainable()]
    return found[0].numpy().copy(), found[1].numpy().copy()


def advantages(player: Table, learner: Any, episodes: Sequence[Trajectory]) -> list[float]:
    """The advantage that a trainer gives to each turn it learns from, in order.

    Read off the gradient ``-A (e_a - p) / N`` of its first step, so the learner must take one
    step at rate 0 with its policy term alone, and no two turns may share a state.
    """
    learner.update(episodes, iteration=0)
    slopes, _ = gradients(player)
    turns = [turn for e in episodes for turn in e.transitions[: e.learn_turns]]
    states = [int(turn.choice.prompt_ids[0]) for turn in turns]
    assert len(set(states)) == len(states)
    return [
        float(-len(turns) * slopes[state, i] / (1 - np.exp(player.logprobs(state)[i])))
        for state, i in zip(states, (turn.choice.index for turn in turns), strict=True)
    ]
