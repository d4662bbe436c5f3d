"""Environments in worker processes: the same episodes, whatever happens to the processes."""

import contextlib
import errno
import functools
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import attrs
import psutil
import pytest
from hazards import GROWTH, Dead, FaultyConfig, Hazards, Plain, Remembering, Rendezvous, Whimsical
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import policy
from toy import settings as toy_settings

from reflect_core.baselines import ExpertPolicy, ExpertReflector, RandomPolicy, SilentReflector
from reflect_core.cli.failures import explain
from reflect_core.context import EnvironmentContext
from reflect_core.errors import EpisodeOver, NoAdvice, ReflectError
from reflect_core.plugins import load
from reflect_core.progress import QuietProgress
from reflect_core.protocols import Environment, Expert
from reflect_core.records import Assignment
from reflect_core.rollout import Collector, training_episodes
from reflect_core.run import STAGES, execute
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.settings import Part, TeachSettings
from reflect_core.teach import teach
from reflect_core.testing.lamps import Lamps
from reflect_core.workers import Registered, WorkerPool
from reflect_core.workers.wire import Failure
from reflect_core.workers.worker import RETRIES

HERE = Path(__file__).parent
TASKS = Lamps().tasks("train")
MENU = ("push red", "push blue", "push green", "push white", "sing")


def pool(build, workers=1, **more):
    return WorkerPool(build, workers=workers, name="lamps", **{"timeout": 60, **more})


def plan(count=12):
    return training_episodes([Assignment(TASKS[i % 8]) for i in range(count)], seed=3, iteration=0)


def play(make, player=None, *, num_envs=4, expert=False):
    reflector = ExpertReflector() if expert else SilentReflector()
    player = player or (ExpertPolicy() if expert else RandomPolicy())
    collector = Collector(make, reflector, player, seed=3, num_envs=num_envs, needs_expert=expert)
    return collector.play(plan(), greedy=False)


def hazards(folder, mishap="blow", tasks=(), **more):
    return functools.partial(Hazards, folder, dict.fromkeys(tasks, mishap), **more)


def gone(pids):
    """Whether all of these processes end; that nobody has asked how they ended does not count."""
    end = time.monotonic() + 30
    while there := [process for pid in pids if (process := running(pid))]:
        if time.monotonic() > end:
            return False
        with contextlib.suppress(psutil.TimeoutExpired):
            there[0].wait(0.05)
    return True


def running(pid):
    """The process, None where it has ended."""
    try:
        process = psutil.Process(pid)
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


# -- the same as in this process ------------------------------------------------------------


@pytest.fixture(scope="module")
def lamps():
    with pool(functools.partial(Lamps, horizon=3), workers=2) as made:
        yield made.environment()


@settings(max_examples=25, deadline=None)
@given(task=st.sampled_from(TASKS), seed=st.integers(0, 9), actions=st.lists(st.sampled_from(MENU)))
def test_a_worker_answers_as_the_environment_would(lamps, task, seed, actions):
    here = Lamps(horizon=3)
    assert lamps.reset(task, seed=seed) == here.reset(task, seed=seed)
    for action in actions[:3]:
        assert lamps.expert_action() == here.expert_action()
        assert lamps.expert_reflection() == here.expert_reflection()
        assert lamps.step(action) == here.step(action)
    if here.over:
        with pytest.raises(EpisodeOver, match="reset first"):
            lamps.step("sing")


def test_what_the_environment_tells_about_itself_comes_through(lamps):
    assert lamps.summary() == Lamps(horizon=3).summary()
    with pool(Plain) as made:
        assert made.environment().summary() == "", "it has none"


def test_it_has_an_expert_if_the_environment_has(lamps):
    assert isinstance(lamps, Environment)
    assert isinstance(lamps, Expert)
    with pool(Plain) as made:
        assert not isinstance(made.environment(), Expert)


@pytest.mark.parametrize("expert", [False, True])
@pytest.mark.parametrize("num_envs", [1, 5, 40])
def test_a_rollout_with_workers_plays_the_same_episodes(num_envs, expert):
    with pool(Lamps, workers=2) as made:
        played = play(made.environment, num_envs=num_envs, expert=expert)
    assert played == play(Lamps, num_envs=num_envs, expert=expert)


