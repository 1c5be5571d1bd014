"""Keeps messages true: runs, requests, announcements, escalations."""
