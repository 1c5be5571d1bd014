"""State in one SQLite file: the embedded default, for one bot. WAL, synced in full, locked against a second bot.

Times to live are measured by seconds since the machine's boot: `until`, by the wall, is what an older version reads and what counts
across a boot. A corrected clock neither ends them early nor makes them last.
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypedDict, TypeVar

from services.common.clock import Clock
from services.common.errors import Refused, Unreachable
from services.store.port import Commit, new_id

LAYOUT = 1  # of the file, as `user_version`: raised by what an older version cannot work with, and by nothing else
SCHEMA = """
create table if not exists value (key text primary key, text text not null, until real) without rowid;
create table if not exists entry (log text not null, at integer not null, text text not null, primary key (log, at)) without rowid;
create table if not exists done (id text primary key, at real not null) without rowid;
create index if not exists done_at on done (at);
create table if not exists life (key text primary key, until real not null, boot text not null, steady real not null, ttl real not null)
  without rowid;
"""
# With `:boot`, `:now` and `:steady`: what is not over yet.
LIVES = """
  left join life on life.key = value.key and life.until = value.until
  where (value.until is null or case when life.boot = :boot then life.steady > :steady else value.until > :now end)
"""
ONE = "select text from value" + LIVES + "and value.key = :key"  # noqa: S608 - of constants alone, as the next two
ONE_OF_OLD = "select text from value where key = :key and (until is null or until > :now)"  # a file that only 0.1.0 has opened yet
NAMED = "select value.key from value" + LIVES + "and substr(value.key, 1, :length) = :start"  # noqa: S608
DEAD = (
    "delete from value where until is not null and key not in (select value.key from value"  # noqa: S608
    + LIVES
    + ")"
)
REMEMBER_COMMITS = 3600.0
LONGEST = 30 * 86400.0  # a time to live that 0.1.0 wrote and the clock makes longer than any
LEASES = "lease:"
T = TypeVar("T")


class Moment(TypedDict):
    """When something is read or written, by the wall and since the boot that has this name."""

    boot: str
    now: float
    steady: float


class SqliteStore:
    """`path` None keeps everything in memory, for tests. With `threaded` False calls run on the loop itself (virtual time).

    With `reading` nothing is written, and a bot may be at work on the file meanwhile.
    """

    def __init__(
        self, path: Path | None, clock: Clock, *, threaded: bool = True, reading: bool = False
    ) -> None:
        self._clock = clock
        self._boot = clock.boot or new_id()
        self._guard: IO[str] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="state") if threaded else None
        self._one = ONE
        if path is not None and reading:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            self._one = ONE if self._has_lives() else ONE_OF_OLD
            return
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._guard = _only_one(path)
        self._db = sqlite3.connect(
            path or ":memory:", isolation_level=None, check_same_thread=False
        )
        if path is not None:
            path.chmod(0o600)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
        self._lay_out(path)

    def _has_lives(self) -> bool:
        return (
            self._db.execute("select 1 from sqlite_master where name = 'life'").fetchone()
            is not None
        )

    def _lay_out(self, path: Path | None) -> None:
        """Tables that are not there yet, and the times to live that another boot or an older version left behind."""
        (layout,) = self._db.execute("pragma user_version").fetchone()
        if layout > LAYOUT:
            self._db.close()
            raise Refused(
                f"{path} has layout {layout}, of a newer openvidu-bot, and this one knows {LAYOUT}: start that version, "
                "or put back the copy from before the upgrade"
            )
        self._db.executescript(SCHEMA)
        if path is not None:
            self._db.execute("begin immediate")
            # Whoever held a lease is gone: nobody else can have the file open.
            self._db.execute(
                "delete from value where key >= ? and key < ?", (LEASES, LEASES[:-1] + ";")
            )
            self._measure_anew()
            self._db.execute(f"pragma user_version = {LAYOUT}")
            self._db.execute("commit")

    def _measure_anew(self) -> None:
        """What is left of each time to live, in seconds since this boot: by the wall, and never more than it ever had."""
        now, steady = self._clock.now(), self._clock.steady()
        rows = self._db.execute(
            "select value.key, value.until, life.ttl from value left join life on life.key = value.key and life.until = value.until "
            "where value.until is not null and life.boot is not ?",
            (self._boot,),
        ).fetchall()
        for key, until, ttl in rows:
            most = LONGEST if ttl is None else ttl
            left = min(max(0.0, until - now), most)
            self._db.execute(
                "insert or replace into life values (?, ?, ?, ?, ?)",
                (key, until, self._boot, steady + left, most),
            )

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            if self._pool is None:
                return work()
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except sqlite3.Error as error:
            raise Unreachable(f"reading or writing the state file: {error}") from error

    def _moment(self) -> Moment:
        return {"boot": self._boot, "now": self._clock.now(), "steady": self._clock.steady()}

    async def get(self, *keys: str) -> list[str | None]:
        moment = self._moment()
        return await self._do(lambda: [self._value(k, moment) for k in keys])

    def _value(self, key: str, moment: Moment) -> str | None:
        row = self._db.execute(self._one, {"key": key, **moment}).fetchone()
        return row[0] if row else None

    async def commit(self, commit: Commit) -> bool:
        moment = self._moment()
        return await self._do(lambda: self._commit(commit, moment))

    def _commit(self, commit: Commit, moment: Moment) -> bool:
        self._db.execute("begin immediate")
        try:
            written = self._apply(commit, moment)
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")
        return written

    def _apply(self, commit: Commit, moment: Moment) -> bool:
        run, now = self._db.execute, moment["now"]
        if run("select 1 from done where id = ?", (commit.id,)).fetchone():
            return True
        if any(self._value(k, moment) != v for k, v in commit.checks.items()):
            return False
        for key, text in commit.puts.items():
            self._put(key, text, commit.ttl.get(key), moment)
        for log in commit.drops:
            run("delete from entry where log = ?", (log,))
        for log, count in commit.cuts.items():
            self._cut(log, count)
        for log, text in commit.appends:
            run(
                "insert into entry select ?, coalesce(max(at) + 1, 0), ? from entry where log = ?",
                (log, text, log),
            )
        run("insert into done values (?, ?)", (commit.id, now))
        run("delete from done where at < ?", (now - REMEMBER_COMMITS,))
        return True

    def _put(self, key: str, text: str | None, ttl: float | None, moment: Moment) -> None:
        run = self._db.execute
        run("delete from life where key = ?", (key,))
        if text is None:
            run("delete from value where key = ?", (key,))
        elif ttl is None:
            run("insert or replace into value values (?, ?, null)", (key, text))
        else:
            until = moment["now"] + ttl
            run("insert or replace into value values (?, ?, ?)", (key, text, until))
            run(
                "insert into life values (?, ?, ?, ?, ?)",
                (key, until, self._boot, moment["steady"] + ttl, ttl),
            )

    def _cut(self, log: str, count: int) -> None:
        # Counted anew from 0, as a Redis list is: an older version that opens the file reads by these positions.
        self._db.execute("delete from entry where log = ? and at < ?", (log, count))
        self._db.execute("update entry set at = at - ? where log = ?", (count, log))

    async def names(self, start: str) -> list[str]:
        asked = {"start": start, "length": len(start), **self._moment()}
        return await self._do(lambda: [r[0] for r in self._db.execute(NAMED, asked)])

    async def logs(self, start: str) -> list[str]:
        query = "select distinct log from entry where substr(log, 1, ?) = ?"
        return await self._do(lambda: [r[0] for r in self._db.execute(query, (len(start), start))])

    async def tidy(self) -> None:
        moment = self._moment()

        def work() -> None:
            self._db.execute(DEAD, moment)
            self._db.execute(
                "delete from life where key not in (select key from value where until is not null)"
            )

        await self._do(work)

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        limit = -1 if count is None else count
        query = "select text from entry where log = ? and at >= ? order by at limit ?"
        return await self._do(lambda: [r[0] for r in self._db.execute(query, (log, start, limit))])

    async def tail(self, log: str, count: int) -> list[str]:
        query = "select text from entry where log = ? order by at desc limit ?"
        return await self._do(lambda: [r[0] for r in self._db.execute(query, (log, count))][::-1])

    async def length(self, log: str) -> int:
        query = "select coalesce(max(at) + 1, 0) from entry where log = ?"
        return await self._do(lambda: int(self._db.execute(query, (log,)).fetchone()[0]))

    async def aclose(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._db.close()
        if self._guard is not None:
            self._guard.close()


def _only_one(path: Path) -> IO[str]:
    guard = path.with_suffix(path.suffix + ".lock").open("w")
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        guard.close()
        raise Refused(
            f"another bot uses {path}; one SQLite file serves one bot, set REDIS_URL to run several"
        ) from None
    return guard
