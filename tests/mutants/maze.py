"""A maze with a key and a door: right, with a horizon, an expert, slippery ground and options."""

from __future__ import annotations

from collections import deque

import attrs

from reflect_core import EpisodeOver, Observation, Step, Task, option
from reflect_core.streams import stream

ROOMS = {
    "hall": ("kitchen", "library", "cellar"),
    "kitchen": ("hall", "garden"),
    "library": ("hall", "attic"),
    "cellar": ("hall",),
    "garden": ("kitchen",),
    "attic": ("library",),
}
SIZES = {"train": 6, "valid": 3, "test": 3}
OPTIONS = {"stages": ("door", "full"), "horizon": 24}
"""What is known of it."""


@attrs.frozen
class MazeConfig:
    horizon: int = option(24, "Turns of an episode.", minimum=1)
    slip: float = option(0.1, "Chance that a way leads back to the hall.", minimum=0, maximum=1)


class Maze:
    """Fetch the key and open the door; who goes somewhere may slip and land in the hall."""

    def __init__(self, config: MazeConfig | None = None) -> None:
        self.config = config or MazeConfig()
        self.task = None

    def tasks(self, split):
        made = []
        for number in range(SIZES[split]):
            draws = stream(0, "maze", split, number)
            door, key, start = draws.choice(sorted(ROOMS), size=3, replace=False).tolist()
            data = {"door": door, "key": key, "start": start}
            name = f"{split}-{number}"
            made.append(Task(name, split, f"the door is in the {door}", level=1, data=data))
        return made

    def reset(self, task, *, seed, stage=None):
        self.task = task
        self.room = task.data["start"]
        self.key_room = task.data["key"]
        self.held = stage == "door"
        self.turn = 0
        self.over = False
        self.draws = stream(seed, "slips", task.task_id)
        return self.observe()

    def step(self, action):
        if self.task is None or self.over:
            raise EpisodeOver("reset first")
        self.turn += 1
        solved, answer = False, "you cannot do that"
        if action in self.menu():
            solved, answer = self.act(action)
        self.over = solved or self.turn >= self.config.horizon
        return Step(
            self.observe(answer),
            reward=float(solved),
            terminated=self.over,
            success=solved,
            shaping=self.shape(),
        )

    def act(self, action):
        if action == "take the key":
            self.held = True
            return False, "you have the key"
        if action == "open the door":
            return True, "the door opens"
        room = action.removeprefix("go to the ")
        slipped = self.draws.random() < self.config.slip
        self.room = "hall" if slipped else room
        return False, "you slip" if slipped else "you walk"

    def shape(self):
        return 0.1 * self.held

    def menu(self):
        ways = [f"go to the {room}" for room in ROOMS[self.room]]
        if self.room == self.key_room and not self.held:
            ways.append("take the key")
        if self.room == self.task.data["door"] and self.held:
            ways.append("open the door")
        return ways

    def observe(self, answer="you look around"):
        left = self.config.horizon - self.turn
        text = f"{answer}; you are in the {self.room}; {left} turns left"
        return Observation(text, self.menu())

    def path(self, goal):
        """The next room on the shortest way to ``goal``."""
        queue, seen = deque([(self.room, None)]), {self.room}
        while queue:
            room, first = queue.popleft()
            if room == goal:
                return first
            for other in ROOMS[room]:
                if other not in seen:
                    seen.add(other)
                    queue.append((other, first or other))
        raise AssertionError("every room can be reached")

    def expert_action(self):
        if "open the door" in self.menu():
            return "open the door"
        if "take the key" in self.menu():
            return "take the key"
        return f"go to the {self.path(self.task.data['door'] if self.held else self.key_room)}"

    def expert_reflection(self):
        return f"what is next: {self.expert_action()}"

    def close(self):
        """Nothing is held."""
