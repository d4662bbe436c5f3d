"""The laws of trainers. The policy is ``lm`` on a small random model."""

from reflect_core.testing.trainers.gradients import clips, follows, order
from reflect_core.testing.trainers.updates import (
    builds,
    figures,
    first_ratio,
    improves,
    nan,
    resumes,
    still,
)

__all__ = ["TRAINER_LAWS"]

TRAINER_LAWS = (
    builds,
    figures,
    first_ratio,
    improves,
    still,
    follows,
    clips,
    nan,
    resumes,
    order,
)
