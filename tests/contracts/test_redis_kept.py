"""What Redis keeps: through Sentinel and a failover, over TLS, and by its own settings."""

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot import state
from config.settings import load
from config.values import Settings
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import Superseded, Unreachable
from services.runs.drain_ledger import DrainLedger
from services.runs.locks import LeaseKeeper, Locks
from services.store import Commit, Unfit
from services.store.address import Address, parse_address
from services.store.durability import CLUSTER, REPLICA, SENTINEL, Durability, judge_durability
from services.store.origin import open_state
from services.store.redis import RedisStore
from simulators.environment import find_free_port
from tests.support.patience import HANG, LOOKS
from tests.support.sentinel import (
    HOST,
    Authority,
    SentinelSetup,
    Server,
    make_authority,
    sentinel_group,
)
from tests.support.tools import each_server, redis_server

__all__ = ["each_server"]
on_each_server = pytest.mark.usefixtures("each_server")

# Addresses


@pytest.mark.parametrize(
    ("url", "means"),
    [
        ("redis://h:1/2", Address("redis://h:1/2")),
        ("rediss://u:p@h", Address("rediss://u:p@h", tls=True)),
        ("unix:///run/redis.sock", Address("unix:///run/redis.sock")),
        ("unix:///run/a@b#c.sock", Address("unix:///run/a@b#c.sock")),
        ("redis://:p%23%2F%3F@h:1", Address("redis://:p%23%2F%3F@h:1")),
        ("redis://:p@ss@h:1", Address("redis://:p@ss@h:1")),
        (
            "redis+sentinel://a,b:7,[::1]:8/main",
            Address("", (("a", 26379), ("b", 7), ("::1", 8)), "main"),
        ),
        (
            "rediss+sentinel://:p%40ss@a/main/3",
            Address("", (("a", 26379),), "main", 3, None, "p@ss", tls=True),
        ),
        ("redis+sentinel://bot:x@a/main", Address("", (("a", 26379),), "main", 0, "bot", "x")),
    ],
)
def test_an_address_is_read(url: str, means: Address) -> None:
    assert parse_address(url) == means


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("hunter2", "found an address of another kind; allowed: redis://"),
        ("http://:hunter2@h", "found an address of another kind"),
        ("redis+sentinel://:hunter2@h", "found no service name"),
        ("redis+sentinel://:hunter2@h/a/b", "found no service name"),
        ("redis+sentinel://:hunter2@h:no/main", "found something that is not HOST or HOST:PORT"),
        ("redis+sentinel://:hunter2@h,/main", "found something that is not HOST or HOST:PORT"),
        (
            "rediss://:hunter2@h?ssl_cert_reqs=none",
            "found ssl_cert_reqs; allowed: none of it, certificates are always checked",
        ),
        (
            "rediss://:hunter2@h?ssl_check_hostname=false",
            "found ssl_check_hostname; allowed: none of it",
        ),
        (
            "redis://:hunter2#more@h:6379/0",
            "found # in user or password; allowed: percent-encoded, # as %23, / as %2F, ? as %3F",
        ),
        ("redis://:hunter2/more@h:6379/0", "found / in user or password"),
        ("redis://:hunter2?more@h:6379/0", "found ? in user or password"),
        ("redis://hunter2]:x@h:6379/0", "found ] in user or password"),
        ("rediss://:hunter2 more@h", "found a blank or control character in user or password"),
        ("redis+sentinel://:hunter2/more@h:26379/main", "found / in user or password"),
        ("unix://:hunter2#more@/run/redis.sock", "found # in user or password"),
        ("redis://:hunter2@h:no/0", "found no HOST:PORT after the password"),
        ("redis://:hunter2@[h:1/0", "found no HOST:PORT after the password"),
    ],
)
def test_a_wrong_address_is_reported_without_its_password(url: str, says: str) -> None:
    with pytest.raises(ValueError, match="found") as wrong:
        parse_address(url)
    assert str(wrong.value).startswith(says)
    assert "hunter2" not in str(wrong.value)


# What it reports about itself


