"""One change of several clusters as one card: every cluster's plan, and then how each stands. Pure.

Bounded for fifty clusters: a line for each, and in Details a paragraph for each.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from handlers.slack.blocks import (
    Block,
    Card,
    actions,
    button,
    context,
    escape,
    fields,
    header,
    section,
    truncate,
)
from handlers.slack.markup import markup, time_of_day
from handlers.views.approvals import called
from handlers.views.cluster_facts import run_step
from handlers.views.dry_run import OBSERVES, REQUEST
from handlers.views.plan import (
    alert_lines,
    back_in_service,
    cost_in_short,
    deciding,
    ends_service,
    expected_duration,
    facts,
    is_dangerous,
    noun,
    numbered,
    starting,
)
from handlers.views.request import APPROVE, DETAILS, REJECT
from handlers.views.run import CANCEL
from handlers.views.text import (
    full_stop,
    in_meetings,
    italic_reason,
    sentence,
    short_reason,
    text_card,
    with_remarks,
    without_formatting,
)
from handlers.views.windows import sections
from services.access.policy import Actor
from services.billing.prices import money
from services.cluster.model import Load
from services.common.markers import person
from services.common.observed import Unobserved
from services.common.text import count_of, duration, join_words, or_words, plural
from services.procedures.plan import Plan
from services.runs.batch import Batch, BatchState, Part, PartState
from services.runs.run import Run, State

LINE, SHORT_LINE = 400, 150  # characters of a cluster's line: where few, and where many are shown
MANY = 15  # clusters from which on lines are short
NAMED = 10  # clusters that a text names
PARAGRAPH = 1500  # characters of a cluster in Details
MARKER = re.compile(r"(\[\[[a-z]+ [^\[\]]*\]\])")
PEOPLE = 3  # who are named
MARKS = {
    PartState.REFUSED: "–",
    PartState.UNNEEDED: "✓",
    PartState.WAITING: "○",
    PartState.RUNNING: "▸",
    PartState.DONE: "✓",
    PartState.FAILED: "✗",
    PartState.CHANGED: "✗",
    PartState.DROPPED: "–",
}


@dataclass(frozen=True)
class BatchFacts:
    """What the card of a batch shows beside the batch itself.

    `plans` by cluster, `runs` and `links` (to their messages) by the run's id. `approvers`: who can
    approve all of it, as mentions; "" names and notifies no one.
    """

    plans: Mapping[str, Plan] = field(default_factory=dict)
    runs: Mapping[str, Run] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    approvers: str = ""


def batch_title(batch: Batch) -> str:
    """Return `Shut down 3 clusters`."""
    return _titled(batch, batch.procedure.verb)


def _titled(batch: Batch, verb: str) -> str:
    planned = batch.included or batch.of(PartState.WAITING) or batch.parts
    number = len(planned)
    return f"{verb} {escape(batch.procedure.target_text(count_of(number, 'cluster')))}"


def batch_card(
    batch: Batch,
    known: BatchFacts,
    *,
    dry: bool = False,
    observes: bool = False,
    offer: str = "",
) -> Card:
    """Return the card: the plans while it waits, then where each cluster stands.

    `dry`: a dry run; `offer`: its id, for the button that requests it. `observes`: this bot only
    observes.
    """
    if dry or observes or not batch.included:
        foot = OBSERVES if observes else "Nothing was changed."
        return _planned_card(batch, known, foot, dry=dry, offer=offer)
    if batch.state is BatchState.OPEN:
        return _open_card(batch, known)
    return _progress_card(batch, known)


# While it waits


def _planned_card(
    batch: Batch, known: BatchFacts, foot: str, *, dry: bool, offer: str = ""
) -> Card:
    """Return the card of a dry run, or of a change that there is nothing to do for."""
    state = ": nothing to do"
    if batch.included or known.plans:
        state = ": dry run" if dry else ": observed only"
    head = f"{batch_title(batch)}{state}"
    text = f"{head}. {_summary(batch, known)} {foot}"
    blocks = [header(head), *_sums(batch, known), *_plan_lines(batch, known), context(foot)]
    if offer:
        blocks.append(actions(button("Request this", REQUEST, offer, style="primary")))
    return Card(without_formatting(text), tuple(blocks))


def _open_card(batch: Batch, known: BatchFacts) -> Card:
    head = f"{batch_title(batch)}{_when(batch)}?"
    foot = context(f"{_requested(batch)} · {waits_for(batch, known)} · {_expires(batch)}")
    top = [header(head), *_warnings(known), *_sums(batch, known)]
    blocks = [*top, *_plan_lines(batch, known), foot, actions(*decide_buttons(batch, known))]
    return Card(_open_text(batch, known), tuple(blocks))


def _open_text(batch: Batch, known: BatchFacts) -> str:
    requester = batch.requester.mention
    subject = f"{batch_title(batch)}{_when(batch)}{short_reason(batch.reason)}."
    begins, ends = f"{requester} requests approval: {subject}", f"Needs {_needed(batch, known)}"
    if batch.startable:
        begins, ends = f"{requester} can start: {subject}", f"Start or cancel: {requester}"
    parts = [begins, _summary(batch, known), f"{ends}, by {time_of_day(batch.until)}."]
    return without_formatting(" ".join(filter(None, parts)))


def _summary(batch: Batch, known: BatchFacts) -> str:
    """Return in sentences which clusters, who is affected, what it costs, and what is left out."""
    sentences = []
    included = [p.cluster for p in batch.parts if p.cluster in known.plans]
    if included:
        sentences.append(f"On {_names(included)}.")
        sentences += [f"{label}: {value}." for label, value in _sum_facts(batch, known)[:3]]
    for state, words in (
        (PartState.REFUSED, "Not included"),
        (PartState.UNNEEDED, "Nothing to do"),
    ):
        if left := [p.cluster for p in batch.of(state)]:
            sentences.append(f"{words}: {_names(left)}.")
    return " ".join(sentences)


def _names(clusters: Sequence[str]) -> str:
    """Return the names of clusters, as many as a text has room for."""
    if len(clusters) <= NAMED:
        return join_words(clusters)
    return f"{', '.join(clusters[:NAMED])} and {len(clusters) - NAMED} more"


def _warnings(known: BatchFacts) -> list[Block]:
    """Return what an approval must not overlook, by what is lost, with the clusters."""
    by_line: dict[str, list[str]] = {}
    for name, plan in known.plans.items():
        if plan.effects.cuts_off:
            by_line.setdefault("*Ends running meetings*", []).append(_loss(name, plan))
        for line in deciding(plan):
            if not plan.effects.cuts_off:
                of_each = sentence(line.replace(name, "each of them"), ()).removesuffix(".")
                by_line.setdefault(of_each, []).append(name)
    lines = [f":warning: {markup(line)}: {_names(names)}." for line, names in by_line.items()]
    return sections("\n".join(lines)) if lines else []


def _loss(name: str, plan: Plan) -> str:
    load = plan.meetings
    if isinstance(load, Unobserved):
        return f"{name} (unknown how many)"
    return f"{name} ({load.rooms}: {in_meetings(load, lost=True)})" if not load.idle else name


def _sums(batch: Batch, known: BatchFacts) -> list[Block]:
    pairs = _sum_facts(batch, known)
    return [fields(*pairs)] if pairs else []


def _sum_facts(batch: Batch, known: BatchFacts) -> list[tuple[str, str]]:
    plans = list(known.plans.values())
    if not plans:
        return []
    down = sum(plan.effects.down for plan in plans)
    pairs = [("Meetings now", _meetings(plans)), ("Disconnected", _disconnected(plans))]
    if down:
        blocked = f"blocked on {count_of(down, 'cluster')}, each from its own start"
        pairs.append(("New meetings", blocked))
    pairs += [("Cost", _cost(plans)), ("Takes", _takes(batch, plans)), ("Order", _order(batch))]
    return [pair for pair in pairs if pair[1]]


def _meetings(plans: Sequence[Plan]) -> str:
    """Return the sum of what runs where the change touches meetings; "" where it touches none."""
    loads = [p.meetings for p in plans if p.effects.blocks or p.effects.down or p.effects.cuts_off]
    seen = [load for load in loads if isinstance(load, Load)]
    if not loads:
        return ""
    rooms = sum(load.rooms for load in seen)
    words = "none"
    if any(not load.idle for load in seen):
        people, taped = sum(x.people for x in seen), sum(x.recordings for x in seen)
        words = f"{rooms} ({count_of(people, 'person')}"
        words += f", {count_of(taped, 'recording')})" if taped else ")"
    if unknown := len(loads) - len(seen):
        words += f"; unknown on {count_of(unknown, 'cluster')}"
    return words


def _disconnected(plans: Sequence[Plan]) -> str:
    cutting = sum(plan.effects.cuts_off for plan in plans)
    if cutting:
        return f"everyone on {count_of(cutting, 'cluster')}"
    if any(plan.effects.blocks for plan in plans):
        return "no one; meetings finish first"
    return "no one"


def _cost(plans: Sequence[Plan]) -> str:
    """Return the sum of the hourly changes."""
    known = [plan.saves for plan in plans if plan.saves is not None]
    total = sum(known, Decimal(0))
    words = "no change per hour"
    if total > 0:
        words = f"saves {money(total)}/h"
    elif total < 0:
        words = f"costs {money(-total)}/h more"
    if unknown := len(plans) - len(known):
        words += f"; unknown on {count_of(unknown, 'cluster')}"
    return words


def _takes(batch: Batch, plans: Sequence[Plan]) -> str:
    """Return how long all of it takes, without waiting for meetings."""
    longest = max(plan.takes for plan in plans)
    whole = max(longest, sum(plan.takes for plan in plans) / batch.at_once)
    waits = any(plan.drain_timeout for plan in plans)
    return f"about {duration(whole)}{' plus the end of meetings' if waits else ''}"


def _order(batch: Batch) -> str:
    """Return `one at a time; stops after 1 failure`."""
    at_once = "one" if batch.at_once == 1 else str(batch.at_once)
    return f"{at_once} at a time; stops after {count_of(batch.stop_after, 'failure')}"


def _plan_lines(batch: Batch, known: BatchFacts) -> list[Block]:
    most = SHORT_LINE if len(batch.parts) > MANY else LINE
    lines = []
    for part in batch.parts:
        plan = known.plans.get(part.cluster)
        words = _why(part) if plan is None else _plan_words(plan)
        lines.append(truncate(f"{_mark(part)} *{part.cluster}* · {words}", most))
    return sections("\n".join(lines))


def _mark(part: Part) -> str:
    return ":no_entry_sign:" if part.state is PartState.REFUSED else MARKS[part.state]


def _why(part: Part) -> str:
    words = sentence(_safe(part.why), (part.cluster,)).removesuffix(".")
    if part.state is PartState.REFUSED:
        return f"not included: {words[:1].lower()}{words[1:]}"
    return words


def _safe(text: str) -> str:
    """Return text of a refusal or an error with its markers rendered, and all else escaped."""
    parts = MARKER.split(text)
    return "".join(markup(x) if MARKER.fullmatch(x) else escape(x) for x in parts)


def _plan_words(plan: Plan) -> str:
    """Return a plan in one line: people, outage, duration, cost, warnings."""
    if plan.effects.standing:
        words = [starting(step.title(), plan) for step in plan.steps]
        return " · ".join([*words, *filter(None, [plan.money])])
    words = [_people(plan)]
    if plan.effects.down:
        words.append(f"back {markup(back_in_service(plan))}")
    elif plan.effects.blocks:
        words.append("stays in service")
    words += [expected_duration(plan), cost_in_short(plan)]
    if plan.permanent:
        words.append("*not reversible*")
    if alerts := alert_lines(plan, most=1):
        words.append(alerts[0])
    return " · ".join(words)


def _people(plan: Plan) -> str:
    load = plan.meetings
    if isinstance(load, Unobserved):
        return "how many meetings run is unknown"
    if load.idle or not (plan.effects.blocks or plan.effects.down or plan.effects.cuts_off):
        return "no one is affected" if not plan.effects.down else "no meetings now"
    meetings = f"{count_of(load.rooms, 'meeting')} ({in_meetings(load)})"
    if plan.effects.cuts_off:
        return f"*ends {meetings}*"
    return f"{meetings} {plural(load.rooms, 'finishes', 'finish')} first"


def _requested(batch: Batch) -> str:
    label = f", label {batch.label}" if batch.label else ""
    return f"Requested by {batch.requester.mention}{short_reason(batch.reason)}{label}"


def _when(batch: Batch) -> str:
    return f" on {batch.moment}" if batch.later else ""


def _expires(batch: Batch) -> str:
    return f"expires {time_of_day(batch.until)} · `{batch.id}`"


def waits_for(batch: Batch, known: BatchFacts) -> str:
    """Return whose approval is missing: `needs @ben or @carla`."""
    if batch.startable:
        return f"needs no approval; only {batch.requester.mention} can start it"
    so_far = ""
    if batch.approvals:
        so_far = f"approved by {with_remarks(batch.approvals, batch.remarks)} · "
    return f"{so_far}needs {_needed(batch, known)}"


def _needed(batch: Batch, known: BatchFacts) -> str:
    if not known.approvers:
        return count_of(batch.left, "approval")
    if batch.left == 1:
        return known.approvers
    return f"{count_of(batch.left, 'approval')}: {known.approvers}"


def decide_buttons(batch: Batch, known: BatchFacts) -> list[Block]:
    """Return Approve, Reject, Details; what ends service or loses something asks twice."""
    plans = list(known.plans.values())
    confirm, style = "", "primary"
    if any(map(ends_service, plans)):
        pairs = "; ".join(f"{label}: {value}" for label, value in _sum_facts(batch, known)[:3])
        confirm = f"{batch_title(batch)}. {pairs}."
    if any(map(is_dangerous, plans)):
        style = "danger"
    name, of = noun(batch.procedure), count_of(len(batch.included), "cluster")
    verb, refuse = "Approve", "Reject…"
    if batch.startable:
        verb, refuse = "Start", "Cancel"
    return [
        button(f"{verb} {name} of {of}", APPROVE, batch.id, style=style, confirm=confirm),
        button(refuse, REJECT, batch.id),
        button("Details", DETAILS, batch.id),
    ]


# Afterwards


def _progress_card(batch: Batch, known: BatchFacts) -> Card:
    head = outcome_words(batch)
    facts_of_it = " · ".join(filter(None, (_attribution(batch), _order(batch), f"`{batch.id}`")))
    blocks: list[Block] = [header(head)]
    if why := _why_over(batch):
        blocks.append(section(why))
    if batch.state not in (BatchState.REJECTED, BatchState.EXPIRED):
        blocks += _part_lines(batch, known)
    if again := request_again(batch):
        blocks.append(section(again))
    blocks.append(context(facts_of_it))
    if batch.of(PartState.WAITING) or _cancellable(batch):
        blocks.append(actions(*_running_buttons(batch)))
    text = " ".join(filter(None, (f"{head}.", why, _counts(batch), again)))
    return Card(without_formatting(text), tuple(blocks))


def outcome_words(batch: Batch) -> str:
    """Return the state that people care about, for a header: `3 clusters are shut down`."""
    number, title = len(batch.included), batch_title(batch)
    done = len([p for p in batch.included if p.state in (PartState.DONE, PartState.UNNEEDED)])
    match batch.state:
        case BatchState.REJECTED:
            return f"{title}: {'cancelled' if not batch.needs else 'rejected'}"
        case BatchState.EXPIRED:
            return f"{title}: expired"
        case BatchState.APPROVED if not batch.over and batch.later and not _begun(batch):
            return f"{title}: scheduled for {batch.moment}"
        case BatchState.APPROVED if not batch.over:
            doing = _titled(batch, batch.procedure.doing)
            return f"{doing} · {done} of {number} done"
        case _ if batch.over and done == number:
            return f"{title}: done"
    words = f"{done} of {number} done"
    if batch.state is BatchState.CANCELLED:
        words = f"cancelled, {words}"
    elif batch.state is BatchState.STOPPED:
        words = f"stopped, {words}"
    return f"{title}: {words}"


def _begun(batch: Batch) -> bool:
    return any(p.state is not PartState.WAITING for p in batch.included)


def _cancellable(batch: Batch) -> bool:
    running = batch.of(PartState.RUNNING)
    return batch.state in (BatchState.APPROVED, BatchState.STOPPED) and bool(running)


def _why_over(batch: Batch) -> str:
    at, reason = time_of_day(batch.closed_at), italic_reason(batch.why_closed)
    by = f" by {markup(batch.closed_by.mention)}" if batch.closed_by is not None else ""
    match batch.state:
        case BatchState.REJECTED:
            verb = "Cancelled" if not batch.needs else "Rejected"
            return f"{verb}{by} {at}{reason}. Nothing was changed."
        case BatchState.EXPIRED:
            undone = "it was not started" if not batch.needs else "no one approved it"
            return f"Expired at {at}: {undone} in time. Nothing was changed."
        case BatchState.CANCELLED:
            return (
                f"Cancelled{by} {at}{reason}. What runs is cancelled too; the rest is not started."
            )
        case BatchState.STOPPED:
            whole = sentence(_safe(batch.why_closed), batch.clusters).removesuffix(".")
            return f":warning: The rest is {whole[:1].lower()}{whole[1:]} ({at})."
        case _:
            return ""


def _attribution(batch: Batch) -> str:
    requester = f"Requested by {batch.requester.mention}{italic_reason(batch.reason)}"
    if batch.agreed_at and batch.approvals:
        given = with_remarks(batch.approvals, batch.remarks)
        return f"{requester}, approved by {given} {time_of_day(batch.agreed_at)}"
    return requester


def _part_lines(batch: Batch, known: BatchFacts) -> list[Block]:
    most = SHORT_LINE if len(batch.parts) > MANY else LINE
    lines = [truncate(_part_line(part, known), most) for part in by_urgency(batch)]
    return sections("\n".join(lines))


def by_urgency(batch: Batch) -> list[Part]:
    """Return the parts, what is wrong first, then what runs, then the others in their order."""

    def key(part: Part) -> int:
        if part.paused or part.state in (PartState.FAILED, PartState.CHANGED):
            return 0
        if part.state is PartState.RUNNING:
            return 1
        return 2

    return sorted(batch.parts, key=key)


def _part_line(part: Part, known: BatchFacts) -> str:
    run = known.runs.get(part.run)
    words = [f"{MARKS[part.state]} *{part.cluster}*", part_state(part, run)]
    if part.run:
        link = known.links.get(part.run)
        words.append(f"<{link}|{part.run}>" if link else f"`{part.run}`")
    return " · ".join(words)


def part_state(part: Part, run: Run | None) -> str:
    """Return where a cluster stands. `run`: that of its part, for the step that it is at."""
    match part.state:
        case PartState.RUNNING if run is not None and run.question is not None:
            return f":warning: *needs a decision*: {run_step(run)}"
        case PartState.RUNNING if part.paused or (run is not None and run.state is State.STOPPED):
            return ":warning: *paused*: resume or abandon it at its own message"
        case PartState.RUNNING if run is not None:
            return run_step(run)
        case PartState.RUNNING:
            return "running"
        case PartState.WAITING if part.waits:
            return f":warning: waits: {sentence(_safe(part.waits), (part.cluster,))}"
        case PartState.WAITING:
            return "waits for its turn"
        case PartState.DONE:
            return "done"
        case PartState.UNNEEDED:
            return f"nothing to do: {_safe(part.why)}"
        case PartState.FAILED:
            return f"*failed*: the run was {_safe(part.why)}"
        case PartState.CHANGED:
            return f"*not done*: {_safe(part.why)}"
        case PartState.DROPPED:
            return _safe(part.why) if part.why.startswith("not started") else "not started"
        case _:
            return f"not included: {_safe(part.why)}"


def _counts(batch: Batch) -> str:
    """Return how many stand where, in sentences: which failed, which were not started."""
    sentences = []
    for state, words in (
        (PartState.FAILED, "Failed"),
        (PartState.CHANGED, "Not done"),
        (PartState.DROPPED, "Not started"),
        (PartState.RUNNING, "Running"),
        (PartState.WAITING, "Waiting"),
        (PartState.REFUSED, "Not included"),
    ):
        if names := [p.cluster for p in batch.of(state)]:
            sentences.append(f"{words}: {_names(names)}.")
    return " ".join(sentences)


def request_again(batch: Batch) -> str:
    """Return how to request what was not done, once it is over; "" when all is done."""
    if not batch.over or batch.state in (BatchState.REJECTED, BatchState.EXPIRED):
        return ""
    left = [p.cluster for p in batch.of(PartState.FAILED, PartState.CHANGED, PartState.DROPPED)]
    if not left:
        return ""
    command = f"/openvidu {batch.procedure.command_line()} --cluster {','.join(left)}"
    if len(command) > 900:
        return "The lines above name what was not done; request these clusters again."
    return f"To request what was not done: `{command}`"


def _running_buttons(batch: Batch) -> list[Block]:
    waiting, running = len(batch.of(PartState.WAITING)), len(batch.of(PartState.RUNNING))
    confirm = f"{count_of(waiting, 'cluster')} will not be started."
    if running:
        stop = f"{count_of(running, 'run')} {plural(running, 'stops', 'stop')}"
        confirm += f" {stop} at the next safe point; completed steps are not undone."
    return [
        button("Cancel all…", CANCEL, batch.id, confirm=confirm, keep="Keep running"),
        button("Details", DETAILS, batch.id),
    ]


# Details


def batch_details(batch: Batch, known: BatchFacts, approvers: Mapping[str, str]) -> list[Block]:
    """Return every cluster's plan with its steps. `approvers`: who can approve each, by cluster."""
    blocks: list[Block] = [header(batch_title(batch)), section(f"*Order*: {_order(batch)}")]
    blocks += [
        section(truncate(_paragraph(part, known, approvers), PARAGRAPH)) for part in batch.parts
    ]
    covers = "This covers exactly these plans. A cluster that has changed by its turn is left out."
    return [*blocks, context(covers)]


