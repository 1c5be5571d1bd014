"""A run and the request before it: records, locks, and the executor that drives them."""
