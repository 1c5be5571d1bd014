"""One suite that holds every state adapter to the same promises."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import redis

from services.common.clock import Clock
from services.common.errors import Refused, Unreachable
from services.runs.locks import Locks
from services.store import Commit, Store
from services.store.redis import RedisStore
from services.store.sqlite import SqliteStore
from tests.support.coverage_level import FULL
from tests.support.memory_store import MemoryStore
from tests.support.patience import HANG, LOOKS
from tests.support.tools import redis_server, store_servers

ROUNDS = 1000 if FULL else 5
ACQUIRERS = 200
Build = Callable[[], Store]


class RedisProcess:
    """A real Redis on a unix socket, with an append-only file."""

    def __init__(self, folder: Path, sync: str = "everysec", program: str = "") -> None:
        self.folder = folder
        self.program = program or redis_server()
        self.sync = sync
        # A unix socket's path has at most 107 characters; pytest's folders can be longer.
        self.socket = Path(f"/tmp/openvidu-bot-redis-{os.getpid()}-{folder.name[-12:]}.sock")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        command = [
            self.program,
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--dir",
            str(self.folder),
            "--save",
            "",
        ]
        command += ["--appendonly", "yes", "--appendfsync", self.sync, "--loglevel", "warning"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(LOOKS):
            with (
                contextlib.suppress(redis.ConnectionError, redis.BusyLoadingError),
                self.client() as client,
            ):
                client.ping()
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.program} did not come up")

    def client(self) -> "redis.Redis":
        return redis.Redis(unix_socket_path=str(self.socket))

    def kill(self) -> None:
        assert self.process is not None, "started before killed"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.socket.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], RedisProcess]]:
    """Each server of this machine by its path ("": the usual one), started when first needed."""
    started: dict[str, RedisProcess] = {}

    def of(program: str) -> RedisProcess:
        if program not in started:
            process = started[program] = RedisProcess(
                tmp_path_factory.mktemp("redis"), program=program
            )
            process.start()
        return started[program]

    yield of
    for process in started.values():
        process.stop()


@pytest.fixture
def server(servers: Callable[[str], RedisProcess]) -> RedisProcess:
    return servers("")


REDISES = {Path(path).name or "redis": path for path in store_servers() or [""]}


@pytest.fixture(params=["sqlite in memory", "sqlite file", *REDISES, "dictionaries"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    """Makes a store with empty state."""
    if request.param in REDISES:
        made: RedisProcess = request.getfixturevalue("servers")(REDISES[request.param])
        with made.client() as client:
            client.flushall()
        return lambda: RedisStore(made.url)
    if request.param == "sqlite file":
        return lambda: SqliteStore(tmp_path / "state" / "bot.db", Clock())
    if request.param == "dictionaries":
        return lambda: MemoryStore(Clock())
    return lambda: SqliteStore(None, Clock(), threaded=False)


def held_to(build: Build, story: Callable[[Store], Awaitable[None]]) -> None:
    """Run a story on a store, in real time."""

    async def play() -> None:
        store = build()
        try:
            await story(store)
        finally:
            await store.aclose()

    asyncio.run(play())


# What both guarantee


def test_what_was_never_written_is_not_there(build: Build) -> None:
    async def story(store: Store) -> None:
        assert await store.get("a", "b") == [None, None]
        assert await store.get() == []
        assert await store.read("log") == []
        assert await store.tail("log", 3) == []
        assert await store.length("log") == 0

    held_to(build, story)


def test_values_come_back_in_the_order_asked(build: Build) -> None:
    async def story(store: Store) -> None:
        assert await store.commit(Commit(puts={"a": "1", "b": "2"}))
        assert await store.get("b", "none", "a", "b") == ["2", None, "1", "2"]
        assert await store.commit(Commit(puts={"a": None, "b": "3", "never": None}))
        assert await store.get("a", "b") == [None, "3"]

    held_to(build, story)


def test_a_log_keeps_its_order(build: Build) -> None:
    async def story(store: Store) -> None:
        for n in range(7):
            await store.commit(Commit(appends=[("log", f"{n}a"), ("other", "x"), ("log", f"{n}b")]))
        everything = [f"{n}{part}" for n in range(7) for part in "ab"]
        assert await store.read("log") == everything
        assert await store.length("log") == 14
        assert await store.length("other") == 7
        assert await store.read("log", 11) == everything[11:]
        assert await store.read("log", 2, 3) == everything[2:5]
        assert await store.read("log", 12, 100) == everything[12:]
        assert await store.read("log", 99) == []
        assert await store.read("log", 1, 0) == []
        assert await store.read("log", 0, 0) == []
        assert await store.tail("log", 3) == everything[-3:]
        assert await store.tail("log", 100) == everything
        assert await store.tail("log", 0) == []

    held_to(build, story)


def test_a_log_and_a_key_of_one_name_are_two_things(build: Build) -> None:
    async def story(store: Store) -> None:
        assert await store.commit(Commit(puts={"run:1": "value"}, appends=[("run:1", "entry")]))
        assert await store.get("run:1") == ["value"]
        assert await store.read("run:1") == ["entry"]

    held_to(build, story)


@pytest.mark.parametrize(
    ("checks", "holds"),
    [
        ({"there": "1"}, True),
        ({"absent": None}, True),
        ({"there": "1", "absent": None}, True),
        ({"there": "2"}, False),
        ({"there": None}, False),
        ({"absent": "1"}, False),
        ({"absent": ""}, False),
        ({"empty": ""}, True),
        ({"empty": None}, False),
        ({"there": "1", "absent": "1"}, False),
        ({"there": "01"}, False),
        ({"there": "1.0"}, False),
    ],
)
def test_a_check_that_does_not_hold_writes_nothing(
    build: Build, checks: dict[str, str | None], holds: bool
) -> None:
    async def story(store: Store) -> None:
        await store.commit(Commit(puts={"there": "1", "empty": ""}, appends=[("log", "first")]))
        puts = {"there": "new", "more": "x", "empty": None}
        assert (
            await store.commit(Commit(checks=checks, puts=puts, appends=[("log", "second")]))
            is holds
        )
        expected: list[str | None] = ["new", "x", None] if holds else ["1", None, ""]
        assert await store.get("there", "more", "empty") == expected
        assert await store.read("log") == (["first", "second"] if holds else ["first"])

    held_to(build, story)


def test_a_key_with_a_time_to_live_goes_by_itself(build: Build) -> None:
    async def story(store: Store) -> None:
        await store.commit(Commit(puts={"lease": "me", "other": "stays"}, ttl={"lease": 0.3}))
        assert await store.get("lease", "other") == ["me", "stays"]
        assert not await store.commit(Commit(checks={"lease": None}, puts={"lease": "you"}))
        await asyncio.sleep(0.4)
        assert await store.get("lease", "other") == [None, "stays"]
        assert not await store.commit(
            Commit(checks={"lease": "me"}, puts={"lease": "me"}, ttl={"lease": 10.0})
        )
        assert await store.commit(Commit(checks={"lease": None}, puts={"lease": "you"}))

    held_to(build, story)


def test_writing_again_sets_the_time_to_live_anew(build: Build) -> None:
    async def story(store: Store) -> None:
        await store.commit(
            Commit(puts={"longer": "1", "ever": "1"}, ttl={"longer": 0.2, "ever": 0.2})
        )
        await store.commit(Commit(puts={"longer": "2"}, ttl={"longer": HANG}))
        await store.commit(Commit(puts={"ever": "2"}))
        await asyncio.sleep(0.3)
        assert await store.get("longer", "ever") == ["2", "2"]

    held_to(build, story)


@pytest.mark.parametrize("seconds", [0.0, 0.0001, -1.0])
def test_a_time_to_live_that_is_over_leaves_nothing_for_ever(build: Build, seconds: float) -> None:
    async def story(store: Store) -> None:
        assert await store.commit(Commit(puts={"lease": "me"}, ttl={"lease": seconds}))
        await asyncio.sleep(0.02)
        assert await store.get("lease") == [None]

    held_to(build, story)


def test_the_same_commit_sent_twice_takes_effect_once(build: Build) -> None:
    async def story(store: Store) -> None:
        once = Commit(checks={"count": None}, puts={"count": "1"}, appends=[("log", "once")])
        assert await store.commit(once)
        assert await store.commit(once)
        assert await store.read("log") == ["once"]
        # Still true, and still without effect, after later commits.
        await store.commit(Commit(puts={"count": "2"}))
        assert await store.commit(once)
        assert await store.get("count") == ["2"]
        assert await store.read("log") == ["once"]

    held_to(build, story)


def test_a_commit_that_was_refused_may_be_tried_again(build: Build) -> None:
    async def story(store: Store) -> None:
        again = Commit(checks={"ready": "yes"}, appends=[("log", "x")])
        assert not await store.commit(again)
        await store.commit(Commit(puts={"ready": "yes"}))
        assert await store.commit(again)
        assert await store.read("log") == ["x"]

    held_to(build, story)


def test_two_commits_with_the_same_content_are_two(build: Build) -> None:
    async def story(store: Store) -> None:
        for _ in range(2):
            assert await store.commit(Commit(appends=[("log", "x")]))
        assert await store.read("log") == ["x", "x"]

    held_to(build, story)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ñandú — 日本語 🎥👩‍💻",
        "line\nbreak\ttab\rreturn",
        "\x00 and \x01",
        "'\";--",
        '{"is": null}',
        "null",
        "1e999",
        "\u2028\u202e",
        "\\u0041",
    ],
)
def test_every_text_comes_back_as_it_was(build: Build, text: str) -> None:
    async def story(store: Store) -> None:
        assert await store.commit(
            Commit(puts={f"key {text}": text}, appends=[(f"log {text}", text)])
        )
        assert await store.get(f"key {text}") == [text]
        assert await store.read(f"log {text}") == [text]
        assert await store.commit(Commit(checks={f"key {text}": text}, puts={f"key {text}": "new"}))
        assert await store.get(f"key {text}") == ["new"]

    held_to(build, story)


def test_big_values(build: Build) -> None:
    big = random.Random(1).randbytes(1_500_000).hex()  # 3 MB

    async def story(store: Store) -> None:
        assert await store.commit(
            Commit(puts={"big": big}, appends=[("log", big), ("log", "after")])
        )
        assert await store.get("big") == [big]
        assert await store.read("log") == [big, "after"]
        assert await store.commit(Commit(checks={"big": big}, puts={"big": None}))
        assert await store.get("big") == [None]

    held_to(build, story)


def test_many_at_once_append_without_a_gap(build: Build) -> None:
    async def story(store: Store) -> None:
        await asyncio.gather(*(store.commit(Commit(appends=[("log", str(n))])) for n in range(100)))
        entries = await store.read("log")
        assert sorted(entries, key=int) == [str(n) for n in range(100)]
        assert await store.length("log") == 100

    held_to(build, story)


def test_compare_and_set_loses_no_increment(build: Build) -> None:
    async def add(store: Store, times: int) -> None:
        while times:
            (now,) = await store.get("count")
            times -= await store.commit(
                Commit(checks={"count": now}, puts={"count": str(int(now or 0) + 1)})
            )

    async def story(store: Store) -> None:
        await asyncio.gather(*(add(store, 5) for _ in range(8)))
        assert await store.get("count") == ["40"]

    held_to(build, story)


def test_of_200_acquirers_one_owns_it_each_round(build: Build) -> None:
    """Story A2; 1000 rounds with OPENVIDU_BOT_FULL."""

    async def story(store: Store) -> None:
        rounds = (
            ROUNDS if isinstance(store, RedisStore) else min(ROUNDS, 50)
        )  # a file that is fully synced is slow
        for turn in range(rounds):
            claims = [
                Commit(
                    checks={"claim": None},
                    puts={"claim": f"{n}"},
                    appends=[("owners", f"{turn}:{n}")],
                )
                for n in range(ACQUIRERS)
            ]
            won = await asyncio.gather(*(store.commit(c) for c in claims))
            assert won.count(True) == 1
            owner = str(won.index(True))
            assert await store.get("claim") == [owner]
            # Only the owner can release it.
            releases = await asyncio.gather(
                *(
                    store.commit(Commit(checks={"claim": str(n)}, puts={"claim": None}))
                    for n in range(ACQUIRERS)
                )
            )
            assert [str(n) for n, freed in enumerate(releases) if freed] == [owner]
        assert await store.length("owners") == rounds

    held_to(build, story)


# What a file guarantees


def test_a_second_bot_on_the_same_file_does_not_start(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "bot.db"
        first = SqliteStore(path, Clock())
        with pytest.raises(Refused, match=r"another bot uses .*bot\.db.*REDIS_URL"):
            SqliteStore(path, Clock())
        assert await first.commit(Commit(puts={"a": "1"}))
        await first.aclose()
        second = SqliteStore(path, Clock())
        assert await second.get("a") == ["1"]
        await second.aclose()

    asyncio.run(story())


def test_the_file_is_private(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore(tmp_path / "deep" / "bot.db", Clock())
        await store.commit(Commit(puts={"a": "1"}))
        modes = {p.name: p.stat().st_mode & 0o077 for p in (tmp_path / "deep").iterdir()}
        assert modes["bot.db"] == 0
        assert (tmp_path / "deep").stat().st_mode & 0o077 == 0
        await store.aclose()

    asyncio.run(story())


def test_a_file_that_cannot_be_read_any_more_is_unreachable(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore(tmp_path / "bot.db", Clock())
        await store.commit(Commit(puts={"a": "1"}))
        store._db.close()
        for call in (
            lambda: store.get("a"),
            lambda: store.commit(Commit(puts={"a": "2"})),
            lambda: store.read("log"),
        ):
            with pytest.raises(Unreachable, match="state file"):
                await call()

    asyncio.run(story())


WRITER = """
    import asyncio, sys
    from pathlib import Path
    from services.common.clock import Clock
    from services.store import Commit
    from services.store.redis import RedisStore
    from services.store.sqlite import SqliteStore

    async def write():
        where = sys.argv[1]
        store = RedisStore(where) if ":" in where else SqliteStore(Path(where), Clock())
        n = 0
        while True:
            before = str(n) if n else None
            counted = {"count": str(n + 1)}
            assert await store.commit(
                Commit(checks={"count": before}, puts=counted, appends=[("log", str(n))])
            )
            print(n, flush=True)
            n += 1

    asyncio.run(write())
