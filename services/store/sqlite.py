"""State in one SQLite file: the embedded default, for one bot. WAL, synced in full, locked against a second bot."""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

from services.clock import Clock
from services.errors import Refused, Unreachable
from services.store.port import Commit

SCHEMA = """
create table if not exists value (key text primary key, text text not null, until real) without rowid;
create table if not exists entry (log text not null, at integer not null, text text not null, primary key (log, at)) without rowid;
create table if not exists done (id text primary key, at real not null) without rowid;
create index if not exists done_at on done (at);
"""
REMEMBER_COMMITS = 3600.0
T = TypeVar("T")


class SqliteStore:
    """`path` None keeps everything in memory, for tests. With `threaded` False calls run on the loop itself (virtual time).

    With `reading` nothing is written, and a bot may be at work on the file meanwhile.
    """

    def __init__(self, path: Path | None, clock: Clock, *, threaded: bool = True, reading: bool = False) -> None:
        self._clock = clock
        self._guard: IO[str] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="state") if threaded else None
        if path is not None and reading:
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
            return
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._guard = _only_one(path)
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        if path is not None:
            path.chmod(0o600)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
        self._db.executescript(SCHEMA)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            if self._pool is None:
                return work()
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except sqlite3.Error as error:
            raise Unreachable(f"reading or writing the state file: {error}") from error

    async def get(self, *keys: str) -> list[str | None]:
        now = self._clock.now()
        return await self._do(lambda: [self._value(k, now) for k in keys])

    def _value(self, key: str, now: float) -> str | None:
        row = self._db.execute("select text from value where key = ? and (until is null or until > ?)", (key, now)).fetchone()
        return row[0] if row else None

    async def commit(self, commit: Commit) -> bool:
        now = self._clock.now()
        return await self._do(lambda: self._commit(commit, now))

    def _commit(self, commit: Commit, now: float) -> bool:
        self._db.execute("begin immediate")
        try:
            written = self._apply(commit, now)
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")
        return written

    def _apply(self, commit: Commit, now: float) -> bool:
        run = self._db.execute
        if run("select 1 from done where id = ?", (commit.id,)).fetchone():
            return True
        if any(self._value(k, now) != v for k, v in commit.checks.items()):
            return False
        for key, text in commit.puts.items():
            if text is None:
                run("delete from value where key = ?", (key,))
            else:
                until = now + commit.ttl[key] if key in commit.ttl else None
                run("insert or replace into value values (?, ?, ?)", (key, text, until))
        for log, text in commit.appends:
            run("insert into entry select ?, coalesce(max(at) + 1, 0), ? from entry where log = ?", (log, text, log))
        run("insert into done values (?, ?)", (commit.id, now))
        run("delete from done where at < ?", (now - REMEMBER_COMMITS,))
        return True

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
        raise Refused(f"another bot uses {path}; one SQLite file serves one bot, set REDIS_URL to run several") from None
    return guard
