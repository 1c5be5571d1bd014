"""The opening after a bad night.

More capacity is the safe direction, and people are alerted before users find the cluster closed.
The night is short, from 20:00 to 21:30, so that the tests are fast.
"""

from typing import Any

import pytest

from handlers.views.schedule import schedule_words
from services.cloud.clients.oncall import OnCallPage
from services.runs.run import State
from tests.procedures.test_windows import at, every_kind, play, until, up
from tests.support.scene import Scene

pytestmark = pytest.mark.nights(3)  # each is a night or more, and costs seconds

NIGHTS = "nights Mon-Fri 20:00-21:30"


def messages(scene: Scene, *parts: str) -> list[tuple[float, str]]:
    """Return when the channel got a message with all of these words, and its text."""
    return [
        (float(m.ts), m.text)
        for m in scene.ana.visible_messages("COPS")
        if all(w in m.text for w in parts)
    ]


def begins(kind: str) -> float:
    """Return when the start-up for 21:30 begins, before any start-up was measured.

    An autoscaler adds its nodes one after the other.
    """
    return at("2026-11-25T21:00" if kind.endswith("autoscaler") else "2026-11-25T21:20")


def night(story: Any, kind: str = "pool", start: str = "2026-11-25T19:57", **more: Any) -> None:
    """Configure a window in the settings, for each kind of fleet."""
    play(story, start, windows=[NIGHTS], kind=kind, **more)


def a_master(kind: str) -> str:
    """Return the name of one master of this kind of cluster."""
    return "acme-master-node" if kind.startswith("elastic") else "acme-master-node-3"


@every_kind
def test_a_closing_paused_halfway_does_not_keep_the_cluster_closed_in_the_morning(
    kind: str,
) -> None:
    async def story(scene: Scene) -> None:
        for act in ("shutdown", "power_off"):
            scene.environment.faults.add(
                "action", "ignored", match=f"{act} {a_master(kind)}", times=999
            )
        await until(scene, "2026-11-25T20:15")
        closing = await scene.run_is("acme-1", State.STOPPED)
        assert closing.edge == "nights-close@2026-11-25T20:00"
        everyone = "<@UANA>, <@UBEN> and <@UCARLA>, acme-1 is paused"
        (_,) = messages(scene, everyone, "until you choose Resume run or Abandon run")
        scene.environment.faults.rules.clear()
        await until(scene, "2026-11-25T21:30")
        assert up(scene), messages(scene)
        ((when, words),) = messages(scene, "acme opens", "Its shutdown acme-1")
        assert begins(kind) <= when < begins(kind) + 60
        assert "Its shutdown acme-1 was paused and is abandoned" in words
        assert (await scene.journal.run("acme-1")).state is State.ABANDONED
        assert (await scene.journal.run("acme-2")).state is State.DONE
        assert not messages(scene, "will not be in service")
        assert not messages(scene, "did not open")
        assert not messages(scene, "was not shut down")

    night(story, kind)


@every_kind
def test_a_blocked_opening_is_posted_within_a_minute_and_never_early(
    kind: str,
) -> None:
    """A person's run is paused and locks the cluster: people decide.

    They are alerted in time, and status shows it.
    """

    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-25T20:20")
        scene.environment.faults.add(
            "action", "ignored", match=f"power_on {a_master(kind)}", times=999
        )
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await scene.run_is("acme-2", State.STOPPED)
        await scene.wait(begins(kind) - scene.clock.now())
        assert not messages(scene, "21:30"), "nothing is late yet"
        await until(scene, "2026-11-25T21:29")
        ((when, words),) = messages(scene, "acme will not be in service by 21:30")
        assert begins(kind) < when <= begins(kind) + 75
        assert "about" not in words, "nothing moves, so nothing is estimated"
        assert "<@UANA>" in words
        assert "acme-2 (startup) is paused" in words
        assert not messages(scene, "did not open")
        await until(scene, "2026-11-25T21:33")
        ((when, words),) = messages(scene, "acme did not open at 21:30")
        assert at("2026-11-25T21:30") < when <= at("2026-11-25T21:31:15")
        assert "acme-2 (startup) is paused" in words
        for typed in ("status", "window list"):
            await scene.ana.type_text("COPS", f"/openvidu {typed}")
            await scene.ephemeral("UANA", "should be in service since")
        await scene.ana.open_home()
        await scene.ana.wait_for(
            lambda: (
                "should be in service since" in str(getattr(scene.ana.home(), "blocks", "")) or None
            ),
            120,
        )
        scene.environment.faults.rules.clear()
        await scene.ben.press(scene.cards_of(await scene.journal.run("acme-2"))[0], "Resume run")
        await scene.run_is("acme-2", State.DONE)
        await scene.wait(60)
        assert len(messages(scene, "did not open")) == 1
        assert "should be in service" not in schedule_words(
            await scene.bot.scheduler.schedule("acme")
        )

    night(story, kind)


