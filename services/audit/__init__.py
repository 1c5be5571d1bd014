"""The audit: a hash chain of decisions, anchored outside of the store."""
