"""The process: puts the bot together from its settings, and runs it."""