"""


def killed_in_the_middle(
    where: str, at_least: int, victim: Callable[[subprocess.Popen[str]], None]
) -> int:
    """Let a process write until `victim` is killed; return how many commits it knows of."""
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), where],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None, "it has a pipe"
    known = 0
    for line in writer.stdout:
        known = int(line) + 1
        if known == at_least:
            victim(writer)
            break
    rest = writer.communicate(timeout=HANG)[0].split()
    return int(rest[-1]) + 1 if rest else known


async def nothing_is_lost(store: Store, known: int) -> None:
    entries = await store.read("log")
    # One more may have been written without an answer.
    assert len(entries) in (known, known + 1)
    assert entries == [str(n) for n in range(len(entries))]
    assert await store.get("count") == [str(len(entries))]
    await store.aclose()


def test_kill_9_of_a_writer_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    commits = killed_in_the_middle(str(path), 40, lambda writer: writer.kill())
    asyncio.run(nothing_is_lost(SqliteStore(path, Clock()), commits))


def test_kill_9_of_redis_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    own = RedisProcess(
        tmp_path, "always"
    )  # synced once a second, a slow disk delays writes that Redis has acknowledged
    own.start()
    try:
        commits = killed_in_the_middle(own.url, 40, lambda _: own.kill())
        own.start()
        asyncio.run(nothing_is_lost(RedisStore(own.url), commits))
    finally:
        own.stop()


# What a server over a network guarantees


class Proxy:
    """A proxy between the bot and Redis that fails as networks do."""

    def __init__(self, server: RedisProcess, folder: Path) -> None:
        self.server = server
        self.socket = Path(f"/tmp/openvidu-bot-proxy-{os.getpid()}-{folder.name[-12:]}.sock")
        self.lose = 0
        self.lost: list[bytes] = []

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Proxy"]:
        serving = await asyncio.start_unix_server(self._serve, str(self.socket))
        try:
            yield self
        finally:
            serving.close()
            self.socket.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(self.server.socket))
        try:
            while request := await reader.read(1 << 20):
                back.write(request)
                reply = await there.read(1 << 20)
                # Redis wrote it; the answer is lost.
                if b"EVALSHA" in request and b"NOSCRIPT" not in reply and self.lose:
                    self.lose -= 1
                    self.lost.append(reply)
                    return
                writer.write(reply)
                await writer.drain()
        finally:
            writer.close()
            back.close()


def test_a_lost_reply_is_sent_again_and_takes_effect_once(
    server: RedisProcess, tmp_path: Path
) -> None:
    async def story() -> None:
        with server.client() as client:
            client.flushall()
        async with Proxy(server, tmp_path).open() as proxy:
            store = RedisStore(proxy.url)
            proxy.lose = 1
            assert (
                await store.commit(
                    Commit(checks={"claim": None}, puts={"claim": "me"}, appends=[("log", "once")])
                )
                is True
            )
            assert proxy.lost == [b":1\r\n"]
            assert await store.read("log") == ["once"]
            assert await store.get("claim") == ["me"]
            await store.aclose()

    asyncio.run(story())


def test_a_reply_lost_for_good_is_unreachable_and_the_same_commit_may_be_sent_later(
    server: RedisProcess, tmp_path: Path
) -> None:
    async def story() -> None:
        with server.client() as client:
            client.flushall()
        async with Proxy(server, tmp_path).open() as proxy:
            store = RedisStore(proxy.url)
            proxy.lose = 100
            commit = Commit(checks={"claim": None}, puts={"claim": "me"}, appends=[("log", "once")])
            with pytest.raises(Unreachable):
                await store.commit(commit)
            proxy.lose = 0
            assert await store.commit(commit) is True
            assert await store.read("log") == ["once"]
            await store.aclose()

    asyncio.run(story())


def test_a_server_without_the_script_gets_it_again(server: RedisProcess) -> None:
    async def story() -> None:
        store = RedisStore(server.url)
        assert await store.commit(Commit(puts={"a": "1"}))
        with server.client() as client:
            client.script_flush()
        assert await store.commit(Commit(checks={"a": "1"}, puts={"a": "2"}))
        assert await store.get("a") == ["2"]
        await store.aclose()

    asyncio.run(story())


def calls(store: Store) -> list[Callable[[], Awaitable[object]]]:
    return [
        lambda: store.get("a"),
        lambda: store.commit(Commit(puts={"a": "1"})),
        lambda: store.read("log"),
        lambda: store.tail("log", 1),
        lambda: store.length("log"),
    ]


def test_no_server_is_unreachable_soon() -> None:
    async def story() -> None:
        store = RedisStore("redis://127.0.0.1:1/0", reply_within=0.5)
        for call in calls(store):
            with pytest.raises(Unreachable, match="asking Redis"):
                await call()
        await store.aclose()

    asyncio.run(story())


def test_a_server_that_never_answers_is_unreachable_after_two_attempts_at_most(
    tmp_path: Path,
) -> None:
    socket = Path(f"/tmp/openvidu-bot-mute-{os.getpid()}-{tmp_path.name[-12:]}.sock")

    async def story() -> None:
        attempts = 0

        async def say_nothing(*_: object) -> None:
            nonlocal attempts
            attempts += 1
            await asyncio.sleep(60)

        mute = await asyncio.start_unix_server(say_nothing, str(socket))
        store = RedisStore(f"unix://{socket}", reply_within=0.1)
        try:
            for call in calls(store):
                attempts = 0
                with pytest.raises(Unreachable):
                    await call()
                assert 1 <= attempts <= 2
        finally:
            await store.aclose()
            mute.close()

    try:
        asyncio.run(story())
    finally:
        socket.unlink(missing_ok=True)


def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    async def story() -> None:
        own = RedisProcess(tmp_path)
        own.start()
        store = RedisStore(own.url, reply_within=0.5)
        try:
            assert await store.commit(Commit(puts={"a": "1"}))
            own.kill()
            with pytest.raises(Unreachable):
                await store.get("a")
            own.start()
            assert await store.get("a") == ["1"]
            assert await store.commit(Commit(checks={"a": "1"}, puts={"a": "2"}))
        finally:
            await store.aclose()
            own.stop()

    asyncio.run(story())


def test_a_commit_that_breaks_half_way_in_sqlite_leaves_nothing_and_raises() -> None:
    async def story() -> None:
        store = SqliteStore(None, Clock(), threaded=False)
        with pytest.raises(Unreachable, match="state file"):
            await store.commit(Commit(puts={"a": "1"}, appends=[("log", None)]))  # type: ignore[list-item]
        assert await store.get("a") == [None]
        assert await store.commit(Commit(puts={"a": "2"}))
        assert await store.get("a") == ["2"]
        await store.aclose()

    asyncio.run(story())


def test_sqlite_remembers_commits_for_an_hour_and_no_longer() -> None:
    now = [0.0]

    async def story() -> None:
        store = SqliteStore(None, Clock(read=lambda: now[0]), threaded=False)
        await store.commit(Commit(appends=[("log", "x")], id="one"))
        now[0] = 3600.0
        await store.commit(Commit(appends=[("log", "x")], id="two"))
        await store.commit(Commit(appends=[("log", "x")], id="one"))
        assert await store.length("log") == 2
        now[0] = 3601.0
        await store.commit(Commit(appends=[("log", "y")], id="three"))
        assert store._db.execute("select count(*) from done").fetchone() == (2,)
        await store.aclose()

    asyncio.run(story())


# What retention deletes


def test_the_oldest_of_a_log_are_cut_and_positions_count_from_what_is_left(build: Build) -> None:
    async def story(store: Store) -> None:
        for n in range(6):
            await store.commit(Commit(appends=[("log", str(n)), ("other", str(n))]))
        assert not await store.commit(
            Commit(checks={"a": "1"}, cuts={"log": 4}, drops=["other"])
        ), "only with the rest of its commit"
        assert await store.commit(Commit(cuts={"log": 4}, appends=[("log", "6")], drops=["other"]))
        assert await store.read("log") == ["4", "5", "6"]
        assert await store.read("log", 1) == ["5", "6"]
        assert await store.tail("log", 2) == ["5", "6"]
        assert (await store.length("log"), await store.length("other")) == (3, 0)
        assert await store.read("other") == []
        assert await store.commit(
            Commit(cuts={"log": 99}, appends=[("log", "7"), ("other", "new")])
        )
        assert (await store.read("log"), await store.read("other")) == (["7"], ["new"])
        assert await store.commit(Commit(cuts={"none": 3}, drops=["nothing"]))

    held_to(build, story)


def test_what_there_is_can_be_listed_by_how_it_begins(build: Build) -> None:
    async def story(store: Store) -> None:
        puts = {f"drain:{n}:now": "1" for n in range(2500)} | {
            "drains": "1",
            "other": "1",
            "drain*": "1",
        }
        await store.commit(
            Commit(puts=puts, appends=[("run:a-1", "x"), ("run:a-2", "x"), ("runs:a", "x")])
        )
        await store.commit(Commit(puts={"drain:gone:now": "1", "soon": "1"}, ttl={"soon": 0.05}))
        await store.commit(Commit(puts={"drain:gone:now": None}, drops=["run:a-2"]))
        await asyncio.sleep(0.1)
        assert sorted(await store.names("drain:")) == sorted(f"drain:{n}:now" for n in range(2500))
        assert await store.names("drain*") == ["drain*"], "a pattern it is not"
        assert await store.names("soon") == []
        assert await store.logs("run:") == ["run:a-1"]
        assert sorted(await store.logs("run")) == ["run:a-1", "runs:a"]

    held_to(build, story)


def test_what_is_over_is_removed(tmp_path: Path) -> None:
    """SQLite kept it for ever, and only ignored it."""

    soon = {f"seen:{n}": 0.05 for n in range(50)} | {"late": 10 * HANG}

    async def story() -> None:
        store = SqliteStore(tmp_path / "bot.db", Clock())
        await store.commit(Commit(puts=dict.fromkeys([*soon, "stays"], "1"), ttl=soon))
        await asyncio.sleep(0.1)
        await store.tidy()
        assert rows(store, "value") == [("late",), ("stays",)]
        assert rows(store, "life") == [("late",)]
        assert await store.get("late", "stays") == ["1", "1"]
        await store.aclose()

    asyncio.run(story())


def rows(store: SqliteStore, table: str) -> list[tuple[str]]:
    return store._db.execute(f"select key from {table} order by key").fetchall()


# Corrected clocks


class Hands:
    """A wall clock that can be set, and seconds that only go forward."""

    def __init__(self, wall: float = 1_800_000_000.0, steady: float = 1000.0) -> None:
        self.wall, self.steady = wall, steady
        self.clock = Clock(read=lambda: self.wall, steady=lambda: self.steady)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.mark.parametrize("correction", [-86400.0, -10.0, 0.0, 10.0, 86400.0])
def test_a_corrected_clock_neither_ends_a_time_to_live_nor_makes_it_last(correction: float) -> None:
    async def story() -> None:
        hands = Hands()
        store = SqliteStore(None, hands.clock, threaded=False)
        await store.commit(Commit(puts={"lease": "me"}, ttl={"lease": 30.0}))
        hands.passes(5)
        hands.wall += correction
        hands.passes(24)
        assert await store.get("lease") == ["me"]
        assert not await store.commit(Commit(checks={"lease": None}, puts={"lease": "you"}))
        hands.passes(2)
        assert await store.get("lease") == [None]
        assert await store.names("lease") == []
        assert await store.commit(Commit(checks={"lease": None}, puts={"lease": "you"}))

    asyncio.run(story())


@pytest.mark.parametrize(
    ("correction", "left"), [(-86400.0, 3600.0), (-60.0, 3600.0), (60.0, 3540.0), (86400.0, 0.0)]
)
def test_across_a_boot_no_time_to_live_is_longer_than_it_ever_was(
    tmp_path: Path, correction: float, left: float
) -> None:
    """Only the wall clock knows how long the machine was off.

    When it is wrong by a day, nothing lasts a day longer.
    """

    async def story() -> None:
        hands = Hands()
        store = SqliteStore(tmp_path / "bot.db", hands.clock)
        await store.commit(Commit(puts={"seen:a": "1"}, ttl={"seen:a": 3600.0}))
        await store.aclose()
        again = Hands(hands.wall + correction, steady=1.0)
        store = SqliteStore(tmp_path / "bot.db", again.clock)
        again.passes(max(0.0, left - 1))
        assert await store.get("seen:a") == (["1"] if left else [None])
        again.passes(2)
        assert await store.get("seen:a") == [None]
        await store.aclose()

    asyncio.run(story())


def test_a_lease_that_a_killed_bot_left_in_the_file_does_not_hold(tmp_path: Path) -> None:
    """The clock was a day ahead at the write, and was corrected: no bot drove the run for a day."""

    async def story() -> None:
        ahead, right = Hands(wall=1_800_086_400.0), Hands(wall=1_800_000_000.0)
        store = SqliteStore(tmp_path / "bot.db", ahead.clock)
        assert await Locks(store, ahead.clock, "bot-1").take("acme-7") is not None
        await died(store)
        store = SqliteStore(tmp_path / "bot.db", right.clock)
        lease = await Locks(store, right.clock, "bot-2").take("acme-7")
        assert lease is not None, "the file's lock says that no other bot is alive"
        assert lease.epoch == 2
        await store.aclose()

    asyncio.run(story())


async def died(store: SqliteStore) -> None:
    """kill -9: nothing is cleaned up, and the system releases the file's lock."""
    assert store._guard is not None, "it was on a file"
    assert store._pool is not None, "with a thread of its own"
    store._pool.shutdown()
    store._db.close()
    store._guard.close()


