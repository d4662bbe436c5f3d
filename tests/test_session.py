"""What a session tells the parts of a run, and what it finds wrong before anything is taught."""

import gc
import json
import shutil
import weakref

import attrs
import pytest
from toy import lamps_registry, settings

from reflect_core import Choice, NoConfig, PolicySpec, ReflectorSpec
from reflect_core.errors import ConfigError, ModelError, PluginError, ReflectError
from reflect_core.lm.policy import LmPolicy
from reflect_core.plugins import Offer
from reflect_core.progress import QuietProgress
from reflect_core.run import STAGES, execute, run_stage
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.settings import Part
from reflect_core.teach import read_examples
from reflect_core.testing.lamps import Lamps


def run(folder, made, stages=STAGES, registry=None):
    execute(folder, made, stages, registry or lamps_registry(), QuietProgress())


@pytest.fixture(scope="module")
def made(model_folder):
    return settings(model_folder("lfm2"))


def test_a_session_that_nobody_holds_is_gone(made, tmp_path):
    session = Session(RunFolder(tmp_path), made, lamps_registry(), QuietProgress())
    assert session.tasks("train") is session.tasks("train"), "listed once"
    held = weakref.ref(session)
    del session
    gc.collect()
    assert held() is None


def test_rl_plays_the_train_tasks_that_were_not_taught(made, tmp_path):
    teaching = attrs.evolve(made.teach, share=0.5)
    session = Session(
        RunFolder(tmp_path), attrs.evolve(made, teach=teaching), lamps_registry(), QuietProgress()
    )
    shown, left = session.divided
    assert session.left_to_rl("train") == left
    assert session.left_to_rl("valid") == session.tasks("valid")
    assert {t.task_id for t in shown} | {t.task_id for t in left} == {
        t.task_id for t in session.tasks("train")
    }
    run_stage(session, "teach")
    taught = {example.state.task for example in read_examples(session.folder.examples)}
    assert taught == set(shown)
    assigned = session.curriculum().assign(len(session.tasks("train")), iteration=0)
    assert {each.task for each in assigned} == set(left)


@pytest.mark.parametrize("rollout", [{"name_actions": False}, {"reflect_probability": 0.0}])
def test_in_a_run_the_policy_reads_what_the_options_leave(model_folder, tmp_path, rollout):
    made = settings(
        model_folder("lfm2"), policy="follow", reflector="expert", eval={"episodes": 40},
        rollout=rollout,
    )  # fmt: skip
    run(tmp_path / "r", made, ["eval"])
    played = json.loads((tmp_path / "r" / "evaluation.json").read_text())["rows"]
    followed = next(row["episodes"] for row in played if row["name"] == "follow")
    solved = sum(each["success"] for each in followed)
    assert solved < 20  # all, were the actions told


def test_parts_are_told_where_the_runs_of_a_study_share_what_they_may(made, tmp_path):
    arm = tmp_path / "study" / "seed-0" / "arm"
    arm.mkdir(parents=True)
    (tmp_path / "study" / "study.toml").touch()
    session = Session(RunFolder(arm), made, lamps_registry(), QuietProgress())
    context = session.context()
    assert context.folder == arm
    assert context.shared_folder == (tmp_path / "study").resolve()


def test_the_limits_of_workers_are_the_runs(made, tmp_path):
    limits = {"workers": 1, "worker_timeout": 33.0, "worker_memory": 4321.0}
    wanted = attrs.evolve(made, rollout=attrs.evolve(made.rollout, **limits))
    asked = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reflect_core.session.WorkerPool", lambda build, **more: asked.update(more))
        session = Session(RunFolder(tmp_path), wanted, lamps_registry(), QuietProgress())
        _ = session.workers
    assert asked == {"workers": 1, "timeout": 33.0, "memory": 4321.0, "name": "lamps"}


