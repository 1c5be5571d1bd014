"""A fact as one look found it: its value, or that it is unknown and why. Absence is a value."""

from dataclasses import dataclass
from typing import NoReturn, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Unobserved:
    """Unknown: not looked at, or no reliable answer.

    `since`: epoch seconds of the first of the consecutive looks that did not see it; 0 when there
    was no look. It has no truth value, so that `if cluster.load` and `look or 0` fail at once
    instead of taking unknown for absent.
    """

    reason: str = "not observed"
    since: float = 0.0

    def __bool__(self) -> NoReturn:
        raise TypeError(f"what was not observed ({self.reason}) is neither true nor false")


Observed: TypeAlias = T | Unobserved
NOT_OBSERVED = Unobserved()


class UnknownSince:
    """Since when each fact has been unknown, so that the reason can carry its age.

    `key` identifies the fact.
    """

    def __init__(self) -> None:
        self._since: dict[object, float] = {}

    def note(self, key: object, reason: str, now: float) -> Unobserved:
        """Record that a look did not see it."""
        return Unobserved(reason, self._since.setdefault(key, now))

    def over(self, key: object) -> None:
        """Record that it was seen, or that there is nothing to see any more."""
        self._since.pop(key, None)