def _paragraph(part: Part, known: BatchFacts, approvers: Mapping[str, str]) -> str:
    plan = known.plans.get(part.cluster)
    if plan is None:
        return f"*{part.cluster}*\n{_why(part) or str(part.state)}"
    lines = [f"*{part.cluster}*", *(f":warning: {full_stop(markup(d))}" for d in deciding(plan))]
    lines += [f"{label}: {markup(value)}" for label, value in facts(plan)]
    lines += numbered(plan)
    lines += [f"• {starting(note, plan)}." for note in plan.notes]
    if who := approvers.get(part.cluster):
        lines.append(f"Can be approved by {who}")
    return "\n".join(map(markup, lines))


# What reaches people


def batch_approval_needed(batch: Batch, known: BatchFacts, whom: Sequence[str]) -> Card:
    """Return the message in the thread that notifies approvers: an edit of the card does not."""
    people = called(whom)
    title = batch_title(batch)
    inside = f"{title[:1].lower()}{title[1:]}" if people else title
    needs = f"*{inside}* needs your approval until {time_of_day(batch.until)}."
    line = f"{needs} {_summary(batch, known)} {_requested(batch)}."
    return text_card(f"{people}: {line}" if people else line)


def batch_notice(batch: Batch) -> str:
    """Return what the thread says at the end, to its requester; "" for nothing."""
    if not batch.over or (batch.state is BatchState.REJECTED and _by_requester(batch)):
        return ""
    requester = markup(batch.requester.mention)
    words = outcome_words(batch)
    return f"{requester}: {words[:1].lower()}{words[1:]}. {_counts(batch)}".rstrip()


