"""Reflections and lessons from any OpenAI-compatible endpoint."""
