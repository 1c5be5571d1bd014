"""Wrong input and failures, and what the operator reads then."""

import asyncio
import contextlib
import copy
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.common.errors import Refused
from services.runs.run import Run
from simulators.cloud.model import SimulatedDroplet
from simulators.responses import HttpResponse
from simulators.slack import payloads
from simulators.slack.elements import find
from simulators.slack.model import Message
from simulators.slack.user import SimulatedUser
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import details, give_reason, goes_on, with_buttons

Story = Callable[[Scene], Awaitable[None]]


def play(story: Story, prepare: Callable[[Scene], None] = lambda _: None, **scene: Any) -> None:
    """One scene from its beginning to its end, with the estate's promises checked."""

    async def whole() -> None:
        made = Scene(**scene)
        prepare(made)
        async with made:
            await story(made)

    virtual.run(whole())


# What people do


async def types(scene: Scene, text: str, who: str = "UANA") -> None:
    await scene.person(who).type_text("COPS", f"/openvidu {text}")


async def told(scene: Scene, text: str, answer: str, who: str = "UANA") -> Message:
    """Type it, and read the private answer."""
    before = {m.ts for m in scene.person(who).visible_messages("COPS")}
    await types(scene, text, who)

    def new() -> Message | None:
        seen = [m for m in scene.person(who).visible_messages("COPS") if m.ts not in before]
        return next(
            (m for m in seen if m.ephemeral_to == who and answer.lower() in m.text.lower()), None
        )

    try:
        return await scene.person(who).wait_for(new, 300.0)
    except TimeoutError:
        said = [m.text for m in scene.person(who).visible_messages("COPS") if m.ts not in before]
        raise AssertionError(f"{answer!r} was not said in private; {said}") from None


async def hears(scene: Scene, who: str, text: str) -> Message:
    """What only that person reads, now or soon."""

    def heard() -> Message | None:
        seen = [m for m in scene.person(who).visible_messages("COPS") if m.ephemeral_to == who]
        return next((m for m in reversed(seen) if text.lower() in m.text.lower()), None)

    try:
        return await scene.person(who).wait_for(heard, 120.0)
    except TimeoutError:
        shown = scene.person(who).visible_messages("COPS")
        private = [m.text for m in shown if m.ephemeral_to == who]
        raise AssertionError(f"{text!r} was not said; {private}") from None


async def shown(scene: Scene, text: str, timeout: float = 3600.0) -> Message:
    """Wait for the card with this text in the channel, not in a thread."""

    def seen() -> Message | None:
        posted = [
            m
            for m in scene.ana.visible_messages("COPS")
            if m.ephemeral_to is None and not m.thread_ts
        ]
        return next((m for m in reversed(posted) if text in m.text), None)

    return await scene.ana.wait_for(seen, timeout)


async def pressable(scene: Scene, text: str, timeout: float = 3600.0) -> Message:
    """Wait for the card with this text and with buttons."""

    def seen() -> Message | None:
        with_buttons = [
            m
            for m in scene.ana.visible_messages("COPS")
            if any(b["type"] == "actions" for b in m.blocks)
        ]
        return next(
            (m for m in reversed(with_buttons) if text in m.text or text in str(m.blocks)), None
        )

    return await scene.ana.wait_for(seen, timeout)


async def approved(scene: Scene, text: str = "shutdown", title: str = "Shut down acme") -> Run:
    """Ana asks, Ben approves; the run that comes of it."""
    await types(scene, text)
    card = await scene.card(title)
    await scene.ben.press(card, "Approve")
    return await newest(scene)


async def newest(scene: Scene, number: int = 1) -> Run:
    return await scene.run_is(f"acme-{number}", "running", "asking", "stopped", "done")


async def press_old(who: SimulatedUser, old: Message, label: str) -> None:
    """Press a button on a screen that has not been drawn anew yet."""
    block, element = find(old.blocks, label, ("button",))
    action = {
        "type": "button",
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "text": element["text"],
    }
    action |= {"value": element["value"], "action_ts": who.workspace.next_ts()}
    await who.delivery.deliver(
        "interactive", payloads.message_action(who.workspace, who.user, old, action, {})
    )


async def until(scene: Scene, so: Callable[[], bool], timeout: float = 3600.0) -> None:
    waited = 0.0
    while not so():
        assert waited < timeout, "it never came to that"
        await scene.wait(1)
        waited += 1


async def at_step(scene: Scene, position: int, run: str = "acme-1") -> Run:
    """Wait until the run works on that step and has asked for it."""
    for _ in range(36_000):
        with contextlib.suppress(Refused):
            found = await scene.journal.run(run)
            if found.position == position and found.asked_at and found.asks:
                return found
        await scene.wait(0.2)  # some steps take half a second
    raise AssertionError(f"{run} never came to step {position}")


# What must be so


def untouched(scene: Scene) -> None:
    """Nothing was asked of DigitalOcean but to look, and no node was signalled."""
    assert {method for method, *_ in scene.estate.requests} <= {"GET"}
    assert scene.estate.signals == {}
    assert scene.estate.people_disconnected == 0


def asked_of(scene: Scene, droplet: SimulatedDroplet) -> list[str]:
    return [a.type for a in scene.estate.actions.values() if a.droplet_id == droplet.id]


def is_down(scene: Scene) -> None:
    assert [d.status for d in scene.estate.masters("acme")] == ["off"] * 4
    assert scene.estate.media("acme") == []
    signalled_once(scene)


def signalled_once(scene: Scene) -> None:
    assert all(times == 1 for times in scene.estate.signals.values()), scene.estate.signals


def channel(scene: Scene) -> list[str]:
    """Return the texts in the channel."""
    return [m.text for m in scene.ana.visible_messages("COPS") if m.ephemeral_to is None]


# Not in any role, a guest, a bot, another workspace


