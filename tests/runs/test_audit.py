"""An audit entry is written in the commit of its decision, on several bots and past crashes."""

import asyncio
import json
import sqlite3
from typing import Any

import pytest

from services.access.policy import Actor
from services.audit.anchors import anchored_heads
from services.audit.chain import AuditChain
from services.audit.entries import AuditAction, AuditRecord, Entry, Head
from services.audit.verify import Verification, verify
from services.cloud.secrets_bucket import HEADS
from services.common.errors import BotError
from services.procedures import Shutdown
from services.runs.request import RequestState
from services.runs.run import State
from services.store import Commit
from services.store.sqlite import SqliteStore
from tests.runs.test_crash import ANA, BEN, insist
from tests.support import virtual
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene
from tests.support.stories import request_and_approve, run_ended


async def checked(scene: Scene, posted: list[Head] | None = None) -> Verification:
    return await verify(scene.store, AuditChain(scene.store, scene.clock), "acme", posted or [])


async def decisions(scene: Scene) -> list[Entry]:
    """But for what the settings say, and what is observed now and then."""
    return [
        e
        for e in (await AuditChain(scene.store, scene.clock).newest("acme", 1000))[::-1]
        if e.what not in (AuditAction.POLICY, AuditAction.SERVICE)
    ]


def database(scene: Scene) -> sqlite3.Connection:
    assert isinstance(scene.store, SqliteStore)
    return scene.store._db


def test_an_evening_is_told_as_it_was_decided() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=2) as scene:
            scene.estate.open_meeting(people=4, minutes=3)
            await scene.ana.type_text("COPS", '/openvidu shutdown --reason "power work"')
            await scene.ben.press(await scene.card("requests approval"), "Approve")
            await scene.run_is("acme-1", State.DONE)
            await scene.ana.type_text("COPS", '/openvidu hold "exam week" for 2h')
            await scene.wait(5)
            await scene.ben.type_text("COPS", "/openvidu unhold")
            await scene.wait(5)
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await scene.wait(20)
            await scene.ben.type_text("COPS", "/openvidu cancel acme-2")
            await scene.run_is("acme-2", State.CANCELLED, State.DONE)
            told = [(e.what, e.user) for e in await decisions(scene)]
            assert told == [
                (AuditAction.ASKED, "UANA"),
                (AuditAction.APPROVED, "UBEN"),
                (AuditAction.OPENED, "UANA"),
                (AuditAction.ENDED, ""),
                (AuditAction.HELD, "UANA"),
                (AuditAction.UNHELD, "UBEN"),
                (AuditAction.OPENED, "UANA"),
                (AuditAction.CANCELLED, "UBEN"),
                (AuditAction.ENDED, "UBEN"),
            ]
            first, approved, opened, ended, held = (await decisions(scene))[:5]
            assert first.reason == "power work"
            assert (first.after, approved.before) == ("shutdown: 0 of 1 approval",) * 2
            assert approved.after == "approved, runs as acme-1"
            assert "approved by UBEN" in opened.after
            assert first.proof == opened.proof == (await scene.journal.run("acme-1")).plan.digest
            assert (ended.before, ended.after, held.reason) == ("running", "done", "exam week")
            assert (await checked(scene)).flaws == ()
            await scene.ana.type_text("COPS", "/openvidu audit 4")
            said = (await scene.ephemeral("UANA", "Decisions about acme")).text
            assert "11 decisions in all" in said
            assert "cancel requested acme-2 by <@UBEN>" in said
            await scene.dora.type_text("COPS", "/openvidu audit")
            await scene.ephemeral("UDORA", "Only operators")

    virtual.run(story())


def test_a_changed_journal_and_a_changed_entry_are_named() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            await request_and_approve(scene, "shutdown", "requests approval")
            await run_ended(scene)
            assert (await checked(scene)).flaws == ()
            run = database(scene)
            (text,) = run.execute(
                "select text from entry where log = 'run:acme-1' and at = 2"
            ).fetchone()
            run.execute(
                "update entry set text = ? where log = 'run:acme-1' and at = 2",
                (text.replace("1800", "1801", 1),),
            )
            (flaw,) = (await checked(scene)).flaws
            assert flaw.number == 5
            assert "records the end of acme-1, whose journal was changed since" in flaw.problem
            run.execute("delete from entry where log = 'run:acme-1'")
            assert "whose journal is missing" in (await checked(scene)).flaws[0].problem
            run.execute(
                "update entry set text = replace(text, 'UBEN', 'UDORA') where log = "
                "'audit:acme' and at = 2"
            )
            assert [f.number for f in (await checked(scene)).flaws] == [3, 5]

    virtual.run(story())


