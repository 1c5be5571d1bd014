"""What was found in a calendar file, as `window list` and doctor show it."""

from dataclasses import dataclass
from typing import Literal

from services.common.text import count
from services.windows.ical import Skipped

CalendarKind = Literal["holidays", "freezes", "meetings"]
NOUNS: dict[CalendarKind, str] = {
    "holidays": "day off",
    "freezes": "change freeze",
    "meetings": "meeting",
}
SHOWN = 3  # lines that were passed over and are named


@dataclass(frozen=True)
class Source:
    """A calendar file as it was read the last time. `trouble`: why it could not be; what was known before stays then."""

    kind: CalendarKind
    file: str
    ahead: int = 0  # days off, freezes or meetings that lie ahead
    skipped: int = 0  # lines that were passed over
    examples: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def empty(self) -> bool:
        """Whether it was read and holds no day off ahead: it is over, or is not what it should be."""
        return self.kind == "holidays" and not self.ahead and not self.trouble

    @property
    def found(self) -> str:
        """`14 days off ahead`, `no meeting ahead`."""
        noun = NOUNS[self.kind]
        if not self.ahead:
            return f"no {noun} ahead"
        return (
            f"{self.ahead} days off ahead"
            if self.kind == "holidays" and self.ahead > 1
            else f"{count(self.ahead, noun)} ahead"
        )

    @property
    def cautions(self) -> tuple[str, ...]:
        """What somebody should look at: it cannot be read, has no day off ahead, or holds lines that say nothing."""
        unread = [f"{self.file} could not be read: {self.trouble}"] if self.trouble else []
        empty = [f"{self.file} has {self.found}"] if self.empty else []
        more = ", …" if self.skipped > len(self.examples) else ""
        passed = (
            [
                f"{self.file}: {count(self.skipped, 'line')} skipped ({'; '.join(self.examples)}{more})"
            ]
            if self.skipped
            else []
        )
        return (*unread, *empty, *passed)


def source_of(kind: CalendarKind, file: str, ahead: int, skipped: tuple[Skipped, ...]) -> Source:
    """What was found in a file that could be read."""
    return Source(kind, file, ahead, len(skipped), tuple(s.words for s in skipped[:SHOWN]))
