"""State in Redis or Valkey, for any number of bots.

Every write is one Lua script, idempotent by commit id.

A primary acknowledges a write before its replicas have it, so that it can be lost with the primary.
Where `replicas` are required, a commit counts only once they have it; otherwise it raises, and the
caller must not rely on it.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from services.common.causes import Cause, cause_of
from services.common.errors import Unreachable
from services.store.address import connect, parse_address
from services.store.combined import CombinedReads
from services.store.durability import CLUSTER, REPLICA, Durability, judge_durability
from services.store.port import Commit, Unfit

PREFIX = "openvidu-bot"
COMMIT = """
local c = cjson.decode(ARGV[1])
if redis.call('expire', KEYS[1], 3600) == 1 then return 1 end
for _, check in ipairs(c.checks) do
  local now = redis.call('get', KEYS[check[1]])
  if check[2] == cjson.null then
    if now then return 0 end
  elseif now ~= check[2] then return 0 end
end
for _, put in ipairs(c.puts) do
  if put[2] == cjson.null then redis.call('del', KEYS[put[1]])
  elseif put[3] > 0 then redis.call('set', KEYS[put[1]], put[2], 'px', put[3])
  else redis.call('set', KEYS[put[1]], put[2]) end
end
for _, log in ipairs(c.drops) do redis.call('del', KEYS[log]) end
for _, cut in ipairs(c.cuts) do redis.call('ltrim', KEYS[cut[1]], cut[2], -1) end
for _, append in ipairs(c.appends) do redis.call('rpush', KEYS[append[1]], append[2]) end
redis.call('set', KEYS[1], '1', 'ex', 3600)
return 1
"""
CONNECTIONS = 50
T = TypeVar("T")


class RedisStore:
    """A store in Redis. `url` as for `parse_address`.

    `reply_within`: timeout of each call in seconds; `kept_within`: of waiting for replicas.
    `replicas`: how many must have a write before it counts; None: one with Sentinel, which may
    promote a replica, else none. `speed`: seconds of the bot's clock in one of Redis's; a ttl is in
    the clock's. `prefix`: the beginning of every key of this deployment.
    """

    def __init__(
        self,
        url: str,
        *,
        reply_within: float = 5.0,
        speed: float = 1.0,
        ca_file: str | None = None,
        sentinel_password: str | None = None,
        replicas: int | None = None,
        kept_within: float = 1.0,
        prefix: str = PREFIX,
    ) -> None:
        address = parse_address(url)
        self._prefix = f"{{{prefix}}}:"
        self._redis, self._sentinel = connect(
            address,
            reply_within=reply_within,
            connections=CONNECTIONS,
            ca_file=ca_file,
            sentinel_password=sentinel_password,
        )
        self._through_sentinel = bool(address.sentinels)
        self.replicas = int(self._through_sentinel) if replicas is None else replicas
        self._reply_within = reply_within
        self._kept_within = kept_within
        self._speed = speed
        self._commit = self._redis.register_script(COMMIT)
        # A round asks the same of hundreds of clusters: that is one command, not hundreds.
        self._reads = CombinedReads(self._read_texts)
        # A burst waits for a free connection; redis-py's pool would raise instead.
        self._free_connections = asyncio.Semaphore(CONNECTIONS)

    async def _do(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._reply_within * 2), self._free_connections:
                return await call()
        except (RedisError, OSError, TimeoutError) as error:
            # With Sentinel a replica answers for a moment after each fail-over.
            if not self._through_sentinel and (problem := _why_unfit(error)):
                raise Unfit(problem) from error
            cause = _cause(error)
            raise Unreachable(
                f"asking Redis: {cause.text}", cause=cause.text, remedy=cause.remedy
            ) from error

    def _log(self, log: str) -> str:
        return f"{self._prefix}log:{log}"

    async def get(self, *keys: str) -> list[str | None]:
        if not keys:
            return []
        return await self._reads.get(keys)

    async def _read_texts(self, keys: Sequence[str]) -> list[str | None]:
        return await self._do(
            lambda: cast(
                "Awaitable[list[str | None]]", self._redis.mget([self._prefix + k for k in keys])
            )
        )

    async def commit(self, commit: Commit) -> bool:
        keys = [self._prefix + "commit:" + commit.id]
        at: dict[str, int] = {}

        def index(key: str) -> int:
            if key not in at:
                keys.append(self._prefix + key)
                at[key] = len(keys)
            return at[key]

        order = {
            "checks": [[index(k), v] for k, v in commit.checks.items()],
            "puts": [
                [index(k), v, self._milliseconds(commit.ttl.get(k))] for k, v in commit.puts.items()
            ],
            "drops": [index("log:" + log) for log in commit.drops],
            "cuts": [[index("log:" + log), count] for log, count in commit.cuts.items()],
            "appends": [[index("log:" + log), entry] for log, entry in commit.appends],
        }
        text = json.dumps(order)
        if self.replicas:
            return await self._commit_and_wait(keys, text)
        result = await self._do(
            lambda: cast("Awaitable[Any]", self._commit(keys=keys, args=[text]))
        )
        return int(result) == 1

    async def _commit_and_wait(self, keys: list[str], text: str) -> bool:
        """Commit and WAIT in one pipeline: WAIT covers the writes of its own connection only.

        A retry must repeat both.
        """

        async def both() -> list[int]:
            async with self._redis.pipeline(transaction=False) as line:
                line.eval(COMMIT, len(keys), *keys, text)
                line.wait(self.replicas, int(self._kept_within * 1000))
                return cast("list[int]", await line.execute())

        written, kept = await self._do(both)
        if written == 1 and kept < self.replicas:
            lacking = f"{kept} of {self.replicas} replicas have it"
            raise Unreachable(
                f"asking Redis: the write was accepted, but {lacking}: it may be lost"
            )
        return written == 1

    def _milliseconds(self, ttl: float | None) -> int:
        """Return a time to live for the script, where 0 means that the key does not expire."""
        if ttl is None:
            return 0
        return max(1, int(ttl * 1000 / self._speed))

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        if count == 0:
            return []  # -1 would mean "to the end"
        end = -1 if count is None else start + count - 1
        return await self._do(
            lambda: cast("Awaitable[list[str]]", self._redis.lrange(self._log(log), start, end))
        )

    async def tail(self, log: str, count: int) -> list[str]:
        if count == 0:
            return []
        return await self._do(
            lambda: cast("Awaitable[list[str]]", self._redis.lrange(self._log(log), -count, -1))
        )

    async def length(self, log: str) -> int:
        return int(await self._do(lambda: self._redis.llen(self._log(log))))

    async def names(self, start: str) -> list[str]:
        keys = await self._do(lambda: self._scan(self._prefix + start))
        return [key for key in keys if not key.startswith(("log:", "commit:"))]

    async def logs(self, start: str) -> list[str]:
        keys = await self._do(lambda: self._scan(self._log(start)))
        return [key.removeprefix("log:") for key in keys]

    async def _scan(self, start: str) -> list[str]:
        pattern = re.sub(r"([*?\[\]^\\])", r"\\\1", start) + "*"
        keys = {str(key) async for key in self._redis.scan_iter(match=pattern, count=1000)}
        return [key.removeprefix(self._prefix) for key in keys]

    async def tidy(self) -> None:
        """Do nothing: Redis removes expired keys itself."""

    async def durability(self) -> Durability:
        """Return whether it can be the state store, and whether it keeps what it acknowledged.

        Managed Redis services often refuse INFO or CONFIG.
        """
        info, no_info = await self._unless_refused(self._info)
        config, no_config = await self._unless_refused(self._settings)
        role, _ = await self._unless_refused(self._role)
        properties = {**(role or {}), **(info or {})}
        if self._through_sentinel:
            properties.pop("role", None)
        return judge_durability(properties, config, no_config, self.replicas, no_info)

    async def _unless_refused(
        self, ask: Callable[[], Awaitable[dict[str, Any]]]
    ) -> tuple[dict[str, Any] | None, str]:
        """Return the answer, or None and why it was refused."""
        try:
            return await self._do(ask), ""
        except Unreachable as error:
            if not isinstance(error.__cause__, ResponseError):
                raise
            return None, error.cause

    async def _info(self) -> dict[str, Any]:
        return await self._redis.info()

    async def _role(self) -> dict[str, Any]:
        answer = await self._redis.role()
        return {"role": answer[0]}

    async def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for name in ("appendonly", "appendfsync", "maxmemory-policy"):
            settings |= cast("dict[str, str]", await self._redis.config_get(name))
        return settings

    async def aclose(self) -> None:
        await self._redis.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()


def _cause(error: BaseException) -> Cause:
    """Return why Redis did not do it, by its error code (NOREPLICAS, MISCONF, OOM) if it has one.

    Never its text, which may hold a value.
    """
    code = str(error).partition(" ")[0]
    if type(error) is ResponseError and str(error).startswith("unknown command"):
        return Cause(
            "it has no such command", "use a Redis or Valkey where this command is enabled"
        )
    if type(error) is ResponseError and re.fullmatch(r"[A-Z]{3,20}", code):
        return Cause(f"it answered {code}", "see Redis's log, or its documentation of that code")
    return cause_of(error, "state.redis_ca_file")


def _why_unfit(error: BaseException) -> str:
    """Return why it can never be the state store, if this error shows it, else ""."""
    if isinstance(error, MovedError | AskError | ClusterDownError | ClusterCrossSlotError):
        return CLUSTER
    if isinstance(error, ReadOnlyError):
        return REPLICA
    return ""
