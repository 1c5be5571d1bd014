"""Slack in, Slack out; no decisions."""