def test_people_without_a_role_are_told_whom_to_ask() -> None:
    async def story(scene: Scene) -> None:
        for text in ("shutdown", "startup 3", "shutdown --no-drain"):
            await told(
                scene,
                text,
                "Only operators of this cluster may change it. Ask <@UANA>, <@UBEN> or <@UCARLA>",
                "UDORA",
            )
        await told(scene, "status", "acme is in service", "UDORA")  # viewers: everyone
        await told(scene, "shutdown --dry-run", "Dry run: Shut down acme", "UDORA")
        assert channel(scene) == []
        await types(scene, "shutdown")
        card = await scene.card("Shut down acme")
        await scene.dora.press(card, "Approve")
        await hears(
            scene, "UDORA", "Only approvers of this cluster may approve. Ask <@UBEN> or <@UCARLA>"
        )
        await scene.dora.press(card, "Reject…")
        await scene.wait(5)
        assert await scene.bot.operations.reader.open_run("acme") is None
        await told(scene, "cancel acme-1", "There is no run acme-1", "UDORA")
        untouched(scene)

    play(story)


def test_guests_bots_and_strangers_may_not_even_look() -> None:
    async def story(scene: Scene) -> None:
        place = scene.slack.workspace
        place.add_user("UGUEST", "gus", is_restricted=True)
        place.add_user("UROBOT", "robot", is_bot=True)
        place.add_user("UFAR", "fay", team_id="T0OTHER")
        place.add_user("UGONE", "gone")
        place.channels["COPS"].members += ["UGUEST", "UROBOT", "UFAR", "UGONE"]
        why = {
            "UGUEST": "Guests of the workspace may not",
            "UROBOT": "Bots may not operate",
            "UFAR": "You belong to another workspace",
        }
        for user, words in why.items():
            for text in ("status", "shutdown"):
                await told(scene, text, words, user)
        await types(scene, "shutdown")
        card = await scene.card("Shut down acme")
        for user, words in why.items():
            await scene.person(user).press(card, "Approve")
            await hears(scene, user, words)
        await scene.wait(5)
        assert await scene.bot.operations.reader.open_run("acme") is None
        untouched(scene)

    everybody = ["UANA", "UBEN", "UGUEST", "UROBOT", "UFAR"]
    play(story, roles={"operators": everybody}, settings={"slack": {"teams": ["T0ACME"]}})


def test_with_empty_roles_nobody_may_change_anything() -> None:
    async def story(scene: Scene) -> None:
        for user in ("UANA", "UBEN"):
            for text in ("shutdown", "startup 3"):
                await told(scene, text, "sk the bot's administrator", user)
        await told(scene, "status", "acme is in service")
        untouched(scene)

    play(story, roles={"operators": []})


# Approvals


def test_an_approval_is_given_by_somebody_else_once_and_in_time() -> None:
    async def story(scene: Scene) -> None:
        await types(scene, "shutdown")
        card = copy.deepcopy(await scene.card("Shut down acme"))
        await scene.ana.press(card, "Approve")
        await hears(
            scene,
            "UANA",
            "You requested this, so someone else must approve it. Ask <@UBEN> or <@UCARLA>",
        )
        await told(
            scene,
            "shutdown",
            "<@UANA> has already requested this; it waits for approval and expires in 30 min",
            "UBEN",
        )
        seen = str((await details(scene.ben, card)).body)
        assert "1. Drain 3 media nodes" in seen
        assert "2. Set media pool to 0" in seen
        untouched(scene)
        await scene.wait(31 * 60)
        await scene.card("expired")
        assert (
            "no one approved it in time. Nothing was changed. "
            "Request it again with /openvidu shutdown" in channel(scene)[0]
        )
        await press_old(scene.ben, card, "Approve")
        await hears(scene, "UBEN", "This request expired")
        await press_old(scene.ben, card, "Reject…")
        # Rejected by another person, or taken back by the requester.
        for who in (scene.ben, scene.ana):
            await types(scene, "shutdown")
            again = await with_buttons(scene, "Shut down acme")
            old = copy.deepcopy(again)
            await who.press(again, "Reject…")
            if who.user.id != "UANA":
                await give_reason(who)
                told_why = await scene.card("<@UANA>, <@UBEN> rejected “Shut down acme”")
                assert told_why.thread_ts == again.ts, "Ana reads in the thread why"
            await scene.card(f"rejected by <@{who.user.id}>")
            await press_old(scene.person("UCARLA"), old, "Approve")
            await hears(scene, "UCARLA", f"Rejected by <@{who.user.id}>")
        assert await scene.bot.operations.reader.open_run("acme") is None
        untouched(scene)

    play(story)


def test_two_people_press_at_once_and_the_others_are_told_who_and_when() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=4, minutes=10)
        await types(scene, "shutdown")
        card = copy.deepcopy(await scene.card("Shut down acme"))
        carla = scene.person("UCARLA")
        await asyncio.gather(
            *(press_old(who, card, "Approve") for who in (scene.ben, carla, scene.ben, carla))
        )
        await scene.wait(10)
        first = (await newest(scene)).approvers[0].user
        second = "UCARLA" if first == "UBEN" else "UBEN"
        await hears(scene, second, f"Already approved by <@{first}>")
        await hears(scene, second, "as `acme-1`. Your press changed nothing")
        assert await scene.journal.latest("acme", 9) == ["acme-1"]
        await scene.wait(120)
        await press_old(carla, card, "Approve")
        await hears(scene, "UCARLA", f"Already approved by <@{first}> 2 min ago, as `acme-1`")
        # A second change while a run is open: the run, its owner, its age.
        for text in ("startup 3", "shutdown", "shutdown --no-drain"):
            answer = await told(
                scene,
                text,
                "Acme is locked by `acme-1`: shutdown, started by <@UANA> 2 min ago",
                "UBEN",
            )
            assert f"approved by <@{first}>" in answer.text
            assert "now: Drain 3 media nodes" in answer.text
        await scene.card("acme is shut down")
        is_down(scene)
        assert await scene.journal.latest("acme", 9) == ["acme-1"]

    play(story)


def edit_by_hand(scene: Scene, number: int) -> None:
    """Someone uses DigitalOcean's own page."""
    scene.estate.settle()
    pool = scene.estate.pool("acme")
    template = scene.estate.pool_scaler.shown_template(pool)
    scene.estate.pool_scaler.edit(
        pool.id,
        {
            "name": pool.name,
            "config": {"target_number_instances": number},
            "droplet_template": template,
        },
    )


