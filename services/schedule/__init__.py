"""Acts on windows: opens runs that are due, announces, measures, and escalates."""
