"""Reads calendar files (.ics, RFC 5545) with limits on size and work."""

from services.windows.ical.events import Happening, Reading, read_calendar
from services.windows.ical.lines import LARGEST, Skipped
from services.windows.ical.names import harmless

__all__ = ["LARGEST", "Happening", "Reading", "Skipped", "harmless", "read_calendar"]