def test_a_plan_that_changed_since_is_shown_anew_and_not_run() -> None:
    async def story(scene: Scene) -> None:
        await types(scene, "shutdown")
        old = copy.deepcopy(await scene.card("requests approval"))
        edit_by_hand(scene, 4)
        await scene.wait(60)
        await press_old(scene.ben, old, "Approve")
        await hears(scene, "UBEN", "Not started: the cluster changed since this was requested")
        await scene.card("the cluster changed after the request")
        untouched(scene)
        assert await scene.bot.operations.reader.open_run("acme") is None
        new = await scene.card("requests approval")
        assert new.ts != old.ts
        await press_old(scene.ben, old, "Approve")
        await hears(scene, "UBEN", "a newer request replaced this one. Nothing was changed")
        await scene.ana.press(new, "Approve")
        await scene.wait(5)
        assert await scene.bot.operations.reader.open_run("acme") is None, (
            "the requester is still the requester"
        )
        await scene.ben.press(new, "Approve")
        await scene.card("acme is shut down")
        is_down(scene)

    play(story)


def test_many_more_people_or_a_new_recording_ask_again() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=4, minutes=30, recordings=0)
        await types(scene, "shutdown")
        card = await scene.card("Shut down acme")
        scene.estate.open_meeting(people=1, minutes=30, recordings=1)
        await scene.ben.press(card, "Approve")
        await hears(
            scene,
            "UBEN",
            "when this was requested. The new plan is in the channel and needs its own approval",
        )
        untouched(scene)

    play(story)


# Clusters that the bot does not understand


def _patched_pools(scene: Scene, change: Callable[[dict[str, Any]], None]) -> None:
    handle = scene.environment.digitalocean.handle

    def answer(method: str, path: str, *rest: Any) -> HttpResponse:
        given = handle(method, path, *rest)
        if path == "/v2/droplets/autoscale" and given.status == 200:
            body = json.loads(given.body)
            change(body)
            given.body = json.dumps(body).encode()
        return given

    scene.environment.digitalocean.handle = answer  # type: ignore[assignment,method-assign]


def _three_masters(scene: Scene) -> None:
    del scene.estate.droplets[scene.estate.droplet_named("acme-master-node-3").id]


def _no_pool(scene: Scene) -> None:
    scene.estate.pools.clear()


def _dynamic(scene: Scene) -> None:
    config = {"min_instances": 1, "max_instances": 9, "target_cpu_utilization": 0.5}
    _patched_pools(scene, lambda body: body["autoscale_pools"][0].update(config=config))


def _two_pools(scene: Scene) -> None:
    _patched_pools(
        scene,
        lambda body: body["autoscale_pools"].append(body["autoscale_pools"][0] | {"id": "another"}),
    )


@pytest.mark.parametrize(
    ("prepare", "words", "site"),
    [
        (
            lambda _: None,
            "No droplet of a stack named nowhere is visible to this token",
            {"stack": "nowhere"},
        ),
        (
            _three_masters,
            (
                "Acme has 3 masters (acme-master-node-1, acme-master-node-2, "
                "acme-master-node-4); exactly four are needed"
            ),
            {},
        ),
        (_no_pool, "No autoscale pool named acme-media-node-pool", {}),
        (_dynamic, "The pool acme-media-node-pool is not of fixed size", {}),
        (_two_pools, "2 pools are named acme-media-node-pool", {}),
    ],
    ids=["stack not found", "three masters", "no pool", "dynamic pool", "two pools"],
)
def test_what_is_not_understood_is_refused_by_name_and_not_touched(
    prepare: Callable[[Scene], None], words: str, site: dict[str, str]
) -> None:
    async def story(scene: Scene) -> None:
        for text in ("shutdown", "startup 3", "shutdown --dry-run", "shutdown --media-only"):
            await told(scene, text, words)
        status = await told(scene, "status", words[1:])
        assert "Nothing can be changed here" in status.text
        assert channel(scene) == []
        untouched(scene)

    play(story, prepare, site=site)


# DigitalOcean in trouble


def test_a_token_that_is_refused_says_which_scope_is_missing_for_what() -> None:
    async def story(scene: Scene) -> None:
        api = scene.environment.digitalocean
        api.tokens = set()
        await told(scene, "status", "the token was refused (401); this needs droplet:read")
        await told(scene, "shutdown", "the token was refused (401); this needs droplet:read")
        api.tokens, api.scopes = {"dop_v1_sim"}, {"account:read"}
        await told(scene, "shutdown", "Refused: listing ")
        await hears(scene, "UANA", "the token lacks droplet:read (403)")
        untouched(scene)
        # The token may read but not write: the run stops there, with the reason.
        api.scopes = {
            "droplet:read",
            "tag:read",
            "regions:read",
            "sizes:read",
            "actions:read",
            "account:read",
            "image:read",
            "snapshot:read",
        }
        await approved(scene)
        await scene.run_is("acme-1", "stopped")
        card = await pressable(scene, "acme-1 is paused", 7200)
        assert "“Set media pool to 0” failed: changing autoscale pool" in card.text
        assert "the token lacks " in card.text
        assert [d.on for d in scene.estate.masters("acme")] == [True] * 4
        # With a better token a person resumes it.
        api.scopes = None
        await scene.ana.press(card, "Resume run")
        await scene.card("acme is shut down")
        is_down(scene)

    play(story)


@pytest.mark.parametrize(("kind", "times"), [("429-minute", 4), ("429-hour", 1)])
def test_too_many_requests_are_waited_out_and_nothing_is_lost(kind: str, times: int) -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=3, minutes=2)
        await approved(scene)
        for match in ("GET /v2/droplets", "PUT /v2/droplets/autoscale", "POST /v2/droplets/"):
            scene.environment.faults.add("digitalocean", kind, match=match, times=times)
        await scene.card("acme is shut down", 6 * 3600)
        assert len([s for s in scene.environment.faults.hits if s[1] == kind]) == 3 * times
        is_down(scene)
        for master in scene.estate.masters("acme"):
            assert asked_of(scene, master) == ["shutdown"]

    play(story)


