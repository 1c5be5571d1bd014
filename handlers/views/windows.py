"""Off-hours windows as cards: the list, and the forecast. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from handlers.slack.blocks import Block, Card, actions, button, context, escape, header, section
from handlers.slack.markup import date, date_time
from handlers.views.text import without_formatting
from services.access.policy import ClusterPolicy
from services.billing.estimate import FOUR_WEEKS
from services.common.text import join_words
from services.memory.schedule import Book
from services.runs.standing_approval import StandingApproval, lapsed
from services.schedule.reading import Schedule
from services.windows import EXAMPLE, KIND_WORDS, Holiday, Row, Window, find_conflicts
from services.windows.days import date_runs
from services.windows.overlap import overlaps

MOST_ROWS = 40
MOST_HOLIDAYS = 12
BLOCK = 2800  # characters of a block
COMING = "Next openings and closings"
SKIP = (
    "`/openvidu window skip tomorrow` leaves out a day · "
    "`/openvidu window remove NAME` removes a window"
)


def windows_card(
    name: str,
    book: Book,
    standings: Sequence[StandingApproval],
    rules: ClusterPolicy,
    schedule: Schedule,
    words: str,
    now: float,
    *,
    adds: bool = False,
) -> Card:
    """List the windows of a cluster, what they want now, and what overrides them.

    `words`: the schedule in words, as the status shows it. `adds`: the reader may add a window.
    """
    head, lines = f"Windows of {name}", [f"*Now:* {words}"]
    lines += [f":warning: {c}" for c in schedule.due.conflicts]
    lines += [f":warning: {escape(c)}" for c in find_conflicts(book.named_windows, now)]
    lines += [_window(standing, rules, now) for standing in standings]
    lines += [f"*Overlap:* {escape(o)}" for o in _overlaps(book.named_windows, now)]
    if off := [d for d in book.exceptions.off if d >= _today(now)]:
        lines.append(f"*Days off:* {', '.join(off)}")
    lines += _calendars(book, now)
    row = actions(button(COMING, "say:window-forecast", name), *_add(name, adds=adds))
    blocks = (header(head), *sections("\n".join(lines)), row, context(SKIP))
    return Card(without_formatting(f"{head}. {'; '.join(lines)}"), blocks)


def no_windows_card(name: str, book: Book, now: float, *, adds: bool = False) -> Card:
    """Return the list of a cluster without windows, with an example of one."""
    none = f"{name} has no off-hours windows."
    add = f"Add one: `/openvidu window add {EXAMPLE}`"
    lines = [f"{none} {add}", *_calendars(book, now)]
    blocks = (*sections("\n".join(lines)), *_row_of(_add(name, adds=adds)))
    return Card(without_formatting("\n".join(lines)), blocks)


def _add(name: str, *, adds: bool) -> list[Block]:
    if not adds:
        return []
    return [button("Add a window…", "say:window-add", name)]


def _row_of(buttons: list[Block]) -> list[Block]:
    if not buttons:
        return []
    return [actions(*buttons)]


def _today(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"


def _window(standing: StandingApproval, rules: ClusterPolicy, now: float) -> str:
    window = standing.window
    what = f"*{window.name}* `{window.to_text()}` · {KIND_WORDS[window.kind]}"
    if window.empty_words:
        what += f" · {window.empty_words}"
    return f"{what} · {_approval(standing, rules, now)}"


def _approval(standing: StandingApproval, rules: ClusterPolicy, now: float) -> str:
    given, until = standing.given, standing.until(rules)
    if given is None or until is None:
        return "from the settings file"
    if why := lapsed(standing, rules, now):
        return f":warning: closes nothing: {why}"
    approvers = join_words(a.mention for a in given.approvers)
    return f"standing approval by {approvers} of {date(given.at)}, until {date(until)}"


def _overlaps(windows: Sequence[Window], now: float) -> list[str]:
    """Describe how each window changes those before it."""
    until = now + FOUR_WEEKS
    return [
        overlap
        for number, window in enumerate(windows)
        for overlap in overlaps(windows[:number], window, now, until)
    ]


# Calendars


def _calendars(book: Book, now: float) -> list[str]:
    """Describe the coming entries of calendar files, and what is wrong with the files."""
    exceptions = book.exceptions
    lines = []
    if days := _holidays([h for h in exceptions.holidays if h.date >= _today(now)]):
        lines.append(f"*Holidays* (only windows that name the date close): {_first(days)}")
    freezes = [f for f in exceptions.freezes if f.until > now]
    if spans := [f"{date_time(f.since)} to {date_time(f.until)} {f.name}".strip() for f in freezes]:
        lines.append(f"*Change freezes* (only break-glass changes anything): {_first(spans)}")
    meetings = [m for m in exceptions.meetings if m.until > now]
    if starts := [f"{date_time(m.since)} {m.name}".strip() for m in meetings]:
        lines.append(f"*Meetings* (stays in service for them): {_first(starts)}")
    cautions = [caution for calendar in book.calendars for caution in calendar.cautions]
    return [*lines, *(f":warning: {escape(c)}" for c in cautions)]


def _first(entries: Sequence[str]) -> str:
    shown = ", ".join(entries[:MOST_HOLIDAYS])
    if len(entries) <= MOST_HOLIDAYS:
        return shown
    return f"{shown} and {len(entries) - MOST_HOLIDAYS} more"


def _holidays(coming: Sequence[Holiday]) -> list[str]:
    """Join the days of each holiday to date ranges, in order."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for holiday in coming:
        by_name[holiday.name].append(holiday.date)
    runs = sorted((run, name) for name, days in by_name.items() for run in date_runs(days))
    return [f"{run} {name}".strip() for run, name in runs]


# The forecast


def forecast_card(name: str, rows: Sequence[Row], days: int) -> Card:
    """Return when a cluster closes and opens in the coming days."""
    if not rows:
        text = f"Nothing closes or opens {name} in the next {days} days."
        return Card(text, (section(text),))
    head, shown = f"Forecast for {name}", [_row(r) for r in rows[:MOST_ROWS]]
    more = f"{len(rows)} openings and closings in {days} days"
    if len(rows) > MOST_ROWS:
        more = f"{len(rows) - MOST_ROWS} more after that"
    foot = context(f"{more} · `/openvidu window skip tomorrow` leaves out a day")
    text = without_formatting(f"{head}: {'; '.join(shown)}")
    return Card(text, (header(head), *sections("\n".join(shown)), foot))


def _row(row: Row) -> str:
    line = f"{row.local} ({row.utc}) {row.what} · {join_words(row.edge.windows)}"
    if not row.notes:
        return line
    return f"{line} · {'; '.join(row.notes)}"


def sections(text: str) -> list[Block]:
    """Split a text between lines into as many paragraphs as its length needs."""
    parts, part = [], ""
    for line in text.split("\n"):
        if len(part) + len(line) > BLOCK:
            parts.append(section(part))
            part = ""
        part += f"{line}\n"
    return [*parts, section(part)]