# Versions side by side

LAYOUT_OF_0_1_0 = """
create table if not exists value (key text primary key, text text not null, until real) \
without rowid;
create table if not exists entry (log text not null, at integer not null, text text not null, \
primary key (log, at)) without rowid;
create table if not exists done (id text primary key, at real not null) without rowid;
create index if not exists done_at on done (at);
"""


def test_a_file_of_0_1_0_is_read_and_read_by_0_1_0_again(tmp_path: Path) -> None:
    """An older version's exact statements, on a file before and after this version used it."""
    path, now = tmp_path / "bot.db", 1_800_000_000.0
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(LAYOUT_OF_0_1_0)
        old.execute("insert or replace into value values (?, ?, ?)", ("claim:acme", "acme-1", None))
        old.execute("insert or replace into value values (?, ?, ?)", ("seen:a", "1", now + 3600))
        old.execute("insert or replace into value values (?, ?, ?)", ("seen:old", "1", now - 1))
        old.execute(
            "insert or replace into value values (?, ?, ?)", ("lease:acme-1", "4:bot", now + 86400)
        )
        for n in range(9):
            old.execute(
                "insert into entry select ?, coalesce(max(at) + 1, 0), ? from entry where log = ?",
                ("intake", str(n), "intake"),
            )

    async def story() -> None:
        hands = Hands(now)
        reading = SqliteStore(path, hands.clock, reading=True)
        assert await reading.get("claim:acme", "seen:a", "seen:old") == ["acme-1", "1", None]
        await reading.aclose()
        store = SqliteStore(path, hands.clock)
        assert await store.get("claim:acme", "seen:a", "seen:old", "lease:acme-1") == [
            "acme-1",
            "1",
            None,
            None,
        ]
        assert await store.commit(
            Commit(
                puts={"seen:b": "1"},
                ttl={"seen:b": 60.0},
                cuts={"intake": 4},
                appends=[("intake", "9")],
            )
        )
        reading = SqliteStore(path, hands.clock, reading=True)
        assert await reading.get("seen:b") == ["1"]
        await reading.aclose()
        await store.aclose()

    asyncio.run(story())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(LAYOUT_OF_0_1_0)
        there = "select text from value where key = ? and (until is null or until > ?)"
        assert [old.execute(there, (key, now)).fetchone() for key in ("claim:acme", "seen:b")] == [
            ("acme-1",),
            ("1",),
        ]
        read = "select text from entry where log = ? and at >= ? order by at limit ?"
        assert [r[0] for r in old.execute(read, ("intake", 1, -1))] == ["5", "6", "7", "8", "9"], (
            "by the positions that it knows"
        )
        old.execute("insert or replace into value values (?, ?, ?)", ("seen:b", "2", now + 600))
        old.execute("insert or replace into value values (?, ?, ?)", ("seen:c", "1", now + 5))
        old.execute("delete from value where key = ?", ("seen:a",))

    async def back() -> None:
        hands = Hands(now)
        store = SqliteStore(path, hands.clock)
        assert await store.get("seen:a", "seen:b", "seen:c") == [None, "2", "1"]
        hands.passes(6)
        assert await store.get("seen:b", "seen:c") == ["2", None], "by what 0.1.0 wrote last"
        await store.aclose()

    asyncio.run(back())


def test_a_file_with_a_newer_layout_is_refused_by_name(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "bot.db")) as newer:
        newer.execute("pragma user_version = 7")
    with pytest.raises(
        Refused,
        match="has layout 7, of a newer openvidu-bot, and this one knows 1: start that version",
    ):
        SqliteStore(tmp_path / "bot.db", Clock())
