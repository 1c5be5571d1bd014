"""Which kind of media fleet a cluster has, told from names, tags and listings. Pure."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from services.cluster.model import FleetKind

FUNCTION_READ = "function:read"


@dataclass(frozen=True)
class ResourceNames:
    """What the vendor's Terraform calls things of a stack. Exact: `acme` and `acme-media` can live side by side."""

    stack: str

    @property
    def pool(self) -> str:
        return f"{self.stack}-media-node-pool"

    @property
    def media_tag(self) -> str:
        return f"{self.stack}-media-node-tag"

    @property
    def draining_tag(self) -> str:
        return f"{self.stack}-draining"

    @property
    def namespace(self) -> str:
        return f"{self.stack}-autoscaler"

    @property
    def trigger(self) -> str:
        return f"{self.stack}-autoscale-cron"

    def is_master(self, name: str) -> bool:
        return self._is(name, r"-master-node-[1-4]")

    def is_fixed(self, name: str) -> bool:
        """Made by Terraform, one by one."""
        return self._is(name, r"-media-node-[1-9]\d*")

    def is_autoscaled(self, name: str) -> bool:
        """Made by the function: the second of its birth, and four random digits."""
        return self._is(name, r"-media-\d{10,}-\d{4}")

    def is_media(self, name: str, tags: Collection[str]) -> bool:
        """By any sign: a node without its tag is found by no query, and serves all the same."""
        return (
            self.media_tag in tags
            or self.draining_tag in tags
            or self.is_fixed(name)
            or self.is_autoscaled(name)
        )

    def may_own(self, name: str | None, tags: Collection[str] | None) -> bool:
        """Whether a droplet may be one of the stack's, by what can be read of its name and tags. None: that cannot be read."""
        if name is None or tags is None:
            return True
        return self.is_master(name) or self.is_media(name, tags) or name.startswith(f"{self.pool}-")

    def _is(self, name: str, rest: str) -> bool:
        return re.fullmatch(re.escape(self.stack) + rest, name) is not None


@dataclass(frozen=True)
class Evidence:
    """What was found of a stack. None: it could not be read, which is not the same as absent."""

    pools: int
    namespace: bool | None
    fixed: int
    autoscaled: int
    tag: bool | None = None  # the draining tag, looked for only where nothing else is


def detect_fleet(names: ResourceNames, signs: Evidence) -> tuple[FleetKind, str]:
    """The kind, and why nothing may be changed; "" when nothing speaks against it."""
    found = [
        what
        for what, there in (
            (f"the autoscale pool {names.pool}", signs.pools),
            (f"the autoscaler {names.namespace}", signs.namespace),
            (f"fixed media nodes such as {names.stack}-media-node-1", signs.fixed),
        )
        if there
    ]
    if len(found) > 1:
        return FleetKind.MIXED, _mixed(names, found)
    if signs.pools:
        # A token that may not read functions is enough here: a pool and an autoscaler together show by the nodes of the second.
        return (
            (FleetKind.MIXED, _mixed(names, [*found, "nodes of an autoscaler"]))
            if signs.autoscaled
            else (FleetKind.POOL, "")
        )
    if signs.namespace:
        return FleetKind.AUTOSCALER, ""
    if signs.namespace is None:
        return FleetKind.UNKNOWN, (
            f"this token may not read functions (it lacks {FUNCTION_READ}), so whether an autoscaler keeps the media nodes of "
            f"{names.stack} is unknown, and the bot does not guess"
        )
    if signs.autoscaled:
        return FleetKind.UNKNOWN, (
            f"{names.stack} has media nodes that an autoscaler made, and no functions namespace labelled {names.namespace} is to be seen: "
            "it was removed and left them, or this token does not see it (namespaces show only to the user who made them)"
        )
    if signs.fixed:
        return FleetKind.FIXED, ""
    if signs.tag:
        return FleetKind.NONE, ""
    return FleetKind.UNKNOWN, (
        f"nothing that keeps media nodes is to be seen: no autoscale pool named {names.pool} (OpenVidu 3.6), no functions namespace "
        f"labelled {names.namespace} and no droplet {names.stack}-media-node-1 (3.7 and later), not even the tag {names.draining_tag}. "
        f"Is {names.stack} the stack's name? The bot does not guess"
    )


def _mixed(names: ResourceNames, found: list[str]) -> str:
    there = f"{', '.join(found[:-1])} and {found[-1]}"
    return (
        f"{names.stack} has {there} at the same time: an apply is in progress, or was interrupted. Finish it (read the plan first); until "
        "then nothing is changed here, because each of them would undo the other's work"
    )
