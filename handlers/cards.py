"""What people read: plans, runs, questions, status. Pure functions from values to cards; impact before steps, numbers with units."""

import re
from decimal import Decimal

from handlers.blocks import Block, Card, actions, button, clock, context, cut, day, escape, section
from services.cluster import Cluster, Droplet, Load, MediaNode, short
from services.decisions import Request, RequestState
from services.desk import Status
from services.executor import Progress
from services.plan import Plan
from services.policy import Actor
from services.prices import hourly, money
from services.procedures.backup import newest_words
from services.runs import Noted, Run, State
from services.steps.base import count, duration, listed

REASON = 300  # characters of a reason that a card shows
APPROVE, REJECT, DETAILS, CANCEL, RESUME, ABANDON, ANSWER = "approve", "reject", "details", "cancel", "resume", "abandon", "answer"


# Plans


def title(plan: Plan) -> str:
    """`Shut down acme`."""
    return f"{plan.procedure.verb} {escape(plan.procedure.about(plan.cluster))}"


def people(load: Load | None) -> str:
    """`3 meetings, 14 people, 1 recording now`."""
    if load is None:
        return "how many meetings are running is unknown (LiveKit is not configured here, or does not answer)"
    if not (load.rooms or load.recordings or load.ingresses):
        return "no meetings now"
    said = [count(load.rooms, "meeting"), count(load.people, "person")]
    if load.recordings:
        said.append(count(load.recordings, "recording"))
    if load.ingresses:
        said.append(count(load.ingresses, "ingress").replace("ingresss", "ingresses"))
    return ", ".join(said) + " now"


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


def _asked(who: Actor, reason: str) -> str:
    return f"asked by {who.mention}{_why(reason)}"


def _why(reason: str) -> str:
    """The reason as one line of italics, short enough to leave room for the rest."""
    line = " ".join(reason.split())
    return f" · _{escape(cut(line, REASON))}_" if line else ""


def plain(text: str) -> str:
    """The words of a card for its `text`: without the marks of formatting; mentions and dates stay whole."""
    parts = re.split(r"(<[^>]*>)", text.replace(":warning: ", ""))
    marks = r"[*`]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9\u200b])"  # an underscore inside of a name is part of it, escaped or not
    return "".join(part if part.startswith("<") else re.sub(marks, "", part) for part in parts)


def request_card(request: Request, approvers: str) -> Card:
    """A plan that waits for approval, or what became of it."""
    plan = request.plan
    head = f"*{title(plan)}* · {_asked(request.requester, request.reason)}"
    if request.state is not RequestState.OPEN:
        said = _closed(request)
        return Card(f"{title(plan)}, asked by {request.requester.mention}: {plain(said)}", (section(f"{head}\n{said}"),))
    left = request.needs - len(request.approvals)
    so_far = f"approved by {listed(a.mention for a in request.approvals)}; " if request.approvals else ""
    waits = (
        f"{so_far}needs {'one approval' if left == 1 else f'{left} approvals'} by {approvers}, because {request.why} "
        f"· until {clock(request.until)}"
    )
    confirm = "; ".join(plan.effects.special) or ("this ends running meetings" if plan.effects.cuts_off else "")
    text = f"{title(plan)}, {_asked(request.requester, request.reason)}. {plain(impact(plan))} {plain(waits)}"
    return Card(
        text,
        (
            section(head),
            section(impact(plan)),
            section(steps_line(plan)),
            context(waits),
            actions(
                button("Approve", APPROVE, request.id, style="primary", confirm=f"{title(plan)}: {confirm}." if confirm else ""),
                button("Reject", REJECT, request.id),
                button("Details", DETAILS, request.id),
            ),
        ),
    )


def _closed(request: Request) -> str:
    by = f" by {request.closed_by.mention}" if request.closed_by else ""
    at = clock(request.closed_at)
    match request.state:
        case RequestState.APPROVED:
            return f"approved{by} {at}, running as `{request.run}`"
        case RequestState.REJECTED:
            return f"rejected{by} {at}. Nothing was changed."
        case RequestState.EXPIRED:
            return f"expired {at}: nobody approved it in time. Nothing was changed; ask again with {_again(request)}."
        case _ if not request.replaced_by:
            changed = f"what it was about has changed since ({at}), so it cannot be done as asked"
            return f"{changed}. Nothing was changed; ask again with {_again(request)}."
        case _:
            return f"the cluster changed since this was asked for ({at}): the new plan is below. Nothing was changed."


