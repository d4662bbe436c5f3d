"""``reflect diagnose``: every turn is put where it belongs."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from fake_plugins import FakeEntryPoint, environments, module
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from toy import lamps_registry, settings

from reflect_core import EnvironmentSpec, NoAdvice, ReflectError
from reflect_core import config as configuration
from reflect_core.cli import main
from reflect_core.cli.diagnose import _table
from reflect_core.diagnosis import Diagnosis, Did, Said, Turn, diagnose
from reflect_core.plugins import GROUP
from reflect_core.progress import QuietProgress
from reflect_core.records import Choice, Draws, State
from reflect_core.rollout import Collector
from reflect_core.run import execute
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.testing.lamps import COLOURS, Lamps

ACTIONS = tuple(f"push {colour}" for colour in COLOURS)


def other(*not_these: str | None) -> str:
    return next(action for action in ACTIONS if action not in not_these)


@attrs.define
class Script:
    """Both players by a script, one entry for each turn of the two of an episode."""

    plan: dict[str, Sequence[tuple[Said, Did]]]

    def entry(self, state: State) -> tuple[Said, Did]:
        return self.plan[state.task.task_id][len(state.history)]

    def reflect(
        self, states: Sequence[State], draws: Sequence[Draws], *, greedy: bool
    ) -> list[str]:
        return [self.says(state) for state in states]

    def says(self, state: State) -> str:
        assert state.hint is not None
        right = state.hint.action
        return {
            Said.RIGHT: f"Now: {right}",
            Said.ANOTHER: f"Now: {other(right)}",
            Said.NONE: "Now: pull red",
            Said.SILENT: "",
        }[self.entry(state)[0]]

    def act(
        self,
        states: Sequence[State],
        reflections: Sequence[str],
        draws: Sequence[Draws],
        *,
        greedy: bool,
    ) -> list[Choice]:
        return [Choice(ACTIONS.index(self.does(state))) for state in states]

    def does(self, state: State) -> str:
        assert state.hint is not None
        right, (said, did) = state.hint.action, self.entry(state)
        named = {Said.RIGHT: right, Said.ANOTHER: other(right)}.get(said)
        return {Did.RIGHT: right, Did.NAMED: named or right, Did.ANOTHER: other(right, named)}[did]


@pytest.fixture(scope="module")
def run(model_folder: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy run after its RL."""
    folder = tmp_path_factory.mktemp("run")
    made = settings(model_folder("gpt2"), train={"iterations": 1})
    (folder / "run.toml").write_text(configuration.dump(made))
    execute(folder, made, ["teach", "sft", "train"], lamps_registry(), QuietProgress())
    return folder


def opened(run: Path, model_folder: Any, **lamps: Any) -> contextlib.closing[Session]:
    made = settings(model_folder("gpt2"), train={"iterations": 1})
    registry = lamps_registry(**lamps)
    return contextlib.closing(Session(RunFolder(run), made, registry, QuietProgress()))


class Scripted(Session):
    """A session whose players follow a script, whatever the run has learnt."""

    script: Script

    @property
    def reflector(self) -> Script:
        return self.script

    policy = reflector

    def take_up(self, policy_folder: Path) -> None:
        pass


@pytest.mark.parametrize(("player", "folder"), [("trained", "policy"), ("warmup", "warmup")])
@pytest.mark.parametrize("greedy", [False, True])
def test_it_plays_the_weights_that_it_names(
    run: Path,
    model_folder: Any,
    monkeypatch: pytest.MonkeyPatch,
    player: str,
    folder: str,
    greedy: bool,
) -> None:
    taken: list[str] = []
    how: list[bool] = []
    take_up, play = Session.take_up, Collector.play

    def taking(session: Session, weights: Path) -> None:
        taken.append(weights.name)
        take_up(session, weights)

    def playing(collector: Collector, episodes: Any, *, greedy: bool) -> Any:
        how.append(greedy)
        return play(collector, episodes, greedy=greedy)

    monkeypatch.setattr(Session, "take_up", taking)
    monkeypatch.setattr(Collector, "play", playing)
    with opened(run, model_folder) as session:
        diagnose(session, split="valid", episodes=2, player=player, greedy=greedy)
    assert (taken, how) == ([folder], [greedy])