def test_what_people_say_at_the_very_end_is_in_the_digest() -> None:
    """A cancel between reading the journal and writing its end: the end is computed again."""

    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            operations, store = scene.bot.operations, scene.store
            read, said, inside = store.read, False, False

            async def late(log: str, start: int = 0, count: int | None = None) -> list[str]:
                nonlocal said, inside
                found = await read(log, start, count)
                if log == "run:acme-1" and found and not start and not (said or inside):
                    inside = True
                    run = await scene.journal.run("acme-1")
                    inside = False
                    if run.position == len(run.steps) and not run.over:
                        said = True
                        await operations.service.cancel("acme-1", BEN)
                return found

            store.read = late  # type: ignore[method-assign]
            await operations.service.request(ANA, "acme", Shutdown(), channel="COPS")
            (request,) = await operations.reader.waiting("acme")
            await operations.service.approve(request.id, BEN)
            await scene.run_is("acme-1", State.DONE, State.CANCELLED)
            assert said
            assert (await checked(scene)).flaws == ()

    virtual.run(story())


def test_three_bots_that_decide_at_once_make_one_chain() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            await scene.start_bot()
            await scene.start_bot()
            while not (await checked(scene)).entries:
                await scene.wait(1)  # the first is the policy, which every bot notes unless one has
            many = 60
            people = [Actor(f"U{n:03d}", "T0ACME") for n in range(many)]

            async def decide(number: int) -> None:
                bot = scene.bots[number % 3]
                await bot.operations.journal.chain.commit(
                    Commit(puts={f"k{number}": "1"}),
                    "acme",
                    AuditRecord(AuditAction.HELD, people[number], "hold"),
                )

            await asyncio.gather(*(decide(n) for n in range(many)))
            finding = await checked(scene)
            assert finding.flaws == ()
            assert finding.entries == many + 1
            assert {e.user for e in await decisions(scene)} == {p.user for p in people}

    virtual.run(story())


def test_a_press_that_loses_only_to_other_decisions_is_not_told_that_somebody_was_quicker() -> None:
    """Two requests approved at the same moment are both decided, on one chain."""

    async def story() -> None:
        async with Scene(
            sqlite=True,
            media=2,
            policy={"approvals": 2},
            roles={"operators": ["UANA", "UBEN", "UCARLA", "UDORA"]},
        ) as scene:
            operations = scene.bot.operations
            for procedure in (Shutdown(), Shutdown(media_only=True)):
                await operations.service.request(ANA, "acme", procedure, channel="COPS")
            requests = await operations.reader.waiting("acme")
            await asyncio.gather(*(operations.service.approve(r.id, BEN) for r in requests))
            assert [len(r.approvals) for r in await operations.reader.waiting("acme")] == [1, 1]
            assert (await checked(scene)).flaws == ()

    virtual.run(story())


def killed(die_at: CrashPoint) -> int:
    """Ask, approve and end with a crash at that point: chain and state agree in the end."""

    async def story() -> int:
        async with short_scene(media=1) as scene:
            await scene.start_bot(die_at)
            run = await insist(scene, Shutdown())
            await scene.wait(400)
            if scene.crash_injectors[-1].is_dead:
                await scene.start_bot()
                await scene.wait(300)
            finding = await checked(scene)
            assert finding.flaws == ()
            told = await decisions(scene)
            assert [e.about for e in told if e.what == AuditAction.OPENED] == [run.id]
            assert [e.about for e in told if e.what == AuditAction.ENDED] == [run.id]
            asked_for = {e.about for e in told if e.what == AuditAction.ASKED}
            for request_id in asked_for:
                request = await scene.journal.request(request_id)
                closing = [
                    e.what for e in told if e.about == request_id and e.what != AuditAction.ASKED
                ]
                assert closing == {
                    RequestState.APPROVED: [AuditAction.APPROVED],
                    RequestState.EXPIRED: [AuditAction.EXPIRED],
                }.get(request.state, [])
            bucket = scene.environment.spaces.buckets[scene.estate.clusters["acme"].bucket].objects
            assert [k for k in bucket if k.startswith(f"{HEADS}acme/{finding.entries:010d}-")], (
                "the newest head got there all the same"
            )
            return scene.crash_injectors[0].points

    return virtual.run(story())


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point_no_decision_is_without_its_entry_nor_the_other_way_round(
    part: int,
) -> None:
    assert_survives_any_crash("shutdown and its audit", killed, 54, part)


# Heads


def kept(scene: Scene) -> dict[str, Any]:
    bucket = scene.environment.spaces.buckets[scene.estate.clusters["acme"].bucket].objects
    return {k: bucket[k] for k in bucket if k.startswith(HEADS)}