@pytest.mark.parametrize(
    "kind", ["500-before", "503-after", "reset-before", "reset-after", "html-502"]
)
def test_after_a_lost_answer_it_looks_and_then_decides(kind: str) -> None:
    """Each master is stopped once and the pool set once, whether the POST took effect or not."""

    async def story(scene: Scene) -> None:
        scene.environment.faults.add("digitalocean", kind, match="PUT /v2/droplets/autoscale")
        scene.environment.faults.add(
            "digitalocean", kind, match="POST /v2/droplets/", times=2, skip=1
        )
        scene.environment.faults.add(
            "digitalocean", kind, match="GET /v2/droplets", times=3, skip=5
        )
        await approved(scene)
        await scene.card("acme is shut down")
        is_down(scene)
        for master in scene.estate.masters("acme"):
            assert asked_of(scene, master) == ["shutdown"]
        assert len(scene.estate.pool("acme").history) == 1, "one edit that changed something"
        # And up again through the same weather.
        scene.environment.faults.add("digitalocean", kind, match="PUT /v2/droplets/autoscale")
        scene.environment.faults.add(
            "digitalocean", kind, match="POST /v2/droplets/", times=2, skip=1
        )
        await types(scene, "startup --now")
        await scene.card("acme is back in service")
        assert len(scene.estate.serving("acme")) == 3
        for master in scene.estate.masters("acme"):
            assert asked_of(scene, master) == ["shutdown", "power_on"]

    play(story)


def test_a_long_silence_of_digitalocean_is_told_and_waited_for() -> None:
    async def story(scene: Scene) -> None:
        await approved(scene)
        await at_step(scene, 3)
        scene.environment.faults.switch("api_down")
        await scene.wait(60)
        await told(scene, "status", "No usable answer: listing ")
        await scene.card("trying again, nothing is lost")
        await scene.wait(15 * 60)
        scene.environment.faults.switch("api_down", False)
        await scene.card("acme is shut down")
        is_down(scene)

    play(story)


# DigitalOcean refuses 0


async def zero_is_refused(scene: Scene, text: str = "shutdown") -> Message:
    await approved(scene, text)
    card = await pressable(scene, "acme-1 needs a decision")
    assert "DigitalOcean refused to set the pool to 0" in card.text
    assert "3 drained media nodes take no new meetings" in card.shown()
    assert [d.status for d in scene.estate.masters("acme")] == ["active"] * 4
    assert len(scene.estate.media("acme")) == 3
    return card


def test_zero_refused_and_one_is_kept() -> None:
    async def story(scene: Scene) -> None:
        card = await zero_is_refused(scene)
        scene.estate.allow_to_stay(d.id for d in scene.estate.media("acme"))
        old = copy.deepcopy(card)
        await scene.person("UDORA").press(
            card, "Keep 1 media node running ($0.07/h), power off the masters"
        )
        await hears(scene, "UDORA", "Only operators of this cluster may change it")
        await scene.person("UCARLA").press(
            card, "Keep 1 media node running ($0.07/h), power off the masters"
        )
        await scene.wait(10)
        await press_old(scene.ben, old, "Stop, I will finish it manually")
        await hears(scene, "UBEN", "This question is no longer open: <@UCARLA> answered it")
        await scene.card("acme is shut down")
        assert [d.status for d in scene.estate.masters("acme")] == ["off"] * 4
        (kept,) = scene.estate.media("acme")
        assert not kept.node.running("openvidu")
        signalled_once(scene)
        # It comes back as it was, the kept node too.
        await types(scene, "startup --now")
        await scene.card("acme is back in service")
        assert len(scene.estate.serving("acme")) == 3

    play(story, allow_zero="refused")


def test_zero_refused_and_everything_is_put_back() -> None:
    async def story(scene: Scene) -> None:
        card = await zero_is_refused(scene)
        await scene.ana.press(card, "Put the 3 nodes back into service")
        await scene.run_is("acme-1", "rolled back")
        await shown(scene, "acme stays in service")
        assert len(scene.estate.serving("acme")) == 3
        assert scene.estate.open_meeting(people=2, minutes=1) is not None
        signalled_once(scene)

    play(story, allow_zero="refused")


def test_zero_refused_and_left_to_a_person() -> None:
    async def story(scene: Scene) -> None:
        card = await zero_is_refused(scene)
        await scene.ana.press(card, "Stop, I will finish it manually")
        card = await shown(scene, "acme-1 was stopped, to be finished manually")
        assert "topped, for an operator to finish manually" in card.text
        assert "drained (no new meetings until OpenVidu is restarted there)" in card.text
        assert [d.status for d in scene.estate.masters("acme")] == ["active"] * 4
        assert len(scene.estate.media("acme")) == 3
        assert await scene.bot.operations.reader.open_run("acme") is None, "the cluster is free"

    play(story, allow_zero="refused")


def test_zero_refused_and_the_policy_keeps_one_by_itself() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.allow_to_stay(d.id for d in scene.estate.media("acme"))
        await approved(scene)
        card = await scene.card("acme is shut down ·")
        assert "DigitalOcean refused 0; by policy, 1 drained media node is kept" in card.shown()
        assert [d.status for d in scene.estate.masters("acme")] == ["off"] * 4
        assert len(scene.estate.media("acme")) == 1
        signalled_once(scene)
        # The next plan knows.
        await types(scene, "startup --now")
        await scene.card("acme is back in service")
        scene.estate.allow_to_stay(d.id for d in scene.estate.media("acme"))
        await told(scene, "shutdown --dry-run", "Dry run: Shut down acme")

    play(story, policy={"zero_refused": "keep_one"}, allow_zero="refused")


def test_zero_refused_never_takes_masters_down_that_were_to_stay() -> None:
    """`--media-only` was approved: neither the policy nor an answer may extend it."""

    async def story(scene: Scene) -> None:
        await approved(scene, "shutdown --media-only", "Shut down only the media nodes of acme")
        await scene.run_is("acme-1", "done")
        assert [d.status for d in scene.estate.masters("acme")] == ["active"] * 4
        assert len(scene.estate.media("acme")) == 1

    play(story, policy={"zero_refused": "keep_one"}, allow_zero="refused")


