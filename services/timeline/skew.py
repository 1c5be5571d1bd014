"""How far another clock is from the bots' clock, as far as causes and effects tell. Pure.

A request was sent before DigitalOcean began what it asks for, and the bot saw the result after it
was over. Each such pair bounds the difference of the two clocks, as in Cristian's algorithm.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from services.timeline.moments import Moment

# DigitalOcean's times are whole seconds.
RESOLUTION = 1.0


@dataclass(frozen=True)
class Skew:
    """What has to be added to a clock's times: between `least` and `most`; None: no bound.

    `contradicts`: no difference fits all pairs, so nothing is added.
    """

    least: float | None = None
    most: float | None = None
    contradicts: bool = False

    @property
    def offset(self) -> float:
        """Return the smallest correction that puts every cause before its effect."""
        if self.least is not None and self.least > 0:
            return self.least
        if self.most is not None and self.most < 0:
            return self.most
        return 0.0

    @property
    def within(self) -> float | None:
        """Return by how many seconds the corrected times may be wrong; None: unknown."""
        if self.contradicts or self.least is None or self.most is None:
            return None
        return max(self.offset - self.least, self.most - self.offset)


def skew_of(moments: Iterable[Moment]) -> Skew:
    """Return the difference of one source's clock from the bots' clock."""
    least = most = None
    for moment in moments:
        if moment.after is not None:
            bound = moment.after - moment.at - RESOLUTION
            least = bound if least is None else max(least, bound)
        if moment.before is not None:
            end = moment.at if moment.until is None else moment.until
            bound = moment.before - end + RESOLUTION
            most = bound if most is None else min(most, bound)
    if least is not None and most is not None and least > most:
        return Skew(contradicts=True)
    return Skew(least, most)
