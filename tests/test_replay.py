"""Replay of successes: what is kept, for how long, and that a resumed run replays the same."""

from __future__ import annotations

import json
import shutil
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import lamps_registry, settings

from reflect_core import checkpoint
from reflect_core.loop import Training
from reflect_core.progress import QuietProgress
from reflect_core.records import Choice, Observation, Task, Trajectory, Transition
from reflect_core.replay import ReplayBuffer
from reflect_core.run import execute
from reflect_core.runfolder import RunFolder
from reflect_core.settings import ReplaySettings

STAGES = ("teach", "sft", "train")


def turn(number: int, reward: Any = 0.1) -> Transition:
    choice = Choice(
        index=number % 2,
        logprob=-0.1 - number / 3,
        probabilities=(1 / 3, 2 / 3),
        value=number / 7,
        prompt_ids=np.arange(number, dtype=np.int32),
        label_ids=np.array([5, 9], np.int32),
        temperature=0.7,
        weights_version=4,
        truncated_turns=1,
    )
    seen = Observation(f"state {number} \N{SNOWMAN}", ("left", "right"), f"key {number}")
    return Transition(seen, "go left", choice, reward, shaping=0.3)


def episode(index: int, *, success: bool = True, turns: int = 2, **more: Any) -> Trajectory:
    return Trajectory(
        episode=index,
        task=Task(f"task-{index}", "train", "do it", level=2, data={"path": ["a", "b"]}),
        stage="full",
        transitions=tuple(turn(index + i) for i in range(turns)),
        terminated=True,
        truncated=False,
        success=success,
        group=index,
        learn_turns=1,
        **more,
    )


def buffer(
    episodes: int = 3, capacity: int = 9, max_age: int = 2, seed: int = 0, coef: float = 1.0
) -> ReplayBuffer:
    return ReplayBuffer(ReplaySettings(episodes, capacity, max_age, coef), seed=seed)


def drawn(kept: ReplayBuffer, iteration: int) -> list[int]:
    return [trajectory.episode for trajectory in kept.draw(iteration=iteration)[0]]


def plain(trajectory: Trajectory) -> Any:
    """All of a trajectory in a form that can be compared: arrays as lists with their kind."""
    return attrs.asdict(
        trajectory,
        value_serializer=lambda _, __, value: (
            (str(value.dtype), value.tolist()) if isinstance(value, np.ndarray) else value
        ),
    )


def test_solved_episodes_come_back_marked_and_in_groups_of_their_own() -> None:
    kept = buffer()
    fresh = [episode(0), episode(1, success=False), episode(2), episode(3, turns=0)]
    assert kept.draw(iteration=0) == ([], {"replayed_episodes": 0.0, "replayed_age": 0.0})
    kept.add(fresh, iteration=0)
    again, figures = kept.draw(iteration=1)
    assert again == [
        attrs.evolve(fresh[0], replayed=True, group=-1, weight=1 / 4),
        attrs.evolve(fresh[2], replayed=True, group=-2, weight=1 / 4),
    ]
    read, first = (one.transitions[0].choice.prompt_ids for one in (again[0], fresh[0]))
    assert read is first
    assert figures == {"replayed_episodes": 2.0, "replayed_age": 1.0}


def test_what_was_replayed_is_not_kept_again() -> None:
    kept = buffer()
    kept.add([episode(0)], iteration=0)
    again, _ = kept.draw(iteration=1)
    kept.add([*again, episode(1)], iteration=1)
    assert drawn(kept, 2) == [0, 1]
    assert kept.draw(iteration=2)[1] == {"replayed_episodes": 2.0, "replayed_age": 1.5}


def test_the_old_go() -> None:
    kept = buffer(episodes=9)
    kept.add([episode(i) for i in range(4)], iteration=0)
    kept.add([episode(i) for i in range(10, 13)], iteration=1)
    assert drawn(kept, 2) == [0, 1, 2, 3, 10, 11, 12]
    assert drawn(kept, 3) == [10, 11, 12]
    assert drawn(kept, 4) == []
    assert len(kept) == 0


def test_of_too_many_a_random_part_stays() -> None:
    counts = np.zeros(8)
    for seed in range(400):
        kept = buffer(episodes=9, capacity=4, seed=seed)
        kept.add([episode(i) for i in range(5)], iteration=0)
        assert len(kept) == 4
        kept.add([episode(i) for i in range(5, 8)], iteration=1)
        counts[stay := drawn(kept, 2)] += 1
        assert stay == sorted(stay)
        assert len(stay) == 4
    # of the first five each stays twice with 4/5 * 4/7, of the others once with 4/7
    assert counts[:5] / 400 == pytest.approx([16 / 35] * 5, abs=0.1)
    assert counts[5:] / 400 == pytest.approx([4 / 7] * 3, abs=0.1)


def test_without_replay_nothing_is_kept_drawn_logged_or_saved() -> None:
    kept = buffer(episodes=0)
    kept.add([episode(0)], iteration=0)
    assert len(kept) == 0
    assert kept.draw(iteration=1) == ([], {})
    assert kept.state_dict() == {}
    kept.load_state_dict({})
    assert ReplaySettings().episodes == 0