# The state store is away


def test_without_the_state_store_nothing_is_changed_and_status_still_answers() -> None:
    async def story(scene: Scene) -> None:
        store: Any = scene.bot.adapters.store
        await types(scene, "shutdown")
        card = copy.deepcopy(await scene.card("Shut down acme"))
        store.away = True
        for text in ("shutdown --media-only", "startup 3"):
            await told(
                scene,
                text,
                "Nothing was changed: the bot's state store did not answer in "
                "time. Type or press it again",
            )
        status = await told(scene, "status", "acme is in service")
        assert "pool at 3" in str(status.blocks)
        assert "Runs, requests and the schedule are unknown" in status.text
        await told(scene, "help", "You can type ")
        await told(scene, "runs", "No usable answer: asking Redis")
        await press_old(scene.ben, card, "Approve")
        await hears(
            scene,
            "UBEN",
            "Nothing was changed: the bot's state store did not answer in "
            "time. Type or press it again",
        )
        await scene.wait(60)
        untouched(scene)
        store.away = False
        await scene.ben.press(card, "Approve")
        await at_step(scene, 0)
        # And in the middle of a run: nothing new is asked for, and it goes on afterwards.
        store.away = True
        before = len([r for r in scene.estate.requests if r[0] != "GET"])
        await scene.wait(120)
        assert len([r for r in scene.estate.requests if r[0] != "GET"]) == before
        store.away = False
        await scene.card("acme is shut down")
        is_down(scene)

    play(story)


def test_a_slow_state_store_takes_nothing_half() -> None:
    async def story(scene: Scene) -> None:
        store: Any = scene.bot.adapters.store
        store.delay = 3.0
        await told(scene, "shutdown", "Nothing was changed")
        await told(scene, "status", "acme is in service")
        store.delay = 0.0
        await scene.wait(300)
        untouched(scene)
        assert not any("Shut down acme" in text for text in channel(scene))

    play(story)


# SSH


@pytest.mark.parametrize(
    ("kind", "commands"),
    [("refuse", 0), ("cut-before", 0), ("cut-after", 0), ("cut-middle", 1), ("cut-middle", 3)],
)
def test_ssh_that_breaks_in_a_drain_signals_nobody_twice(kind: str, commands: int) -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=6)
        scene.environment.faults.add("ssh", kind, match="nohup setsid", times=4, commands=commands)
        scene.environment.faults.add(
            "ssh", kind, match="livekit_", times=5, skip=4, commands=commands
        )
        await approved(scene)
        await scene.card("acme is shut down")
        is_down(scene)
        assert len(scene.estate.signals) == 3
        assert scene.estate.people_disconnected == 0

    play(story)


def test_nodes_that_cannot_be_reached_are_not_guessed_about() -> None:
    async def story(scene: Scene) -> None:
        scene.environment.faults.switch("ssh_down")
        await approved(scene)
        await scene.card("media-1: unknown (")
        await scene.wait(6 * 60)
        assert scene.estate.signals == {}
        assert len(scene.estate.media("acme")) == 3
        card = await pressable(scene, "acme-1 needs a decision")
        assert "unknown (" in card.shown()
        scene.environment.faults.switch("ssh_down", False)
        await scene.card("acme is shut down")
        is_down(scene)

    play(story, site={"drain": {"deadline_minutes": 5}})


# A drain that does not end


LONG = {"drain": {"deadline_minutes": 3, "reminder_minutes": 5}}


def test_a_drain_deadline_asks_and_only_an_approver_may_force() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=300, recordings=1)
        await approved(scene)
        card = await pressable(scene, "acme-1 needs a decision")
        assert (
            "media-1 did not drain in time. Still running: media-1: 1 meeting, 5 "
            "people, 1 recording" in card.shown()
        )
        await scene.card("<@UANA> and <@UBEN>, acme-1 needs a decision")
        old = copy.deepcopy(card)
        await scene.ana.press(card, "End these meetings")
        await hears(scene, "UANA", "You requested this, so someone else must approve it")
        await scene.ana.press(card, "Wait 30 min more")
        await scene.wait(10)
        assert (await scene.journal.run("acme-1")).question is None
        await press_old(scene.ben, old, "End these meetings")
        await hears(scene, "UBEN", "This question is no longer open: <@UANA> answered it")
        await scene.wait(28 * 60)
        assert (await scene.journal.run("acme-1")).question is None, (
            "it waits as long as it was told to"
        )
        await scene.wait(3 * 60)
        run = await scene.journal.run("acme-1")
        assert run.question is not None
        # No one answers: the run keeps waiting, and repeats that. It never uses force on its own.
        await scene.wait(11 * 60)
        assert len([t for t in channel(scene) if t.startswith("still waiting for an answer")]) == 2
        assert scene.estate.people_disconnected == 0
        assert len(scene.estate.media("acme")) == 3
        signalled_once(scene)
        scene.estate.allow_disconnects = True
        await scene.ben.press(card, "End these meetings")
        await scene.card("acme is shut down")
        assert scene.estate.people_disconnected == 5
        assert [d.status for d in scene.estate.masters("acme")] == ["off"] * 4

    play(story, site=LONG)


def test_a_drain_deadline_may_be_answered_with_stop() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=300)
        await approved(scene)
        card = await pressable(scene, "acme-1 needs a decision")
        old = copy.deepcopy(card)
        await scene.ana.press(card, "Stop here")
        await scene.run_is("acme-1", "left")
        await press_old(scene.ben, old, "Wait 30 min more")
        await hears(scene, "UBEN", "acme-1 is over: stopped for manual work by <@UANA>")
        assert len((await scene.journal.run("acme-1")).answers) == 1, "one answer counts"
        card = await shown(scene, "acme-1 was stopped, to be finished manually")
        assert "media-1 takes no new meetings until restarted" in card.text
        assert "nothing was changed" not in card.text
        assert scene.estate.people_disconnected == 0
        assert len(scene.estate.media("acme")) == 3
        # Start-up puts the drained nodes back, once the meeting on one of them has ended.
        await types(scene, "startup --now")
        await scene.wait(600)
        assert len(scene.estate.serving("acme")) == 2
        assert len(scene.estate.meetings) == 1

    play(story, site=LONG)


