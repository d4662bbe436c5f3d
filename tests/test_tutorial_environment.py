"""The tutorial's environment: it is the page's, it is short, and it is not hollow."""

from __future__ import annotations

import ast
import copy
import difflib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docs_blocks import blocks

from reflect_core.rollout import Episode, evaluation_episodes
from reflect_core.scaffold import Package

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial" / "environment.md"
EXAMPLE = ROOT / "examples" / "reflect-env-postman"
FILE = "reflect_env_postman/environment.py"
HORIZON = 8
LINES = 40
SHARE = 0.2
"""What can be had without looking, at most."""
SHORTEST = 4
"""Turns of the expert on the mean, at least."""
WON, LOST = 0, 1
WRONG = "Wrong road. "


def load() -> Any:
    spec = importlib.util.spec_from_file_location("postman_of_the_tutorial", EXAMPLE / FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def postman() -> Any:
    return load().PostmanEnvironment(HORIZON)


# -- what the author wrote -----------------------------------------------------------------


def test_the_page_shows_the_file() -> None:
    text = PAGE.read_text(encoding="utf-8")
    [shown] = [block for block in blocks(text) if block.marks.get("file", "").endswith(FILE)]
    assert shown.text + "\n" == (EXAMPLE / FILE).read_text(encoding="utf-8")


def test_it_is_short() -> None:
    source = (EXAMPLE / FILE).read_text(encoding="utf-8")
    written = code_lines(source)
    assert len(written) <= LINES
    assert f"an environment of {len(written)} lines" in PAGE.read_text(encoding="utf-8")
    assert not [line for line in written if ";" in line], "two statements on one line"
    assert max(map(len, source.splitlines())) <= 100


def code_lines(source: str) -> list[str]:
    """The lines that are neither blank nor a comment nor of a docstring."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            told |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return [
        line
        for number, line in enumerate(source.splitlines(), 1)
        if number not in told and line.strip() and not line.lstrip().startswith("#")
    ]


def test_lines_of_code_are_counted() -> None:
    source = (
        '"""What."""\n\nx = 1  # one\n# why\ndef f():\n    """\n    Two.\n    """\n    return x\n'
    )
    assert code_lines(source) == ["x = 1  # one", "def f():", "    return x"]


def test_all_else_is_as_reflect_new_makes_it() -> None:
    made = Package("env", "postman").render()
    there = {
        str(path.relative_to(EXAMPLE)): path.read_text(encoding="utf-8")
        for path in EXAMPLE.rglob("*")
        if path.is_file() and not {"__pycache__", "build"} & set(path.parts)
        if ".egg-info" not in str(path)
    }
    assert set(there) == set(made)
    changes = {
        path: [line[1:].split("=")[0].strip() for line in changed(made[path], there[path])]
        for path in made
        if made[path] != there[path]
    }
    del changes["README.md"], changes[FILE]
    assert changes == {
        "pyproject.toml": ["description"],
        "reflect_env_postman/plugin.py": ["summary"],
    }
    [summary] = [line for line in there["reflect_env_postman/plugin.py"].splitlines() if
                 "summary=" in line]  # fmt: skip
    assert f"\n{summary.strip()}\n" in PAGE.read_text(encoding="utf-8")


def changed(before: str, after: str) -> Iterator[str]:
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        if line.startswith("+ "):
            yield line


# -- what can be had without looking ---------------------------------------------------------


def played(environment: Any) -> list[Episode]:
    """The first evaluation of every test task, as a run with seed 0 plays it."""
    tasks = environment.tasks("test")
    return evaluation_episodes(tasks, len(tasks), seed=0, stage="full")


def moves(environment: Any, episode: Episode) -> Any:
    """Where each action leads from each state, found by trying; shape (states, actions).

    State 2 is the first one; :data:`WON` and :data:`LOST` lead to themselves.
    """
    seen = environment.reset(episode.task, seed=episode.environment_seed)
    actions = seen.legal_actions
    number = {seen.text: 2}
    waiting = [copy.deepcopy(environment)]
    table = [[WON] * len(actions), [LOST] * len(actions)]
    for here in waiting:  # grows while it is walked
        row = []
        for action in actions:
            there = copy.deepcopy(here)
            step = there.step(action)
            if step.over:
                row.append(WON if step.success else LOST)
                continue
            assert step.observation.legal_actions == actions
            if step.observation.text not in number:
                number[step.observation.text] = len(number) + 2
                waiting.append(there)
            row.append(number[step.observation.text])
        table.append(row)
    return np.array(table)


@pytest.fixture(scope="module")
def solved() -> Any:
    """Whether each sequence of actions solves each episode; (episodes, 4 ** HORIZON)."""
    environment = postman()
    rows = []
    for episode in played(environment):
        table = moves(environment, episode)
        state = np.array([2])
        for _ in range(HORIZON):
            state = table[state].reshape(-1)
        assert set(np.unique(state)) <= {WON, LOST}, "a sequence that is too short"
        rows.append(state == WON)
    return np.array(rows)


def test_without_looking_there_is_little_to_be_had(solved: Any) -> None:
    # every menu has the same four actions, so all sequences are equally likely by chance
    sequences = np.arange(4**HORIZON)
    digits = sequences[:, None] // 4 ** np.arange(HORIZON) % 4
    constant = (digits == digits[:, :1]).all(axis=1)
    assert constant.sum() == 4
    by_sequence = solved.mean(axis=0)
    figures = {
        "uniformly random actions": by_sequence.mean(),
        "the best constant action": by_sequence[constant].max(),
        "the best sequence of actions that looks at nothing": by_sequence.max(),
    }
    text = PAGE.read_text(encoding="utf-8")
    for player, success in figures.items():
        assert success <= SHARE, player
        assert f"| {player} | {100 * success:.1f}% |" in text
    assert f"all {len(sequences):,} sequences of {HORIZON} actions" in text


def test_the_expert_takes_its_time_and_solves_all() -> None:
    environment = postman()
    turns, successes = [], []
    for episode in played(environment):
        environment.reset(episode.task, seed=episode.environment_seed)
        taken, over = 0, False
        while not over:
            step = environment.step(environment.expert_action())
            taken, over = taken + 1, step.over
        turns.append(taken)
        successes.append(step.success)
    mean, success = np.mean(turns), np.mean(successes)
    assert mean >= SHORTEST
    assert success == 1.0
    row = f"| the expert, in {mean:.1f} turns on the mean | {100 * success:.1f}% |"
    assert row in PAGE.read_text(encoding="utf-8")


def test_what_is_said_can_be_copied() -> None:
    """A sign that is to be seen, then an action that is on the menu, word for word."""
    environment = postman()
    for episode in played(environment):
        seen = environment.reset(episode.task, seed=episode.environment_seed)
        right = environment.expert_action()
        wrong = next(action for action in seen.legal_actions if action != right)
        for action, lost in ((wrong, False), (right, True), (None, False)):
            said = environment.expert_reflection()
            assert said.startswith(WRONG) == seen.text.startswith(WRONG) == lost
            sign, _, taken = said.removeprefix(WRONG).partition(". ")
            assert sign in seen.text.partition("Signs: ")[2].split(", ")
            assert taken in seen.legal_actions
            if action is not None:
                seen = environment.step(action).observation


def test_no_round_is_in_two_splits_and_all_have_the_same_places() -> None:
    environment = postman()
    rounds = {split: environment.tasks(split) for split in ("train", "valid", "test")}
    names = [task.task_id for tasks in rounds.values() for task in tasks]
    assert len(set(names)) == len(names) == 460
    for tasks in rounds.values():
        assert {place for task in tasks for place in task.task_id.split("-")} == set(load().PLACES)
