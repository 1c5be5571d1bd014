"""A year of nights: windows close and open a cluster unattended, under seeded faults."""
