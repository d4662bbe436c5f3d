"""Is the default task of ``filesys`` hollow? Prints what its test tasks are like.

    python benchmarks/filesys_tasks.py

Levels, entries, the experts' lengths, the success of cheap policies with 95% Wilson intervals,
and the environment's speed. Takes about ten seconds and needs no model. Options of the
environment may follow as ``name=value`` (``corpus=synthetic``, ``root=DIRECTORY``).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
from reflect_env_filesys.baselines import SharedCharacters, UnseenName
from reflect_env_filesys.config import FilesysConfig
from reflect_env_filesys.environment import FilesysEnvironment

from reflect_core.baselines import RandomPolicy
from reflect_core.records import Choice, Draws, PastTurn, State, Task
from reflect_core.stats import wilson
from reflect_core.streams import stream

EPISODES = 400


def episodes(tasks: Sequence[Task]) -> Iterator[tuple[int, Task]]:
    """The tasks in turn, each time with another tree."""
    return ((number, tasks[number % len(tasks)]) for number in range(EPISODES))


def play(environment: FilesysEnvironment, choose: Callable[[State, Draws], str]) -> str:
    """A row of the table: success with its interval, and turns per episode."""
    successes, lengths = 0, []
    for number, task in episodes(environment.tasks("test")):
        observation = environment.reset(task, seed=number)
        history: list[PastTurn] = []
        while True:
            draws = Draws(0, ("benchmark", number, len(history)))
            action = choose(State(task, observation, tuple(history)), draws)
            step = environment.step(action)
            history.append(PastTurn(observation.text, action))
            observation = step.observation
            if step.over:
                break
        successes += step.success
        lengths.append(len(history))
    interval = wilson(successes, EPISODES)
    return (
        f"{successes / EPISODES:6.1%} [{interval.low:5.1%}, {interval.high:5.1%}]"
        f"   {statistics.mean(lengths):5.2f} turns, at most {max(lengths)}"
    )


def by(policy: Any) -> Callable[[State, Draws], str]:
    """Choose as a policy does."""

    def choose(state: State, draws: Draws) -> str:
        choice: Choice = policy.act([state], [""], [draws], greedy=False)[0]
        return state.observation.legal_actions[choice.index]

    return choose


def listed_name(state: State, draws: Draws) -> str:
    """Identify the file when it is listed, else walk at random: no memory, no plan."""
    legal = state.observation.legal_actions
    name = state.task.text.removeprefix("Find ")
    if f"id {name}" in legal:
        return f"id {name}"
    moves = [action for action in legal if action.startswith("cd ")] or list(legal)
    return moves[int(draws.stream("action").integers(len(moves)))]


def describe_tasks(environment: FilesysEnvironment) -> None:
    """Levels of the tasks, entries and folders of the trees, length of the prompt."""
    for split in ("train", "valid", "test"):
        levels = Counter(task.level for task in environment.tasks(split))
        print(f"{split}: {levels.total()} tasks, levels {dict(sorted(levels.items()))}")
    tasks = environment.tasks("test")
    deep = statistics.mean(task.level >= 2 for task in tasks)
    print(f"test targets at level 2 or deeper: {deep:.1%}; solvable at turn 1: {1 - deep:.1%}")
    entries: list[int] = []
    characters: list[int] = []
    actions: list[int] = []
    for number, task in episodes(tasks):
        observation = environment.reset(task, seed=number)
        places: dict[str, int] = {}
        while True:
            place, _, listing = observation.text.splitlines()[-1].partition(" left. ")
            path = place.rpartition(",")[0]
            # words that end with a colon head a group of entries
            names = [word for word in listing.split() if not word.endswith(":")]
            places[path] = places.get(path, 0) or len(names)
            characters.append(
                len(task.text) + len(observation.text) + sum(map(len, observation.legal_actions))
            )
            actions.append(len(observation.legal_actions))
            step = environment.step(environment.expert_action())
            observation = step.observation
            if step.over:
                break
        entries.extend(places.values())
    print(f"entries of a visited folder: {dict(sorted(Counter(entries).items()))}")
    print(f"legal actions: {statistics.mean(actions):.1f} in the mean, at most {max(actions)}")
    print(f"characters of task, observation and menu: {statistics.mean(characters):.0f}")


def speed(environment: FilesysEnvironment) -> str:
    """Resets and turns per second on one core."""
    tasks = environment.tasks("train")
    begun = time.perf_counter()
    for number in range(500):
        environment.reset(tasks[number % len(tasks)], seed=number)
    resets = 500 / (time.perf_counter() - begun)
    turns, spent, number = 0, 0.0, 0
    picks = stream(0, "speed").random(20_000).tolist()
    while turns < len(picks):
        observation = environment.reset(tasks[number % len(tasks)], seed=number)
        number += 1
        begun = time.perf_counter()
        while turns < len(picks) and observation.legal_actions:
            legal = observation.legal_actions
            observation = environment.step(legal[int(picks[turns] * len(legal))]).observation
            turns += 1
        spent += time.perf_counter() - begun
    return f"{turns / spent:,.0f} turns/s, {resets:,.0f} resets/s"


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    options: dict[str, Any] = dict(argument.split("=", 1) for argument in arguments)
    for field in attrs.fields(FilesysConfig):
        if field.name in options and isinstance(field.default, bool | int):
            options[field.name] = type(field.default)(int(options[field.name]))
    config = FilesysConfig(**options)
    begun = time.perf_counter()
    oracle = FilesysEnvironment(attrs.evolve(config, expert="oracle"))
    built = time.perf_counter() - begun
    explorer = FilesysEnvironment(attrs.evolve(config, expert="explorer"))
    impatient = FilesysEnvironment(attrs.evolve(config, expert="impatient"))
    print(f"{oracle.summary()}\n")
    describe_tasks(explorer)
    print(f"\n{EPISODES} test episodes, success with 95% interval")
    names = frozenset(task.data["path"][-1] for task in oracle.tasks("train"))
    for name, environment, choose in (
        ("expert oracle", oracle, lambda *_: oracle.expert_action()),
        ("expert explorer", explorer, lambda *_: explorer.expert_action()),
        ("expert impatient", impatient, lambda *_: impatient.expert_action()),
        ("random", oracle, by(RandomPolicy())),
        ("filesys-unseen-name", oracle, by(UnseenName(names))),
        ("filesys-shared-characters", oracle, by(SharedCharacters())),
        ("random walk, id when listed", oracle, listed_name),
    ):
        print(f"{name:28}{play(environment, choose)}")
    print(f"\nbuilt in {built:.2f} s; {speed(oracle)}")


if __name__ == "__main__":
    main(sys.argv[1:])
