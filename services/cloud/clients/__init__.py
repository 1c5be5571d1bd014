"""The outside world as the bot reaches it: one protocol each, handed values and no settings, raising only `services.common.errors`."""
