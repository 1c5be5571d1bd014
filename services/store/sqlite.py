"""State in one SQLite file: the default, for one bot.

WAL, fully synced, locked against a second bot.

Times to live are measured in monotonic seconds since the machine's boot. `until`, in wall time, is
what an older version reads, and what counts across a reboot. A correction of the clock neither ends
them early nor extends them.
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
from services.store.keys import LEASES
from services.store.port import Commit, new_id

# The file's layout, as `user_version`: raised only by changes that an older version cannot read.
LAYOUT = 1
SCHEMA = """
create table if not exists value (key text primary key, text text not null, until real)
  without rowid;
create table if not exists entry (
  log text not null, at integer not null, text text not null, primary key (log, at)
) without rowid;
create table if not exists done (id text primary key, at real not null) without rowid;
create index if not exists done_at on done (at);
create table if not exists life (
  key text primary key, until real not null, boot text not null, steady real not null,
  ttl real not null
) without rowid;
"""
# With `:boot`, `:now` and `:steady`: what has not expired.
NOT_EXPIRED = """
  left join life on life.key = value.key and life.until = value.until
  where (
    value.until is null
    or case when life.boot = :boot then life.steady > :steady else value.until > :now end
  )
"""


def _not_expired(query: str) -> str:
    return query.replace("{not_expired}", NOT_EXPIRED)


TEXT = _not_expired("select text from value {not_expired} and value.key = :key")
# In a file that only 0.1.0 has opened so far.
TEXT_IN_OLD_FILE = """
  select text from value where key = :key and (until is null or until > :now)
"""
KEYS = _not_expired(
    "select value.key from value {not_expired} and substr(value.key, 1, :length) = :start"
)
DELETE_EXPIRED = _not_expired("""
  delete from value where until is not null
  and key not in (select value.key from value {not_expired})
""")
REMEMBER_COMMITS = 3600.0
# The longest time to live that is assumed for a key of 0.1.0, which stored only its end.
LONGEST_TTL = 30 * 86400.0
T = TypeVar("T")


class Moment(TypedDict):
    """The time of a read or write: `now` in wall time, `steady` since the boot with this id."""

    boot: str
    now: float
    steady: float


class SqliteStore:
    """A store in a SQLite file; with `path` None in memory, for tests.

    `threaded` False: calls run on the event loop itself (virtual time). `reading`: read only, while
    a bot may be using the file.
    """

    def __init__(
        self, path: Path | None, clock: Clock, *, threaded: bool = True, reading: bool = False
    ) -> None:
        self._clock = clock
        self._boot = clock.boot_id or new_id()
        self._guard: IO[str] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="state") if threaded else None
        self._text_query = TEXT
        if path is not None and reading:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            if not self._has_lives():
                self._text_query = TEXT_IN_OLD_FILE
            return
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._guard = _lock(path)
        self._db = sqlite3.connect(
            path or ":memory:", isolation_level=None, check_same_thread=False
        )
        if path is not None:
            path.chmod(0o600)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
        self._lay_out(path)

    def _has_lives(self) -> bool:
        query = "select 1 from sqlite_master where name = 'life'"
        return self._db.execute(query).fetchone() is not None

    def _lay_out(self, path: Path | None) -> None:
        """Create missing tables, and convert times to live of another boot or older version."""
        (layout,) = self._db.execute("pragma user_version").fetchone()
        if layout > LAYOUT:
            self._db.close()
            raise Refused(
                f"{path} has layout {layout}, of a newer openvidu-bot, "
                f"and this one knows {LAYOUT}: start that version, "
                "or put back the copy from before the upgrade"
            )
        self._db.executescript(SCHEMA)
        if path is not None:
            self._db.execute("begin immediate")
            # The holders of leases have ended: no other bot can have the file open.
            self._db.execute(
                "delete from value where key >= ? and key < ?", (LEASES, LEASES[:-1] + ";")
            )
            self._convert_lives()
            self._db.execute(f"pragma user_version = {LAYOUT}")
            self._db.execute("commit")

    def _convert_lives(self) -> None:
        """Express what is left of each time to live in seconds since this boot.

        By wall time, but never more than the original time to live.
        """
        now, steady = self._clock.now(), self._clock.steady()
        rows = self._db.execute(
            "select value.key, value.until, life.ttl from value "
            "left join life on life.key = value.key and life.until = value.until "
            "where value.until is not null and life.boot is not ?",
            (self._boot,),
        ).fetchall()
        for key, until, ttl in rows:
            longest = LONGEST_TTL if ttl is None else ttl
            left = min(max(0.0, until - now), longest)
            self._db.execute(
                "insert or replace into life values (?, ?, ?, ?, ?)",
                (key, until, self._boot, steady + left, longest),
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
        row = self._db.execute(self._text_query, {"key": key, **moment}).fetchone()
        return None if row is None else str(row[0])

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
        # Positions restart at 0, as in a Redis list: an older version reads by them.
        self._db.execute("delete from entry where log = ? and at < ?", (log, count))
        self._db.execute("update entry set at = at - ? where log = ?", (count, log))

    async def names(self, start: str) -> list[str]:
        parameters = {"start": start, "length": len(start), **self._moment()}
        return await self._do(lambda: [r[0] for r in self._db.execute(KEYS, parameters)])

    async def logs(self, start: str) -> list[str]:
        query = "select distinct log from entry where substr(log, 1, ?) = ?"
        return await self._do(lambda: [r[0] for r in self._db.execute(query, (len(start), start))])

    async def tidy(self) -> None:
        moment = self._moment()

        def work() -> None:
            self._db.execute(DELETE_EXPIRED, moment)
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


class InUse(Refused):
    """Another process uses the file."""


def _lock(path: Path) -> IO[str]:
    """Lock the file for this process, until the returned one is closed. InUse if it is locked."""
    guard = path.with_suffix(path.suffix + ".lock").open("w")
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        guard.close()
        raise InUse(
            f"another bot uses {path}. One SQLite file is for one bot; set REDIS_URL to run several"
        ) from None
    return guard
