"""Examples from a teacher who is asked: its answers, what it is told, what is left out."""

import attrs
import pytest
from fake_plugins import FakeEntryPoint, module
from hazards import Dead
from toy import lamps_that_fail
from toy import settings as toy_settings

from reflect_core import EnvironmentSpec, ReflectorSpec, hookimpl
from reflect_core.errors import NoAdvice, ReflectError
from reflect_core.plugins import load
from reflect_core.progress import QuietProgress
from reflect_core.records import Advice
from reflect_core.run import execute
from reflect_core.settings import Part, TeachSettings
from reflect_core.teach import read_examples, teach
from reflect_core.testing.lamps import COLOURS, Lamps
from reflect_core.tutor import tutor


class Asked:
    """A teacher that keeps the questions; ``answer`` makes the advice."""

    def __init__(self, answer):
        self.answer = answer
        self.batches = []
        self.names = []

    def advise(self, questions, draws):
        self.batches.append(len(questions))
        self.names += [draw.name for draw in draws]
        return [self.answer(question) for question in questions]


def echo(question):
    return Advice(f"said {question.spoiler}", None)


def lit(question):
    return question.state.observation.text.split()[1]


def lesson(answer, *, episodes=6, negatives=1.0, spoiler=True, side_by_side=4, make=None, **more):
    make = make or (lambda: Lamps(horizon=3))
    teacher = Asked(answer)
    settings = TeachSettings(episodes=episodes, negatives=negatives, spoiler=spoiler, **more)
    tasks = Lamps(horizon=3).tasks("train")
    made = tutor(
        make, tasks, settings, teacher, seed=0, stages=("full",), side_by_side=side_by_side
    )
    return made, teacher


def test_with_the_experts_actions_the_turns_are_those_of_the_experts_own_lesson():
    made, _ = lesson(echo)
    own = teach(
        lambda: Lamps(horizon=3),
        Lamps(horizon=3).tasks("train"),
        TeachSettings(episodes=6, negatives=1.0),
        seed=0,
        stages=("full",),
    )

    def turns(found):
        return sorted((e.kind, repr(e.state), e.action, e.wrong_action) for e in found.examples)

    assert turns(made) == turns(own)
    assert {e.reflection for e in made.examples} == {f"said {e.action}" for e in made.examples}
    assert made.without_negative == own.without_negative


@pytest.mark.parametrize("side_by_side", [1, 4, 100])
def test_how_many_play_side_by_side_changes_nothing_but_the_batches(side_by_side):
    made, teacher = lesson(echo, side_by_side=side_by_side)
    reference, other = lesson(echo, side_by_side=4)
    assert sorted(map(repr, made.examples)) == sorted(map(repr, reference.examples))
    assert sorted(teacher.names) == sorted(other.names)


def test_every_question_has_a_name_of_its_own():
    _, teacher = lesson(echo, episodes=12, negatives=2.0)
    assert len(set(teacher.names)) == len(teacher.names)


def test_after_a_wrong_move_the_teacher_is_told_which():
    made, _ = lesson(lambda question: Advice(repr(question.wrong_action)))
    negatives = [e for e in made.examples if e.kind == "negative"]
    assert negatives
    assert [e.reflection for e in negatives] == [repr(e.wrong_action) for e in negatives]


def test_a_teacher_that_plays_by_itself_is_told_nothing():
    seen = []

    def answer(question):
        seen.append(question.spoiler)
        return Advice("push it", f"push {lit(question)}")

    made, _ = lesson(answer, spoiler=False)
    assert set(seen) == {None}
    assert len(made.examples) == 6 * 3 + 6 - made.without_negative
    assert not made.unsolved


def test_only_solved_episodes_become_examples():
    def answer(question):
        wrong = [a for a in question.state.observation.legal_actions if lit(question) not in a]
        return Advice("hm", wrong[0])

    with pytest.raises(ReflectError, match="solved none"):
        lesson(answer, spoiler=False)


def test_a_question_without_an_answer_leaves_its_turn_out_where_the_right_action_is_known():
    def answer(question):
        return None if len(question.state.history) == 1 else echo(question)

    made, _ = lesson(answer)
    positive = [e for e in made.examples if e.kind == "positive"]
    assert {len(e.state.history) for e in positive} == {0, 2}
    assert len(positive) == 6 * 2
    assert not made.unsolved
    assert made.unanswered >= 6


@pytest.mark.parametrize("where", ["reset", "step", "expert_action"])
def test_an_episode_in_which_a_plugin_raises_is_left_out_and_told(where):
    made, _ = lesson(echo, episodes=8, make=lambda: lamps_that_fail(where, horizon=3))
    assert made.failures == ["train-1: RuntimeError: a fuse blew"]
    assert not made.unsolved
    assert "train-1" not in {e.state.task.task_id for e in made.examples}
    assert len({e.state.task.task_id for e in made.examples}) == 7


