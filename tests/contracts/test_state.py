"""A Redis that may lose data is reported, or refused when the settings say so."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot import state
from bot.state import StateInUse, Unusable, keep_looking, must_be_usable, open_store
from config.settings import load
from config.values import Settings
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.store.redis import RedisStore
from services.store.sqlite import SqliteStore
from tests.contracts.test_redis_kept import one_server
from tests.support.patience import LOOKS
from tests.support.sentinel import HOST, Server

SETTINGS = """
clusters: {acme: {stack: acme, region: ams3, public_url: "https://meet.example.com"}}
state: {require_durable: %s}
"""


def settings(folder: Path, url: str = "", *, strict: bool = False) -> Settings:
    file = folder / "settings.yaml"
    file.write_text(SETTINGS % str(strict).lower())
    return load(file, {"HOME": str(folder), **({"REDIS_URL": url} if url else {})})


def at(server: Server) -> str:
    return f"redis://{HOST}:{server.port}"


def test_the_store_is_the_one_that_is_meant(tmp_path: Path) -> None:
    async def story() -> None:
        file = open_store(settings(tmp_path).state, Clock())
        assert isinstance(file, SqliteStore)
        with pytest.raises(StateInUse, match="another bot uses"):
            open_store(settings(tmp_path).state, Clock())
        await file.aclose()
        redis = open_store(settings(tmp_path, "redis+sentinel://a,b/main").state, Clock())
        assert isinstance(redis, RedisStore)
        assert redis.replicas == 1
        await redis.aclose()
        with pytest.raises(
            Unusable, match=r"^REDIS_URL: found an address of another kind; allowed: redis://"
        ) as wrong:
            open_store(settings(tmp_path, "http://:hunter2@h").state, Clock())
        assert "hunter2" not in str(wrong.value)

    asyncio.run(story())


def with_store(told: Settings, story: Callable[[RedisStore], Awaitable[Any]]) -> Any:
    async def play() -> Any:
        store = open_store(told.state, Clock())
        assert isinstance(store, RedisStore)
        try:
            return await story(store)
        finally:
            await store.aclose()

    return asyncio.run(play())


def test_a_strict_bot_does_not_start_on_a_redis_that_may_forget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "TIMEOUT", 1.0)
    with one_server(tmp_path, []) as server:
        strict = settings(tmp_path, at(server), strict=True)
        with pytest.raises(
            Unusable, match=r"^state.require_durable: Redis keeps no append-only file"
        ):
            with_store(strict, lambda store: must_be_usable(strict, store, Clock(), "1"))
        lenient = settings(tmp_path, at(server))
        with_store(lenient, lambda store: must_be_usable(lenient, store, Clock(), "1"))
        with server.client() as client:
            client.config_set("appendonly", "yes")
        with_store(strict, lambda store: must_be_usable(strict, store, Clock(), "1"))
        with server.client() as client:
            client.config_set("maxmemory-policy", "volatile-lru")
        with pytest.raises(Unusable, match="maxmemory-policy volatile-lru; set noeviction"):
            with_store(strict, lambda store: must_be_usable(strict, store, Clock(), "1"))
        server.stop()
        with pytest.raises(Unusable, match="asking Redis"):
            with_store(strict, lambda store: must_be_usable(strict, store, Clock(), "1"))


def test_possible_data_loss_is_reported_as_long_as_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state, "EVERY", 0.05)
    monkeypatch.setattr(state, "RETRY_AFTER", 0.05)
    told: list[Sequence[str]] = []
    unfit: list[str] = []

    async def story(store: RedisStore, server: Server) -> None:
        looking = asyncio.create_task(
            keep_looking(store, told.append, unfit.append, Bulkheads(Clock()))
        )
        await until(lambda: any(told))
        assert "append-only" in told[-1][0]
        with server.client() as client:
            client.config_set("appendonly", "yes")
        await until(lambda: not told[-1])
        server.stop()
        await until(lambda: "no change is possible until it answers" in caplog.text)
        looking.cancel()

    with one_server(tmp_path, []) as server, caplog.at_level("INFO"):
        with_store(settings(tmp_path, at(server)), lambda store: story(store, server))
    assert caplog.text.count("keeps no append-only file") == 1, "not each time that it is looked at"
    assert "Redis is durable again" in caplog.text


async def until(what: Callable[[], bool]) -> None:
    for _ in range(LOOKS):
        if what():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")