def test_a_question_closes_by_itself_when_the_meeting_ends() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=6)
        await approved(scene)
        old = copy.deepcopy(await pressable(scene, "acme-1 needs a decision"))
        await scene.card("acme is shut down")
        await press_old(scene.ben, old, "End these meetings")
        await hears(scene, "UBEN", "Acme-1 is over: done")
        is_down(scene)

    play(story, site=LONG)


# Without a drain, only the media nodes


def test_no_drain_names_what_is_lost_and_loses_it_only_after_approval() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=7, minutes=90, recordings=1)
        await types(scene, "shutdown --no-drain")
        card = await scene.card("Shut down acme")
        for words in (
            "Ends 1 running meeting: 7 people, 1 recording (lost)",
            "Removes 3 media nodes without draining",
        ):
            assert words in card.text
        await scene.ana.press(card, "Approve")
        await scene.wait(120)
        untouched(scene)
        scene.estate.allow_disconnects = True
        await scene.ben.press(card, "Approve")
        await scene.card("acme is shut down")
        assert scene.estate.people_disconnected == 7
        assert [d.status for d in scene.estate.masters("acme")] == ["off"] * 4
        assert scene.estate.media("acme") == []
        assert scene.estate.signals == {} or max(scene.estate.signals.values()) == 1

    play(story)


def test_media_only_leaves_the_masters_on() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=3, minutes=3)
        run = await approved(
            scene, "shutdown --media-only", "Shut down only the media nodes of acme"
        )
        assert not any("master" in s.title() for s in run.steps)
        await scene.run_is("acme-1", "done")
        assert [d.status for d in scene.estate.masters("acme")] == ["active"] * 4
        assert all(asked_of(scene, m) == [] for m in scene.estate.masters("acme"))
        assert scene.estate.media("acme") == []
        signalled_once(scene)
        assert scene.estate.people_disconnected == 0
        await told(scene, "status", "acme cannot hold meetings. No media node is in service.")
        await types(scene, "startup --now")
        await scene.card("acme is back in service")
        assert len(scene.estate.serving("acme")) == 3

    play(story)


# Start-up


def test_startup_takes_a_number_or_remembers_or_asks() -> None:
    async def story(scene: Scene) -> None:
        await told(scene, "startup", "Start up acme: nothing to do")
        await told(scene, "startup 2", "acme has 3 media nodes, and a start-up removes none")
        untouched(scene)
        await approved(scene)
        await scene.card("acme is shut down")
        await told(scene, "shutdown", "Shut down acme: nothing to do")
        dry = await told(scene, "startup --dry-run", "Dry run: Start up acme")
        assert "Set media pool to 3" in str(dry.blocks)
        for text, words in (
            ("startup 0", "needs at least 1 media node"),
            ("startup 99", "the account's limit is 25"),
            ("startup x", "whole number"),
        ):
            await told(scene, text, words)
        # Someone else shut the cluster down: nothing is remembered.
        await scene.store.commit(_forget("acme"))
        await told(
            scene,
            "startup",
            "How many media nodes? No number is recorded from an earlier shutdown. "
            "Run `/openvidu startup N`",
        )
        await types(scene, "startup 2 --now")
        await scene.card("acme is back in service")
        assert len(scene.estate.serving("acme")) == 2

    play(story)


def _forget(cluster: str) -> Any:
    from services.store import Commit  # noqa: PLC0415

    return Commit(puts={f"media:{cluster}": None})


# Words


def test_words_that_are_not_understood_change_nothing() -> None:
    async def story(scene: Scene) -> None:
        for text, words in (
            ("shutdwon", "did you mean `/openvidu shutdown`?"),
            ("strtup 3", "did you mean `/openvidu startup`?"),
            ("xyzzy", "`/openvidu help` lists the commands"),
            ("shutdown now", "this was not understood: “now”"),
            ("shutdown --no-drian", "did you mean --no-drain?"),
            ("shutdown --cluster globex", "There is no cluster “globex”; there are: acme"),
            ("status --cluster globex", "There is no cluster “globex”"),
            ("run acme-99", "There is no run acme-99; `/openvidu runs` lists them"),
            ("cancel acme-99", "There is no run acme-99"),
            ("resume acme-99", "There is no run acme-99"),
            ("abandon acme-99", "There is no run acme-99"),
            ("cancel", "No run is open on acme, so there is nothing to cancel"),
            ('shutdown --reason "open', "A quote is not closed"),
            ("runs", "acme has had no runs yet"),
            ("", "You may: Status, Shut down"),
            ("help shutdown", "/openvidu shutdown [--no-drain] [--media-only]"),
            ("shutdown --dry-run", "Dry run: Shut down acme. Nothing was changed"),
            (
                "shutdown --no-drain --dry-run",
                "removes 3 media nodes without draining",
            ),
        ):
            await told(scene, text, words)
        helps = await told(scene, "help all", "Commands: ")
        assert all(
            word in helps.text
            for word in (
                "status",
                "startup",
                "cancel",
                "resume",
                "abandon",
                "runs",
                "--dry-run",
                "--reason",
            )
        )
        await told(
            scene,
            "help",
            "You may read. Changes: only operators of this cluster may change it. Ask <@UANA>",
            "UDORA",
        )
        assert channel(scene) == []
        assert await scene.bot.operations.reader.open_run("acme") is None
        assert await scene.bot.operations.reader.waiting("acme") == []
        untouched(scene)

    play(story)


