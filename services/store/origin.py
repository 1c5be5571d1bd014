"""The state's description of itself: its identity, its schema, and which versions may use it.

Two numbers let two versions work side by side: `schema` is what the newest bot writes, `needs` the
oldest schema that a bot must know to read it. A bot that knows less than `needs` refuses. A change
that raises the schema without `needs` only adds.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache

from services.common.clock import Clock
from services.common.errors import BadRecord, Foreign
from services.store.edit import retried, too_fast
from services.store.keys import HOST_KEYS, STATE, host_key_used_key
from services.store.port import Commit, Store, new_id

# The schema that this version writes; 0.1.0, which wrote no number, has 1.
SCHEMA = 2
# 0.1.0 can work side by side with this version.
NEEDS = 1


@dataclass(frozen=True)
class Origin:
    """The identity of a state; another `id` is another state, whatever its content.

    `version`: of the bot that wrote this last.
    """

    id: str
    schema: int = 1
    needs: int = 1
    version: str = ""
    at: float = 0.0


class NewerState(Foreign):
    """The state of a newer version: this one must not write to it."""


@lru_cache(maxsize=8)  # the same text is read in every round
def read_origin(text: str | None) -> Origin | None:
    """Return the origin in stored text, None for no text. BadRecord if it is damaged."""
    if text is None:
        return None
    try:
        raw = json.loads(text)
        return Origin(**{f.name: raw[f.name] for f in fields(Origin) if f.name in raw})
    except (ValueError, TypeError) as error:
        raise BadRecord(
            f"the state's record of origin (key {STATE}) cannot be read: it is damaged"
        ) from error


def check_schema(origin: Origin) -> None:
    """Raise NewerState if this version cannot work with the state."""
    if origin.needs > SCHEMA:
        version = origin.version or "of a newer version"
        raise NewerState(
            f"openvidu-bot {version} wrote the state (schema {origin.schema}, requires "
            f"{origin.needs}), and this version supports {SCHEMA}. Start that version or a newer "
            "one, or restore the copy from before the upgrade"
        )


async def open_state(store: Store, clock: Clock, version: str = "") -> tuple[Origin, bool]:
    """Return the state's origin, and whether it was created just now; migrate an older state.

    Raises NewerState if this version must not touch it.
    """

    async def attempt() -> tuple[Origin, bool] | None:
        (text,) = await store.get(STATE)
        before = read_origin(text)
        if before is not None:
            check_schema(before)
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
    """Migrate from `schema` to the current one; each step is idempotent, on any number of bots."""
    if schema < 2:
        await _date_host_keys(store, now)


async def _date_host_keys(store: Store, now: float) -> None:
    """Note when host keys were last used: 0.1.0 did not, so that none could ever be removed."""
    for name in await store.names(HOST_KEYS):
        used = host_key_used_key(name.removeprefix(HOST_KEYS))
        await store.commit(Commit(checks={used: None}, puts={used: f"{now:.0f}"}))