def test_the_number_of_workers_changes_no_bit(model_folder):
    player = policy(model_folder("lfm2"))
    runs = []
    for workers in (1, 2, 3):
        with pool(Lamps, workers=workers) as made:
            runs.append(play(made.environment, player, num_envs=7).trajectories)
    for other in runs[1:]:
        assert other == runs[0]  # probabilities, log-probabilities and values too
    for a, b in zip(runs[0], play(Lamps, player, num_envs=7).trajectories, strict=True):
        assert [turn.action for turn in a.transitions] == [turn.action for turn in b.transitions]
        for one, two in zip(a.transitions, b.transitions, strict=True):
            assert one.choice.prompt_ids.tolist() == two.choice.prompt_ids.tolist()
            assert one.choice.probabilities == pytest.approx(two.choice.probabilities, abs=1e-4)


class Caller(RandomPolicy):
    """Announces each call of the model through a named pipe."""

    def __init__(self, folder, calls):
        for number in range(1, calls + 1):
            os.mkfifo(folder / f"call-{number}")
        # open at both ends, so that neither side waits for the other to open
        self.pipes = [os.open(folder / f"call-{i + 1}", os.O_RDWR) for i in range(calls)]
        self.calls = 0

    def act(self, states, *rest, **more):
        os.write(self.pipes[self.calls], b".." * len(states))
        self.calls += 1
        return super().act(states, *rest, **more)


def test_one_half_steps_while_the_model_is_on_the_other(tmp_path):
    caller = Caller(tmp_path, 4)
    with pool(functools.partial(Rendezvous, tmp_path), workers=4, timeout=20) as made:
        collector = Collector(made.environment, SilentReflector(), caller, seed=3, num_envs=4)
        played = collector.play(plan(4), greedy=False)
    for pipe in caller.pipes:
        os.close(pipe)
    assert not played.failures
    assert made.restarts == 0  # nobody waited in vain
    assert caller.calls == 4


def test_an_expert_in_workers_teaches_the_same():
    teaching = functools.partial(
        teach, tasks=TASKS, settings=TeachSettings(episodes=20), seed=0, stages=["full"]
    )
    with pool(Lamps, workers=3) as made:
        assert teaching(made.environment, side_by_side=3) == teaching(Lamps)


def test_an_engine_that_died_is_built_anew_where_it_teaches():
    teaching = functools.partial(
        teach, tasks=TASKS, settings=TeachSettings(episodes=24), seed=0, stages=["full"]
    )
    with pool(Dead, workers=2) as made:
        found = teaching(made.environment, side_by_side=2)
        assert made.restarts == 0
    assert found == teaching(Dead)
    assert len(found.failures) == 3


@pytest.mark.parametrize("foresee", [False, True])
@settings(max_examples=5, deadline=None)
@given(asks=st.lists(st.booleans(), min_size=4, max_size=4), lost=st.integers(0, 3))
def test_what_an_expert_says_does_not_depend_on_what_happens_to_its_process(foresee, asks, lost):
    said = []
    for kill in (False, True):
        with pool(functools.partial(Remembering, horizon=6)) as made:
            one = made.environment()
            one.foresee = foresee
            one.reset(TASKS[0], seed=0)
            for turn, ask in enumerate(asks):
                if ask:
                    one.expert_action()
                if kill and turn == lost:
                    os.kill(made.processes[0], signal.SIGKILL)
                one.step("sing")
            one.expert_action()
            said.append(one.expert_reflection())
            assert made.restarts == kill
    assert said[0] == said[1]


# -- what may happen to a process -----------------------------------------------------------


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 9),
    turns=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(MENU), st.booleans()), max_size=5),
)
def test_an_episode_goes_on_where_a_process_was_lost(lamps, seed, turns):
    with pool(functools.partial(Lamps, horizon=6)) as made:
        there = [made.environment() for _ in range(2)]
        here = [Lamps(horizon=6) for _ in range(2)]
        for one, other in zip(there, here, strict=True):
            assert one.reset(TASKS[0], seed=seed) == other.reset(TASKS[0], seed=seed)
        lost = 0
        for which, action, kill in turns:
            if kill:
                for pid in made.processes:
                    os.kill(pid, signal.SIGKILL)
                    lost += 1
            assert there[which].step(action) == here[which].step(action)
            assert there[which].expert_action() == here[which].expert_action()
        assert made.restarts == lost


