"""What every probe works with: the account, the tag, the clock, and waits with a deadline."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bot.probe.estimate import ProbeEstimate
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.clients.throwaway import ThrowawayWrites
from services.cloud.secrets_bucket import ObjectStore
from services.common.clock import Clock
from services.common.errors import Rejected, Unreachable

Json = dict[str, Any]
T = TypeVar("T")
PREFIX = "openvidu-bot-probe-"
OBJECTS = "openvidu-bot/probe/"  # in a bucket; the tag follows
IMAGE = "ubuntu-24-04-x64"
POLL = 10.0  # seconds between two looks
LOST_SECONDS = 60.0  # how long a creation without an answer is looked for
SILENT = 60.0  # seconds without an answer after which what was not seen is not known


class NotKnown(Exception):
    """A question has no answer; the message is the reason."""


class TooManyDroplets(NotKnown):
    """There are more droplets than announced: nothing more is begun."""


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class ProbeAnswer:
    """The answer to one fact; "" with the reason in `text` where it is not known."""

    fact: str
    answer: str
    text: str


@dataclass
class ProbeRun:
    """One probe that is under way. `tried`: the client of the token whose scopes are tried."""

    api: DigitalOceanClient
    clock: Clock
    tag: str
    estimate: ProbeEstimate
    ssh_key: str
    ends_at: float
    say: Callable[[str], None]
    tried: DigitalOceanClient | None = None
    bucket: ObjectStore | None = None
    # Called before a functions namespace is created, so that it is looked for afterwards.
    note_namespace: Callable[[], Awaitable[None]] = _nothing
    # Whether a creation got no answer, so that what it creates may show late.
    lost: bool = False
    # How long nothing was answered before the last value that `until` returned.
    unseen: float = 0.0
    # Every droplet of this probe that was seen.
    droplets: set[int] = field(default_factory=set)

    @property
    def writes(self) -> ThrowawayWrites:
        """Requests that change something, under the probe's token."""
        return ThrowawayWrites(self.api)

    @contextlib.contextmanager
    def creating(self) -> Iterator[None]:
        """Note a creation that got no answer."""
        try:
            yield
        except Unreachable as error:
            self.lost = self.lost or error.sent is not False
            raise

    def template(self) -> Json:
        """Return what a droplet of the smallest size is made from."""
        if not self.ssh_key:
            raise NotKnown("the account has no SSH key, which a pool requires: add one, try again")
        assert self.estimate.sizes is not None, "there is a size where droplets are needed"
        return {
            "region": self.estimate.region,
            "size": self.estimate.sizes.small.slug,
            "image": IMAGE,
            "ssh_keys": [self.ssh_key],
            "tags": [self.tag],
        }

    def saw(self, droplets: set[int]) -> None:
        """Note droplets of this probe. TooManyDroplets when there are more than announced."""
        self.droplets |= droplets
        if len(self.droplets) > self.estimate.droplets:
            raise TooManyDroplets("there are more droplets than announced: ended for their cost")

    async def pause(self, seconds: float) -> None:
        """Wait for so long. NotKnown where the probe would have ended by then."""
        if self.clock.now() + seconds > self.ends_at:
            raise NotKnown("the time of the probe was up")
        await self.clock.sleep(seconds)

    async def until(self, seconds: float, look: Callable[[], Awaitable[T | None]]) -> T | None:
        """Look again and again; return the first value that is not None. None: time was up.

        A look that gets no answer is repeated. NotKnown where none was answered lately: what
        happened then was not seen.
        """
        answered = self.clock.now()
        deadline = min(answered + seconds, self.ends_at)
        while True:
            try:
                value = await look()
            except Unreachable:
                value = None
            else:
                self.unseen = self.clock.now() - answered
                answered = self.clock.now()
            if value is not None:
                return value
            left = deadline - self.clock.now()
            if left <= 0:
                must_be_seen(self.clock.now() - answered)
                return None
            await self.clock.sleep(min(POLL, left))


def must_be_seen(seconds: float) -> None:
    """Raise NotKnown if so long without an answer hides when something happened, or whether."""
    if seconds > SILENT:
        raise NotKnown(f"DigitalOcean did not answer for {seconds:.0f} s, so it was not seen")


def is_no(error: Rejected) -> bool:
    """Return whether this is a no to what was requested, and not to the token."""
    return error.status in (400, 409, 412, 422)
