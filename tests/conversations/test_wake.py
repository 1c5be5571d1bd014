"""Wake-up: non-operators start what a window closed, within a quota and for a limited time."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.access.policy import Actor, ClusterPolicy
from services.common.errors import Refused
from services.runs.run import State
from services.schedule.wake_up import WEEK, WakeUps, spent
from services.windows import KeepUp
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import everything_read, run_ended

MADRID = ZoneInfo("Europe/Madrid")
EVENING = datetime(2026, 11, 25, 19, 57, tzinfo=MADRID).timestamp()  # a Wednesday
DORA = Actor("UDORA", "T0ACME")
Story = Callable[[Scene], Awaitable[None]]


def played(
    story: Story,
    *,
    wakers: list[str] | None = None,
    wake: dict[str, Any] | None = None,
    closes: bool = True,
) -> None:
    async def told_of() -> None:
        site: dict[str, Any] = {
            "timezone": "Europe/Madrid",
            "channel": "COPS",
            "windows": ["nights Mon-Fri 20:00-07:30"],
        }
        site["wake"] = wake or {"hours": 1}
        roles = {"operators": ["UANA", "UBEN"], "wakers": wakers or ["UDORA"]}
        async with Scene(media=2, origin=EVENING, roles=roles, site=site, pydo=False) as scene:
            if closes:
                await run_ended(scene)
            await story(scene)

    virtual.run(told_of())


def test_a_waker_starts_it_for_a_while_and_the_window_closes_it_again() -> None:
    async def story(scene: Scene) -> None:
        await scene.dora.type_text("COPS", '/openvidu wake --reason "a customer in Lima"')
        await scene.ephemeral("UDORA", "acme is starting. It closes again <!date")
        run = await run_ended(scene, run="acme-2")
        assert run.requester.is_window, "it is its window's run, by the window's approval"
        said = everything_read(scene)
        assert "acme was woken · It stays in service until <!date" in said
        assert "closed by nights, and closes again then. · <@UDORA> · a customer in Lima" in said
        (kept,) = (await scene.bot.operations.memory.books.read("acme"))[1].exceptions.keep_ups
        assert kept.woken
        assert kept.until - kept.since == pytest.approx(3600, abs=1)
        again = await run_ended(scene, run="acme-3")
        assert again.opened_at >= kept.until
        assert [m.on for m in scene.estate.masters("acme")] == [False] * 4
        await scene.ana.type_text("COPS", "/openvidu cost")
        assert "Kept up by <@UDORA>: 1 time" in (await scene.ephemeral("UANA", "saved")).text

    played(story)


def test_home_offers_it_to_whoever_may() -> None:
    async def story(scene: Scene) -> None:
        for who, offered in ((scene.dora, True), (scene.person("UCARLA"), False)):
            await who.open_home()
            await scene.wait(20)
            assert ("Wake up acme" in str(who.home())) is offered
        home = scene.dora.home()
        assert home is not None
        await scene.dora.press(home, "Wake up acme")
        await scene.run_is("acme-2", State.RUNNING, State.DONE)
        await run_ended(scene, run="acme-2")

    played(story)


def test_everybody_in_a_channel_may_where_the_settings_name_it() -> None:
    async def story(scene: Scene) -> None:
        await scene.wait(60)
        await scene.dora.type_text("COPS", "/openvidu wake")
        await scene.ephemeral("UDORA", "acme is starting. It closes again <!date")
        scene.slack.workspace.add_user("UEVE", "eve", "Eve")
        with pytest.raises(
            Refused,
            match=r"you may not use wake-up. Ask \[\[person UANA\]\] or \[\[person UBEN\]\]",
        ):
            await WakeUps(scene.bot.operations.service, scene.bot.scheduler).wake_up(
                "acme", Actor("UEVE", "T0ACME")
            )

    played(story, wakers=["COPS"])


@pytest.mark.parametrize("by", ["hold", "hand"])
def test_what_a_person_did_is_not_woken(by: str) -> None:
    async def story(scene: Scene) -> None:
        if by == "hold":
            await scene.ana.type_text("COPS", "/openvidu hold exams for 10h")
            await scene.wait(5)
        else:
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run="acme-2")
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await scene.card("Shut down acme")
            await scene.ben.press(card, "Approve")
            await run_ended(scene, run="acme-3")
        with pytest.raises(
            Refused,
            match=(
                r"acme is not closed by its window only: .*Ask \[\[person UANA\]\] or "
                r"\[\[person UBEN\]\]"
            ),
        ):
            await WakeUps(scene.bot.operations.service, scene.bot.scheduler).wake_up("acme", DORA)

    played(story)


def test_what_is_up_needs_no_waking() -> None:
    async def story(scene: Scene) -> None:
        await scene.wait(15)
        with pytest.raises(Refused, match="acme is not closed by a window now: open until"):
            await WakeUps(scene.bot.operations.service, scene.bot.scheduler).wake_up("acme", DORA)

    played(story, closes=False)


def test_no_more_than_the_quota_is_woken() -> None:
    async def story(scene: Scene) -> None:
        waking = WakeUps(scene.bot.operations.service, scene.bot.scheduler)
        await waking.wake_up("acme", DORA, "one")
        await run_ended(scene, run="acme-2")
        await run_ended(scene, run="acme-3")
        with pytest.raises(
            Refused,
            match=(
                r"you have used 1 wake-up of 1 in seven days; the next is possible in "
                r".*Ask \[\[person UANA\]\]"
            ),
        ):
            await waking.wake_up("acme", DORA, "two")

    played(story, wake={"hours": 0.25, "per_person": 1})


@pytest.mark.parametrize(
    ("ago", "by", "says"),
    [
        ((1.0, 2.0), "<@UDORA>", "you have used 2 wake-ups of 2"),
        ((1.0, WEEK + 1), "<@UDORA>", ""),
        ((1.0, 2.0), "<@UEVE>", ""),
        ((1.0, 2.0, 3.0), "<@UEVE>", "this cluster has used 3 wake-ups of 3"),
        ((), "", ""),
    ],
)
def test_a_week_is_counted_for_each_person_and_for_the_cluster(
    ago: tuple[float, ...], by: str, says: str
) -> None:
    now = EVENING
    woken = tuple(KeepUp(now - a, now - a + 60, by, woken=True) for a in ago)
    by_operators = tuple(KeepUp(now - n, now, "<@UDORA>") for n in range(1, 9))
    assert spent(
        (*woken, *by_operators), DORA, ClusterPolicy(wakes_each=2, wakes_all=3), now
    ).startswith(says)
    assert bool(
        spent((*woken, *by_operators), DORA, ClusterPolicy(wakes_each=2, wakes_all=3), now)
    ) is bool(says)
