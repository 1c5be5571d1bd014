"""The hands of a run: what leaves the bot, under which lease, and in which order."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from services.audit.chain import Chain
from services.cluster.model import Cluster, NodeLook
from services.common.clock import Clock, loop_clock
from services.common.errors import Refused, Rejected, Superseded
from services.common.observed import Observed
from services.memory.cluster import ClusterMemory
from services.runs.drain_ledger import TAGGED, DrainLedger
from services.runs.fenced_world import FencedWorld
from services.runs.locks import TTL, Lease, Locks
from services.store import Commit
from tests.support import virtual
from tests.support.clusters import (
    DRAINING,
    HELD,
    IDLE,
    INSTALLING,
    SILENT,
    START,
    autoscaled,
    ready,
)
from tests.support.memory_store import MemoryStore

Deed = Callable[[FencedWorld], Awaitable[object]]
WINDOW = "nights Mon-Fri 20:00-07:00 Europe/Madrid"


class Slow(MemoryStore):
    """A state that may take its time to do what it is told."""

    takes = 0.0

    async def commit(self, commit: Commit) -> bool:
        done = await super().commit(commit)
        await asyncio.sleep(self.takes)
        return done


class Recorder:
    """Everything outside: writes down what arrives, and what the state said at that moment."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.calls: list[tuple[Any, ...]] = []
        self.seen: dict[str, str | None] = {}
        self.watched = ""
        self.error: Exception | None = None
        self.vault: Recorder | None = None

    def __getattr__(self, name: str) -> Any:
        async def call(*args: object, **more: object) -> bool:
            if self.watched:
                self.seen[name] = self.store.text(self.watched)
            self.calls.append(
                (
                    name,
                    *(a for a in args if not callable(a) and not isinstance(a, Cluster)),
                    *more.values(),
                )
            )
            for check in (a for a in args if callable(a)):
                check()
            if self.error is not None:
                raise self.error
            return True

        return call


class Hands:
    """A fenced world with all that stands behind it."""

    def __init__(
        self, clock: Clock, store: Slow, lease: Lease, cluster: Cluster, since: float | None = 5.0
    ) -> None:
        self.store, self.lease = store, lease
        self.outside = Recorder(store)
        self.outside.vault = Recorder(store)
        self.outside.vault.calls = self.outside.calls
        self.drains = DrainLedger(store, clock)
        self.memory = ClusterMemory(store, Chain(store, clock))
        outside: Any = self.outside
        self.world = FencedWorld(outside, cluster, lease, self.drains, self.memory, since)

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        return self.outside.calls


def play(story: Callable[[Hands], Awaitable[None]], cluster: Cluster | None = None) -> None:
    async def told() -> None:
        clock = loop_clock(0.0)
        store = Slow(clock)
        lease = await Locks(store, clock, "w1").take("acme-1")
        assert lease is not None
        await story(Hands(clock, store, lease, cluster or ready()))

    virtual.run(told())


SCALES = autoscaled(2)
NODE = SCALES.media[0].id
DEEDS: dict[str, tuple[Cluster, Deed, tuple[Any, ...] | None]] = {
    "act": (ready(), lambda w: w.act(1, "resize", size="c-4"), ("act", 1, "resize", 5.0, "c-4")),
    "set_target": (ready(), lambda w: w.set_target(2, remember=2), ("set_target", 2)),
    "set_template_size": (
        ready(),
        lambda w: w.set_template_size("c-4"),
        ("set_template_size", "c-4"),
    ),
    "drain": (
        ready(),
        lambda w: w.drain(ready().media[0].id, stays=True),
        ("signal", ready().media[0].id, ready().media[0].look, True),
    ),
    "pause_autoscaler": (
        SCALES,
        lambda w: w.pause_autoscaler(frozen=True),
        ("pause", SCALES.autoscaler),
    ),
    "resume_autoscaler": (SCALES, lambda w: w.resume_autoscaler(), ("resume", SCALES.autoscaler)),
    "send_away": (SCALES, lambda w: w.send_away(NODE, uncount=True), ("send_away", NODE, True)),
    "uncount": (SCALES, lambda w: w.uncount(NODE), ("uncount", NODE)),
    "delete_node": (SCALES, lambda w: w.delete_node(NODE), ("delete", NODE)),
    "promote_secrets": (
        ready(),
        lambda w: w.promote_secrets("s", "b", "a"),
        ("promote", "s", "b", "a"),
    ),
    "restore_secrets": (ready(), lambda w: w.restore_secrets("s", "a"), ("restore", "s", "a")),
    "drop_staged": (ready(), lambda w: w.drop_staged("s"), ("drop", "s")),
    "break_secrets_lock": (ready(), lambda w: w.break_secrets_lock("l"), ("break_lock", "l")),
    "restart_service": (ready(), lambda w: w.restart_service(1), ("restart_service", 1)),
    "stop_service": (ready(), lambda w: w.stop_service(1), ("stop_service", 1)),
    "delete_snapshot": (ready(), lambda w: w.delete_snapshot("9"), ("delete_snapshot", "9")),
    "keep_secrets": (ready(), lambda w: w.keep_secrets("l"), ("keep_secrets", "l")),
    "drop_secrets": (ready(), lambda w: w.drop_secrets("l"), ("drop_secrets", "l")),
    "remember_media": (ready(), lambda w: w.remember_media((101,)), None),
    "save_window": (ready(), lambda w: w.save_window(WINDOW), None),
}
"""By name: the cluster, what is done, and what arrives outside (None: it only writes to the state)."""
LOOKS = {"failed"}  # changes nothing
every_deed = pytest.mark.parametrize("name", DEEDS)


