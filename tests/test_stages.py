"""The stages of a run: what is done is not done again, and what each leaves behind."""

import json
import math
import shutil
from pathlib import Path

import attrs
import pytest
from toy import lamps_registry, settings

from reflect_core import checkpoint
from reflect_core.alarms import Alarms
from reflect_core.baselines import RandomPolicy, SilentReflector
from reflect_core.errors import CheckpointError, NonFiniteLoss, ReflectError
from reflect_core.evaluation import Contestant, evaluate
from reflect_core.progress import QuietProgress
from reflect_core.rollout import Collector, evaluation_episodes
from reflect_core.run import STAGES, execute
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.stats import wilson
from reflect_core.testing.lamps import Lamps

PPO = {
    "policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "kl_to_warmup",
    "explained_variance", "grad_norm", "first_ratio_error", "optimizer_steps",
}  # fmt: skip
PLAYED = {
    "stage", "iteration", "episodes", "success_rate", "mean_return", "mean_turns", "alarms",
}  # fmt: skip
TOKENS = {"tokens_read", "tokens_learnt"}
KEYS = {
    "teach": {"stage", "episodes", "positive_examples", "negative_examples", "unsolved",
              "without_negative", "unanswered", "failed_episodes", "alarms"},
    "sft": {"stage", "player", "update", "loss", "tokens_learnt", "alarms"},
    "valid": PLAYED | TOKENS | {"failed_episodes"},
    "eval": {"stage", "split", "alarms"},
    "train": PLAYED | TOKENS | PPO | {"failed_episodes", "truncated_prompts"},
}  # fmt: skip


def run(folder, made, stages=STAGES, registry=None):
    progress = QuietProgress()
    execute(folder, made, stages, registry or lamps_registry(), progress)
    return progress


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def evaluation(folder, split=None):
    return json.loads((folder / f"evaluation{'-' + split if split else ''}.json").read_text())


def table(folder):
    return {(row["name"], row["decoding"]): row["episodes"] for row in evaluation(folder)["rows"]}


