"""REINFORCE over turns."""
