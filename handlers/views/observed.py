"""The report of a bot that only observes: what it would have done, and each night. Pure."""

from handlers.slack.blocks import Block, Card, context, escape, header
from handlers.slack.markup import markup
from handlers.views.text import full_stop, without_formatting
from handlers.views.windows import sections
from services.billing.prices import money
from services.common.text import count_of, duration
from services.memory.observed import NightOutcome, ObservedNight
from services.schedule.observed_night import NightLine, ObservedReport, local_day

NIGHTS = 60
ESTIMATE = (
    "Estimate before tax; only removed media nodes save money. A wait is that of the meetings that "
    "ran at the closing time. Nothing was changed"
)
ONE_SETTING = "`mode: operate` in the settings, and a restart, let it act"


def observed_card(report: ObservedReport) -> Card:
    """Return the report: the sums first, then a line for each night, newest first."""
    days = count_of(report.days, "day")
    title = f"{report.cluster}: observed for {days}"
    said = _sums(report)
    blocks: list[Block] = [header(title), *sections("\n".join(said))]
    lines = [observed_line(line) for line in reversed(report.nights[-NIGHTS:])]
    if lines:
        blocks += sections("\n".join(lines))
    blocks.append(context(f"{ESTIMATE}. {ONE_SETTING}."))
    text = f"{title}: {' '.join(said)} {'; '.join(lines)}"
    return Card(without_formatting(text), tuple(blocks))


def _sums(report: ObservedReport) -> list[str]:
    if not report.nights:
        return [f"No window has reached its closing time in {count_of(report.days, 'day')}."]
    return list(filter(None, (_closed(report), _waited(report), _other(report), _unseen(report))))


def _closed(report: ObservedReport) -> str:
    times = count_of(report.closings, "time")
    if report.saved is None:
        return f"It would have closed {times}; what that saves is unknown."
    saved = money(abs(report.saved))
    if not report.saved:
        return f"It would have closed {times} and saved nothing."
    if report.saved < 0:
        return f"It would have closed {times} and cost about {saved} more."
    return f"It would have closed {times} and saved about {saved}."


def _waited(report: ObservedReport) -> str:
    waits = report.waits
    if not waits:
        return "No meeting would have been waited for."
    meetings = count_of(sum(n.rooms or 0 for n in waits), "meeting")
    return f"It would have waited for {meetings}, {duration(sum(n.waited for n in waits))} in all."


def _other(report: ObservedReport) -> str:
    asked = report.with_outcome(NightOutcome.ASKED)
    began = report.with_outcome(NightOutcome.CLOSED, NightOutcome.STAYED)
    questions = len(asked) + sum(bool(n.asks) for n in began)
    stays = len(report.with_outcome(NightOutcome.STAYED, NightOutcome.MISSED))
    kept = len(report.with_outcome(NightOutcome.KEPT))
    parts = []
    if questions:
        parts.append(f"asked {count_of(questions, 'question')}")
    if stays:
        parts.append(f"stayed in service {count_of(stays, 'time')}")
    if kept:
        parts.append(f"been kept up {count_of(kept, 'time')}")
    if not parts:
        return ""
    return f"It would have {', '.join(parts)}."


def _unseen(report: ObservedReport) -> str:
    if not report.unseen:
        return ""
    return f"{count_of(report.unseen, 'night')} not seen: counted as nothing saved."


def observed_line(line: NightLine) -> str:
    """Return one night: `Thu 2 Dec 20:00: closed 20:42-07:30, waited 40 min, $3.10`."""
    night = line.night
    return markup(f"*{local_day(night)} {night.time}*: {_night(night, line)}")


def _night(night: ObservedNight, line: NightLine) -> str:
    if not night.was_seen:
        return full_stop(f"not seen: {_why_unseen(night)}")[:-1]
    match night.outcome:
        case NightOutcome.WAITING:
            return f"{_meetings(night)} now waited for"
        case NightOutcome.CLOSED:
            return ", ".join(filter(None, (_hours(night), _wait(night), _saved(night, line))))
        case NightOutcome.ASKED:
            return f"{_meetings(night)}: people would have been asked"
        case NightOutcome.KEPT:
            return f"stays in service: {escape(night.why)}"
        case _:
            asked = ", after a question" if night.asks else ""
            return f"would have stayed in service: {escape(night.why)}{asked}"


def _why_unseen(night: ObservedNight) -> str:
    if night.blind:
        return f"no look for {duration(night.blind)}"
    return escape(night.why)


def _meetings(night: ObservedNight) -> str:
    if night.rooms is None:
        return "an unknown number of meetings"
    return count_of(night.rooms, "meeting")


def _hours(night: ObservedNight) -> str:
    if not night.opened:
        return "closed since then"
    return f"closed {duration(night.opened - night.closed)}"


def _wait(night: ObservedNight) -> str:
    if not night.rooms or night.waited <= 0:
        return ""
    most = "" if night.exact else "at most "
    waited = f"after {most}{duration(night.waited)} for {_meetings(night)}"
    return f"{waited} and a question" if night.asks else waited


def _saved(night: ObservedNight, line: NightLine) -> str:
    if not night.opened:
        return ""
    if line.saved is None:
        return "saving unknown"
    return f"{money(line.saved)}"
