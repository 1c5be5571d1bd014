"""The API's two sliding rate limits, per token."""

from collections import deque
from dataclasses import dataclass

from simulators.evidence import Source, rests_on

HOUR, MINUTE = 3600.0, 60.0


@dataclass(frozen=True)
class RateLimitHeaders:
    """The values of the rate limit headers; `retry_after` in seconds, only at the burst limit."""

    limit: int
    remaining: int
    reset: int
    refused: bool = False
    retry_after: int | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers, all integers."""
        headers = {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": str(self.reset),
        }
        return (
            headers
            if self.retry_after is None
            else headers | {"retry-after": str(self.retry_after)}
        )


class RateLimiter:
    """Counts requests; each expires on its own timer. A refused request does not count."""

    def __init__(self, per_hour: int = 5000, per_minute: int = 250) -> None:
        self.per_hour, self.per_minute = per_hour, per_minute
        self._hour: deque[float] = deque()
        self._minute: deque[float] = deque()

    def admit(self, now: float) -> RateLimitHeaders:
        """Count a request at this moment, if the limit allows it."""
        _expire(self._hour, now - HOUR)
        _expire(self._minute, now - MINUTE)
        if len(self._minute) >= self.per_minute:
            wait = int(self._minute[0] + MINUTE - now) + 1
            return RateLimitHeaders(
                self.per_hour, 0, self._reset(now), refused=True, retry_after=wait
            )
        if len(self._hour) >= self.per_hour:
            return RateLimitHeaders(self.per_hour, 0, self._reset(now), refused=True)
        self._hour.append(now)
        self._minute.append(now)
        return RateLimitHeaders(self.per_hour, self.per_hour - len(self._hour), self._reset(now))

    def refuse(self, now: float, *, burst: bool) -> RateLimitHeaders:
        """Return a refusal out of turn, for a fault."""
        return RateLimitHeaders(
            self.per_hour, 0, self._reset(now), refused=True, retry_after=5 if burst else None
        )

    def _reset(self, now: float) -> int:
        return int((self._hour[0] if self._hour else now) + HOUR)


def _expire(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()


rests_on(
    "DigitalOcean",
    Source.SCHEMA,
    "the section on rate limits of DigitalOcean's OpenAPI document",
    "5,000 requests an hour and 250 a minute, each with its own timer",
    "retry-after at the limit of the minute only",
)
