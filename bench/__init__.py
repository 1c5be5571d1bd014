"""Measurements (`make bench`): each is a ratio of two values measured in the same run."""
