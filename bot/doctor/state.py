"""Checks the state store: reachable, durable, and of a known version."""

import os
from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, CheckFinding, fine, unknown, wrong
from bot.doctor.context import DoctorContext, ReadOnlyFile, StateReader, UnusableStore
from services.common.errors import BadRecord
from services.store.keys import STATE
from services.store.origin import NewerState, check_schema, read_origin
from services.store.redis import RedisStore


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield a check of Redis or of the file, as the settings say."""
    if isinstance(context.store, UnusableStore):
        yield Check("state: Redis", partial(_none, context.store))
    elif isinstance(context.store, RedisStore):
        yield Check("state: Redis", partial(_redis, context.store))
    elif isinstance(context.store, ReadOnlyFile):
        yield Check("state: file", partial(_file, context.store))


async def _none(store: UnusableStore) -> Sequence[CheckFinding]:
    return [wrong("state: Redis", store.why, store.remedy)]


async def _redis(store: RedisStore) -> Sequence[CheckFinding]:
    durability = await store.durability()
    if newer := await _newer(store):
        return [wrong("state: Redis", newer, "run that version")]
    if durability.unfit:
        return [wrong("state: Redis", durability.unfit, "set REDIS_URL to another server")]
    findings = [
        wrong(
            "state: Redis",
            text,
            "change that setting of Redis; docs/how-to/state.md has a configuration",
        )
        for text in durability.weak
    ]
    findings += [
        unknown("state: Redis", text, "ask the operator of Redis") for text in durability.unknown
    ]
    answers = "; ".join(("answers and is durable", *durability.notes))
    return findings or [fine("state: Redis", answers)]


async def _newer(store: StateReader) -> str:
    """Return why this version cannot use the stored state; "" if it can."""
    try:
        if (origin := read_origin((await store.get(STATE))[0])) is not None:
            check_schema(origin)
    except (NewerState, BadRecord) as error:
        return str(error)
    return ""


async def _file(store: ReadOnlyFile) -> Sequence[CheckFinding]:
    name, path = "state: file", store.path
    folder = next(p for p in (path.parent, *path.parents) if p.exists())
    if not os.access(folder, os.W_OK):
        return [
            wrong(
                name,
                f"this user cannot write to {folder}",
                "set state.path to a directory of the bot's user",
            )
        ]
    if newer := await _newer(store):
        return [wrong(name, newer, "run that version")]
    status = "is created at the first start"
    if path.is_file():
        status = "exists and can be read"
    return [fine(name, f"{path} {status}; for one bot (set REDIS_URL for more)")]