def _by_requester(batch: Batch) -> bool:
    by: Actor | None = batch.closed_by
    return by is not None and by.key == batch.requester.key


def who_can(people: Collection[str]) -> str:
    """Return who can approve all of it: `@ben, @carla or 3 more approvers`."""
    mentions = [markup(person(one)) for one in sorted(people)]
    if len(mentions) > PEOPLE:
        mentions = [*mentions[:PEOPLE], count_of(len(mentions) - PEOPLE, "more approver")]
    return or_words(mentions) or "the bot's administrator"


def part_of(batch: str, link: str) -> Block:
    """Return the line of a run's message that leads to the message of its batch."""
    name = f"<{link}|{batch}>" if link else f"`{batch}`"
    return context(f"Part of a change of several clusters: {name}")


def about_batch(batch: Batch) -> str:
    """Return what a form says above the reason that it asks for."""
    lines = [f"*{batch_title(batch)}*", _names([p.cluster for p in batch.included])]
    if batch.state is not BatchState.OPEN:
        lines.append("What was not started is dropped; what runs stops at its next safe point.")
    return "\n".join(lines)


def batch_line(batch: Batch) -> str:
    """Return one line about a batch, for lists: `Shut down 3 clusters · 1 of 3 done`."""
    if batch.state is BatchState.OPEN:
        return f"*{batch_title(batch)}* · waits for approval until {time_of_day(batch.until)}"
    return f"*{escape(outcome_words(batch))}*"