def test_after_an_episode_in_which_it_raised_another_environment_goes_on():
    before = Dead.closed
    made, _ = lesson(echo, episodes=24, make=Dead)
    assert made.failures == ["train-1: BrokenPipeError: no engine"] * 3
    assert len({e.state.task.task_id for e in made.examples}) == 7
    assert Dead.closed - before == 4 + 3


def test_wrong_moves_are_those_that_the_teachers_words_name_besides():
    def answer(question):
        at = COLOURS.index(lit(question))
        return Advice(f"push {COLOURS[at]} or push {COLOURS[at - 1]}", f"push {COLOURS[at]}")

    made, _ = lesson(answer, episodes=8, named_negatives=1.0)
    wrong = [e for e in made.examples if e.kind == "negative"]
    assert wrong
    for example in wrong:
        before = example.state.history[-1].observation.split()[1]
        assert example.wrong_action == f"push {COLOURS[COLOURS.index(before) - 1]}"


def test_words_that_are_empty_are_an_answer_too():
    made, _ = lesson(lambda question: Advice("", f"push {lit(question)}"), spoiler=False)
    assert {example.reflection for example in made.examples} == {""}


def test_where_the_expert_gives_up_nobody_is_asked():
    class Lost(Lamps):
        def expert_action(self):
            if (self.task.task_id == "train-0" and self.turn == 1) or self.right < self.turn:
                raise NoAdvice("lost")
            return super().expert_action()

    asked = []

    def answer(question):
        asked.append(question)
        return echo(question)

    made, _ = lesson(answer, make=lambda: Lost(horizon=3))
    assert set(made.unsolved) == {"train-0"}
    assert not [q for q in asked if q.wrong_action is not None]
    assert made.without_negative > 0
    assert {e.kind for e in made.examples} == {"positive"}


def test_a_question_without_an_answer_leaves_its_episode_out_where_the_teacher_plays():
    mute = set()

    def answer(question):
        mute.add(question.state.task.task_id) if not mute else None
        if question.state.task.task_id in mute:
            return None
        return Advice("push it", f"push {lit(question)}")

    made, _ = lesson(answer, spoiler=False)
    assert made.unanswered == len(made.unsolved) > 0
    assert set(made.unsolved) == mute
    assert mute.isdisjoint(example.state.task.task_id for example in made.examples)


def test_an_action_that_is_not_legal_is_no_answer():
    with pytest.raises(ReflectError, match="solved none") as stopped:
        lesson(lambda question: Advice("fly", "fly"), spoiler=False)
    assert "6 questions without an answer" in str(stopped.value)


class Inexpert:
    """Lamps without an expert."""

    def __init__(self):
        lamps = Lamps(horizon=3)
        self.tasks, self.reset, self.step, self.close = (
            lamps.tasks, lamps.reset, lamps.step, lamps.close,
        )  # fmt: skip


def test_a_spoiler_needs_an_expert_and_playing_by_oneself_does_not():
    with pytest.raises(ReflectError, match="no expert that could tell"):
        lesson(echo, make=Inexpert)
    made, _ = lesson(
        lambda q: Advice("push", f"push {lit(q)}"), spoiler=False, negatives=0.0, make=Inexpert
    )
    assert len(made.examples) == 18


def registry(teaches=True):
    @hookimpl
    def reflect_environments():
        yield EnvironmentSpec(name="lamps", factory=lambda config, context: Lamps())

    @hookimpl
    def reflect_reflectors():
        yield ReflectorSpec(
            name="wise", factory=lambda config, context: Asked(echo), teaches=teaches
        )

    import importlib.metadata

    from reflect_core.plugins import GROUP

    plugin = module(
        reflect_environments=reflect_environments, reflect_reflectors=reflect_reflectors
    )
    installed = importlib.metadata.entry_points(group=GROUP)
    return load([*installed, FakeEntryPoint("wise", lambda: plugin)], disabled=())


def test_a_run_is_taught_by_the_teacher_it_names(model_folder, tmp_path):
    made = attrs.evolve(toy_settings(model_folder("lfm2")), teacher=Part("wise"))
    execute(tmp_path / "r", made, ["teach"], registry(), QuietProgress())
    examples = read_examples(tmp_path / "r" / "data" / "examples.jsonl")
    assert {e.reflection for e in examples} == {f"said {e.action}" for e in examples}


def test_a_teacher_that_holds_something_open_is_closed(model_folder, tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(Asked, "close", lambda self: closed.append(self), raising=False)
    made = attrs.evolve(toy_settings(model_folder("lfm2")), teacher=Part("wise"))
    execute(tmp_path / "r", made, ["teach"], registry(), QuietProgress())
    assert len(closed) == 1


def test_a_reflector_that_does_not_teach_is_refused(model_folder, tmp_path):
    made = attrs.evolve(toy_settings(model_folder("lfm2")), teacher=Part("wise"))
    with pytest.raises(ReflectError, match="does not teach"):
        execute(tmp_path / "r", made, ["teach"], registry(teaches=False), QuietProgress())
