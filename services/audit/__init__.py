"""The audit: every decision as an entry of a hash chain, and its verification."""
