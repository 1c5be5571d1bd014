"""The state store that the settings name, and whether it is durable."""

import asyncio
import importlib
import logging
import sqlite3
from collections.abc import Callable, Sequence

from config.values import Settings, StateSettings
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BadRecord, Refused, Unreachable
from services.store import Store, Unfit
from services.store.durability import Durability, WithDurability
from services.store.origin import NewerState, Origin, open_state
from services.store.sqlite import InUse, SqliteStore

log = logging.getLogger(__name__)
TIMEOUT = 10.0
RETRY_AFTER = 5.0
EVERY = 60.0  # seconds; after a failover another Redis answers, perhaps configured differently


class Unusable(Exception):
    """The state store cannot be used; the message is for the person who started the bot."""


class StateInUse(Unusable):
    """Another bot uses the file of the state."""


def open_store(state: StateSettings, clock: Clock, *, reading: bool = False) -> Store:
    """Open Redis if an address is set, else the file.

    `reading`: read only; a bot may be using the file at the same time.
    """
    if state.redis_url is not None:
        return _open_redis(state, state.redis_url.get_secret_value(), clock)
    try:
        return SqliteStore(state.path, clock, reading=reading)
    except InUse as error:
        raise StateInUse(str(error)) from None
    except Refused as error:
        raise Unusable(str(error)) from None
    except (OSError, sqlite3.Error) as error:
        raise Unusable(f"state.path: {state.path} cannot be used ({error})") from None


def _open_redis(state: StateSettings, url: str, clock: Clock) -> Store:
    # Only where Redis is used: its client takes 7 MB.
    module = importlib.import_module("services.store.redis")
    password = state.redis_sentinel_password
    try:
        store: Store = module.RedisStore(
            url,
            speed=clock.speed,
            ca_file=str(state.redis_ca_file) if state.redis_ca_file else None,
            sentinel_password=password.get_secret_value() if password else None,
            replicas=state.replicas,
            prefix=state.prefix,
        )
    except ValueError as error:
        raise Unusable(f"REDIS_URL: {error}") from None
    return store


async def must_be_usable(
    settings: Settings, store: Store, clock: Clock, version: str
) -> tuple[Origin, bool] | None:
    """Raise Unusable if the store is unfit, not durable but must be, or of a newer version.

    Returns its origin and whether it is new; None if it does not answer.
    A store that does not answer now is no error unless it must be durable: reading the clusters
    works without it.
    """
    strict = settings.state.require_durable
    try:
        async with asyncio.timeout(TIMEOUT):
            if isinstance(store, WithDurability):
                _must_be_durable(await store.durability(), strict=strict)
            return await open_state(store, clock, version)
    except (Unfit, NewerState, BadRecord) as error:
        raise Unusable(str(error)) from None
    except (Unreachable, TimeoutError) as error:
        why = str(error) or "the state store does not answer"
        if strict:
            raise Unusable(f"state.require_durable: {why}") from None
        log.warning("%s; no change is possible until it answers, reading works", why)
        return None


def _must_be_durable(durability: Durability, *, strict: bool) -> None:
    if durability.unfit:
        raise Unfit(durability.unfit)
    if strict and durability.cautions:
        raise Unusable(f"state.require_durable: {'; '.join(durability.cautions)}")


async def keep_looking(
    store: Store,
    report: Callable[[Sequence[str]], None],
    report_unfit: Callable[[str], None],
    bulkheads: Bulkheads,
) -> None:
    """Check Redis every minute, and log what changed.

    `report` gets how Redis may lose data, `report_unfit` why nothing can be written ("": it can).
    """
    if not isinstance(store, WithDurability):
        return
    previous: Durability | None = None
    while True:
        pause = RETRY_AFTER
        with bulkheads.contained("look at the state store", ""):
            try:
                durability = await store.durability()
            except Unreachable as error:
                log.warning("%s; no change is possible until it answers, reading works", error)
            else:
                pause = EVERY
                if durability != previous:
                    _log(durability, previous or Durability())
                previous = durability
                report(tuple(filter(None, (*durability.cautions, durability.unfit))))
                report_unfit(durability.unfit)
        await asyncio.sleep(pause)


def _log(durability: Durability, previous: Durability) -> None:
    if durability.unfit and durability.unfit != previous.unfit:
        log.error("%s; no change is possible", durability.unfit)
    for text in durability.cautions:
        if text not in previous.cautions:
            log.warning("%s", text)
    for text in durability.notes:
        if text not in previous.notes:
            log.info("%s", text)
    if previous.cautions and not durability.cautions:
        log.info("Redis is durable again")