def _again(request: Request) -> str:
    return f"`/openvidu {request.plan.procedure.words()}`"


def plan_card(plan: Plan, *, dry: bool) -> Card:
    """A dry run, or a plan with nothing left to do."""
    if plan.empty:
        text = f"{title(plan)}: nothing to do, {plan.cluster} is so already. Nothing was changed."
        return Card(text, (section(f"*{title(plan)}* · nothing to do: {plan.cluster} is so already. Nothing was changed."),))
    head = f"*{title(plan)}* · dry run, nothing was changed" if dry else f"*{title(plan)}*"
    numbered = "\n".join(f"{i}. {s.title()}" for i, s in enumerate(plan.steps, 1))
    text = f"Dry run of {title(plan)}, nothing was changed. {plain(impact(plan))} Steps: {steps_line(plan)}"
    return Card(text, (section(head), section(impact(plan)), section(numbered)))


def details_card(request: Request, approvers: str) -> Card:
    """What the Details button shows: each step, who may approve, what the approval is bound to."""
    plan = request.plan
    numbered = "\n".join(f"{i}. {s.title()}" for i, s in enumerate(plan.steps, 1))
    bound = (
        f"Made {clock(plan.made_at)}. The approval is bound to exactly this (`{plan.digest[:12]}`): if a droplet, the pool or a step "
        f"changes, the new plan is shown instead. It may be given by {approvers}, once."
    )
    return Card(f"{title(plan)}. Steps: {steps_line(plan)}. {plain(bound)}", (section(numbered), context(bound)))


# Runs


def run_card(progress: Progress) -> Card:
    """A run in one message: what is done, what is being waited for and until when, what people can do about it."""
    run = progress.run
    if run.over:
        return _end_card(run)
    head = f"*{run.plan.procedure.doing} {escape(run.plan.procedure.about(run.cluster))}* · {_by(run)} · run `{run.id}`"
    lines = "\n".join(_step_lines(progress))
    blocks: list[Block] = [section(head), section(lines)]
    if run.state is State.STOPPED:
        held = f"{run.cluster} stays claimed until somebody presses Resume or Abandon"
        said = f":warning: *{run.id} has stopped*: {escape(run.stopped)}. {held}."
        blocks += [section(said), actions(*_stopped_buttons(run))]
        return Card(f"{run.id} has stopped: {escape(run.stopped)}. Press Resume or Abandon. {plain(head)}", tuple(blocks))
    if run.question is not None:
        said = f":warning: *{run.id} needs a decision* · {escape(run.question.text)}"
        blocks += [section(said), actions(*_answer_buttons(run))]
        return Card(f"{run.id} needs a decision: {escape(run.question.text)} {plain(head)}", tuple(blocks))
    foot = _foot(progress)
    blocks.append(context(foot))
    if run.cancel is None:
        stays = "; ".join(run.stays_done) or "nothing so far"
        cancel = button("Cancel…", CANCEL, run.id, confirm=f"It stops at the next safe point. Stays done: {stays}. {_begun(run)}")
        blocks.append(actions(cancel))
    return Card(f"{plain(head)}. {plain(lines)}. {plain(foot)}", tuple(blocks))


def _by(run: Run) -> str:
    approved = f", approved by {listed(a.mention for a in run.approvers)}" if run.approvers else ""
    return f"asked by {run.requester.mention}{approved} {clock(run.opened_at)}{_why(run.reason)}"


def _begun(run: Run) -> str:
    step = run.step
    if step is None or not run.asks:
        return ""
    return "" if step.breakable else f"“{step.title()}” is brought to its end first."


