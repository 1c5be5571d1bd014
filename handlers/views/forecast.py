"""The card of the forecast: what the coming day needs, its price and its risk. Pure."""

from collections.abc import Sequence
from decimal import Decimal

from handlers.slack.blocks import Block, Card, context, divider, escape, fields, header, section
from handlers.slack.markup import date_time
from handlers.views.text import without_formatting
from services.billing.demand import (
    LEAST_WEEKS,
    Proposal,
    propose,
    weekday_peaks,
)
from services.billing.prices import money
from services.cluster.model import Cluster
from services.common.text import count_of
from services.schedule.scaling import Prospect

DAY = 86400.0
MONTH_DAYS = 28  # of a month that DigitalOcean bills at most: 672 hours
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NO_CAPACITY = (
    ":warning: How many people a media node bears is not set. Set `people_per_node` of the "
    "cluster in the settings. The bot does not guess it."
)


def forecast_card(
    cluster: Cluster, prospect: Prospect, now: float, buttons: Sequence[Block] = (), why: str = ""
) -> Card:
    """Return the card. `buttons`: request the proposed number; `why`: why it has none."""
    name, per_node, nodes = cluster.name, cluster.people_per_node, len(cluster.members)
    weeks = prospect.forecast.weeks
    proposal = None
    if per_node is not None:
        proposal = propose(prospect.forecast, per_node, nodes, now, now + DAY)
    if proposal is None:
        return _unknown_card(cluster, prospect, now)
    title = f"{name} needs {count_of(proposal.number, 'media node')}"
    facts = [
        ("Next 24 h", _peak(proposal)),
        ("Now", count_of(nodes, "media node")),
        ("Price", _price(proposal.number - nodes, cluster.media_price)),
        ("Risk", _risk(proposal, nodes)),
    ]
    blocks: list[Block] = [header(title), fields(*facts)]
    if why:
        blocks.append(section(f"Not possible now: {escape(why)}"))
    blocks += [*buttons, context(_source(prospect, proposal))]
    details = [_week(prospect, proposal.per_node), *_permission(prospect, now)]
    blocks += [divider(), section("\n".join(details))]
    spoken = "; ".join(f"{label}: {value}" for label, value in facts)
    text = f"{title}. {spoken}. From {count_of(weeks, 'week')}. {' '.join(details)}"
    return Card(without_formatting(text), tuple(blocks))


def _unknown_card(cluster: Cluster, prospect: Prospect, now: float) -> Card:
    """Return the card where nothing can be proposed, with what is missing."""
    title = f"{cluster.name}: no forecast yet"
    lines = []
    if cluster.people_per_node is None:
        lines.append(NO_CAPACITY)
    weeks = prospect.forecast.weeks
    if weeks < LEAST_WEEKS:
        lines.append(
            f"{count_of(weeks, 'week')} of meetings {'was' if weeks == 1 else 'were'} counted; a "
            f"forecast takes {LEAST_WEEKS}. What was not counted is unknown, not zero."
        )
    elif cluster.people_per_node is not None:
        lines.append("No meetings were counted at these hours: the demand of them is unknown.")
    lines += _permission(prospect, now)
    text = f"{title}. {' '.join(lines)}"
    return Card(without_formatting(text), (header(title), section("\n".join(lines))))


def _peak(proposal: Proposal) -> str:
    peak = proposal.peak
    people = count_of(peak.demand.people, "person")
    return f"{people}, {date_time(peak.at)} ({proposal.per_node} a node)"


def _price(more: int, price: Decimal | None) -> str:
    if not more:
        return "as now"
    if price is None or price <= 0:
        return "unknown"
    day = price * 24 * abs(more)
    word = "more" if more > 0 else "less"
    return f"{money(day)} a day {word}, {money(day * MONTH_DAYS)} a month"


def _risk(proposal: Proposal, nodes: int) -> str:
    """Return in how many of the counted quarters the number would not have been enough."""
    text = f"too few in {_share(proposal.over, proposal.seen)}"
    if proposal.number != nodes:
        text += f"; with {nodes}: {_share(proposal.over_now, proposal.seen)}"
    return text


def _share(part: int, whole: int) -> str:
    if not whole:
        return "unknown"
    return f"{100 * part / whole:.1f}% of {whole} quarter-hours"


def _source(prospect: Prospect, proposal: Proposal) -> str:
    parts = [f"p95 of {count_of(proposal.peak.demand.weeks, 'week')}"]
    if percent := round(100 * (prospect.forecast.growth - 1)):
        parts.append(f"{percent:+}% a week")
    if prospect.forecast.days_off:
        parts.append(f"without {count_of(prospect.forecast.days_off, 'day')} off")
    if proposal.unknown:
        parts.append(f"unknown for {proposal.unknown / 4:.1f} h, when no meetings were counted")
    parts.append(f"nodes by the hour: {proposal.node_hours:.0f} node-hours")
    return " · ".join(parts)


def _week(prospect: Prospect, per_node: int) -> str:
    """Return the number of nodes that the busiest quarter of each weekday needs."""
    days = []
    for day, peak in zip(DAYS, weekday_peaks(prospect.forecast, per_node), strict=True):
        if peak is None:
            days.append(f"{day} unknown")
        else:
            _, quarter, _, nodes = peak
            days.append(f"{day} {nodes} ({quarter // 4:02}:{15 * (quarter % 4):02})")
    return f"*Nodes by weekday:* {' · '.join(days)}"


def _permission(prospect: Prospect, now: float) -> list[str]:
    """Return what is allowed without further approval, and what was done under it."""
    allowed = prospect.notes.permission
    if allowed is None:
        return ["*By itself:* not allowed. `/openvidu forecast allow 2-5 20` requests it."]
    if now > allowed.until:
        return [f":warning: The permission to scale expired {date_time(allowed.until)}."]
    used = prospect.notes.used(now)
    lines = [
        f"*By itself:* {allowed.least} to {allowed.most} nodes, {allowed.dollars} a day, "
        f"{used} of {count_of(allowed.changes, 'change')} used, until {date_time(allowed.until)}."
    ]
    if prospect.last:
        lines.append(f"Last check: {escape(prospect.last)}.")
    return lines


def forecast_line(cluster: Cluster, prospect: Prospect, now: float) -> str:
    """Return the line of the Home tab: `4 nodes at Tue 10:15 (3 now)`; "" while it is unknown."""
    if cluster.people_per_node is None or not cluster.members:
        return ""
    nodes = len(cluster.members)
    proposal = propose(prospect.forecast, cluster.people_per_node, nodes, now, now + DAY)
    if proposal is None:
        return ""
    by_itself = ", by itself" if prospect.notes.permission is not None else ""
    return f"{count_of(proposal.number, 'node')} at {date_time(proposal.peak.at)}{by_itself}"
