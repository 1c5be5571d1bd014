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
OUTAGE = 3600.0  # seconds of an outage that do not count: what is there costs money
LATE = 300.0  # seconds within which a lost request may create something
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
    """Return the droplets of probes: by name, or where a tag of a probe is all it has.

    A droplet with another name and more tags belongs to someone else, also with that tag.
    """
    return [
        Leftover("droplet", str(droplet["id"]), str(droplet.get("name")), tag)
        for droplet in droplets
        if (tag := tag_of(droplet.get("name")) or _only_tag(droplet.get("tags") or ()))
    ]


def _only_tag(tags_of_one: Iterable[str]) -> str:
    found = {tag_of(tag) for tag in tags_of_one}
    return found.pop() if len(found) == 1 else ""


class ProbeCleaner:
    """Finds and deletes what probes left. `wanted`: which tags may be deleted.

    `namespaces`: whether one may be left. Where none can, a token that sees none is enough.
    """

    def __init__(
        self,
        api: DigitalOceanClient,
        clock: Clock,
        buckets: Iterable[ObjectStore] = (),
        wanted: Callable[[str], bool] = lambda _tag: True,
        *,
        namespaces: bool = False,
    ) -> None:
        self._api = api
        self._clock = clock
        self._buckets = tuple(buckets)
        self._wanted = wanted
        self._writes = ThrowawayWrites(api)
        self._must_see_namespaces = namespaces

    async def find(self) -> list[Leftover]:
        """Return everything that is left, pools first."""
        found, trouble = await self._look()
        for error in trouble.values():
            raise error
        return found

    async def _look(self) -> tuple[list[Leftover], dict[str, BotError]]:
        """Return what is left, and by kind why it could not be looked for."""
        found: list[Leftover] = []
        trouble: dict[str, BotError] = {}
        for kind, look in (
            ("pool", self._pools),
            ("droplet", self._droplets),
            ("namespace", self._namespaces),
            ("tag", self._tags),
            ("object", self._objects),
        ):
            try:
                found += await look()
            except BotError as error:
                trouble[kind] = error
        return [leftover for leftover in found if self._wanted(leftover.tag)], trouble

    async def _pools(self) -> list[Leftover]:
        return pools_in(await self._api.pools())

    async def _droplets(self) -> list[Leftover]:
        return droplets_in(await self._api.droplets())

    async def _tags(self) -> list[Leftover]:
        names = await tags(self._api.requests)
        return [Leftover("tag", name, name, tag) for name in names if (tag := tag_of(name))]

    async def _namespaces(self) -> list[Leftover]:
        try:
            namespaces = await self._api.namespaces()
        except Forbidden:
            if self._must_see_namespaces:
                raise
            return []
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

    async def clean(
        self, deleted: Callable[[Leftover], None] = lambda _: None, *, lost: bool = False
    ) -> list[Leftover]:
        """Delete everything that is left; return what still is when the time is up.

        What a lost request created may show late, so nothing must be found twice. What one kind
        of thing has for trouble keeps no other from being deleted; it is raised in the end. `lost`:
        whether a creation got no answer.
        """
        began = self._clock.now()
        deadline = began + WITHIN
        reported: set[Leftover] = set()
        calm = 0
        while calm < CALM or (lost and self._clock.now() < began + LATE):
            left, trouble = await self._look()
            stuck = await self._delete(left, frozenset(trouble))
            errors = [*trouble.values(), *stuck.values()]
            for leftover in left:
                if leftover not in reported:
                    reported.add(leftover)
                    deleted(leftover)
            # A tag stays while what carries it does.
            busy = [one for one in left if one not in stuck and not (stuck and one.kind == "tag")]
            busy_api = any(isinstance(error, Unreachable) for error in errors)
            calm = 0 if busy or busy_api else calm + 1
            if busy_api and self._clock.now() < began + OUTAGE:
                deadline = self._clock.now() + WITHIN
            if self._clock.now() >= deadline and (left or errors):
                break
            await self._clock.sleep(POLL if left else POLL / 2)
        for error in errors:
            raise error
        return left

    async def _delete(
        self, left: list[Leftover], unseen: frozenset[str]
    ) -> dict[Leftover, BotError]:
        """Delete what can be deleted now; return what could not, and why.

        A pool first: it would replace its droplets. A tag last: by it the rest is found. `unseen`:
        the kinds that could not be looked for.
        """
        pools = {leftover.tag for leftover in left if leftover.kind == "pool"}
        busy = {leftover.tag for leftover in left if leftover.kind in ("pool", "droplet")}
        stuck: dict[Leftover, BotError] = {}
        for leftover in left:
            if leftover.kind == "droplet" and (leftover.tag in pools or "pool" in unseen):
                continue
            if leftover.kind == "tag" and (leftover.tag in busy or unseen & {"pool", "droplet"}):
                continue
            try:
                await self._delete_one(leftover)
            except BotError as error:
                stuck[leftover] = error
        return stuck

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
