"""The slo command, its line in Home and in the monthly report, over real nights."""

import pytest

from handlers.updates.announcements import with_line
from handlers.views.slo import slo_card, slo_line
from handlers.views.text import MOST_WORDS
from services.schedule.slo import Kept, Objectives, SloReport, Span
from services.schedule.slo_reader import CheckedReport, last_days
from tests.laws.first_screen import words
from tests.support import virtual
from tests.support.scene import Scene

# 2027-01-15 19:50 UTC, ten minutes before the window closes.
BEGINS = 1_800_042_600.0
SITE = {"windows": ["nights Mon-Sun 20:00-07:30 UTC"], "timezone": "UTC"}


def test_a_night_on_schedule_is_measured_and_confirmed_by_the_audit() -> None:
    async def story() -> None:
        async with Scene(origin=BEGINS, site=SITE, media=2) as scene:
            await scene.wait(12 * 3600)
            now = scene.clock.now()
            checked = await scene.bot.scheduler.slo.checked("acme", last_days(now, 1))
            report = checked.report
            assert (report.ready.good, report.ready.total) == (1, 1)
            assert (report.unattended.good, report.unattended.total) == (1, 1)
            assert report.service.unplanned == 0
            assert report.service.kept > 11.5 * 3600
            assert report.disconnected.people == 0
            assert checked.differences == ()
            assert checked.checked_from is not None
            await scene.ana.type_text("COPS", "/openvidu slo 1")
            said = (await scene.ephemeral("UANA", "promises")).text or ""
            assert "1 of 1" in said
            assert "Confirmed by the audit" in said

    virtual.run(story())


def test_an_outage_that_no_plan_explains_is_counted_once() -> None:
    async def story() -> None:
        async with Scene(origin=BEGINS - 6 * 3600, site=SITE, media=2) as scene:
            scene.promises = False  # masters that fail break what the estate expects
            await scene.wait(1800)
            for master in scene.estate.masters("acme"):
                master.status = "off"
            await scene.wait(900)
            now = scene.clock.now()
            checked = await scene.bot.scheduler.slo.checked("acme", last_days(now, 1))
            assert checked.report.service.outages == 1
            assert checked.report.service.unplanned == pytest.approx(900, abs=90)
            assert "service" in checked.report.missed
            assert checked.differences == ()

    virtual.run(story())


@pytest.mark.parametrize("text", ["x", "0", "2026-13", "400"])
def test_another_time_is_refused_with_an_example(text: str) -> None:
    async def story() -> None:
        async with Scene() as scene:
            await scene.ana.type_text("COPS", f"/openvidu slo {text}")
            await scene.ephemeral("UANA", "slo 2026-11")

    virtual.run(story())


def test_a_card_fits_a_phone_and_says_first_what_was_missed() -> None:
    span = Span(BEGINS, BEGINS + 86400.0, "last 24 h")
    report = SloReport("acme", span, Objectives(), BEGINS, ready=Kept(1, 2, 700.0))
    card = slo_card(CheckedReport(report, ("ready by: (1, 2) in the journals",), BEGINS))
    assert "Missed: ready in time" in str(card.blocks[1])
    assert words(card.text) <= MOST_WORDS
    assert "not observed" in card.text, "what is not known is never counted as kept"
    assert "The audit differs" in card.text
    assert slo_line(report).startswith("Promises, last 24 h: :warning: missed: ready in time")
    assert slo_line(SloReport("acme", span, Objectives(), BEGINS)) == ""
    assert with_line(card, "") is card
    assert "more" in with_line(card, "more").text
