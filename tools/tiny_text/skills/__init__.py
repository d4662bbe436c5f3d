"""The skills: each function writes one example."""
