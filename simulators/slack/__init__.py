"""A pretend Slack: a workspace, its Web API, its two ways of delivery, people who use it, and a page to look at it."""
