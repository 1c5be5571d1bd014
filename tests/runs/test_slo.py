"""How well promises were kept: two readings that share no code agree, and find what was planted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from services.audit.entries import AuditAction, Entry, read_entry
from services.audit.promises import AuditedPromises, audited
from services.memory.promise_records import PromiseRecord
from services.schedule.slo import Objectives, RunFacts, SloReport, Span, measure, run_facts
from services.schedule.slo_reader import differences
from tests.support import virtual
from tests.support.coverage_level import by_level
from tests.support.promised_month import FIRST, NAME, Month

DAYS = by_level(10, 20, 30)
EVER = Span(FIRST, FIRST + 400 * 86400.0, "all of it")


async def written(month: Month) -> tuple[list[RunFacts], list[PromiseRecord], list[Entry]]:
    """What is stored of a month."""
    names = await month.journal.latest(NAME, 1000)
    runs = [run_facts(await month.journal.run(n), await month.journal.events(n)) for n in names]
    texts = await month.journal.chain.texts(NAME)
    return runs, await month.log.read(NAME), [e for e in map(read_entry, texts) if e is not None]


def both(seed: int, span: Span = EVER) -> tuple[Month, SloReport, AuditedPromises]:
    async def story() -> tuple[Month, SloReport, AuditedPromises]:
        month = await Month(seed).play(DAYS)
        runs, records, entries = await written(month)
        first = measure(NAME, span, runs, records, Objectives(), month.at)
        return month, first, audited(entries, span.since, span.until, month.at)

    return virtual.run(story())


def found(first: SloReport) -> dict[str, Any]:
    return {
        "ready": [first.ready.good, first.ready.total],
        "unattended": [first.unattended.good, first.unattended.total],
        "people": first.disconnected.people,
        "uncounted": first.disconnected.uncounted,
        "outages": first.service.outages,
        "unplanned": first.service.unplanned,
        "answers": list(first.answers.seconds),
        "unanswered": first.answers.unanswered,
    }


@pytest.mark.parametrize("seed", range(by_level(6, 60, 400)))
def test_both_readings_find_what_was_planted_and_nothing_else(seed: int) -> None:
    month, first, second = both(seed)
    wanted = {**vars(month.planted), "answers": sorted(month.planted.answers)}
    assert found(first) == wanted
    assert differences(first, second) == []


@pytest.mark.parametrize("seed", range(3))
def test_weeks_add_up_to_the_month_in_both_readings(seed: int) -> None:
    async def story() -> None:
        month = await Month(seed).play(DAYS)
        runs, records, entries = await written(month)
        week = 7 * 86400.0
        spans = [Span(FIRST + n * week, FIRST + (n + 1) * week, "") for n in range(6)]
        reports = [measure(NAME, s, runs, records, Objectives(), month.at) for s in spans]
        whole = measure(NAME, EVER, runs, records, Objectives(), month.at)
        for span, report in zip(spans, reports, strict=True):
            assert differences(report, audited(entries, span.since, span.until, month.at)) == []
        assert sum(r.ready.total for r in reports) == whole.ready.total
        assert sum(r.unattended.good for r in reports) == whole.unattended.good
        assert sum(r.disconnected.people for r in reports) == whole.disconnected.people
        assert sum(r.answers.total for r in reports) == whole.answers.total
        assert sum(r.service.unplanned for r in reports) == whole.service.unplanned

    virtual.run(story())


# One corrupted reading is noticed

COUNTED = (
    AuditAction.WAITS,
    AuditAction.ANSWERED,
    AuditAction.ENDS_MEETINGS,
    AuditAction.MISSED,
    AuditAction.SERVICE,
)


@pytest.mark.parametrize("what", COUNTED)
def test_an_audit_that_lacks_entries_differs(what: AuditAction) -> None:
    async def story() -> int:
        noticed = 0
        for seed in range(4):
            month = await Month(seed).play(DAYS)
            runs, records, entries = await written(month)
            fewer = [e for e in entries if e.what != what]
            first = measure(NAME, EVER, runs, records, Objectives(), month.at)
            assert differences(first, audited(entries, FIRST, EVER.until, month.at)) == []
            noticed += bool(differences(first, audited(fewer, FIRST, EVER.until, month.at)))
        return noticed

    assert virtual.run(story()) >= 3


Corrupt = Callable[[RunFacts], RunFacts]
CORRUPT: dict[str, Corrupt] = {
    "ready in time after all": lambda r: (
        replace(r, ended=min(r.ended or r.by, r.by)) if r.by else r
    ),
    "no one was asked": lambda r: replace(r, waits=()),
    "no one was disconnected": lambda r: replace(r, unnamed=()),
    "never paused": lambda r: replace(r, pauses=()),
}


@pytest.mark.parametrize("lie", sorted(CORRUPT))
def test_a_journal_that_tells_better_differs(lie: str) -> None:
    async def story() -> int:
        noticed = 0
        for seed in range(5):
            month = await Month(seed).play(DAYS)
            runs, records, entries = await written(month)
            better = [CORRUPT[lie](r) for r in runs]
            first = measure(NAME, EVER, better, records, Objectives(), month.at)
            noticed += bool(differences(first, audited(entries, FIRST, EVER.until, month.at)))
        return noticed

    assert virtual.run(story()) >= 2
