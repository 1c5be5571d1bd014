"""Findings of the campaign, one test each: what went wrong, and what must not follow."""

from dataclasses import replace

import pytest

from services.cluster.model import Cluster, NodeStatus
from services.common.errors import Unreachable
from services.runs.run import Run, State
from services.steps import Drain, MediaGone, PowerOff
from simulators.faults import WorldFaults
from simulators.slack.faults import SlackFault
from tests.support import virtual
from tests.support.clusters import ready
from tests.support.scene import Scene
from tests.support.stories import (
    everything_read,
    question,
    request_and_approve,
    run_ended,
    with_buttons,
)

BIG = "s-8vcpu-16gb"


def looking(cluster: Cluster, look: NodeStatus) -> Cluster:
    return replace(cluster, media=tuple(replace(n, look=look) for n in cluster.media))


def all_up(scene: Scene, media: int) -> bool:
    estate = scene.estate
    return (
        all(estate.healthy(m) for m in estate.masters("acme"))
        and len(estate.serving("acme")) == media
    )


@pytest.mark.parametrize("policy", ["ask", "keep_one"])
@pytest.mark.parametrize("words", [f"resize masters {BIG}", "backup create --offline"])
def test_a_refused_zero_in_the_middle_of_more_does_not_end_it_there(
    words: str, policy: str
) -> None:
    """The masters were left off, and the run said that it was done."""

    async def story() -> None:
        async with Scene(media=2, allow_zero="refused", policy={"zero_refused": policy}) as scene:
            scene.estate.allow_to_stay(d.id for d in scene.estate.media("acme"))
            await request_and_approve(scene, words, "acme")
            if policy == "ask":
                await scene.ben.press(
                    await question(scene),
                    "Keep 1 media node running ($0.07/h), power off the masters",
                )
            await run_ended(scene)
            assert all_up(scene, 2)
            assert scene.estate.pool("acme").target == 2
            assert (
                words.startswith("backup")
                or [m.size for m in scene.estate.masters("acme")] == [BIG] * 4
            )
            assert set(scene.estate.signals.values()) == {1}

    virtual.run(story())


def test_a_node_that_still_installs_itself_is_nobody_to_keep() -> None:
    """It runs nothing yet, as a drained one does; but it would serve with its masters off."""
    cluster = ready(1)
    node = cluster.media[0]
    masters = PowerOff(tuple(m.name for m in cluster.masters), kept=(node.id,))
    blank = looking(cluster, NodeStatus(start="", running=()))
    drained = looking(cluster, NodeStatus(start="t1", running=(), drain_marked=True))
    gone, last = MediaGone(kept=(node.id,), keep=1), Drain((node.id,), pool_follows=False)
    assert not gone.is_done(blank)
    assert "media-1 not deleted yet" in masters.blocker(blank)
    assert not last.is_done(blank)
    assert not last.needs_ask(blank, 0), "there is no start of it that could be signalled"
    assert gone.is_done(drained)
    assert masters.blocker(drained) == ""
    assert last.is_done(drained)
    assert Drain((node.id,)).is_done(blank), "what is removed afterwards need only be empty"


def test_the_node_that_may_have_to_stay_is_not_told_to_delete_itself() -> None:
    """The drained node was deleted by the vendor's script, and the pool replaced it."""

    async def story() -> None:
        site = {"drain": {"method": "script"}}
        async with Scene(
            media=2, allow_zero="refused", policy={"zero_refused": "keep_one"}, site=site
        ) as scene:
            oldest = scene.estate.media("acme")[0]
            scene.estate.allow_to_stay([oldest.id])
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene)
            assert [d.id for d in scene.estate.media("acme")] == [oldest.id]
            assert not any(m.on for m in scene.estate.masters("acme"))

    virtual.run(story())


@pytest.mark.parametrize("how", ["", " --rolling"])
def test_a_resize_that_completes_and_changes_nothing_is_asked_for_again(how: str) -> None:
    """It was waited for until the deadline, hours later, with the masters off."""

    async def story() -> None:
        faults = WorldFaults()
        faults.add("action", "ignored", "resize acme-master-node-2")
        async with Scene(media=1, faults=faults) as scene:
            scene.estate.allow_rolling = bool(how)
            await request_and_approve(scene, f"resize masters {BIG}{how}", "requests approval")
            run = await run_ended(scene, timeout=3600.0)
            assert all_up(scene, 1)
            assert run.ended_at - run.opened_at < 2400
            assert [m.size for m in scene.estate.masters("acme")] == [BIG] * 4

    virtual.run(story())


