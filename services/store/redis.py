"""State in Redis or Valkey: any number of bots. Every write is one Lua script, idempotent by commit id.

A primary acknowledges before its replicas have a write, so what it acknowledged can be lost with it. Where replicas are waited for, a
commit counts only when they have it; otherwise it is "not known to be kept", and nothing is done on the strength of it.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from redis.exceptions import RedisError, ResponseError

from services.common.causes import Cause, cause_of
from services.common.errors import Unreachable
from services.store.address import connect, parse_address
from services.store.durability import Durability, judge, unfit
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
    """`url` as `parse_address` takes it. `reply_within` bounds each call, in seconds; `kept_within` how long replicas are waited for.

    `replicas`: how many must have a write before it counts; None: one where Sentinel may put another in the primary's place, else none.
    `speed`: how many seconds of the bot's clock pass in one of Redis's; a ttl is meant in the clock's. `prefix`: with what every key of
    this deployment begins.
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
        self.replicas = replicas if replicas is not None else 1 if address.sentinels else 0
        self._reply_within = reply_within
        self._kept_within = kept_within
        self._speed = speed
        self._commit = self._redis.register_script(COMMIT)
        # A burst waits for a free connection; redis-py's own pool would raise at the first too many.
        self._room = asyncio.Semaphore(CONNECTIONS)

    async def _do(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._reply_within * 2), self._room:
                return await call()
        except (RedisError, OSError, TimeoutError) as error:
            # Behind Sentinel a replica answers for a moment after each fail-over.
            if not self._through_sentinel and (what := unfit(error)):
                raise Unfit(what) from error
            why = _cause(error)
            raise Unreachable(
                f"asking Redis: {why.said}", cause=why.said, remedy=why.remedy
            ) from error

    def _log(self, log: str) -> str:
        return f"{self._prefix}log:{log}"

    async def get(self, *keys: str) -> list[str | None]:
        if not keys:
            return []
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
        """In one breath on one connection: WAIT is about the writes of its own connection, and a repetition must repeat both."""

        async def both() -> list[int]:
            async with self._redis.pipeline(transaction=False) as line:
                line.eval(COMMIT, len(keys), *keys, text)
                line.wait(self.replicas, int(self._kept_within * 1000))
                return cast("list[int]", await line.execute())

        written, kept = await self._do(both)
        if written == 1 and kept < self.replicas:
            lacking = f"{kept} of {self.replicas} replicas have it"
            raise Unreachable(
                f"asking Redis: it wrote this down, but {lacking}, so it is not known to be kept"
            )
        return written == 1

    def _milliseconds(self, ttl: float | None) -> int:
        # 0 means for ever in the script: a time to live that is over already becomes the shortest one there is.
        return 0 if ttl is None else max(1, int(ttl * 1000 / self._speed))

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        if count == 0:
            return []  # Redis counts -1 as "to the end"
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
        found = await self._do(lambda: self._scan(self._prefix + start))
        return [name for name in found if not name.startswith(("log:", "commit:"))]

    async def logs(self, start: str) -> list[str]:
        return [
            name.removeprefix("log:")
            for name in await self._do(lambda: self._scan(self._log(start)))
        ]

    async def _scan(self, start: str) -> list[str]:
        pattern = re.sub(r"([*?\[\]^\\])", r"\\\1", start) + "*"
        found = {str(name) async for name in self._redis.scan_iter(match=pattern, count=1000)}
        return [name.removeprefix(self._prefix) for name in found]

    async def tidy(self) -> None:
        """Redis removes what is over by itself."""

    async def durability(self) -> Durability:
        """Whether it can be the state store, and keeps what it is told. Where somebody else runs Redis, INFO or CONFIG are refused."""
        info, no_info = await self._unless_refused(self._info)
        config, no_config = await self._unless_refused(self._settings)
        role, _ = await self._unless_refused(self._role)
        known = {**({"role": role["role"]} if role else {}), **(info or {})}
        if self._through_sentinel:
            known.pop("role", None)
        return judge(known, config, no_config, self.replicas, no_info)

    async def _unless_refused(
        self, ask: Callable[[], Awaitable[dict[str, Any]]]
    ) -> tuple[dict[str, Any] | None, str]:
        """What it says, or None and why it will not say it."""
        try:
            return await self._do(ask), ""
        except Unreachable as error:
            if not isinstance(error.__cause__, ResponseError):
                raise
            return None, error.cause

    async def _info(self) -> dict[str, Any]:
        return await self._redis.info()

    async def _role(self) -> dict[str, Any]:
        said = await self._redis.role()
        return {"role": said[0]}

    async def _settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in ("appendonly", "appendfsync", "maxmemory-policy"):
            found |= cast("dict[str, str]", await self._redis.config_get(name))
        return found

    async def aclose(self) -> None:
        await self._redis.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()


def _cause(error: BaseException) -> Cause:
    """Why Redis did not do it: by its own code (NOREPLICAS, MISCONF, OOM) where it has one; never its text, which may hold a value."""
    code = str(error).partition(" ")[0]
    if type(error) is ResponseError and str(error).startswith("unknown command"):
        return Cause(
            "it has no such command", "use a Redis or Valkey from which this command was not taken"
        )
    if type(error) is ResponseError and re.fullmatch(r"[A-Z]{3,20}", code):
        return Cause(f"it answered {code}", "see Redis's log, or its documentation of that code")
    return cause_of(error, "state.redis_ca_file")
