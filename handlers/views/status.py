"""The status of a cluster: its state, what is wrong, its facts, its nodes, and the next step."""

from collections.abc import Sequence

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
)
from handlers.slack.markup import time_of_day
from handlers.views.certificates import certificate_days
from handlers.views.cluster_facts import (
    OBSERVES_ONLY,
    UNREAD,
    backup_words,
    node_lines,
    problems,
    run_line,
    service_fields,
    state_of,
    stopped_nodes,
    waiting_line,
)
from handlers.views.conditions import condition_lines
from handlers.views.later import later_line
from handlers.views.offers import STATUS, Offer
from handlers.views.run import cancel_button
from handlers.views.text import MOST_IN_TEXT, one_line, without_formatting, word_count
from services.cluster.model import Cluster, MediaNode
from services.common.observed import Unobserved
from services.common.text import join_words
from services.operations.results import Status
from services.procedures import fleet
from services.steps.node_text import meetings_text, why_not_ready

LINES = 16  # lines of nodes that are shown
STEPS = 4  # buttons for the next step
REFRESH = STATUS.action
ON_THE_CARD = ("Backups", "Certificate")  # facts that a notification does not need


def status_card(
    status: Status,
    at: float,
    schedule: str = "",
    offered: Sequence[Offer] = (),
    *,
    decides: bool = False,
) -> Card:
    """Return the status of a cluster.

    `at`: now. `schedule`: its off-hours windows in words, "" without windows. `offered`: what the
    reader may do now. `decides`: whether they may decide about the open run.
    """
    cluster = status.cluster
    headline = state_of(cluster).headline(cluster.name)
    wrong = _wrong(status, at)
    facts = status_fields(status, at, schedule)
    moving = _moving(status)
    nodes = _nodes(cluster)
    blocks = (
        header(headline),
        *_paragraph([f":warning: {line}" for line in wrong]),
        fields(*facts),
        *_paragraph(moving),
        actions(*_next_steps(status, offered, decides=decides)),
        *_paragraph(nodes),
        context(_foot(cluster, at)),
    )
    spoken = [*wrong, *(f"{line}." for line in moving)]
    spoken += [f"{label}: {value}." for label, value in facts if label not in ON_THE_CARD]
    text = f"{headline}. {' '.join(spoken)}"
    if status.run is None and word_count(whole := " ".join([text, *_odd(nodes)])) <= MOST_IN_TEXT:
        text = whole
    return Card(without_formatting(text), blocks)


def _paragraph(lines: Sequence[str]) -> tuple[Block, ...]:
    if not lines:
        return ()
    return (section("\n".join(lines)),)


def status_fields(status: Status, at: float, schedule: str) -> tuple[tuple[str, str], ...]:
    """Return the facts of a status as pairs of label and value."""
    cluster = status.cluster
    facts = [*service_fields(cluster)]
    if status.observes:
        facts.append(("Mode", OBSERVES_ONLY))
    if schedule:
        facts.append(("Schedule", schedule))
    facts.append(("Backups", backup_words(cluster)))
    if days := certificate_days(status.certificate, at):
        facts.append(("Certificate", days))
    return tuple(facts)


def _wrong(status: Status, at: float) -> tuple[str, ...]:
    """Return what is wrong, with what the state store does not show or may lose."""
    busy = status.run is not None
    lines = [*problems(status.cluster, status.certificate, at, busy=busy)]
    lines += condition_lines(status.cluster, status.conditions)
    if not status.known:
        lines.append(UNREAD)
    return (*lines, *(f"{escape(caution)}." for caution in status.cautions))


def _moving(status: Status) -> list[str]:
    """Return one line for the open run, each request and each scheduled change."""
    lines = []
    if status.run is not None:
        lines.append(run_line(status.run))
    for request in status.waiting:
        waits = "Waiting to be started" if request.startable else "Waiting for approval"
        lines.append(f"{waits}: {waiting_line(request)}")
    lines += [f"Scheduled: {later_line(request)}" for request in status.later]
    return lines


def _next_steps(status: Status, offered: Sequence[Offer], *, decides: bool) -> list[Block]:
    run, name = status.run, status.cluster.name
    steps = []
    if run is not None and decides and run.cancel is None:
        steps.append(cancel_button(run, status.cluster))
    forms = [o for o in offered if o.form][:STEPS]
    return [
        *steps,
        *(button(o.label, o.action, name) for o in forms),
        button("Refresh", REFRESH, name),
    ]


def _foot(cluster: Cluster, at: float) -> str:
    parts = [f"As of {time_of_day(at)}"]
    if fleet.is_known(cluster):
        media = fleet.status_of(cluster)
        parts += [media.summary().rstrip("."), media.explanation()]
    return " · ".join(filter(None, parts))


# Nodes


def _nodes(cluster: Cluster) -> list[str]:
    stopped = stopped_nodes(cluster)
    media = [
        (n, "OpenVidu stopped" if n.id in stopped else f"{node_state(n)}{_carries(n)}")
        for n in cluster.media
    ]
    lines = node_lines(cluster, media)
    if len(lines) <= LINES:
        return lines
    return [*lines[:LINES], f"and {len(lines) - LINES} more lines; `/openvidu status NODE`"]


def _odd(nodes: Sequence[str]) -> list[str]:
    """Return the lines of nodes that are not simply in service, for the text alone."""
    return [f"{n}." for n in nodes if not (" · in service" in n or " · on, healthy" in n)]


def node_state(node: MediaNode) -> str:
    """Return the state of a media node: `in service`, `draining`."""
    look = node.look
    if node.member_status == "deleting":
        return "being deleted"
    if node.serving:
        return "in service"
    if isinstance(look, Unobserved):
        return _unseen_state(node, look)
    if node.contradiction:
        return f"unknown: {escape(node.contradiction)}"
    if node.draining:
        return "draining"
    if node.busy_with:
        return f"drained, still running {escape(join_words(node.busy_with))}"
    if node.drained and look.start:
        return "drained, out of service"
    return escape(why_not_ready(look))


def _unseen_state(node: MediaNode, look: Unobserved) -> str:
    if node.droplet.active and look.since:
        return f"on, not seen: {escape(one_line(look.reason))}"
    if node.droplet.off:
        return "powered off"
    return node.member_status or node.droplet.status


def _carries(node: MediaNode) -> str:
    look = node.look
    if isinstance(look, Unobserved) or not look.running:
        return ""
    meetings = meetings_text(look)
    if not meetings or (look.rooms == 0 and look.people == 0 and look.recordings == 0):
        return ""
    return f" · {escape(meetings)}"