@pytest.mark.parametrize(
    ("info", "config", "weak", "unknown", "notes"),
    [
        ({"aof_enabled": 1, "maxmemory_policy": "noeviction"}, {"appendfsync": "always"}, 0, 0, 0),
        (
            {"aof_enabled": 1, "maxmemory_policy": "noeviction"},
            {"appendfsync": "everysec"},
            0,
            0,
            1,
        ),
        ({"aof_enabled": 1, "maxmemory_policy": "noeviction"}, {"appendfsync": "no"}, 1, 0, 0),
        ({"aof_enabled": 1, "maxmemory_policy": "noeviction"}, None, 0, 0, 1),
        ({"aof_enabled": 0, "maxmemory_policy": "allkeys-lru"}, {}, 2, 0, 0),
        ({}, {"appendonly": "no", "maxmemory-policy": "volatile-ttl"}, 2, 0, 0),
        (
            {},
            {"appendonly": "yes", "maxmemory-policy": "noeviction", "appendfsync": "always"},
            0,
            0,
            0,
        ),
        ({}, None, 0, 2, 0),
    ],
)
def test_what_a_redis_may_forget(
    info: dict[str, Any], config: dict[str, str] | None, weak: int, unknown: int, notes: int
) -> None:
    durability = judge_durability(info, config, "no permission (NOPERM)")
    assert (len(durability.weak), len(durability.unknown), len(durability.notes)) == (
        weak,
        unknown,
        notes,
    )
    for text in (*durability.unknown, *durability.notes) if config is None else ():
        assert "was not checked, because" in text
        assert "NOPERM" in text


def test_missing_replicas_are_reported() -> None:
    good = {"aof_enabled": 1, "maxmemory_policy": "noeviction", "connected_slaves": 1}
    assert judge_durability(good, {"appendfsync": "always"}, replicas=1).weak == ()
    (told,) = judge_durability(good, {"appendfsync": "always"}, replicas=2).weak
    assert "1 of the 2 replicas" in told


@on_each_server
def test_a_real_one_is_asked(tmp_path: Path) -> None:
    """By default, as it may be set, and as seen by a user who may not read the settings."""

    async def looked(url: str) -> tuple[int, int, int]:
        store = RedisStore(url)
        durability = await store.durability()
        await store.aclose()
        return len(durability.weak), len(durability.unknown), len(durability.notes)

    async def story(server: Server) -> None:
        url = f"redis://{HOST}:{server.port}"
        assert await looked(url) == (1, 0, 0)
        with server.client() as client:
            client.config_set("appendonly", "yes")
            client.config_set("appendfsync", "always")
            assert await looked(url) == (0, 0, 0)
            client.config_set("maxmemory-policy", "allkeys-lru")
            assert await looked(url) == (1, 0, 0)
            client.execute_command("ACL", "SETUSER", "guest", "on", ">pw", "~*", "+@all", "-config")
            assert await looked(f"redis://guest:pw@{HOST}:{server.port}") == (1, 0, 1)
            client.execute_command("ACL", "SETUSER", "blind", "on", ">pw", "~*", "+@all", "-info")
            assert await looked(f"redis://blind:pw@{HOST}:{server.port}") == (1, 0, 0), (
                "CONFIG says as much"
            )

    with one_server(tmp_path, []) as server:
        asyncio.run(story(server))


