"""Where the bot's state is kept, and whether it stays there."""

import os
from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, Finding, fine, unknown, wrong
from bot.doctor.context import Case, FileLook, NoStore
from services.common.errors import BadRecord
from services.store import Store
from services.store.keys import STATE
from services.store.origin import NewerState, must_be_known, read_origin
from services.store.redis import RedisStore


def checks(case: Case) -> Iterator[Check]:
    """Redis or the file, whichever the settings mean."""
    if isinstance(case.store, NoStore):
        yield Check("state: Redis", partial(_none, case.store))
    elif isinstance(case.store, RedisStore):
        yield Check("state: Redis", partial(_redis, case.store))
    elif isinstance(case.store, FileLook):
        yield Check("state: file", partial(_file, case.store))


async def _none(store: NoStore) -> Sequence[Finding]:
    return [wrong("state: Redis", store.why, store.remedy)]


async def _redis(store: RedisStore) -> Sequence[Finding]:
    found = await store.durability()
    if newer := await _newer(store):
        return [wrong("state: Redis", newer, "start that version")]
    if found.unfit:
        return [wrong("state: Redis", found.unfit, "set REDIS_URL to another server")]
    told = [
        wrong(
            "state: Redis",
            text,
            "the message says which setting; the how-to on state has a configuration",
        )
        for text in found.weak
    ]
    told += [unknown("state: Redis", text, "ask whoever runs Redis") for text in found.unknown]
    said = "; ".join(("it answers and keeps what it is told", *found.notes))
    return told or [fine("state: Redis", said)]


async def _newer(store: Store) -> str:
    """Why this version may not work with what stands there."""
    try:
        if (origin := read_origin((await store.get(STATE))[0])) is not None:
            must_be_known(origin)
    except (NewerState, BadRecord) as error:
        return str(error)
    return ""


async def _file(look: FileLook) -> Sequence[Finding]:
    name, path = "state: file", look.path
    folder = next(p for p in (path.parent, *path.parents) if p.exists())
    if not os.access(folder, os.W_OK):
        return [
            wrong(
                name,
                f"{folder} cannot be written to by this user",
                "set state.path to a folder of the bot's own",
            )
        ]
    if newer := await _newer(look):
        return [wrong(name, newer, "start that version")]
    there = "is there and can be read" if path.is_file() else "is made at the first start"
    return [fine(name, f"{path} {there}; one bot may use it (set REDIS_URL for more)")]
