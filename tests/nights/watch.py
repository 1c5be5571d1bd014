"""What was seen of a night, from outside and every twenty seconds, and which promises it broke."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.nights.luck import Night
from tests.support.scene import Scene

EVERY = 20.0
CLOUD = ("API away", "no capacity", "stuck masters", "SSH away", "nodes unreachable from outside")
# Seconds after a fault within which no start-up has to be complete: it takes about ten minutes.
RECOVERS = 45 * 60.0
# Seconds after a fault within which capacity may still be missing.
SETTLES = 15 * 60.0
# Seconds after its return within which a bot has to call, or to have it in service.
CALLS = 300.0
UNTOLD = 3600.0
TELLS = (
    "late",
    "will not be in service",
    "is not open",
    "not in service",
    "did not open",
    "cannot",
    "could not",
    "needs a decision",
    "is paused",
    "stays",
    "not running",
)
MENTION = "<@"


@dataclass(frozen=True)
class Look:
    """One look at the cluster. `masters`: those that are on and healthy."""

    at: float
    serving: int
    masters: int
    people: int


@dataclass
class Watched:
    """A night as it happened.

    `said`: messages in the cluster's channel, with their time. `forced`: when someone chose to end
    meetings. `broken`: invariants of the simulated cloud that were violated.
    """

    night: Night
    looks: list[Look] = field(default_factory=list)
    said: list[tuple[float, str]] = field(default_factory=list)
    forced: float = float("inf")
    thrown_out: int = 0
    broken: tuple[str, ...] = ()

    def up(self, look: Look) -> bool:
        return look.serving >= 1 and look.masters == 4

    # Mornings

    @property
    def ready(self) -> bool:
        """Whether it was in service when the window opens."""
        return self.up(min(self.looks, key=lambda k: abs(k.at - self.night.opens)))

    @property
    def possible(self) -> bool:
        """Whether no fault prevented that it was ready."""
        return not self.troubled(self.night.opens, RECOVERS, ("bot down", *CLOUD))

    def troubled(self, at: float, within: float, kinds: Sequence[str] = CLOUD) -> bool:
        """Return whether a fault of these kinds was active in the time before that moment."""
        return any(
            s.kind in kinds and s.since < at and s.until > at - within for s in self.night.spells
        )

    @property
    def called(self) -> bool:
        """Whether a person was called before the opening time.

        Without a bot at that time: within five minutes of its return.
        """
        back = max(
            [
                s.until
                for s in self.night.spells
                if s.kind == "bot down" and s.since < self.night.opens
            ],
            default=0.0,
        )
        by = max(self.night.opens, back + CALLS)
        if back > self.night.opens and any(back <= k.at <= by and self.up(k) for k in self.looks):
            return True  # in service as soon as there was a bot again: no one is needed
        return any(
            self.night.opens - 3600.0 <= at <= by and MENTION in text and _tells(text)
            for at, text in self.said
        )

    # What is wrong

    def faults(self) -> Iterator[str]:
        """Yield promises that were broken."""
        yield from self.broken
        if self.thrown_out and self.forced == float("inf"):
            yield f"{self.thrown_out} people were cut off, and nobody had chosen that"
        if not self.ready and self.possible:
            yield "not ready when it opens, and nothing stood in its way"
        if not self.ready and not self.possible and not self.called:
            yield "not ready when it opens, and nobody was called"
        if (gap := self._without_capacity()) is not None:
            yield (
                f"no media node in service {gap / 60:.0f} min after the closing time, "
                "while people met and nobody had decided"
            )
        if (long := self._untold()) is not None:
            yield (
                f"not in service for an hour until {(long - self.night.opens) / 60:.0f} min "
                "after it should be open, and nobody was told"
            )

    def _without_capacity(self) -> float | None:
        """Return how long after closing time capacity was missing.

        Although the closing was not final.
        """
        met = [k.at for k in self.looks if k.at >= self.night.closes and k.people]
        final = min(max(met, default=self.night.closes), self.forced)
        for look in self.looks:
            if (
                self.night.closes <= look.at < final
                and not look.serving
                and not self.troubled(look.at, SETTLES)
            ):
                return look.at - self.night.closes
        return None

    def _untold(self) -> float | None:
        """Return the end of the first hour out of service, without a reason or an announcement."""
        since: float | None = None
        for look in self.looks:
            should = look.at < self.night.closes or look.at >= self.night.opens
            could = not self.troubled(look.at, RECOVERS, ("bot down", *CLOUD))
            if not (should and could) or self.up(look):
                since = None
                continue
            if since is None:
                since = look.at
            if look.at - since >= UNTOLD and not any(
                since - UNTOLD <= at <= look.at and _tells(text) for at, text in self.said
            ):
                return look.at
        return None


def _tells(text: str) -> bool:
    return any(word in text for word in TELLS)


async def watches(scene: Scene, watched: Watched) -> None:
    """Watch until the night is over."""
    estate = scene.estate
    while scene.clock.now() < watched.night.ends:
        masters = sum(1 for m in estate.masters("acme") if estate.healthy(m))
        people = sum(m.people for m in estate.meetings_of("acme"))
        watched.looks.append(Look(scene.clock.now(), len(estate.serving("acme")), masters, people))
        await asyncio.sleep(EVERY)
