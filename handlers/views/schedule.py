"""A cluster's schedule: what it wants now and why, and what changes next. Pure."""

from collections.abc import Iterable, Sequence

from handlers.slack.markup import EMOJI, date_time, markup
from services.common.markers import Marker
from services.common.text import join_words
from services.schedule.reading import Schedule
from services.windows import Due, Edge, Freeze, Hold, KeepUp, Manual, Meeting, Row

AHEAD = 7 * 86400.0  # seconds of the forecast that `ahead` holds
VERBS = {"close": "closes", "open": "opens"}
MANUAL = {"open": "started", "closed": "stopped"}


def schedule_words(schedule: Schedule, ahead: Sequence[Row] = ()) -> str:
    """Return why it is open or closed, and the next changes; "" without a window or a hold.

    `ahead`: the coming rows of its forecast. Overdue service comes first.
    """
    wanted = due_words(schedule.due, ahead)
    if schedule.observes and wanted:
        return f"observed, not acted on: {wanted}"
    late = schedule.overdue
    if late is None or not late.passed(schedule.at):
        return wanted
    missing = f"*should be in service since {date_time(late.edge.at)} and is not*"
    return markup(f"{EMOJI[Marker.ALARM]} {missing}: {late.why} · {wanted}")


def due_words(due: Due, ahead: Sequence[Row] = ()) -> str:
    """Return what is wanted and why, and the next changes; "" without a window or a hold."""
    if due.state == "no opinion" and due.why is None:
        return ""
    parts = (_why(due), ", ".join(map(edge_words, _coming(due.next_edge, ahead))))
    return markup(" · ".join(filter(None, parts)))


def _coming(first: Edge | None, ahead: Iterable[Row]) -> list[Edge]:
    """Return the next edge, and the next one of the other kind after it."""
    if first is None:
        return []
    others = (r.edge for r in ahead if r.edge.changes)
    after = (e for e in others if e.at > first.at and e.kind != first.kind)
    return [first, *list(after)[:1]]


def edge_words(edge: Edge) -> str:
    """Return `closes today 20:00 (nights)`."""
    return f"{VERBS[edge.kind]} {date_time(edge.at)} ({join_words(edge.windows)})"


def _why(due: Due) -> str:
    """Return the exception in force, or which windows close it now; "" while it is simply open."""
    match due.why:
        case Hold():
            return hold_words(due.why)
        case Freeze(until=until, name=name):
            return _with(f"change freeze until {date_time(until)}", name)
        case KeepUp(until=until, by=by, reason=reason):
            return _with(f"kept up until {date_time(until)} by {by}", reason)
        case Meeting(until=until, name=name):
            return _with(f"stays open for a meeting until {date_time(until)}", name)
        case Manual(at=at, state=state, by=by):
            return f"{MANUAL[state]} manually by {by} {date_time(at)}"
        case None if due.state == "closed":
            return f"closed by {join_words(due.windows)}"
        case None if due.next_edge is None:
            return due.reason
        case None:
            return ""


def hold_words(hold: Hold) -> str:
    """Return who holds a cluster, until when and why: `on hold until … by @ana: exam week`."""
    return markup(f"on hold until {date_time(hold.until)} by {hold.by}: {hold.reason}")


def _with(words: str, detail: str) -> str:
    if not detail:
        return words
    return f"{words}: {detail}"
