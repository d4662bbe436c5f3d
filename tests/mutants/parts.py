"""Reflectors and policies that are right, and what becomes of them by one slip."""

from __future__ import annotations

import attrs
import torch

from mutants.common import Mutant, register
from mutants.curricula import Recipe
from reflect_core import CurriculumSpec, PolicySpec, ReflectorSpec
from reflect_core.records import Choice
from reflect_core.testing.bench import Bench
from reflect_core.testing.kinds import LAWS
from reflect_core.testing.laws import Effort, Examiner, Outcome
from reflect_core.testing.parts import PartSubject

REFLECTORS: dict[str, Mutant] = {}
POLICIES: dict[str, Mutant] = {}
reflector = register(REFLECTORS)
policy = register(POLICIES)
SPECS = {"reflector": ReflectorSpec, "policy": PolicySpec, "curriculum": CurriculumSpec}


def examine(kind: str, part, bench: Bench, effort: Effort | None = None) -> dict[str, Outcome]:
    """What came of each law, by its name."""
    made = SPECS[kind](name="mutant", factory=lambda config, context: part(context))
    subject = PartSubject.of(kind, made, made.config(), bench.settings)
    subject.bench = bench  # which holds the model
    if kind == "curriculum":
        subject.recipe = Recipe(part.__module__, part.__name__)
    examiner = Examiner(subject, LAWS[kind], effort or Effort())
    return {outcome.law.name: outcome for outcome in examiner.outcomes()}


# -- reflectors ---------------------------------------------------------------------------


class Parrot:
    """Says again what is seen, and how lucky it feels; it has a weight that nothing changes."""

    def __init__(self, context):
        self.luck = torch.nn.Linear(1, 1)

    def reflect(self, states, draws, *, greedy):
        return [self.say(state, draw, greedy) for state, draw in zip(states, draws, strict=True)]

    def say(self, state, draw, greedy):
        luck = 0.5 if greedy else draw.stream("reflection").random()
        return f"{luck:.2f}: {state.observation.text}"


@reflector("builds", "no method reflect", "__init__")
class Mute(Parrot):
    reflect = None


@reflector("one-each", "passed over", "reflect")
class PassesOver(Parrot):
    def reflect(self, states, draws, *, greedy):
        pairs = [pair for pair in zip(states, draws, strict=True) if pair[0].history]
        return [self.say(state, draw, greedy) for state, draw in pairs]


@reflector("nothing", "whether there is anything", "reflect")
class FillsUp(Parrot):
    def reflect(self, states, draws, *, greedy):
        return super().reflect(states, draws, greedy=greedy) or [""]


@reflector("alone", "goes on from call to call", "reflect")
class GoesOn(Parrot):
    said = 0

    def say(self, state, draw, greedy):
        self.said += 1
        return f"{self.said}: {state.observation.text}"


@reflector("alone", "not put back in order", "reflect")
class ByLength(Parrot):
    def reflect(self, states, draws, *, greedy):
        return sorted(super().reflect(states, draws, greedy=greedy), key=len)


@reflector("unmoved", "reflecting trains", "reflect")
class Learns(Parrot):
    def say(self, state, draw, greedy):
        with torch.no_grad():
            self.luck.weight += 1
        return super().say(state, draw, greedy)


@reflector("bounded", "no limit", "reflect")
class Chatters(Parrot):
    def say(self, state, draw, greedy):
        return 500 * super().say(state, draw, greedy)


@reflector("bounded", "not valid UTF-8", "reflect")
class HalfACharacter(Parrot):
    def say(self, state, draw, greedy):
        return super().say(state, draw, greedy) + "\u00e9".encode()[:1].decode(
            "utf-8", "surrogateescape"
        )


# -- policies -----------------------------------------------------------------------------


class Habit:
    """Prefers what stands earlier on the menu; it has a weight that nothing changes."""

    def __init__(self, context):
        self.taste = torch.nn.Linear(1, 1)

    def act(self, states, reflections, draws, *, greedy):
        return [self.choose(state, draw) for state, draw in zip(states, draws, strict=True)]

    def odds(self, state):
        weights = [1 / (place + 1) for place in range(len(state.observation.legal_actions))]
        return [weight / sum(weights) for weight in weights]

    def choose(self, state, draw):
        odds = self.odds(state)
        index = int(draw.stream("action").choice(len(odds), p=odds))
        return self.tell(index, odds)

    def tell(self, index, odds):
        return Choice(index, float(torch.tensor(odds[index]).log()), tuple(odds))


@policy("builds", "no method act", "__init__")
class Idle(Habit):
    act = None


@policy("one-each", "passed over", "act")
class SkipsTheFirst(Habit):
    def act(self, states, reflections, draws, *, greedy):
        return super().act(states[1:], reflections[1:], draws[1:], greedy=greedy)


@policy("one-each", "index into something else", "act")
class CountsFromOne(Habit):
    def tell(self, index, odds):
        return attrs.evolve(super().tell(index, odds), index=index + 1)


@policy("sums", "more than the legal labels", "act")
class AllLabels(Habit):
    """The softmax is over four labels, whatever the menu."""

    def tell(self, index, odds):
        shared = [p * (len(odds) + 1) / 5 for p in odds]
        return super().tell(index, shared)


@policy("sums", "of another action", "act")
class TellsTheBest(Habit):
    def tell(self, index, odds):
        best = super().tell(0, odds)
        return attrs.evolve(best, index=index)


@policy("alone", "goes on from call to call", "act")
class OneGenerator(Habit):
    def __init__(self, context):
        super().__init__(context)
        self.generator = torch.Generator().manual_seed(0)

    def choose(self, state, draw):
        odds = self.odds(state)
        index = int(torch.multinomial(torch.tensor(odds), 1, generator=self.generator))
        return self.tell(index, odds)


@policy("unmoved", "acting trains", "act")
class CountsInABuffer(Habit):
    def __init__(self, context):
        super().__init__(context)
        self.taste.register_buffer("asked", torch.zeros(()))

    def choose(self, state, draw):
        self.taste.asked += 1
        return super().choose(state, draw)
