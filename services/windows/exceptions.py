"""What people may put in a window's way: keep it up, hold everything, start or stop by hand, name a day off."""

from dataclasses import dataclass, replace
from typing import Literal

from services.windows.holidays import Holiday

DAY = 86400.0
KEPT = 10 * DAY  # how long an exception that is over is remembered


@dataclass(frozen=True)
class KeepUp:
    """Stay up, or come up, until then. The safe direction: it needs no approval and ends by itself."""

    since: float
    until: float
    by: str
    reason: str = ""


@dataclass(frozen=True)
class Hold:
    """Nobody changes this cluster, windows neither: who, why, until when."""

    since: float
    until: float
    by: str
    reason: str


@dataclass(frozen=True)
class Manual:
    """Somebody started or stopped it by hand. Respected until the next edge of a window."""

    at: float
    state: Literal["open", "closed"]
    by: str


@dataclass(frozen=True)
class DaysOff:
    """Days on which windows do not close: those that people named, and those of a calendar."""

    named: frozenset[str] = frozenset()
    holidays: tuple[Holiday, ...] = ()


@dataclass(frozen=True)
class Exceptions:
    """All of a cluster's. `off` are dates (ISO) on which none of its windows closes; on `holidays` only one that names the date does."""

    keep_ups: tuple[KeepUp, ...] = ()
    holds: tuple[Hold, ...] = ()
    manual: tuple[Manual, ...] = ()
    off: tuple[str, ...] = ()
    holidays: tuple[Holiday, ...] = ()

    @property
    def free(self) -> "DaysOff":
        """What they say about days."""
        return DaysOff(frozenset(self.off), self.holidays)

    def kept(self, now: float) -> "Exceptions":
        """Without those that are long over.

        Just over is not enough: a keep-up that ended this minute is why it closes this minute.
        """
        old = now - KEPT
        return replace(
            self,
            keep_ups=tuple(k for k in self.keep_ups if k.until > old),
            holds=tuple(h for h in self.holds if h.until > old),
            manual=tuple(m for m in self.manual if m.at > old),
        )

    @property
    def begin(self) -> float:
        """The first moment any of them matters."""
        return min((*(k.since for k in self.keep_ups), *(h.since for h in self.holds), *(m.at for m in self.manual)), default=float("inf"))

    def hold(self, at: float) -> Hold | None:
        """The hold in force at that moment, the one that lasts longest."""
        return max((h for h in self.holds if h.since <= at < h.until), key=lambda h: h.until, default=None)

    def keep_up(self, at: float) -> KeepUp | None:
        """The keep-up in force at that moment, the one that lasts longest."""
        return max((k for k in self.keep_ups if k.since <= at < k.until), key=lambda k: k.until, default=None)


NONE = Exceptions()
NO_DAYS_OFF = DaysOff()
