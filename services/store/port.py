"""What the bot asks of the place where its state lives: four reads, and one atomic write with conditions.

Claims, leases, fenced journal entries, single-use approvals and the drain ledger are all the same thing: "write this if that is
still so". One primitive, kept by two adapters and held to by one contract suite, is easier to trust than a script for each.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.common.errors import Unreachable


def new_id() -> str:
    """A name nobody else has."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Commit:
    """Write all of it, or nothing.

    `checks`: keys that must hold exactly this text now; None: must be absent. `puts`: keys to write; None deletes. `ttl`: seconds after
    which a key of `puts` is gone by itself. `drops`: logs that go whole. `cuts`: how many of a log's oldest entries go; positions count
    from what is left. `appends`: (log, entry) pairs, after that. `id`: the same commit sent twice takes effect once, because clients
    re-send what they got no reply to.
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
    """Unreachable is raised when the state cannot be reached; nothing else is ever raised for that."""

    async def get(self, *keys: str) -> list[str | None]:
        """The texts under these keys, in order; None where there is none."""

    async def commit(self, commit: Commit) -> bool:
        """True: all written. False: a check did not hold and nothing was written."""

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        """Entries of a log from position `start` (0 is the oldest)."""

    async def tail(self, log: str, count: int) -> list[str]:
        """The newest entries, oldest of them first."""

    async def length(self, log: str) -> int:
        """How many entries a log has."""

    async def names(self, start: str) -> list[str]:
        """The keys that begin with this, in no order. Goes through everything there is: for a sweep, never for a request."""

    async def logs(self, start: str) -> list[str]:
        """The logs that begin with this, as `names`."""

    async def tidy(self) -> None:
        """Remove what is over by its time to live, where that does not happen by itself."""

    async def aclose(self) -> None:
        """Let go of connections and files."""
