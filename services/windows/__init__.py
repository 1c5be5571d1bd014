"""Off-hours windows: when a cluster is closed to save money, what should be true now, and what it saved. Pure."""

from services.windows.closed import Closure, Occurrence, closures, lint, occurrences
from services.windows.due import Due, Late, Missed, Notice, Row, Settled, due, edges, forecast, keep_up, late, notice, notices, settle
from services.windows.exceptions import NONE, Exceptions, Hold, KeepUp, Manual
from services.windows.holidays import Holiday, holidays
from services.windows.ready import lead, will_miss
from services.windows.spec import EXAMPLE, KIND_WORDS, USAGE, Window, check, parse_window
from services.windows.timeline import Edge, Terms

__all__ = [
    "EXAMPLE",
    "KIND_WORDS",
    "NONE",
    "USAGE",
    "Closure",
    "Due",
    "Edge",
    "Exceptions",
    "Hold",
    "Holiday",
    "KeepUp",
    "Late",
    "Manual",
    "Missed",
    "Notice",
    "Occurrence",
    "Row",
    "Settled",
    "Terms",
    "Window",
    "check",
    "closures",
    "due",
    "edges",
    "forecast",
    "holidays",
    "keep_up",
    "late",
    "lead",
    "lint",
    "notice",
    "notices",
    "occurrences",
    "parse_window",
    "settle",
    "will_miss",
]
