"""Reads calendar files (.ics, RFC 5545) with limits on size and work."""

from services.windows.ical.events import CalendarReading, EventOccurrence, read_calendar
from services.windows.ical.lines import LARGEST, SkippedLine
from services.windows.ical.names import sanitize_name

__all__ = [
    "LARGEST",
    "CalendarReading",
    "EventOccurrence",
    "SkippedLine",
    "read_calendar",
    "sanitize_name",
]
