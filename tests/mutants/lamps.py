"""The lamps, wrong in what they offer and show."""

from __future__ import annotations

import attrs

from mutants.common import Mutant, register
from reflect_core import Observation, Step
from reflect_core.testing.lamps import Lamps

TURNS = 3
OPTIONS = {"stages": ("easy", "full"), "horizon": 50}
"""What is known of them."""
MUTANTS: dict[str, Mutant] = {}
breaks = register(MUTANTS, **OPTIONS)


class Right(Lamps):
    """Nothing is wrong with it; it has two stages."""

    def __init__(self) -> None:
        super().__init__(horizon=TURNS)

    def reset(self, task, *, seed, stage=None):
        return self.show(super().reset(task, seed=seed))

    def step(self, action):
        step = super().step(action)
        return attrs.evolve(step, observation=self.show(step.observation))

    def show(self, shown):
        """What of an observation is changed."""
        return shown


def also(shown: Observation, words: object) -> Observation:
    return attrs.evolve(shown, text=f"{shown.text} {words}")


@breaks("builds", "no method close", "__init__")
class Unclosable(Right):
    close = None


@breaks("splits", "two splits have in common", "tasks")
class SplitsOverlap(Right):
    def tasks(self, split):
        return [attrs.evolve(task, task_id=task.task_id[-1]) for task in super().tasks(split)]


@breaks("splits", "drawn anew at each call", "tasks")
class SplitsChange(Right):
    calls = 0

    def tasks(self, split):
        self.calls += 1
        found = super().tasks(split)
        return found[self.calls % 2 :] + found[: self.calls % 2]


@breaks("resets", "stage that is offered", "reset")
class UnknownStage(Right):
    def reset(self, task, *, seed, stage=None):
        if stage == "easy":
            raise KeyError(stage)
        return super().reset(task, seed=seed)


@breaks("accepts", "KeyError", "step")
class LegalRaises(Right):
    def step(self, action):
        if action == "push white":
            raise KeyError(action)
        return super().step(action)


@breaks("accepts", "which is no Step", "step")
class ReturnsTuple(Right):
    def step(self, action):
        step = super().step(action)
        return (step.observation, step.reward, step.terminated) if self.over else step


@breaks("answers", "parses the text", "step")
class RaisesOnOtherText(Right):
    def step(self, action):
        step = super().step(action)
        _verb, colour = action.split(" ")
        return attrs.evolve(step, info={"colour": colour})


@breaks("unlisted", "compare it with the legal actions", "step")
class HearsWhatIsMisspelt(Right):
    def step(self, action):
        return super().step(action.strip().lower())


@breaks("unlisted", "nothing was done", "step")
class PaysForBabble(Right):
    def step(self, action):
        known = action in self._observe().legal_actions if not self.over else True
        step = super().step(action)
        return step if known else attrs.evolve(step, reward=5.0)


@breaks("unlisted", "compare it with the legal actions", "step")
class FinesWhatIsNearlyRight(Right):
    """The button is found by its last word, and only then asked about."""

    def step(self, action):
        known = action in self._observe().legal_actions if not self.over else True
        step = super().step(action)
        near = action.lower().startswith("push")
        return step if known else attrs.evolve(step, reward=-0.5 if near else -0.1)


@breaks("one-split", "another split", "tasks")
class TestPlaysAsTheNextOfTrain(Right):
    """Tasks that differ in nothing but their names, and a test task is another's of train."""

    def reset(self, task, *, seed, stage=None):
        if task.split == "test":
            number = int(task.task_id.removeprefix("test-"))
            task = self.tasks("train")[(number + 1) % self.count]
        return super().reset(task, seed=seed, stage=stage)


@breaks("menu", "stands there twice", "step")
class DuplicateAction(Right):
    def show(self, shown):
        actions = shown.legal_actions
        return attrs.evolve(shown, legal_actions=(*actions, actions[0])) if self.turn else shown


@breaks("menu", "blank", "reset")
class BlankAction(Right):
    def show(self, shown):
        return attrs.evolve(shown, legal_actions=(*shown.legal_actions, " "))


@breaks("menu", "no legal actions", "step")
class EmptyMenu(Right):
    def show(self, shown):
        # the expert, who is never wrong, does not come here
        lost = self.turn == 2 and self.right == 0
        return attrs.evolve(shown, legal_actions=()) if lost else shown


@breaks("finite", "division by zero", "step")
class NanReward(Right):
    def step(self, action):
        step = super().step(action)
        return attrs.evolve(step, reward=step.reward if self.right else float("nan"))


@breaks("finite", "shaping is inf", "step")
class InfiniteShaping(Right):
    def step(self, action):
        return attrs.evolve(super().step(action), shaping=float("inf"))


@breaks("success", "before the episode has terminated", "step")
class EarlySuccess(Right):
    def step(self, action):
        step = super().step(action)
        return attrs.evolve(step, success=step.success or self.right == 2)


@breaks("over", "EpisodeOver", "step")
class GoesOnAfterTheEnd(Right):
    def step(self, action):
        if self.over and hasattr(self, "task"):
            return Step(self._observe(), 0.0, terminated=True)
        return super().step(action)


@breaks("over", "before the first reset", "step")
class StepsBeforeReset(Right):
    def step(self, action):
        if not hasattr(self, "task"):
            raise AttributeError("task")
        return super().step(action)


@breaks("text", "surrogateescape", "step")
class LoneSurrogate(Right):
    def show(self, shown):
        return also(shown, "\udcff") if self.turn == 2 else shown


@breaks("text", "repeated in the observation as it came", "step")
class Echo(Right):
    said = ""

    def reset(self, task, *, seed, stage=None):
        self.said = ""
        return super().reset(task, seed=seed)

    def step(self, action):
        self.said = action[:9]
        return super().step(action)

    def show(self, shown):
        return also(shown, self.said)


@breaks("text", "cut it", "step")
class LongText(Right):
    def show(self, shown):
        return also(shown, "on " * 9000) if self.turn == TURNS else shown


@breaks("ends", "no limit on the number of turns", "step", horizon=TURNS)
class Endless(Right):
    """What is said and is not on the menu is no turn, so that who says nothing else never ends."""

    def step(self, action):
        known = self.over or action in self._observe().legal_actions
        return super().step(action) if known else Step(self._observe(), 0.0)


@breaks("records", "hand out a copy", "step")
class HandsOutItsOwnList(Right):
    def reset(self, task, *, seed, stage=None):
        self.said = []
        return super().reset(task, seed=seed)

    def step(self, action):
        step = super().step(action)
        self.said.append(action)
        return attrs.evolve(step, info={"said": self.said})


class Loose(Observation):
    __setattr__ = object.__setattr__


@breaks("records", "a class of your own", "step")
class WritableObservation(Right):
    def show(self, shown):
        return Loose(shown.text, shown.legal_actions, shown.state_key) if self.turn else shown


@breaks("records", "writes into task.data", "reset")
class WritesIntoTheTask(Right):
    made = None

    def tasks(self, split):
        self.made = self.made or {
            s: super(Right, self).tasks(s) for s in ("train", "valid", "test")
        }
        return self.made[split]

    def reset(self, task, *, seed, stage=None):
        task.data["visits"] = task.data.get("visits", 0) + 1
        return super().reset(task, seed=seed)


@breaks("closes", "second close", "close")
class ClosesOnce(Right):
    def __init__(self):
        super().__init__()
        self.held = [object()]

    def close(self):
        self.held.pop()
