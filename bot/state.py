"""The state store: which one the settings mean, and whether it keeps what it is told."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence

from config.values import Settings, State
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BadRecord, Refused, Unreachable
from services.store import Store, Unfit
from services.store.durability import Durability
from services.store.origin import NewerState, settle
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
                prefix=state.prefix,
            )
        except ValueError as error:
            raise Unusable(f"REDIS_URL: {error}") from None
    try:
        return SqliteStore(state.path, clock, reading=reading)
    except Refused as error:
        raise Unusable(str(error)) from None
    except (OSError, sqlite3.Error) as error:
        raise Unusable(f"state.path: {state.path} cannot be used ({error})") from None


async def must_be_usable(settings: Settings, store: Store, clock: Clock, version: str) -> None:
    """Unusable when what answers can never be the state store, a newer version's state lies there, or it may forget and must not.

    A store that does not answer now is waited for later: reading the clusters works without it.
    """
    strict = settings.state.require_durable
    try:
        async with asyncio.timeout(PATIENCE):
            if isinstance(store, RedisStore):
                _must_keep(await store.durability(), strict=strict)
            await settle(store, clock, version)
    except (Unfit, NewerState, BadRecord) as error:
        raise Unusable(str(error)) from None
    except (Unreachable, TimeoutError) as error:
        if strict:
            raise Unusable(
                f"state.require_durable: {str(error) or 'the state store does not answer'}"
            ) from None
        log.warning(
            "%s; no change is made until it answers, reading works",
            str(error) or "the state store does not answer",
        )


def _must_keep(found: Durability, *, strict: bool) -> None:
    if found.unfit:
        raise Unfit(found.unfit)
    if strict and found.cautions:
        raise Unusable(f"state.require_durable: {'; '.join(found.cautions)}")


async def keep_looking(
    store: Store,
    tell: Callable[[Sequence[str]], None],
    unfit: Callable[[str], None],
    bulkheads: Bulkheads,
) -> None:
    """Look at Redis now and then; `tell` is handed what it may forget, `unfit` why nothing can be written, the log what is new of it."""
    if not isinstance(store, RedisStore):
        return
    known: Durability | None = None
    while True:
        pause = AGAIN
        with bulkheads.within("look at the state store", ""):
            try:
                found = await store.durability()
            except Unreachable as error:
                log.warning("%s; no change is made until it answers, reading works", error)
            else:
                pause = EVERY
                if found != known:
                    _log(found, known or Durability())
                known = found
                tell((*found.cautions, *((found.unfit,) if found.unfit else ())))
                unfit(found.unfit)
        await asyncio.sleep(pause)


def _log(found: Durability, known: Durability) -> None:
    if found.unfit and found.unfit != known.unfit:
        log.error("%s; no change is made", found.unfit)
    for text in found.cautions:
        if text not in known.cautions:
            log.warning("%s", text)
    for text in found.notes:
        if text not in known.notes:
            log.info("%s", text)
    if known.cautions and not found.cautions:
        log.info("Redis keeps what it is told again")