def test_an_edit_that_slack_put_off_does_not_come_after_the_end() -> None:
    """The first of two approvals was to be shown after the run was over."""

    async def story() -> None:
        async with Scene(media=1, policy={"approvals": 2}) as scene:
            await scene.ana.type_text(
                "COPS", "/openvidu window add nights Mon-Fri 20:00-07:30 Europe/Madrid"
            )
            card = await with_buttons(scene, "Add window nights to acme")
            scene.slack.faults.add(SlackFault("chat.update", status=429, retry_after=5))
            await scene.ben.press(card, "Approve")
            await scene.wait(1)
            await scene.person("UCARLA").press(card, "Approve")
            run = await run_ended(scene)
            await scene.wait(60)
            assert run.state is State.DONE
            shown = next(m for m in scene.ana.visible_messages("COPS") if m.ts == card.ts)
            assert "acme has window nights" in shown.text

    virtual.run(story())


def test_a_press_counts_though_slack_cannot_be_asked_who_the_bot_is() -> None:
    """Bolt asked for that at the first press, and told people to install the app anew."""

    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.slack.faults.add(SlackFault("auth.test", times=1000, status=500))
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene)
            assert "reinstall" not in everything_read(scene)

    virtual.run(story())


def test_another_hand_in_the_middle_of_a_resize_does_not_leave_the_masters_off() -> None:
    """Seen from there it was a cluster that was down, and stayed so."""

    async def story() -> None:
        async with Scene(media=1) as scene:
            masters = scene.estate.masters("acme")
            await request_and_approve(scene, f"resize masters {BIG}", "requests approval")
            while not all(m.size == BIG for m in masters):
                await scene.wait(0.5)
            masters[3].size = "s-4vcpu-8gb"  # somebody put it back in DigitalOcean's panel
            card = await question(scene)
            await scene.ben.press(card, "Continue from new state")
            await run_ended(scene)
            assert all_up(scene, 1)
            assert [m.size for m in masters] == [BIG] * 4

    virtual.run(story())


def test_the_master_that_is_off_for_its_turn_is_not_left_off_when_somebody_did_the_rest() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.estate.allow_rolling = True
            masters = scene.estate.masters("acme")
            await request_and_approve(scene, f"resize masters {BIG} --rolling", "requests approval")
            while masters[0].size != BIG:
                await scene.wait(0.5)
            for master in masters[1:]:
                master.size = BIG
            await scene.ben.press(await question(scene), "Continue from new state")
            await run_ended(scene)
            assert all_up(scene, 1)

    virtual.run(story())


def test_an_end_that_nobody_here_was_told_of_is_shown_all_the_same() -> None:
    """Abandon was stored and its answer lost: the message still showed the run as stopped."""

    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.estate.allow_rolling = True
            scene.environment.faults.add("ssh", "cut-before", "systemctl restart", times=-1)
            await request_and_approve(scene, "restart master-2 --service", "requests approval")
            run = await scene.run_is("acme-1", State.STOPPED)
            card = await with_buttons(scene, "acme-1 is paused")
            journal = scene.bot.operations.journal
            refresh = journal.refresh

            async def lost(_: Run) -> Run:
                journal.refresh = refresh  # type: ignore[method-assign]
                raise Unreachable("asking Redis: TimeoutError")

            await scene.wait(30)
            journal.refresh = lost  # type: ignore[method-assign, assignment]
            await scene.ben.press(card, "Abandon run…")
            run = await scene.run_is("acme-1", State.ABANDONED)
            await scene.settled(run)

    virtual.run(story())


def test_a_run_that_began_and_ended_while_slack_was_deaf_is_told_by_the_next_bot() -> None:
    """The first bot crashed before it posted anything, and no message was known to be owed."""

    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.slack.faults.add(SlackFault("chat.postMessage", times=1000, status=500))
            await scene.ana.type_text("COPS", "/openvidu scale 2 --now")
            await scene.wait(30)
            await scene.run_is("acme-1", State.DONE)
            scene.kill()
            await scene.wait(60)
            scene.slack.faults.calls.clear()
            await scene.start_bot()
            await scene.card("acme has 2 media nodes")

    virtual.run(story())
