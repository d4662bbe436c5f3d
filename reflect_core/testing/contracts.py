"""Contracts: test classes for pytest that examine the laws of a part.

    from reflect_core.testing import EnvironmentContract

    class TestMaze(EnvironmentContract):
        def make(self):
            return MazeEnvironment(MazeConfig())

Each law is a test of its own, ``TestMaze::test_law[repeats]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from reflect_core.context import EnvironmentContext
from reflect_core.errors import ReflectError, choices
from reflect_core.hookspecs import EnvironmentSpec, Spec
from reflect_core.plugins import load
from reflect_core.protocols import Environment
from reflect_core.settings import Settings
from reflect_core.testing.environments import ENVIRONMENT_LAWS, EnvironmentSubject
from reflect_core.testing.kinds import LAWS
from reflect_core.testing.laws import Effort, Examiner, Law
from reflect_core.testing.parts import PartSubject
from reflect_core.testing.recipes import FromFile, Installed

__all__ = [
    "CurriculumContract",
    "EnvironmentContract",
    "PolicyContract",
    "ReflectorContract",
    "TrainerContract",
]


def _names(laws: Sequence[Law]) -> list[str]:
    return [each.name for each in laws]


class Contract:
    """What the five contracts have in common.

    Attributes:
        spec: The part: its name, where it is installed, or its spec.
        options: Its options, where they are not the defaults.
        max_examples: Examples for each law that is searched.
        seed: Of the search.
        skip: Laws that it does not keep, by name, with the reason.
    """

    kind: ClassVar[str]
    laws: ClassVar[Sequence[Law]]
    spec: ClassVar[str | Spec | None] = None
    options: ClassVar[Mapping[str, Any]] = {}
    max_examples: ClassVar[int] = 50
    seed: ClassVar[int] = 0
    skip: ClassVar[Mapping[str, str]] = {}
    _examiner: ClassVar[Examiner | None] = None

    def subject(self) -> Any:
        """What is examined."""
        raise NotImplementedError

    def check(self, law: str) -> None:
        """Examine a law, and fail or skip the test as it comes out."""
        cls = type(self)
        if unknown := sorted(set(cls.skip) - set(_names(cls.laws))):
            raise ReflectError(
                f"{cls.__name__}.skip names no law: {unknown[0]!r}",
                details=choices(unknown[0], _names(cls.laws), called="laws"),
            )
        if law in cls.skip:
            pytest.skip(cls.skip[law])
        if "_examiner" not in vars(cls):
            cls._examiner = Examiner(self.subject(), cls.laws, Effort(cls.max_examples, cls.seed))
        assert cls._examiner is not None
        outcome = cls._examiner.outcome(law)
        if outcome.status == "failed":
            pytest.fail(outcome.explain(), pytrace=False)
        if outcome.status == "skipped":
            pytest.skip(outcome.remark)

    @classmethod
    def teardown_class(cls) -> None:
        """Release what the examination kept, as pytest asks after the last test."""
        if cls._examiner is not None:
            cls._examiner.subject.close()

    def _chosen(self) -> tuple[Spec, Any, str | None]:
        """The spec, the config and the plugin; None where the part is not installed."""
        cls = type(self)
        if cls.spec is None:
            raise ReflectError(
                f"{cls.__name__} does not say what to examine",
                then=f"give it spec = NAME, or spec = {cls.kind.capitalize()}Spec(...)"
                + (", or a method make" if cls.kind == "environment" else ""),
            )
        if isinstance(cls.spec, Spec):
            return cls.spec, cls.spec.config(**cls.options), None
        offer = load().find(cls.kind, cls.spec)
        return offer.spec, offer.spec.config(**cls.options), offer.plugin


class EnvironmentContract(Contract):
    """The laws of environments.

    Give ``spec``, or a method ``make`` that builds one. With ``make`` the law ``spawns`` cannot
    say whether the options pickle; a fresh process calls ``make`` of the class in its file.

    Attributes:
        stages: That ``reset`` knows; the spec's by default.
        horizon: Turns within which every episode ends; by default the option ``horizon``, or
            1000 where there is none.
        max_text: Characters of an observation at most.
        expert_solves: Share of episodes that its expert solves, of those that it does not give up;
            by default what the spec says.
        truncates: Whether episodes may be cut; by default what the spec says.
    """

    kind = "environment"
    laws = ENVIRONMENT_LAWS
    stages: ClassVar[Sequence[str] | None] = None
    horizon: ClassVar[int | None] = None
    max_text: ClassVar[int] = 20_000
    expert_solves: ClassVar[float | None] = None
    truncates: ClassVar[bool | None] = None

    def make(self) -> Environment:
        """Build one; by default from ``spec``."""
        spec, config, _ = self._chosen()
        built: Environment = spec.factory(config, EnvironmentContext())
        return built

    def subject(self) -> EnvironmentSubject:
        """The environment, and all that is known of it."""
        cls = type(self)
        config, plugin, stages, truncates = None, None, cls.stages, cls.truncates
        expert_solves = cls.expert_solves
        if cls.make is EnvironmentContract.make:
            spec, config, plugin = self._chosen()
            assert isinstance(spec, EnvironmentSpec)
            stages = spec.stages if stages is None else stages
            truncates = spec.truncates if truncates is None else truncates
            expert_solves = spec.expert_solves if expert_solves is None else expert_solves
        by_name = plugin is not None and isinstance(cls.spec, str)
        return EnvironmentSubject(
            make=self.make,
            stages=tuple(stages or ()),
            horizon=cls.horizon,
            config=config,
            recipe=Installed(str(plugin), str(cls.spec), config) if by_name else FromFile.of(cls),
            max_text=cls.max_text,
            expert_solves=1.0 if expert_solves is None else expert_solves,
            truncates=bool(truncates),
        )

    @pytest.mark.parametrize("law", _names(ENVIRONMENT_LAWS))
    def test_law(self, law: str) -> None:
        """Examine one law."""
        self.check(law)


class PartContract(Contract):
    """What the contracts of reflectors, policies, trainers and curricula have in common.

    Attributes:
        settings: The configuration in which the part is built; by default one for a toy
            environment and a small random model.
    """

    settings: ClassVar[Settings | None] = None

    def subject(self) -> PartSubject:
        """The part, and what it is tried out with."""
        spec, config, _ = self._chosen()
        made = PartSubject.of(type(self).kind, spec, config, type(self).settings)
        made.recipe = FromFile.of(type(self))
        return made


class ReflectorContract(PartContract):
    """The laws of reflectors.

    Attributes:
        max_text: Characters of a reflection at most.
    """

    kind = "reflector"
    laws = LAWS["reflector"]
    max_text: ClassVar[int] = 4000

    def subject(self) -> PartSubject:
        """The reflector, and how much it may say."""
        made = super().subject()
        made.max_text = type(self).max_text
        return made

    @pytest.mark.parametrize("law", _names(LAWS["reflector"]))
    def test_law(self, law: str) -> None:
        """Examine one law."""
        self.check(law)


class PolicyContract(PartContract):
    """The laws of policies."""

    kind = "policy"
    laws = LAWS["policy"]

    @pytest.mark.parametrize("law", _names(LAWS["policy"]))
    def test_law(self, law: str) -> None:
        """Examine one law."""
        self.check(law)


class TrainerContract(PartContract):
    """The laws of trainers.

    Where its options have these names they are set for some of the laws: ``ent_coef``,
    ``vf_coef``, ``kl_coef``, ``weight_decay``, ``keep_certain``, ``minibatch_size``,
    ``micro_batch_size``, ``update_epochs``, ``target_kl``.
    """

    kind = "trainer"
    laws = LAWS["trainer"]

    @pytest.mark.parametrize("law", _names(LAWS["trainer"]))
    def test_law(self, law: str) -> None:
        """Examine one law."""
        self.check(law)


class CurriculumContract(PartContract):
    """The laws of curricula."""

    kind = "curriculum"
    laws = LAWS["curriculum"]

    @pytest.mark.parametrize("law", _names(LAWS["curriculum"]))
    def test_law(self, law: str) -> None:
        """Examine one law."""
        self.check(law)
