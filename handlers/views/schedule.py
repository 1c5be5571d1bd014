"""A cluster's schedule in one line: what it wants now and why, and what changes next. Pure."""

from handlers.slack.markup import EMOJI, date_time, markup
from services.common.markers import Marker
from services.schedule.reading import Schedule
from services.windows import ActiveException, Due, Edge, Freeze, Hold


def schedule_words(schedule: Schedule) -> str:
    """What the windows want, and since when it should be in service if it is not.

    "" without a window or a lock.
    """
    wanted = due_words(schedule.due)
    late = schedule.overdue
    if late is None or not late.passed(schedule.at):
        return wanted
    missing = f"*should be in service since {date_time(late.edge.at)} and is not*"
    return markup(f"{EMOJI[Marker.ALARM]} {missing}: {late.why} · {wanted}")


def due_words(due: Due) -> str:
    """What is wanted and why, and the next change.

    "" where there is neither a window nor a lock.
    """
    if due.state == "no opinion" and due.why is None:
        return ""
    parts = (_lock_words(due.why) or due.reason, _next_change(due.next_edge))
    return markup(" · ".join(filter(None, parts)))


def _next_change(coming: Edge | None) -> str:
    if coming is None:
        return ""
    verb = "closes" if coming.kind == "close" else "opens"
    return f"{verb} {date_time(coming.at)} ({edge_windows(coming)})"


def _lock_words(why: ActiveException | None) -> str:
    match why:
        case Hold(until=until, by=by, reason=reason):
            return f"on hold until {date_time(until)} by {by}: {reason}"
        case Freeze(until=until, name=""):
            return f"change freeze until {date_time(until)}"
        case Freeze(until=until, name=name):
            return f"change freeze until {date_time(until)}: {name}"
        case _:
            return ""


def edge_windows(edge: Edge) -> str:
    """`window *nights* (Europe/Madrid)`."""
    return f"window {' and '.join(f'*{w}*' for w in edge.windows)} ({edge.zone})"
