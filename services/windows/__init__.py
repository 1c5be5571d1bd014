"""Off-hours windows: when a cluster is closed to save money, and what should be true now. Pure."""

from services.windows.approving import hours_words, next_opening, parse_hours, why_not_counting
from services.windows.closures import Closure, Occurrence, closures, find_conflicts, occurrences
from services.windows.decision import (
    Lateness,
    MissedEdge,
    ScheduleDecision,
    decide,
    late,
    too_late_at,
)
from services.windows.due import Due, due, edges
from services.windows.edge import Edge, SchedulePolicy
from services.windows.exceptions import (
    NONE,
    ActiveException,
    Exceptions,
    Freeze,
    Hold,
    KeepUp,
    Manual,
    Meeting,
)
from services.windows.forecast import Notice, Row, forecast, notice, notices
from services.windows.holidays import CalendarEntries, Holiday, holidays
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
    "ActiveException",
    "CalendarEntries",
    "Closure",
    "Due",
    "Edge",
    "Exceptions",
    "Freeze",
    "Hold",
    "Holiday",
    "KeepUp",
    "Lateness",
    "Length",
    "Manual",
    "Meeting",
    "MissedEdge",
    "Notice",
    "Occurrence",
    "Row",
    "ScheduleDecision",
    "SchedulePolicy",
    "Until",
    "Window",
    "begin_window",
    "check",
    "closures",
    "decide",
    "due",
    "edges",
    "find_conflicts",
    "forecast",
    "holidays",
    "hours_words",
    "keep_up",
    "late",
    "lead",
    "next_opening",
    "notice",
    "notices",
    "occurrences",
    "parse_hours",
    "parse_window",
    "too_late_at",
    "why_not_counting",
    "will_miss",
]