def kind(said: Said, did: Did) -> tuple[Said, Did]:
    """What a planned turn is: who takes what is named is right where that is, or where none is."""
    same = did is Did.NAMED and said is not Said.ANOTHER
    return said, Did.RIGHT if same else did


PLANNED = [did for did in Did if did is not Did.OPEN]
entries = st.tuples(st.sampled_from(Said), st.sampled_from(PLANNED))
Plans = Sequence[Sequence[tuple[Said, Did]]]
planned_episodes = st.lists(st.tuples(entries, entries), min_size=8, max_size=8)


def play_plans(
    run: Path, model_folder: Any, plans: Plans, kind: type[Script] = Script, **players: str
) -> Diagnosis:
    made = settings(model_folder("gpt2"), train={"iterations": 1})
    session = Scripted(RunFolder(run), made, lamps_registry(), QuietProgress())
    session.script = kind({f"valid-{i}": plan for i, plan in enumerate(plans)})
    with contextlib.closing(session):
        return diagnose(session, split="valid", episodes=len(plans), greedy=False, **players)


@given(planned_episodes)
@limits(max_examples=40, deadline=None)
def test_every_turn_is_what_the_players_made_it(run: Path, model_folder: Any, plans: Plans) -> None:
    found = play_plans(run, model_folder, plans, player="trained")

    planned = Counter(kind(*entry) for plan in plans for entry in plan)
    assert found.counts() == planned
    solved = [all(kind(*entry)[1] is Did.RIGHT for entry in plan) for plan in plans]
    assert sorted(found.successes) == sorted(solved)
    last = Counter(
        [kind(*entry) for entry in plan if kind(*entry)[1] is not Did.RIGHT][-1]
        for plan, success in zip(plans, solved, strict=True)
        if not success
    )
    assert Counter((turn.said, turn.did) for turn in found.partings() if turn) == last


def test_an_episode_lost_beside_the_expert_has_no_parting() -> None:
    turn = Turn("a", 0, "", "go", "Now: go", "Now: go", ["go"], "go")
    found = Diagnosis([[turn], [turn]], [False, True])
    assert found.partings() == [None]


@attrs.define
class Torn(Script):
    """A reflector that leaves a choice; where the expert's is in it, and which is taken, varies."""

    def says(self, state: State) -> str:
        assert state.hint is not None
        right, (said, _) = state.hint.action, self.entry(state)
        two = (right, other(right)) if said is Said.RIGHT else (other(right), right)
        return f"Now: {' or '.join(two)}"

    def does(self, state: State) -> str:
        _, did = self.entry(state)
        first, second = self.says(state).removeprefix("Now: ").split(" or ")
        return {Did.RIGHT: first, Did.NAMED: second}.get(did, other(first, second))


@given(planned_episodes)
@limits(max_examples=20, deadline=None)
def test_what_is_taken_of_two_is_counted_and_both_are_right_to_name(
    run: Path, model_folder: Any, plans: Plans
) -> None:
    found = play_plans(run, model_folder, plans, player="trained", kind=Torn)
    did = Counter(did for plan in plans for _, did in plan)
    assert found.choices() == {2: [did[Did.RIGHT], did[Did.NAMED], did[Did.ANOTHER]]}
    # the expert's is the first of the two where that was planned, and else the second
    kinds = {True: Did.RIGHT, False: Did.NAMED}
    assert found.counts() == Counter(
        (
            Said.RIGHT,
            did if did is Did.ANOTHER else kinds[(did is Did.RIGHT) == (said is Said.RIGHT)],
        )
        for plan in plans
        for said, did in plan
    )
    lost = [turn for turn in found.partings() if turn]
    assert all(turn.did is not Did.RIGHT for turn in lost)


