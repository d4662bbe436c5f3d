"""Ablations: what arms share, in which order they run, and what the table says."""

import os
import signal
import subprocess
import sys

import attrs
import pytest
from studies import SHORT, arm, keys

from reflect_core import config, folders, plugins
from reflect_core.ablation.arms import REFERENCE, arms_of, choose, own_arm
from reflect_core.ablation.children import Children
from reflect_core.ablation.costs import seconds
from reflect_core.ablation.study import Study, default_jobs, needed_stages
from reflect_core.cli.app import main
from reflect_core.cli.stopping import Terminated, terminable
from reflect_core.errors import ConfigError, ReflectError
from reflect_core.progress import QuietProgress
from reflect_core.runfolder import RunFolder


def test_a_raised_budget_goes_to_arms_that_were_prepared(registry, base, tmp_path):
    def study(*words):
        made = config.override(registry, base, ["teacher=openai", "teacher.model=m", *words])
        return Study(tmp_path, registry, made, choose(arms_of(made), ["warmup"]), (0,), 1)

    first = study("teacher.budget=5")
    (job,) = [job for job in first._plan() if job.arm.name == "warmup"]
    first._prepare(job)
    study("teacher.budget=9")._renew(job)
    assert folders.open_run(job.folder, registry).teacher.options.budget == 9
    assert folders.open_run(job.folder, registry).train.iterations == 0
    with pytest.raises(ReflectError, match="begun with other settings"):
        study("teacher.budget=9", "sft.lr=0.5")._renew(job)


def test_an_arm_of_another_meaning_does_not_take_over_the_folder(registry, base, tmp_path):
    def study(words):
        mine = own_arm(f"mine={words}", base, registry, ())
        return Study(tmp_path, registry, base, (mine,), (0,), 1)

    (job,) = study("trainer=grpo train.episodes=8")._plan()
    study("trainer=grpo train.episodes=8")._prepare(job)
    study("trainer=grpo train.episodes=8 rollout.worker_timeout=9")._renew(
        attrs.evolve(job, arm=own_arm("mine=trainer=grpo train.episodes=8 "
                                      "rollout.worker_timeout=9", base, registry, ()))
    )  # fmt: skip
    assert folders.open_run(job.folder, registry).rollout.worker_timeout == 9
    other = own_arm("mine=trainer=reinforce train.episodes=8", base, registry, ())
    with pytest.raises(ReflectError, match="begun with other settings"):
        study("trainer=reinforce train.episodes=8")._renew(attrs.evolve(job, arm=other))


def test_an_arm_of_ones_own_is_a_name_and_settings(registry, base):
    made = own_arm("grpo=trainer=grpo 'teach.stages=all'", base, registry, {"random"})
    assert made.title == "grpo: trainer=grpo teach.stages=all"
    assert (made.name, made.overrides, made.row) == (
        "grpo", ("trainer=grpo", "teach.stages=all"), "trained",
    )  # fmt: skip
    assert own_arm("s=train.iterations=0", base, registry, ()).row == "warmup"
    assert own_arm("f=policy=follow", base, registry, ()).row == "follow"
    known = arms_of(base, more=[made])
    assert [each.name for each in known][-2:] == ["grpo", REFERENCE]
    chosen = [each.name for each in choose(known, ["warmup"], always=["grpo"])]
    assert chosen == ["warmup", "grpo", REFERENCE]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("random=trainer=grpo", "another one is"),
        ("Two words=trainer=grpo", "small letters"),
        ("mine=", "changes nothing"),
        ("mine", "changes nothing"),
        ("mine=trainr=grpo", "trainer"),
        ("mine=trainer.lr=fast", "trainer.lr"),
        ("mine=root='a", "closing quotation"),
        ("mine=seed=7", "--seeds 0,1,2"),
        ("mine=seed=0", "--seeds 0,1,2"),
        ("mine=trainer=grpo eval.players=random", "how it is evaluated"),
        ("mine=trainer=grpo eval.episodes=7", "how it is evaluated"),
        ("mine=eval.split=valid", "how it is evaluated"),
    ],
)
def test_an_arm_that_is_none_is_refused(registry, base, text, told):
    with pytest.raises(ConfigError) as caught:
        own_arm(text, base, registry, {"random"})
    assert told in str(caught.value)


def test_the_curriculum_is_added_where_there_is_none_and_taken_away_where_there_is(registry, base):
    assert arm(base, "depth").overrides == ("curriculum=depth",)
    curved = config.override(registry, base, ["curriculum=depth"])
    assert arm(curved, "no-curriculum").overrides == ("curriculum=uniform",)
    flat = [each.name for each in arms_of(base, levels=1)]
    assert "depth" not in flat and "no-curriculum" not in flat