def _step_lines(progress: Progress) -> list[str]:
    run = progress.run
    reached = {r.step: r.at for r in run.reached}
    lines = []
    for index, step in enumerate(run.steps):
        if index in run.skipped:
            lines.append(f"– {step.title()} (skipped)")
        elif index in reached:
            lines.append(f"✓ {step.title()} · {clock(reached[index])}")
        elif index == run.position:
            lines.append(f"▸ *{step.title()}*{_waiting(progress)}")
        else:
            lines.append(f"○ {step.title()}")
    return lines


def _waiting(progress: Progress) -> str:
    run, step = progress.run, progress.run.step
    said = f" — {escape(progress.waits_for)}" if progress.waits_for else ""
    said += f" · waiting {duration(progress.at - run.step_began)}"
    if progress.until is not None and step is not None and run.question is None:
        said += f", {'asks you' if 'finish' in step.title() else 'stops and says so'} at {clock(progress.until)}"
    return said


def _foot(progress: Progress) -> str:
    run = progress.run
    said = f"as of {clock(progress.at)} · running for {duration(progress.at - run.opened_at)}"
    if progress.cluster is not None:
        left = sum(s.takes(progress.cluster) for s in run.steps[run.position :])
        meetings = " after the last meeting" if run.plan.effects.blocks and run.position == 0 else ""
        said += f" · about {duration(left)} left{meetings}"
    if run.cancel is not None:
        said += f" · {run.cancel.mention} cancelled it; it stops at the next safe point"
    if progress.trouble:
        said += f" · {escape(progress.trouble)}; trying again, nothing is lost"
    return said


def _answer_buttons(run: Run) -> list[Block]:
    question = run.question
    assert question is not None, "only asked while there is one"
    made = []
    for choice in question.choices:
        confirm = f"{choice.label}: {escape(choice.loses)}." if choice.loses else ""
        value = f"{run.id}|{question.id}|{choice.id}"
        made.append(button(choice.label, f"{ANSWER}:{choice.id}", value, style="danger" if choice.loses else "", confirm=confirm))
    return made


def _stopped_buttons(run: Run) -> list[Block]:
    stays = "; ".join(run.stays_done) or "nothing was changed"
    return [
        button("Resume", RESUME, run.id, style="primary"),
        button("Abandon", ABANDON, run.id, confirm=f"Nothing more is done and {run.cluster} is free. Stays done: {stays}."),
    ]


def outcome(run: Run) -> str:
    """`acme is down`, `acme-17 was cancelled`."""
    match run.state:
        case State.DONE:
            return escape(run.plan.procedure.ended(run.cluster))
        case State.CANCELLED:
            return f"{run.id} was cancelled"
        case State.ABANDONED:
            return f"{run.id} was given up"
        case State.ROLLED_BACK if run.turned_back:
            return f"{run.cluster} stays up"
        case State.ROLLED_BACK:
            if run.end_text != run.recovering:  # something more has to be said: not everything is as it was
                return f"{run.id} did not work, and {run.cluster} was brought back"
            return f"{run.id} did not work and was put back as it was"
        case _:
            return f"{run.id} was left to be finished by hand"


def _end_card(run: Run) -> Card:
    what = outcome(run)
    by = f" by {run.ended_by.mention}" if run.ended_by else ""
    head = f"*{what}*{by} · {clock(run.ended_at)}, {duration(run.ended_at - run.opened_at)} · {_by(run)} · run `{run.id}`"
    changed = "; ".join(run.stays_done) or "nothing was changed"
    lines = [f"*{cut(sentence(_ready(run)), REASON)}*"] if run.by and run.state is State.DONE else []
    lines.append(f"*Changed* {changed}.")
    if run.end_text and run.end_text != changed:
        lines.append(f"*{'Because' if run.state is State.ROLLED_BACK else 'As it stands'}* {escape(run.end_text)}.")
    lines += [f"*Note* {escape(n.text)}." for n in run.notes if not n.text.startswith("still waiting")]
    if run.state is State.DONE:
        lines += [f"*Terraform* {line}." if "terraform" in line.lower() else f"{line}." for line in run.plan.afterwards]
    lines.append(f"*Next* {_next(run)}")
    return Card(f"{plain(head)}. {plain(' '.join(lines))}", (section(head), section("\n".join(lines))))