@contextlib.contextmanager
def one_server(
    folder: Path, words: list[str], tls: dict[str, Any] | None = None
) -> Iterator[Server]:
    port = find_free_port()
    listening = (
        ["--port", str(port)]
        if tls is None
        else ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
    )
    server = Server(
        redis_server(),
        folder / str(port),
        ["--bind", HOST, *listening, "--save", "", *words],
        port,
        tls or {},
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


# TLS


@on_each_server
def test_certificates_are_checked(tmp_path: Path) -> None:
    ours, others = make_authority(tmp_path / "ours"), make_authority(tmp_path / "others")

    async def reached(server: Server, ca: Path | None) -> bool:
        store = RedisStore(
            f"rediss://{HOST}:{server.port}", ca_file=str(ca) if ca else None, reply_within=2.0
        )
        try:
            return await store.commit(Commit(puts={"a": "1"})) and await store.get("a") == ["1"]
        except Unreachable:
            return False
        finally:
            await store.aclose()

    with tls_server(tmp_path, ours) as server:
        assert [asyncio.run(reached(server, ca)) for ca in (ours.ca, others.ca, None)] == [
            True,
            False,
            False,
        ]
        plain = RedisStore(f"redis://{HOST}:{server.port}", reply_within=2.0)
        with pytest.raises(Unreachable):
            asyncio.run(plain.get("a"))
    elsewhere = make_authority(tmp_path / "elsewhere", "redis.example.com")
    with tls_server(tmp_path, elsewhere, check=False) as server:
        assert not asyncio.run(reached(server, elsewhere.ca)), "it is for another host"


@contextlib.contextmanager
def tls_server(
    folder: Path,
    authority: Authority,
    *,
    check: bool = True,
    words: Sequence[str] = (),
    password: str | None = None,
) -> Iterator[Server]:
    files = [
        "--tls-cert-file",
        str(authority.cert),
        "--tls-key-file",
        str(authority.key),
        "--tls-ca-cert-file",
        str(authority.ca),
    ]
    seen = {
        "ssl": True,
        "ssl_ca_certs": str(authority.ca),
        "ssl_check_hostname": check,
        "password": password,
    }
    with one_server(folder, [*files, *words], seen) as server:
        yield server


# Through Sentinel


@on_each_server
@pytest.mark.sampled(1)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "over TLS"])
def test_a_fail_over_loses_nothing_that_was_acknowledged(tmp_path: Path, tls: bool) -> None:
    authority = make_authority(tmp_path / "authority") if tls else None

    async def story(group: SentinelSetup) -> None:
        store = RedisStore(group.url, ca_file=str(authority.ca) if authority else None)
        lost = group.primary()
        await count_up(store, 200)
        writing = asyncio.create_task(count_up(store, 600))
        await asyncio.sleep(0.02)
        lost.signal(signal.SIGKILL)
        await asyncio.wait_for(writing, HANG)
        assert await store.read("log") == [str(n) for n in range(600)]
        assert await store.get("count") == ["600"]
        assert group.primary() is not lost
        lost.start()
        await count_up(store, 620)
        assert group.primary() is not lost
        assert await store.read("log") == [str(n) for n in range(620)]
        await store.aclose()

    with sentinel_group(redis_server(), tmp_path / "group", authority=authority) as group:
        asyncio.run(story(group))


async def count_up(store: RedisStore, to: int) -> None:
    """A chain of commits: none can be missing or there twice.

    Each rests on the one before. One without an answer is sent again.
    """
    (at,) = await store.get("count")
    for n in range(int(at or 0), to):
        link = Commit(
            checks={"count": str(n) if n else None},
            puts={"count": str(n + 1)},
            appends=[("log", str(n))],
        )
        while True:
            with contextlib.suppress(Unreachable):
                assert await store.commit(link), f"link {n} does not fit"
                break
            await asyncio.sleep(0.05)


@on_each_server
def test_what_no_replica_has_does_not_count(tmp_path: Path) -> None:
    async def story(group: SentinelSetup) -> None:
        store = RedisStore(group.url, kept_within=0.3)
        assert await store.commit(Commit(puts={"a": "0"}))
        for replica in group.replicas():
            replica.signal(signal.SIGSTOP)
        claim = Commit(checks={"claim": None}, puts={"claim": "me"}, appends=[("log", "once")])
        for _ in range(2):
            with pytest.raises(Unreachable, match="0 of 1 replicas have it: it may be lost"):
                await store.commit(claim)
        assert await store.get("a") == ["0"], "reading works"
        for replica in group.replicas():
            replica.signal(signal.SIGCONT)
        assert await store.commit(claim)
        assert await store.read("log") == ["once"]
        assert (await store.durability()).weak == ()
        await store.aclose()
        loose = RedisStore(group.url, replicas=0)
        assert await loose.commit(Commit(puts={"a": "1"}))
        await loose.aclose()

    with sentinel_group(redis_server(), tmp_path / "group", replicas=2) as group:
        asyncio.run(story(group))


@on_each_server
def test_a_primary_that_missed_the_failover_is_not_believed(tmp_path: Path) -> None:
    """When it resumes it still takes itself for the primary, and a bot is still connected."""

    async def story(group: SentinelSetup) -> None:
        store, other = (
            RedisStore(group.url, reply_within=1.0, kept_within=0.3),
            RedisStore(group.url, reply_within=1.0),
        )
        assert await store.commit(Commit(puts={"a": "0"}))
        sleeper = group.primary()
        sleeper.signal(signal.SIGSTOP)
        await replaced(group, sleeper)
        await insists(other, Commit(checks={"claim": None}, puts={"claim": "other"}))
        sleeper.signal(signal.SIGCONT)
        mine = Commit(checks={"claim": None}, puts={"claim": "mine"})
        assert not await insists(store, mine)
        assert await store.get("claim") == ["other"]
        await store.aclose()
        await other.aclose()

    with sentinel_group(redis_server(), tmp_path / "group") as group:
        asyncio.run(story(group))


