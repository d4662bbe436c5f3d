"""Doubles and contracts for the tests of plugins."""