def _ready(run: Run) -> str:
    """`ready 2 min before 07:30 · start-up took 5 min`: a window says when it serves, not when it starts."""
    early = run.by - run.ended_at
    when = f"{duration(abs(early))} {'before' if early >= 0 else 'after'}" if abs(early) >= 1 else "just at"
    return f"ready {when} {run.edge.partition('T')[2][:5]} · start-up took {duration(run.ended_at - run.opened_at)}"


def _next(run: Run) -> str:
    if run.state is State.DONE:
        return run.plan.procedure.next_words(_remembered(run)) or f"`/openvidu status` shows {run.cluster} now"
    if run.plan.effects.blocks and not run.turned_back:
        return "`/openvidu status` shows what serves; `/openvidu startup` brings everything back"
    return f"`/openvidu status` shows {run.cluster} now"


def _remembered(run: Run) -> Cluster:
    return Cluster(name=run.cluster, stack=run.cluster, remembered=run.plan.media or None)


def end_notice(run: Run) -> str:
    """The one line that calls the requester back, in the thread."""
    return f"{run.requester.mention}, {outcome(run)} ({duration(run.ended_at - run.opened_at)})."


def picked_up(run: Run) -> str:
    """The grey line after a restart."""
    where = f"“{run.step.title()}”" if run.step else "the end"
    return f"bot restarted; picked up at {where}; no drain signal was sent again"


def stopped_notice(run: Run) -> str:
    """Calls people to a run that cannot go on."""
    return f"{_called(run)}, {run.id} has stopped: {escape(run.stopped)}. Press Resume or Abandon above."


def question_notice(run: Run) -> str:
    """Calls people to a question."""
    return f"{_called(run, *run.approvers)}, {run.id} needs a decision: {escape(run.question.text) if run.question else ''}"


def _called(run: Run, *others: Actor) -> str:
    """Who asked for it, and others; for a window those who approved it, as nobody is behind it at this hour."""
    people = run.approvers if run.requester.window else (run.requester, *others)
    return listed(dict.fromkeys(a.mention for a in people)) or run.requester.mention


def note(event: Noted) -> str:
    """A remark in the thread."""
    return escape(event.text)


# Status


def status_card(status: Status, at: float, hours: str = "") -> Card:
    """A cluster as it is now. `hours`: what its windows say, if there are any."""
    cluster = status.cluster
    head = f"*{cluster.name}* · {_state_of(cluster)} · {clock(at)}"
    if cluster.problem:
        head += f"\n:warning: {escape(cluster.problem)}. Nothing can be changed here."
    lines = [_masters_line(m, cluster) for m in cluster.masters]
    blocks = [section(head)]
    if lines:
        blocks.append(section("*Masters*\n" + "\n".join(lines)))
    blocks.append(section("*Media nodes* " + _pool_lines(cluster)))
    blocks.append(section(f"*Meetings* {people(cluster.load)}."))
    blocks.append(section(f"*Cost now* {_cost(cluster)}"))
    kept = newest_words(cluster)
    backups = f"*Backups* {kept}. " if kept else ""
    if backups:
        blocks.append(section(backups.strip()))
    hours = f"*Hours* {hours}. " if hours else ""
    if hours:
        blocks.append(section(hours.strip()))
    run = _run_lines(status)
    blocks.append(section(run))
    media = f"Media nodes {plain(_pool_lines(cluster))} Meetings: {people(cluster.load)}."
    return Card(f"{plain(head).rstrip('.')}. {media} Cost {_cost(cluster)} {plain(backups)}{plain(hours)}{plain(run)}", tuple(blocks))


def _state_of(cluster: Cluster) -> str:
    if not cluster.masters:
        return "not found"
    if cluster.down:
        return "down"
    if cluster.up and all(m.healthy for m in cluster.masters):
        if not cluster.serving:
            return "masters up, nobody can meet: no media node serves"
        return "up" if cluster.front is not False else "up, but the public address does not answer through the load balancer"
    return "partly up"


def _masters_line(master: Droplet, cluster: Cluster) -> str:
    health = {True: "healthy", False: "not healthy", None: "health unknown"}[master.healthy]
    state = f"{master.status}{', being changed' if master.locked else ''}"
    return f"{short(master.name, cluster.stack)} · {state} · {master.size}" + (f" · {health}" if master.status == "active" else "")


