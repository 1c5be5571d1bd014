"""A year of nights: windows that close and open a cluster while everybody sleeps, under seeded misfortunes."""
