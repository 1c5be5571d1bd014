"""Answers that are believed only after several looks: what one odd answer must not decide."""

from collections.abc import Awaitable, Hashable
from typing import TypeVar

from services.common.clock import Clock
from services.common.errors import Rejected, Unconfirmed

T = TypeVar("T")
LOOKS, SECONDS = 3, 60.0
LOOKS_OF_VALUE = 2
NEEDED = f"not confirmed yet: needs {LOOKS} observations over {SECONDS:.0f} s"
# Fewer looks, so that a person who retries after a minute gets an answer.
NEEDED_OF_VALUE = f"not confirmed yet: needs another observation after {SECONDS:.0f} s"


class UnconfirmedAnswer:
    """One answer that differs from before: how often it was seen, and since when."""

    def __init__(self, what: Hashable, now: float) -> None:
        self.what = what
        self.first_seen = now
        self.looks = 1

    def again(self) -> "UnconfirmedAnswer":
        """Count one more look, and return this."""
        self.looks += 1
        return self

    def believed(self, now: float, looks: int = LOOKS) -> bool:
        """Whether it has been seen often enough, over a long enough time."""
        return self.looks >= looks and now - self.first_seen >= SECONDS


class RefusalConfirmer:
    """Confirms refusals (401, 403, 404) of what was answered before.

    What was never answered in this process is refused at once.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answered: set[str] = set()
        self._doubts: dict[str, UnconfirmedAnswer] = {}

    async def of(self, what: str, ask: Awaitable[T]) -> T:
        """Return the answer. Rejected when that is certain; Unconfirmed while it may be odd."""
        try:
            answer = await ask
        except Rejected as error:
            refusal = error
        else:
            self._answered.add(what)
            self._doubts.pop(what, None)
            return answer
        raise self._doubted(what, refusal)

    def _doubted(self, what: str, refusal: Rejected) -> Exception:
        if what not in self._answered:
            return refusal
        now = self._clock.now()
        known = self._doubts.get(what)
        doubt = known.again() if known is not None else UnconfirmedAnswer(what, now)
        self._doubts[what] = doubt
        if doubt.believed(now):
            return refusal
        return Unconfirmed(f"{refusal} ({NEEDED})", doubt.first_seen)


class Confirmed:
    """A value that seldom changes; another one counts once it is believed."""

    def __init__(self, clock: Clock, what: str) -> None:
        self._clock = clock
        self._what = what
        self._value: str = ""
        self._doubt: UnconfirmedAnswer | None = None

    def see(self, value: str) -> None:
        """Accept a value. Unconfirmed while it differs from before and may be one odd answer."""
        if not self._value or value == self._value:
            self._value, self._doubt = value, None
            return
        now = self._clock.now()
        doubt = self._doubted(value, now)
        if not doubt.believed(now, looks=LOOKS_OF_VALUE):
            raise Unconfirmed(
                f"{self._what} is now {value}, and was {self._value} ({NEEDED_OF_VALUE})",
                doubt.first_seen,
            )
        self._value, self._doubt = value, None

    def _doubted(self, value: str, now: float) -> UnconfirmedAnswer:
        if self._doubt is not None and self._doubt.what == value:
            return self._doubt.again()
        self._doubt = UnconfirmedAnswer(value, now)
        return self._doubt
