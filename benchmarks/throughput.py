"""Measure tokens per second of the model, and what the default run spends them on.

    python benchmarks/throughput.py [--write] [KEY=VALUE ...]

Plays and learns a little on the run's own environment and model, counts the tokens that each
part of a run reads or writes, and multiplies out the token budget of the whole run. With
``--write`` the table goes to ``benchmarks/throughput.md``.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import torch

from reflect_core import config, files, plugins
from reflect_core.baselines import ExpertPolicy
from reflect_core.progress import QuietProgress
from reflect_core.prompt import reflector_segments
from reflect_core.records import State, Transition
from reflect_core.rollout import Collector, evaluation_episodes
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session

HERE = Path(__file__).parent
ROUNDS = 5
EPISODES = 64


@attrs.frozen
class Line:
    """A part of the run: tokens per unit, how many units, tokens per second."""

    name: str
    tokens: float
    units: float
    rate: float

    @property
    def seconds(self) -> float:
        """What the whole run spends here."""
        return self.tokens * self.units / self.rate


def median_seconds(work: Callable[[], object]) -> float:
    """Median wall time of some calls, after one that warms up."""
    work()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def measure(session: Session) -> list[Line]:
    """The lines of the budget, in the order of the run."""
    settings = session.settings
    # a mixture of the tasks that RL plays
    plan = evaluation_episodes(
        session.divided[1], EPISODES, seed=0, stage=session.env_spec.stages[-1]
    )
    # the expert's turns stand for those of a trained policy
    collector = Collector(
        session.make_environment,
        session.reflector,
        ExpertPolicy(),
        seed=0,
        num_envs=EPISODES,
        needs_expert=True,
    )
    trajectories = collector.play(plan, greedy=True).trajectories
    states, transitions, draws = [], [], []
    from reflect_core.records import Draws

    for trajectory in trajectories:
        for turn, transition in enumerate(trajectory.transitions):
            state = State(trajectory.task, transition.observation)
            states.append(state)
            draws.append(Draws(0, ("throughput", trajectory.episode, turn)))
            transitions.append(transition)
    policy, reflector = session.policy, session.reflector
    encoder = session.models.encoder
    read = [len(encoder.prompt(reflector_segments(s, history=0)).ids) for s in states]
    said = [len(encoder.text(f" {t.reflection}")) + 1 for t in transitions]
    reflections = [t.reflection for t in transitions]
    choices = policy.act(states, reflections, draws, greedy=False)
    acted = [len(choice.prompt_ids) for choice in choices]
    turns = [attrs.evolve(t, choice=choice) for t, choice in zip(transitions, choices, strict=True)]

    act = median_seconds(lambda: policy.act(states, reflections, draws, greedy=False))
    reflect = median_seconds(lambda: reflector.reflect(states, draws, greedy=False))
    update = median_seconds(lambda: _learn(session, turns))
    prompts, reading, writing = map(statistics.mean, (acted, read, said))
    rates = {
        "act": sum(acted) / act,
        "reflect": (sum(read) + sum(said)) / reflect,
        "update": sum(acted) / update,
    }
    sft, train, evaluation = settings.sft, settings.train, settings.eval
    per_episode = len(states) / len(trajectories)
    played = train.iterations * train.episodes
    played += train.valid_episodes * (1 + train.iterations // train.valid_every)
    judged = evaluation.episodes * (4 if evaluation.decoding == "both" else 2)
    epochs = getattr(settings.trainer.options, "update_epochs", 1)
    return [
        Line(
            "warm-up of the reflector",
            reading + writing,
            sft.reflector_updates * sft.batch_size,
            rates["update"],
        ),
        Line(
            "warm-up of the policy", prompts, sft.policy_updates * sft.batch_size, rates["update"]
        ),
        Line("rollout, reflections", reading + writing, played * per_episode, rates["reflect"]),
        Line("rollout, actions", prompts, played * per_episode, rates["act"]),
        Line(
            "update, at most",
            prompts,
            train.iterations * train.episodes * per_episode * epochs,
            rates["update"],
        ),
        Line("evaluation, reflections", reading + writing, judged * per_episode, rates["reflect"]),
        Line("evaluation, actions", prompts, judged * per_episode, rates["act"]),
    ]


def _learn(session: Session, turns: list[Transition]) -> None:
    """Forward and backward passes over the turns, without a step."""
    from reflect_core.lm.policy import LmPolicy

    policy = session.policy
    assert isinstance(policy, LmPolicy)
    with policy.training() as module:
        for start in range(0, len(turns), 32):
            logits, values = module(policy.batch(turns[start : start + 32]))
            (torch.logsumexp(logits, dim=-1).mean() + values.mean()).backward()
        module.zero_grad()


def main() -> int:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--env", default="filesys")
    parser.add_argument("--model", default="tiny")
    options, overrides = parser.parse_known_args()
    registry = plugins.load()
    settings = config.resolve(
        registry,
        file=None,
        overrides=overrides,
        flags={"env": options.env, "model": options.model, "trainer": "ppo"},
    )
    with tempfile.TemporaryDirectory() as folder:
        session = Session(RunFolder(Path(folder)), settings, registry, QuietProgress())
        lines = measure(session)
        parameters = session.models.parameters
        session.close()
    text = [
        f"# Token budget of `reflect run --env {options.env} --trainer ppo`",
        "",
        f"{options.model}, {parameters / 1e6:.2f} M parameters, {settings.model.dtype}, "
        f"{torch.get_num_threads()} threads on {platform.machine()}, torch {torch.__version__}. "
        "Reflections come from the untrained reflector and are written once, turns from the "
        "expert. RL learns from fewer: from a part of those that the policy is certain of "
        "(`trainer.keep_certain`).",
        "",
        "| part | tokens each | how many | tokens/s | seconds |",
        "|---|---|---|---|---|",
        *(
            f"| {line.name} | {line.tokens:.0f} | {line.units:.0f} | {line.rate:,.0f} "
            f"| {line.seconds:.0f} |"
            for line in lines
        ),
        f"| **all** | | | | **{sum(line.seconds for line in lines):.0f}** |",
    ]
    print("\n".join(text))
    if options.write:
        files.write_atomic(HERE / "throughput.md", "\n".join(text) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
