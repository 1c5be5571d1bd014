"""Detects the type of a cluster's media fleet from names, tags and listings. Pure."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from services.cluster.model import FleetKind
from services.common.text import join_words

FUNCTION_READ = "function:read"


OF_STACK = re.compile(
    r"(.+)(-master-node(-[1-4])?|-vm-ce(-pro)?|-media-node-[1-9]\d*|-media-\d{10,}-\d{4})"
)


def stack_of(name: str) -> str:
    """Return the stack whose master or media node has this name; "" for any other name."""
    found = OF_STACK.fullmatch(name)
    return "" if found is None else found[1]


@dataclass(frozen=True)
class ResourceNames:
    """Names that the vendor's Terraform gives to the resources of a stack.

    Compared exactly: stacks `acme` and `acme-media` can exist side by side.
    """

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
        """Return whether it is a master of any deployment, or the droplet of a Single Node."""
        return (
            self.is_numbered_master(name) or self.is_only_master(name) or self.is_single_node(name)
        )

    def is_numbered_master(self, name: str) -> bool:
        """Return whether it is one of High Availability's four masters."""
        return self._is(name, r"-master-node-[1-4]")

    def is_only_master(self, name: str) -> bool:
        """Return whether it is Elastic's master."""
        return name == f"{self.stack}-master-node"

    def is_single_node(self, name: str) -> bool:
        """Return whether it is the droplet of a Single Node, PRO or COMMUNITY."""
        return name in (f"{self.stack}-vm-ce-pro", f"{self.stack}-vm-ce")

    def is_fixed(self, name: str) -> bool:
        """Return whether Terraform creates a media node of this name directly."""
        return self._is(name, r"-media-node-[1-9]\d*")

    def is_autoscaled(self, name: str) -> bool:
        """Return whether the autoscaler creates it: epoch seconds and four random digits."""
        return self._is(name, r"-media-\d{10,}-\d{4}")

    def is_media(self, name: str, tags: Collection[str]) -> bool:
        """Return whether it is a media node, by tag or name: an untagged node may still serve."""
        return (
            self.media_tag in tags
            or self.draining_tag in tags
            or self.is_fixed(name)
            or self.is_autoscaled(name)
        )

    def may_own(self, name: str | None, tags: Collection[str] | None) -> bool:
        """Return whether a droplet may belong to the stack; None: not readable, so it may."""
        if name is None or tags is None:
            return True
        return self.is_master(name) or self.is_media(name, tags) or name.startswith(f"{self.pool}-")

    def _is(self, name: str, rest: str) -> bool:
        # Most droplets of an account belong to other stacks.
        stack = self.stack
        return name.startswith(stack) and _pattern(rest).fullmatch(name[len(stack) :]) is not None


@lru_cache(maxsize=256)
def _pattern(rest: str) -> re.Pattern[str]:
    return re.compile(rest)


@dataclass(frozen=True)
class Evidence:
    """The resources of a stack that were found. None: unreadable, which is not absent.

    `tag`: the draining tag, looked up only where nothing else was found.
    """

    pools: int
    namespace: bool | None
    fixed: int
    autoscaled: int
    tag: bool | None = None
    # The droplet of a Single Node; "": there is none.
    single: str = ""
    # Droplets with a tag of the stack's media nodes and a name of neither kind.
    tagged: int = 0


def detect_fleet(names: ResourceNames, signs: Evidence) -> tuple[FleetKind, str]:
    """Return the fleet type, and why nothing may be changed; "" if it may."""
    possible = (
        (f"the Single Node droplet {signs.single}", signs.single),
        (f"the autoscale pool {names.pool}", signs.pools),
        (f"the autoscaler {names.namespace}", signs.namespace),
        (f"fixed media nodes such as {names.stack}-media-node-1", signs.fixed),
    )
    found = [text for text, present in possible if present]
    if len(found) > 1:
        return FleetKind.MIXED, _mixed(names, found)
    if signs.single and (signs.autoscaled or signs.tagged):
        return FleetKind.MIXED, _mixed(names, [*found, "media nodes"])
    if signs.single:
        # A token that may not read functions is enough: an autoscaler shows by its nodes.
        return FleetKind.CO_LOCATED, ""
    if signs.pools and signs.autoscaled:
        # So a token that may not read functions is enough: an autoscaler shows by its nodes.
        return FleetKind.MIXED, _mixed(names, [*found, "nodes of an autoscaler"])
    if signs.pools:
        return FleetKind.POOL, ""
    if signs.namespace:
        return FleetKind.AUTOSCALER, ""
    if signs.namespace is None:
        return FleetKind.UNKNOWN, (
            f"the DigitalOcean token may not read functions (it lacks {FUNCTION_READ}), "
            f"so the media fleet of {names.stack} is unknown. Nothing is changed until then"
        )
    if signs.autoscaled:
        return FleetKind.UNKNOWN, (
            f"{names.stack} has media nodes created by an autoscaler, "
            f"but no functions namespace labelled {names.namespace} is visible. "
            "It was removed, or this token does not see it "
            "(only the user who created a namespace sees it)"
        )
    if signs.fixed:
        return FleetKind.FIXED, ""
    if signs.tag:
        return FleetKind.NONE, ""
    return FleetKind.UNKNOWN, (
        f"no media fleet is visible: no autoscale pool named {names.pool} "
        f"(OpenVidu 3.6), no functions namespace labelled {names.namespace}, no droplet "
        f"{names.stack}-media-node-1 (3.7 and later), no tag {names.draining_tag}. "
        f"Check that {names.stack} is the stack's name"
    )


def _mixed(names: ResourceNames, found: list[str]) -> str:
    return (
        f"{names.stack} has {join_words(found)} at the same time: "
        "an apply is in progress, or was interrupted. Finish it (read its plan first). "
        "Until then nothing is changed, because each fleet would undo the other's changes"
    )