def test_each_head_is_put_into_the_bucket_once_by_whichever_bot() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            await scene.start_bot()
            await scene.start_bot()
            await request_and_approve(scene, "shutdown", "requests approval")
            await run_ended(scene)
            await scene.wait(200)
            heads = kept(scene)
            last = (await decisions(scene))[-1]
            assert f"{HEADS}acme/{last.number:010d}-{last.hash[:16]}" in heads
            assert len(heads) <= 4, "not one for each entry"
            vault = scene.bot.operations.staged.vault("acme")
            posted = await anchored_heads(vault, "acme")
            assert (await checked(scene, posted)).flaws == ()
            database(scene).execute("delete from entry where log = 'audit:acme' and at >= 1")
            (first,) = [
                e
                for e in await AuditChain(scene.store, scene.clock).newest("acme", 9)
                if e.number == 1
            ]
            database(scene).execute(
                "update value set text = ? where key = 'audit-head:acme'", (first.head.text,)
            )
            assert (await checked(scene)).flaws == (), "from within nobody can tell that it was cut"
            (flaw,) = [f for f in (await checked(scene, posted)).flaws if f.number == last.number]
            assert "the chain was shortened and ends with entry 1" in flaw.problem

    virtual.run(story())


def test_a_bucket_that_is_away_holds_nothing_up_and_gets_the_head_later() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            scene.environment.faults.add("spaces", "503", times=10**6)
            await scene.ana.type_text("COPS", '/openvidu hold "exam week" for 2h')
            await scene.ephemeral("UANA", "acme is on hold")
            await scene.wait(300)
            assert kept(scene) == {}
            scene.environment.faults.rules.clear()
            await scene.wait(120)
            assert len(kept(scene)) == 1

    virtual.run(story())


def test_a_runs_last_card_and_once_a_day_the_channel_hold_the_head() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            await request_and_approve(scene, "shutdown", "requests approval")
            run = await run_ended(scene)
            ended = (await decisions(scene))[-1]
            assert ended.about == run.id
            (card,) = [
                m
                for m in scene.ana.visible_messages("COPS")
                if m.text.startswith("acme is shut down") and m.thread_ts in (None, m.ts)
            ]
            assert f"Audit `{ended.number}:{ended.hash[:16]}`" in json.dumps(
                card.blocks, ensure_ascii=False
            )

            def told() -> list[str]:
                return [
                    m.text
                    for m in scene.ana.visible_messages("COPS")
                    if m.text.startswith("Audit of acme")
                ]

            await scene.wait(86400 + 60)
            await scene.ana.type_text("COPS", '/openvidu hold "exam week" for 2h')
            await scene.wait(60)
            assert len(told()) == 1
            newest = (await decisions(scene))[-1]
            assert newest.hash in told()[0] or ended.hash in told()[0]
            await scene.wait(86400)
            assert len(told()) <= 2, "once a day, and only when something was decided"

    virtual.run(story())


@pytest.mark.parametrize("approvals", [2])
def test_an_approval_of_several_and_an_expiry_are_told_with_what_was_so_before(
    approvals: int,
) -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1, policy={"approvals": approvals}) as scene:
            operations = scene.bot.operations
            await operations.service.request(ANA, "acme", Shutdown(), channel="COPS")
            (request,) = await operations.reader.waiting("acme")
            await operations.service.approve(request.id, BEN)
            await scene.wait(1900)
            first, one, end = await decisions(scene)
            assert (one.what, one.before, one.after) == (
                AuditAction.APPROVED,
                "shutdown: 0 of 2 approvals",
                "shutdown: 1 of 2 approvals",
            )
            assert (end.what, end.user, end.before, end.after) == (
                AuditAction.EXPIRED,
                "",
                "shutdown: 1 of 2 approvals",
                "expired",
            )
            assert first.about == one.about == end.about == request.id

    virtual.run(story())


def test_other_settings_are_a_decision_that_is_told_once() -> None:
    async def story() -> None:
        async with Scene(
            sqlite=True, media=1, policy={"approvals": 2}, roles={"break_glass": ["UANA"]}
        ) as scene:
            await scene.start_bot()
            await scene.wait(30)
            (entry,) = await AuditChain(scene.store, scene.clock).newest("acme", 9)
            assert (entry.what, entry.user, entry.before) == (AuditAction.POLICY, "", "")
            for said in (
                "operators: UANA, UBEN, UCARLA",
                "break-glass: UANA",
                "approvals: 2",
                "viewers: everyone",
            ):
                assert said in entry.after
        async with Scene(media=1, store=scene.store, policy={"approvals": 1}) as later:
            await later.wait(30)
            changed, _ = await AuditChain(later.store, later.clock).newest("acme", 9)
            assert (changed.what, changed.before) == (AuditAction.POLICY, entry.after)
            assert "break-glass: nobody; approvals: 1" in changed.after

    virtual.run(story())


def test_a_refused_wish_leaves_nothing() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            with pytest.raises(BotError):
                await scene.bot.operations.service.request(
                    Actor("UDORA", "T0ACME"), "acme", Shutdown(), channel="COPS"
                )
            assert await decisions(scene) == []

    virtual.run(story())
