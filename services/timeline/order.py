"""One order for the moments of several sources. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from services.timeline.moments import OURS, Moment, Source
from services.timeline.skew import Skew, skew_of

# Lines of a timeline. Of more, the oldest are left out.
MOST = 2000


@dataclass(frozen=True)
class Clock:
    """A source's clock, compared with the bots'. `skew`: what its times were corrected by."""

    source: Source
    skew: Skew

    @property
    def words(self) -> str:
        """Return what is known of it, as a sentence."""
        skew = self.skew
        if skew.contradicts:
            return f"{self.source}: its times contradict the run, and are not corrected."
        fast = "behind" if skew.offset > 0 else "ahead"
        moved = (
            f"{abs(skew.offset):.0f} s {fast}" if abs(skew.offset) >= 1 else "as the bots' clock"
        )
        if skew.within is None:
            return f"{self.source}: {moved}, as far as is known; its order among others may differ."
        return f"{self.source}: {moved}, to within {skew.within:.0f} s."


@dataclass(frozen=True)
class Timeline:
    """Moments in one order, by the bots' clock; `at` is corrected, `told` as the source gave it.

    `missing`: sources that did not answer, with the reason: what they would tell is not here.
    `left_out`: how many moments had no room, the oldest ones.
    """

    moments: tuple[Moment, ...]
    told: tuple[float, ...]
    clocks: tuple[Clock, ...]
    missing: tuple[str, ...] = ()
    left_out: int = 0

    def within(self, source: Source) -> float | None:
        """Return by how many seconds the times of a source may be wrong; None: unknown."""
        if source in OURS:
            return 0.0
        return next((c.skew.within for c in self.clocks if c.source == source), None)


def ordered(moments: Iterable[Moment], missing: Sequence[str] = ()) -> Timeline:
    """Put moments into one order: what a bot wrote as it wrote it, the others corrected.

    The records of a run never change places, whatever the clocks of the bots that wrote them.
    """
    by_source: dict[Source, list[Moment]] = defaultdict(list)
    for moment in moments:
        by_source[moment.source].append(moment)
    clocks = tuple(
        Clock(source, skew_of(told))
        for source, told in sorted(by_source.items())
        if source not in OURS
    )
    pairs = [(m, m.at) for m in _as_written(by_source)]
    for clock in clocks:
        pairs += [(_corrected(m, clock.skew), m.at) for m in by_source[clock.source]]
    pairs.sort(key=lambda pair: _key(pair[0]))
    shown = pairs[-MOST:]
    return Timeline(
        tuple(m for m, _ in shown),
        tuple(at for _, at in shown),
        clocks,
        tuple(missing),
        len(pairs) - len(shown),
    )


def _as_written(by_source: dict[Source, list[Moment]]) -> list[Moment]:
    """Return the bots' own moments, none of a run before an earlier one of it."""
    newest: dict[str, float] = {}
    written: list[Moment] = []
    for source in OURS:
        chains: dict[str, list[Moment]] = defaultdict(list)
        for moment in by_source.get(source, ()):
            chains["" if source is Source.AUDIT else moment.about].append(moment)
        for name, chain in chains.items():
            key = f"{source} {name}"
            for moment in sorted(chain, key=lambda m: m.place):
                newest[key] = max(moment.at, newest.get(key, moment.at))
                written.append(replace(moment, at=newest[key]))
    return written


def _corrected(moment: Moment, skew: Skew) -> Moment:
    """Return it by the bots' clock, between its own cause and effect."""
    if skew.contradicts:
        return moment
    at = moment.at + skew.offset
    if moment.after is not None:
        at = max(at, moment.after)
    if moment.before is not None:
        at = min(at, moment.before)
    until = None if moment.until is None else max(at, moment.until + skew.offset)
    return replace(moment, at=at, until=until)


def _key(moment: Moment) -> tuple[float, int, str, int]:
    # At one moment: what a bot wrote before it asked, what followed from it, what it saw.
    rank = 1
    if moment.source in OURS:
        rank = 2 if moment.sees else 0
    return (moment.at, rank, moment.about, moment.place)
