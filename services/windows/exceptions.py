"""What overrides windows: keep-ups, holds, manual starts and stops, days off, freezes, meetings."""

from dataclasses import dataclass, replace
from typing import Literal

from services.windows.holidays import Holiday

DAY = 86400.0
KEPT = 10 * DAY  # how long an exception is kept after its end


@dataclass(frozen=True)
class KeepUp:
    """Stay up, or start, until then. The safe direction: it needs no approval and ends by itself.

    `woken`: by a person without an operator's role, out of a quota.
    """

    since: float
    until: float
    by: str
    reason: str = ""
    woken: bool = False


@dataclass(frozen=True)
class Hold:
    """No change of this cluster, by windows neither: who holds it, why, until when."""

    since: float
    until: float
    by: str
    reason: str


@dataclass(frozen=True)
class Manual:
    """A person started or stopped it. Respected until the next edge of a window."""

    at: float
    state: Literal["open", "closed"]
    by: str


@dataclass(frozen=True)
class Freeze:
    """A change freeze in a calendar: no change from `since` to `until`, by windows neither."""

    since: float
    until: float
    name: str = ""


@dataclass(frozen=True)
class Meeting:
    """A meeting in a calendar: in service by `since`, and not closed before `until`.

    `people`: attendees; None where it names none.
    """

    since: float
    until: float
    name: str = ""
    people: int | None = None


ActiveException = Hold | Freeze | Manual | KeepUp | Meeting  # an exception that is in force


@dataclass(frozen=True)
class DaysOff:
    """Days on which windows do not close: named by people, or in a calendar."""

    named: frozenset[str] = frozenset()
    holidays: tuple[Holiday, ...] = ()


@dataclass(frozen=True)
class Exceptions:
    """All exceptions of a cluster, in any order.

    `off` are dates (ISO) on which no window closes; on `holidays` only a window that names the date
    does. What calendars contain (`holidays`, `freezes`, `meetings`) is replaced at each reading, so
    `kept` does not touch it.
    """

    keep_ups: tuple[KeepUp, ...] = ()
    holds: tuple[Hold, ...] = ()
    manual: tuple[Manual, ...] = ()
    off: tuple[str, ...] = ()
    holidays: tuple[Holiday, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    meetings: tuple[Meeting, ...] = ()

    @property
    def days_off(self) -> "DaysOff":
        """The days on which windows do not close."""
        return DaysOff(frozenset(self.off), self.holidays)

    def without_old(self, now: float) -> "Exceptions":
        """Return them without those that ended long ago.

        A keep-up that ended this minute is still why it closes this minute.
        """
        old = now - KEPT
        return replace(
            self,
            keep_ups=tuple(k for k in self.keep_ups if k.until > old),
            holds=tuple(h for h in self.holds if h.until > old),
            manual=tuple(m for m in self.manual if m.at > old),
        )

    @property
    def manual_in_order(self) -> tuple[Manual, ...]:
        """Starts and stops by people, oldest first. Of two at one moment the start is the newer."""
        return tuple(sorted(self.manual, key=lambda m: (m.at, m.state == "open")))

    @property
    def earliest(self) -> float:
        """The first moment at which an exception by a person counts."""
        return min(
            (
                *(k.since for k in self.keep_ups),
                *(h.since for h in self.holds),
                *(m.at for m in self.manual),
            ),
            default=float("inf"),
        )

    def hold(self, at: float) -> Hold | None:
        """Return the hold in force at that moment, the one that lasts longest."""
        return max(
            (h for h in self.holds if h.since <= at < h.until), key=lambda h: h.until, default=None
        )

    def keep_up(self, at: float) -> KeepUp | None:
        """Return the keep-up in force at that moment, the one that lasts longest."""
        return max(
            (k for k in self.keep_ups if k.since <= at < k.until),
            key=lambda k: k.until,
            default=None,
        )

    def freeze(self, at: float) -> Freeze | None:
        """Return the change freeze in force at that moment, the one that lasts longest."""
        return max(
            (f for f in self.freezes if f.since <= at < f.until),
            key=lambda f: f.until,
            default=None,
        )

    def keeps_up(self, at: float) -> bool:
        """Return whether something else than being in use keeps it up, or as it is."""
        return any((self.hold(at), self.freeze(at), self.keep_up(at), self.meeting(at, at + 1)))

    def meeting(self, since: float, until: float) -> Meeting | None:
        """Return the meeting that takes place in that time, the one that ends last."""
        return max(
            (m for m in self.meetings if m.since < until and since < m.until),
            key=lambda m: m.until,
            default=None,
        )


NONE = Exceptions()
NO_DAYS_OFF = DaysOff()
