"""Unknown is never empty, in scenarios.

Docker does not answer, SSH keys are refused, agents do not hear the signal, observations disagree.
"""

from dataclasses import replace

import pytest

from services.runs.run import State
from simulators.cloud.model import SigquitBehaviour, SimulatedDroplet
from simulators.faults import ANY
from tests.support import virtual
from tests.support.coverage_level import FULL
from tests.support.scene import Scene
from tests.support.stories import (
    everything_read,
    in_full,
    question,
    request_and_approve,
    run_ended,
    whole,
    with_buttons,
)

KINDS = ("pool", "fixed", "autoscaler")
BLIND = {
    "docker does not answer": ("docker-down", {}),
    "docker is not permitted": ("docker-denied", {}),
    "docker hangs": ("docker-hangs", {"seconds": 0}),
    "docker knows no container": ("docker-empty", {}),
    "the ssh key is refused": ("key-refused", {}),
    "the user may do nothing": ("unprivileged", {}),
    "metrics are silent": ("metrics-silent", {}),
    "metrics say that no one is there": ("metrics-empty", {}),
}
WORDS = {
    "pool": (
        "scale 1",
        "shutdown",
        "drain media-2",
        "restart media-2",
        "resize media s-8vcpu-16gb",
    ),
    "fixed": (
        "park media-2",
        "shutdown",
        "drain media-2",
        "restart media-2",
        "resize media s-8vcpu-16gb",
    ),
    "autoscaler": ("drain 1", "shutdown", "restart media-2", "roll s-8vcpu-16gb"),
}
HOUR = 3600.0


def meetings(scene: Scene, minutes: float = 600.0) -> None:
    """Set one of these states on each media node."""
    for node in scene.estate.media("acme"):
        scene.estate.open_meeting(people=5, minutes=minutes, recordings=1, on=node)


def last(scene: Scene) -> SimulatedDroplet:
    return scene.estate.media("acme")[-1]


async def pressed(scene: Scene, command: str) -> None:
    """Type the command as Ana and approve it if required; answer no question."""
    await scene.ana.type_text("COPS", f"/openvidu {command}")
    for _ in range(20):
        await scene.wait(1)
        cards = [m for m in scene.ana.visible_messages("COPS") if "Approve" in str(m.blocks)]
        if cards:
            await scene.ben.press(cards[-1], "Approve")
            return
        if await scene.journal.latest("acme", 1):
            return


CASES = [(k, w, f) for k in KINDS for w in WORDS[k] for f in BLIND]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("kind", "command", "fault"), CASES if FULL else CASES[::7])
def test_no_one_is_disconnected_because_a_node_was_unseen(
    kind: str, command: str, fault: str
) -> None:
    async def story() -> None:
        async with Scene(media=2, kind=kind, pydo=False) as scene:
            meetings(scene)
            name, detail = BLIND[fault]
            scene.environment.faults.make_ill(last(scene).name, name, **detail)
            await pressed(scene, command)
            await scene.wait(1.5 * HOUR)
            assert scene.estate.people_disconnected == 0
            assert scene.estate.losses == []

    virtual.run(story())


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("pool", "docker-down"), ("fixed", "docker-empty"), ("autoscaler", "key-refused")],
)
def test_during_a_drain_too(kind: str, fault: str) -> None:
    async def story() -> None:
        async with Scene(media=2, kind=kind, pydo=False) as scene:
            meetings(scene, 90)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.wait(400)
            scene.environment.faults.make_ill(ANY, fault)
            await scene.wait(HOUR / 2)
            scene.environment.faults.heal()
            await run_ended(scene)
            assert scene.estate.losses == []

    virtual.run(story())


@pytest.mark.parametrize(
    ("kind", "node"), [("pool", "media-2"), ("fixed", "media-2"), ("autoscaler", "media-1002")]
)
def test_a_question_shows_the_people_livekit_counts_and_metrics_do_not(
    kind: str, node: str
) -> None:
    """The card shows the larger of the two counts of people whom an answer disconnects."""

    async def story() -> None:
        async with Scene(
            media=2,
            kind=kind,
            pydo=False,
            site={"drain": {"method": "signal", "deadline_minutes": 6}},
        ) as scene:
            scene.estate.open_meeting(people=8, minutes=600, recordings=1, on=last(scene))
            scene.estate.allow_disconnects = True
            await request_and_approve(scene, f"drain {node}", f"Drain {node} of acme")
            scene.environment.faults.make_ill(last(scene).name, "metrics-empty")
            card = await question(scene)
            assert "8 people may be in meetings that no node reports" in whole(card)
            stored = (await scene.journal.run("acme-1")).question
            assert stored is not None
            assert stored.stake is not None
            assert stored.stake.people == 8
            ends = "Delete them now" if kind == "autoscaler" else "End these meetings"
            await scene.ben.press(card, ends)
            await run_ended(scene)
            assert sum(loss.people for loss in scene.estate.losses) == 8, "as the card said"

    virtual.run(story())


