"""Edits of an autoscale pool: GET, change one field, PUT the rest back as it was read, verify."""

from typing import Any

from services.cloud.clients.digitalocean import DigitalOceanWrites
from services.cloud.listings import SharedAccount
from services.cloud.parse import pool_of, template_digest
from services.cluster.model import Pool
from services.common.errors import Refused, Rejected, Unreachable

Json = dict[str, Any]
RETRY_SECONDS = 10.0


class PoolEditor:
    """Edits pools of one account."""

    def __init__(self, account: SharedAccount, writes: DigitalOceanWrites) -> None:
        self._account = account
        self._writes = writes

    async def set_target(self, seen: Pool, number: int) -> None:
        """Set the pool's number and nothing else. `seen`: the pool as the last look showed it.

        Refused when the pool has changed since then. Unreachable while it is not active.
        """
        before = await self._account.pool(seen.id)
        if _read(seen, before).target == number:
            # An earlier request took effect without an answer, or another client did the same.
            return
        await self._put(seen, before, {"target_number_instances": number}, {})

    async def set_size(self, seen: Pool, size: str) -> None:
        """Set the droplet size in the template and nothing else, in the same way."""
        before = await self._account.pool(seen.id)
        if _read(seen, before).size == size:
            return
        await self._put(seen, before, {}, {"size": size})

    async def _put(self, seen: Pool, before: Json, config: Json, template: Json) -> None:
        """Write the pool as it was read, with these fields of config and template changed."""
        _raise_if_changed(seen, before)
        wanted = {**before["droplet_template"], **template}
        body = {
            "name": before["name"],
            "config": {**(before.get("config") or {}), **config},
            "droplet_template": wanted,
        }
        await self._writes.put_pool(seen.id, body)
        after = await self._account.pool(seen.id)
        if _read(seen, after).template != template_digest(wanted):
            raise Rejected(
                f"the template of {seen.name} is not as written after the edit. "
                "Check it before any other change"
            )


def _raise_if_changed(seen: Pool, before: Json) -> None:
    now = _read(seen, before)
    if now.template != seen.template:
        raise Refused(
            f"the template of {seen.name} was changed outside the bot a moment ago. "
            "Check it before changing it"
        )
    if now.target != seen.target:
        raise Refused(
            f"{seen.name} was just set to {now.target} outside the bot. Check it before changing it"
        )
    if now.state:
        raise Unreachable(
            f"{seen.name} was not changed: {now.state}", again_in=RETRY_SECONDS, sent=False
        )
    if not before["droplet_template"].get("user_data"):
        raise Refused(
            f"DigitalOcean did not return the user_data of {seen.name}; "
            "without it new nodes would not install OpenVidu"
        )


def _read(seen: Pool, raw: Json) -> Pool:
    """Return what a pool that was seen before is now."""
    now = pool_of(raw, f"reading autoscale pool {seen.id}")
    if now is None:
        raise Refused(f"{seen.name} is no longer of fixed size. Check it before changing it")
    return now
