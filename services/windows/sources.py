"""What was read from a calendar file, as `window list` and the doctor show it."""

from dataclasses import dataclass
from typing import Literal

from services.common.text import count_of
from services.windows.ical import SkippedLine

CalendarKind = Literal["holidays", "freezes", "meetings"]
NOUNS: dict[CalendarKind, str] = {
    "holidays": "day off",
    "freezes": "change freeze",
    "meetings": "meeting",
}
SHOWN = 3  # skipped lines that are quoted


@dataclass(frozen=True)
class Source:
    """A calendar file as it was last read.

    `trouble`: why it could not be read; its earlier entries stay then.

    `ahead`: days off, freezes or meetings to come. `skipped`: lines without a meaning here, of
    which `examples` are some.
    """

    kind: CalendarKind
    file: str
    ahead: int = 0
    skipped: int = 0
    examples: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def empty(self) -> bool:
        """Whether it was read and holds no day off to come: it is outdated, or the wrong file."""
        return self.kind == "holidays" and not self.ahead and not self.trouble

    @property
    def found(self) -> str:
        """`14 days off ahead`, `no meeting ahead`."""
        noun = NOUNS[self.kind]
        if not self.ahead:
            return f"no {noun} ahead"
        if self.kind == "holidays" and self.ahead > 1:
            return f"{self.ahead} days off ahead"
        return f"{count_of(self.ahead, noun)} ahead"

    @property
    def cautions(self) -> tuple[str, ...]:
        """What needs attention: it is unreadable, has no day off to come, or has skipped lines."""
        cautions = []
        if self.trouble:
            cautions.append(f"{self.file} could not be read: {self.trouble}")
        if self.empty:
            cautions.append(f"{self.file} has {self.found}")
        if self.skipped:
            more = ", …" if self.skipped > len(self.examples) else ""
            lines = f"{'; '.join(self.examples)}{more}"
            cautions.append(f"{self.file}: {count_of(self.skipped, 'line')} skipped ({lines})")
        return tuple(cautions)


def source_of(
    kind: CalendarKind, file: str, ahead: int, skipped: tuple[SkippedLine, ...]
) -> Source:
    """Return what was read from a file."""
    return Source(kind, file, ahead, len(skipped), tuple(s.words for s in skipped[:SHOWN]))