@every_kind
def test_a_bot_that_returns_too_late_for_the_opening_alerts_and_starts_up(kind: str) -> None:
    """The start-up progresses, but too slowly: the delay is estimated and on-call is alerted.

    No one was alerted while no bot ran.
    """

    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-25T20:30")
        scene.kill()
        await until(scene, "2026-11-25T21:29")
        await scene.start_bot()
        await until(scene, "2026-11-25T21:33")
        ((when, words),) = messages(scene, "acme will not be in service by 21:30")
        assert when <= at("2026-11-25T21:31")
        assert "late" in words
        assert "<@UANA>" in words, "a person is called"
        await until(scene, "2026-11-25T22:00")
        assert up(scene)

    night(story, kind)


class Pager:
    """Receives on-call alerts and records them."""

    def __init__(self) -> None:
        self.pages: list[OnCallPage] = []

    async def send(self, page: OnCallPage) -> None:
        self.pages.append(page)


def test_an_ignored_alert_is_repeated_to_more_people_acknowledged_and_resolved() -> None:
    """A person's start-up is paused: reminders come at 15 min and 1 h, across a restart.

    On-call is alerted when the opening time cannot be met.
    """

    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-25T20:06")
        scene.environment.faults.add(
            "action", "ignored", match="power_on acme-master-node-3", times=999
        )
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        run = await scene.run_is("acme-2", State.STOPPED)
        stopped = scene.clock.now()
        await scene.wait(900 - 30)
        assert not messages(scene, "acme-2 is paused", "· waiting since")
        scene.kill()
        await scene.start_bot()
        pager = Pager()
        scene.bot.escalations._oncall = pager
        await scene.wait(60)
        (first,) = messages(scene, "acme-2 is paused", "· waiting since")
        assert "<@UANA>" in first[1]
        assert "<@UBEN>" not in first[1]
        await scene.wait(stopped + 3630 - scene.clock.now())
        again = messages(scene, "acme-2 is paused", "· waiting since")
        assert len(again) == 2
        assert "<@UBEN>" in again[1][1]
        assert not pager.pages, "the cluster may still open in time"
        await until(scene, "2026-11-25T21:25")
        assert not messages(scene, "Resolved"), (
            "it waits as before, and there is more to say about it now"
        )
        await until(scene, "2026-11-25T21:32")
        assert [p.action for p in pager.pages] == ["trigger"]
        assert pager.pages[0].severity == "critical"
        await until(scene, "2026-11-25T21:37")
        card = await scene.card("acme should be in service and is not · acme-2 (startup) is paused")
        await scene.dora.press(card, "Acknowledge")
        await scene.ephemeral("UDORA", "Only operators")
        await scene.ben.press(card, "Acknowledge")
        await scene.card("<@UBEN> has acknowledged")
        assert [p.action for p in pager.pages if p.key == pager.pages[0].key][-1] == "acknowledge"
        count = len(messages(scene, "acme should be in service and is not", "waiting since"))
        await scene.wait(3700)
        assert (
            len(messages(scene, "acme should be in service and is not", "waiting since")) == count
        )
        scene.environment.faults.rules.clear()
        await scene.ben.press(scene.cards_of(run)[0], "Resume run")
        await scene.run_is("acme-2", State.DONE)
        await scene.card("Resolved · acme should be in service and is not")
        assert pager.pages[-1].action == "resolve"
        assert pager.pages[-1].key == pager.pages[0].key

    night(story)


def test_a_hold_that_keeps_it_from_opening_is_not_forgotten() -> None:
    async def story(scene: Scene) -> None:
        await until(scene, "2026-11-25T20:15")
        await scene.ana.type_text("COPS", '/openvidu hold "new firewall" until tomorrow 12:00')
        await until(scene, "2026-11-25T21:29")
        assert not messages(scene, "did not open at 21:30")
        await until(scene, "2026-11-25T21:50")
        (message,) = messages(scene, "acme is still on hold", "it did not open at 21:30")
        assert "<@UANA>" in message[1]
        await scene.ana.type_text("COPS", "/openvidu unhold")
        await scene.card("Resolved · acme is still on hold")

    night(story)
