"""One immutable look at a cluster. Pure."""
