"""Reflections from a local causal language model."""
