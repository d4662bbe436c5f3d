"""The Tower of Hanoi as an environment for reflect."""