def test_where_nothing_is_taught_rl_plays_all_train_tasks(made, tmp_path):
    untaught = attrs.evolve(made, teach=attrs.evolve(made.teach, episodes=0))
    session = Session(RunFolder(tmp_path), untaught, lamps_registry(), QuietProgress())
    assert session.left_to_rl("train") == session.tasks("train")


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_split_that_will_be_needed_is_missed_before_anything_is_taught(made, tmp_path, split):
    class Partial(Lamps):
        def tasks(self, asked):
            if asked == split:
                raise ReflectError(f"no {split} tasks are here")
            return super().tasks(asked)

    with pytest.raises(ReflectError, match=f"no {split} tasks"):
        run(tmp_path / "r", made, registry=lamps_registry(make=Partial))
    assert not (tmp_path / "r" / "data").exists()


def test_there_must_be_test_tasks_and_need_be_no_valid_ones(made, tmp_path):
    def registry(split):
        class Partial(Lamps):
            def tasks(self, asked):
                return [] if asked == split else super().tasks(asked)

        return lamps_registry(make=Partial)

    with pytest.raises(ReflectError, match="no test tasks") as caught:
        run(tmp_path / "r", made, registry=registry("test"))
    assert caught.value.then
    assert not (tmp_path / "r" / "data").exists()
    run(tmp_path / "s", made, ["teach", "sft", "train"], registry("valid"))
    assert (tmp_path / "s" / "policy").exists()


def test_a_row_that_there_will_not_be_is_told_before_anything_is_taught(model_folder, tmp_path):
    base = settings(model_folder("lfm2"))
    untaught = attrs.evolve(base, teach=attrs.evolve(base.teach, episodes=0))
    unplayed = attrs.evolve(base, train=attrs.evolve(base.train, iterations=0))
    for made, row in (
        (base, "trianed"), (base, "untuned"), (untaught, "warmup"), (unplayed, "trained"),
    ):  # fmt: skip
        wanted = attrs.evolve(made, eval=attrs.evolve(made.eval, players=(row,)))
        with pytest.raises(ReflectError, match=f"will have no row '{row}'") as caught:
            run(tmp_path / row, wanted)
        assert not (tmp_path / row / "data").exists()
        assert row != "trianed" or "did you mean: trained" in caught.value.details


def test_a_baseline_that_is_no_policy_is_told_before_anything_is_taught(made, tmp_path):
    with pytest.raises(PluginError, match="no policy is called 'most-lit'"):
        run(tmp_path / "r", made, registry=lamps_registry(baselines=["most-lit"]))
    assert not (tmp_path / "r" / "data").exists()


def test_a_policy_that_would_be_greedy_while_it_learns_is_refused(model_folder, tmp_path):
    made = settings(model_folder("lfm2"), rollout={"temperature": 0.0})
    with pytest.raises(ReflectError, match="leaves nothing to learn from"):
        run(tmp_path / "r", made)
    assert not (tmp_path / "r" / "data").exists()


class Mine:
    """A policy that is trained in a way of its own: it keeps the protocol and has no model."""

    def act(self, states, reflections, draws, *, greedy):
        return [Choice(index=0, logprob=0.0) for _ in states]

    def fit(self, examples, *, reflect, progress):
        return []

    def save(self, folder):
        folder.mkdir()

    def load(self, folder):
        pass

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def registry_with(kind, name, **more):
    """The toy registry and a part that an object of this class stands for."""
    kinds = {"policies": PolicySpec, "reflectors": ReflectorSpec}
    registry = lamps_registry()
    spec = kinds[kind](name=name, **more)
    offers = {**getattr(registry, kind), name: Offer(spec, "mine", "mine", "1")}
    return attrs.evolve(registry, **{kind: offers})


