"""A cluster as one immutable value, and what follows from it. Pure."""
