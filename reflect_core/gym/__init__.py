"""Both ways to Gymnasium: ``reflect-core[gym]``.

Importing this module registers every installed environment as ``reflect/NAME-vVERSION``;
:func:`from_gymnasium` makes an environment of ours of one of Gymnasium's.

    import gymnasium
    import reflect_core.gym

    env = gymnasium.make("reflect/filesys-v2")

Not to be imported by the module that holds a plugin's hooks, but inside its factory: it asks the
plugins for their environments, and Gymnasium is heavy.
"""

from reflect_core.gym.environment import TextEnvironment
from reflect_core.gym.foreign import Ending, GymnasiumEnvironment, from_gymnasium, reached_goal
from reflect_core.gym.registration import environment_id, register
from reflect_core.gym.spaces import UnicodeText

__all__ = [
    "Ending",
    "GymnasiumEnvironment",
    "TextEnvironment",
    "UnicodeText",
    "environment_id",
    "from_gymnasium",
    "reached_goal",
    "register",
]

register()
