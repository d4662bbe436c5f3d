"""Group-relative policy optimisation over turns."""
