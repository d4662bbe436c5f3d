"""Examples from an expert: what is taught, and what never is."""

import json

import attrs
import pytest
from hazards import Dead
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import lamps_that_fail

from reflect_core.errors import CheckpointError, NoAdvice, ReflectError
from reflect_core.records import Task
from reflect_core.settings import TeachSettings
from reflect_core.teach import divide, negatives_of, read_examples, teach, write_examples
from reflect_core.testing.lamps import COLOURS, Lamps
from reflect_core.tutor import tutor


def lesson(
    environment=None,
    *,
    episodes=20,
    negatives=1.0,
    seed=0,
    stages=("full",),
    shown="final",
    progress=lambda done, **figures: None,
    **more,
):
    environment = environment or Lamps(horizon=3)
    settings = TeachSettings(episodes=episodes, negatives=negatives, stages=shown, **more)
    return teach(
        lambda: environment,
        environment.tasks("train"),
        settings,
        seed=seed,
        stages=stages,
        progress=progress,
    )


def test_positive_examples_are_the_experts_path():
    examples = lesson(negatives=0.0).examples
    assert len(examples) == 60
    for example in examples:
        lit = example.state.observation.text.split()[1]
        assert example.kind == "positive"
        assert example.action == f"push {lit}"
        assert example.reflection.startswith(lit)


def test_a_negative_example_is_the_correction_and_never_the_wrong_move():
    examples = [e for e in lesson().examples if e.kind == "negative"]
    assert examples
    for example in examples:
        last = example.state.history[-1]
        assert last.action == example.wrong_action
        assert example.wrong_action != f"push {last.observation.split()[1]}"
        assert example.action == f"push {example.state.observation.text.split()[1]}"


class Undecided(Lamps):
    """Its words name the next lamp's button as well."""

    def other(self):
        return f"push {COLOURS[COLOURS.index(self.lit[self.turn]) - 1]}"

    def expert_reflection(self):
        return f"{super().expert_reflection()} or {self.other()}"


@settings(deadline=None, max_examples=25)
@given(st.floats(0, 1))
def test_a_wrong_move_is_another_that_the_reflection_names_as_often_as_is_asked_for(chance):
    found = lesson(Undecided(horizon=3), episodes=300, named_negatives=chance)
    negatives = [e for e in found.examples if e.kind == "negative"]
    named = 0
    for example in negatives:
        lit = example.state.history[-1].observation.split()[1]
        named += example.wrong_action == f"push {COLOURS[COLOURS.index(lit) - 1]}"
        assert example.wrong_action != f"push {lit}"
    # else one of three, of which it is one
    assert named / len(negatives) == pytest.approx(chance + (1 - chance) / 3, abs=0.12)


def test_where_nothing_else_is_named_wrong_moves_are_as_ever():
    assert lesson(named_negatives=1.0).examples == lesson(named_negatives=0.0).examples


@settings(deadline=None, max_examples=25)
@given(st.floats(0, 3))
def test_the_number_of_negatives_is_asked_for_in_the_mean(negatives):
    found = lesson(episodes=60, negatives=negatives)
    negative = sum(e.kind == "negative" for e in found.examples)
    assert negative + found.without_negative == pytest.approx(60 * negatives, abs=15)


def test_a_fraction_of_a_negative_is_a_chance():
    assert sum(negatives_of(1.5, 0, n) for n in range(2000)) == pytest.approx(3000, abs=112)


def test_where_every_move_ends_the_episode_there_is_no_negative_and_that_is_counted():
    found = lesson(Lamps(horizon=1), episodes=10)
    assert found.without_negative == 10
    assert all(e.kind == "positive" for e in found.examples)


class Staged(Lamps):
    """Lamps that remember on which stages their tasks were played."""

    def __init__(self, tasks):
        super().__init__(tasks=tasks)
        self.played = []

    def reset(self, task, *, seed, stage=None):
        self.played.append((task.task_id, stage))
        return super().reset(task, seed=seed, stage=stage)


def test_the_teacher_shows_the_real_task_alone_unless_asked_for_all_stages():
    stages, lamps = ("easy", "half", "full"), Staged(6)
    final = lesson(lamps, stages=stages)
    assert {stage for _, stage in lamps.played} == {"full"}
    assert final == lesson(Staged(6), stages=("full",))


@given(st.integers(1, 9))
def test_with_all_stages_the_teacher_shows_every_task_on_every_stage(tasks):
    lamps = Staged(tasks)
    lesson(lamps, episodes=3 * tasks, negatives=0, stages=("a", "b", "full"), shown="all")
    assert len(set(lamps.played)) == 3 * tasks


@given(st.integers(0, 30), st.floats(0, 1), st.integers(0, 2**32))
def test_the_teacher_and_rl_divide_the_tasks(count, share, seed):
    tasks = [Task(f"t{i}", "train", "") for i in range(count)]
    shown, left = divide(tasks, share, seed=seed)
    if share == 1 or count < 2:
        assert list(shown) == list(left) == tasks
        return
    assert shown and left
    assert sorted([*shown, *left], key=tasks.index) == tasks
    assert abs(len(shown) - share * count) <= 1
    assert divide(tasks, share, seed=seed) == (shown, left)


