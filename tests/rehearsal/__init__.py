"""Rehearsals: what they say is compared with what then happens in worlds they know nothing of."""
