"""What a stack pays for although nothing of it uses it: droplets, volumes, reserved IPs. Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.common.values import replace

DAY = 86400.0
# US dollars a month: for each GB of a volume, and for a reserved IP that no droplet has.
VOLUME_GB = Decimal("0.10")
RESERVED_IP = Decimal("5.00")
DAYS_OF_YEAR, MONTHS_OF_YEAR = 365, 12
KINDS = {"droplet": "droplet", "volume": "volume", "ip": "reserved IP"}


def per_day(monthly: Decimal) -> Decimal:
    """Return what a monthly price costs on an average day."""
    return monthly * MONTHS_OF_YEAR / DAYS_OF_YEAR


@dataclass(frozen=True)
class Leftover:
    """A resource of a stack that may be unused. `kind`: droplet, volume or ip.

    `size`: as DigitalOcean names it; "" where it has none. `daily`: US dollars; None: unknown.
    `used_by`: what uses it; "": nothing does.
    """

    kind: str
    id: str
    name: str
    created_at: str = ""
    size: str = ""
    daily: Decimal | None = None
    used_by: str = ""

    @property
    def ref(self) -> str:
        """Return what people type for it: `volume:506f…`."""
        return f"{self.kind}:{self.id}"

    @property
    def text(self) -> str:
        """Return what an approval covers: its kind, name, id, size and creation."""
        details = [self.size] if self.size else []
        if self.name != self.id:
            details.append(f"id {self.id}")
        if self.created_at:
            details.append(f"created {self.created_at[:10]}")
        named = f"{KINDS[self.kind]} {self.name}"
        return f"{named} ({', '.join(details)})" if details else named

    def created(self) -> float | None:
        """Return when it was created, in epoch seconds; None where that is not shown."""
        try:
            return datetime.fromisoformat(self.created_at).timestamp()
        except ValueError:
            return None


@dataclass(frozen=True)
class LeftoversSeen:
    """What one look showed. `things`: of the stack, used or not.

    `unread`: kinds that could not be read, and why.
    """

    things: tuple[Leftover, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def unused(self) -> tuple[Leftover, ...]:
        """Return those that nothing uses."""
        return tuple(t for t in self.things if not t.used_by)

    def find(self, ref: str) -> Leftover | None:
        """Return the one of that reference; None when it is not there."""
        return next((t for t in self.things if t.ref == ref), None)

    def why_unread(self, ref: str) -> str:
        """Return why things of its kind could not be read; "" when they were."""
        return dict(self.unread).get(ref.partition(":")[0], "")

    def without(self, refs: tuple[str, ...]) -> "LeftoversSeen":
        """Return them without these."""
        return replace(self, things=tuple(t for t in self.things if t.ref not in refs))


@dataclass(frozen=True)
class KeptThing:
    """Waste that a person wants to keep. `until`: epoch seconds; 0: for good."""

    ref: str
    by: str
    at: float
    until: float = 0.0


@dataclass(frozen=True)
class WasteNotes:
    """What the bot keeps of one cluster's waste.

    `addresses`: reserved IPs that its droplets had. `since`: what is unused, and since when that is
    known. `sizes`: moments with the number of media nodes, and the pool's number.
    """

    addresses: tuple[str, ...] = ()
    since: tuple[tuple[str, float], ...] = ()
    sizes: tuple[tuple[float, int, int], ...] = ()
    kept: tuple[KeptThing, ...] = ()

    def first_seen(self, ref: str) -> float | None:
        """Return since when it is known to be unused; None: it was not."""
        return dict(self.since).get(ref)

    def keeper(self, ref: str, now: float) -> KeptThing | None:
        """Return who keeps it now; None when no one does."""
        return next((k for k in self.kept if k.ref == ref and (not k.until or k.until > now)), None)

    def with_kept(self, kept: KeptThing) -> "WasteNotes":
        """Return them with one more thing to be kept."""
        others = tuple(k for k in self.kept if k.ref != kept.ref)
        return replace(self, kept=(*others, kept)[-MOST_KEPT:])


MOST_KEPT = 200
NO_WASTE = WasteNotes()
