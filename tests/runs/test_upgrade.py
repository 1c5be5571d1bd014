"""Upgrades and downgrades: each version goes on with what the other has written.

The stories of tests/golden are played by this version up to the moment at which the released
version recorded its state; that state then replaces this version's, and the story goes
on.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from services.access.policy import Actor
from services.audit.verify import verify
from services.cloud.secrets_bucket import HEADS
from services.cluster.model import FleetKind
from services.common.errors import Refused, Unreachable
from services.common.serialize import VERSION
from services.memory.cluster import KNOWN_AGAIN
from services.memory.message_refs import CardPlace
from services.operations.results import Replanned, Started
from services.runs.run import State
from services.store import Commit
from services.store.keys import STATE
from services.store.origin import SCHEMA, NewerState, open_state, read_origin
from services.store.sqlite import SqliteStore
from tests.golden.make import dump as state_of
from tests.golden.make import shapes
from tests.golden.state import BESIDE, FOLDER, RELEASED, ReleasedReader, golden, put
from tests.golden.stories import STORIES
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import request_and_approve, run_ended, with_buttons

ANA, BEN, CARLA = (Actor(u, "T0ACME") for u in ("UANA", "UBEN", "UCARLA"))
GoesOn = Callable[[Scene], Awaitable[None]]
every_version = pytest.mark.parametrize("version", RELEASED)


async def takes_over(scene: Scene, state: dict[str, Any]) -> None:
    """That state is what the next bot finds."""
    scene.kill()
    await scene.wait(1)
    assert isinstance(scene.store, SqliteStore)
    for table in ("value", "entry", "done", "life"):
        scene.store._db.execute(f"delete from {table}")
    await put(scene.store, state)
    bucket = scene.environment.spaces.buckets[scene.estate.clusters["acme"].bucket].objects
    for key in [k for k in bucket if k.startswith(HEADS)]:
        del bucket[key]  # heads of what was played to get here
    await scene.start_bot()


def played(version: str, name: str, goes_on: GoesOn) -> None:
    async def told() -> None:
        story = STORIES[name]
        async with Scene(sqlite=True, **story.scene) as scene:
            await story.tell(scene)
            before = golden(version, name)
            await takes_over(scene, before)
            await goes_on(scene)
            await scene.wait(60)
            assert scene.bot.operations.bulkheads.failures == ()
            found = await verify(scene.store, scene.journal.chain, "acme")
            assert found.flaws == ()
            assert found.entries >= len(before["logs"]["audit:acme"])
            if version in BESIDE:
                assert ReleasedReader(version).cannot_read(state_of(scene)) == [], (
                    f"{version} could not go on from here"
                )

    virtual.run(told())


@every_version
@pytest.mark.parametrize("name", ["draining", "autoscaled"])
def test_a_run_is_driven_on_in_the_middle_of_a_drain(version: str, name: str) -> None:
    async def goes_on(scene: Scene) -> None:
        signals = len(scene.estate.signals)
        await run_ended(scene)
        assert len(scene.estate.signals) == signals, "no node is told twice"
        assert [m.on for m in scene.estate.masters("acme")] == [False] * 4

    played(version, name, goes_on)


@every_version
def test_a_question_stands_and_is_answered_by_those_who_see_what_it_ends(version: str) -> None:
    async def goes_on(scene: Scene) -> None:
        scene.estate.allow_disconnects = True
        await scene.wait(20)
        run = await scene.journal.run("acme-1")
        assert run.state is State.ASKING
        assert run.question is not None
        assert [c.id for c in run.question.choices] == ["wait", "force", "stop"]
        if (
            run.question.stake is None
        ):  # that version did not note who would be cut off: it is asked again, with that
            with pytest.raises(Refused, match="the number was unknown when this was requested"):
                await scene.bot.operations.service.answer("acme-1", run.question.id, "force", CARLA)
            asked_again = (await scene.journal.run("acme-1")).question
            assert asked_again is not None
            with pytest.raises(Refused, match="one more person must press the same button"):
                await scene.bot.operations.service.answer("acme-1", asked_again.id, "force", BEN)
        question = (await scene.journal.run("acme-1")).question
        assert question is not None
        await scene.bot.operations.service.answer("acme-1", question.id, "force", CARLA)
        await run_ended(scene)

    played(version, "asking", goes_on)


@every_version
def test_a_run_that_has_stopped_can_be_gone_on_with(version: str) -> None:
    async def goes_on(scene: Scene) -> None:
        await scene.wait(20)
        scene.environment.faults.clear()
        await scene.bot.operations.service.resume("acme-1", BEN)
        await run_ended(scene)

    played(version, "stopped", goes_on)


@every_version
def test_runs_that_ended_tell_how(version: str) -> None:
    async def goes_on(scene: Scene) -> None:
        runs = await scene.bot.operations.service.runs("acme", ANA)
        assert [r.state for r in runs] == [
            State.CANCELLED,
            State.LEFT,
            State.ABANDONED,
            State.ROLLED_BACK,
            State.DONE,
        ]
        await scene.ana.type_text("COPS", "/openvidu scale 2 --dry-run")
        await scene.ephemeral("UANA", "Dry run")

    played(version, "ended", goes_on)


@every_version
@pytest.mark.parametrize("way", ["approved", "rejected", "expired"])
def test_a_request_that_waits_is_not_stranded(version: str, way: str) -> None:
    """Half approved, with a window and days off beside it, and the cluster on hold."""

    async def goes_on(scene: Scene) -> None:
        operations = scene.bot.operations
        await scene.wait(20)
        _, book = await operations.memory.books.read("acme")
        assert [w.name for w in book.windows] == ["nights"]
        assert book.exceptions.off == ("2027-12-24",)
        hold = book.exceptions.hold(scene.clock.now())
        assert hold is not None
        assert hold.reason == "demo"
        secret, shutdown = await operations.reader.waiting("acme")
        await scene.bot.scheduler.overrides.unhold("acme", CARLA)
        await operations.service.reject(secret.id, BEN, "not now")
        if way == "approved":
            made = await operations.service.approve(shutdown.id, CARLA)
            assert isinstance(made, Started | Replanned), (
                "it runs, or it is shown anew because another version plans otherwise"
            )
        elif way == "rejected":
            await operations.service.reject(shutdown.id, BEN, "not now")
            with pytest.raises(Refused, match=r"rejected by \[\[person UBEN\]\]"):
                await operations.service.approve(shutdown.id, CARLA)
        else:
            await scene.wait(3600)
            with pytest.raises(Refused, match="this request expired"):
                await operations.service.approve(shutdown.id, CARLA)
        await scene.wait(30)
        assert {r.id for r in await operations.reader.waiting("acme")} & {
            secret.id,
            shutdown.id,
        } == set()

    played(version, "waiting", goes_on)


# Fields that come and go


@pytest.mark.parametrize("field", ["lacks", "glass", "replaced_by"])
def test_a_request_of_a_version_that_did_not_have_a_field_can_be_decided(field: str) -> None:
    """A request of an older version could not be approved, rejected or expire."""

    async def story() -> None:
        async with Scene(sqlite=True, media=2) as scene:
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await with_buttons(scene, "Shut down acme")
            (pending,) = await scene.store.get("pending:acme")
            (key,) = [f"request:{i}" for i in json.loads(pending or "")]
            (text,) = await scene.store.get(key)
            older = {k: v for k, v in json.loads(text or "").items() if k not in (field, "v")}
            await scene.store.commit(Commit(puts={key: json.dumps(older)}))
            await scene.ben.press(card, "Approve")
            await run_ended(scene)
            (pending,) = await scene.store.get("pending:acme")
            assert pending == "[]"

    virtual.run(story())


def test_what_a_newer_version_wrote_beside_is_kept_by_whoever_writes_over_it() -> None:
    """In requests and in the book of hours, on every level."""

    async def story() -> None:
        async with Scene(sqlite=True, media=2, policy={"approvals": 2}) as scene:
            await scene.ana.type_text("COPS", "/openvidu window add nights Mon-Fri 20:00-07:30 UTC")
            card = await with_buttons(scene, "Add window nights to acme")
            for who in (scene.ben, scene.person("UCARLA")):
                await who.press(card, "Approve")
                await scene.wait(2)
            await run_ended(scene)
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await with_buttons(scene, "Shut down acme")
            (pending,) = await scene.store.get("pending:acme")
            (key,) = [f"request:{i}" for i in json.loads(pending or "")]
            for at, where in ((key, ("plan", "effects")), ("hours:acme", ("windows", 0))):
                (text,) = await scene.store.get(at)
                raw = inner = json.loads(text or "")
                raw["mood"] = "calm"
                for step in where:
                    inner = inner[step]
                inner["colour"] = {"is": "Colour", "name": "blue"}
                await scene.store.commit(Commit(puts={at: json.dumps(raw)}))
            await scene.ben.press(card, "Approve")
            await scene.wait(5)
            await scene.ana.type_text("COPS", "/openvidu window skip 2027-12-24")
            await scene.wait(5)
            request, book = (json.loads(t or "") for t in await scene.store.get(key, "hours:acme"))
            assert len(request["approvals"]) == 1
            assert (request["mood"], request["plan"]["effects"]["colour"]["name"]) == (
                "calm",
                "blue",
            )
            assert book["exceptions"]["off"] == ["2027-12-24"]
            assert (book["mood"], book["windows"][0]["colour"]["name"]) == ("calm", "blue")
            assert book["v"] == request["v"] == VERSION
            await scene.person("UCARLA").press(card, "Approve")
            await run_ended(scene, run="acme-2")

    virtual.run(story())


def test_every_record_carries_its_version() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            await request_and_approve(
                scene, "window add nights Mon-Fri 20:00-07:30 UTC", "Add window nights to acme"
            )
            await run_ended(scene)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene, run="acme-2")
            state = state_of(scene)
            records = [
                text
                for key, (text, _) in state["values"].items()
                if key.startswith(("request:", "hours:", "identity:"))
            ]
            records += [
                text
                for log, texts in state["logs"].items()
                if log.startswith("run:")
                for text in texts
            ]
            assert len(records) > 12
            assert {json.loads(text)["v"] for text in records} == {VERSION}
            origin = read_origin((await scene.store.get(STATE))[0])
            assert origin is not None
            assert (origin.schema, origin.needs) == (SCHEMA, 1)

    virtual.run(story())


# Classes that are stored only in fields, or under keys, that the version before does not know: it
# passes over them.
OUT_OF_SIGHT = {
    "Identity",
    "Act",
    "Vote",
    "Source",
    "Meeting",
    "ServiceState",
    "StepOutline",
    "EndedMeetings",  # in a field that it does not read
}  # votes: under a key that it does not read; each version counts its own
# Steps of clusters that the version before refuses to operate: it opens no run of theirs, and one
# that it finds is unreadable for it alone.
NOT_OPERATED = {"PowerOffHost", "RestartHost", "HealthyHost"}
# Of commands that the version before does not offer. A request or run of them is unreadable for it
# alone: a newer bot drives it, and the older one shows every other one. So is a backup, which
# counts documents first (CHANGELOG, upgrading).
NOT_OFFERED = {
    *("Stop", "Start", "StopUnit", "StartUnit"),
    *("Upgrade", "FetchUpdater", "UpdateMaster", "RecordVersion"),
    *("StartServices", "RestoreMaster", "VersionsSeen"),
    *("ChangeConfigFile", "SwitchModule", "WriteConfigFile", "RestoreConfigFile"),
    *("ApplyConfig", "ConfigAccepted", "ForgetConfig"),
    *("AllowScaling", "SaveScaling", "ScalingNotes", "ScalingPermission", "ScalingChange"),
    *("AddBackupSchedule", "SaveBackupSchedule", "NoteCounts"),
    *("Drill", "DrillNetwork", "CopyStarted", "DatabaseOpened", "RecordDrill"),
    *("DrillGone",),
    *("DeleteWaste", "DeleteLeftovers"),
}


@pytest.mark.parametrize("version", BESIDE)
def test_what_that_version_cannot_do_without_is_still_written(version: str) -> None:
    """A new class, or a removed field, is read one version before it is written."""
    then, now = json.loads((FOLDER / version / "shapes.json").read_text()), shapes()
    allowed = OUT_OF_SIGHT | NOT_OPERATED | NOT_OFFERED
    assert set(now["classes"]) - set(then["classes"]) <= allowed, (
        f"{version} ends at a record that names one of these"
    )
    for name, known in then["classes"].items():
        lost = [
            field
            for field, needed in known.items()
            if needed and field not in now["classes"].get(name, {})
        ]
        assert not lost, f"{version} cannot read a {name} without {lost}"
        new = [
            field
            for field, needed in now["classes"].get(name, {}).items()
            if needed and field not in known
        ]
        assert not new, f"a {name} of {version} has no {new}, so those need a default"
    assert now["exact"] == then["exact"]
    # Of a Single Node no kind of fleet is remembered (`KNOWN_AGAIN`), so it is never written.
    assert FleetKind.CO_LOCATED not in KNOWN_AGAIN
    words = {
        where: [word for word in known if word != FleetKind.CO_LOCATED]
        for where, known in now["words"].items()
    }
    assert words == then["words"]


@pytest.mark.parametrize("version", BESIDE)
def test_a_card_with_copies_is_still_a_card_to_that_version(version: str) -> None:
    """Its copies, of a channel that was closed, stand under a key of their own."""

    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            place, places = (
                CardPlace("COPS", "1.2", copies=(("UANA", "DANA", "3.4"),), copied="the card"),
                scene.bot.operations.message_refs,
            )
            await places.put("acme-1", place)
            assert await places.get("acme-1") == place
            assert ReleasedReader(version).cannot_read(state_of(scene)) == []
            await places.put("acme-1", replace(place, copies=(), copied=""))
            assert await scene.store.get("copies:acme-1") == [None]

    virtual.run(story())


@pytest.mark.parametrize("version", BESIDE)
def test_everything_that_is_written_now_that_version_can_read(version: str) -> None:
    """The rule: side by side with the version before."""

    async def story() -> None:
        for name in STORIES:
            async with Scene(sqlite=True, **STORIES[name].scene) as scene:
                scene.promises = False
                await STORIES[name].tell(scene)
                assert ReleasedReader(version).cannot_read(state_of(scene)) == [], name

    virtual.run(story())


def test_the_reader_of_an_older_version_notices_what_it_could_not_read() -> None:
    reader = ReleasedReader("0.1.0")
    state = golden("0.1.0", "draining")
    assert reader.cannot_read(state) == []
    (key,) = [k for k in state["values"] if k.startswith("request:")]
    request = json.loads(state["values"][key][0])
    for spoilt, says in (
        ({**request, "is": "Ask"}, "Ask is not known"),
        ({k: v for k, v in request.items() if k != "needs"}, "Request lacks needs"),
        ({**request, "state": "withdrawn"}, "Request is withdrawn, which is not known"),
        (
            {**request, "plan": {**request["plan"], "basis": {"is": "Ground"}}},
            "Ground is not known",
        ),
    ):
        state["values"][key][0] = json.dumps(spoilt)
        assert reader.cannot_read(state) == [f"{key}: {says}"]
    state["values"][key][0] = json.dumps({**request, "mood": {"is": "Mood"}})
    assert reader.cannot_read(state) == [], "what it does not know it leaves out"
    state["values"]["card:acme-1"][0] = json.dumps({"channel": "C", "ts": "1", "v": 2})
    assert reader.cannot_read(state) == ["card:acme-1: v is not known"]


# The state's own card


async def _settled(card: dict[str, Any] | None) -> dict[str, Any]:
    scene = Scene(start=False)
    if card is not None:
        await scene.store.commit(Commit(puts={STATE: json.dumps(card)}))
    await scene.store.commit(Commit(puts={"hostkey:7": "ssh-ed25519 AAAA"}))
    await open_state(scene.store, scene.clock, "0.2.0")
    text, used = await scene.store.get(STATE, "hostkey-used:7")
    assert used is not None or card is not None, (
        "it was brought up from the schema that had no number"
    )
    return dict(json.loads(text or "{}"))


def test_a_state_is_given_a_card_brought_up_or_refused() -> None:
    async def story() -> None:
        new = await _settled(None)
        assert (new["schema"], new["needs"], new["version"]) == (SCHEMA, 1, "0.2.0")
        older = await _settled(
            {"id": "x", "schema": 1, "needs": 1, "version": "0.1.9", "at": 5.0, "mood": "calm"}
        )
        assert (older["id"], older["schema"], older["version"], older["mood"]) == (
            "x",
            SCHEMA,
            "0.2.0",
            "calm",
        )
        beside = {
            "id": "x",
            "schema": 9,
            "needs": SCHEMA,
            "version": "0.4.0",
            "at": 5.0,
            "mood": "calm",
        }
        assert await _settled(beside) == beside, (
            "a newer one that can be worked beside is left as it is"
        )
        with pytest.raises(
            NewerState,
            match=r"0\.9\.0 wrote the state \(schema 9, requires 8\), and this version supports 2",
        ):
            await _settled({**beside, "needs": 8, "version": "0.9.0"})

    virtual.run(story())


def test_a_bot_whose_state_becomes_a_newer_versions_stops_writing_and_says_so() -> None:
    """A rolling upgrade to an incompatible version: the older bot only reads."""

    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            scene.promises = False
            await scene.wait(15)
            origin = json.loads((await scene.store.get(STATE))[0] or "")
            await scene.store.commit(
                Commit(
                    puts={
                        STATE: json.dumps({**origin, "schema": 9, "needs": 9, "version": "0.9.0"})
                    }
                )
            )
            await scene.wait(15)
            assert "openvidu-bot 0.9.0 wrote the state" in scene.bot.gate.reason
            assert [t.part for t in scene.bot.operations.bulkheads.failures] == ["memory"]
            with pytest.raises(
                Unreachable, match=r"nothing is written: openvidu-bot 0\.9\.0 wrote the state"
            ):
                await scene.bot.operations.usage.add("acme", "[]")
            await scene.ana.type_text("COPS", "/openvidu status")
            await scene.ephemeral("UANA", "acme")
            await scene.store.commit(Commit(puts={STATE: json.dumps(origin)}))
            await scene.wait(15)
            assert scene.bot.gate.reason == ""
            assert scene.bot.operations.bulkheads.failures == ()

    virtual.run(story())
