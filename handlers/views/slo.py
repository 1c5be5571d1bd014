"""How well a cluster's promises were kept, as a card, a line and a metric's words. Pure."""

from handlers.slack.blocks import Block, Card, context, escape, fields, header, section
from handlers.slack.markup import date
from handlers.views.text import without_formatting
from services.common.text import count_of, duration, join_words
from services.schedule.slo import Answers, Disconnected, Kept, ServiceTime, SloReport
from services.schedule.slo_reader import CheckedReport

NAMES = {
    "ready": "ready in time",
    "unattended": "closed without a question",
    "service": "unplanned outage",
    "answers": "answers in time",
    "disconnected": "people disconnected",
}
LEAST = 60.0  # seconds of unknown time that are mentioned
NOTHING = "nothing to measure"


def slo_card(checked: CheckedReport) -> Card:
    """Return the card of a span: what was missed first, then each promise."""
    report = checked.report
    head = f"{report.cluster}: promises, {report.span.words}"
    decides, facts, foot = _decides(report), slo_fields(report), _foot(checked)
    blocks: list[Block] = [header(head), section(decides), fields(*facts), context(foot)]
    spoken = "; ".join(f"{label}: {value}" for label, value in facts)
    return Card(without_formatting(f"{head}. {decides} {spoken}. {foot}"), tuple(blocks))


def _decides(report: SloReport) -> str:
    if report.missed:
        return f":warning: *Missed: {join_words([NAMES[name] for name in report.missed])}.*"
    unknown = [NAMES[name] for name, (share, _) in report.shares.items() if share is None]
    if len(unknown) == len(report.shares):
        return "Nothing is measured yet. It begins with the first off-hours window."
    return "Every objective that could be measured is met."


def slo_fields(report: SloReport) -> list[tuple[str, str]]:
    """Return each promise with what became of it."""
    wanted = report.objectives
    return [
        ("Ready in time", f"{_ready(report.ready)}{_target(report.ready, wanted.ready)}"),
        (
            "Closed without a question",
            f"{_kept(report.unattended)}{_target(report.unattended, wanted.unattended)}",
        ),
        ("Disconnected, on no card", _disconnected(report.disconnected)),
        ("Unplanned outage", f"{_service(report.service)}"),
        ("Time to an answer", _answers(report.answers)),
    ]


def slo_line(report: SloReport) -> str:
    """Return one line for Home and the monthly report; "" where nothing is measured."""
    if all(share is None for share, _ in report.shares.values()):
        return ""
    if report.missed:
        said = f":warning: missed: {join_words([NAMES[name] for name in report.missed])}"
    else:
        said = "objectives met"
    ready = f"ready {report.ready.good} of {report.ready.total}"
    people = report.disconnected.people
    return f"Promises, {report.span.words}: {said} ({ready}, {people} disconnected on no card)"


def _kept(kept: Kept) -> str:
    return f"{kept.good} of {kept.total}" if kept.total else NOTHING


def _ready(kept: Kept) -> str:
    if not kept.worst:
        return _kept(kept)
    return f"{_kept(kept)}, at most {duration(kept.worst)} late"


def _target(kept: Kept, target: float) -> str:
    if kept.share is None or kept.share >= target:
        return ""
    return f" (target {percent(target)})"


def percent(share: float) -> str:
    """Return `99.9%`, without zeros behind."""
    return f"{share * 100:.10g}%"


def _disconnected(seen: Disconnected) -> str:
    since = f"since {date(seen.since)}"
    if not seen.incidents:
        return f"0, {since}"
    counted = f"{seen.people} people"
    if seen.people == 1:
        counted = "1 person"
    if seen.uncounted:
        counted += f", and {count_of(seen.uncounted, 'time')} an unknown number"
    return f"*{counted}*, newest {date(seen.since)}"


def _service(seen: ServiceTime) -> str:
    if seen.share is None:
        return "not observed"
    words = "none"
    if seen.unplanned:
        words = f"*{duration(seen.unplanned)}* in {count_of(seen.outages, 'outage')}"
    if seen.unknown >= LEAST:
        words += f"; {duration(seen.unknown)} unknown"
    return words


def _answers(seen: Answers) -> str:
    half, most = seen.quantile(0.5), seen.quantile(0.95)
    if not seen.total:
        return "none needed"
    words = f"{count_of(seen.unanswered, 'question')} unanswered" if seen.unanswered else ""
    if half is None or most is None:
        return words
    took = f"half within {duration(half)}, 95% within {duration(most)} (of {len(seen.seconds)})"
    return f"{took}; {words}" if words else took


def _foot(checked: CheckedReport) -> str:
    report, parts = checked.report, []
    if checked.differences:
        parts.append(f":warning: The audit differs: {escape('; '.join(checked.differences))}")
    elif checked.checked_from is None:
        parts.append("Not compared: the audit has no such entries yet")
    elif checked.checked_from > report.span.since:
        parts.append(f"Confirmed by the audit since {date(checked.checked_from)}")
    else:
        parts.append("Confirmed by the audit")
    if report.known_from > report.span.since:
        parts.append(f"known since {date(report.known_from)}")
    if report.unread:
        parts.append(f":warning: {count_of(report.unread, 'run')} unreadable")
    return f"{' · '.join(parts)}. Unknown is never counted as kept."