@pytest.mark.parametrize("mishap", ["crash", "leave", "hang", "stick"])
def test_a_process_that_ends_or_hangs_is_not_noticed(mishap, tmp_path):
    build = hazards(tmp_path, mishap, ["train-1", "train-6"])
    waits = mishap in ("hang", "stick")  # a clock has a say only where nothing answers
    with pool(build, workers=2, timeout=2 if waits else 60) as made:
        played = play(made.environment)
        assert made.restarts >= 2 if waits else made.restarts == 2
    assert {path.name for path in tmp_path.iterdir()} == {"train-1", "train-6"}
    assert played == play(hazards(tmp_path))


@pytest.mark.parametrize(
    ("mishap", "told"),
    [("crash", "it exited with code 3"), ("hang", "it gave no answer within")],
)
def test_what_always_ends_the_process_is_an_error_that_says_all(mishap, told, tmp_path):
    build = hazards(tmp_path, mishap, ["train-1"], times=99)
    with pool(build, timeout=1 if mishap == "hang" else 60) as made:
        one = made.environment()
        one.reset(TASKS[1], seed=0)
        one.step("sing")
        with pytest.raises(ReflectError) as raised:
            one.step("sing")
        text = str(raised.value)
        assert "environment 'lamps' cannot go on at task 'train-1', turn 2" in text
        assert told in text
        assert made.restarts > RETRIES
        one.reset(TASKS[2], seed=0)  # another task is none the worse for it
        assert not one.step("sing").over


def test_a_task_that_always_crashes_loses_its_episodes_only(tmp_path):
    with pool(hazards(tmp_path, "crash", ["train-1"], times=99), workers=2) as made:
        played = play(made.environment)
    assert [failure.split(":")[0] for failure in played.failures] == ["train-1", "train-1"]
    whole = play(hazards(tmp_path)).trajectories
    assert played.trajectories == [t for t in whole if t.task.task_id != "train-1"]


def test_an_environment_that_cannot_be_repeated_is_found_out():
    with pool(Whimsical) as made:
        one = made.environment()
        one.reset(TASKS[0], seed=0)
        one.step("sing")
        os.kill(made.processes[0], signal.SIGKILL)
        with pytest.raises(ReflectError, match="of task train-0 could not be repeated"):
            one.step("sing")


def test_a_process_that_grows_is_replaced_between_episodes(tmp_path):
    build = hazards(tmp_path, "grow", [task.task_id for task in TASKS], times=99)
    sizes = []

    def taken(made):
        sizes.extend(psutil.Process(pid).memory_info().rss / 2**20 for pid in made.processes)

    with pool(build) as made:
        made.environment().reset(TASKS[0], seed=0)
        taken(made)
    limit = sizes.pop() + 3.5 * GROWTH
    with pool(build, memory=limit) as made:
        collector = Collector(
            made.environment, SilentReflector(), RandomPolicy(), seed=3, num_envs=2
        )
        played = collector.play(plan(), greedy=False, progress=lambda done: taken(made))
        assert made.restarts >= 2
    assert played == play(hazards(tmp_path))
    # each of a cohort's two episodes may have added its part since the limit was kept
    assert max(sizes) < limit + 2.5 * GROWTH < sizes[0] + 12 * GROWTH


