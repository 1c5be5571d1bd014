"""What one odd answer must not decide: it is believed once it has been seen in several looks over a minute."""

from collections.abc import Awaitable, Hashable
from typing import TypeVar

from services.common.clock import Clock
from services.common.errors import Rejected, Unconfirmed

T = TypeVar("T")
LOOKS, SECONDS = 3, 60.0
NEEDED = f"not confirmed yet: it has to be seen in {LOOKS} looks over {SECONDS:.0f} s"
NEEDED_OF_VALUE = f"not confirmed yet: it has to be seen again after {SECONDS:.0f} s"  # so that who asks again in a minute has an answer


class UnconfirmedAnswer:
    """One thing that was seen unlike before, how often, and since when."""

    def __init__(self, what: Hashable, now: float) -> None:
        self.what = what
        self.first_seen = now
        self.looks = 1

    def again(self) -> "UnconfirmedAnswer":
        """It was seen once more."""
        self.looks += 1
        return self

    def believed(self, now: float, looks: int = LOOKS) -> bool:
        """Whether it has been seen often enough, over a time that is long enough."""
        return self.looks >= looks and now - self.first_seen >= SECONDS


class Answers:
    """Refusals (401, 403, 404) of what was answered before. What was never answered in this process is refused at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answered: set[str] = set()
        self._doubts: dict[str, UnconfirmedAnswer] = {}

    async def of(self, what: str, ask: Awaitable[T]) -> T:
        """The answer. Rejected when that is certain; Unconfirmed while it may be one odd answer."""
        try:
            found = await ask
        except Rejected as error:
            refusal = error
        else:
            self._answered.add(what)
            self._doubts.pop(what, None)
            return found
        raise self._doubted(what, refusal)

    def _doubted(self, what: str, refusal: Rejected) -> Exception:
        if what not in self._answered:
            return refusal
        now = self._clock.now()
        doubt = self._doubts.get(what)
        doubt = self._doubts[what] = (
            doubt.again() if doubt is not None else UnconfirmedAnswer(what, now)
        )
        return (
            refusal
            if doubt.believed(now)
            else Unconfirmed(f"{refusal} ({NEEDED})", doubt.first_seen)
        )


class Confirmed:
    """Something that seldom changes, as it was seen last; another value counts once it is believed."""

    def __init__(self, clock: Clock, what: str) -> None:
        self._clock = clock
        self._what = what
        self._value: str = ""
        self._doubt: UnconfirmedAnswer | None = None

    def see(self, value: str) -> None:
        """Take a value as it was seen. Unconfirmed while it is unlike before, and may be one odd answer."""
        if not self._value or value == self._value:
            self._value, self._doubt = value, None
            return
        now = self._clock.now()
        known = self._doubt if self._doubt is not None and self._doubt.what == value else None
        self._doubt = known.again() if known is not None else UnconfirmedAnswer(value, now)
        if not self._doubt.believed(now, looks=2):
            raise Unconfirmed(
                f"{self._what} is {value}, and was {self._value} before ({NEEDED_OF_VALUE})",
                self._doubt.first_seen,
            )
        self._value, self._doubt = value, None
