"""Retention: old records are removed, needed ones stay, and the audit stays valid."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from services.access.policy import Actor
from services.audit.entries import AuditAction, Entry, Head, find_flaws, link, read_entry
from services.audit.entries import AuditRecord as Decision
from services.audit.verify import verify
from services.common.clock import Clock, loop_clock
from services.memory.host_keys import PinnedHostKeys
from services.memory.inbox import CommandInbox
from services.memory.notifications import (
    Delivery,
    NotificationRepository,
    NotificationSettings,
)
from services.operations.accounts import Accounts
from services.operations.retention import DAY, NEWEST, Retention, RetentionPolicy
from services.runs.drain_ledger import DrainLedger
from services.runs.journal import to_text
from services.runs.locks import Locks
from services.runs.request import Request, RequestState
from services.runs.run import Ended, Opened, State
from services.store import Commit, Store
from services.store.sqlite import SqliteStore
from services.windows import parse_window
from tests.laws.test_journal import ANA, BEN, PLAN
from tests.support import virtual
from tests.support.instant_world import InstantWorld, instant_operations
from tests.support.memory_store import MemoryStore

T0 = 1_800_000_000.0
POLICY = RetentionPolicy(runs=10 * DAY, audit=40 * DAY)


class Office:
    """A bot whose past can be written."""

    def __init__(self, store: Store, clock: Clock, policy: RetentionPolicy = POLICY) -> None:
        self.store, self.clock = store, clock
        self.operations, _ = instant_operations(
            {"acme": InstantWorld("acme", clock), "beta": InstantWorld("beta", clock)}, store, clock
        )
        self.locks = Locks(store, clock, "w")
        self.retention = Retention(self.operations, store, clock, policy)

    async def sweeps(self) -> None:
        for part in (self.retention._runs, self.retention._audit, self.retention._usage):
            for name in ("acme", "beta"):
                await part(name)
        for rest in (
            self.retention._requests,
            self.retention._drains,
            self.retention._intake,
            self.retention._host_keys,
        ):
            await rest()
        await self.store.tidy()

    async def ran(self, cluster: str = "acme") -> str:
        """Record a request, its approval and its run, with a drain."""
        journal, now = self.operations.journal, self.clock.now()
        name, counter = await journal.next_name(cluster)
        plan = replace(PLAN, cluster=cluster)
        request = Request(f"r-{name}", plan, ANA, "", now, now + 1800.0, 1, "it stops the masters")
        (pending,) = await self.store.get(f"pending:{cluster}")
        assert await journal.put_request(request, pending)
        request = await journal.request(request.id)
        opened = Opened(now, name, plan, ANA, (BEN,), "", request=request.id)
        assert await journal.open(
            opened, counter, (request, request.closed(RequestState.APPROVED, now, BEN, run=name))
        )
        lease = await self.locks.take(name)
        assert lease is not None
        await DrainLedger(self.store, self.clock).enter(
            100 + int(name.rpartition("-")[2]), "boot", lease
        )
        await journal.append(await journal.run(name), Ended(now, State.DONE, ""), lease)
        await lease.release()
        await self.store.commit(
            Commit(
                puts={f"card:{name}": "{}", f"card:{request.id}": "{}", f"pending:{cluster}": "[]"}
            )
        )
        return name

    async def keys(self) -> list[str]:
        return sorted(await self.store.names(""))

    async def whole(self, cluster: str = "acme", *posted: Head) -> list[str]:
        return [
            f"{f.number}: {f.problem}"
            for f in (
                await verify(self.store, self.operations.journal.chain, cluster, posted)
            ).flaws
        ]


Story = Callable[[Office], Awaitable[None]]


@pytest.fixture(params=["dictionaries", "sqlite"])
def play(request: pytest.FixtureRequest) -> Callable[[Story], None]:
    def played(story: Story) -> None:
        async def play() -> None:
            clock = loop_clock(T0)
            store: Store = (
                MemoryStore(clock)
                if request.param == "dictionaries"
                else SqliteStore(None, clock, threaded=False)
            )
            await story(Office(store, clock))

        virtual.run(play(), at_most=4000 * DAY)

    return played


def test_runs_go_with_all_that_belongs_to_them(play: Callable[[Story], None]) -> None:
    async def story(office: Office) -> None:
        for _ in range(NEWEST + 20):
            await office.ran()
            await office.clock.sleep(3600)
        before = await office.keys()
        await office.sweeps()
        assert await office.keys() == before, "none is old enough"
        await office.clock.sleep(11 * DAY)
        await office.sweeps()
        left = await office.operations.journal.latest("acme", 1000)
        assert len(left) == NEWEST
        assert left[0] == f"acme-{NEWEST + 20}"
        for number in range(1, 21):
            of = [
                k
                for k in await office.keys()
                if k.endswith((f"acme-{number}", f"drain:{100 + number}:boot"))
            ]
            assert of == [], f"of acme-{number} there is still {of}"
            assert await office.store.read(f"run:acme-{number}") == []
        assert (await office.operations.journal.run("acme-21")).state is State.DONE
        assert await office.whole() == []
        newest = (await office.operations.journal.chain.newest("acme", 1))[0]
        assert (newest.what, newest.user) == (AuditAction.FORGOTTEN, "")
        assert newest.about.split() == [f"acme-{n}" for n in range(1, 21)]
        assert newest.reason == "older than 10 days"

    play(story)


def test_a_run_that_a_window_rests_on_stays_as_long_as_the_window(
    play: Callable[[Story], None],
) -> None:
    async def story(office: Office) -> None:
        first = await office.ran()
        window = parse_window("nights Mon-Fri 20:00-07:30 UTC")
        await office.operations.memory.books.edit(
            "acme", lambda b: b.with_window(window, first, office.clock.now())
        )
        for _ in range(NEWEST + 15):
            await office.ran()
        await office.clock.sleep(20 * DAY)
        await office.sweeps()
        assert (await office.operations.journal.run(first)).state is State.DONE
        assert first not in await office.operations.journal.latest("acme", 1000)
        assert await office.whole() == []
        await office.operations.memory.books.edit("acme", lambda b: b.without_window("nights"))
        for _ in range(10):
            await office.ran()
        await office.clock.sleep(20 * DAY)
        await office.sweeps()
        assert await office.store.read(f"run:{first}") == []
        assert await office.whole() == []

    play(story)


def test_what_is_open_stays_whatever_its_age(play: Callable[[Story], None]) -> None:
    async def story(office: Office) -> None:
        journal = office.operations.journal
        opened = Opened(office.clock.now(), "acme-1", PLAN, ANA, (BEN,), "")
        assert await journal.open(opened, None)
        lease = await office.locks.take("acme-1")
        assert lease is not None
        await DrainLedger(office.store, office.clock).enter(7, "boot", lease)
        before = set(await office.keys())
        await office.clock.sleep(100 * DAY)
        await office.sweeps()
        assert before - set(await office.keys()) == {"lease:acme-1"}, "which is over by itself"
        assert await DrainLedger(office.store, office.clock).entered(7, "boot")
        assert (await journal.run("acme-1")).state is State.RUNNING

    play(story)


def test_requests_that_were_never_closed_are_removed_too(play: Callable[[Story], None]) -> None:
    """Their cluster is not in the settings any more, so no sweep closes them."""

    async def story(office: Office) -> None:
        now = office.clock.now()
        request = Request(
            "r1",
            replace(PLAN, cluster="gone"),
            ANA,
            "",
            now,
            now + 1800.0,
            1,
            "it stops the masters",
        )
        await office.store.commit(
            Commit(puts={"request:r1": to_text(request), "request:r2": "{damaged", "card:r1": "{}"})
        )
        await office.clock.sleep(9 * DAY)
        await office.sweeps()
        assert (await office.store.get("request:r1"))[0] is not None
        await office.clock.sleep(2 * DAY)
        await office.sweeps()
        assert await office.store.get("request:r1", "card:r1") == [None, None]
        assert await office.store.get("request:r2") == ["{damaged"], (
            "what cannot be read is not this version's to remove"
        )

    play(story)


def test_commands_go_when_they_are_answered(play: Callable[[Story], None]) -> None:
    async def story(office: Office) -> None:
        intake = CommandInbox(office.store)

        async def takes(name: str) -> None:
            note: dict[str, str | float] = {
                "user": "U",
                "channel": "C",
                "text": "x",
                "at": office.clock.now(),
            }
            assert await intake.accept(intake.accept_commit(name, note, 15.0))

        async def left() -> list[str]:
            return [n.name for n in await intake.unanswered(office.clock.now())]

        for number in range(5):
            await takes(f"n{number}")
            if number != 3:
                await intake.answered(f"n{number}")
        assert await left() == [], "the bot that took it is at work"
        await office.clock.sleep(20.0)
        assert await left() == ["n3"]
        await office.sweeps()
        assert [json.loads(t)["name"] for t in await office.store.read("intake")] == [
            "n0",
            "n1",
            "n2",
            "n3",
            "n4",
        ]
        await office.clock.sleep(3 * DAY)
        assert await left() == [], "no one waits for an answer any more"
        await office.sweeps()
        assert await office.store.read("intake") == []
        await takes("n5")
        await office.clock.sleep(20.0)
        assert await left() == ["n5"]

    play(story)


def test_host_keys_are_removed_when_they_are_not_used_any_more(
    play: Callable[[Story], None],
) -> None:
    async def story(office: Office) -> None:
        keys = PinnedHostKeys(office.store, office.clock)
        await keys.put(1, "ssh-ed25519 AAAA")
        await keys.put(2, "ssh-ed25519 BBBB")
        await office.store.commit(
            Commit(puts={"hostkey:3": "ssh-ed25519 CCCC"})
        )  # as 0.1.0 wrote it
        for _ in range(30):
            await office.clock.sleep(DAY)
            assert await keys.get(1) == "ssh-ed25519 AAAA"
            await office.sweeps()
        assert await office.store.get("hostkey:2", "hostkey:3", "hostkey-used:2") == [None] * 3

    play(story)


def test_records_of_what_was_billed_stay_for_the_last_whole_month(
    play: Callable[[Story], None],
) -> None:
    async def story(office: Office) -> None:
        for _ in range(100):
            await office.operations.usage.add(
                "acme", json.dumps([office.clock.now(), [], False, "0"])
            )
            await office.clock.sleep(DAY)
        await office.sweeps()
        left = [json.loads(t)[0] for t in await office.operations.usage.newest("acme", 1000)]
        assert left[0] <= office.clock.now() - 62 * DAY < left[1]
        assert left == sorted(left)

    play(story)


def test_the_audit_goes_on_from_a_checkpoint_and_is_whole(play: Callable[[Story], None]) -> None:
    async def story(office: Office) -> None:
        chain = office.operations.journal.chain
        heads = []
        for _ in range(90):
            await office.ran()
            head = await chain.head("acme")
            assert head is not None
            heads.append(head)
            await office.clock.sleep(DAY)
        before = len(await chain.texts("acme"))
        await office.sweeps()
        start = await chain.checkpoint("acme")
        assert start is not None
        texts = await chain.texts("acme")
        assert len(texts) < before
        first, last = read_entry(texts[0]), read_entry(texts[-1])
        assert first is not None
        assert last is not None
        assert (first.number, first.previous) == ((start.number or 0) + 1, start.hash)
        assert first.at > office.clock.now() - 40 * DAY
        assert (last.what, last.proof) == (AuditAction.SHORTENED, start.text)
        assert await office.whole("acme", *heads) == [], (
            "heads that were kept before are no reproach"
        )
        await office.ran()
        assert await office.whole("acme", *heads) == []
        await office.sweeps()
        assert await chain.checkpoint("acme") == start, "by many at once, or not at all"

    play(story)


# What a shortened chain does not hide


def shortened(number: int, at: int) -> tuple[list[str], Head, Head]:
    """Return texts, head and checkpoint of a chain cut there, with the decision to cut it."""
    entries: list[Entry] = []
    for n in range(number):
        entries.append(
            link(
                "acme",
                entries[-1].head if entries else None,
                Decision(AuditAction.ASKED, ANA, f"r{n}"),
                T0 + n,
            )
        )
    start = entries[at - 1].head
    entries.append(
        link(
            "acme",
            entries[-1].head,
            Decision(AuditAction.SHORTENED, None, "audit", proof=start.text),
            T0 + number,
        )
    )
    return [e.text for e in entries[at:]], entries[-1].head, start


def test_a_cut_that_no_decision_speaks_of_is_named() -> None:
    texts, head, start = shortened(10, 4)
    assert find_flaws("acme", texts, head, start=start) == []
    (found,) = find_flaws(
        "acme", texts[1:], head, start=Head(json.loads(texts[0])["hash"], 5, "acme")
    )
    assert "no decision records that it was shortened to there" in found.problem
    assert find_flaws("acme", texts, head), (
        "and without the checkpoint everything before it is missing"
    )


@pytest.mark.parametrize("kept", [3, 4, 5, 10])
def test_heads_from_before_the_cut_are_believed_where_they_can_be_checked(kept: int) -> None:
    texts, head, start = shortened(10, 4)
    right = {
        3: "0" * 64,
        4: start.hash,
        **{json.loads(t)["number"]: json.loads(t)["hash"] for t in texts},
    }
    assert find_flaws("acme", texts, head, [Head(right[kept], kept)], start) == []
    if kept > 3:
        (found,) = find_flaws("acme", texts, head, [Head("f" * 64, kept)], start)
        assert found.number == kept


def test_a_changed_entry_behind_the_cut_is_named_by_its_own_number() -> None:
    texts, head, start = shortened(10, 4)
    texts[2] = texts[2].replace('"r6"', '"r9"')
    assert {f.number for f in find_flaws("acme", texts, head, start=start)} == {7}


def test_a_journal_that_is_gone_is_named_unless_the_audit_says_that_it_was_removed() -> None:
    async def story() -> None:
        clock = loop_clock(T0)
        office = Office(MemoryStore(clock), clock)
        for _ in range(3):
            await office.ran()
        await office.store.commit(Commit(drops=["run:acme-2"]))
        assert await office.whole() == ["8: records the end of acme-2, whose journal is missing"]
        deed = Decision(AuditAction.FORGOTTEN, None, "acme-1 acme-2", "older than 10 days")
        await office.operations.journal.chain.commit(Commit(), "acme", deed)
        assert await office.whole() == []

    virtual.run(story())


def test_settings_of_people_who_left_are_forgotten() -> None:
    async def story() -> None:
        clock = loop_clock(0.0)
        office = Office(MemoryStore(clock), clock)
        settings = NotificationRepository(office.store)
        for user in ("UANA", "UGONE"):
            await settings.put(user, NotificationSettings(stops=Delivery.OFF))

        async def account(actor: Actor) -> Actor:
            if actor.user == "UGONE":
                return replace(actor, outsider="your account is deactivated")
            return actor

        office.retention._accounts = Accounts(account)
        await office.retention._people()
        assert list(await settings.all()) == ["UANA"]

    virtual.run(story())
