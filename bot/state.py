"""The state store: which one the settings mean, and whether it keeps what it is told."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence

from config.values import Settings, State
from services.clock import Clock
from services.errors import Refused, Unreachable
from services.store import Store
from services.store.durability import Durability
from services.store.redis import RedisStore
from services.store.sqlite import SqliteStore

log = logging.getLogger(__name__)
PATIENCE = 10.0
AGAIN = 5.0
EVERY = 60.0  # seconds: after a fail-over another Redis answers, which may be set otherwise


class Unusable(Exception):
    """A sentence for whoever started the bot: the state store cannot be used."""


def open_store(state: State, clock: Clock, *, reading: bool = False) -> Store:
    """Redis when there is an address of one, else the file. With `reading` a bot may be at work on the file meanwhile."""
    if state.redis_url is not None:
        password = state.redis_sentinel_password
        try:
            return RedisStore(
                state.redis_url.get_secret_value(),
                speed=clock.speed,
                ca_file=str(state.redis_ca_file) if state.redis_ca_file else None,
                sentinel_password=password.get_secret_value() if password else None,
                replicas=state.replicas,
            )
        except ValueError as error:
            raise Unusable(f"REDIS_URL: {error}") from None
    try:
        return SqliteStore(state.path, clock, reading=reading)
    except Refused as error:
        raise Unusable(str(error)) from None
    except (OSError, sqlite3.Error) as error:
        raise Unusable(f"state.path: {state.path} cannot be used ({error})") from None


async def must_be_durable(settings: Settings, store: Store) -> None:
    """Unusable when the settings ask for a Redis that keeps what it is told, and this one does not, or does not let it be seen."""
    if not (settings.state.require_durable and isinstance(store, RedisStore)):
        return
    try:
        async with asyncio.timeout(PATIENCE):
            found = (await store.durability()).cautions
    except (Unreachable, TimeoutError) as error:
        found = (str(error) or "Redis does not answer",)
    if found:
        raise Unusable(f"state.require_durable: {'; '.join(found)}")


async def keep_looking(store: Store, tell: Callable[[Sequence[str]], None]) -> None:
    """Look at Redis now and then; `tell` is handed what it may forget, the log only what is new of it."""
    if not isinstance(store, RedisStore):
        return
    known: Durability | None = None
    while True:
        try:
            found = await store.durability()
        except Unreachable as error:
            log.warning("%s; no change is made until it answers, reading works", error)
            await asyncio.sleep(AGAIN)
            continue
        if found != known:
            _log(found, known or Durability())
        known = found
        tell(found.cautions)
        await asyncio.sleep(EVERY)


def _log(found: Durability, known: Durability) -> None:
    for text in found.cautions:
        if text not in known.cautions:
            log.warning("%s", text)
    for text in found.notes:
        if text not in known.notes:
            log.info("%s", text)
    if known.cautions and not found.cautions:
        log.info("Redis keeps what it is told again")
