"""Plans: impact first (people, outage, money, time, what cannot be undone), then steps."""

from handlers.blocks import Card, escape, section
from handlers.cards.words import people, plain
from services.plan import Plan
from services.prices import money
from services.steps.base import count, duration


def title(plan: Plan) -> str:
    """`Shut down acme`."""
    return f"{plan.procedure.verb} {escape(plan.procedure.about(plan.cluster))}"


def notice(plan: Plan) -> str:
    """What people will notice."""
    effects, load = plan.effects, plan.load
    now = people(load)
    if effects.cuts_off:
        lost = " Recordings that are running are lost." if load is None or load.recordings else ""
        return f"{now}. *They are cut off: running meetings are ended.*{lost}"
    if effects.blocks:
        quiet = load is not None and load.rooms == 0
        longest = f" (longest has run {duration(load.longest)})" if load is not None and load.rooms else ""
        return f"{now}. Nobody is cut off{'' if quiet else f': running meetings may finish{longest}'}."
    if effects.adds:
        return f"{now}; nobody is disturbed. {count(effects.adds, 'media node')} more can take meetings."
    return f"{now}; nobody is disturbed."


def outage(plan: Plan) -> str:
    """From when to when nobody is served; "" when there is no such time."""
    effects = plan.effects
    if not effects.down:
        return "From the moment it starts no new meeting can be opened on the nodes concerned." if effects.blocks else ""
    name = plan.cluster
    if plan.outage is None:
        return f"*From the moment it starts nobody can open a new meeting*, and then {name} is down until somebody starts it."
    return f"*From the moment it starts nobody can open a new meeting*, for about {duration(plan.outage)}."


def saving(plan: Plan) -> str:
    """What it does to the bill."""
    change = plan.saves
    gone = plan.media if (plan.effects.down or plan.effects.special) and not plan.money else 0
    what = f" ({count(gone, 'media node')})" if gone else ""
    said = [f"saves {money(change)}/h{what}"] if change > 0 else [f"costs {money(-change)}/h more"] if change < 0 else []
    if plan.unpriced:
        said = [f"what it saves or costs is unknown: DigitalOcean gave no price for {count(plan.unpriced, 'droplet')}"]
    if plan.money:
        said.append(plan.money)
    said = said or ["changes nothing"]
    if plan.effects.stops_masters and plan.effects.down:
        said.append(f"the masters stay billed while off ({money(plan.stays_billed)}/h)")
    return ". ".join([said[0], *(s[:1].upper() + s[1:] for s in said[1:])]) + "."


def takes(plan: Plan) -> str:
    """How long."""
    about = f"about {duration(plan.takes)}"
    return f"{about} after the last meeting." if plan.effects.blocks and not plan.effects.cuts_off else f"{about}."


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
    return " · ".join(f"{i}. {s.title()}" for i, s in enumerate(plan.steps, 1))


def plan_card(plan: Plan, *, dry: bool) -> Card:
    """A dry run, or a plan with nothing left to do."""
    if plan.empty:
        why = f"nothing to do: {escape(plan.procedure.ended(plan.cluster))} already. Nothing was changed."
        return Card(f"{title(plan)}: {why}", (section(f"*{title(plan)}* · {why}"),))
    head = f"*{title(plan)}* · dry run, nothing was changed" if dry else f"*{title(plan)}*"
    numbered = "\n".join(f"{i}. {s.title()}" for i, s in enumerate(plan.steps, 1))
    text = f"Dry run of {title(plan)}, nothing was changed. {plain(impact(plan))} Steps: {steps_line(plan)}"
    return Card(text, (section(head), section(impact(plan)), section(numbered)))