def test_at_twice_its_memory_a_process_is_replaced_in_the_middle_of_episodes(tmp_path):
    build = hazards(tmp_path, "grow", ["train-0"], times=99)
    with pool(build) as made:
        made.environment().reset(TASKS[0], seed=0)
        limit = psutil.Process(made.processes[0]).memory_info().rss / 2**20 + 5
    with pool(build, memory=limit) as made:
        one, other = made.environment(), made.environment()
        other.reset(TASKS[1], seed=0)
        for _ in range(1 + int(limit // GROWTH)):
            one.reset(TASKS[0], seed=0)
            one.step("sing")
            other.expert_action()  # it is in use
            assert made.restarts == 0
            one.step("sing")
        one.reset(TASKS[2], seed=0)
        assert made.restarts == 1
        here = Lamps(horizon=3)
        here.reset(TASKS[1], seed=0)
        assert other.step("sing") == here.step("sing")


def test_a_limit_that_nothing_fits_into_is_an_error():
    with pool(Lamps, memory=1) as made, pytest.raises(ReflectError, match="does not fit"):
        made.environment()


# -- what environments raise, and what cannot be built --------------------------------------


@pytest.mark.parametrize("mishap", ["blow", "refuse"])
def test_what_an_environment_raises_reads_the_same(mishap, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    with pool(hazards(there, mishap, ["train-1"], times=99), workers=2) as made:
        played = play(made.environment)
        assert made.restarts == 0
    assert len(played.failures) == 2
    assert played == play(hazards(here, mishap, ["train-1"], times=99))


def test_what_is_raised_comes_with_the_workers_traceback(tmp_path):
    with pool(hazards(tmp_path, "blow", ["train-1"])) as made:
        one = made.environment()
        one.reset(TASKS[1], seed=0)
        one.step("sing")
        with pytest.raises(Exception, match="RuntimeError: a fuse blew") as raised:
            one.step("sing")
    assert any("hazards.py" in note for note in raised.value.__notes__)


class Locked(Lamps):
    """Tasks in a file that may not be read; the engine hides that behind an error of its own."""

    def tasks(self, split):
        try:
            raise PermissionError(errno.EACCES, "Permission denied", "/games/train")
        except OSError as error:
            raise RuntimeError("no games") from error


def test_what_the_system_refuses_in_a_worker_is_explained_as_here():
    told = explain(caught(lambda: Locked().tasks("train")))
    assert told is not None and "/games/train" in told.what
    with pool(Locked) as made:
        there = explain(caught(lambda: made.environment().tasks("train")))
    assert str(there) == str(told)


def caught(call):
    with pytest.raises(Exception) as raised:
        call()
    return raised.value


@pytest.mark.parametrize("timeout", [1e9, math.inf])
def test_a_limit_may_be_longer_than_a_system_can_wait(timeout):
    with pool(Lamps, timeout=timeout) as made:
        assert made.environment().reset(TASKS[0], seed=0) == Lamps().reset(TASKS[0], seed=0)


def test_what_does_not_pickle_is_an_error():
    with pytest.raises(ReflectError, match="cannot be sent to a worker"):
        pool(lambda: Lamps())


def test_a_process_that_cannot_start_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pool(Lamps) as made, pytest.raises(ReflectError, match="cannot be started") as raised:
        made.environment()
    assert "exited with code 1" in str(raised.value)


# -- nothing is left ------------------------------------------------------------------------


def test_closing_leaves_no_process_and_no_file(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    build = hazards(tmp_path, "litter", ["train-1"])
    with pool(build, workers=2) as made:
        play(made.environment)
        assert made.restarts == 1
        pids = made.processes
        assert len(pids) == 2
        assert list(scratch.iterdir())
    made.close()
    assert not list(scratch.iterdir())
    assert gone([*pids, int((tmp_path / "child").read_text())])


def test_an_exception_leaves_no_process(tmp_path):
    build = hazards(tmp_path, "stick", ["train-1"])
    with pytest.raises(KeyboardInterrupt), pool(build) as made:
        one = made.environment()
        one.reset(TASKS[1], seed=0)
        one.step("sing")
        one.begin_step("sing")  # the process is stuck in it
        pids = made.processes
        raise KeyboardInterrupt
    assert pids
    assert gone(pids)


PARENT = """
import sys, threading
from pathlib import Path
from hazards import Hazards
from reflect_core.workers import WorkerPool
import functools

build = functools.partial(Hazards, Path(sys.argv[1]), {"train-1": sys.argv[2]})
made = WorkerPool(build, workers=2, timeout=float(sys.argv[3]))
one = made.environment()
one.reset(one.tasks("train")[1], seed=0)
one.step("sing")
one.begin_step("sing")
print(*made.processes, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("mishap", ["chat", "hang", "stick"])
def test_a_run_that_is_killed_leaves_no_process(mishap, tmp_path):
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    with subprocess.Popen(
        # where even the thread that reads is stuck, only the worker's own alarm is left
        [sys.executable, "-c", PARENT, tmp_path, mishap, "1" if mishap == "stick" else "60"],
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        pids = [int(pid) for pid in run.stdout.readline().split()]
        run.kill()
    assert len(pids) == 2
    assert gone(pids)
    if mishap != "stick":  # nothing of that one runs any more that could tidy up
        assert not list(tmp_path.glob("reflect-worker-*"))


def test_what_an_engine_prints_is_not_in_the_runs_output(tmp_path, capfd):
    with pool(hazards(tmp_path, "chat", ["train-1"])) as made:
        one = made.environment()
        one.reset(TASKS[1], seed=0)
        one.step("sing")
        one.step("sing")
    written = capfd.readouterr()
    assert written.out == ""
    assert written.err == "lit!\n"


# -- a run ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The plugins, with one more that workers find as well."""
    site = tmp_path_factory.mktemp("site")
    folder = site / "faulty-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[reflect]\nfaulty = hazards\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield load(disabled=())


@attrs.frozen
class Runs:
    """The same run in this process, with one worker, and with two that crash at every task."""

    here: Path
    one: Path
    two: Path
    left: list[psutil.Process]


@pytest.fixture(scope="module")
def runs(installed, model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    before = psutil.Process().children()

    def run(name, workers, crash=(), stages=STAGES):
        mishaps = folder / f"{name}-mishaps"
        mishaps.mkdir()
        env = Part("faulty", FaultyConfig(folder=str(mishaps), crash=crash))
        made = toy_settings(model_folder("lfm2"), rollout={"workers": workers})
        execute(folder / name, attrs.evolve(made, env=env), stages, installed, QuietProgress())
        return folder / name

    return Runs(
        run("here", 0, stages=["teach"]),
        run("one", 1),
        run("two", 2, crash=("train-0", "train-3", "test-1")),
        [process for process in psutil.Process().children() if process not in before],
    )


@pytest.mark.slow
def test_a_run_is_the_same_with_any_number_of_workers_whatever_happens(runs):
    for name in ("metrics.jsonl", "policy/model.safetensors", "data/examples.jsonl"):
        assert (runs.one / name).read_bytes() == (runs.two / name).read_bytes(), name
    one, two = (json.loads((run / "evaluation.json").read_text()) for run in (runs.one, runs.two))
    assert one["rows"] == two["rows"]
    assert not runs.left


@pytest.mark.slow
def test_workers_teach_what_this_process_would(runs):
    here, one = (run / "data" / "examples.jsonl" for run in (runs.here, runs.one))
    assert here.read_bytes() == one.read_bytes()


@pytest.mark.slow
def test_the_time_that_models_waited_is_beside_the_wall_times(runs):
    lines = (runs.two / "timings.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["stage"] == "train"]
    assert len(rows) == 6  # three iterations, three validations
    for row in rows:
        assert isinstance(row["waited"], float)
        assert ("collect_seconds" in row) != ("valid_seconds" in row)
    restarts = [row["worker_restarts"] for row in rows]
    assert restarts == sorted(restarts)
    assert restarts[-1] == len(list(runs.two.with_name("two-mishaps").iterdir())) > 1
    # costs add up what ends in "seconds"; this is a part of them already
    assert not [name for row in rows for name in row if "wait" in name and "second" in name]


def test_no_worker_imports_what_models_need(installed, tmp_path, model_folder):
    env = Part("faulty", FaultyConfig(curious=True))
    made = attrs.evolve(toy_settings(model_folder("lfm2"), rollout={"workers": 1}), env=env)
    session = Session(RunFolder(tmp_path / "run"), made, installed, QuietProgress())
    with contextlib.closing(session):
        assert [task.text for task in session.tasks("train")] == [""]
        pids = session.workers.processes
    assert "torch" in sys.modules
    assert gone(pids)


def test_an_environment_that_is_not_installed_is_named():
    build = Registered("fliesys", None, EnvironmentContext(0))
    with pool(build) as made, pytest.raises(ReflectError, match="no environment is called"):
        made.environment()


def test_an_expert_that_has_given_up_in_a_worker_has_given_up_here():
    failure = pickle.loads(pickle.dumps(Failure.of(NoAdvice("lost", why="no plan"))))
    with pytest.raises(NoAdvice, match="lost\n  because: no plan"):
        raise failure.error()