def test_teaching_repeats():
    assert lesson(seed=4).examples == lesson(seed=4).examples
    assert lesson(seed=4).examples != lesson(seed=5).examples


def test_a_task_that_the_expert_fails_on_is_left_out_and_named():
    class Wrong(Lamps):
        def expert_action(self):
            return "push red" if self.task.task_id == "train-0" else super().expert_action()

    told = []
    found = lesson(
        Wrong(horizon=3), episodes=16, progress=lambda done, success: told.append((done, success))
    )
    assert set(found.unsolved) == {"train-0"}
    assert not any(e.state.task.task_id == "train-0" for e in found.examples)
    assert [done for done, _ in told] == [1] * 16
    assert told[-1][1] == 1 - len(found.unsolved) / 16


class Lost(Lamps):
    """Lamps whose expert gives up after a wrong move, and at once on one task."""

    def expert_action(self):
        if self.right < self.turn or self.task.task_id == "train-0":
            raise NoAdvice("lost")
        return super().expert_action()


def test_where_the_expert_gives_up_nothing_is_taught_and_that_is_counted():
    found = lesson(Lost(horizon=3), episodes=16)
    assert set(found.unsolved) == {"train-0"}
    assert {example.kind for example in found.examples} == {"positive"}
    assert found.without_negative == 14


@pytest.mark.parametrize("where", ["reset", "step", "expert_action", "expert_reflection"])
def test_an_episode_in_which_a_plugin_raises_is_left_out_and_told(where):
    found = lesson(lamps_that_fail(where, horizon=3), episodes=16)
    assert found.failures == ["train-1: RuntimeError: a fuse blew"] * 2
    assert not found.unsolved
    assert {e.state.task.task_id for e in found.examples} == {
        f"train-{i}" for i in range(8) if i != 1
    }


def test_after_an_episode_in_which_it_raised_another_environment_goes_on():
    before = Dead.closed
    made = TeachSettings(episodes=24, negatives=1.0)
    found = teach(Dead, Lamps().tasks("train"), made, seed=0, stages=("full",))
    assert found.failures == ["train-1: BrokenPipeError: no engine"] * 3
    assert len({e.state.task.task_id for e in found.examples}) == 7
    assert Dead.closed - before == 4


def test_one_that_cannot_be_closed_costs_nothing():
    class Stuck(Lamps):
        def close(self):
            raise OSError("jammed")

    with pytest.warns(RuntimeWarning, match="could not be closed: OSError: jammed"):
        assert lesson(Stuck(horizon=3)) == lesson()


def test_an_environment_without_an_expert_says_so():
    class Bare:
        def close(self):
            pass

        def tasks(self, split):
            return Lamps().tasks(split)

    with pytest.raises(ReflectError, match="no expert"):
        lesson(Bare())


def test_examples_survive_the_disk(tmp_path):
    examples = lesson().examples
    write_examples(tmp_path / "x.jsonl", examples)
    assert read_examples(tmp_path / "x.jsonl") == examples


@pytest.mark.parametrize("damage", [None, "", "{", '{"kind": 1}\n', json.dumps([1]) + "\n"])
def test_damaged_examples_are_refused(tmp_path, damage):
    path = tmp_path / "x.jsonl"
    if damage is not None:
        path.write_text(damage)
    with pytest.raises(CheckpointError, match=str(path)):
        read_examples(path)


def test_example_records_are_immutable():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        lesson().examples[0].action = "push red"


@given(st.integers(1, 12), st.integers(1, 5), st.floats(0, 1), st.integers(0, 9))
def test_where_there_are_tasks_for_practice_rl_plays_these_and_no_teacher_shows_them(
    own, made, share, seed
):
    practice = [Task(f"p{i}", "train", "", practice=True) for i in range(made)]
    tasks = [*practice, *(Task(f"t{i}", "train", "") for i in range(own))]
    shown, played = divide(tasks, share, seed=seed)
    assert played == practice
    assert shown and not any(task.practice for task in shown)


class Confused(Lamps):
    """Its expert is right on the way, and names what is not there after a wrong move."""

    def expert_action(self):
        return "push mauve" if self.turn and not self.right else super().expert_action()


def test_an_expert_that_names_what_is_not_legal_is_told_before_it_is_learnt_from():
    assert lesson(Confused(horizon=3), negatives=0.0).examples
    with pytest.raises(ReflectError, match="not legal: 'push mauve'"):
        lesson(Confused(horizon=3))


def test_so_is_one_whose_help_a_teacher_asks_for():
    class Silent:
        def advise(self, questions, draws):
            return [None] * len(questions)

    made = TeachSettings(episodes=4, negatives=3.0)
    with pytest.raises(ReflectError, match="not legal: 'push mauve'"):
        tutor(
            lambda: Confused(horizon=3), Lamps(horizon=3).tasks("train"), made, Silent(),
            seed=0, stages=("full",), side_by_side=1,
        )  # fmt: skip