def test_every_deed_is_here() -> None:
    there = {
        n
        for n, f in inspect.getmembers(FencedWorld, inspect.iscoroutinefunction)
        if not n.startswith("_")
    }
    assert there == DEEDS.keys() | LOOKS


@every_deed
def test_with_the_lease_it_is_done_once(name: str) -> None:
    cluster, deed, arrives = DEEDS[name]

    async def story(hands: Hands) -> None:
        before = hands.store.values()
        await deed(hands.world)
        assert hands.calls == ([arrives] if arrives else [])
        assert arrives or hands.store.values() != before

    play(story, cluster)


async def changes_nothing(hands: Hands, deed: Deed) -> None:
    before = hands.store.values()
    with pytest.raises(Superseded):
        await deed(hands.world)
    assert hands.calls == []
    assert hands.store.values() == before


@every_deed
@pytest.mark.parametrize("lost", ["let go", "for its last seconds it is not trusted"])
def test_without_the_lease_nothing_leaves_the_bot_and_nothing_is_noted(
    name: str, lost: str
) -> None:
    cluster, deed, _ = DEEDS[name]

    async def story(hands: Hands) -> None:
        if lost == "let go":
            await hands.lease.release()
        else:
            await asyncio.sleep(TTL - 1)
            assert hands.store.text(hands.lease.key), "the state still has it"
        await changes_nothing(hands, deed)

    play(story, cluster)


NOTES = (
    "set_target",
    "pause_autoscaler",
    "resume_autoscaler",
    "remember_media",
    "save_window",
    "drain",
    "send_away",
)


@pytest.mark.parametrize("name", NOTES)
def test_a_note_is_fenced_by_the_state_itself(name: str) -> None:
    """By its own clock the lease still holds; the state knows better."""
    cluster, deed, _ = DEEDS[name]

    async def story(hands: Hands) -> None:
        await hands.store.commit(Commit(puts={hands.lease.key: "2:w2"}))
        await changes_nothing(hands, deed)

    play(story, cluster)


@pytest.mark.parametrize("name", sorted({*NOTES} - {"remember_media", "save_window"}))
def test_a_note_that_took_too_long_is_not_acted_on(name: str) -> None:
    cluster, deed, _ = DEEDS[name]

    async def story(hands: Hands) -> None:
        hands.store.takes = TTL - 1
        with pytest.raises(Superseded):
            await deed(hands.world)
        assert hands.calls == []

    play(story, cluster)


# Signals


def first_looks(cluster: Cluster, look: Observed[NodeLook]) -> Cluster:
    first, *others = cluster.media
    return replace(cluster, media=(replace(first, look=look), *others))


def test_the_ledger_knows_before_the_node_is_signalled() -> None:
    async def story(hands: Hands) -> None:
        node = ready().media[0]
        hands.outside.watched = f"drain:{node.id}:{START}"
        await hands.world.drain(node.id, stays=False)
        assert json.loads(hands.outside.seen["signal"] or "{}")["run"] == "acme-1"
        assert hands.calls == [("signal", node.id, node.look, False)]

    play(story)


