"""The desk from a terminal, for the night Slack is down: through a running bot's socket, or as one more worker on the same state."""
