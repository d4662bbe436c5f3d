"""Which stages of two runs are the same: a hash of all that their outcome depends on."""

from __future__ import annotations

import shutil

from reflect_core.digests import digest
from reflect_core.files import read_json, read_rows, write_json
from reflect_core.folders import MACHINE
from reflect_core.neutral import deciding
from reflect_core.runfolder import RunFolder
from reflect_core.settings import Settings

__all__ = ["SHARED", "adopt", "stage_keys"]

SHARED = {"teach": "data", "sft reflector": "reflector", "sft policy": "warmup"}
"""The stages that runs can share, and the folder that each leaves behind."""


def stage_keys(settings: Settings) -> dict[str, str]:
    """A hash for each shared stage; equal hashes promise equal outcomes within a study.

    Every setting counts that could reach the stage, the seed too. What a stage cannot see (the
    trainer, for teaching), or cannot be seen in it (neutral options), does not. Versions and the
    environment's content are the same for all arms of a study, which its folder makes sure of.
    """
    plain = deciding(settings)
    rollout = plain["rollout"]
    # what decides the text of prompts and of reflections
    text = [rollout[name] for name in ("history", "name_actions", "check_reflections")]
    sft = dict(plain["sft"])
    updates = {player: sft.pop(f"{player}_updates") for player in ("reflector", "policy")}
    origin = sft.pop("policy_from")
    # what comes of these counts, for the policy
    del sft["policy_reflected"], sft["policy_lr"]
    own_sft = {**sft, "lr": settings.sft.for_policy.lr}
    teach = [plain["seed"], plain["env"], plain["teach"], plain["teacher"], text]
    reflector = [teach, plain["model"], plain["reflector"], sft, updates["reflector"]]
    reflected = settings.reflected_examples
    policy = [teach, plain["model"], plain["policy"], own_sft, updates["policy"], reflected]
    if origin == "reflector":
        policy.append(reflector)
    parts = zip(SHARED, (teach, reflector, policy), strict=True)
    return {stage: digest([stage, what]) for stage, what in parts}


def adopt(folder: RunFolder, donor: RunFolder, stage: str) -> None:
    """Take over a finished stage of another run: its files, and what it logged.

    The times count as if the stage had been run here: they are what the arm costs. The run began
    where its first stage did: a change of threads or versions since is told.
    """
    source = donor.path / SHARED[stage]
    folder.rewind()  # of an attempt that was killed
    folder.write_folder(
        folder.path / SHARED[stage],
        lambda target: shutil.copytree(source, target, dirs_exist_ok=True),
    )
    if (donor.path / MACHINE).exists() and not (folder.path / MACHINE).exists():
        begun = read_json(donor.path / MACHINE)
        begun.pop("stages", None)  # of which this run takes over those alone that are its own
        write_json(folder.path / MACHINE, begun)
    kind, _, player = stage.partition(" ")
    for row in read_rows(donor.path / "metrics.jsonl"):
        if row.get("stage") == kind and row.get("player", "") == player:
            folder.log(row)
    for row in read_rows(donor.path / "timings.jsonl"):
        if row.get("stage") == stage:
            folder.time(row)
    folder.finish(stage)