async def replaced(group: SentinelSetup, primary: Server) -> None:
    for _ in range(LOOKS):
        if group.primary() is not primary:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("nobody took the primary's place")


async def insists(store: RedisStore, commit: Commit) -> bool:
    async with asyncio.timeout(HANG):
        while True:
            with contextlib.suppress(Unreachable):
                return await store.commit(commit)
            await asyncio.sleep(0.05)


@on_each_server
def test_a_lease_outlives_a_fail_over_and_the_ledger_is_fenced(tmp_path: Path) -> None:
    async def story(group: SentinelSetup) -> None:
        store = RedisStore(group.url)
        locks = Locks(store, Clock(), "first")
        lease = await locks.take("acme-1")
        assert lease is not None
        async with LeaseKeeper(lease):
            await DrainLedger(store, Clock()).enter(1, "now", lease)
            group.primary().signal(signal.SIGKILL)
            await insists(store, Commit(puts={"a": "1"}))
            await lease.renew()
            assert await Locks(store, Clock(), "second").take("acme-1") is None
            assert await DrainLedger(store, Clock()).entered(1, "now")
        second = await Locks(store, Clock(), "second").take("acme-1")
        assert second is not None
        with pytest.raises(Superseded):
            await DrainLedger(store, Clock()).enter(2, "now", lease)
        await store.aclose()

    with sentinel_group(redis_server(), tmp_path / "group") as group:
        asyncio.run(story(group))


# What can never be the state store


@on_each_server
def test_a_node_of_a_cluster_is_refused_by_name(tmp_path: Path) -> None:
    """By chance one node of three accepted everything; the others answered MOVED, or not at all."""

    async def story(nodes: list[Server]) -> None:
        for node in nodes:
            store = RedisStore(f"redis://{HOST}:{node.port}")
            assert (await store.durability()).unfit == CLUSTER
            await store.aclose()
        unfit: list[str] = []
        for node in nodes:
            with node.client() as client:
                client.execute_command(
                    "ACL",
                    "SETUSER",
                    "blind",
                    "on",
                    ">pw",
                    "~*",
                    "+@all",
                    "-info",
                    "-role",
                    "-config",
                )
            store = RedisStore(f"redis://blind:pw@{HOST}:{node.port}")
            assert (await store.durability()).unfit == "", "it does not let itself be seen"
            for call in (store.get("a"), store.commit(Commit(puts={"a": "1"}))):
                try:
                    await call
                except Unfit as error:
                    unfit.append(str(error))
            await store.aclose()
        assert unfit == [CLUSTER] * 2, "both calls to the node that does not have the slot"

    with cluster_of_two(tmp_path) as nodes:
        asyncio.run(story(nodes))


@contextlib.contextmanager
def cluster_of_two(folder: Path) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        # A node's bus is its port + 10000 by default, and most free ports are too high for that.
        cluster = [
            ["--cluster-enabled", "yes", "--cluster-port", str(find_free_port())] for _ in range(2)
        ]
        nodes = [
            stack.enter_context(one_server(folder / str(n), words))
            for n, words in enumerate(cluster)
        ]
        for node, slots in zip(nodes, ((0, 8191), (8192, 16383)), strict=True):
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
        with nodes[0].client() as client:
            client.execute_command("CLUSTER", "MEET", HOST, nodes[1].port, cluster[1][-1])
        for node in nodes:
            for _ in range(LOOKS):
                with node.client() as client:
                    if "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")).replace(
                        "'", ""
                    ).replace(": ", ":"):
                        break
                time.sleep(0.05)
            else:
                raise AssertionError("the cluster did not come up")
        yield nodes


