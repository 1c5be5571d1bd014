"""Shared by all rooms: errors, clock, text, serialization, metrics, containment of failures."""
