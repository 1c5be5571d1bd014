"""Calendar files (.ics, RFC 5545) as they are found in the wild, read within bounds: of size, and of steps of work."""

from services.windows.ical.events import Happening, Reading, read_calendar
from services.windows.ical.lines import LARGEST, Skipped
from services.windows.ical.names import harmless

__all__ = ["LARGEST", "Happening", "Reading", "Skipped", "harmless", "read_calendar"]
