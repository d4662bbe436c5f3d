"""Comparing methods: arms that differ by named overrides of one configuration."""
