"""Reads of one moment are one command to Redis, and each reader gets its own answer."""

import asyncio
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from services.common.errors import Unreachable
from services.store import Commit
from services.store.combined import MOST, CombinedReads
from services.store.redis import RedisStore
from tests.support.redis import running_redis
from tests.support.tools import redis_server


def test_what_a_round_asks_of_many_clusters_is_a_few_commands() -> None:
    async def story() -> None:
        async with running_redis(redis_server()) as url:
            store, server = RedisStore(url), Redis.from_url(url)
            names = [f"c{n}" for n in range(300)]
            await store.commit(Commit(puts={f"hours:{n}": n for n in names}))
            before = await calls(server)
            found = await asyncio.gather(*(store.get(f"hours:{n}", f"claim:{n}") for n in names))
            assert found == [[n, None] for n in names]
            assert await calls(server) - before == 2, f"{MOST} keys each"
            await store.aclose()
            await server.aclose()

    asyncio.run(story())


async def calls(server: "Redis") -> int:
    stats = await server.info("commandstats")
    return int(stats.get("cmdstat_mget", {}).get("calls", 0))


def test_a_read_shows_what_was_written_before_it_was_asked_for() -> None:
    async def story() -> None:
        async with running_redis(redis_server()) as url:
            store = RedisStore(url)

            async def count(name: str) -> None:
                for n in range(50):
                    await store.commit(Commit(puts={name: str(n)}))
                    assert await store.get(name) == [str(n)]

            await asyncio.gather(*(count(f"k{n}") for n in range(8)))
            await store.aclose()

    asyncio.run(story())


class Server:
    """What it was asked; it answers when it is let, or refuses."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.refuses = False

    async def read(self, keys: Sequence[str]) -> list[str | None]:
        self.asked.append(list(keys))
        await self.may_answer.wait()
        if self.refuses:
            raise Unreachable("asking Redis: it is away")
        return [key.upper() for key in keys]


def test_equal_keys_are_read_once_and_later_ones_in_the_next_read() -> None:
    async def story() -> None:
        server = Server()
        reads = CombinedReads(server.read)
        first = [asyncio.create_task(reads.get(("a", "b"))), asyncio.create_task(reads.get(("b",)))]
        for _ in range(3):
            await asyncio.sleep(0)
        later = asyncio.create_task(reads.get(("a",)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        server.may_answer.set()
        assert await asyncio.gather(*first, later) == [["A", "B"], ["B"], ["A"]]
        assert server.asked == [["a", "b"], ["a"]], "a read that has begun may be too old"

    asyncio.run(story())


def test_an_error_reaches_every_reader() -> None:
    async def story() -> None:
        server = Server()
        server.refuses = True
        server.may_answer.set()
        reads = CombinedReads(server.read)
        got = await asyncio.gather(*(reads.get((k,)) for k in "abc"), return_exceptions=True)
        assert [type(error) for error in got] == [Unreachable] * 3
        server.refuses = False
        assert await reads.get(("d",)) == ["D"]

    asyncio.run(story())


def test_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    async def story() -> None:
        server = Server()
        reads = CombinedReads(server.read)
        impatient = asyncio.create_task(reads.get(("a",)))
        patient = asyncio.create_task(reads.get(("b",)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        server.may_answer.set()
        assert await patient == ["B"]

    asyncio.run(story())
