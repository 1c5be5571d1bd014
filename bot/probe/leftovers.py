"""Finds what probes left behind, by name and tag, and deletes it.

Only what begins with a probe's prefix is ever deleted, each thing by its own id: there is no
deletion by tag here.
"""

import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from bot.probe.session import OBJECTS, POLL, PREFIX, Json
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.clients.throwaway import ThrowawayWrites, tags
from services.cloud.secrets_bucket import ObjectStore
from services.common.clock import Clock
from services.common.errors import (
    BotError,
    Forbidden,
    NotFound,
    Refused,
    Rejected,
    Unreachable,
)

TAG = re.compile(rf"({PREFIX}[0-9a-f]{{8}})(?![0-9a-f])")
WITHIN = 600.0  # seconds for deleting everything
CALM = 2  # looks that must find nothing, one after the other


@dataclass(frozen=True)
class Leftover:
    """One thing that a probe created. `kind`: pool, droplet, namespace, tag or object."""

    kind: str
    id: str
    name: str
    tag: str

    @property
    def text(self) -> str:
        """What it is, for people."""
        if self.kind == "namespace":
            return f"functions namespace {self.name}"
        return f"{self.kind} {self.name}"


def tag_of(*names: object) -> str:
    """Return the tag of the probe that one of these names belongs to; "" if it is none's."""
    for name in names:
        if found := TAG.match(str(name or "")):
            return found[1]
    return ""


def pools_in(pools: Iterable[Json]) -> list[Leftover]:
    """Return the pools of probes."""
    return [
        Leftover("pool", str(pool["id"]), str(pool["name"]), tag)
        for pool in pools
        if (tag := tag_of(pool.get("name")))
    ]


def droplets_in(droplets: Iterable[Json]) -> list[Leftover]:
    """Return the droplets of probes, by tag or by name: a token may see no tags."""
    return [
        Leftover("droplet", str(droplet["id"]), str(droplet.get("name")), tag)
        for droplet in droplets
        if (tag := tag_of(*(droplet.get("tags") or ()), droplet.get("name")))
    ]


class ProbeCleaner:
    """Finds and deletes what probes left. `wanted`: which tags may be deleted."""

    def __init__(
        self,
        api: DigitalOceanClient,
        clock: Clock,
        buckets: Iterable[ObjectStore] = (),
        wanted: Callable[[str], bool] = lambda _tag: True,
    ) -> None:
        self._api = api
        self._clock = clock
        self._buckets = tuple(buckets)
        self._wanted = wanted
        self._writes = ThrowawayWrites(api)

    async def find(self) -> list[Leftover]:
        """Return everything that is left, pools first."""
        found = pools_in(await self._api.pools())
        found += droplets_in(await self._api.droplets())
        found += await self._namespaces()
        found += [
            Leftover("tag", name, name, tag)
            for name in await tags(self._api.requests)
            if (tag := tag_of(name))
        ]
        found += await self._objects()
        return [leftover for leftover in found if self._wanted(leftover.tag)]

    async def _namespaces(self) -> list[Leftover]:
        try:
            namespaces = await self._api.namespaces()
        except Forbidden:
            return []  # a token without function:read has created none
        return [
            Leftover("namespace", str(n["namespace"]), str(n["label"]), tag)
            for n in namespaces
            if (tag := tag_of(n["label"]))
        ]

    async def _objects(self) -> list[Leftover]:
        return [
            Leftover("object", f"{number}", stored.key, tag)
            for number, bucket in enumerate(self._buckets)
            for stored in await bucket.list(OBJECTS)
            if (tag := tag_of(stored.key.removeprefix(OBJECTS)))
        ]

    async def clean(self, deleted: Callable[[Leftover], None] = lambda _: None) -> list[Leftover]:
        """Delete everything that is left; return what still is when the time is up.

        What a lost request created may show late, so nothing must be found twice.
        """
        deadline = self._clock.now() + WITHIN
        reported: set[Leftover] = set()
        calm = 0
        left: list[Leftover] = []
        while calm < CALM:
            try:
                left = await self.find()
                await self._delete(left)
            except Unreachable:
                if self._clock.now() >= deadline:
                    raise
            else:
                calm = 0 if left else calm + 1
            for leftover in left:
                if leftover not in reported:
                    reported.add(leftover)
                    deleted(leftover)
            if self._clock.now() >= deadline and left:
                break
            await self._clock.sleep(POLL if left else POLL / 2)
        return left

    async def _delete(self, left: list[Leftover]) -> None:
        """Delete what can be deleted now.

        A pool first: it would replace its droplets. A tag last: by it the rest is found.
        """
        pools = {leftover.tag for leftover in left if leftover.kind == "pool"}
        busy = {leftover.tag for leftover in left if leftover.kind in ("pool", "droplet")}
        for leftover in left:
            if leftover.kind == "droplet" and leftover.tag in pools:
                continue
            if leftover.kind == "tag" and leftover.tag in busy:
                continue
            await self._delete_one(leftover)

    async def _delete_one(self, leftover: Leftover) -> None:
        assert tag_of(leftover.name.removeprefix(OBJECTS)) or leftover.kind == "droplet"
        try:
            match leftover.kind:
                case "pool":
                    await self._writes.delete_pool_with_droplets(leftover.id)
                case "droplet":
                    await self._writes.delete_droplet(int(leftover.id))
                case "namespace":
                    await self._writes.delete_namespace(leftover.id)
                case "tag":
                    await self._writes.delete_tag(leftover.id)
                case "object":
                    await self._buckets[int(leftover.id)].delete(leftover.name)
        except NotFound:
            return
        except Forbidden:
            raise
        except Rejected:
            return  # it is being created or deleted: the next look shows it again


async def check_deletes(api: DigitalOceanClient, tag: str) -> None:
    """Refuse a token that may create droplets and pools, but not delete them.

    By deleting what does not exist: nothing has the tag of a probe that has not begun.
    """
    writes = ThrowawayWrites(api)
    for delete in (
        partial(writes.delete_pool_with_droplets, str(uuid.uuid4())),
        partial(writes.delete_tag, tag),
    ):
        try:
            await delete()
        except NotFound:
            continue
        except Forbidden as error:
            raise Refused(f"{error}, so nothing was created: it could not be deleted") from None


def cannot_clean(error: BotError) -> str:
    """Return why leftovers could not be looked for or deleted."""
    return f"{error}. Delete what begins with {PREFIX} at DigitalOcean, or run this again"
