"""The certificate that an address shows: whose it is, until when, and whether this machine accepts it. Values, and their words."""

from dataclasses import dataclass
from datetime import UTC, datetime

DAY = 86400.0
SOON = 14 * DAY


@dataclass(frozen=True)
class Certificate:
    """As seen at a TLS handshake. Times are in seconds since the epoch. `trouble`: why this machine does not accept it; "" when it does."""

    address: str
    names: tuple[str, ...]
    issuer: str
    begins: float
    ends: float
    trouble: str = ""
    remedy: str = ""

    @property
    def accepted(self) -> bool:
        """Whether this machine accepted it at that handshake."""
        return not self.trouble

    def left(self, now: float) -> float:
        """Seconds until it expires; negative when it has."""
        return self.ends - now

    def ends_soon(self, now: float) -> bool:
        """Within 14 days, or already."""
        return self.left(now) < SOON


@dataclass(frozen=True)
class NoCertificate:
    """None was seen, and why."""

    reason: str
    remedy: str = ""


CertificateSeen = Certificate | NoCertificate


def moment(at: float) -> str:
    """`2026-11-20 08:00 UTC`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
