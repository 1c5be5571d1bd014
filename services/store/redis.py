"""State in Redis or Valkey: any number of bots. Every write is one Lua script, idempotent by commit id."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from services.errors import Unreachable
from services.store.port import Commit

# One hash slot for everything, so that one script may touch several keys on a Redis Cluster too.
PREFIX = "{openvidu-bot}:"
COMMIT = """
local c = cjson.decode(ARGV[1])
if redis.call('exists', KEYS[1]) == 1 then return 1 end
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
for _, append in ipairs(c.appends) do redis.call('rpush', KEYS[append[1]], append[2]) end
redis.call('set', KEYS[1], '1', 'ex', 3600)
return 1
"""
CONNECTIONS = 50
T = TypeVar("T")


class RedisStore:
    """`url` as redis-py takes it (redis://, rediss://, unix://). `reply_within` bounds each call, in seconds.

    `speed`: how many seconds of the bot's clock pass in one of Redis's; a ttl is meant in the clock's.
    """

    def __init__(self, url: str, *, reply_within: float = 5.0, speed: float = 1.0, client: "redis.Redis | None" = None) -> None:
        retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), 2)
        # A burst waits for a free connection; redis-py's own pool would raise at its hundredth.
        self._redis = client or redis.Redis.from_pool(
            redis.BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=reply_within,
                decode_responses=True,
                socket_timeout=reply_within,
                socket_connect_timeout=reply_within,
                retry=retry,
                protocol=2,
            )
        )
        self._reply_within = reply_within
        self._speed = speed
        self._commit = self._redis.register_script(COMMIT)

    async def _do(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._reply_within * 2):
                return await call()
        except (RedisError, OSError, TimeoutError) as error:
            raise Unreachable(f"asking Redis: {type(error).__name__}") from error

    async def get(self, *keys: str) -> list[str | None]:
        if not keys:
            return []
        return await self._do(lambda: cast("Awaitable[list[str | None]]", self._redis.mget([PREFIX + k for k in keys])))

    async def commit(self, commit: Commit) -> bool:
        keys = [PREFIX + "commit:" + commit.id]
        at: dict[str, int] = {}

        def index(key: str) -> int:
            if key not in at:
                keys.append(PREFIX + key)
                at[key] = len(keys)
            return at[key]

        order = {
            "checks": [[index(k), v] for k, v in commit.checks.items()],
            "puts": [[index(k), v, self._milliseconds(commit.ttl.get(k))] for k, v in commit.puts.items()],
            "appends": [[index("log:" + log), entry] for log, entry in commit.appends],
        }
        result = await self._do(lambda: cast("Awaitable[Any]", self._commit(keys=keys, args=[json.dumps(order)])))
        return int(result) == 1

    def _milliseconds(self, ttl: float | None) -> int:
        # 0 means for ever in the script: a time to live that is over already becomes the shortest one there is.
        return 0 if ttl is None else max(1, int(ttl * 1000 / self._speed))

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        if count == 0:
            return []  # Redis counts -1 as "to the end"
        end = -1 if count is None else start + count - 1
        return await self._do(lambda: cast("Awaitable[list[str]]", self._redis.lrange(PREFIX + "log:" + log, start, end)))

    async def tail(self, log: str, count: int) -> list[str]:
        if count == 0:
            return []
        return await self._do(lambda: cast("Awaitable[list[str]]", self._redis.lrange(PREFIX + "log:" + log, -count, -1)))

    async def length(self, log: str) -> int:
        return int(await self._do(lambda: self._redis.llen(PREFIX + "log:" + log)))

    async def info(self) -> dict[str, Any]:
        """Server facts that matter for keeping state: `aof_enabled`, `maxmemory_policy`, `redis_version`."""
        return await self._do(self._redis.info)

    async def aclose(self) -> None:
        await self._redis.aclose()
