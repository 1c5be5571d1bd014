"""Reads how well a cluster's promises were kept, from the journals; and again from the audit."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.audit.chain import AuditChain
from services.audit.entries import read_entry
from services.audit.promises import AuditedPromises, audited
from services.common.clock import Clock
from services.common.errors import BadRecord, Refused
from services.memory.promise_records import PromiseRecord
from services.memory.promises import PromiseLog
from services.operations.reader import ClusterReader
from services.schedule.slo import DAY, Objectives, RunFacts, SloReport, Span, measure, run_facts

MOST_RUNS = 2000  # that are read for one report
# Runs whose facts are remembered, of all clusters: half a kilobyte each.
REMEMBERED = 10_000
CHECKED = 2  # seconds by which the two readings may differ


@dataclass(frozen=True)
class CheckedReport:
    """A report, and in what the audit says otherwise; nothing where both are equal.

    `checked_from`: from when on the audit could be compared; None: not at all.
    """

    report: SloReport
    differences: tuple[str, ...] = ()
    checked_from: float | None = None


class SloReader:
    """Reads reports of clusters. `objectives`: by cluster, where they are not the defaults."""

    def __init__(
        self,
        reader: ClusterReader,
        log: PromiseLog,
        chain: AuditChain,
        clock: Clock,
        objectives: Mapping[str, Objectives],
    ) -> None:
        self._reader = reader
        self._log = log
        self._chain = chain
        self._clock = clock
        self._objectives = objectives
        self._facts: OrderedDict[str, RunFacts] = OrderedDict()

    async def report(self, name: str, span: Span) -> SloReport:
        """Return how well promises were kept in a span of time."""
        return await self._report(name, span, await self._log.read(name))

    async def _report(self, name: str, span: Span, records: Sequence[PromiseRecord]) -> SloReport:
        runs, known_from, unread = await self._runs(name)
        started = min((r.since for r in records if r.what == "service"), default=None)
        if known_from is None:
            known_from = started if started is not None else self._clock.now()
        objectives = self._objectives.get(name, Objectives())
        return measure(name, span, runs, records, objectives, self._clock.now(), known_from, unread)

    async def checked(self, name: str, span: Span) -> CheckedReport:
        """Return the report of a span, compared with what the audit says.

        Compared is the part of it since the audit has all that is needed.
        """
        now, records = self._clock.now(), await self._log.read(name)
        report = await self._report(name, span, records)
        entries = [e for e in map(read_entry, await self._chain.texts(name)) if e is not None]
        began = audited(entries, 0.0, 0.0, now).since
        since = max(span.since, began)
        if not began or since >= min(span.until, now):
            return CheckedReport(report)
        here = Span(since, span.until, span.words)
        first = await self._report(name, here, records)
        second = audited(entries, here.since, here.until, now)
        return CheckedReport(report, tuple(differences(first, second)), since)

    async def _runs(self, name: str) -> tuple[list[RunFacts], float | None, int]:
        """Return all runs, from when on they are known, and how many could not be read."""
        found, unread = [], 0
        for run_id in await self._reader.latest(name, MOST_RUNS):
            try:
                found.append(await self._one(run_id))
            except (Refused, BadRecord):
                unread += 1
        return found, min((r.opened for r in found), default=None), unread

    async def _one(self, run_id: str) -> RunFacts:
        known = self._facts.get(run_id)
        if known is not None:
            self._facts.move_to_end(run_id)
            return known
        run = await self._reader.run(run_id)
        facts = run_facts(run, await self._reader.events(run_id))
        if run.over:
            self._facts[run_id] = facts
            while len(self._facts) > REMEMBERED:
                self._facts.popitem(last=False)
        return facts

    def forget(self, _: object = None) -> None:
        """Drop everything that was read from the state: the state is lost."""
        self._facts.clear()


def differences(first: SloReport, second: AuditedPromises) -> list[str]:
    """Return in what two readings of the same time differ, in words."""
    pairs: list[tuple[str, object, object]] = [
        ("ready by", (first.ready.good, first.ready.total), second.ready),
        ("closings", (first.unattended.good, first.unattended.total), second.unattended),
        ("people disconnected", first.disconnected.people, second.people),
        ("uncounted disconnects", first.disconnected.uncounted, second.uncounted),
        ("outages", first.service.outages, second.outages),
        ("unanswered", first.answers.unanswered, second.unanswered),
        ("answers", len(first.answers.seconds), len(second.answers)),
    ]
    found = [f"{what}: {a} in the journals, {b} in the audit" for what, a, b in pairs if a != b]
    apart = abs(first.service.unplanned - second.unplanned)
    if apart > CHECKED * max(1, first.service.outages):
        found.append(f"outages differ by {apart:.0f} s")
    took = zip(first.answers.seconds, second.answers, strict=False)
    if any(abs(a - b) > CHECKED for a, b in took):
        found.append("answers took another time")
    return found


def last_days(now: float, days: int) -> Span:
    """Return the span of the last days."""
    return Span(now - days * DAY, now, "last 24 h" if days == 1 else f"last {days} days")


def month_span(year: int, month: int) -> Span:
    """Return a calendar month in UTC, as bills have it."""
    first = datetime(year, month, 1, tzinfo=UTC)
    after = (first + timedelta(days=31)).replace(day=1)
    return Span(first.timestamp(), after.timestamp(), f"{first:%B %Y}")
