"""Measurements: everything is a ratio of two things measured in the same run. `make bench` prints them all."""
