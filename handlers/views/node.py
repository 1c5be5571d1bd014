"""One node: its state, the layers of its health, its containers, the ends of its logs. Pure."""

from handlers.slack.blocks import Block, Card, context, escape, header, section
from handlers.slack.markup import time_of_day
from handlers.views import node_state
from handlers.views.cluster_facts import DROPLET, stopped_nodes, stopped_words
from handlers.views.conditions import condition_lines, node_facts
from services.cloud.node_report import NodeInside, NodeReport
from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, Droplet, FleetKind, MediaNode, short_name
from services.common.observed import Observed, Unobserved
from services.common.text import count_of, join_words
from services.steps.node_text import meetings_text

ROOM = 2400  # characters of a log's end
MANY = 8  # containers that are listed with their trouble
MARKS = {True: "✓", False: "✗"}
ANSWERS = {True: "answers", False: "answers, but not with 200"}
RUN = {1: "runs"}  # by number of containers


def node_card(report: NodeReport, at: float) -> Card:
    """Return the answer to `status NODE`. `at`: now."""
    cluster, droplet, inside = report.cluster, _droplet(report.node), report.inside
    name = short_name(droplet.name, cluster.stack)
    lines = _layers(report, droplet)
    if stop := stopped_nodes(cluster).get(droplet.id):
        lines.append(f":warning: OpenVidu was {stopped_words(stop)}")
    if inside:
        lines += _inside(inside)
        lines += [f":warning: {line}" for line in condition_lines(cluster, report.conditions)]
        lines += [fact for node in report.conditions for fact in node_facts(cluster, node)]
    elif not droplet.off:
        lines.append(f":warning: Inside: {escape(report.trouble)}")
    # What is wrong comes first.
    lines.sort(key=_is_good)
    restarts = f"`/openvidu restart {escape(name)}` restarts it"
    if droplet.off and isinstance(report.node, MediaNode) and cluster.kind is FleetKind.FIXED:
        restarts = f"`/openvidu unpark {escape(name)}` powers it on"
    if stop:
        restarts = f"`/openvidu start {escape(name)}` starts OpenVidu there"
    foot = (
        f"As of {time_of_day(at)} · {escape(droplet.name)} · id {droplet.id} · "
        f"{escape(droplet.size)} · {restarts}"
    )
    text = f"{name} of {cluster.name}: {'; '.join(_spoken(line) for line in lines)}."
    if inside and inside.errors:
        errors = f"{count_of(len(inside.errors), 'line')}: {' / '.join(inside.errors)}"
        text += escape(f" nodes_errors.log has {errors}")
    head = header(f"{name} of {cluster.name}")
    return Card(text, (head, section("\n".join(lines)), *_logs(inside), context(foot)))


def _is_good(line: str) -> bool:
    return not line.startswith((MARKS[False], ":warning:"))


def _droplet(node: Droplet | MediaNode) -> Droplet:
    if isinstance(node, Droplet):
        return node
    return node.droplet


def _logs(inside: NodeInside | None) -> list[Block]:
    blocks = []
    if inside is not None and inside.errors:
        title = ":warning: *nodes_errors.log* (its end)"
        blocks.append(section(f"{title}\n{_quoted(inside.errors)}"))
    if inside is not None and inside.log:
        title = "*Journal of OpenVidu* (its end; what looks like a secret is masked)"
        blocks.append(section(f"{title}\n{_quoted(inside.log)}"))
    return blocks


def _layers(report: NodeReport, droplet: Droplet) -> list[str]:
    """List the layers from the outside in: droplet, health page or meetings, public address."""
    if droplet.off:
        return [f"{_mark(good=False)} Droplet: powered off, so nothing runs there"]
    node, status = report.node, DROPLET.get(droplet.status, escape(droplet.status))
    if droplet.locked:
        status += ", being changed"
    lines = [f"{_mark(good=droplet.active)} Droplet: {status}"]
    if isinstance(node, Droplet):
        page = f"{_mark(good=droplet.healthy)} Health page: {_answer(droplet.healthy)}"
        # On a Single Node its pages answer also while no one can meet there.
        hosted = [_meetings(n) for n in report.cluster.media if n.id == node.id]
        return [*lines, page, *hosted, _front(report.cluster)]
    return [*lines, _meetings(node)]


def _meetings(node: MediaNode) -> str:
    return f"{_mark(good=node.serving)} Meetings: {node_state(node)}{_carries(node)}"


def _front(cluster: Cluster) -> str:
    if not cluster.has_front:
        return "– Public address: none is configured"
    answer = _answer(cluster.front)
    front = control_plane_of(cluster).front
    return f"{_mark(good=cluster.front)} Public address, through {front}: {answer}"


def _answer(seen: Observed[bool]) -> str:
    if not isinstance(seen, Unobserved):
        return ANSWERS[seen]
    if seen.since:
        return f"not seen: {escape(seen.reason)}"
    return "not observed"


def _carries(node: MediaNode) -> str:
    if isinstance(node.look, Unobserved) or not node.look.running:
        return ""
    meetings = meetings_text(node.look)
    if not meetings:
        return ""
    return f", {escape(meetings)}"


def _inside(inside: NodeInside) -> list[str]:
    unit = inside.unit or "not installed yet"
    lines = [f"{_mark(good=inside.unit == 'active')} OpenVidu's unit: {escape(unit)}"]
    if inside.refused:
        return [*lines, f"{_mark(good=False)} Containers: not seen; {escape(inside.refused)}"]
    if not inside.containers:
        return [*lines, f"{_mark(good=False)} Containers: none"]
    containers = escape(_containers(inside))
    lines.append(f"{_mark(good=not inside.troubled)} Containers: {containers}")
    if not inside.errors:
        lines.append(f"{_mark(good=True)} nodes_errors.log: nothing in it")
    return lines


def _containers(inside: NodeInside) -> str:
    running = len([state for _, state, _ in inside.containers if state == "running"])
    total = count_of(len(inside.containers), "container")
    summary = f"{running} of {total} {RUN.get(running, 'run')}"
    if not inside.troubled:
        return f"{summary}, no restarts"
    troubled = [_troubled(*container) for container in inside.troubled]
    summary += f"; look at {join_words(troubled[:MANY])}"
    if len(troubled) > MANY:
        summary += " and others"
    return summary


def _troubled(name: str, state: str, restarts: int) -> str:
    if not restarts:
        return f"{name} ({state})"
    return f"{name} ({state}, {count_of(restarts, 'restart')})"


def _mark(*, good: Observed[bool]) -> str:
    if isinstance(good, Unobserved):
        return "–"
    return MARKS[good]


def _spoken(line: str) -> str:
    return line.lstrip("✓✗– ").replace(":warning: ", "")


def _quoted(lines: tuple[str, ...]) -> str:
    """Return the newest lines that fit, as quotes."""
    newest: list[str] = []
    room = ROOM
    for line in reversed(lines):
        quoted = f"> {escape(line)}"
        room -= len(quoted) + 1
        if room < 0:
            break
        newest.append(quoted)
    return "\n".join(reversed(newest))
