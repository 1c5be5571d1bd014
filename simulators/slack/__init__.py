"""A pretend Slack.

A workspace, its Web API, its two ways of delivery, users, and a web page for people.
"""
