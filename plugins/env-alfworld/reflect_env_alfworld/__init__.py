"""Household tasks as text: find, clean, heat, cool and place objects in a room.

ALFWorld's own domain, grammar and engine, played over games that are downloaded or generated.
"""