def test_a_trainer_that_cannot_update_the_policy_is_told_before_anything_is_taught(made, tmp_path):
    wanted = attrs.evolve(made, policy=Part("mine", NoConfig()))
    registry = registry_with(
        "policies", "mine", factory=lambda config, context: Mine(), trainable=True
    )
    with pytest.raises(ConfigError, match="'ppo' cannot update the policy 'mine'"):
        run(tmp_path / "r", wanted, registry=registry)
    assert not (tmp_path / "r" / "data").exists()
    session = Session(RunFolder(tmp_path / "r"), wanted, registry, QuietProgress())
    context = session.context(session.policy)
    with pytest.raises(ConfigError, match="'ppo' cannot update the policy 'mine'"):
        session.trainer_spec.factory(wanted.trainer.options, context)


def test_a_policy_derived_of_lm_is_updated(made, tmp_path):
    class Derived(LmPolicy):
        pass

    def make(config, context):
        return Derived(context.models, context.settings, critic=context.critic)

    wanted = attrs.evolve(made, policy=Part("derived", NoConfig()))
    registry = registry_with("policies", "derived", factory=make, trainable=True)
    run(tmp_path / "r", wanted, ["teach", "sft", "train"], registry)
    assert (tmp_path / "r" / "policy").exists()


@pytest.mark.parametrize(
    ("kind", "flags", "lacks"),
    [
        ("policies", {"trainable": True}, "fit, save, load, state_dict, load_state_dict"),
        ("policies", {}, "act"),
        ("reflectors", {"trainable": True}, "fit, save, load"),
        ("reflectors", {}, "reflect"),
        ("teachers", {"teaches": True}, "advise"),
    ],
)
def test_a_part_that_lacks_what_its_spec_says_is_told_and_no_traceback(
    made, tmp_path, kind, flags, lacks
):
    class Plain:
        def act(self, states, reflections, draws, *, greedy):
            raise AssertionError("it is never asked")

        reflect = act

    part = Plain() if flags else object()
    where = "policies" if kind == "policies" else "reflectors"
    section = {"policies": "policy", "reflectors": "reflector", "teachers": "teacher"}[kind]
    registry = registry_with(where, "plain", factory=lambda config, context: part, **flags)
    wanted = attrs.evolve(made, **{section: Part("plain", NoConfig())})
    with pytest.raises(PluginError) as caught:
        run(tmp_path / "r", wanted, registry=registry)
    assert caught.value.what == f"'plain' has no method {lacks}"


@pytest.mark.parametrize(("baseline", "compared"), [("loo", 2), ("mean", 1)])
def test_the_alarm_of_like_returns_goes_by_what_the_trainer_compares(
    model_folder, tmp_path, monkeypatch, baseline, compared
):
    seen = []
    monkeypatch.setattr(
        "reflect_core.loop.watch", lambda *_, compared, **more: seen.append(compared)
    )
    made = settings(
        model_folder("lfm2"), trainer=("reinforce", {"baseline": baseline, "group_size": 2}),
        train={"iterations": 1, "episodes": 4}, teach={"episodes": 0},
    )  # fmt: skip
    run(tmp_path / "r", made, ["train"])
    assert seen == [compared]


@pytest.mark.parametrize("damage", ["half", "no object", "another size"])
def test_a_damaged_model_is_told(model_folder, tmp_path, damage):
    folder = tmp_path / "model"
    shutil.copytree(model_folder("lfm2"), folder)
    weights, described = folder / "model.safetensors", folder / "config.json"
    if damage == "half":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "no object":
        described.write_text("[]")
    else:
        told = json.loads(described.read_text())
        described.write_text(json.dumps({**told, "vocab_size": told["vocab_size"] + 8}))
    with pytest.raises(ModelError, match="could not be loaded"):
        run(tmp_path / "r", settings(folder))


@pytest.mark.parametrize("reflector", ["local", "none"])
def test_a_model_that_is_not_there_is_told_before_anything_is_taught(tmp_path, reflector):
    made = settings(tmp_path / "nope", reflector=reflector)
    with pytest.raises(ModelError, match="there is no such folder"):
        run(tmp_path / "r", made)
    assert not (tmp_path / "r" / "data").exists()
    run(tmp_path / "t", made, ["teach"])  # which needs none
