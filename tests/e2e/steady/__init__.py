"""One real bot under ordinary load for a while: it uses no more resources at the end."""
