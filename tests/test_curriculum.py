"""Curricula: which tasks, on which stage, and what makes them harder."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from fake_plugins import FakeEntryPoint, build_nothing, environments, module
from hypothesis import given
from hypothesis import strategies as st
from toy import settings

from reflect_core import Context, EnvironmentSpec, ReflectError, Task
from reflect_core.curriculum import UniformCurriculum, stage_shares
from reflect_core.errors import ConfigError
from reflect_core.plugins import GROUP, Registry, load
from reflect_core.progress import QuietProgress
from reflect_core.records import Trajectory
from reflect_core.run import execute
from reflect_core.settings import Part, Settings, TrainSettings
from reflect_core.testing.lamps import Lamps

REGISTRY = load([], disabled=())
STAGES = ("pick", "drop", "full")
CONTEXT = Context(
    seed=0,
    settings=Settings(0, *[Part("none")] * 5),
    make_environment=lambda: build_nothing(None, None),
    tasks=lambda split: (),
)


def tasks(count: int, levels: Sequence[int] = (1,)) -> list[Task]:
    return [Task(f"task-{i}", "train", "", level=levels[i % len(levels)]) for i in range(count)]


def make(
    name: str,
    given: Sequence[Task] | None = None,
    *,
    iterations: int = 10,
    seed: int = 0,
    stages: Sequence[str] = STAGES,
    **options: Any,
) -> Any:
    """A curriculum as a run builds it."""
    found = tasks(6, (1, 2, 3)) if given is None else given
    spec = REGISTRY.find("curriculum", name).spec
    context = attrs.evolve(
        CONTEXT,
        seed=seed,
        settings=attrs.evolve(CONTEXT.settings, train=TrainSettings(iterations)),
        tasks={"train": found}.__getitem__,
        stages=tuple(stages),
    )
    return spec.factory(spec.config(**options), context)


def played(assignments: Sequence[Any], success: Callable[[int], bool] = bool) -> list[Trajectory]:
    return [
        Trajectory(i, each.task, each.stage, (), True, False, success(i))
        for i, each in enumerate(assignments)
    ]


def go_on(
    curriculum: Any, outcomes: Sequence[bool], *, start: int = 0, episodes: int = 4
) -> list[Any]:
    """Run one iteration per outcome; what was assigned, logged and would be saved."""
    seen: list[Any] = []
    for iteration, outcome in enumerate(outcomes, start):
        assigned = curriculum.assign(episodes, iteration=iteration)
        figures = curriculum.observe(played(assigned, lambda _, won=outcome: won))
        seen.append(([attrs.astuple(a) for a in assigned], dict(figures), curriculum.state_dict()))
    return seen


# -- passes -------------------------------------------------------------------------------


def names(curriculum: UniformCurriculum, episodes: int) -> list[str]:
    return [each.task.task_id for each in curriculum.assign(episodes, iteration=0)]


@given(st.integers(1, 12), st.lists(st.integers(0, 9), max_size=6), st.integers(0, 3))
def test_uniform_draws_every_task_once_a_pass(count: int, sizes: list[int], seed: int) -> None:
    curriculum = UniformCurriculum(tasks(count), seed=seed)
    drawn = [name for size in sizes for name in names(curriculum, size)]
    assert len(drawn) == sum(sizes)
    for start in range(0, len(drawn) - count + 1, count):
        assert len(set(drawn[start : start + count])) == count
    # how the draws are divided into iterations changes nothing
    assert drawn == names(UniformCurriculum(tasks(count), seed=seed), sum(sizes))


def test_passes_and_seeds_differ() -> None:
    drawn = names(UniformCurriculum(tasks(30), seed=0), 60)
    assert drawn[:30] != drawn[30:]
    assert drawn[:30] != names(UniformCurriculum(tasks(30), seed=1), 30)


# -- what holds for all of them -----------------------------------------------------------

kinds = st.one_of(
    st.tuples(st.just("uniform"), st.just({})),
    st.tuples(
        st.just("staged"),
        st.fixed_dictionaries(
            {}, optional={"shares": st.tuples(*[st.floats(0, 9)] * 2, st.floats(0.1, 9))}
        ),
    ),
    st.tuples(
        st.just("depth"),
        st.fixed_dictionaries({"first": st.integers(1, 4), "until": st.floats(0, 1)}),
    ),
    st.tuples(
        st.just("adaptive"),
        st.fixed_dictionaries(
            {
                "by": st.sampled_from(["level", "stage"]),
                "first": st.integers(1, 4),
                "threshold": st.floats(0, 1),
                "window": st.integers(1, 12),
            }
        ),
    ),
    st.tuples(
        st.just("first-turn"), st.fixed_dictionaries({"bandit_iterations": st.integers(0, 9)})
    ),
)
outcomes = st.lists(st.booleans(), min_size=1, max_size=9)


@given(kinds, st.integers(3, 9), outcomes, st.integers(1, 7), st.integers(0, 3))
def test_assignments_add_up_and_each_pass_has_every_task_once(
    kind: tuple[str, dict[str, Any]], count: int, outcomes: list[bool], episodes: int, seed: int
) -> None:
    name, options = kind
    given_tasks = tasks(count, (1, 2, 4))
    curriculum = make(name, given_tasks, iterations=len(outcomes), seed=seed, **options)
    drawn: dict[Any, list[Task]] = {}
    for iteration, outcome in enumerate(outcomes):
        assigned = curriculum.assign(episodes, iteration=iteration)
        assert sum(each.group_size for each in assigned) == episodes
        assert {each.stage for each in assigned} <= {None, *STAGES}
        figures = curriculum.observe(played(assigned, lambda _, won=outcome: won))
        limit = figures.get("curriculum_level", 4)
        assert all(each.task.level <= limit for each in assigned)
        rung = (limit, figures.get("curriculum_stage"))
        drawn.setdefault(rung, []).extend(each.task for each in assigned)
        assert all(isinstance(value, float) for value in figures.values())
    for (limit, _), found in drawn.items():
        pool = {task.task_id for task in given_tasks if task.level <= limit}
        for start in range(0, len(found), len(pool)):
            ids = [task.task_id for task in found[start : start + len(pool)]]
            assert len(set(ids)) == len(ids)
            assert set(ids) <= pool


@given(kinds, outcomes, outcomes, st.integers(1, 7))
def test_a_saved_curriculum_has_the_same_future(
    kind: tuple[str, dict[str, Any]], past: list[bool], future: list[bool], episodes: int
) -> None:
    name, options = kind
    iterations = len(past) + len(future)
    whole = make(name, iterations=iterations, seed=7, **options)
    begun = go_on(whole, past, episodes=episodes)
    saved = json.loads(json.dumps(begun[-1][-1]))
    resumed = make(name, iterations=iterations, seed=7, **options)
    resumed.assign(5, iteration=0)  # what it did before it was told where to go on
    resumed.load_state_dict(saved)
    assert resumed.state_dict() == saved
    more = {"start": len(past), "episodes": episodes}
    assert go_on(resumed, future, **more) == go_on(whole, future, **more)


@pytest.mark.parametrize("name", ["uniform", "staged", "depth", "adaptive", "first-turn"])
def test_without_tasks_there_is_nothing_to_train_on(name: str) -> None:
    with pytest.raises(ReflectError) as caught:
        make(name, [])
    assert caught.value.why
    assert caught.value.then


# -- one by one ---------------------------------------------------------------------------


def stages_of(curriculum: Any, iterations: int) -> list[str]:
    seen = []
    for iteration in range(iterations):
        assigned = curriculum.assign(3, iteration=iteration)
        [stage] = {each.stage for each in assigned}
        figures = curriculum.observe(played(assigned))
        assert figures == {"curriculum_stage": STAGES.index(stage) + 1.0}
        seen.append(stage)
    return seen


@pytest.mark.parametrize(
    ("shares", "iterations", "lengths"),
    [
        ((), 9, (3, 3, 3)),
        ((), 10, (3, 3, 4)),
        ((), 2, (0, 1, 1)),
        ((1, 1, 2), 8, (2, 2, 4)),
        ((0.1, 0.2, 0.7), 10, (1, 2, 7)),
        ((0, 1, 1), 4, (0, 2, 2)),
        ((1, 1, 0), 4, (2, 1, 1)),
        ((1, 1, 1e-9), 3, (1, 1, 1)),
    ],
)
def test_staged_gives_each_stage_its_share(
    shares: tuple[float, ...], iterations: int, lengths: tuple[int, ...]
) -> None:
    curriculum = make("staged", iterations=iterations, shares=shares)
    expected = [stage for stage, n in zip(STAGES, lengths, strict=True) for _ in range(n)]
    assert stages_of(curriculum, iterations) == expected


@given(st.tuples(*[st.floats(0, 5)] * 2, st.floats(0.01, 5)), st.integers(1, 30))
def test_the_final_stage_has_at_least_its_share(shares: tuple[float, ...], iterations: int) -> None:
    seen = stages_of(make("staged", iterations=iterations, shares=shares), iterations)
    assert seen == sorted(seen, key=STAGES.index)
    assert seen.count("full") >= max(1, shares[-1] / sum(shares) * iterations - 1e-6)


@pytest.mark.parametrize("options", [{}, {"name": "adaptive", "by": "stage"}])
def test_an_environment_of_one_stage_cannot_be_staged(options: dict[str, str]) -> None:
    with pytest.raises(ReflectError, match="no stages to go through") as caught:
        make(**{"name": "staged", **options}, stages=("full",))
    assert "'full' only" in str(caught.value)
    assert caught.value.then


@pytest.mark.parametrize(
    "shares", [(1.0,), (1.0, -1.0, 1.0), (0.0, 0.0, 0.0), (1, 1, float("inf"))]
)
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"curriculum\.shares") as caught:
        make("staged", shares=shares)
    assert "pick, drop, full" in str(caught.value)
    assert caught.value.then == "write curriculum.shares=1,1,1 for equal shares"


def test_equal_shares_are_the_default() -> None:
    assert list(stage_shares((), STAGES)) == [1.0, 1.0, 1.0]


def levels_of(curriculum: Any, iterations: int) -> list[set[int]]:
    return [
        {each.task.level for each in curriculum.assign(12, iteration=iteration)}
        for iteration in range(iterations)
    ]


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ({}, [1, 1, 2, 2, 5, 5, 5, 5]),
        ({"until": 1.0}, [1, 1, 1, 1, 2, 2, 2, 5]),
        ({"until": 0.0}, [5] * 8),
        ({"first": 2}, [2, 2, 2, 2, 5, 5, 5, 5]),
        ({"first": 3}, [3, 3, 3, 3, 5, 5, 5, 5]),
        ({"first": 9}, [5] * 8),
    ],
)
def test_depth_goes_down_to_the_deepest(options: dict[str, Any], limits: list[int]) -> None:
    made = make("depth", tasks(6, (1, 2, 5)), iterations=8, **options)
    expected = [{level for level in (1, 2, 5) if level <= limit} for limit in limits]
    assert levels_of(made, 8) == expected
    assert made.observe([]) == {"curriculum_level": 5.0}


@pytest.mark.parametrize("name", ["depth", "adaptive"])
def test_tasks_of_one_level_have_no_depth(name: str) -> None:
    with pytest.raises(ReflectError, match="no levels to go through") as caught:
        make(name, tasks(4, (3,)))
    assert caught.value.why == "all are of level 3"
    assert caught.value.then


def test_adaptive_climbs_when_the_window_is_good_by_hand() -> None:
    made = make("adaptive", threshold=0.75, window=4)

    def iteration(*won: bool) -> dict[str, float]:
        assigned = made.assign(len(won), iteration=0)
        return dict(made.observe(played(assigned, lambda i: won[i])))

    def at(level: int, success: float) -> dict[str, float]:
        return {"curriculum_level": float(level), "curriculum_success": success}

    assert iteration(True, True, True) == at(1, 1.0)  # not yet enough episodes
    assert iteration(False, False) == at(1, 0.5)  # the first one has left the window
    assert iteration(True, True) == at(1, 0.5)
    assert iteration(True) == at(1, 0.75)  # now it is enough
    assert iteration(False) == at(2, 0.0)  # with an empty window
    assert iteration(True, True, True) == at(2, 0.75)
    assert iteration(True, True, True, True) == at(3, 1.0)
    assert iteration(True, True, True, True) == at(3, 1.0)  # the deepest stays
    assert iteration() == at(3, 1.0)  # where all episodes failed in the environment


def test_adaptive_by_stage() -> None:
    made = make("adaptive", by="stage", threshold=1.0, window=4)
    seen = go_on(made, [True, False, True, True])
    stages = [{stage for _, stage, *_ in assigned} for assigned, _, _ in seen]
    assert stages == [{"pick"}, {"drop"}, {"drop"}, {"full"}]
    assert [figures["curriculum_stage"] for _, figures, _ in seen] == [1, 2, 2, 3]


def test_first_turns_first() -> None:
    made, uniform = make("first-turn", bandit_iterations=2), make("uniform")
    learnt = []
    for iteration in range(4):
        assigned = made.assign(5, iteration=iteration)
        plain = uniform.assign(5, iteration=iteration)
        assert [each.task for each in assigned] == [each.task for each in plain]
        learnt.append({each.learn_turns for each in assigned})
        assert made.observe([]) == {"first_turn_only": float(iteration < 2)}
    assert learnt == [{1}, {1}, {None}, {None}]


def test_the_curriculum_of_the_docs_works() -> None:
    text = (Path(__file__).parents[1] / "docs" / "how-to" / "curricula.md").read_text("utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    plugin = module(__name__="retry")
    exec(compile(code, "curricula.md", "exec", dont_inherit=True), vars(plugin))
    registry = load([FakeEntryPoint("retry", lambda: plugin)], disabled=())  # type: ignore[list-item]
    spec = registry.find("curriculum", "retry").spec
    context = attrs.evolve(CONTEXT, tasks={"train": tasks(6)}.__getitem__)
    made = spec.factory(spec.config(), context)
    first = made.assign(4, iteration=0)
    assert made.observe(played(first, lambda i: i < 3)) == {"failed_tasks": 1.0}
    resumed = spec.factory(spec.config(), context)
    resumed.load_state_dict(json.loads(json.dumps(made.state_dict())))
    second = resumed.assign(4, iteration=1)
    assert second[0].task == first[3].task
    assert list(second) == list(made.assign(4, iteration=1))
    assert sum(each.group_size for each in second) == 4


# -- in a run -----------------------------------------------------------------------------


class Deep(Lamps):
    """Lamps whose tasks have levels; remembers what was played where. Fails when told to."""

    def __init__(self, played: list[tuple[str, int, str | None]], fuse: list[int]) -> None:
        super().__init__(horizon=1, tasks=6)
        self.played = played
        self.fuse = fuse

    def tasks(self, split: str) -> list[Task]:
        return [attrs.evolve(task, level=1 + i % 3) for i, task in enumerate(super().tasks(split))]

    def reset(self, task: Task, *, seed: int, stage: str | None = None) -> Any:
        self.played.append((task.split, task.level, stage))
        if len(self.played) in self.fuse:
            raise KeyboardInterrupt
        return super().reset(task, seed=seed, stage=stage)


def deep(played: list[Any], fuse: list[int]) -> Registry:
    spec = EnvironmentSpec(name="lamps", factory=lambda *_: Deep(played, fuse), stages=STAGES)
    plugin = module(reflect_environments=environments(spec))
    installed = importlib.metadata.entry_points(group=GROUP)
    return load([*installed, FakeEntryPoint("deep", lambda: plugin)], disabled=())  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("curriculum", "levels", "stages"),
    [
        ("uniform", [{1, 2, 3}] * 3, [None] * 3),
        ("staged", [{1, 2, 3}] * 3, ["pick", "drop", "full"]),
        (("depth", {"until": 0.67}), [{1}, {1, 2}, {1, 2, 3}], [None] * 3),
        (
            ("adaptive", {"threshold": 0.0, "window": 6, "by": "stage"}),
            [{1, 2, 3}] * 3,
            ["pick", "drop", "full"],
        ),
        (("first-turn", {"bandit_iterations": 1}), [{1, 2, 3}] * 3, [None] * 3),
    ],
)
def test_a_run_goes_by_its_curriculum_also_when_it_was_stopped(
    model_folder: Any, tmp_path: Any, curriculum: Any, levels: Any, stages: Any
) -> None:
    made = settings(
        model_folder("lfm2"), curriculum=curriculum, reflector="none", teach={"episodes": 0},
        train={"iterations": 3, "episodes": 6, "valid_every": 1, "valid_episodes": 4},
    )  # fmt: skip
    played: list[Any] = []
    execute(tmp_path / "whole", made, ["train"], deep(played, []), QuietProgress())
    shown = [(level, stage) for split, level, stage in played if split == "train"]
    assert [{level for level, _ in shown[i : i + 6]} for i in (0, 6, 12)] == levels
    assert [{stage for _, stage in shown[i : i + 6]} for i in (0, 6, 12)] == [{s} for s in stages]
    assert {stage for split, _, stage in played if split == "valid"} == {"full"}

    # 4 valid episodes first, then 6 and 4 an iteration: within the last of them
    with pytest.raises(KeyboardInterrupt):
        execute(tmp_path / "cut", made, ["train"], deep([], [27]), QuietProgress())
    execute(tmp_path / "cut", made, ["train"], deep([], []), QuietProgress())
    whole, cut = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut"))
    assert whole == cut


def test_an_evaluation_plays_the_real_task(model_folder: Any, tmp_path: Any) -> None:
    made = settings(model_folder("lfm2"), reflector="none", teach={"episodes": 0})
    played: list[Any] = []
    execute(tmp_path / "r", made, ["eval"], deep(played, []), QuietProgress())
    assert {stage for split, _, stage in played if split == "test"} == {"full"}
