"""A plugin for pytest: contracts that do not say how long they search do so briefly."""

from reflect_core.testing.contracts import Contract

Contract.max_examples = 5
