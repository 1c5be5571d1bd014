"""Scaling by the forecast: the card, the permission within its quota, and what is in its way."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.billing.demand import QuarterCounts
from services.memory.scaling import read_scaling
from services.runs.run import State
from services.steps import Drain
from services.store import Commit
from services.store.keys import quarters_key, scaling_key
from tests.support import virtual
from tests.support.scene import ORIGIN, Scene
from tests.support.stories import request_and_approve

PER_NODE = {"people_per_node": 20}
# In a scene, which begins on a Friday morning: 2027-01-15 08:00 UTC
BUSY = (10, 12)  # from 10:00 to 12:00 on each day


def history(weeks: int = 6, quiet: int = 10, busy: int = 90, of: float = ORIGIN) -> QuarterCounts:
    """Return counts of so many weeks: few people, and many from 10:00 to 12:00 UTC."""
    today = datetime.fromtimestamp(of, UTC).date()
    day = [[busy, 6] if BUSY[0] * 4 <= q < BUSY[1] * 4 else [quiet, 2] for q in range(96)]
    return {f"{today - timedelta(days=d)}": day for d in range(1, 7 * weeks + 1)}


async def remember(scene: Scene, counts: QuarterCounts) -> None:
    await scene.store.commit(Commit(puts={quarters_key("acme"): json.dumps(counts)}))


async def numbers(scene: Scene) -> list[int]:
    """Return the numbers that the forecast has scaled to."""
    (text,) = await scene.store.get(scaling_key("acme"))
    return [c.number for c in read_scaling(text).changes]


def media(scene: Scene) -> list[str]:
    return [d.name for d in scene.estate.media("acme")]


async def allow(scene: Scene, words: str = "2-5 20") -> None:
    await request_and_approve(scene, f"forecast allow {words}", "Allow scaling by the forecast")
    await scene.card("acme may be scaled by the forecast")


def test_the_card_proposes_a_number_with_its_price_and_risk_and_one_press_requests_it() -> None:
    async def story() -> None:
        async with Scene(site=PER_NODE) as scene:
            await remember(scene, history())
            await scene.ana.type_text("COPS", "/openvidu scale forecast")
            card = await scene.ephemeral("UANA", "acme needs 5 media nodes")
            shown = str(card.blocks)
            assert "90 people" in shown
            assert "a day more" in shown
            assert "too few in 0.0% of" in shown
            assert "with 3: 8.3% of" in shown
            assert "p95 of 6 weeks" in shown
            await scene.ana.press(card, "Start scaling…")
            await scene.card("acme has 5 media nodes")
            assert len(media(scene)) == 5

    virtual.run(story())


def test_without_the_setting_or_enough_weeks_nothing_is_guessed() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await remember(scene, history())
            await scene.ana.type_text("COPS", "/openvidu forecast")
            card = await scene.ephemeral("UANA", "no forecast yet")
            assert "people_per_node" in str(card.blocks)
            await scene.ana.type_text("COPS", "/openvidu forecast allow 2-5 20")
            await scene.ephemeral("UANA", "does not guess")
        async with Scene(site=PER_NODE) as scene:
            await remember(scene, history(weeks=2))
            await scene.ana.type_text("COPS", "/openvidu forecast")
            card = await scene.ephemeral("UANA", "no forecast yet")
            assert "2 weeks of meetings were counted" in str(card.blocks)

    virtual.run(story())


def test_it_scales_before_the_demand_and_drains_after_it() -> None:
    async def story() -> None:
        async with Scene(site=PER_NODE, media=2) as scene:
            await remember(scene, history())
            await allow(scene)
            await scene.wait(4000)  # 09:07: the demand of 10:00 is still an hour away
            assert await numbers(scene) == []
            await scene.wait(1800)
            assert await numbers(scene) == [5]
            await scene.wait(1000)
            assert len(media(scene)) == 5
            await scene.wait(5 * 3600)
            assert await numbers(scene) == [5, 2]
            runs = await scene.journal.latest("acme", 2)
            for name in runs:
                run = await scene.journal.run(name)
                assert run.state is State.DONE
                assert run.requester.mention == "the forecast"
                assert [a.user for a in run.approvers] == ["UBEN"]
            down = await scene.journal.run(runs[0])
            assert any(isinstance(step, Drain) for step in down.plan.steps)
            assert len(media(scene)) == 2

    virtual.run(story())


def test_the_quota_holds_nodes_dollars_and_changes() -> None:
    async def story() -> None:
        async with Scene(site=PER_NODE, media=2) as scene:
            await remember(scene, history())
            await allow(scene, "2-4 20 --changes 1")
            await scene.wait(8 * 3600)
            assert await numbers(scene) == [4], "5 were wanted, and then 2"
            await scene.ana.type_text("COPS", "/openvidu forecast")
            card = await scene.ephemeral("UANA", "By itself")
            assert "2 to 4 nodes, $20 a day, 1 of 1 change used" in str(card.blocks)

    virtual.run(story())


def test_the_plan_shows_exactly_what_is_allowed() -> None:
    async def story() -> None:
        async with Scene(site=PER_NODE) as scene:
            await scene.ana.type_text("COPS", "/openvidu forecast allow 2-5 20 --changes 4")
            card = await scene.card("Allow scaling by the forecast")
            shown = str(card.blocks)
            assert "between 2 and 5 media nodes until 2027-02-14" in shown
            assert "at most 4 changes a day, and $20 a day for nodes above 2" in shown
            assert "without further approval" in shown

    virtual.run(story())


@pytest.mark.parametrize("way", ["revoked", "expired", "to renew", "unknown", "held"])
@pytest.mark.sampled
def test_nothing_is_scaled_without_permission_or_knowledge(way: str) -> None:
    async def story() -> None:
        async with Scene(site=PER_NODE, media=2, policy={"confirm_windows_days": 1}) as scene:
            await remember(scene, {} if way == "unknown" else history())
            await allow(scene, f"2-5 20 --days {1 if way == 'expired' else 30}")
            if way == "revoked":
                await scene.ana.type_text("COPS", "/openvidu forecast revoke")
                await scene.ephemeral("UANA", "no longer scaled by the forecast")
            elif way == "held":
                await scene.ana.type_text("COPS", "/openvidu hold exams for 20h")
            elif way in ("expired", "to renew"):
                await scene.ana.type_text("COPS", "/openvidu hold exams for 23h")
                await scene.wait(25 * 3600)
            before = len(await scene.journal.latest("acme", 50))
            await scene.wait(6 * 3600)
            assert await numbers(scene) == []
            assert len(await scene.journal.latest("acme", 50)) == before
            if way == "expired":
                await scene.card("acme is no longer scaled by the forecast")

    virtual.run(story())


def test_two_bots_scale_once() -> None:
    async def story() -> None:
        async with Scene(site=PER_NODE, media=2) as scene:
            await remember(scene, history())
            await allow(scene)
            await scene.start_bot()
            await scene.wait(2 * 3600)
            assert await numbers(scene) == [5]

    virtual.run(story())


@pytest.mark.parametrize(
    ("kind", "says"),
    [("autoscaler", "autoscaler"), ("fixed", "Terraform"), ("co-located", "no media")],
)
def test_other_fleets_refuse_with_their_text(kind: str, says: str) -> None:
    async def story() -> None:
        single = {"deployment": "single node"}
        more: dict[str, Any] = single if kind == "co-located" else {"kind": kind}
        async with Scene(site=PER_NODE, **more) as scene:
            await scene.ana.type_text("COPS", "/openvidu forecast allow 2-5 20")
            answer = await scene.ephemeral("UANA", says)
            assert "scaled by the forecast" not in answer.text

    virtual.run(story())
