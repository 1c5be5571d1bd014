"""TLS certificates as an address presents them: for whom, until when, and whether accepted here."""

from dataclasses import dataclass
from datetime import UTC, datetime

DAY = 86400.0
SOON = 14 * DAY


@dataclass(frozen=True)
class Certificate:
    """A certificate as seen in a TLS handshake. Times in epoch seconds.

    `trouble`: why this machine does not accept it; "" if it does.
    """

    address: str
    names: tuple[str, ...]
    issuer: str
    begins: float
    ends: float
    trouble: str = ""
    remedy: str = ""

    @property
    def accepted(self) -> bool:
        """Return whether this machine accepted it in that handshake."""
        return not self.trouble

    def left(self, now: float) -> float:
        """Return the seconds until it expires; negative once it has."""
        return self.ends - now

    def ends_soon(self, now: float) -> bool:
        """Return whether its renewal is overdue: it expires within 14 days, or has expired.

        One for a bare address is valid for 160 hours in all: it counts from its last quarter on.
        """
        return self.left(now) < min(SOON, (self.ends - self.begins) / 4)


@dataclass(frozen=True)
class NoCertificate:
    """No certificate was seen, and why. `needed` False: plain http on this machine."""

    reason: str
    remedy: str = ""
    needed: bool = True


CertificateSeen = Certificate | NoCertificate


def utc_text(at: float) -> str:
    """Return a time as `2026-11-20 08:00 UTC`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