iterations = st.lists(st.lists(st.booleans(), max_size=6), min_size=1, max_size=7)


@given(iterations, st.integers(1, 4), st.integers(1, 9), st.integers(1, 4), st.integers(0, 3))
def test_at_most_so_many_none_twice_none_too_old(
    outcomes: list[list[bool]], episodes: int, capacity: int, max_age: int, seed: int
) -> None:
    kept = buffer(episodes, capacity, max_age, seed)
    solved: list[tuple[int, int]] = []  # iteration and index
    for iteration, wins in enumerate(outcomes):
        again, figures = kept.draw(iteration=iteration)
        solved = [key for key in solved if iteration - key[0] <= max_age]
        assert len(again) == min(episodes, len(solved)) == figures["replayed_episodes"]
        where = [(round(one.transitions[0].reward), one.episode) for one in again]
        assert len(set(where)) == len(where)
        assert where == sorted(where)
        assert set(where) <= set(solved)
        assert all(one.replayed and one.group < 0 for one in again)
        fresh = [
            attrs.evolve(episode(i, success=won), transitions=(turn(i, reward=iteration),))
            for i, won in enumerate(wins)
        ]
        kept.add(fresh, iteration=iteration)
        solved = [*solved, *((iteration, i) for i, won in enumerate(wins) if won)]
        assert len(kept) == min(capacity, len(solved))
        stays = buffer(99, capacity, max_age, seed)  # the same, asked for all it has
        stays.load_state_dict(kept.state_dict())
        found = stays.draw(iteration=iteration)[0]
        solved = [(round(one.transitions[0].reward), one.episode) for one in found]


@given(iterations, st.integers(1, 4), st.integers(1, 9), st.integers(0, 3))
def test_the_weights_add_up_to_the_success_rate(
    outcomes: list[list[bool]], episodes: int, max_age: int, seed: int
) -> None:
    # failures count, though none is kept; and where few are drawn they stand for the others
    kept = buffer(episodes, 99, max_age, seed, coef=0.5)
    for iteration, wins in enumerate(outcomes):
        kept.add([episode(i, success=won) for i, won in enumerate(wins)], iteration=iteration)
    weights = [one.weight for one in kept.draw(iteration=len(outcomes))[0]]
    recent = [won for wins in outcomes[-max_age:] for won in wins]
    assert sum(weights) == pytest.approx(0.5 * sum(recent) / max(1, len(recent)))
    assert len(set(weights)) <= 1


def test_what_is_left_out_is_stood_for_without_bias() -> None:
    # ten of a first iteration, thirty of a second that push them out; how much weighs the first?
    shares = []
    for seed in range(2000):
        kept = buffer(episodes=5, capacity=8, max_age=5, seed=seed)
        kept.add([episode(i, success=i % 2 == 0) for i in range(20)], iteration=0)
        kept.add([episode(i + 50) for i in range(30)], iteration=1)
        weights = [(one.weight, one.episode < 50) for one in kept.draw(iteration=2)[0]]
        assert len(weights) == 5
        shares.append([sum(w for w, first in weights if first), sum(w for w, _ in weights)])
    first, whole = np.mean(shares, axis=0)
    assert first == pytest.approx(10 / 50, abs=0.02)
    assert whole == pytest.approx(40 / 50, abs=0.02)


def test_every_kept_episode_is_as_likely_as_another() -> None:
    counts = np.zeros(6)
    for seed in range(600):
        kept = buffer(episodes=2, seed=seed)
        kept.add([episode(i) for i in range(6)], iteration=0)
        counts[drawn(kept, 1)] += 1
    assert counts.sum() == 1200
    assert counts.min() > 150


@given(iterations, iterations)
def test_a_saved_buffer_has_the_same_future(
    past: list[list[bool]], future: list[list[bool]]
) -> None:
    def go_on(kept: ReplayBuffer, outcomes: list[list[bool]], start: int) -> list[Any]:
        seen = []
        for iteration, wins in enumerate(outcomes, start):
            again, figures = kept.draw(iteration=iteration)
            seen.append(([plain(one) for one in again], dict(figures)))
            kept.add([episode(i, success=won) for i, won in enumerate(wins)], iteration=iteration)
        return seen

    whole, resumed = buffer(), buffer()
    go_on(whole, past, 0)
    resumed.add([episode(77)], iteration=0)  # what it held before it was told
    resumed.load_state_dict(whole.state_dict())
    assert go_on(resumed, future, len(past)) == go_on(whole, future, len(past))


