"""What reaches people beside the cards: calls to approvers, the weekly digest, its settings.

`OPENVIDU_BOT_UPDATE=1 pytest tests/laws/test_notices.py` writes the golden files anew.
"""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from handlers.slack.blocks import Card
from handlers.views.approvals import (
    approval_expires,
    approval_needed,
    called,
    expired_notice,
)
from handlers.views.digest import weekly_digest_card
from handlers.views.notifications import notifications_form
from handlers.views.text import text_card
from services.memory.notifications import Delivery, NotificationSettings
from services.procedures import Shutdown
from services.procedures.plan import make_plan
from services.runs.request import Request, RequestState
from services.runs.run import State
from services.schedule.usage import facts_of
from services.schedule.weekly_digest import (
    MeetingsRecord,
    MissedSchedule,
    ReadyRecord,
    Week,
    WeeklyDigest,
    WeekOnTheBill,
    digest_of,
    week_before,
)
from tests.laws.test_cards import fit_to_send
from tests.laws.test_usage import at, month
from tests.support.clusters import ANA, BEN, NOW, ready
from tests.support.goldens import as_json, check_golden

GOLDEN = Path(__file__).parent / "golden" / "notices"
WEEK = Week(at(9, 0), at(16, 0), "UTC", "2026-11-16")
GOOD = WeeklyDigest(
    "acme",
    WEEK,
    ((State.DONE, 11),),
    by_people=1,
    ready=ReadyRecord(5, 5, 0.0),
    meetings=MeetingsRecord(5, 2520.0),
    bill=WeekOnTheBill(Decimal("9.84"), Decimal("57.5")),
)
BAD = WeeklyDigest(
    "acme",
    WEEK,
    ((State.DONE, 8), (State.ABANDONED, 1), (State.CANCELLED, 1)),
    by_people=2,
    ready=ReadyRecord(5, 3, 1260.0),
    meetings=MeetingsRecord(4, 7200.0, 1),
    missed=(MissedSchedule("nights", closes=True, local="2026-11-11T20:00"),),
)


def asked() -> Request:
    plan = make_plan(ready(3), Shutdown())
    return Request(
        "a" * 32, plan, ANA, "power work in ams3", NOW, NOW + 1800, 2, "it stops the masters"
    )


def shown() -> dict[str, Card | dict[str, Any]]:
    request = asked()
    expired = request.closed(RequestState.EXPIRED, NOW + 1800)
    chosen = NotificationSettings(approvals=Delivery.DIRECT, digest=Delivery.CHANNEL)
    return {
        "approval-needed": approval_needed(request, ["UBEN", "S0SEC"]),
        "approval-needed-direct": approval_needed(request, []),
        "approval-expires": approval_expires(replace(request, approvals=(BEN,)), ["UCARLA"]),
        "expired": text_card(expired_notice(expired)),
        "expired-half": text_card(expired_notice(replace(expired, approvals=(BEN,)))),
        "expired-own": text_card(expired_notice(replace(expired, needs=0))),
        "weekly-digest": weekly_digest_card(GOOD, ("UANA",)),
        "weekly-digest-trouble": weekly_digest_card(BAD),
        "notifications": notifications_form(chosen),
    }


NAMES = sorted(shown())


@pytest.mark.parametrize("name", NAMES)
def test_notices_look_as_they_did(name: str) -> None:
    made = shown()[name]
    told: dict[str, Any] = {"view": made}
    if isinstance(made, Card):
        fit_to_send(made)
        told = {"text": made.text, "blocks": list(made.blocks)}
    text = as_json(told)
    check_golden(GOLDEN / f"{name}.json", text)


def test_no_golden_file_is_left_over() -> None:
    assert sorted(p.stem for p in GOLDEN.glob("*.json")) == NAMES


def test_very_many_people_are_counted() -> None:
    text = called(f"U{n:03d}" for n in range(30))
    assert text.startswith("<@U000> <@U001> ")
    assert text.endswith("<@U019> and 10 more")


# The week


@pytest.mark.parametrize(
    ("moment", "monday"),
    [
        (at(16, 7.99), ""),
        (at(16, 8), "2026-11-16"),
        (at(16, 23.99), "2026-11-16"),
        (at(17, 8), ""),
    ],
)
def test_it_is_due_on_monday_morning(moment: float, monday: str) -> None:
    week = week_before(moment, "UTC")
    assert (week.monday if week else "") == monday


def test_a_week_with_a_clock_change_is_an_hour_longer() -> None:
    moment = datetime(2026, 10, 26, 9, tzinfo=UTC).timestamp()
    week = week_before(moment, "Europe/Madrid")
    assert week is not None
    assert week.until - week.since == 7 * 86400 + 3600


def test_weeks_add_up_to_what_the_months_saved() -> None:
    """Four weeks and the days around them: no cent is counted twice, and none is lost."""
    facts = facts_of(month(), at(31, 0))
    mondays = [at(1, 0), at(2, 0), at(9, 0), at(16, 0), at(23, 0), at(30, 0), at(31, 0)]
    parts = [
        digest_of("acme", Week(since, until, "UTC", ""), [], (), facts).bill
        for since, until in pairwise(mondays)
    ]
    whole = digest_of("acme", Week(at(1, 0), at(31, 0), "UTC", ""), [], (), facts).bill
    assert whole is not None
    assert sum(p.saving for p in parts if p) == whole.saving
    assert sum(p.closed for p in parts if p) == whole.closed


def test_what_was_never_recorded_is_unknown_and_not_nothing() -> None:
    made = digest_of("acme", WEEK, [], (), None)
    assert made.bill is None
    assert made.is_empty
    assert "unknown (nothing was recorded)" in str(weekly_digest_card(made).blocks)


def test_missed_edges_of_that_week_are_listed() -> None:
    done = (
        "nights-close@2026-11-11T20:00/missed",
        "nights-open@2026-11-12T07:30/missed",
        "nights-open@2026-11-19T07:30/missed",
        "nights-close@2026-11-10T20:00",
        "nights-close@2026-11-10T20:00/notice",
        "nights-close@yesterday/missed",
    )
    made = digest_of("acme", WEEK, [], done, None)
    assert [(m.closes, m.local) for m in made.missed] == [
        (True, "2026-11-11T20:00"),
        (False, "2026-11-12T07:30"),
    ]
    assert not made.is_empty
