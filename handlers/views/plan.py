"""Plans: impact first (people, outage, money, time, what cannot be undone), then steps."""

from decimal import Decimal

from handlers.slack.blocks import Card, escape, section
from handlers.views.text import people, plain
from services.billing.prices import money, per_hour
from services.common.observed import NotSeen
from services.common.text import count, duration
from services.procedures.plan import Plan
from services.steps import Effects


def title(plan: Plan) -> str:
    """`Shut down acme`."""
    return f"{plan.procedure.verb} {escape(plan.procedure.about(plan.cluster))}"


def notice(plan: Plan) -> str:
    """What people will notice."""
    effects, load = plan.effects, plan.meetings
    if isinstance(load, NotSeen):
        return f"{_unknown(effects)} How many meetings run is unknown: {escape(load.reason)}."
    now = people(load)
    if effects.cuts_off:
        lost = " Running recordings are lost." if load.recordings else ""
        return f"{now}. *Everyone in them is disconnected.*{lost}"
    if effects.blocks and load.idle:
        return f"{now}. No one is disconnected."
    if effects.blocks:
        longest = f" (the longest has run {duration(load.longest)})" if load.rooms else ""
        return f"{now}. They can finish{longest}; no one is disconnected."
    more = f" {count(effects.adds, 'media node')} more can take meetings." if effects.adds else ""
    return f"{now}; no one is disconnected.{more}"


def _unknown(effects: Effects) -> str:
    """The sentence that decides where LiveKit did not show who meets."""
    if effects.cuts_off:
        return "*Everyone who is in a meeting is disconnected, and running recordings are lost.*"
    return "Running meetings can finish first." if effects.blocks else "Ends no meeting."


def outage(plan: Plan) -> str:
    """From when to when nobody is served; "" when there is no such time."""
    effects = plan.effects
    if not effects.down:
        return (
            "From the moment it starts no new meeting can be opened on the nodes concerned."
            if effects.blocks
            else ""
        )
    name = plan.cluster
    if effects.keeps:
        then = (
            f"and {name} is down until it is started again"
            if plan.outage is None
            else f"for about {duration(plan.outage)}"
        )
        stays = f"*{count(effects.keeps, 'media node')} {'stays' if effects.keeps == 1 else 'stay'} in service*"
        return f"{stays} until no one meets there, or people decide to drain all. Then no new meeting can be opened, {then}."
    if plan.outage is None:
        return f"*From the moment it starts nobody can open a new meeting*, and then {name} is down until somebody starts it."
    return f"*From the moment it starts nobody can open a new meeting*, for about {duration(plan.outage)}."


def saving(plan: Plan) -> str:
    """What it does to the bill."""
    change = plan.saves or Decimal(0)
    gone = plan.media if (plan.effects.down or plan.effects.special) and not plan.money else 0
    what = f" ({count(gone, 'media node')})" if gone else ""
    said = (
        [f"saves {money(change)}/h{what}"]
        if change > 0
        else [f"costs {money(-change)}/h more"]
        if change < 0
        else []
    )
    if plan.saves is None:
        said.append("what it changes is unknown: DigitalOcean's price of a droplet was not seen")
    if plan.money:
        said.append(plan.money)
    said = said or ["changes nothing"]
    if plan.effects.stops_masters and plan.effects.down:
        said.append(f"the masters stay billed while off ({per_hour(plan.stays_billed)})")
    return ". ".join([said[0], *(s[:1].upper() + s[1:] for s in said[1:])]) + "."


def takes(plan: Plan) -> str:
    """How long."""
    about = f"about {duration(plan.takes)}"
    return (
        f"{about} after the last meeting."
        if plan.effects.blocks and not plan.effects.cuts_off
        else f"{about}."
    )


def impact(plan: Plan) -> str:
    """Impact first: people, outage, money, time, what cannot be undone."""
    lines = [f"*What people will notice* {notice(plan)}"]
    if said := outage(plan):
        lines.append(said)
    lines.append(f"*Money* {saving(plan)}")
    last = f"*Takes* {takes(plan)}"
    if plan.effects.irreversible:
        last += f" *Cannot be taken back*: {'; '.join(plan.effects.irreversible)}."
    lines.append(last)
    lines += [f"{note[:1].upper()}{note[1:]}." for note in plan.notes]
    if plan.effects.special:
        lines.append(f":warning: *Approving this says*: {'; '.join(plan.effects.special)}.")
    return "\n".join(lines)


def steps_line(plan: Plan) -> str:
    """`1. Let 3 media nodes finish · 2. Media pool 3 → 0`."""
    return " · ".join(numbered(plan))


def numbered(plan: Plan) -> list[str]:
    """Its steps, a line each; a run that goes on may have none left."""
    return [f"{i}. {s.title()}" for i, s in enumerate(plan.steps, 1)] or ["no step is left to do"]


def plan_card(plan: Plan, *, dry: bool) -> Card:
    """A dry run, or a plan with nothing left to do."""
    if plan.empty:
        why = f"nothing to do: {escape(plan.procedure.ended(plan.cluster))} already. Nothing was changed."
        return Card(f"{title(plan)}: {why}", (section(f"*{title(plan)}* · {why}"),))
    head = f"*{title(plan)}* · dry run, nothing was changed" if dry else f"*{title(plan)}*"
    text = f"Dry run of {title(plan)}, nothing was changed. {plain(impact(plan))} Steps: {steps_line(plan)}"
    return Card(text, (section(head), section(impact(plan)), section("\n".join(numbered(plan)))))