@pytest.mark.parametrize("look", [SILENT, DRAINING, IDLE, INSTALLING, HELD])
def test_what_is_not_seen_to_serve_is_not_signalled(look: Observed[NodeLook]) -> None:
    async def story(hands: Hands) -> None:
        await hands.world.drain(ready().media[0].id, stays=False)
        assert hands.calls == []

    play(story, first_looks(ready(), look))


def test_what_was_told_by_its_tag_gets_no_signal_on_top() -> None:
    async def story(hands: Hands) -> None:
        node = ready().media[0]
        await hands.drains.enter(node.id, TAGGED, hands.lease)
        with pytest.raises(Refused, match=f"{node.name} was told to leave by its tag already"):
            await hands.world.drain(node.id, stays=False)
        assert hands.calls == []

    play(story)


def test_the_ledger_knows_before_the_tags_change() -> None:
    async def story(hands: Hands) -> None:
        hands.outside.watched = f"drain:{NODE}:{TAGGED}"
        await hands.world.send_away(NODE, uncount=False)
        assert json.loads(hands.outside.seen["send_away"] or "{}")["run"] == "acme-1"
        assert hands.calls == [("send_away", NODE, False)]

    play(story, SCALES)


@pytest.mark.parametrize(("look", "sent"), [(DRAINING, False), (IDLE, True), (SILENT, True)])
def test_a_node_that_finishes_after_a_signal_is_not_told_by_its_tag_too(
    look: Observed[NodeLook], sent: bool
) -> None:
    async def story(hands: Hands) -> None:
        await hands.world.send_away(NODE, uncount=True)
        assert hands.calls == ([("send_away", NODE, True)] if sent else [])

    play(story, first_looks(SCALES, look))


# The autoscaler's nodes


def scaler(**more: Any) -> Cluster:
    assert SCALES.autoscaler is not None
    return replace(SCALES, autoscaler=replace(SCALES.autoscaler, **more))


def test_of_a_paused_autoscaler_no_node_loses_the_tag_that_its_firewalls_hang_on() -> None:
    async def story(hands: Hands) -> None:
        await hands.world.send_away(NODE, uncount=True)
        assert hands.calls == [("send_away", NODE, False)]
        with pytest.raises(Refused, match="would only lose its firewalls"):
            await hands.world.uncount(NODE)
        assert len(hands.calls) == 1

    play(story, scaler(enabled=False))


@pytest.mark.parametrize("cluster", [scaler(trigger=""), replace(SCALES, autoscaler=None)])
def test_without_a_trigger_there_is_nothing_to_switch(cluster: Cluster) -> None:
    async def story(hands: Hands) -> None:
        for deed in (
            hands.world.pause_autoscaler(frozen=False),
            hands.world.resume_autoscaler(),
            hands.world.uncount(NODE),
        ):
            with pytest.raises(Refused, match="only Terraform makes another"):
                await deed
        assert hands.calls == []

    play(story, cluster)


def test_only_the_autoscalers_own_nodes_are_sent_away_or_deleted() -> None:
    first, *others = SCALES.media
    stray = replace(SCALES, media=(replace(first, member_status=None), *others))

    async def story(hands: Hands) -> None:
        for deed in (hands.world.send_away, hands.world.delete_node):
            more = {"uncount": True} if deed == hands.world.send_away else {}
            with pytest.raises(Refused, match="is none of the autoscaler's"):
                await deed(NODE, **more)
            with pytest.raises(Refused, match="droplet 1 is none of the autoscaler's"):
                await deed(1, **more)
        assert hands.calls == []

    play(story, stray)
    play(story, replace(SCALES, kind=ready().kind))


def test_a_node_of_the_autoscaler_is_never_powered_and_a_master_is() -> None:
    async def story(hands: Hands) -> None:
        with pytest.raises(Refused, match="it is drained, never powered or resized"):
            await hands.world.act(NODE, "power_off")
        await hands.world.act(1, "power_off")
        assert hands.calls == [("act", 1, "power_off", 5.0)]

    play(story, SCALES)


def test_a_node_of_a_pool_may_be_powered() -> None:
    async def story(hands: Hands) -> None:
        await hands.world.act(ready().media[0].id, "reboot")
        assert len(hands.calls) == 1

    play(story)


# What is remembered


