"""The laws of environments, and what this one promises besides."""

from __future__ import annotations

from reflect_env_postman.environment import PostmanEnvironment

from reflect_core.testing import EnvironmentContract


class TestPostman(EnvironmentContract):
    """Needs the package to be installed: pip install -e ."""

    spec = "postman"


def test_the_expert_solves_every_test_task() -> None:
    """Put here what your environment promises."""
    environment = PostmanEnvironment(8)
    for task in environment.tasks("test"):
        environment.reset(task, seed=0)
        step = environment.step(environment.expert_action())
        while not step.over:
            step = environment.step(environment.expert_action())
        assert step.success
