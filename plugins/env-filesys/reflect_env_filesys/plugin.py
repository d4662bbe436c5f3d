"""What this distribution offers to reflect; everything heavier is imported by the factories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from reflect_core.hookspecs import EnvironmentSpec, PolicySpec, hookimpl
from reflect_env_filesys.config import STAGES, FilesysConfig

if TYPE_CHECKING:
    from reflect_core.context import Context, EnvironmentContext
    from reflect_env_filesys.environment import FilesysEnvironment


def make_environment(config: FilesysConfig, context: EnvironmentContext) -> FilesysEnvironment:
    """Build the environment."""
    from reflect_env_filesys.environment import FilesysEnvironment

    return FilesysEnvironment(config, seed=context.seed)


def make_unseen_name(config: Any, context: Context) -> Any:
    """Build the policy that identifies names never asked for in train."""
    from reflect_env_filesys.baselines import UnseenName

    paths = [task.data.get("path") or [""] for task in context.tasks("train")]
    return UnseenName(frozenset(path[-1] for path in paths))


def make_shared_characters(config: Any, context: Context) -> Any:
    """Build the policy that compares characters."""
    from reflect_env_filesys.baselines import SharedCharacters

    return SharedCharacters()


@hookimpl
def reflect_environments() -> Iterable[EnvironmentSpec]:
    """The environment ``filesys``."""
    yield EnvironmentSpec(
        name="filesys",
        factory=make_environment,
        config=FilesysConfig,
        summary="explore a file tree and identify the file that answers the task",
        version=2,
        stages=STAGES,
        baselines=("filesys-unseen-name", "filesys-shared-characters"),
        expert_solves=0.2,
        defaults={
            # an observation holds all that matters; the past would only make prompts longer
            "rollout.history": 0,
            # a few words and a name
            "rollout.max_reflection_tokens": 48,
            # RL has tasks of its own, on made-up names
            "teach.share": 1.0,
            # a teacher with a habit that RL can undo; the games that it loses are left out
            "env.expert": "impatient",
            "teach.episodes": 4000,
            # the library's own trees are less deep in train than those of test
            "env.invented_lessons": 1500,
            # names are new to the reflector: one that is garbled is no file, and is written anew
            "reflector.tries": 8,
            "rollout.reflection_temperature": 0.5,
            "sft.reflector_updates": 260,
            # files of similar names stand side by side; to take the named one wants practice
            "sft.policy_updates": 180,
            "sft.policy_lr": 1.5e-3,
            # RL must undo a habit, in few iterations, and leave what else was learnt as it is
            "train.iterations": 8,
            "train.valid_every": 8,
            "trainer.lr": 5e-4,
            "trainer.anneal_lr": True,
            "trainer.update_epochs": 1,
            "trainer.target_kl": None,
            "trainer.kl_coef": 0.1,
            "trainer.vf_coef": 0.1,
            "trainer.ent_coef": 0.0,
            # what giving up costs shows some turns later
            "trainer.gae_lambda": 0.7,
        },
    )


@hookimpl
def reflect_policies() -> Iterable[PolicySpec]:
    """Two cheap baselines."""
    yield PolicySpec(
        name="filesys-unseen-name",
        factory=make_unseen_name,
        summary="identify a file whose name is no target of train",
    )
    yield PolicySpec(
        name="filesys-shared-characters",
        factory=make_shared_characters,
        summary="the action that shares most characters with the task",
    )