def content(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def made(model_folder):
    return settings(model_folder("lfm2"))


@pytest.fixture(scope="module")
def _done(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "done"
    run(folder, made)
    return folder


@pytest.fixture
def done(_done, tmp_path):
    """A copy of a finished run."""
    return Path(shutil.copytree(_done, tmp_path / "run"))


def test_a_run_leaves_everything_in_its_folder(done):
    names = {path.name for path in done.iterdir()}
    assert {"data", "reflector", "warmup", "policy", "checkpoints", "metrics.jsonl",
            "timings.jsonl", "stages.json", "evaluation.json", "report.html"} <= names  # fmt: skip
    assert not [name for name in names if name.startswith(".")]


def test_what_is_logged_has_the_keys_that_are_promised(done):
    kinds = [row["stage"] for row in rows(done)]
    assert kinds == [
        "teach", "sft", "sft", "valid", "train", "train", "valid", "train", "valid", "eval",
    ]  # fmt: skip
    for row in rows(done):
        assert set(row) == KEYS[row["stage"]]
        assert all(math.isfinite(v) for v in row.values() if isinstance(v, int | float))
    assert [row["player"] for row in rows(done) if row["stage"] == "sft"] == ["reflector", "policy"]
    assert [row["iteration"] for row in rows(done) if row["stage"] == "train"] == [1, 2, 3]
    assert [row["iteration"] for row in rows(done) if row["stage"] == "valid"] == [0, 2, 3]
    timings = [json.loads(line) for line in (done / "timings.jsonl").read_text().splitlines()]
    assert {row["stage"] for row in timings} >= {
        "teach", "sft reflector", "sft policy", "train", "eval",
    }  # fmt: skip


def test_what_is_done_is_not_done_again(done, made):
    before = content(done)
    run(done, made, STAGES[:-1])
    assert content(done) == before


def test_one_stage_at_a_time_is_the_same_as_all_at_once(done, made, tmp_path):
    for stage in STAGES:
        run(tmp_path / "steps", made, [stage])
    for name in ("metrics.jsonl", "evaluation.json"):
        assert (tmp_path / "steps" / name).read_bytes() == (done / name).read_bytes()


def test_a_result_says_what_its_environment_was(done):
    told = evaluation(done)["environment"]
    assert told["name"] == "lamps"
    assert told["summary"] == Lamps().summary()


def test_every_row_plays_the_same_tasks(done, made):
    played = table(done)
    assert set(played) == {
        ("random", "-"), ("warmup", "sampled"), ("warmup", "argmax"), ("trained", "sampled"),
        ("trained", "argmax"),
    }  # fmt: skip
    for episodes in played.values():
        # all of them, in the order of the first row
        assert [e["task_id"] for e in episodes] == [e["task_id"] for e in played["random", "-"]]
        assert len({e["task_id"] for e in episodes}) == 6
        assert [e["episode"] for e in episodes] == list(range(6))
        assert all(e["turns"] == 2 and 0 <= e["return"] <= 1 for e in episodes)


def test_an_evaluation_repeats_exactly(done, made):
    before = (done / "evaluation.json").read_bytes()
    (done / "evaluation.json").unlink()
    run(done, made, ["eval"])
    assert (done / "evaluation.json").read_bytes() == before


def test_the_environments_randomness_is_the_same_for_every_row(done, made):
    """With the expert's word to follow, a policy without a model wins them all."""
    follow = attrs.evolve(
        made,
        policy=attrs.evolve(made.policy, name="follow"),
        reflector=attrs.evolve(made.reflector, name="expert"),
    )
    run(done.parent / "follow", follow)
    played = table(done.parent / "follow")
    assert played["random", "-"] == table(done)["random", "-"]
    (own,) = [
        episodes for (name, how), episodes in played.items() if (name, how) == ("follow", "sampled")
    ]
    assert all(e["success"] and e["return"] == 1 for e in own)


def test_another_split_has_a_file_of_its_own(done, made):
    before = (done / "evaluation.json").read_bytes()
    run(done, attrs.evolve(made, eval=attrs.evolve(made.eval, split="valid")), ["eval"])
    assert (done / "evaluation.json").read_bytes() == before
    tasks = {e["task_id"] for row in evaluation(done, "valid")["rows"] for e in row["episodes"]}
    assert len(tasks) == 6
    assert all(task.startswith("valid-") for task in tasks)


def test_results_on_another_environment_never_stand_for_each_other(done, made):
    first = evaluation(done)
    registry = lamps_registry(horizon=3)  # an environment that has changed behind the run's back
    run(done, attrs.evolve(made, eval=attrs.evolve(made.eval, label="more")), ["eval"], registry)
    assert evaluation(done) == first
    assert evaluation(done, "more")["environment"] != first["environment"]
    run(done, made, ["eval"], registry)
    assert evaluation(done)["environment"] == evaluation(done, "more")["environment"]


def test_an_evaluation_that_is_played_in_another_way_is_played_anew(done, made):
    def label(**rollout):
        changed = attrs.evolve(made.rollout, **rollout)
        settings = attrs.evolve(made.eval, label="other")
        run(done, attrs.evolve(made, rollout=changed, eval=settings), ["eval"])
        return evaluation(done, "other")["rollout"]["history"]

    assert label(history=1) == 1
    assert label(history=0) == 0
    before = (done / "evaluation-other.json").stat().st_mtime_ns
    assert label(history=0, worker_timeout=7.0) == 0
    assert (done / "evaluation-other.json").stat().st_mtime_ns == before, "a neutral option"
    held = json.loads((done / "evaluation.json").read_text())
    del held["rollout"]  # as older versions wrote it
    (done / "evaluation.json").write_text(json.dumps(held))
    run(done, made, ["eval"])
    assert json.loads((done / "evaluation.json").read_text()) == held


@pytest.mark.parametrize("content", ["[]", "7"])
def test_what_is_no_evaluation_is_not_taken_for_one(done, made, content):
    (done / "evaluation.json").write_text(content)
    with pytest.raises(CheckpointError, match="is not an evaluation"):
        run(done, made, ["eval"])
    assert (done / "evaluation.json").read_text() == content


def unfinished(folder):
    """Forget that a run's RL, and what came after it, ended."""
    stages = json.loads((folder / "stages.json").read_text())
    del stages["train"], stages["eval"]
    (folder / "stages.json").write_text(json.dumps(stages))


def test_a_checkpoint_of_another_run_is_refused_and_nothing_is_lost(done, made, tmp_path):
    other = tmp_path / "other"
    run(other, attrs.evolve(made, seed=1), ["teach", "sft", "train"])
    shutil.rmtree(done / "checkpoints")
    shutil.copytree(other / "checkpoints", done / "checkpoints")
    unfinished(done)
    before = content(done)
    with pytest.raises(CheckpointError, match="is not the one that the checkpoint") as caught:
        run(done, made, ["train"])
    assert caught.value.then
    assert content(done) == before


def test_a_run_says_where_its_tasks_have_changed(done, made):
    unfinished(done)
    told = run(done, made, ["train"], lamps_registry(tasks=7)).warnings
    assert any("tasks are not those" in word for word in told)


def test_other_evaluation_settings_evaluate_anew(done, made):
    more = attrs.evolve(made, eval=attrs.evolve(made.eval, episodes=11, decoding="argmax"))
    run(done, more, ["eval"])
    played = table(done)
    assert {how for _, how in played} == {"-", "argmax"}
    assert all(len(episodes) == 11 for episodes in played.values())


def test_an_evaluation_before_training_does_not_stand_for_one_after_it(made, tmp_path):
    run(tmp_path / "r", made, ["teach", "sft", "eval"])
    assert ("trained", "argmax") not in table(tmp_path / "r")
    run(tmp_path / "r", made, ["train", "eval"])
    assert ("trained", "argmax") in table(tmp_path / "r")


def test_each_row_is_played_with_the_weights_that_it_is_named_after(done, made, monkeypatch):
    taken, take_up = [], Session.take_up

    def noted(self, folder):
        taken.append(folder.name)
        take_up(self, folder)

    monkeypatch.setattr(Session, "take_up", noted)
    labelled = attrs.evolve(made, eval=attrs.evolve(made.eval, label="seen"))
    run(done, labelled, ["eval"])
    assert taken == ["warmup", "policy"]
    found = json.loads((done / "evaluation-seen.json").read_text())["rows"]
    assert list(dict.fromkeys(row["name"] for row in found)) == ["random", "warmup", "trained"]


def test_only_the_rows_that_are_named_are_played_and_they_must_be_there(done, made):
    def chosen(*names):
        return attrs.evolve(made, eval=attrs.evolve(made.eval, players=names))

    run(done, chosen("trained", "random"), ["eval"])
    assert {name for name, _ in table(done)} == {"random", "trained"}
    with pytest.raises(ReflectError, match="no row 'traned'") as caught:
        run(done, chosen("traned"), ["eval"])
    assert any("trained" in line for line in caught.value.details)


def test_an_evaluation_beside_the_runs_own_leaves_no_trace_in_it(done, made):
    unfinished(done)
    stages = json.loads((done / "stages.json").read_text())
    before = (done / "metrics.jsonl").read_bytes()
    beside = attrs.evolve(made, eval=attrs.evolve(made.eval, label="x"))
    execute(done, beside, ["eval"], lamps_registry(), QuietProgress(), beside=True)
    assert (done / "evaluation-x.json").exists()
    assert json.loads((done / "stages.json").read_text()) == stages
    assert (done / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("policy", "reflector"),
    [("random", "none"), ("random", "expert"), ("follow", "none"), ("follow", "expert"),
     ("expert", "none"), ("follow", "local"), ("lm", "none"), ("lm", "expert")],
)  # fmt: skip
def test_players_of_every_kind_go_through_all_stages(model_folder, tmp_path, policy, reflector):
    made = settings(model_folder("lfm2"), policy=policy, reflector=reflector,
                    train={"iterations": 1, "episodes": 4, "valid_episodes": 2})  # fmt: skip
    run(tmp_path / "r", made)
    played = table(tmp_path / "r")
    keys = [(row["name"], row["decoding"]) for row in evaluation(tmp_path / "r")["rows"]]
    assert len(keys) == len(set(keys))
    assert all(len(episodes) == 6 for episodes in played.values())
    assert (tmp_path / "r" / "reflector").exists() == (reflector == "local")
    assert (tmp_path / "r" / "policy").exists() == (policy == "lm")
    if policy == "expert" or (policy, reflector) == ("follow", "expert"):
        own = next(episodes for (name, _), episodes in played.items() if name == policy)
        assert all(e["success"] for e in own)
    if reflector == "none" and policy == "lm":
        assert {row["player"] for row in rows(tmp_path / "r") if row["stage"] == "sft"} == {
            "policy"
        }


@pytest.mark.parametrize(("trainer", "critic"), [("ppo", True), ("grpo", False)])
def test_a_policy_has_a_critic_where_its_trainer_needs_one(model_folder, tmp_path, trainer, critic):
    train = {"iterations": 1, "episodes": 8}
    made = settings(model_folder("lfm2"), trainer=trainer, train=train)
    session = Session(RunFolder(tmp_path / "r"), made, lamps_registry(), QuietProgress())
    assert (session.policy.module.value_head is not None) == critic
    run(tmp_path / "r", made)
    assert (tmp_path / "r" / "policy" / "value_head.safetensors").exists() == critic


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_without_a_warm_up_training_begins_with_the_bare_model(model_folder, tmp_path, tuning):
    made = settings(model_folder("llama"), tuning, teach={"episodes": 0}, train={"iterations": 1})
    run(tmp_path / "r", made)
    assert {name for name, _ in table(tmp_path / "r")} == {"random", "trained"}
    assert not (tmp_path / "r" / "warmup").exists()


def test_a_run_repeats_within_one_process_too(model_folder, tmp_path):
    made = settings(model_folder("llama"), "lora", train={"iterations": 2})
    for name in ("a", "b"):
        run(tmp_path / name, made)
    assert (tmp_path / "a" / "metrics.jsonl").read_bytes() == (
        tmp_path / "b" / "metrics.jsonl"
    ).read_bytes()
    other = attrs.evolve(made, seed=1)
    run(tmp_path / "c", other, ["teach", "sft", "train"])
    assert rows(tmp_path / "c") != rows(tmp_path / "a")


def test_before_any_tuning_the_bare_model_is_evaluated(made, tmp_path):
    run(tmp_path / "r", made, ["eval"])
    assert {name for name, _ in table(tmp_path / "r")} == {"random", "untuned"}


def test_there_must_be_something_to_evaluate_on(made, tmp_path):
    with pytest.raises(ReflectError, match="no test tasks") as caught:
        run(tmp_path / "r", made, ["eval"], lamps_registry(tasks=0))
    assert caught.value.then


@pytest.mark.parametrize("player", ["warmup", "policy", "reflector"])
def test_a_player_that_has_learnt_and_is_gone_is_missed(done, made, player):
    shutil.rmtree(done / player)
    (done / "evaluation.json").unlink()
    with pytest.raises(CheckpointError, match="has lost its") as caught:
        run(done, made, ["eval"])
    assert str(done / player) in str(caught.value)
    assert not (done / "evaluation.json").exists()


def test_rl_does_not_come_before_the_warm_up(done, made, tmp_path):
    folder = tmp_path / "early"
    run(folder, made, ["teach"])
    for half in ({}, {"sft reflector": {}}):
        stages = json.loads((folder / "stages.json").read_text())
        (folder / "stages.json").write_text(json.dumps({**stages, **half}))
        with pytest.raises(ReflectError, match="no finished warm-up") as caught:
            run(folder, made, ["train"])
        assert f"reflect sft {folder}" in str(caught.value)
    assert not (folder / "checkpoints").exists()


def test_an_evaluation_before_the_warm_up_leaves_no_trace(model_folder, tmp_path):
    made = settings(model_folder("lfm2"), train={"iterations": 0})
    folder = tmp_path / "early"
    run(folder, made, ["teach", "eval"])
    run(folder, made)
    whole = tmp_path / "whole"
    run(whole, made)
    assert (folder / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    assert ("warmup", "argmax") in table(folder)


def test_a_damaged_warm_up_stops_the_run_in_plain_words(done, made):
    (done / "warmup" / "model.safetensors").write_bytes(b"nonsense")
    (done / "evaluation.json").unlink()
    with pytest.raises(CheckpointError, match="could not be read"):
        run(done, made, ["eval"])


def test_failing_episodes_are_dropped_counted_and_in_the_end_too_many(model_folder, tmp_path):
    made = settings(model_folder("lfm2"), policy="random", reflector="none",
                    rollout={"failed_episodes": 0.2, "num_envs": 4})  # fmt: skip
    run(tmp_path / "whole", made, ["eval"])
    planned = [e["task_id"] for e in evaluation(tmp_path / "whole")["rows"][0]["episodes"]]
    broken = lamps_registry(fail_on=planned[3:4])
    run(tmp_path / "r", made, ["eval"], broken)
    row = evaluation(tmp_path / "r")["rows"][0]
    assert row["failed_episodes"] == 1
    assert evaluation(tmp_path / "r")["alarms"]["failed_episodes"] == 1
    assert [e["task_id"] for e in row["episodes"]] == planned[:3] + planned[4:]
    with pytest.raises(ReflectError, match="episodes failed"):
        run(tmp_path / "s", made, ["eval"], lamps_registry(fail_on=planned[3:5]))


def test_random_is_near_its_own_chance(model_folder, tmp_path):
    made = settings(model_folder("lfm2"), policy="random", reflector="none", eval={"episodes": 400})
    run(tmp_path / "r", made, ["eval"])
    won = sum(e["success"] for e in table(tmp_path / "r")["random", "-"])
    interval = wilson(won, 400)
    assert interval.low < 1 / 16 < interval.high


def test_argmax_rows_are_played_greedily_and_each_row_once():
    asked = []

    class Watched(RandomPolicy):
        def act(self, states, reflections, draws, *, greedy):
            asked.append(greedy)
            return super().act(states, reflections, draws, greedy=greedy)

    def make():
        return Collector(Lamps, SilentReflector(), Watched(), seed=0, num_envs=9)

    def play(decoding, **options):
        asked.clear()
        episodes = evaluation_episodes(Lamps().tasks("test"), 4, seed=0, stage="full")
        found = evaluate(
            [Contestant("own", "own", make, **options)], episodes, decoding=decoding,
            failed_episodes=0, progress=lambda name, done: None, alarms=Alarms(),
        )  # fmt: skip
        return [row["decoding"] for row in found], list(asked)

    assert play("both") == (["sampled", "argmax"], [False, False, True, True])
    assert play("argmax") == (["argmax"], [True, True])
    assert play("sampled") == (["sampled"], [False, False])
    assert play("both", decodes=False) == (["-"], [False, False])


class Dark(Lamps):
    """Lamps whose second iteration pays in something that is no number."""

    def __init__(self):
        super().__init__()
        self.played = 0

    def step(self, action):
        self.played += self.turn == 0 and self.task.split == "train"
        step = super().step(action)
        return attrs.evolve(step, reward=math.nan) if self.played > 2 else step


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_good(made, tmp_path):
    registry = lamps_registry(make=Dark)
    with pytest.raises(NonFiniteLoss) as caught:
        run(tmp_path / "r", made, registry=registry)
    assert caught.value.why
    assert caught.value.then
    # six episodes on four environments: the first iteration goes well
    (failed,) = (tmp_path / "r").glob("failed-*.json")
    batch = json.loads(failed.read_text())
    assert failed.name == "failed-000001.json"
    assert len(batch) == 6
    assert any("nan" in episode["rewards"] for episode in batch)
    assert checkpoint.load(tmp_path / "r" / "checkpoints" / "000001").iteration == 1
    assert [row["iteration"] for row in rows(tmp_path / "r") if row["stage"] == "train"] == [1]
    run(tmp_path / "r", made)  # the lamps are mended
    assert [row["iteration"] for row in rows(tmp_path / "r") if row["stage"] == "train"] == [
        1,
        2,
        3,
    ]