def test_status_shows_what_is_not_seen_with_its_reason_and_no_drained_node_with_people() -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            meetings(scene)
            scene.environment.faults.make_ill(last(scene).name, "docker-down")
            await scene.ana.type_text("COPS", "/openvidu status")
            status = await scene.ephemeral("UANA", "Media nodes")
            why = "docker: Cannot connect to the Docker daemon"
            assert f"Not seen: media-2 ({why}" in status.text
            assert "Media nodes: 1 of 2 in service, 1 not seen" in status.text
            assert f"media-2 · on, not seen: {why}" in whole(status)
            assert "drained" not in whole(status)

    virtual.run(story())


def test_a_node_that_refuses_the_key_affects_only_itself() -> None:
    async def story() -> None:
        async with Scene(media=3, pydo=False) as scene:
            scene.environment.faults.make_ill(last(scene).name, "key-refused")
            await scene.ana.type_text("COPS", "/openvidu status")
            status = await scene.ephemeral("UANA", "Media nodes")
            assert "Not seen: media-3 (" in status.text
            assert "key was refused" in status.text
            assert "media-3 · on, not seen: " in whole(status)
            assert "media-1 and media-2 · in service" in str(status.blocks)
            await request_and_approve(scene, "drain media-1", "Drain media-1 of acme")
            await run_ended(scene)

    virtual.run(story())


@pytest.mark.parametrize("kind", ["pool", "fixed"])
def test_a_powered_off_node_needs_no_observation(kind: str) -> None:
    """DigitalOcean says that nothing runs there: removing it does not wait for SSH."""

    async def story() -> None:
        async with Scene(media=2, kind=kind, pydo=False) as scene:
            scene.estate.power.request(last(scene).id, "power_off")
            await scene.wait(30)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            run = await run_ended(scene)
            assert run.state is State.DONE, run.reason

    virtual.run(story())


def test_missing_evidence_is_posted_and_pauses_the_run_after_an_hour() -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            scene.estate.open_meeting(people=2, minutes=3, on=last(scene))
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.wait(30)
            while (await scene.journal.run("acme-1")).position == 0:
                await scene.wait(0.05)
            scene.environment.faults.make_ill(last(scene).name, "key-refused")
            run = await scene.run_is("acme-1", State.STOPPED, timeout=2 * HOUR)
            assert (
                "no answer for 1 h: “Set media pool to 0” needs evidence: media-2 "
                "cannot be observed" in run.stopped
            )
            assert "After 1 h without an answer the run pauses" in everything_read(scene)
            assert len(scene.estate.media("acme")) == 2

    virtual.run(story())


# What the drain reports


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("run-full", "No space left on device"),
        ("run-denied", "Permission denied"),
        ("kill-refused", "permission denied"),
    ],
)
def test_an_undelivered_drain_shows_why_asks_early_and_is_sent_once_possible(
    fault: str, reason: str
) -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            scene.estate.open_meeting(people=4, minutes=5, on=last(scene))
            scene.environment.faults.make_ill(last(scene).name, fault)
            await request_and_approve(scene, "drain media-2", "Drain media-2 of acme")
            card = await question(scene, timeout=0.3 * HOUR)
            assert reason in whole(card)
            assert "drain signal not delivered" in whole(card)
            scene.environment.faults.heal()
            await run_ended(scene)
            assert scene.estate.losses == []
            assert set(scene.estate.signals.values()) == {1}

    virtual.run(story())


def test_a_signal_that_may_have_left_is_not_sent_again() -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            scene.estate.open_meeting(people=4, minutes=30, on=last(scene))
            scene.environment.faults.make_ill(last(scene).name, "kill-lost")
            await request_and_approve(scene, "drain media-2", "Drain media-2 of acme")
            await run_ended(scene)
            assert scene.estate.losses == []
            assert set(scene.estate.signals.values()) == {1}

    virtual.run(story())


# Agents


@pytest.mark.parametrize(
    ("kind", "agent"),
    [("pool", "deaf"), ("fixed", "dies"), ("autoscaler", "deaf"), ("pool", "dies")],
)
def test_an_agent_that_does_not_drain_holds_no_node_and_loses_no_captions(
    kind: str, agent: SigquitBehaviour
) -> None:
    async def story() -> None:
        async with Scene(media=2, kind=kind, pydo=False) as scene:
            scene.estate.containers.usual_agents = {"agent-captions": agent}
            for node in scene.estate.media("acme"):
                scene.estate.containers.set_agents(node, captions=agent)
            meetings(scene, 20)
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await with_buttons(scene, "Shut down acme")
            shown = await in_full(scene.ben, card)
            assert "`agent-captions` on media-1" in shown
            assert "do not react to the drain signal" in shown
            await scene.ben.press(card, "Approve")
            await run_ended(scene, timeout=HOUR)
            assert scene.estate.losses == []

    virtual.run(story())


