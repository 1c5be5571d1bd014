"""The settings as frozen values, an example of the settings file, and the Slack manifest."""