class SomeOpen(Lamps):
    """Names no action at the second turn, and takes any."""

    silent = (1,)

    def expert_action(self) -> str:
        return ACTIONS[0] if self.turn in self.silent else super().expert_action()

    def expert_reflection(self) -> str:
        return "Try." if self.turn in self.silent else super().expert_reflection()


class NeverNames(SomeOpen):
    """Speaks of no action at all, and means one."""

    silent = ()

    def expert_reflection(self) -> str:
        return f"{self.lit[self.turn]} is lit."


@pytest.mark.parametrize(("make", "is_open"), [(SomeOpen, True), (NeverNames, False)])
def test_to_take_what_the_expert_left_open_is_neither_right_nor_wrong(
    run: Path, model_folder: Any, make: Any, is_open: bool
) -> None:
    made = settings(model_folder("gpt2"), train={"iterations": 1})
    session = Session(RunFolder(run), made, lamps_registry(make=make), QuietProgress())
    with contextlib.closing(session):
        found = diagnose(
            session, split="valid", episodes=8, player="follow", reflector="expert", greedy=True
        )
    second = [episode[1] for episode in found.episodes]
    assert all((turn.did is Did.OPEN) == is_open for turn in second)
    assert all(turn.did is not Did.OPEN for turn in (episode[0] for episode in found.episodes))
    lost = [turn for turn in found.partings() if turn]
    assert not is_open or (lost and all(turn.number == 1 for turn in lost))


def test_what_was_left_open_is_a_parting_only_where_there_is_no_other() -> None:
    wrong = Turn("a", 0, "", "go", "Now: go", "Now: go", ["go"], "stay")
    free = Turn("a", 1, "", "go", "Try.", "Try.", [], "stay", left_open=True)
    assert Diagnosis([[wrong, free], [free]], [False, False]).partings() == [wrong, free]


def test_turns_after_the_expert_gave_up_are_told(run: Path, model_folder: Any) -> None:
    class GivesUp(Lamps):
        def expert_action(self) -> str:
            if self.turn == 1:
                raise NoAdvice("enough")
            return super().expert_action()

    made = settings(model_folder("gpt2"), train={"iterations": 1})
    session = Session(RunFolder(run), made, lamps_registry(make=GivesUp), QuietProgress())
    with contextlib.closing(session):
        found = diagnose(session, split="valid", episodes=8, player="trained", greedy=True)
    assert found.alone == 8
    assert "8 turns more were not compared" in "\n".join(_table(found))


def test_choices_between_two_and_three_are_told_apart() -> None:
    turns = [
        Turn("a", number, "", "go", "Now: go", "Now", named, taken)
        for number, (named, taken) in enumerate(
            [(["go"], "go"), ([], "go"), (["go", "stay"], "stay"), (["a", "go", "b"], "stay")]
        )
    ]
    assert Diagnosis([turns], [False]).choices() == {2: [0, 1, 0], 3: [0, 0, 0, 1]}


# -- the command ---------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = EnvironmentSpec(name="lamps", factory=lambda config, context: Lamps())
    own = FakeEntryPoint("lamps", lambda: module(reflect_environments=environments(spec)))
    others = importlib.metadata.entry_points(group=GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [*others, own])


@pytest.mark.parametrize("player", ["warmup", "trained", "follow"])
def test_the_command_tells_all_turns(
    installed: None, run: Path, capsys: pytest.CaptureFixture[str], player: str
) -> None:
    words = ["--episodes", "6", "--player", player, "--show", "1", "--decoding", "argmax"]
    assert main(["diagnose", str(run), *words]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"lamps, valid tasks, argmax, policy {player!r} of {run}\n")
    assert "of 6 episodes solved, 12 turns" in said
    rows = [line.split("  ") for line in said.splitlines() if "%" in line]
    assert sum(int([cell for cell in row if cell.strip()][2]) for row in rows) == 12
    assert said.count("  expert:     ") == 1


