"""The laws of every kind of part."""

from reflect_core.testing.curricula import CURRICULUM_LAWS
from reflect_core.testing.environments import ENVIRONMENT_LAWS
from reflect_core.testing.policies import POLICY_LAWS
from reflect_core.testing.reflectors import REFLECTOR_LAWS
from reflect_core.testing.trainers import TRAINER_LAWS

__all__ = ["LAWS"]

LAWS = {
    "environment": ENVIRONMENT_LAWS,
    "reflector": REFLECTOR_LAWS,
    "policy": POLICY_LAWS,
    "trainer": TRAINER_LAWS,
    "curriculum": CURRICULUM_LAWS,
}
