"""Looks for what a stack pays for and does not use, and deletes what is named, after a last look.

Volumes are of a stack by name or tag. Reserved IPs have neither: they are of the stack whose
droplet they were seen with, which the state store knows, so every unassigned one is shown here.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from services.billing.prices import droplet_per_day
from services.cloud.clients.digitalocean import ApiRequests, DigitalOceanClient, DigitalOceanWrites
from services.cloud.fields import Fields
from services.cloud.parse import droplet_entry
from services.cluster.fleet_kind import ResourceNames
from services.cluster.leftovers import RESERVED_IP, VOLUME_GB, Leftover, LeftoversSeen, per_day
from services.cluster.model import Droplet, FleetKind, MediaNode
from services.common.errors import BotError, NotFound, Refused

Json = dict[str, Any]
CHANGED = "{what} is not what was shown: {why}. Nothing of it was deleted"


class LeftoverSurvey:
    """Looks at the volumes, reserved IPs and stray droplets of one stack."""

    def __init__(self, stack: str, api: DigitalOceanClient) -> None:
        self._names = ResourceNames(stack)
        self._api = api

    async def look(
        self, masters: Sequence[Droplet], media: Sequence[MediaNode], kind: FleetKind, problem: str
    ) -> LeftoversSeen:
        """Look now. `problem`: why it is not known which droplets belong to the fleet."""
        things: list[Leftover] = []
        unread: list[tuple[str, str]] = []
        if problem:
            unread.append(("droplet", problem))
        else:
            things += strays(media, kind)
        ours = {d.id: d.name for d in (*masters, *(n.droplet for n in media))}
        for name, read in (("volume", self._volumes), ("ip", self._addresses)):
            try:
                things += await read(ours)
            except BotError as why:
                unread.append((name, str(why)))
        return LeftoversSeen(tuple(things), tuple(unread))

    async def _volumes(self, ours: dict[int, str]) -> list[Leftover]:
        found = []
        for raw in await volumes(self._api.requests):
            volume, users, tags = volume_of(raw)
            is_named = volume.name.startswith(f"{self._names.stack}-")
            if is_named or set(tags) & self._tags() or any(user in ours for user in users):
                found.append(volume)
        return found

    def _tags(self) -> set[str]:
        stack = self._names.stack
        return {self._names.media_tag, self._names.draining_tag, f"{stack}-master-node-tag", stack}

    async def _addresses(self, ours: dict[int, str]) -> list[Leftover]:
        read = [address_of(raw) for raw in await reserved_ips(self._api.requests)]
        return [address for address, user in read if not address.used_by or user in ours]


def strays(media: Sequence[MediaNode], kind: FleetKind) -> list[Leftover]:
    """Return the media droplets that nothing keeps.

    In a pool: no members. Of an autoscaler: those without the tag by which it knows its own.
    """
    found = []
    for node in media:
        is_orphan = kind is FleetKind.AUTOSCALER and not node.has_media_tag
        if (node.member_status is None or is_orphan) and node.member_status != "deleting":
            found.append(droplet_of(node.droplet))
    return found


def droplet_of(droplet: Droplet) -> Leftover:
    """Return a stray droplet."""
    return Leftover(
        "droplet",
        str(droplet.id),
        droplet.name,
        droplet.created_at,
        droplet.size,
        droplet_per_day(droplet),
    )


def volume_of(raw: Json) -> tuple[Leftover, tuple[int, ...], tuple[str, ...]]:
    """Parse a volume: also the droplets that it is attached to, and its tags."""
    fields = Fields("listing volumes", raw)
    size = fields.amount("size_gigabytes", "0.01")
    users = raw.get("droplet_ids")
    if not isinstance(users, list) or not all(isinstance(user, int) for user in users):
        raise fields.unreadable("droplet_ids")
    tags = fields.texts("tags") if raw.get("tags") else ()
    volume = Leftover(
        "volume",
        fields.identity("id"),
        fields.name("name"),
        fields.text("created_at"),
        f"{int(size)} GB",
        per_day(size * VOLUME_GB),
        ", ".join(f"droplet {user}" for user in users),
    )
    return volume, tuple(users), tags


def address_of(raw: Json) -> tuple[Leftover, int]:
    """Parse a reserved IP, and the id of the droplet that has it; 0: none has."""
    fields = Fields("listing reserved IPs", raw)
    ip = fields.name("ip")
    if "droplet" not in raw:
        raise fields.unreadable("droplet")
    droplet = raw["droplet"]
    if droplet is None:
        return Leftover("ip", ip, ip, daily=per_day(RESERVED_IP)), 0
    user = fields.inner("droplet").whole("id", least=1)
    return Leftover("ip", ip, ip, daily=Decimal(0), used_by=f"droplet {user}"), user


async def volumes(requests: ApiRequests) -> list[Json]:
    """List the volumes of the account."""
    what = "listing volumes"
    return await requests.list("volumes", what, "block_storage:read", lambda a: a.volumes.list)


async def reserved_ips(requests: ApiRequests) -> list[Json]:
    """List the reserved IPs of the account."""
    what = "listing reserved IPs"
    return await requests.list(
        "reserved_ips", what, "reserved_ip:read", lambda a: a.reserved_ips.list
    )


class LeftoverWrites(DigitalOceanWrites):
    """Deletes single unused resources. `check` is called right before each request."""

    def __init__(self, client: DigitalOceanClient, check: Callable[[], None]) -> None:
        super().__init__(client.requests, check)
        self._api = client

    async def delete(self, shown: Leftover) -> None:
        """Delete it if it still is what was shown, by a look of this moment; else Refused."""
        with suppress(NotFound):
            now = await self._now(shown)
            if now.used_by:
                raise Refused(CHANGED.format(what=shown.text, why=f"{now.used_by} uses it"))
            if now.text != shown.text:
                raise Refused(CHANGED.format(what=shown.text, why=f"it is {now.text}"))
            await self._delete(shown)

    async def _now(self, shown: Leftover) -> Leftover:
        requests, of = self._api.requests, f"reading {shown.kind} {shown.id}"
        if shown.kind == "droplet":
            raw = await requests.one(
                "droplet", of, "droplet:read", lambda a: a.droplets.get(int(shown.id))
            )
            return droplet_of(droplet_entry(raw).droplet)
        if shown.kind == "volume":
            raw = await requests.one(
                "volume", of, "block_storage:read", lambda a: a.volumes.get(shown.id)
            )
            return volume_of(raw)[0]
        raw = await requests.one(
            "reserved_ip", of, "reserved_ip:read", lambda a: a.reserved_ips.get(shown.id)
        )
        return address_of(raw)[0]

    async def _delete(self, thing: Leftover) -> None:
        what = f"deleting {thing.text}"
        if thing.kind == "droplet":
            await self.delete_droplet(int(thing.id))
        elif thing.kind == "volume":
            scope = "block_storage:delete"
            await self._send(what, scope, lambda a: a.volumes.delete(thing.id))
        else:
            scope = "reserved_ip:delete"
            await self._send(what, scope, lambda a: a.reserved_ips.delete(thing.id))
