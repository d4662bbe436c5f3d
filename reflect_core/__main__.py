"""``python -m reflect_core`` is ``reflect``; launchers of several processes need a module."""

import sys

from reflect_core.cli import main

sys.exit(main())