@pytest.mark.parametrize(
    ("fault", "expected"), [("key-refused", "hich agents run on media-2 is unknown"), ("", "")]
)
def test_agents_that_no_one_can_see_are_on_the_card(fault: str, expected: str) -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            if fault:
                scene.environment.faults.make_ill(last(scene).name, fault)
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await with_buttons(scene, "Shut down acme")
            shown = await in_full(scene.ben, card)
            assert expected in shown
            assert ("aptions may stop in running meetings" in shown) == bool(fault)

    virtual.run(story())


def test_a_window_with_a_deaf_agent_closes_and_opens_in_time() -> None:
    async def story() -> None:
        site = {
            "timezone": "Europe/Madrid",
            "channel": "COPS",
            "windows": ["nights daily 09:30-12:00"],
        }
        async with Scene(media=2, site=site, pydo=False) as scene:  # it is 09:00 in Madrid
            scene.estate.containers.usual_agents = {"agent-captions": "deaf"}
            for node in scene.estate.media("acme"):
                scene.estate.containers.set_agents(node, captions="deaf")
            meetings(scene, 50)
            await scene.wait(1.6 * HOUR)
            assert scene.estate.serving("acme") == []
            assert not any(m.on for m in scene.estate.masters("acme"))
            await scene.wait(1.5 * HOUR)
            assert len(scene.estate.serving("acme")) == 2
            assert scene.estate.losses == []

    virtual.run(story())


def test_a_node_whose_media_server_has_ended_is_restarted_despite_its_agents() -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            node = last(scene)
            scene.estate.containers.set_agents(node, speech="drains")
            scene.estate.open_meeting(people=4, minutes=20, on=node)
            await request_and_approve(scene, "restart media-2", "Restart media-2 of acme")
            await run_ended(scene, timeout=HOUR)
            assert len(scene.estate.serving("acme")) == 2
            assert scene.estate.losses == []

    virtual.run(story())


# In service only with proof


def test_a_node_in_a_crash_loop_is_not_in_service() -> None:
    async def story() -> None:
        async with Scene(media=2, pydo=False) as scene:
            for node in scene.estate.media("acme"):
                scene.estate.crashes.begin(node, "openvidu", lives=3, waits=10)
            await scene.wait(120)
            await scene.ana.type_text("COPS", "/openvidu status")
            status = await scene.ephemeral("UANA", "Media nodes")
            assert "acme cannot hold meetings. No media node is in service." in status.text
            assert "keeps restarting" in status.text

    virtual.run(story())


def test_a_scale_up_waits_until_livekit_answers() -> None:
    async def story() -> None:
        async with Scene(media=1, pydo=False) as scene:
            scene.estate.delays = replace(scene.estate.delays, livekit_ready=400.0)
            await scene.ana.type_text("COPS", "/openvidu scale 2 --now")
            run = await scene.run_is("acme-1", State.RUNNING, State.DONE)
            seen_waiting = False
            while not run.over:
                await scene.wait(5)
                run = await scene.journal.run("acme-1")
                seen_waiting |= "LiveKit answers 406" in everything_read(scene)
            assert seen_waiting
            assert len(scene.estate.serving("acme")) == 2

    virtual.run(story())


# Recordings count like people


def test_recordings_without_a_room_count_where_meetings_would_be_cut() -> None:
    async def story() -> None:
        async with Scene(
            media=2, policy={"approvals_for": {"meetings_cut": 2}}, pydo=False
        ) as scene:
            scene.estate.record_page(recordings=3, on=last(scene))
            await scene.ana.type_text("COPS", "/openvidu shutdown --no-drain")
            card = await with_buttons(scene, "Shut down acme")
            assert "3 recordings" in card.text
            assert "3 recordings (lost)" in card.text
            assert "o one is disconnected" not in whole(card)
            assert "Approve or reject: 2 approvals" in card.text

    virtual.run(story())


def test_while_livekit_does_not_answer_no_card_says_that_no_one_meets() -> None:
    async def story() -> None:
        async with Scene(media=2, livekit=False, pydo=False) as scene:
            meetings(scene)
            await scene.ana.type_text("COPS", "/openvidu shutdown --no-drain")
            card = await with_buttons(scene, "Shut down acme")
            assert "Ends all running meetings; how many meetings run is unknown" in card.text
            assert "everyone in a meeting (LiveKit is not configured here)" in str(card.blocks)

    virtual.run(story())
