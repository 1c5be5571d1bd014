"""What the state store says of itself: which state it is, by which schema it was written, and who may still work with it.

Two numbers, so that of two versions side by side both can work: `schema` is what the newest bot writes, `needs` the oldest schema that a
bot must know to read it. A bot that knows less than `needs` refuses. What changes a schema without raising `needs` only adds.
"""

import json
from dataclasses import asdict, dataclass, fields, replace

from services.common.clock import Clock
from services.common.errors import BadRecord, Foreign
from services.store.edit import retried, too_fast
from services.store.keys import STATE, host_key_used_key
from services.store.port import Commit, Store, new_id

SCHEMA = 2  # what this version writes: 1 is 0.1.0, which wrote no number
NEEDS = 1  # 0.1.0 works beside this version


@dataclass(frozen=True)
class Origin:
    """One state. `id` is its own: another id is another state, whatever stands in it. `version` of the bot that wrote this last."""

    id: str
    schema: int = 1
    needs: int = 1
    version: str = ""
    at: float = 0.0


class NewerState(Foreign):
    """A newer version's state: nothing may be written to it by this one."""


def read_origin(text: str | None) -> Origin | None:
    """What stands there; None where nothing does. BadRecord when it is something else."""
    if text is None:
        return None
    try:
        raw = json.loads(text)
        return Origin(**{f.name: raw[f.name] for f in fields(Origin) if f.name in raw})
    except (ValueError, TypeError) as error:
        raise BadRecord(
            f"the state's own card (key {STATE}) cannot be read: it is damaged"
        ) from error


def must_be_known(origin: Origin) -> None:
    """NewerState when this version knows too little to work with it."""
    if origin.needs > SCHEMA:
        raise NewerState(
            f"openvidu-bot {origin.version or 'of a newer version'} wrote the state (schema {origin.schema}, a bot has to know "
            f"{origin.needs}), and this one knows {SCHEMA}: start that version or a newer one, or put back the copy from before the upgrade"
        )


async def settle(store: Store, clock: Clock, version: str = "") -> tuple[Origin, bool]:
    """Which state this is, and whether it was made just now. NewerState when this version must not touch it. An older one is migrated."""

    async def attempt() -> tuple[Origin, bool] | None:
        (text,) = await store.get(STATE)
        before = read_origin(text)
        if before is not None:
            must_be_known(before)
            if before.schema >= SCHEMA:
                return before, False
        now = clock.now()
        older = before or Origin(new_id(), at=now, needs=NEEDS)
        needs = max(older.needs, NEEDS)
        origin = replace(older, schema=SCHEMA, needs=needs, version=version)
        await _migrate(store, older.schema, now)
        kept = json.loads(text) if text else {}
        after = json.dumps(kept | asdict(origin), sort_keys=True)
        if await store.commit(Commit(checks={STATE: text}, puts={STATE: after})):
            return origin, before is None
        return None

    return await retried(attempt, too_fast("the state's own card"))


async def _migrate(store: Store, schema: int, now: float) -> None:
    """From that schema to this one, step by step; each can be done again, by any number of bots."""
    if schema < 2:
        await _date_host_keys(store, now)


async def _date_host_keys(store: Store, now: float) -> None:
    """0.1.0 did not note when a host key was last of use, and nothing could ever be removed."""
    for name in await store.names("hostkey:"):
        used = host_key_used_key(name.removeprefix("hostkey:"))
        await store.commit(Commit(checks={used: None}, puts={used: f"{now:.0f}"}))
