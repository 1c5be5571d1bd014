"""What DigitalOcean did to a cluster's droplets and pool, as it tells it: by its own clock."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

from services.cloud.fields import Fields, Json
from services.cloud.listings import SharedAccount
from services.common.errors import BotError, NotFound

# Droplets that are asked for, so that a large pool does not use up the hour's requests.
MOST_DROPLETS = 40
AT_ONCE = 4
GONE = "deleted"


@dataclass(frozen=True)
class AccountEvent:
    """An action on a droplet, or an event of the pool. Times in epoch seconds of DigitalOcean.

    `droplet`: its id; 0 for the pool. `kind`: the action's type, or what the pool did. `ended`:
    None while it goes on.
    """

    droplet: int
    name: str
    kind: str
    status: str
    began: float
    ended: float | None = None
    why: str = ""


@dataclass(frozen=True)
class AccountEvents:
    """What was read, and what was not: a sentence for each source that did not answer."""

    events: tuple[AccountEvent, ...] = ()
    missing: tuple[str, ...] = ()


async def read_account_events(
    account: SharedAccount,
    droplets: Mapping[int, str],
    pool_id: str,
    begins: float,
    ends: float,
) -> AccountEvents:
    """Read the actions of these droplets, by id, and the pool's history, within a span.

    `pool_id`: "" for none. A source that does not answer is named in `missing`.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def tried(what: str, read: Awaitable[list[AccountEvent]]) -> list[AccountEvent] | str:
        async with slots:
            try:
                return await read
            except NotFound:
                return GONE
            except BotError as error:
                return f"{what}: {error}"

    asked = dict(list(droplets.items())[:MOST_DROPLETS])
    reads = [
        tried(f"actions of {name}", _actions(account, droplet, name))
        for droplet, name in asked.items()
    ]
    if pool_id:
        reads.append(tried("history of the pool", _history(account, pool_id)))
    events: list[AccountEvent] = []
    missing: list[str] = []
    gone = 0
    for found in await asyncio.gather(*reads):
        if found == GONE:
            gone += 1
        elif isinstance(found, str):
            missing.append(found)
        else:
            events += found
    if gone:
        what = "a deleted droplet" if gone == 1 else f"{gone} deleted droplets"
        missing.append(f"actions of {what}: DigitalOcean no longer has them")
    if left := len(droplets) - len(asked):
        missing.append(f"actions of {left} more droplets: only {MOST_DROPLETS} are read")
    inside = [e for e in events if begins <= e.began <= ends]
    return AccountEvents(tuple(inside), tuple(missing))


async def _actions(account: SharedAccount, droplet: int, name: str) -> list[AccountEvent]:
    return [_action(raw, droplet, name) for raw in await account.api.actions(droplet)]


def _action(raw: Json, droplet: int, name: str) -> AccountEvent:
    fields = Fields(f"listing actions of droplet {droplet}", raw)
    ended = fields.moment("completed_at") if fields.has("completed_at") else None
    return AccountEvent(
        droplet,
        name,
        fields.text("type"),
        fields.text("status"),
        fields.moment("started_at"),
        ended,
    )


async def _history(account: SharedAccount, pool_id: str) -> list[AccountEvent]:
    return [_pool_event(raw) for raw in await account.api.history(pool_id)]


def _pool_event(raw: Json) -> AccountEvent:
    fields = Fields("listing the history of the pool", raw)
    why = fields.text("reason") if fields.has("reason") else ""
    before = (
        fields.whole("current_instance_count") if fields.has("current_instance_count") else None
    )
    after = fields.whole("desired_instance_count") if fields.has("desired_instance_count") else None
    kind = "scales" if before is None or after is None else f"scales from {before} to {after}"
    if fields.has("error_reason") and (error := fields.text("error_reason")):
        why = f"{why}: {error}" if why else error
    return AccountEvent(
        0, "pool", kind, fields.text("status"), fields.moment("created_at"), None, why
    )
