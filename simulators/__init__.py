"""A pretend outside world. It imports nothing of the bot."""
