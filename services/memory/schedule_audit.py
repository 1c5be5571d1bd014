"""Maps changes of a schedule document to audit entries.

Pure. What the bot itself notes is no entry, except what promises to people are measured by: a
window that asks whether to close, and a time of a window that was missed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from services.access.policy import Actor
from services.audit.entries import AuditAction, AuditRecord
from services.windows import Exceptions, Window


class OutboxEntry(Protocol):
    """The parts of an announcement that are audited."""

    @property
    def name(self) -> str: ...
    @property
    def until(self) -> float: ...
    @property
    def calls(self) -> bool: ...


class AuditedSchedule(Protocol):
    """The parts of a schedule document that people decide about."""

    @property
    def named_windows(self) -> tuple[Window, ...]: ...
    @property
    def exceptions(self) -> Exceptions: ...
    @property
    def answers(self) -> tuple[tuple[str, Actor], ...]: ...
    @property
    def runs(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def done(self) -> tuple[str, ...]: ...
    @property
    def outbox(self) -> Sequence[OutboxEntry]: ...


ASK, MISSED = "/ask", "/missed"
OPENS, CLOSES = "-open@", "-close@"


@dataclass(frozen=True)
class EdgeEvent:
    """What became of a time of a window, apart from a run.

    `what`: `asked` (operators may answer until `until`), `answered`, or `missed`.
    """

    what: str
    edge: str
    until: float = 0.0


def edge_events(before: AuditedSchedule, after: AuditedSchedule) -> tuple[EdgeEvent, ...]:
    """Return what a change of the document says about times of windows."""
    new = [a for a in after.outbox if a.name not in before.done]
    asked = [EdgeEvent("asked", a.name.removesuffix(ASK), a.until) for a in new if _asks(a)]
    missed = [EdgeEvent("missed", a.name.removesuffix(MISSED)) for a in new if _misses(a)]
    answered = [
        EdgeEvent("answered", name.removesuffix(ASK))
        for name, who in after.answers
        if (name, who) not in before.answers
    ]
    return (*asked, *missed, *answered)


def _asks(said: OutboxEntry) -> bool:
    return said.name.endswith(ASK) and CLOSES in said.name


def _misses(said: OutboxEntry) -> bool:
    """Return whether a time was missed that no person or calendar had called off."""
    return said.name.endswith(MISSED) and said.calls and (OPENS in said.name or CLOSES in said.name)


def schedule_audit_records(
    before: AuditedSchedule, after: AuditedSchedule, by: Actor | None
) -> tuple[AuditRecord, ...]:
    """Return the decisions in a change of the document."""
    return (
        *_windows(before, after, by),
        *_exceptions(before.exceptions, after.exceptions, by),
        *_answers(before, after),
        *_edges(before, after),
    )


def _edges(before: AuditedSchedule, after: AuditedSchedule) -> Iterator[AuditRecord]:
    for event in edge_events(before, after):
        if event.what == "asked":
            now = f"close now? until {_second(event.until)}"
            yield AuditRecord(AuditAction.WAITS, None, event.edge, "", "", now)
        elif event.what == "missed":
            yield AuditRecord(AuditAction.MISSED, None, event.edge)


def _windows(
    before: AuditedSchedule, after: AuditedSchedule, by: Actor | None
) -> Iterator[AuditRecord]:
    old = {w.name: w.to_text() for w in before.named_windows}
    new = {w.name: w.to_text() for w in after.named_windows}
    runs = dict(after.runs)
    for name in sorted({*old, *new}):
        was, now = old.get(name, ""), new.get(name, "")
        if was == now:
            continue
        why = ""
        if now and by is None:
            why = f"run {runs[name]}" if runs.get(name) else "from the settings file"
        yield AuditRecord(_window_action(was, now), by, name, why, was, now)


def _window_action(was: str, now: str) -> AuditAction:
    if not was:
        return AuditAction.WINDOW_ADDED
    return AuditAction.WINDOW_CHANGED if now else AuditAction.WINDOW_REMOVED


def _exceptions(before: Exceptions, after: Exceptions, by: Actor | None) -> Iterator[AuditRecord]:
    ends = {h.since: h.until for h in before.holds}
    for hold in after.holds:
        if hold.since not in ends:
            yield AuditRecord(
                AuditAction.HELD, by, "hold", hold.reason, "", f"until {_moment(hold.until)}"
            )
        elif hold.until < ends[hold.since]:
            was = f"until {_moment(ends[hold.since])}: {hold.reason}"
            yield AuditRecord(AuditAction.UNHELD, by, "hold", "", was, "")
    for kept in after.keep_ups:
        if kept not in before.keep_ups:
            yield AuditRecord(
                AuditAction.KEPT, by, "hours", kept.reason, "", f"until {_moment(kept.until)}"
            )
    if days := [d for d in after.off if d not in before.off]:
        yield AuditRecord(AuditAction.SKIPPED, by, "hours", "", "", ", ".join(days))


def _answers(before: AuditedSchedule, after: AuditedSchedule) -> Iterator[AuditRecord]:
    for name, who in after.answers:
        if (name, who) not in before.answers:
            yield AuditRecord(
                AuditAction.CLOSING, who, name.removesuffix("/ask"), "", "asked", "close now"
            )


def _second(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S UTC}"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M UTC}"
