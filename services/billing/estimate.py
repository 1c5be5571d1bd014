"""What media nodes cost in the next four weeks under some windows.

Billed as a month is, so that plan and report agree to the cent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from services.billing.droplet_hours import Month, Stay, bill, cents
from services.windows.due import due, edges
from services.windows.edge import Edge, SchedulePolicy
from services.windows.exceptions import DAY
from services.windows.window import Window

FOUR_WEEKS = 28 * DAY  # 672 hours: as long as a capped month


@dataclass(frozen=True)
class NodePrice:
    """The price of a media node. `monthly` None: unknown, or no cap."""

    hourly: Decimal
    monthly: Decimal | None = None
    capped: bool = True


def four_weeks(
    windows: Sequence[Window], since: float, nodes: Sequence[NodePrice], terms: SchedulePolicy
) -> Decimal:
    """Return the cost if every window closes and opens on time and nothing keeps the cluster up.

    Further nodes cost what the last one does.
    """
    span = Month(since, since + FOUR_WEEKS, since + FOUR_WEEKS)
    stays: list[Stay] = []
    if nodes:
        stays = _stays(windows, span, nodes, terms)
    return cents(sum((bill(s, span.seconds(s.since, s.until), span) for s in stays), Fraction(0)))


def _stays(
    windows: Sequence[Window], span: Month, nodes: Sequence[NodePrice], terms: SchedulePolicy
) -> list[Stay]:
    """Return the droplets that will exist. Those that exist already were created before."""
    earlier = span.since - DAY
    here = [_stay(earlier, n) for n in nodes]
    if due(windows, span.since, terms=terms).state == "closed":
        here = []
    before, removed = list(nodes), list[Stay]()
    for edge in edges(windows, span.since, span.until, terms=terms):
        if not edge.changes:
            continue
        if edge.kind == "close":
            removed += [
                Stay(s.droplet, s.since, edge.start, s.hourly, s.monthly, s.capped) for s in here
            ]
            here = []
        else:
            before = _opened(edge, before)
            here = [_stay(edge.start, n) for n in before]
    return [*removed, *here]


def _opened(edge: Edge, before: Sequence[NodePrice]) -> list[NodePrice]:
    """Return the nodes that it opens with, by `number` and `remembered` of its edge."""
    number = edge.number or 0
    if edge.remembered:
        number = max(number, len(before))
    return [*before, *[before[-1]] * (number - len(before))][:number]


def _stay(since: float, node: NodePrice) -> Stay:
    return Stay(0, since, None, node.hourly, node.monthly, node.capped)