def test_the_command_takes_the_reflector_out(
    installed: None, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--episodes", "6", "--player", "follow", "--reflector", "expert"]
    assert main(["diagnose", str(run), *words]) == 0
    said = capsys.readouterr().out
    first = f"lamps, valid tasks, sampled, policy 'follow' of {run}, the expert's reflections\n"
    assert said.startswith(first)
    assert "6 of 6 episodes solved, 12 turns" in said


def test_it_says_the_same_twice_and_leaves_the_run_alone(
    installed: None, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    told = []
    for _ in range(2):
        assert main(["diagnose", str(run), "--episodes", "4"]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("player", "lacks"), [("warmup", "policy 'warmup'"), ("follow", "reflector")]
)
def test_a_run_that_has_not_learnt_is_told_so(
    model_folder: Any, tmp_path: Path, player: str, lacks: str
) -> None:
    with (
        opened(tmp_path, model_folder) as session,
        pytest.raises(ReflectError, match=f"no {lacks} yet") as told,
    ):
        diagnose(session, split="valid", episodes=1, player=player, greedy=True)
    assert told.value.then == f"reflect sft {tmp_path}"


def test_who_follows_the_expert_makes_no_mistake(run: Path, model_folder: Any) -> None:
    with opened(run, model_folder) as session:
        found = diagnose(
            session, split="valid", episodes=6, player="follow", greedy=False, reflector="expert"
        )
    assert found.counts() == {(Said.RIGHT, Did.RIGHT): 12}
    assert found.successes == [True] * 6


@given(planned_episodes)
@limits(max_examples=20, deadline=None)
def test_each_player_can_be_taken_out(run: Path, model_folder: Any, plans: Plans) -> None:
    followed = play_plans(run, model_folder, plans, player="follow")
    told = play_plans(run, model_folder, plans, player="warmup", reflector="expert")
    said = Counter(said for plan in plans for said, _ in plan)
    assert Counter(turn.said for episode in followed.episodes for turn in episode) == said
    for episode in followed.episodes:
        assert all(turn.taken == turn.named[-1] for turn in episode if turn.named)
    turns = [turn for episode in told.episodes for turn in episode]
    assert all(turn.reflection == turn.advice and turn.said is Said.RIGHT for turn in turns)
    wrong = sum(kind(*entry)[1] is not Did.RIGHT for plan in plans for entry in plan)
    assert sum(turn.did is not Did.RIGHT for turn in turns) == wrong


def test_a_policy_that_does_not_learn_can_be_diagnosed(
    installed: None, model_folder: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--env", "lamps", "--policy", "follow", "--reflector", "expert", "--out"]
    assert main(["run", *words, str(tmp_path / "r"), "eval.episodes=2"]) == 0
    capsys.readouterr()
    assert main(["diagnose", str(tmp_path / "r"), "--episodes", "3"]) == 0
    said = capsys.readouterr().out
    assert "3 of 3 episodes solved, 6 turns" in said
    assert "the expert's      the expert's       6  100.0%             0" in said


class Mute:
    """Lamps without an expert."""

    def __init__(self) -> None:
        lamps = Lamps()
        self.tasks, self.reset, self.step = lamps.tasks, lamps.reset, lamps.step
        self.close = lamps.close


def test_an_environment_without_an_expert_is_told_so(run: Path, model_folder: Any) -> None:
    with (
        opened(run, model_folder, make=Mute) as session,
        pytest.raises(ReflectError, match="'lamps' has no expert to compare with"),
    ):
        diagnose(session, split="valid", episodes=1, player="trained", greedy=True)


def test_the_command_tells_what_is_made_of_a_choice(
    installed: None, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [[(Said.RIGHT, Did.NAMED), (Said.ANOTHER, Did.RIGHT)]] * 8
    monkeypatch.setattr("reflect_core.session.Session", Scripted)
    script = Torn({f"valid-{i}": plan for i, plan in enumerate(plans)})
    monkeypatch.setattr(Scripted, "script", script, raising=False)
    assert main(["diagnose", str(run), "--episodes", "4", "--show", "0"]) == 0
    said = capsys.readouterr().out
    named = "taken, in the order in which they are named"
    assert f"8 turns leave a choice of 2: {named}, 50.0%, 50.0%; another 0.0%" in said
    assert "the expert's      a named one  " in said
