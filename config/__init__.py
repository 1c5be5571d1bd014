"""Values, no behaviour: the settings file read into frozen values, an example of it, and the Slack manifest."""
