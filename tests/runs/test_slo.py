"""How well promises were kept: two readings that share no code agree, and find what was planted."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from services.audit.entries import AuditAction, Entry, read_entry
from services.audit.promises import AuditedPromises, audited
from services.memory.promises import PromiseRecord
from services.schedule import slo
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
    assert found(first) == pytest.approx(wanted) or found(first) == wanted
    assert differences(first, second) == []