@on_each_server
def test_a_replica_and_a_sentinel_are_refused_by_name(tmp_path: Path) -> None:
    async def story(group: SentinelSetup) -> None:
        replica = RedisStore(f"redis://{HOST}:{group.replicas()[0].port}")
        assert (await replica.durability()).unfit == REPLICA
        with pytest.raises(Unfit, match="takes no writes; name the primary"):
            await replica.commit(Commit(puts={"a": "1"}))
        await replica.aclose()
        sentinel = RedisStore(f"redis://{HOST}:{group.sentinels[0].port}")
        assert (await sentinel.durability()).unfit == SENTINEL
        await sentinel.aclose()
        through = RedisStore(group.url)
        assert (await through.durability()).unfit == ""
        await through.aclose()

    with sentinel_group(redis_server(), tmp_path / "group", replicas=1) as group:
        asyncio.run(story(group))


# Managed Redis


def acl_of_the_docs(prefix: str = "openvidu-bot") -> tuple[list[str], list[str]]:
    """Return the ACL rule of the how-to: what is required, and what is optional."""
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "state.md").read_text()
    rule = re.search(r"^    user openvidu-bot (.*(?:\n      .*)*)", text, re.MULTILINE)
    assert rule
    arguments = rule[1].replace("PASSWORD", "pw").replace("{openvidu-bot}", f"{{{prefix}}}").split()
    more = [w for w in arguments if w in ("+info", "+role", "+config|get")]
    return [w for w in arguments if w not in more], more


async def does_everything(store: RedisStore) -> None:
    """Call each method of the port once."""
    assert await store.commit(
        Commit(
            puts={"a": "1", "drain:1": "x"}, ttl={"a": 60.0}, appends=[("log", "1"), ("log", "2")]
        )
    )
    assert await store.commit(
        Commit(checks={"a": "1"}, puts={"a": None}, cuts={"log": 1}, drops=["none"])
    )
    assert not await store.commit(Commit(checks={"a": "1"}, appends=[("log", "3")]))
    assert await store.get("a", "drain:1") == [None, "x"]
    assert (await store.read("log"), await store.tail("log", 1), await store.length("log")) == (
        ["2"],
        ["2"],
        1,
    )
    assert (await store.names("drain:"), await store.logs("log")) == (["drain:1"], ["log"])
    await store.tidy()


@on_each_server
def test_the_rule_of_the_docs_is_enough_and_reports_what_it_hides(
    tmp_path: Path,
) -> None:
    needed, more = acl_of_the_docs()

    async def everything(url: str) -> Durability:
        store = RedisStore(url)
        await does_everything(store)
        await open_state(store, Clock(), "1")
        durability = await store.durability()
        await store.aclose()
        waiting = RedisStore(url, replicas=1, kept_within=0.05)
        with pytest.raises(Unreachable, match="0 of 1 replicas have it"):
            await waiting.commit(Commit(puts={"b": "1"}))
        await waiting.aclose()
        return durability

    with one_server(tmp_path, ["--appendonly", "yes"]) as server:
        url = f"redis://openvidu-bot:pw@{HOST}:{server.port}/0"
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "openvidu-bot", "reset", *needed)
        durability = asyncio.run(everything(url))
        assert len(durability.unknown) == 2
        for text in durability.unknown:
            assert "because INFO is refused (no permission (NOPERM)" in text
            assert "and CONFIG is refused (no permission (NOPERM)" in text
        assert (durability.weak, durability.unfit) == ((), "")
        with server.client() as client:
            client.flushall()
            client.execute_command("ACL", "SETUSER", "openvidu-bot", *more)
        assert asyncio.run(everything(url)).cautions == ()
        with pytest.raises(Unreachable, match=r"no permission \(NOPERM\)"):
            asyncio.run(elsewhere(url))


MANAGED = {
    "renamed": (["--rename-command", "CONFIG", ""], "+@all -info -role"),
    "forbidden": ([], "+@all -@admin -@dangerous"),
}