def test_a_mention_in_a_thread_works_too() -> None:
    async def story(scene: Scene) -> None:
        await types(scene, "shutdown")
        card = await scene.card("Shut down acme")
        await scene.ana.mention_bot("COPS", "status", card.ts)
        answer = await hears(scene, "UANA", "acme is in service")
        assert answer.thread_ts == card.ts
        await scene.ben.mention_bot("COPS", "what?", card.ts)
        await hears(scene, "UBEN", "“what” is not a command; did you mean `/openvidu status`?")
        await scene.dora.mention_bot("COPS", "shutdown --media-only", card.ts)
        await hears(scene, "UDORA", "Only operators of this cluster may change it")
        await scene.ben.mention_bot(
            "COPS", 'shutdown --media-only --reason "from a thread"', card.ts
        )
        other = await pressable(scene, "from a thread")
        asks = "<@UBEN> requests approval: Shut down only the media nodes of acme: from a thread"
        assert asks in other.text
        untouched(scene)

    play(story)


HOSTILE = (
    "<!channel> @dora *now* _or_ `never` ~not~ <https://evil.example|click here> & "
    + "very " * 120
    + "long"
)


def test_a_long_reason_with_marks_of_its_own_is_only_text() -> None:
    async def story(scene: Scene) -> None:
        await types(scene, f'shutdown --reason "{HOSTILE}"')
        card = await scene.card("Shut down acme")
        await scene.ben.press(card, "Approve")
        await scene.card("acme is shut down")
        await told(scene, "run acme-1", "acme is shut down")
        for message in scene.ana.visible_messages("COPS"):
            if message.user != scene.slack.workspace.bot.id:
                continue
            shown = message.text + json.dumps(message.blocks)
            for mark in ("<!channel>", "<@UDORA", "*now*", "`never`", "<https", "|click here>"):
                assert mark not in shown
        final = next(m for m in scene.ana.visible_messages("COPS") if m.ts == card.ts)
        assert "acme-1" in final.text
        assert "very very" in str(final.blocks)
        assert (await scene.journal.run("acme-1")).reason.endswith("long"), (
            "kept whole where it is evidence"
        )

    play(story)


# LiveKit


def test_with_livekit_down_the_meetings_are_unknown_and_never_none() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=30)
        status = await told(scene, "status", "acme is in service")
        assert "Meetings now: 1 (5 people" in status.text
        scene.environment.livekit["acme"].api_secret = "rotated" * 8
        status = await told(scene, "status", "Meetings now: unknown")
        assert "Meetings now: none" not in status.text
        dry = await told(scene, "shutdown --no-drain --dry-run", "Ends all running meetings")
        assert "how many meetings run is unknown" in dry.text

    play(story)


# Cancel, stop, resume, abandon


@pytest.mark.parametrize(
    ("position", "stays", "masters"),
    [
        (
            0,
            "3 media nodes draining (no new meetings until OpenVidu is restarted there)",
            "active",
        ),
        (1, "media pool set to 0", "active"),
        (2, "media pool set to 0", "active"),
        (3, "masters 1-4 powered off", "off"),
    ],
    ids=["drain", "pool", "media gone", "masters"],
)
def test_a_cancel_stops_at_the_next_safe_point_and_says_what_stays(
    position: int, stays: str, masters: str
) -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=4)
        await approved(scene)
        await at_step(scene, position)
        await told(scene, "cancel acme-1", "Only operators of this cluster may change it", "UDORA")
        await told(scene, "cancel acme-1", "Acme-1 stops at its next safe point", "UBEN")
        if position == 3:
            run = await scene.journal.run("acme-1")
            assert not run.over, "masters that were asked to stop are first seen off"
            again = await told(
                scene, "cancel acme-1", "<@UBEN> has already cancelled acme-1", "UANA"
            )
            assert "stops at the next safe point" in again.text
        run = await scene.run_is("acme-1", "cancelled", "done")
        await scene.settled(run)
        card = next(
            m
            for m in scene.ana.visible_messages("COPS")
            if run.id in m.text and ("Changed: " in m.text or "Done: " in m.text)
        )
        assert stays in card.text
        assert [d.status for d in scene.estate.masters("acme")] == [masters] * 4
        await told(scene, "cancel acme-1", f"Acme-1 is over: {run.state}", "UBEN")
        await scene.wait(1200)
        assert scene.estate.people_disconnected == 0
        signalled_once(scene)
        # The cluster is free, and comes back.
        await types(scene, "startup 3 --now")
        await scene.card("acme is back in service")
        assert len(scene.estate.serving("acme")) == 3

    play(story)


def test_a_cancelled_startup_leaves_no_master_half_on() -> None:
    async def story(scene: Scene) -> None:
        await approved(scene)
        await scene.card("acme is shut down")
        await types(scene, "startup --now")
        await at_step(scene, 1, "acme-2")
        await told(scene, "cancel acme-2", "Acme-2 stops at its next safe point")
        await scene.card("acme-2 was cancelled")
        scene.estate.settle()
        assert [d.status for d in scene.estate.masters("acme")] == [
            "active",
            "active",
            "off",
            "off",
        ]
        assert await scene.bot.operations.reader.open_run("acme") is None
        await types(scene, "startup --now")
        await scene.card("acme is back in service")
        assert len(scene.estate.serving("acme")) == 3

    play(story)


async def stopped_at_the_masters(scene: Scene) -> Message:
    """Master 2 does not obey, neither softly nor hard."""
    for action in ("shutdown", "power_off"):
        scene.environment.faults.add(
            "action", "ignored", match=f"{action} acme-master-node-2", times=99
        )
    await approved(scene)
    card = await pressable(scene, "acme-1 is paused", 7200)
    assert (
        "“Power off masters 1-4” timed out after 7 min: still waiting for master-2 to power off"
        in card.text
    )
    await scene.card("<@UANA>, acme-1 is paused")
    scene.environment.faults.rules.clear()
    return card


