"""What is used of ALFWorld's package; importing it from here leaves nothing behind.

See :func:`reflect_env_alfworld.library.load`, which must come first.
"""

from __future__ import annotations

from reflect_env_alfworld import library

library.load()

from alfworld.agents.utils.misc import Demangler  # noqa: E402
from alfworld.gen import constants  # noqa: E402
from alfworld.gen.goal_library import gdict  # noqa: E402
from alfworld.info import ALFRED_PDDL_PATH, ALFRED_TWL2_PATH  # noqa: E402

__all__ = ["ALFRED_PDDL_PATH", "ALFRED_TWL2_PATH", "Demangler", "constants", "gdict"]
