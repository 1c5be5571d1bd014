"""The interface of the state store: a few reads, and one atomic write with conditions.

Locks, leases, fenced journal entries, single-use approvals and the drain ledger are all the same
operation: "write this if that still holds". One primitive, with two adapters that pass one contract
test suite, is easier to trust than a script for each.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.common.errors import Unreachable


def new_id() -> str:
    """Return a random id that is unique."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Commit:
    """An atomic write: all of it, or nothing.

    `checks`: the exact text that each key must hold now; None: must be absent. `puts`: keys to
    write; None deletes. `ttl`: seconds after which a key of `puts` expires. `drops`: logs to
    delete. `cuts`: by log, how many of its oldest entries to remove; positions then count from the
    first that is left. `appends`: (log, entry) pairs, applied last. `id`: a commit sent twice takes
    effect once, as clients resend after a lost reply.
    """

    checks: Mapping[str, str | None] = field(default_factory=dict)
    puts: Mapping[str, str | None] = field(default_factory=dict)
    ttl: Mapping[str, float] = field(default_factory=dict)
    appends: Sequence[tuple[str, str]] = ()
    id: str = field(default_factory=new_id)
    drops: Sequence[str] = ()
    cuts: Mapping[str, int] = field(default_factory=dict)


class Unfit(Unreachable):
    """What answers can never be the state store: the text says what it is, and what to set."""


class Store(Protocol):
    """A state store. Each method raises Unreachable, and nothing else, if it cannot be reached."""

    async def get(self, *keys: str) -> list[str | None]:
        """Return the texts under these keys, in order; None for an absent key."""

    async def commit(self, commit: Commit) -> bool:
        """Return True if all was written, False if a check failed and nothing was written."""

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        """Return entries of a log from position `start` (0 is the oldest)."""

    async def tail(self, log: str, count: int) -> list[str]:
        """Return the newest entries, the oldest of them first."""

    async def length(self, log: str) -> int:
        """Return the number of entries of a log."""

    async def names(self, start: str) -> list[str]:
        """Return the keys that begin with `start`, in no order.

        Scans the whole store: for periodic work, never on a request path.
        """

    async def logs(self, start: str) -> list[str]:
        """Return the logs that begin with `start`, as `names` does."""

    async def tidy(self) -> None:
        """Remove expired keys, where the store does not do so itself."""

    async def aclose(self) -> None:
        """Close connections and files."""
