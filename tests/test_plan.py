"""What a run would do, told before it does anything."""

import re

import attrs
import pytest
from toy import lamps_registry, settings

from reflect_core import config, plugins
from reflect_core.cli.app import main
from reflect_core.errors import EnvironmentFailure, ReflectError
from reflect_core.lm.meter import Meter, Reading
from reflect_core.lm.pool import ModelPool
from reflect_core.lm.size import parameters
from reflect_core.plan import describe
from reflect_core.progress import QuietProgress
from reflect_core.run import execute
from reflect_core.runfolder import RunFolder
from reflect_core.session import Session
from reflect_core.settings import ModelSettings, Part
from reflect_core.testing.lamps import Lamps


def plan(folder, made, registry=None):
    registry = registry or lamps_registry()
    return describe(Session(RunFolder(folder), made, registry, QuietProgress()))


@pytest.mark.parametrize("tuning", ["full", "lora"])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "lfm2"])
def test_the_size_is_that_of_the_model_that_would_be_loaded(model_folder, kind, tuning):
    made = ModelSettings(name=str(model_folder(kind)), tuning=tuning, lora_r=4)
    import torch

    pool = ModelPool(made, torch.device("cpu"))
    base, trained = parameters(made)
    assert base == pool.parameters
    assert trained == sum(p.numel() for p in pool.player("policy").trainable())


def test_a_model_that_is_not_here_has_no_size_and_is_not_fetched(tmp_path):
    assert parameters(ModelSettings(name="nobody/has-this")) is None


def test_the_plan_names_what_the_run_will_do(model_folder, tmp_path):
    made = settings(model_folder("lfm2"))
    told = dict(line.split(": ", 1) for line in plan(tmp_path, made) if ": " in line)
    assert {"model", "teach", "sft reflector", "sft policy", "train ppo", "eval"} <= set(told)
    assert told["sft reflector"].startswith("3 updates")
    assert told["train ppo"].startswith("3 iterations of 6 episodes, curriculum uniform")


def test_an_expert_that_a_run_does_not_need_may_have_nothing_to_say(model_folder, tmp_path):
    class Mute(Lamps):
        def expert_action(self):
            raise ReflectError("the game tells no way", then="teach.episodes=0")

    made = settings(model_folder("lfm2"))
    untaught = attrs.evolve(made, teach=attrs.evolve(made.teach, episodes=0))
    told = plan(tmp_path, untaught, lamps_registry(make=Mute))
    assert any(line.startswith("train ppo: 3 iterations") for line in told)
    followed = attrs.evolve(untaught, policy=Part("expert"), reflector=Part("none"))
    for needing in (made, followed):
        with pytest.raises(ReflectError, match="tells no way"):
            plan(tmp_path, needing, lamps_registry(make=Mute))


@pytest.mark.parametrize(("split", "method"), [("test", "step"), ("train", "reset")])
def test_a_plan_tells_of_episodes_that_fail(model_folder, tmp_path, split, method):
    broken = set()

    class Broken(Lamps):
        def reset(self, task, *, seed, stage=None):
            self.task = task
            self.fuse("reset")
            return super().reset(task, seed=seed, stage=stage)

        def step(self, action):
            self.fuse("step")
            return super().step(action)

        def fuse(self, where):
            if where == method and self.task.task_id in broken:
                raise RuntimeError("a fuse blew")

    made = settings(model_folder("lfm2"))
    whole = plan(tmp_path, made, lamps_registry(make=Broken))
    broken.add(f"{split}-1")
    warned = []
    progress = QuietProgress()
    progress.warn = warned.append
    session = Session(RunFolder(tmp_path), made, lamps_registry(make=Broken), progress)
    assert describe(session) == whole
    assert [f"{split}-1: RuntimeError: a fuse blew" in words for words in warned] == [True]
    broken |= {f"{split}-{i}" for i in range(8)}
    with pytest.raises(EnvironmentFailure, match="a fuse blew"):
        plan(tmp_path, made, lamps_registry(make=Broken))


def test_a_plan_tells_what_the_evaluation_lacks(model_folder, tmp_path):
    made = settings(model_folder("lfm2"))

    class Untested(Lamps):
        def tasks(self, split):
            return () if split == "test" else super().tasks(split)

    with pytest.raises(ReflectError, match="no test tasks"):
        plan(tmp_path, made, lamps_registry(make=Untested))
    misspelt = attrs.evolve(made, eval=attrs.evolve(made.eval, players=("trianed",)))
    with pytest.raises(ReflectError, match="no row 'trianed'"):
        plan(tmp_path, misspelt)