def node_state(node: MediaNode) -> str:
    """What a media node does now: `serving`, `finishing its meetings`."""
    if node.member_status == "deleting":
        return "going"
    if node.serving:
        return "serving"
    if node.draining:
        return "finishing its meetings"
    if node.drained:
        return "drained, takes no meetings"
    if node.look is None:
        return f"{node.droplet.status}, not reachable by SSH" if node.droplet.active else (node.member_status or node.droplet.status)
    return node.member_status or node.droplet.status


def _pool_lines(cluster: Cluster) -> str:
    pool = cluster.pool
    lines = [f"pool at {pool.target}, {count(len(cluster.media), 'droplet')} of {pool.size}." if pool else "no pool is known."]
    lines += [f"{short(n.name, cluster.stack)} · {node_state(n)}" for n in cluster.media]
    if pool is not None and pool.trouble:
        lines.append(f":warning: DigitalOcean says: {escape(pool.trouble)}")
    return "\n".join(lines)


def _cost(cluster: Cluster) -> str:
    costs = hourly(cluster)
    off = sum((m.hourly for m in cluster.masters if m.off), Decimal(0))
    billed = f"; {money(off)}/h of it for masters that are off" if off else ""
    return f"{money(costs.total)}/h (media {money(costs.media)}, masters {money(costs.masters)}{billed})."


def _run_lines(status: Status) -> str:
    lines = []
    if status.run is not None:
        run = status.run
        doing = run.step.title() if run.step else "finishing"
        lines.append(f"*Open run* `{run.id}` {run.plan.procedure.words()} · {_by(run)} · {run.state}: {doing}")
    lines += [
        f"*Waits for approval* {title(w.plan)} · {_asked(w.requester, w.reason)} · until {clock(w.until)}" for w in status.waiting
    ]
    return "\n".join(lines) or "*Open run* none."


def runs_card(name: str, runs: list[Run]) -> Card:
    """The newest runs."""
    if not runs:
        return Card(f"{name} has had no runs yet.", (section(f"*{name}* has had no runs yet."),))
    lines = [f"`{r.id}` {r.plan.procedure.words()} · {r.state} · {day(r.opened_at)} · by {r.requester.mention}" for r in runs]
    return Card(f"Runs of {name}: {plain('; '.join(lines))}", (section(f"*Runs of {name}*\n" + "\n".join(lines)),))


# Help

HELP_LINES = 10  # commands in a block; Slack takes 3,000 characters

PAGES = "https://openvidu.io/latest/docs/self-hosting"
OUTSIDE = (
    f"Not from chat, but at a keyboard: editing files under `config/` ({PAGES}/configuration/changing-config/), in-place upgrades "
    f"({PAGES}/ha/digitalocean/upgrade/), restic and mongodump backups, restore, uninstall ({PAGES}/ha/digitalocean/admin/)."
)


def help_card(usages: list[tuple[str, str]], may: str, extra: list[str]) -> Card:
    """Every command with its meaning, from the procedures themselves."""
    lines = [f"`/openvidu {usage}`\n{text}" for usage, text in usages]
    tail = [
        "Add `--dry-run` to see the plan only, `--reason \"…\"` to say why, `--cluster NAME` for another cluster than this channel's.",
        "In a thread, mention the bot instead: `@openvidu status`.",
        *extra,
        may,
    ]
    # What somebody may do comes first: a long text is cut at its end.
    text = f"{plain(may)} Commands: " + "; ".join(f"/openvidu {usage}" for usage, _ in usages) + ". " + plain(" ".join(tail[:-1]))
    parts = [section("\n".join(lines[n : n + HELP_LINES])) for n in range(0, len(lines), HELP_LINES)]
    return Card(text, (*parts, context("\n".join(tail))))


def words_card(text: str) -> Card:
    """A plain sentence."""
    return Card(text, (section(text),))


def sentence(text: str) -> str:
    """Lower-case words of an error as a sentence."""
    first = text[:1].upper() + text[1:] if not text.startswith(("<", "`")) else text
    return first if first.endswith((".", "?", "!")) else f"{first}."
