"""Stable pseudonyms: the same id or name is the same pseudonym within one recording. Pure.

What is remembered is a digest under a random key, which is stored nowhere: no pseudonym can be
turned back, not by trying names either. The parts of a cluster whose stack is known are named
after their role, so that a story stays readable: "master-1", "media-3".
"""

import hashlib
import re
import secrets
from collections.abc import Mapping

# What the deployment's Terraform names its parts, after `STACK-`, and their pseudonyms.
ROLES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"master-node-([1-9])"), r"master-\1"),
    (re.compile(r"master-node"), "master"),
    (re.compile(r"vm-ce(?:-pro)?"), "single-node"),
    (re.compile(r"media-node-pool"), "media"),
    (re.compile(r"media-node-tag"), "media-tag"),
    (re.compile(r"master-node-tag"), "master-tag"),
    (re.compile(r"draining"), "draining"),
    (re.compile(r"autoscaler"), "autoscaler"),
    (re.compile(r"autoscale-cron"), "autoscale-cron"),
    (re.compile(r"lb"), "balancer"),
)
MEDIA = re.compile(r"media(?:-.*)?")
# Names that are the same in every deployment.
VENDORS = frozenset({"openvidu", "master-node", "media-node", "autoscaler/check"})
FIRST_NUMBER = 1001
MOST = 50_000


class Pseudonyms:
    """The pseudonyms of one recording. `stacks`: known stacks and what precedes their roles."""

    def __init__(self, stacks: Mapping[str, str] | None = None, key: bytes = b"") -> None:
        self._stacks = dict(stacks or {})
        self._key = key or secrets.token_bytes(32)
        self._numbers: dict[bytes, int] = {}
        self._counts: dict[str, int] = {}

    def id(self, kind: str, value: int | str) -> int | str:
        """Return the pseudonym of an id, of the same JSON type."""
        if value == "":
            return value
        number = self._number("id:" + _shared(kind), str(value), FIRST_NUMBER)
        if isinstance(value, int):
            return number
        return str(number) if value.isdigit() else f"{kind}-{number}"

    def name(self, kind: str, value: str) -> str:
        """Return the pseudonym of a name: its role in a known cluster, else kind and number."""
        if value == "" or value in VENDORS:
            return value
        for stack, before in self._stacks.items():
            if value == stack:
                return f"{before}cluster"
            if value.startswith(f"{stack}-"):
                return before + self._role(kind, value, value[len(stack) + 1 :])
        return f"{kind}-{self._number(kind, value, 1)}"

    def _role(self, kind: str, value: str, rest: str) -> str:
        for pattern, role in ROLES:
            if found := pattern.fullmatch(rest):
                return found.expand(role)
        if kind == "droplet" and MEDIA.fullmatch(rest):
            return f"media-{self._number('media', value, 1)}"
        return f"{kind}-{self._number(kind, value, 1)}"

    def _number(self, kind: str, value: str, first: int) -> int:
        digest = hashlib.blake2b(f"{kind} {value}".encode(), key=self._key, digest_size=16).digest()
        if digest not in self._numbers:
            if len(self._numbers) >= MOST:
                return 0
            self._counts[kind] = self._counts.get(kind, first - 1) + 1
            self._numbers[digest] = self._counts[kind]
        return self._numbers[digest]


def _shared(kind: str) -> str:
    """Return the kind whose numbers it shares: a resource may be a droplet."""
    return "droplet" if kind == "resource" else kind
