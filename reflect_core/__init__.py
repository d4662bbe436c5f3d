"""reflect: fine-tune small language models, online, to act in text environments.

The public names for plugin authors. Importing this package never imports torch.
"""

from reflect_core.context import Context, EnvironmentContext
from reflect_core.errors import ConfigError, EpisodeOver, NoAdvice, PluginError, ReflectError
from reflect_core.hookspecs import (
    API_VERSION,
    CurriculumSpec,
    EnvironmentSpec,
    NoConfig,
    PolicySpec,
    ReflectorSpec,
    TrainerSpec,
    hookimpl,
    option,
)
from reflect_core.protocols import (
    Curriculum,
    Described,
    Environment,
    Expert,
    Policy,
    Reflector,
    Teacher,
    Trainer,
)
from reflect_core.records import (
    Advice,
    Assignment,
    Choice,
    Draws,
    Hint,
    Observation,
    PastTurn,
    Question,
    State,
    Step,
    Task,
    Trajectory,
    Transition,
)

__version__ = "0.1.0"

__all__ = [
    "API_VERSION",
    "Advice",
    "Assignment",
    "Choice",
    "ConfigError",
    "Context",
    "Curriculum",
    "CurriculumSpec",
    "Described",
    "Draws",
    "Environment",
    "EnvironmentContext",
    "EnvironmentSpec",
    "EpisodeOver",
    "Expert",
    "Hint",
    "NoAdvice",
    "NoConfig",
    "Observation",
    "PastTurn",
    "PluginError",
    "Policy",
    "PolicySpec",
    "Question",
    "ReflectError",
    "Reflector",
    "ReflectorSpec",
    "State",
    "Step",
    "Task",
    "Teacher",
    "Trainer",
    "TrainerSpec",
    "Trajectory",
    "Transition",
    "__version__",
    "hookimpl",
    "option",
]
