"""What all contracts stand on: laws, searches, drawn episodes, lines to look at, lazy imports."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants.lamps import BlankAction, Right

import reflect_core.testing
from reflect_core import CurriculumSpec, EnvironmentSpec, ReflectError
from reflect_core.testing import CurriculumContract, EnvironmentContract, World, plans, play
from reflect_core.testing.explore import Move, Plan
from reflect_core.testing.kinds import LAWS
from reflect_core.testing.laws import Broken, Effort, Examiner, Skipped, law
from reflect_core.testing.places import place_of
from reflect_core.testing.randomness import kept_random, random_states, seed_global_random
from reflect_core.testing.search import search
from reflect_core.testing.walks import drawn_pairs, drawn_plans, shrunk, simpler_plans

NUMBERS = st.integers(0, 10_000)

# -- contracts ----------------------------------------------------------------------------


@pytest.mark.parametrize("contract", [EnvironmentContract, CurriculumContract])
def test_a_contract_without_a_subject_says_what_is_missing(contract) -> None:
    class Empty(contract):
        pass

    with pytest.raises(ReflectError, match="does not say what to examine"):
        Empty().check("builds")


def test_a_contract_fails_and_skips_with_the_reason() -> None:
    class Wrong(EnvironmentContract):
        skip = {"over": "it is never asked"}  # noqa: RUF012
        spec = EnvironmentSpec(name="wrong", factory=lambda *_: BlankAction())

    with pytest.raises(pytest.fail.Exception, match="an action is blank"):
        Wrong().check("menu")
    with pytest.raises(pytest.skip.Exception, match="it is never asked"):
        Wrong().check("over")
    Wrong().check("finite")


def test_a_contract_that_skips_an_unknown_law_is_told() -> None:
    class Misspelt(EnvironmentContract):
        skip = {"mnu": "a slip"}  # noqa: RUF012
        spec = EnvironmentSpec(name="right", factory=lambda *_: Right())

    with pytest.raises(ReflectError, match="did you mean: menu"):
        Misspelt().check("over")


def test_the_examiners_of_a_contract_and_of_its_subclass_are_not_shared() -> None:
    class First(CurriculumContract):
        spec = CurriculumSpec(name="none", factory=lambda *_: object())

    class Second(First):
        spec = "uniform"

    with pytest.raises(pytest.fail.Exception, match="it has no method assign"):
        First().check("builds")
    Second().check("builds")


# -- laws ---------------------------------------------------------------------------------


@law(cause="the first cause", look="method")
def first(subject, effort) -> str | None:
    """The first law."""
    return subject.answer()


@law(cause="", look="method", needs=["first"])
def second(subject, effort) -> None:
    """The second law."""


@attrs.define
class Subject:
    answer: object

    def build(self) -> None:
        pass

    def look(self, method: str) -> None:
        return None

    def close(self) -> None:
        pass


def outcomes(answer):
    examiner = Examiner(Subject(answer), (first, second), Effort())
    return {outcome.law.name: outcome for outcome in examiner.outcomes()}


def test_a_law_that_holds_may_remark_something() -> None:
    found = outcomes(lambda: "seen")
    assert (found["first"].status, found["first"].explain()) == ("ok", "seen")
    assert found["second"].status == "ok"


def raising(error: Exception):
    def answer():
        raise error

    return answer


def test_what_needs_a_broken_law_is_skipped_and_what_needs_a_skipped_one_is_not() -> None:
    found = outcomes(raising(Broken("seen", story=["do this"])))
    assert found["first"].explain().splitlines() == [
        "first: The first law",
        "  seen: seen",
        "  likely cause: the first cause",
        "  to see it again:",
        "    do this",
    ]
    assert found["second"].blocked
    found = outcomes(raising(Skipped("not here")))
    assert (found["first"].status, found["second"].status) == ("skipped", "ok")


def test_an_error_that_nothing_allows_is_a_failure_with_its_line() -> None:
    found = outcomes(raising(LookupError("a map")))["first"]
    assert found.status == "failed"
    assert "it raised LookupError: a map" in found.explain()
    assert found.place is not None
    assert found.place.name == "answer"


def test_a_law_that_leaves_the_folder_does_not_mislead_the_next(tmp_path: Path) -> None:
    import os

    before = Path.cwd()
    outcomes(lambda: os.chdir(tmp_path))
    assert Path.cwd() == before


# -- searches -----------------------------------------------------------------------------


def test_what_is_found_is_made_as_simple_as_can_be() -> None:
    def check(number: int) -> None:
        if number >= 17:
            raise Broken(f"seen {number}")

    with pytest.raises(Broken, match=r"seen 17$"):
        search(Effort(), NUMBERS, check)


def test_examples_are_made_once_and_depend_on_the_seed_alone() -> None:
    seen: list[list[int]] = []
    for seed in (1, 1, 2):
        seen.append([])
        search(Effort(seed=seed), NUMBERS, seen[-1].append)
    assert seen[0] == seen[1] != seen[2]
    assert len(seen[0]) == Effort().max_examples


def test_what_does_not_fail_each_time_is_told_so() -> None:
    tries = iter(range(10**6))

    def check(number: int) -> None:
        if next(tries) == 3:
            raise Broken("once")

    with pytest.raises(Broken) as caught:
        search(Effort(), NUMBERS, check)
    assert "not at every try" in caught.value.shown[-1]


def test_what_only_a_drawn_example_shows_is_made_simple_too() -> None:
    def check(plan: Plan) -> None:
        if sum(move.number % 7 == 3 for move in plan.moves) >= 2:
            raise Broken(repr(plan))

    drawn = drawn_plans(20, seed=0)
    with pytest.raises(Broken) as caught:
        search(Effort(max_examples=1), plans(), check, drawn=drawn)
    found = eval(caught.value.what, {"Plan": Plan, "Move": Move})
    assert (found.task, found.seed, found.stage, len(found.moves)) == (0, 0, 0, 2)


@settings(max_examples=50, deadline=None)
@given(st.tuples(plans(), plans()), st.integers(0, 5), st.integers(0, 5))
def test_shrinking_ends_at_what_fails_and_nothing_simpler_does(pair, few, many) -> None:
    def fails(pair) -> bool:
        one, two = pair
        return len(one.moves) >= few and len(two.moves) >= many

    if not fails(pair):
        return
    one, two = shrunk(pair, simpler_plans, fails)
    assert (len(one.moves), len(two.moves)) == (few, many)
    assert {(plan.task, plan.seed, plan.stage) for plan in (one, two)} == {(0, 0, 0)}
    assert set(one.moves + two.moves) <= {Move()}


def test_drawn_episodes_are_many_long_and_the_same_for_the_same_seed() -> None:
    drawn = drawn_plans(50, seed=3)
    assert drawn == drawn_plans(50, seed=3) != drawn_plans(50, seed=4)
    assert len(set(drawn)) == 50
    assert max(len(plan.moves) for plan in drawn) >= 25
    assert any(move.text for plan in drawn for move in plan.moves)
    by_menu = drawn_plans(50, seed=3, others=False)
    assert not any(move.text for plan in by_menu for move in plan.moves)
    assert len(set(drawn_pairs(10, seed=3))) == 10


# -- strategies ---------------------------------------------------------------------------

WORLD = World(tuple(Right().tasks("train")), ("easy", "full"), 3)


@settings(max_examples=50, deadline=None)
@given(plans())
def test_any_plan_is_an_episode_of_any_environment(plan) -> None:
    one, two = (play(Right(), plan, WORLD) for _ in range(2))
    assert one.fault is None
    assert one.keys() == two.keys()
    assert len(one.actions) == len(one.steps) <= 3
    environment = Right()
    task = {t.task_id: t for t in environment.tasks("train")}[one.task.task_id]
    shown = [environment.reset(task, seed=one.seed), *map(environment.step, one.actions)]
    assert shown == [one.first, *one.steps]


@settings(max_examples=20, deadline=None)
@given(plans(others=False))
def test_a_plan_played_to_its_end_ends(plan) -> None:
    episode = play(Right(), plan, WORLD, to_end=True)
    assert episode.over
    assert all(action.startswith("push ") for action in episode.actions)


# -- the rest -----------------------------------------------------------------------------


def test_global_generators_come_back_to_where_they_were() -> None:
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    with kept_random():
        seed_global_random(1)
        inside = random.random(), np.random.random()
    assert (random.random(), np.random.random()) == expected != inside
    with kept_random():
        seed_global_random(1)
        assert (random.random(), np.random.random()) == inside


def test_a_law_leaves_the_global_generators_as_they_were() -> None:
    before = random_states()
    outcomes(lambda: seed_global_random(7))
    assert random_states() == before


def test_the_line_to_look_at_is_the_authors_and_not_that_of_a_helper_of_ours() -> None:
    from reflect_core.curriculum import Passes

    try:
        Passes([], seed=0)
    except ReflectError as error:
        place = place_of(error)
    assert place is not None
    assert Path(place.file) == Path(__file__)
    assert "Passes([], seed=0)" in str(place)


@pytest.mark.parametrize("kind", LAWS)
def test_each_law_is_documented_as_it_is_told(kind: str) -> None:
    page = Path(__file__).parents[1] / "docs" / "how-to" / "check.md"
    rows = page.read_text(encoding="utf-8").splitlines()
    assert not [each.name for each in LAWS[kind] if f"| `{each.name}` | {each.text} |" not in rows]


LAZY = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
import reflect_core.testing
reflect_core.testing.Lamps().tasks("train")
assert not {{"hypothesis", "pytest", "torch"}} & {{n for n in sys.modules if sys.modules[n]}}
try:
    from reflect_core.testing import EnvironmentContract
except ModuleNotFoundError as error:
    print(error)
"""


@pytest.mark.parametrize("missing", [["hypothesis"], ["pytest"], ["pytest", "hypothesis"]])
def test_the_lamps_need_no_extra_and_what_needs_it_says_so(missing: list[str]) -> None:
    script = LAZY.format(missing=missing)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"needs the package {missing[0]}: pip install 'reflect-core[testing]'" in done.stdout


def test_all_public_names_are_there_and_no_other() -> None:
    for name in reflect_core.testing.__all__:
        assert getattr(reflect_core.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Lampz'"):
        _ = reflect_core.testing.Lampz


def test_no_module_of_the_kit_that_the_command_needs_imports_pytest() -> None:
    script = (
        "import sys; sys.modules['pytest'] = None\n"
        "import reflect_core.cli.check, reflect_core.testing.kinds, reflect_core.testing.parts"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert importlib.util.find_spec("pytest") is not None
