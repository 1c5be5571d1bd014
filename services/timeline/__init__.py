"""The record of an incident: what happened when, from several sources, in one order.

`moments` are what each source tells, `skew` compares the sources' clocks, `order` puts them into
one sequence, `export` makes a chain of lines that an audit entry vouches for.
"""

from services.timeline.export import (
    Export,
    ExportFlaw,
    check_export,
    export_of,
    read_export,
    runs_in,
    unproven,
)
from services.timeline.moments import Moment, Source
from services.timeline.order import Clock, Timeline, ordered

__all__ = [
    "Clock",
    "Export",
    "ExportFlaw",
    "Moment",
    "Source",
    "Timeline",
    "check_export",
    "export_of",
    "ordered",
    "read_export",
    "runs_in",
    "unproven",
]
