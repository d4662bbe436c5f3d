"""Navigation on Gymnasium's engines: DangerousTaxi and FrozenLake.

``taxi`` and ``lake`` play the episodes. What they share: ``engine`` makes Gymnasium's
environments, ``search`` finds shortest ways in their tables, ``compass`` has the words for
cells and directions. ``pairs`` and ``lakes`` list the tasks, ``view`` and ``ice`` show a state,
``driver`` and ``skater`` are the experts.
"""

__version__ = "0.1.0"
