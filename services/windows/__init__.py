"""Off-hours windows: when a cluster is closed to save money, and what should be true now. Pure."""

from services.windows.approving import closed_words, hours_words, opens_at, parse_hours
from services.windows.closures import Closure, Occurrence, closures, lint, occurrences
from services.windows.decision import Lateness, Missed, ScheduleDecision, late, over, settle
from services.windows.due import Due, due, edges
from services.windows.edge import Edge, SchedulePolicy
from services.windows.exceptions import NONE, Exceptions, Freeze, Hold, KeepUp, Manual, Meeting, Why
from services.windows.forecast import Notice, Row, forecast, notice, notices
from services.windows.holidays import Found, Holiday, holidays
from services.windows.keep_up import Length, Until, keep_up
from services.windows.lead_time import BY_TURNS, lead, will_miss
from services.windows.window import (
    EXAMPLE,
    KIND_WORDS,
    USAGE,
    Window,
    begin_window,
    check,
    parse_window,
)

__all__ = [
    "BY_TURNS",
    "EXAMPLE",
    "KIND_WORDS",
    "NONE",
    "USAGE",
    "Closure",
    "Due",
    "Edge",
    "Exceptions",
    "Found",
    "Freeze",
    "Hold",
    "Holiday",
    "KeepUp",
    "Lateness",
    "Length",
    "Manual",
    "Meeting",
    "Missed",
    "Notice",
    "Occurrence",
    "Row",
    "ScheduleDecision",
    "SchedulePolicy",
    "Until",
    "Why",
    "Window",
    "begin_window",
    "check",
    "closed_words",
    "closures",
    "due",
    "edges",
    "forecast",
    "holidays",
    "hours_words",
    "keep_up",
    "late",
    "lead",
    "lint",
    "notice",
    "notices",
    "occurrences",
    "opens_at",
    "over",
    "parse_hours",
    "parse_window",
    "settle",
    "will_miss",
]
