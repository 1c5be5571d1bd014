"""The weekly digest of a cluster."""

from datetime import datetime
from zoneinfo import ZoneInfo

from handlers.slack.blocks import Block, Card, context, escape, fields, header, section
from handlers.slack.markup import date
from handlers.views.approvals import called
from handlers.views.text import without_formatting
from services.billing.prices import money
from services.common.text import count_of, duration, join_words
from services.runs.run import State
from services.schedule.weekly_digest import BackupsOfWeek, MissedSchedule, Week, WeeklyDigest

MOST_LISTED = 10
UNKNOWN_BILL = "unknown (nothing was recorded)"


def weekly_digest_card(digest: WeeklyDigest, whom: tuple[str, ...] = ()) -> Card:
    """Return the card of a cluster's week. `whom`: ids of those who want to be mentioned."""
    head = f"{digest.cluster}: week {_days(digest.week)}"
    decides = _decides(digest)
    blocks: list[Block] = [
        header(head),
        section(decides),
        fields(
            ("Runs", _runs(digest)),
            ("Ready by opening time", _ready(digest)),
            ("Meetings at closing time", _meetings(digest)),
            ("Saved", _saved(digest)),
            *_backups_field(digest.backups),
        ),
    ]
    if digest.missed:
        blocks.append(section(_missed(digest)))
    foot = f"Days in {digest.week.zone}. Other meetings are not recorded."
    if whom:
        foot = f"{foot} For {called(whom)}."
    blocks.append(context(foot))
    text = f"{head}. {decides} Saved: {_saved(digest)}."
    return Card(without_formatting(text), tuple(blocks))


def _days(week: Week) -> str:
    """Return `9 Nov to 15 Nov`, by the week's own calendar."""
    zone = ZoneInfo(week.zone)
    days = (datetime.fromtimestamp(at, zone) for at in (week.since, week.until - 1))
    return " to ".join(f"{day.day} {day:%b}" for day in days)


def _decides(digest: WeeklyDigest) -> str:
    """Return what needs attention, or that nothing does."""
    late = digest.ready.openings - digest.ready.in_time
    troubles = []
    if digest.missed:
        troubles.append(f"{count_of(len(digest.missed), 'scheduled change')} missed")
    if late:
        troubles.append(f"{count_of(late, 'opening')} late")
    if failed := sum(count for state, count in digest.ends if state != "done"):
        troubles.append(f"{count_of(failed, 'run')} not completed")
    if missed := digest.backups.missed:
        troubles.append(f"{count_of(missed, 'scheduled backup')} missed")
    if digest.backups.failed:
        troubles.append("a backup is not proven")
    if digest.unread:
        troubles.append(f"{count_of(digest.unread, 'run')} unreadable")
    if not troubles:
        return "Everything went as planned."
    return f":warning: *{join_words(troubles)}.*"


def _runs(digest: WeeklyDigest) -> str:
    if not digest.runs:
        return "none"
    ends = ", ".join(f"{count} {State(state).words}" for state, count in digest.ends)
    return f"{ends} ({digest.by_people} by people)"


def _ready(digest: WeeklyDigest) -> str:
    ready = digest.ready
    if not ready.openings:
        return "no openings"
    record = f"{ready.in_time} of {ready.openings}"
    if ready.in_time == ready.openings:
        return record
    return f"{record}, at most {duration(ready.latest)} late"


def _meetings(digest: WeeklyDigest) -> str:
    meetings = digest.meetings
    if not meetings.closings:
        return "no closings"
    lasted = f"{count_of(meetings.closings, 'closing')}, longest wait {duration(meetings.longest)}"
    if not meetings.outlasted:
        return lasted
    return f"{lasted}; in {meetings.outlasted} they continued"


def _saved(digest: WeeklyDigest) -> str:
    bill = digest.bill
    if bill is None:
        return UNKNOWN_BILL
    hours = f"{bill.closed:.0f} h without media nodes"
    if bill.saving < 0:
        return f"nothing; {money(-bill.saving)} more ({hours})"
    return f"{money(bill.saving)} ({hours})"


def _backups_field(seen: BackupsOfWeek) -> list[tuple[str, str]]:
    """Return the field about backups; none where a cluster has never had one."""
    if seen.newest is None and not seen.unseen:
        return []
    return [("Backups", _backups(seen))]


def _backups(seen: BackupsOfWeek) -> str:
    if seen.unseen:
        return f"unknown ({escape(seen.unseen)})"
    assert seen.newest is not None, "there is one"
    words = f"newest {date(seen.newest)}"
    if seen.failed:
        return f"{words}; *not proven*: {escape(seen.failed)}"
    if seen.proven is None:
        return f"{words}, never proven"
    return f"{words}, proven {date(seen.proven)}"


def _missed(digest: WeeklyDigest) -> str:
    lines = [_missed_line(missed) for missed in digest.missed[:MOST_LISTED]]
    if len(digest.missed) > MOST_LISTED:
        lines.append(f"and {len(digest.missed) - MOST_LISTED} more")
    return "*Missed*\n" + "\n".join(lines)


def _missed_line(missed: MissedSchedule) -> str:
    verb = "did not open"
    if missed.closes:
        verb = "did not close"
    at = datetime.fromisoformat(missed.local)
    return f"{missed.window} {verb} on {at:%a} {at.day} {at:%b} at {at:%H:%M}"
