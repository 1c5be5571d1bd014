"""This process's share of one token's requests, and when the next request fits into it.

DigitalOcean allows a token 5,000 requests an hour and 250 a minute, of the bot, Terraform and
people together. The bot keeps to its share by itself, and bots that share a state divide it. So
they are never refused for their own requests, and what they leave is there for the others.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from services.common.clock import Clock
from services.common.errors import Unreachable

PER_MINUTE, PER_HOUR = 250, 5000
# A request is counted there when it arrives: so much later than here, or earlier, than another.
JITTER = 2.0
MINUTE, HOUR = 60.0 + JITTER, 3600.0 + JITTER
SHARE = 0.8
# Of the share, what reads leave for writes: a crowd that looks must not keep one from acting.
FOR_WRITES = 0.15
# In its first minute a process sends at most what its share leaves of DigitalOcean's minute, and at
# least this part of the share: the process before it may have sent a whole share just now.
AT_START = 0.25
# Seconds that a request waits for its turn. A write was decided on what was seen just now: after
# longer, the cluster is looked at again.
READ_WAITS, WRITE_WAITS = 90.0, 10.0
# Of the share of an hour, what is left when looks become rarer, and rare.
PLENTY, FEW = 0.3, 0.1


@dataclass(frozen=True)
class Allowance:
    """How many requests the bot may send in a minute and in an hour."""

    minute: int
    hour: int

    def less(self, part: float) -> "Allowance":
        """Return what is left of it without this part. At least one request."""
        return Allowance(max(1, int(self.minute * (1 - part))), max(1, int(self.hour * (1 - part))))


class RequestPace:
    """Counts the requests of this process, and lets the next one go when it fits."""

    def __init__(self, clock: Clock, share: float = SHARE) -> None:
        self._clock = clock
        self._share = share
        self._limit = PER_HOUR
        # Returns how many processes send with this token: each gets an equal part.
        self._bots: Callable[[], int] = lambda: 1
        self._began = clock.now()
        self._sent: deque[float] = deque()

    def note_limit(self, per_hour: int | None) -> None:
        """Note the hourly limit that an answer named."""
        if per_hour is not None and per_hour > 0:
            self._limit = per_hour

    def divide(self, bots: Callable[[], int]) -> None:
        """Divide the share among as many bots as that returns: together they keep to it."""
        self._bots = bots

    @property
    def allowance(self) -> Allowance:
        """What this process may send."""
        bots = max(1, self._bots())
        part = self._share / bots
        in_minute = part
        if self._clock.now() - self._began < MINUTE:
            in_minute = min(part, max(1 - self._share, self._share * AT_START) / bots)
        return Allowance(max(1, int(PER_MINUTE * in_minute)), max(1, int(self._limit * part)))

    def seconds_between(self, requests: int, part: float) -> float:
        """Return how often so many requests may be sent, to take that part of the allowance."""
        return requests * 3600.0 / (self.allowance.hour * part)

    @property
    def left(self) -> float:
        """Which part of its share of the hour is not used."""
        self._forget()
        return max(0.0, 1.0 - len(self._sent) / self.allowance.hour)

    async def read(self, what: str) -> None:
        """Wait until a read fits, and count it."""
        await self._turn(what, self.allowance.less(FOR_WRITES), READ_WAITS)

    async def write(self, what: str) -> None:
        """Wait until a write fits, and count it."""
        await self._turn(what, self.allowance, WRITE_WAITS)

    async def _turn(self, what: str, allowed: Allowance, patience: float) -> None:
        until = self._clock.now() + patience
        while (wait := self._wait(allowed)) > 0:
            if self._clock.now() + wait > until:
                raise Unreachable(
                    f"{what}: the bot's share of the token's requests is used up for now",
                    again_in=wait,
                    sent=False,
                )
            await self._clock.sleep(wait)
        self._sent.append(self._clock.now())

    def _wait(self, allowed: Allowance) -> float:
        """Return the seconds until one more request fits into minute and hour."""
        self._forget()
        return max(self._until(allowed.minute, MINUTE), self._until(allowed.hour, HOUR))

    def _until(self, number: int, span: float) -> float:
        """Return the seconds until fewer than that many were sent within that span."""
        if len(self._sent) < number:
            return 0.0
        return max(0.0, self._sent[-number] + span - self._clock.now())

    def _forget(self) -> None:
        before = self._clock.now() - HOUR
        while self._sent and self._sent[0] <= before:
            self._sent.popleft()