def test_estimates_are_near_what_the_run_then_counts(model_folder, tmp_path):
    made = settings(model_folder("lfm2"))
    told = dict(line.split(": ", 1) for line in plan(tmp_path / "p", made) if ": " in line)
    execute(tmp_path / "r", made, ["teach", "sft"], lamps_registry(), QuietProgress())
    import json

    rows = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").open()]
    for player in ("reflector", "policy"):
        learnt = [r["tokens_learnt"] for r in rows if r.get("player") == player][-1]
        number, unit = re.search(r"([\d.]+) ?([kM]?) tokens", told[f"sft {player}"]).groups()
        estimate = float(number) * {"": 1, "k": 1e3, "M": 1e6}[unit]
        assert 0.7 * learnt < estimate < 1.4 * learnt


@pytest.mark.parametrize("history", [0, -1])
def test_the_past_counts_in_a_prompt_where_it_is_shown(model_folder, tmp_path, history):
    made = settings(model_folder("lfm2"), rollout={"history": history})
    registry = lamps_registry(horizon=6)
    sized = plan(tmp_path, made, registry)[-1]
    tokens = int(re.search(r"policy (\d+) tokens", sized).group(1))
    assert (tokens > 90) == (history == -1), sized


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"trainer": "grpo"}, "groups of 8"), ({"curriculum": "staged"}, "stage")],
)
def test_mistakes_about_rl_are_found_before_the_warm_up(model_folder, tmp_path, wrong, told):
    made = settings(model_folder("lfm2"), **wrong)
    with pytest.raises(ReflectError, match=told):
        plan(tmp_path / "p", made)
    with pytest.raises(ReflectError, match=told):
        execute(tmp_path / "r", made, ["teach"], lamps_registry(), QuietProgress())
    assert not (tmp_path / "r" / "data").exists()


def test_what_an_endpoint_will_be_asked_is_told(model_folder, tmp_path):
    registry = lamps_registry()
    local = settings(model_folder("lfm2"))
    assert not [line for line in plan(tmp_path, local) if "requests" in line]
    asking = config.override(
        registry, local, ["reflector=openai", "reflector.model=m", "teacher=openai",
                          "teacher.model=m", "teach.negatives=1.5"]
    )  # fmt: skip
    told = dict(line.split(": ", 1) for line in plan(tmp_path, asking) if ": " in line)
    # lamps have two turns: 6 episodes, each with 1.5 negatives beside them
    assert re.search(r", 21 requests of [\d.]+ ?k? tokens in all$", told["teach"])
    # 3 iterations of 6 episodes, validations of 4 at iterations 0, 2 and 3
    assert re.search(rf", {2 * (3 * 6 + 3 * 4)} requests of ", told["train ppo"])
    assert re.search(rf", {2 * 2 * 2 * 6} requests of ", told["eval"])
    assert any("option budget" in line for line in plan(tmp_path, asking))


def test_the_parts_that_are_left_out_are_not_planned(model_folder, tmp_path):
    made = settings(model_folder("lfm2"), reflector="none", train={"iterations": 0})
    stages = [line.split(":")[0] for line in plan(tmp_path, made)][1:-1]
    assert stages == ["teach", "sft policy", "eval"]


def test_a_dry_run_prints_a_configuration_that_can_be_used(tmp_path, capsys):
    words = ["run", "--env", "filesys", "env.corpus=synthetic", "--dry-run"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "# teach: " in text and "1,248,576 parameters" in text
    (tmp_path / "again.toml").write_text(text)
    registry = plugins.load()
    assert config.resolve(registry, file=tmp_path / "again.toml") == config.resolve(
        registry, overrides=["env.corpus=synthetic"], flags={"env": "filesys"}
    )


def test_the_meter_counts_what_is_read_and_learnt_without_padding():
    import torch

    class Trunk(torch.nn.Module):
        def forward(self, input_ids, attention_mask=None):
            return input_ids

    meter, trunk = Meter(), Trunk()
    meter.watch(trunk)
    meter.watch(trunk)
    ids = torch.zeros(2, 3, dtype=torch.long)
    trunk(input_ids=ids, attention_mask=torch.tensor([[1, 1, 1], [1, 0, 0]]))
    with torch.no_grad():
        trunk(ids)
        # with a cache: one new token each, the mask is of all
        trunk(ids[:, :1], attention_mask=torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1]]))
    assert meter.reading() == Reading(read=8, learnt=4)
    assert meter.reading() - Reading(read=6) == Reading(2, 4)


@pytest.mark.parametrize("architecture", ["mamba", "falcon_h1"])
def test_a_model_that_cannot_be_tuned_so_is_no_traceback(model_folder, architecture):
    made = ModelSettings(name=str(model_folder(architecture)), tuning="lora")
    assert parameters(made) is None or len(parameters(made)) == 2
