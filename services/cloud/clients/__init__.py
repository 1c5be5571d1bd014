"""Clients of everything outside. They take no settings, and raise `services.common.errors` only."""
