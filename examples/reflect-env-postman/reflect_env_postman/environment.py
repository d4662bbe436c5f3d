"""A postman's round: at every crossing the signs tell which road leads to the next stop."""

from itertools import permutations

from reflect_core import EpisodeOver, Observation, Step, Task
from reflect_core.streams import stream

PLACES = ("barn", "bridge", "castle", "church", "farm", "gate", "harbor", "hill", "lake", "mill")
ROADS = ("north", "south", "east", "west")
STOPS = 5
ROUNDS = stream(0, "rounds").permutation(list(permutations(PLACES, STOPS)))
SPLITS = {"train": slice(300), "valid": slice(300, 360), "test": slice(360, 460)}


class PostmanEnvironment:
    """Five stops, a crossing before each; the right road is worth 1/5, a wrong one costs a turn."""

    def __init__(self, horizon: int) -> None:
        self.horizon, self.turns = horizon, 0

    def tasks(self, split: str) -> list[Task]:
        """The rounds of a split; no round is in two."""
        return [Task("-".join(r), split, f"Visit {', '.join(r)}.") for r in ROUNDS[SPLITS[split]]]

    def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Observation:
        """Stand at the first crossing."""
        self.seed, self.round = seed, task.task_id.split("-")
        self.todo, self.turns, self.said = self.round, self.horizon, ""
        return self._look()

    def step(self, action: str) -> Step:
        """Take a road; whatever is not the right one is a wrong one."""
        right = action == self.expert_action()
        self.said = "" if right else "Wrong road. "
        self.todo = self.todo[1:] if right else self.todo
        self.turns = self.turns - 1 if self.todo else 0
        return Step(self._look(), right / STOPS, terminated=not self.turns, success=not self.todo)

    def close(self) -> None:
        """Nothing is held."""

    def expert_action(self) -> str:
        """The road that the sign names."""
        if not self.turns:
            raise EpisodeOver("call reset first")
        return f"go {self.signs[self.todo[0]]}"

    def expert_reflection(self) -> str:
        """What was wrong, what the sign says, and the action."""
        action, stop = self.expert_action(), self.todo[0]
        return f"{self.said}{stop}: {self.signs[stop]}. {action}"

    def _look(self) -> Observation:
        """The signs of the crossing, drawn by the seed: a road for each stop of the round."""
        if not self.turns:
            return Observation(f"{self.said}The round is over.", ())
        draws = stream(self.seed, *self.round, len(self.todo))
        self.signs = {place: draws.choice(ROADS) for place in draws.permutation(self.round)}
        signs = ", ".join(f"{place}: {road}" for place, road in self.signs.items())
        text = f"Next stop: {self.todo[0]}. Turns left: {self.turns}. Signs: {signs}"
        return Observation(self.said + text, [f"go {road}" for road in ROADS])
