"""A run and the request before it: their records, their locks, and the executor that drives them."""