def test_a_run_that_stopped_keeps_the_cluster_until_somebody_resumes_it() -> None:
    async def story(scene: Scene) -> None:
        card = await stopped_at_the_masters(scene)
        await told(scene, "startup 3", "Acme is locked by `acme-1`: shutdown, started by <@UANA>")
        await hears(scene, "UANA", "Resume or abandon it first")
        await told(scene, "cancel acme-1", "Acme-1 is paused: resume or abandon it instead")
        await scene.dora.press(card, "Resume run")
        await hears(scene, "UDORA", "Only operators of this cluster may change it")
        old = copy.deepcopy(card)
        await asyncio.gather(
            *(press_old(who, old, "Resume run") for who in (scene.ana, scene.ben, scene.ana))
        )
        await scene.card("acme is shut down")
        is_down(scene)
        run = await scene.journal.run("acme-1")
        assert [type(e).__name__ for e in await scene.journal.events("acme-1")].count(
            "Resumed"
        ) == 1
        await press_old(scene.ben, old, "Abandon run…")
        await hears(scene, "UBEN", "Acme-1 is over: done")
        await told(scene, "resume acme-1", "Acme-1 is over: done")
        await told(scene, "runs", "Shut down acme · done")
        full = await told(scene, "run acme-1", "acme is shut down")
        history = json.dumps(full.blocks, ensure_ascii=False)
        assert "paused: “Power off masters 1-4”" in history
        assert "resumed by" in history
        assert run.approvers[0].user == "UBEN"

    play(story)


def test_a_run_that_stopped_may_be_given_up() -> None:
    async def story(scene: Scene) -> None:
        card = await stopped_at_the_masters(scene)
        await told(scene, "abandon acme-1", "Only operators of this cluster may change it", "UDORA")
        old = copy.deepcopy(card)
        answer = await told(
            scene, "abandon acme-1", "Acme-1 is abandoned; acme is unlocked", "UBEN"
        )
        assert "media pool set to 0" in answer.text
        await scene.card("acme-1 was abandoned by <@UBEN>")
        await press_old(scene.ana, old, "Resume run")
        await hears(scene, "UANA", "Acme-1 is over: abandoned by <@UBEN>")
        asked = {m.id: len(asked_of(scene, m)) for m in scene.estate.masters("acme")}
        await scene.wait(600)
        assert {m.id: len(asked_of(scene, m)) for m in scene.estate.masters("acme")} == asked, (
            "nothing more is done"
        )
        await types(scene, "startup --now")
        await scene.card("acme is back in service")
        assert len(scene.estate.serving("acme")) == 3

    play(story)


def test_masters_that_never_become_healthy_are_named_with_the_layer_that_failed() -> None:
    async def story(scene: Scene) -> None:
        await approved(scene)
        await scene.card("acme is shut down")
        scene.environment.faults.add("web", "503", match="acme-master-node-4", times=-1)
        await types(scene, "startup --now")
        card = await pressable(scene, "acme-2 is paused", 7200)
        assert "“Wait until masters 1-4 are healthy” timed out after 20 min" in card.text
        assert "master-4 (health page does not return 200)" in card.text
        assert scene.estate.media("acme") == [], "the pool comes up last"
        restarts = [
            d
            for d, command, _ in scene.environment.shell.commands
            if command == "systemctl restart openvidu"
        ]
        assert restarts == [scene.estate.droplet_named("acme-master-node-4").id], (
            "one restart, of that one"
        )
        scene.environment.faults.rules.clear()
        await scene.ben.press(card, "Resume run")
        await scene.card("acme is back in service")
        assert len(scene.estate.serving("acme")) == 3

    play(story)


def test_nodes_that_another_hand_adds_during_a_drain_are_drained_too() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=10)
        await approved(scene)
        await at_step(scene, 0)
        edit_by_hand(scene, 5)
        run = await scene.run_is("acme-1", "asking", "done")
        if run.question is not None:
            assert "the pool's number from 3 to 5" in run.question.text
            await goes_on(scene, await pressable(scene, "changed outside this run:"))
        await shown(scene, "acme is shut down")
        is_down(scene)
        assert scene.estate.people_disconnected == 0

    play(story)


def test_a_pool_that_another_hand_fills_again_keeps_the_masters_on() -> None:
    async def story(scene: Scene) -> None:
        await approved(scene)
        await at_step(scene, 2)
        edit_by_hand(scene, 2)
        run = await scene.run_is("acme-1", "asking", "stopped")
        assert [d.status for d in scene.estate.masters("acme")] == ["active"] * 4
        assert scene.estate.pool("acme").target == 2
        if run.question is not None:
            await scene.ben.press(await pressable(scene, "changed outside this run:"), "Stop here")
        else:
            card = await pressable(scene, "acme-1 is paused")
            assert "still waiting for media-4 and media-5 to be deleted" in card.text
            await scene.ben.press(card, "Abandon run…")
        await scene.run_is("acme-1", "abandoned", "left")
        await types(scene, "shutdown")
        await scene.ben.press(
            await pressable(scene, "requests approval: Shut down acme"), "Approve"
        )
        await shown(scene, "acme is shut down")
        is_down(scene)

    play(story, site={"timings": {"members_gone_deadline": 240}})


def test_a_command_is_answered_once_even_if_slack_delivers_it_again() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=10)
        await types(scene, "shutdown")
        await scene.card("Shut down acme")
        await asyncio.gather(*(types(scene, "shutdown") for _ in range(3)))
        await scene.wait(30)
        assert len([t for t in channel(scene) if "Shut down acme" in t]) == 1
        assert len(await scene.bot.operations.reader.waiting("acme")) == 1

    play(story)


def test_the_same_command_typed_twice_at_once_is_one_request() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.gather(types(scene, "shutdown", "UANA"), types(scene, "shutdown", "UBEN"))
        await scene.wait(30)
        waiting = await scene.bot.operations.reader.waiting("acme")
        assert len({r.plan.procedure.command_line() for r in waiting}) == len(waiting) == 1
        assert waiting[0].requester.user in ("UANA", "UBEN")
        untouched(scene)

    play(story)


def test_a_token_that_sees_no_tags_changes_nothing() -> None:
    """It could overlook a media droplet that is no member of the pool; reading still works."""

    async def story(scene: Scene) -> None:
        scene.environment.digitalocean.scopes = {
            "droplet:read",
            "droplet:update",
            "droplet:create",
            "account:read",
            "sizes:read",
            "snapshot:read",
        }
        await told(scene, "shutdown", "This token sees no tags (it lacks tag:read)")
        await told(scene, "status", "it lacks tag:read")
        untouched(scene)

    play(story)
