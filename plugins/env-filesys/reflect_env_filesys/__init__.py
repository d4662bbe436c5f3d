"""Explore a file tree and identify the file that answers the task.

The parts, in the order in which data flows through them: ``snapshot`` reads a folder,
``stdlib`` and ``synthetic`` name or make one, ``split`` divides its files among train, valid
and test, ``tasks`` chooses targets, ``tree`` draws what an episode shows, ``environment``
plays it, ``experts`` and ``baselines`` know or guess what to do.
"""

__version__ = "0.1.0"