def test_without_reflections_the_policy_has_the_updates_of_both_players(registry, base):
    made = config.override(registry, base, arm(base, "no-reflection").overrides)
    assert made.sft.policy_updates == base.sft.policy_updates + base.sft.reflector_updates
    told = [each for each in arms_of(base, reflector_learns=False) if each.name == "no-reflection"]
    made = config.override(registry, base, told[0].overrides)
    assert made.sft.policy_updates == base.sft.policy_updates


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("error", [OSError("no space left"), ReflectError("bad options")])
def test_whatever_stops_an_arm_ends_the_study(registry, base, tmp_path, monkeypatch, jobs, error):
    def fail(self, job):
        raise error

    monkeypatch.setattr(Study, "_do", fail)
    study = Study(tmp_path, registry, base, arms_of(base), (0,), jobs)
    with pytest.raises(ReflectError, match="an arm of the ablation failed") as stopped:
        study.run(QuietProgress())
    assert str(error) in str(stopped.value)


def test_a_study_that_is_asked_to_end_leaves_no_arm_behind(registry, base, tmp_path, monkeypatch):
    codes = []

    def play(self, job):
        code = "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(600)"
        codes.append(self._children.call([sys.executable, "-c", code]))
        return "it was stopped"

    monkeypatch.setattr(Study, "_do", play)
    study = Study(tmp_path, registry, base, arms_of(base), (0,), 1)
    with pytest.raises(Terminated), terminable():
        study.run(QuietProgress())
    assert codes == [-signal.SIGTERM]


def test_the_runs_of_a_study_share_a_folder_for_answers(tmp_path):
    run = RunFolder(tmp_path / "study" / "seed-0" / "arm")
    assert run.shared == run.path
    (tmp_path / "study" / "study.toml").touch()
    assert run.shared == (tmp_path / "study").resolve()


def test_arms_bring_along_what_they_are_measured_by(base):
    names = [each.name for each in choose(arms_of(base), ["warmup-equal"])]
    assert names == ["warmup-equal", REFERENCE]
    with pytest.raises(ConfigError, match="no arm is called 'follw'") as error:
        choose(arms_of(base), ["follw"])
    assert "follow" in str(error.value)


def test_every_arms_overrides_are_a_configuration(registry, base):
    for each in arms_of(base):
        config.override(registry, base, [*each.overrides, f"eval.players={each.row}"])


def test_whoever_does_a_stage_runs_before_those_that_take_it_over(registry, base, tmp_path):
    study = Study(tmp_path, registry, base, arms_of(base), (0, 1), 1)
    plan = study._plan()
    place = {job.folder: i for i, job in enumerate(plan)}
    assert len(plan) == 2 * len(arms_of(base))
    for i, job in enumerate(plan):
        assert all(place[other] < i for other in job.waits_for)
        assert all(f"seed-{job.seed}" in str(other) for other in job.waits_for)
    waits = {(job.arm.name, job.seed): job.waits_for for job in plan}
    assert waits["warmup", 1] == (tmp_path / "seed-1" / REFERENCE,)
    assert waits["warmup-equal", 0] == (tmp_path / "seed-0" / REFERENCE,)
    assert waits[REFERENCE, 0] == ()
    first = [(job.arm.name, job.seed) for job in plan][:4]
    expected = [(name, seed) for name in (REFERENCE, "warmup-equal") for seed in (0, 1)]
    assert first == expected, "what takes longest does not begin last, whatever the seed"


def test_a_small_model_has_a_core_per_arm_and_a_large_one_all_of_them(registry, base, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 5}, raising=False)
    assert default_jobs(base) == 3
    assert default_jobs(config.override(registry, base, ["model.name=gpt2-xl"])) == 1


