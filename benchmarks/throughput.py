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
from reflect_core.protocols import Reflector
from reflect_core.records import Draws, State, Transition
from reflect_core.rollout import Collector, evaluation_episodes
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.teach import teach

HERE = Path(__file__).parent
ROUNDS = 5
EPISODES = 64


@attrs.frozen
class Line:
    """A part of the run: tokens per unit, how many units, tokens per second.

    A part without tokens was timed whole, in units per second.
    """

    name: str
    tokens: float
    units: float
    rate: float

    @property
    def seconds(self) -> float:
        """What the whole run spends here."""
        return (self.tokens or 1) * self.units / self.rate

    @property
    def row(self) -> str:
        """The line of the table."""
        figures = (f"{self.tokens:.0f}", f"{self.units:.0f}", f"{self.rate:,.0f}")
        tokens, units, rate = figures if self.tokens else ("-", figures[1], "-")
        return f"| {self.name} | {tokens} | {units} | {rate} | {self.seconds:.0f} |"


def median_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median wall time of some calls, after one that warms up."""
    work()
    times = []
    for _ in range(rounds):
        _wait()
        started = time.perf_counter()
        work()
        _wait()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _wait() -> None:
    """Until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@attrs.frozen
class Turns:
    """What the parts of a run are timed on."""

    states: list[State]
    reflections: list[str]
    draws: list[Draws]
    transitions: list[Transition]
    per_episode: float

    @property
    def acted(self) -> int:
        """Tokens of the policy's prompts."""
        return sum(len(turn.choice.prompt_ids) for turn in self.transitions)


def expert_turns(session: Session, reflector: Reflector, episodes: int = EPISODES) -> Turns:
    """The expert's turns, which stand for those of a trained policy, with some reflections."""
    # a mixture of the tasks that RL plays
    plan = evaluation_episodes(
        session.divided[1], episodes, seed=0, stage=session.env_spec.stages[-1]
    )
    collector = Collector(
        session.make_environment,
        reflector,
        ExpertPolicy(),
        seed=0,
        num_envs=episodes,
        needs_expert=True,
    )
    trajectories = collector.play(plan, greedy=True).trajectories
    states, transitions, draws = [], [], []
    for trajectory in trajectories:
        for turn, transition in enumerate(trajectory.transitions):
            states.append(State(trajectory.task, transition.observation))
            draws.append(Draws(0, ("throughput", trajectory.episode, turn)))
            transitions.append(transition)
    reflections = [t.reflection for t in transitions]
    choices = session.policy.act(states, reflections, draws, greedy=False)
    turns = [attrs.evolve(t, choice=choice) for t, choice in zip(transitions, choices, strict=True)]
    return Turns(states, reflections, draws, turns, len(states) / len(trajectories))


def measure(session: Session) -> list[Line]:
    """The lines of the budget, in the order of the run."""
    settings = session.settings
    turns = expert_turns(session, session.reflector)
    policy, reflector = session.policy, session.reflector
    encoder = session.models.encoder
    states, reflections, draws = turns.states, turns.reflections, turns.draws
    read = [len(encoder.prompt(reflector_segments(s, history=0)).ids) for s in states]
    said = [len(encoder.text(f" {reflection}")) + 1 for reflection in reflections]

    act = median_seconds(lambda: policy.act(states, reflections, draws, greedy=False))
    reflect = median_seconds(lambda: reflector.reflect(states, draws, greedy=False))
    update = median_seconds(lambda: learn(session, turns.transitions))
    reading, writing = map(statistics.mean, (read, said))
    prompts = turns.acted / len(states)
    rates = {
        "act": turns.acted / act,
        "reflect": (sum(read) + sum(said)) / reflect,
        "update": turns.acted / update,
    }
    sft, train, evaluation = settings.sft, settings.train, settings.eval
    per_episode = turns.per_episode
    played = train.iterations * train.episodes
    played += train.valid_episodes * (1 + train.iterations // train.valid_every)
    judged = evaluation.episodes * (4 if evaluation.decoding == "both" else 2)
    epochs = getattr(settings.trainer.options, "update_epochs", 1)
    return [
        Line("teaching, by the expert", 0, settings.teach.episodes, lessons_per_second(session)),
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


def lessons_per_second(session: Session) -> float:
    """Episodes that the expert shows in a second; all are played, once."""
    settings = session.settings.teach
    started = time.perf_counter()
    teach(
        session.make_environment, session.divided[0], settings,
        seed=session.settings.seed, stages=session.env_spec.stages,
    )  # fmt: skip
    return settings.episodes / (time.perf_counter() - started)


def learn(session: Session, turns: list[Transition], rows: int = 32) -> None:
    """Forward and backward passes over the turns, so many rows at a time, without a step."""
    from reflect_core.lm.policy import LmPolicy

    policy = session.policy
    assert isinstance(policy, LmPolicy)
    with policy.training() as module:
        for start in range(0, len(turns), rows):
            logits, values = module(policy.batch(turns[start : start + rows]))
            (torch.logsumexp(logits, dim=-1).mean() + values.mean()).backward()
        module.zero_grad()


def tell(lines: list[str], name: str | None) -> None:
    """Print a table, and write it beside this file under a name if there is one."""
    print("\n".join(lines))
    if name is not None:
        files.write_atomic(HERE / name, "\n".join(lines) + "\n")


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
        overrides=["reflector.tries=1", *overrides],  # the untrained one would fail each time
        flags={"env": options.env, "model": options.model, "trainer": "ppo"},
    )
    with tempfile.TemporaryDirectory() as folder:
        session = Session(RunFolder(Path(folder)), settings, registry, QuietProgress())
        lines = measure(session)
        parameters = session.models.parameters
        session.close()
    told = f" ({' '.join(overrides)})" if overrides else ""
    text = [
        f"# Token budget of `reflect run --env {options.env} --trainer ppo`",
        "",
        f"{options.model}, {parameters / 1e6:.2f} M parameters, {settings.model.dtype}, "
        f"{torch.get_num_threads()} threads on {platform.machine()}, torch {torch.__version__}. "
        "Reflections come from the untrained reflector and are written once, turns from the "
        f"expert{told}. RL learns from fewer: from a part of those that the policy is certain of "
        "(`trainer.keep_certain`).",
        "",
        "| part | tokens each | how many | tokens/s | seconds |",
        "|---|---|---|---|---|",
        *(line.row for line in lines),
        f"| **all** | | | | **{sum(line.seconds for line in lines):.0f}** |",
    ]
    tell(text, "throughput.md" if options.write else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
