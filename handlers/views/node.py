"""One node as people read it: state, health layers, containers, the ends of its logs. Pure."""

from handlers.slack.blocks import Block, Card, clock, escape, section
from handlers.views import node_state
from services.cloud.node_report import Inside, NodeReport
from services.cluster.model import Cluster, Droplet, short
from services.common.observed import NotSeen, Observed
from services.common.text import count, listed
from services.steps.node_text import meets

ROOM = 2400
MANY = 8


def node_card(report: NodeReport, at: float) -> Card:
    """What `status NODE` answers."""
    cluster, node = report.cluster, report.node
    droplet = node if isinstance(node, Droplet) else node.droplet
    name = short(droplet.name, cluster.stack)
    lines = [
        *_layers(report, droplet),
        *(
            _inside(report.inside)
            if report.inside
            else [f":warning: inside: {escape(report.trouble)}"]
        ),
    ]
    head = f"*{escape(name)}* of {cluster.name} · {clock(at)}\n{escape(droplet.name)} · id {droplet.id} · {escape(droplet.size)}"
    blocks: list[Block] = [section(head), section("\n".join(lines))]
    inside = report.inside
    if inside is not None and inside.errors:
        blocks.append(section(f":warning: *nodes_errors.log* (its end)\n{_quoted(inside.errors)}"))
    if inside is not None and inside.log:
        blocks.append(
            section(
                f"*Journal of OpenVidu* (its end; what looks like a secret is masked)\n{_quoted(inside.log)}"
            )
        )
    told = "; ".join(_spoken(line) for line in lines)
    errors = (
        f" nodes_errors.log has {count(len(inside.errors), 'line')}: {' / '.join(inside.errors)}"
        if inside and inside.errors
        else ""
    )
    return Card(f"{name} of {cluster.name}: {told}.{escape(errors)}", tuple(blocks))


def _layers(report: NodeReport, droplet: Droplet) -> list[str]:
    """From the outside in: the droplet, its own health page, the public address."""
    cluster, node = report.cluster, report.node
    change = ", being changed" if droplet.locked else ""
    lines = [f"{_mark(good=droplet.active)} droplet: {escape(droplet.status)}{change}"]
    if isinstance(node, Droplet):
        return [
            *lines,
            f"{_mark(good=droplet.healthy)} health page: {_answer(droplet.healthy)}",
            _front(cluster),
        ]
    lines.append(f"{_mark(good=node.serving)} meetings: {node_state(node)}{_carries(report)}")
    return lines


def _front(cluster: Cluster) -> str:
    if not cluster.has_front:
        return "– public address: none is configured"
    return f"{_mark(good=cluster.front)} public address, through the load balancer: {_answer(cluster.front)}"


def _answer(seen: Observed[bool]) -> str:
    if isinstance(seen, NotSeen):
        return f"not seen: {escape(seen.reason)}" if seen.since else "not looked at"
    return "answers" if seen else "answers, but not with 200"


def _carries(report: NodeReport) -> str:
    node = report.node
    if isinstance(node, Droplet) or isinstance(node.look, NotSeen) or not node.look.running:
        return ""
    words = meets(node.look)
    return f", {escape(words)}" if words else ""


def _inside(inside: Inside) -> list[str]:
    unit = inside.unit or "there is none yet"
    lines = [f"{_mark(good=inside.unit == 'active')} OpenVidu's unit: {escape(unit)}"]
    if inside.refused:
        return [*lines, f"{_mark(good=False)} containers: not seen; {escape(inside.refused)}"]
    if not inside.containers:
        return [*lines, f"{_mark(good=False)} containers: none"]
    running = len([c for c in inside.containers if c[1] == "running"])
    said = f"{running} of {count(len(inside.containers), 'container')} {'runs' if running == 1 else 'run'}, no restarts"
    if inside.troubled:
        each = [
            f"{name} ({state}{', ' + count(again, 'restart') if again else ''})"
            for name, state, again in inside.troubled
        ]
        said = (
            said.removesuffix(", no restarts")
            + f"; look at {listed(each[:MANY])}"
            + (" and others" if len(each) > MANY else "")
        )
    lines.append(f"{_mark(good=not inside.troubled)} containers: {escape(said)}")
    if not inside.errors:
        lines.append(f"{_mark(good=True)} nodes_errors.log: nothing in it")
    return lines


def _mark(*, good: Observed[bool]) -> str:
    if isinstance(good, NotSeen):
        return "–"
    return "✓" if good else "✗"


def _spoken(line: str) -> str:
    return line.lstrip("✓✗– ").replace(":warning: ", "")


def _quoted(lines: tuple[str, ...]) -> str:
    """The newest that fit, as quoted lines."""
    kept: list[str] = []
    room = ROOM
    for line in reversed(lines):
        quoted = f"> {escape(line)}"
        room -= len(quoted) + 1
        if room < 0:
            break
        kept.append(quoted)
    return "\n".join(reversed(kept))