def test_the_number_is_kept_before_the_pool_is_lowered() -> None:
    async def story(hands: Hands) -> None:
        hands.outside.watched = "media:acme"
        await hands.world.set_target(0, remember=3)
        assert json.loads(hands.outside.seen["set_target"] or "{}") == {"number": 3, "down": True}

    play(story)


def test_the_number_of_the_plan_is_kept_whatever_an_earlier_shutdown_kept() -> None:
    async def story(hands: Hands) -> None:
        await hands.store.commit(
            Commit(puts={"media:acme": json.dumps({"number": 2, "down": True})})
        )
        for _ in range(2):
            await hands.world.set_target(0, remember=7)
            assert json.loads(hands.store.text("media:acme") or "") == {"number": 7, "down": True}
        assert hands.calls == [("set_target", 0)] * 2
        await hands.world.set_target(4, remember=4)
        assert json.loads(hands.store.text("media:acme") or "") == {"number": 4, "down": False}

    play(story)


@pytest.mark.parametrize(
    ("number", "status", "noted"),
    [
        (0, 400, True),
        (0, 422, True),
        (1, 422, False),
        (0, 500, False),
        (0, 401, False),
        (0, 423, False),
    ],
)
def test_a_refused_zero_is_remembered_and_nothing_else(
    number: int, status: int, noted: bool
) -> None:
    async def story(hands: Hands) -> None:
        hands.outside.error = Rejected("no", status=status)
        with pytest.raises(Rejected):
            await hands.world.set_target(number, remember=3)
        pool = ready().pool
        assert pool is not None
        assert hands.store.text(f"zero:{pool.id}") == ("refused" if noted else None)

    play(story)


@pytest.mark.parametrize("frozen", [True, False])
def test_who_paused_it_stands_there_before_it_is_paused_and_not_after_it_goes_on(
    frozen: bool,
) -> None:
    async def story(hands: Hands) -> None:
        hands.outside.watched = "pause:acme"
        await hands.world.pause_autoscaler(frozen=frozen)
        assert json.loads(hands.outside.seen["pause"] or "{}") == {
            "run": "acme-1",
            "at": SCALES.seen_at,
            "frozen": frozen,
        }
        await hands.world.resume_autoscaler()
        assert hands.outside.seen["resume"] is None

    play(story, SCALES)


def test_which_nodes_were_on_is_kept() -> None:
    async def story(hands: Hands) -> None:
        await hands.world.remember_media((101, 102))
        assert json.loads(hands.store.text("media:acme") or "") == {
            "number": 2,
            "down": True,
            "ids": [101, 102],
        }
        await hands.world.remember_media(())
        assert json.loads(hands.store.text("media:acme") or "")["down"] is False

    play(story)


def test_a_window_is_saved_as_this_runs() -> None:
    async def story(hands: Hands) -> None:
        await hands.world.save_window(WINDOW)
        book = (await hands.memory.books.read("acme"))[1]
        assert [w.words() for w in book.windows] == [WINDOW]
        assert ("nights", "acme-1") in book.runs

    play(story)


# Secrets


@pytest.mark.parametrize("name", ["promote_secrets", "restore_secrets"])
def test_the_lease_is_looked_at_once_more_inside(name: str) -> None:
    """The vault reads, compares and writes; the lease can be lost meanwhile."""
    _, deed, _ = DEEDS[name]

    async def story(hands: Hands) -> None:
        vault = hands.outside.vault
        assert vault is not None

        async def late(*args: Any) -> None:
            await hands.lease.release()
            args[-1]()

        setattr(vault, name.partition("_")[0], late)
        with pytest.raises(Superseded):
            await deed(hands.world)

    play(story)


@pytest.mark.parametrize(
    "name", ["promote_secrets", "restore_secrets", "drop_staged", "break_secrets_lock"]
)
def test_without_a_bucket_it_is_said(name: str) -> None:
    _, deed, _ = DEEDS[name]

    async def story(hands: Hands) -> None:
        hands.outside.vault = None
        with pytest.raises(Refused, match=r"no bucket is configured for this cluster"):
            await deed(hands.world)

    play(story)


def test_a_look_needs_no_lease() -> None:
    async def story(hands: Hands) -> None:
        await hands.lease.release()
        assert await hands.world.failed(1, "resize") is True
        assert hands.calls == [("failed", 1, "resize")]

    play(story)
