"""The same desk without Slack."""