@on_each_server
@pytest.mark.parametrize("how", MANAGED)
def test_a_managed_one_over_tls_works_and_reports_what_it_hides(tmp_path: Path, how: str) -> None:
    """The certificate is of the provider's own CA. CONFIG is missing or refused, INFO is not."""
    authority, (words, rights) = make_authority(tmp_path / "authority"), MANAGED[how]
    (tmp_path / "users.acl").write_text(f"user default on >pw ~* &* {rights}\n")

    async def story(store: RedisStore) -> Durability:
        await does_everything(store)
        await open_state(store, Clock(), "1")
        lease = await Locks(store, Clock(), "bot").take("acme-1")
        assert lease is not None
        await lease.renew()
        await DrainLedger(store, Clock()).enter(1, "now", lease)
        durability = await store.durability()
        await store.aclose()
        return durability

    with tls_server(
        tmp_path, authority, words=[*words, "--aclfile", str(tmp_path / "users.acl")], password="pw"
    ) as server:
        url = f"rediss://:pw@{HOST}:{server.port}"
        durability = asyncio.run(story(RedisStore(url, ca_file=str(authority.ca))))
        assert (durability.weak, durability.unfit) == ((), "")
        append_only, eviction = durability.unknown
        assert "whether Redis keeps an append-only file was not checked" in append_only
        assert "whether Redis discards state when it is full was not checked" in eviction
        why = "it has no such command" if how == "renamed" else "no permission (NOPERM)"
        assert all(
            "because INFO is refused (no permission (NOPERM)" in t
            and f"and CONFIG is refused ({why}" in t
            for t in durability.unknown
        )
        asyncio.run(starts(load_settings(tmp_path, url, authority, strict=False)))
        with pytest.raises(state.Unusable, match=r"^state.require_durable: whether Redis keeps"):
            asyncio.run(starts(load_settings(tmp_path, url, authority, strict=True)))


def load_settings(folder: Path, url: str, authority: Authority, *, strict: bool) -> Settings:
    file = folder / "settings.yaml"
    state = f"{{require_durable: {str(strict).lower()}, redis_ca_file: {authority.ca}}}"
    file.write_text(
        'clusters: {acme: {stack: acme, region: ams3, public_url: "https://meet.example.com"}}\n'
        f"state: {state}\n"
    )
    return load(file, {"HOME": str(folder), "REDIS_URL": url})


async def starts(settings: Settings) -> None:
    store = state.open_store(settings.state, Clock())
    try:
        await state.must_be_usable(settings, store, Clock(), "1")
    finally:
        await store.aclose()


async def elsewhere(url: str) -> None:
    store = RedisStore(url, prefix="another")
    try:
        await store.get("a")
    finally:
        await store.aclose()


@on_each_server
def test_what_cannot_be_seen_is_reported_once_and_is_no_alarm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An ACL without INFO was taken for an unreachable Redis: a warning every five seconds."""
    needed, _ = acl_of_the_docs()
    told: list[Sequence[str]] = []

    async def story(server: Server) -> None:
        store = RedisStore(f"redis://openvidu-bot:pw@{HOST}:{server.port}")
        looking = asyncio.create_task(
            state.keep_looking(store, told.append, lambda why: None, Bulkheads(Clock()))
        )
        for _ in range(LOOKS):
            if len(told) >= 5:
                break
            await asyncio.sleep(0.02)
        looking.cancel()
        await store.aclose()

    with (
        one_server(tmp_path, []) as server,
        caplog.at_level("INFO"),
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(state, "EVERY", 0.02)
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "openvidu-bot", "reset", *needed)
        asyncio.run(story(server))
    assert len(told) >= 5
    assert caplog.text.count("was not checked") == 2, (
        "the append-only file, and eviction: each once"
    )
    assert "no change is possible until it answers" not in caplog.text


@on_each_server
def test_deployments_with_a_prefix_of_their_own_do_not_meet(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        url = f"redis://{HOST}:{server.port}"
        ours, theirs = RedisStore(url), RedisStore(url, prefix="staging")
        assert await ours.commit(
            Commit(
                checks={"claim": None}, puts={"claim": "ours"}, appends=[("runs:acme", "acme-1")]
            )
        )
        assert await theirs.get("claim") == [None]
        assert await theirs.commit(Commit(checks={"claim": None}, puts={"claim": "theirs"}))
        assert (await theirs.logs(""), await theirs.names("")) == ([], ["claim"])
        assert (await ours.logs(""), await ours.names("")) == (["runs:acme"], ["claim"])
        with server.client() as client:
            assert client.get("{openvidu-bot}:claim") == "ours", "where 0.1.0 looks for it"
        for store in (ours, theirs):
            await store.aclose()

    with one_server(tmp_path, []) as server:
        asyncio.run(story(server))
