"""What a look says of one fact: its value, or that it was not seen and why. Absence is a value, silence is not."""

from dataclasses import dataclass
from typing import NoReturn, TypeAlias, TypeVar, Union

T = TypeVar("T")


@dataclass(frozen=True)
class NotSeen:
    """Not known: no one looked, or no answer came that can be relied on.

    `since`: epoch seconds of the first look in a row that did not see it; 0 when no one looked. It is neither true nor false, so that
    `if cluster.load` and `look or 0` fail at once instead of taking silence for absence.
    """

    reason: str = "not looked at"
    since: float = 0.0

    def __bool__(self) -> NoReturn:
        raise TypeError(f"what was not seen ({self.reason}) is neither true nor false")


Observed: TypeAlias = Union[T, NotSeen]  # noqa: UP007 - a generic alias needs the older word
NOT_LOOKED = NotSeen()


class Silences:
    """Since when each fact has not been seen, so that the reason can carry its age. `key` names the fact."""

    def __init__(self) -> None:
        self._since: dict[object, float] = {}

    def note(self, key: object, reason: str, now: float) -> NotSeen:
        """It was not seen in this look either."""
        return NotSeen(reason, self._since.setdefault(key, now))

    def over(self, key: object) -> None:
        """It is seen again, or there is nothing to see any more."""
        self._since.pop(key, None)
