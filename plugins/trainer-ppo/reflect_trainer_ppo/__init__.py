"""Proximal policy optimisation over turns."""
