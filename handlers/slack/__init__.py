"""Slack's Web API: the client, blocks, user groups, and which channels can be reached."""