def test_an_ablation_from_the_command_line_goes_on_where_it_was(tmp_path):
    words = [
        sys.executable, "-m", "reflect_core", "ablate", "--env", "filesys", "--seeds", "3",
        "--arms", "random,warmup,warmup-equal", "--jobs", "2", "--out", str(tmp_path / "s"),
        *SHORT,
    ]  # fmt: skip
    first = subprocess.run(words, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert "given the same wall time" in first.stdout
    place = tmp_path / "s" / "seed-3"
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*.jsonl")}
    assert before
    # the warm-up was made once
    assert (place / "warmup" / "reflector" / "model.safetensors").read_bytes() == (
        place / REFERENCE / "reflector" / "model.safetensors"
    ).read_bytes()
    assert len((place / "warmup.log").read_text().split("sft reflector")) == 1
    longer = config.load(plugins.load(), place / "warmup-equal" / "run.toml")
    # however fast this machine is
    warm = seconds(place / REFERENCE, ("teach", "sft"))
    times = 1 + seconds(place / REFERENCE, ("train",)) / warm
    assert longer.sft.reflector_updates == round(2 * times)
    assert longer.teach.episodes == round(6 * times) and times > 1
    assert longer.teach.share == 1.0
    (place / "warmup" / "evaluation.json").unlink()  # is held again
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*.jsonl")} == before


def test_another_study_in_the_same_folder_is_refused(tmp_path, capsys):
    (tmp_path / "study.toml").write_text("seed = 5\n")
    (tmp_path / "seed-0" / "warmup" / "data").mkdir(parents=True)
    assert main(["ablate", "--env", "filesys", "--out", str(tmp_path)]) == 2
    assert "holds an ablation with other settings" in capsys.readouterr().err
    assert main(["ablate", "--env", "filesys", "--seeds", "x", "--out", str(tmp_path / "n")]) == 2
    assert "is not a list of seeds" in capsys.readouterr().err
    assert not (tmp_path / "n").exists()  # else it would be taken for another study's
    for word in ("--seed", "seed=1"):
        assert main(["ablate", "--env", "filesys", word]) == 2
        assert "--seeds" in capsys.readouterr().err


def test_a_study_goes_on_with_other_neutral_options_and_with_no_others(
    tmp_path, monkeypatch, capsys
):
    seen = []
    monkeypatch.setattr(Study, "run", lambda self, progress: seen.append(self.base) or 1 / 0)
    command = ["ablate", "--env", "filesys", "--out", str(tmp_path), *SHORT]
    for timeout in (3, 4):
        with pytest.raises(ZeroDivisionError):
            main([*command, f"rollout.worker_timeout={timeout}"])
    assert [made.rollout.worker_timeout for made in seen] == [3, 4]
    assert "worker_timeout = 4.0" in (tmp_path / "study.toml").read_text()
    (tmp_path / "seed-0" / "warmup" / "data").mkdir(parents=True)
    assert main([*command, "train.iterations=7"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_a_mistake_that_stopped_a_study_before_anything_was_made_can_be_mended(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Study, "run", lambda self, progress: 1 / 0)
    command = ["ablate", "--env", "filesys", "--out", str(tmp_path), *SHORT]
    with pytest.raises(ZeroDivisionError):
        main([*command, "--model", "./nope"])
    begun = tmp_path / "seed-0" / "reflect-rl"
    begun.mkdir(parents=True)
    for name in ("run.toml", ".lock"):
        (begun / name).touch()
    (begun.parent / "reflect-rl.log").write_text("there is no such folder")
    (tmp_path / "answers.sqlite").touch()  # which may have been paid for
    with pytest.raises(ZeroDivisionError):
        main(command)
    assert 'name = "tiny"' in (tmp_path / "study.toml").read_text()
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        ".lock", "answers.sqlite", "study.toml",
    ]  # fmt: skip


def study_of(folder, registry, base, *names):
    return Study(folder, registry, base, [arm(base, name) for name in names], (0,), 1)


def test_a_stage_is_taken_over_from_its_like_alone_and_once_it_is_done(registry, base, tmp_path):
    study = study_of(tmp_path, registry, base, "warmup", REFERENCE)
    first, other = study._plan()
    key = needed_stages(registry, base)["teach"]
    assert first.arm.name == REFERENCE
    study._prepare(first)
    assert study._donor("teach", key, other) is None, "not done yet"
    RunFolder(first.folder).finish("teach")
    assert study._donor("teach", key, other).path == first.folder
    assert study._donor("teach", key, first) is None
    strange = keys(registry, base, "teach.episodes=7")["teach"]
    assert study._donor("teach", strange, other) is None


def test_an_arm_that_ends_badly_stops_the_study_and_its_last_words_are_told(
    registry, base, tmp_path, monkeypatch
):
    def call(self, words, *, stdout, **more):
        stdout.write("begun\nError: the disk is full\n  next: make room\n")
        return 3

    monkeypatch.setattr(Children, "call", call)
    with pytest.raises(ReflectError) as caught:
        study_of(tmp_path, registry, base, "random").run(QuietProgress())
    assert any(
        "exit code 3" in line and "the disk is full; next: make room" in line
        for line in caught.value.details
    )