def test_a_checkpoint_holds_the_episodes_to_the_last_bit(tmp_path) -> None:
    kept = buffer(episodes=9)
    kept.add([episode(0, final_value=1 / 3), episode(4, turns=3)], iteration=0)
    kept.add([episode(0, turns=1)], iteration=1)
    made = checkpoint.Checkpoint(2, {}, {}, {}, {}, 0, 0.0, replay=kept.state_dict())
    path = checkpoint.save(RunFolder(tmp_path), made)
    other = buffer(episodes=9)
    other.load_state_dict(checkpoint.load(path).replay)
    before, after = (one.draw(iteration=2)[0] for one in (kept, other))
    assert [plain(one) for one in after] == [plain(one) for one in before]
    assert [len(one.transitions) for one in after] == [2, 3, 1]
    (path / checkpoint.REPLAY).write_bytes(b"nonsense")
    with pytest.raises(checkpoint.CheckpointError, match="cannot be read"):
        checkpoint.load(path)


def test_a_checkpoint_from_before_there_was_replay_is_read(tmp_path) -> None:
    path = checkpoint.save(
        RunFolder(tmp_path), checkpoint.Checkpoint(2, {}, {}, {}, {}, 0, 0.0, replay={})
    )
    assert sorted(p.name for p in path.iterdir()) == [
        "policy.safetensors", "state.json", "trainer.pt",
    ]  # fmt: skip
    kept = buffer()
    kept.load_state_dict(checkpoint.load(path).replay)
    assert drawn(kept, 1) == []


def test_rewards_of_numpy_are_saved_as_numbers() -> None:
    kept = buffer()
    paid = attrs.evolve(episode(0), transitions=(turn(0, reward=np.float32(0.5)),))
    kept.add([attrs.evolve(paid, success=np.True_)], iteration=0)
    other = buffer()
    other.load_state_dict(kept.state_dict())
    assert other.draw(iteration=1)[0][0].episode_return == 0.5


def test_hidden_states_are_not_kept() -> None:
    kept, other = buffer(), buffer()
    first = turn(0)
    read = attrs.evolve(first, choice=attrs.evolve(first.choice, hidden=np.ones(8, np.float32)))
    kept.add([attrs.evolve(episode(0), transitions=(read,))], iteration=0)
    other.load_state_dict(kept.state_dict())
    for each in (kept, other):
        (again,) = each.draw(iteration=1)[0]
        assert again.transitions[0].choice.hidden is None


# -- in a run -----------------------------------------------------------------------------


def toy(model_folder, **replay: int) -> Any:
    train = {"iterations": 4, "episodes": 12, "checkpoint_every": 1, "keep_checkpoints": 9}
    return settings(model_folder("lfm2"), train=train, replay=ReplaySettings(**replay))


def run(folder, made) -> None:
    execute(folder, made, STAGES, lamps_registry(horizon=1), QuietProgress())


def rows(folder) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["stage"] == "train"]


@pytest.fixture(scope="module")
def whole(model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(folder, toy(model_folder, episodes=3, max_age=2))
    return folder


def test_old_successes_join_the_update_and_nothing_else(whole, model_folder, tmp_path) -> None:
    plain_folder = tmp_path / "without"
    run(plain_folder, toy(model_folder))
    first, *later = rows(whole)
    assert (first["replayed_episodes"], first["replayed_age"]) == (0, 0)
    assert all(0 < row["replayed_episodes"] <= 3 for row in later)
    assert all(1 <= row["replayed_age"] <= 2 for row in later)
    # the figures of success count the 12 fresh episodes alone
    assert {row["episodes"] for row in rows(whole)} == {12}
    without = rows(plain_folder)
    assert not any(name.startswith("replay") for row in without for name in row)
    assert without[0].items() <= first.items()
    assert without[1]["success_rate"] == later[0]["success_rate"]  # the same policy played
    assert without[1]["policy_loss"] != later[0]["policy_loss"]
    names = {path.name for path in (plain_folder / "checkpoints").rglob("*")}
    assert checkpoint.REPLAY not in names


class Stopped(BaseException):
    """As a kill would: nothing catches it."""


@pytest.mark.parametrize(
    ("where", "iteration"), [("_update", 0), ("_update", 2), ("_update", 3), ("_save", 1)]
)
def test_a_stopped_run_ends_like_one_that_was_not(
    whole, model_folder, tmp_path, monkeypatch, where: str, iteration: int
) -> None:
    made, folder = toy(model_folder, episodes=3, max_age=2), tmp_path / "run"
    shutil.copytree(whole, folder)
    for old in ("checkpoints", "policy"):
        shutil.rmtree(folder / old)
    stages = json.loads((folder / "stages.json").read_text())
    del stages["train"]
    (folder / "stages.json").write_text(json.dumps(stages))
    real = getattr(Training, where)

    def stops(training: Training, *args: Any) -> Any:
        # after the initial save, so that every stop is one of the iteration's
        if training.iteration >= iteration + (where == "_save"):
            raise Stopped
        return real(training, *args)

    monkeypatch.setattr(Training, where, stops)
    with pytest.raises(Stopped):
        run(folder, made)
    monkeypatch.undo()
    saved = checkpoint.latest(RunFolder(folder))
    assert saved is not None
    assert saved.name == f"{iteration:06d}"
    run(folder, made)
    for name in ("metrics.jsonl", "policy/model.safetensors",
                 "checkpoints/000004/replay.safetensors"):  # fmt: skip
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
