"""Plans: impact first (people, outage, money, time, what is not reversible), then steps."""

from decimal import Decimal

from handlers.slack.blocks import Card, escape, section
from handlers.views.text import people, without_formatting
from services.billing.prices import money, per_hour
from services.common.observed import Unobserved
from services.common.text import count_of, duration
from services.procedures.plan import Plan
from services.steps import Effects

NO_NEW_MEETING = "From the moment it starts nobody can open a new meeting"
STAYS = {1: "stays"}  # by number of nodes


def title(plan: Plan) -> str:
    """Return `Shut down acme`."""
    return f"{plan.procedure.verb} {escape(plan.procedure.target_text(plan.cluster))}"


def impact_on_meetings(plan: Plan) -> str:
    """Describe what people in meetings will notice."""
    effects, load = plan.effects, plan.meetings
    if isinstance(load, Unobserved):
        return f"{_unknown(effects)} How many meetings run is unknown: {escape(load.reason)}."
    now = people(load)
    if effects.cuts_off:
        disconnected = f"{now}. *Everyone in them is disconnected.*"
        if load.recordings:
            return f"{disconnected} Running recordings are lost."
        return disconnected
    if effects.blocks and load.idle:
        return f"{now}. No one is disconnected."
    if effects.blocks and load.rooms:
        longest = duration(load.longest)
        return f"{now}. They can finish (the longest has run {longest}); no one is disconnected."
    if effects.blocks:
        return f"{now}. They can finish; no one is disconnected."
    if effects.adds:
        more = count_of(effects.adds, "media node")
        return f"{now}; no one is disconnected. {more} more can take meetings."
    return f"{now}; no one is disconnected."


def _unknown(effects: Effects) -> str:
    """Return the impact where LiveKit did not show who is in a meeting."""
    if effects.cuts_off:
        return "*Everyone who is in a meeting is disconnected, and running recordings are lost.*"
    if effects.blocks:
        return "Running meetings can finish first."
    return "Ends no meeting."


def outage(plan: Plan) -> str:
    """Describe from when to when no new meeting can be opened; "" without such a time."""
    effects, name = plan.effects, plan.cluster
    if not effects.down and effects.blocks:
        return "From the moment it starts no new meeting can be opened on the nodes concerned."
    if not effects.down:
        return ""
    if effects.keeps:
        nodes, verb = count_of(effects.keeps, "media node"), STAYS.get(effects.keeps, "stay")
        return (
            f"*{nodes} {verb} in service* until no one meets there, or people decide to drain all."
            f" Then no new meeting can be opened, {_until_started(plan)}."
        )
    if plan.outage is None:
        return f"*{NO_NEW_MEETING}*, and then {name} is down until somebody starts it."
    return f"*{NO_NEW_MEETING}*, for about {duration(plan.outage)}."


def _until_started(plan: Plan) -> str:
    if plan.outage is None:
        return f"and {plan.cluster} is down until it is started again"
    return f"for about {duration(plan.outage)}"


def cost_change(plan: Plan) -> str:
    """Describe the change of the bill."""
    effects = plan.effects
    sentences = _hourly_change(plan)
    if plan.saves is None:
        sentences.append(
            "what it changes is unknown: DigitalOcean's price of a droplet was not seen"
        )
    if plan.money:
        sentences.append(plan.money)
    if not sentences:
        sentences.append("changes nothing")
    if effects.stops_masters and effects.down:
        sentences.append(f"the masters stay billed while off ({per_hour(plan.stays_billed)})")
    first, *others = sentences
    return ". ".join([first, *(s[:1].upper() + s[1:] for s in others)]) + "."


def _hourly_change(plan: Plan) -> list[str]:
    change, effects = plan.saves or Decimal(0), plan.effects
    if change < 0:
        return [f"costs {money(-change)}/h more"]
    if change == 0:
        return []
    removes_nodes = (effects.down or effects.special) and not plan.money
    if removes_nodes and plan.media:
        return [f"saves {money(change)}/h ({count_of(plan.media, 'media node')})"]
    return [f"saves {money(change)}/h"]


def expected_duration(plan: Plan) -> str:
    """Return how long the plan takes."""
    about = f"about {duration(plan.takes)}"
    if plan.effects.blocks and not plan.effects.cuts_off:
        return f"{about} after the last meeting."
    return f"{about}."


def impact(plan: Plan) -> str:
    """Describe the impact: people, outage, money, time, what is not reversible."""
    lines = [f"*What people will notice* {impact_on_meetings(plan)}"]
    if no_meetings := outage(plan):
        lines.append(no_meetings)
    lines.append(f"*Money* {cost_change(plan)}")
    last = f"*Takes* {expected_duration(plan)}"
    if plan.effects.irreversible:
        last += f" *Cannot be taken back*: {'; '.join(plan.effects.irreversible)}."
    lines.append(last)
    lines += [f"{note[:1].upper()}{note[1:]}." for note in plan.notes]
    if plan.effects.special:
        lines.append(f":warning: *Approving this says*: {'; '.join(plan.effects.special)}.")
    return "\n".join(lines)


def steps_line(plan: Plan) -> str:
    """Return `1. Drain 3 media nodes · 2. Media pool 3 → 0`."""
    return " · ".join(numbered(plan))


def numbered(plan: Plan) -> list[str]:
    """Return one line per step. A run that goes on may have no step left."""
    return [f"{i}. {s.title()}" for i, s in enumerate(plan.steps, 1)] or ["no step is left to do"]


def plan_card(plan: Plan, *, dry: bool) -> Card:
    """Return the card of a dry run, or of a plan with nothing left to do."""
    name = title(plan)
    if plan.is_empty:
        already = escape(plan.procedure.outcome_text(plan.cluster))
        reason = f"nothing to do: {already} already. Nothing was changed."
        return Card(f"{name}: {reason}", (section(f"*{name}* · {reason}"),))
    head = f"*{name}*"
    if dry:
        head += " · dry run, nothing was changed"
    steps = numbered(plan)
    consequences = without_formatting(impact(plan))
    text = f"Dry run of {name}, nothing was changed. {consequences} Steps: {steps_line(plan)}"
    return Card(text, (section(head), section(impact(plan)), section("\n".join(steps))))
