"""What the bot says about media nodes: who is in meetings there, what is lost with them. Pure."""

from services.cluster.model import Cluster, Load, MediaNode, NodeStatus, SigquitEffect, short_name
from services.common.markers import WARNING
from services.common.observed import Observed, Unobserved
from services.common.text import count_of, join_words, plural

CAPTIONS = "captions may stop in running meetings"
UNKNOWN = "number of people unknown"
NO_LOAD = Load(0, 0, 0)
FEW = 2  # nodes that are named in a headline


def node_names(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """Return the short names of all of these nodes."""
    return join_words(short_name(n.name, cluster.stack) for n in nodes)


def nodes_and_verb(cluster: Cluster, nodes: list[MediaNode], one: str, many: str) -> str:
    """Return `media-2 is`, `media-2 and media-3 are`."""
    return f"{node_names(cluster, nodes)} {plural(len(nodes), one, many)}"


def pool_problems(cluster: Cluster) -> str:
    """Return `; ` and why the pool cannot be edited or is short of droplets; "" when it is well."""
    pool = cluster.pool
    if pool is None:
        return ""
    return "".join(f"; {problem}" for problem in (pool.state, pool.trouble) if problem)


def missing_nodes(cluster: Cluster, ids: tuple[int, ...]) -> str:
    """Return which of these nodes cannot serve; "" when all are there and powered on.

    Such as `media-2 is powered off`, `1 media node was deleted`.
    """
    present = {n.id: n for n in cluster.media}
    off = [present[i] for i in ids if i in present and present[i].droplet.off]
    absent = [i for i in ids if i not in present]
    parts = []
    if off:
        parts.append(f"{nodes_and_verb(cluster, off, 'is', 'are')} powered off")
    if absent:
        parts.append(
            f"{count_of(len(absent), 'media node')} {plural(len(absent), 'was', 'were')} deleted"
        )
    return join_words(parts)


def load_text(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """Return what each node carries, or that it is unknown.

    Such as `media-2: 1 meeting, 2 people, 1 recording`.
    """
    per_node = " · ".join(f"{short_name(n.name, cluster.stack)}: {_carries(n)}" for n in nodes)
    extra = _uncounted(cluster, nodes)
    if not extra.people:
        return per_node
    people = count_of(extra.people, "person")
    counted = f"LiveKit counts {_counted_by_livekit(cluster)} in all"
    return f"{per_node} · {people} may be in meetings that no node reports ({counted})"


def drain_ends(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """Return what decides whether these nodes are drained, where the counts of people differ."""
    if not _uncounted(cluster, nodes).people:
        return ""
    return "A node is drained once its media server has ended"


def load_at_stake(cluster: Cluster, nodes: list[MediaNode]) -> Observed[Load]:
    """Return who is, or may be, in meetings on these nodes together.

    Not seen when the load of one of them is unknown.
    """
    total = _uncounted(cluster, nodes)
    for node in nodes:
        load = _load_of(node)
        if isinstance(load, Unobserved):
            return load
        total = total.plus(load)
    return total


def _load_of(node: MediaNode) -> Observed[Load]:
    if node.drained or node.busy_with:
        return NO_LOAD
    if isinstance(node.look, Unobserved):
        return node.look
    return _load(node.look)


def still_there(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """Return `media-1 still has 1 meeting`, or what else keeps these nodes, in a few words."""
    busy = [n for n in nodes if not n.drained] or nodes
    names = f"{len(busy)} media nodes"
    if len(busy) <= FEW:
        names = node_names(cluster, busy)
    load = load_at_stake(cluster, busy)
    if isinstance(load, Unobserved):
        return f"whether {names} still {plural(len(busy), 'has', 'have')} meetings is unknown"
    has = plural(len(busy), "has", "have")
    if load.rooms:
        return f"{names} still {has} {count_of(load.rooms, 'meeting')}"
    if load.people:
        return f"{names} still {has} {count_of(load.people, 'person')}"
    return f"{names} {plural(len(busy), 'is', 'are')} not drained"


def _uncounted(cluster: Cluster, nodes: list[MediaNode]) -> Load:
    """Return the load that LiveKit counts and no node's metrics show.

    Each of these nodes whose media server runs may carry it.
    """
    if not isinstance(cluster.load, Load) or all(n.drained or n.busy_with for n in nodes):
        return NO_LOAD
    counted = load_on_nodes(cluster)
    people = cluster.load.people - counted.people
    rooms = cluster.load.rooms - counted.rooms
    if people <= 0:
        return NO_LOAD
    return Load(max(0, rooms), people, 0)


def _counted_by_livekit(cluster: Cluster) -> int:
    return cluster.load.people if isinstance(cluster.load, Load) else 0


def load_on_nodes(cluster: Cluster) -> Load:
    """Return what the metrics of the nodes that were seen count together."""
    total = NO_LOAD
    for node in cluster.media:
        if isinstance(node.look, NodeStatus) and isinstance(load := _load(node.look), Load):
            total = total.plus(load)
    return total


def _load(look: NodeStatus) -> Observed[Load]:
    if isinstance(look.rooms, Unobserved):
        return look.rooms
    if isinstance(look.people, Unobserved):
        return look.people
    if isinstance(look.recordings, Unobserved):
        return look.recordings
    return Load(look.rooms, look.people, look.recordings)


def _carries(node: MediaNode) -> str:
    look = node.look
    if isinstance(look, Unobserved):
        return f"unknown ({look.reason}), {UNKNOWN}"
    if look.contradiction:
        return look.contradiction
    if node.busy_with:
        return f"no meetings; waits for {join_words(node.busy_with)} to end"
    load = meetings_text(look) or _runs(look)
    if look.undelivered:
        return f"drain signal not delivered ({look.undelivered}), {load}"
    return load


def _runs(look: NodeStatus) -> str:
    if look.running:
        return f"still running {join_words(look.running)}, {UNKNOWN}"
    return "nothing running"


def meetings_text(look: NodeStatus) -> str:
    """Return `1 meeting, 2 people, 1 recording`; "" when its metrics do not show it."""
    if isinstance(look.rooms, Unobserved) or isinstance(look.people, Unobserved):
        return ""
    parts = [count_of(look.rooms, "meeting"), count_of(look.people, "person")]
    if isinstance(look.recordings, Unobserved):
        parts.append(f"recordings unknown ({look.recordings.reason})")
    elif look.recordings:
        parts.append(count_of(look.recordings, "recording"))
    return ", ".join(parts)


def unseen_nodes(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """Return which of these nodes are not seen and why, or how observations contradict each other.

    "" when all of them are proved. Powered off ones are: DigitalOcean says that nothing runs there.
    """
    silent = [
        f"{short_name(n.name, cluster.stack)} cannot be observed ({n.look.reason})"
        for n in nodes
        if not n.droplet.off and isinstance(n.look, Unobserved)
    ]
    return "; ".join(silent) or cluster.contradiction


def in_service_until(cluster: Cluster, kept: tuple[MediaNode, ...], *, ends: bool) -> str:
    """Return `media-1 stays in service until it has no meetings`."""
    until = "another is in service"
    if ends:
        until = plural(len(kept), "it has no meetings", "none of them has meetings")
    stays = nodes_and_verb(cluster, list(kept), "stays", "stay")
    return f"{stays} in service until {until}"


def agents_lost(cluster: Cluster, nodes: list[MediaNode]) -> tuple[str, ...]:
    """Return which agents end with their node while they work, and of which this is unknown."""
    agents = [
        (f"`{agent.name}` on {short_name(n.name, cluster.stack)}", agent.on_sigquit)
        for n in nodes
        if isinstance(n.look, NodeStatus)
        for agent in n.look.agents
    ]
    ended = [
        name for name, reaction in agents if reaction in (SigquitEffect.DEAF, SigquitEffect.DIES)
    ]
    doubtful = [name for name, reaction in agents if reaction is SigquitEffect.UNKNOWN]
    silent = [n for n in nodes if isinstance(n.look, Unobserved) and not n.droplet.off]
    notes = []
    if ended:
        notes.append(_agents_end(cluster, ended))
    if doubtful:
        hears = plural(len(doubtful), "reacts", "react")
        notes.append(
            f"whether {join_words(doubtful)} {hears} to the drain signal is unknown: {CAPTIONS}"
        )
    if silent:
        notes.append(f"which agents run on {node_names(cluster, silent)} is unknown: {CAPTIONS}")
    return tuple(notes)


def _agents_end(cluster: Cluster, names: list[str]) -> str:
    number = len(names)
    agents = f"{plural(number, 'agent', 'agents')} {join_words(names)}"
    do = plural(number, "does", "do")
    they_end = plural(number, "it ends with its node", "they end with their nodes")
    why = f"{agents} {do} not react to the drain signal: {they_end}"
    if isinstance(cluster.load, Load) and cluster.load.idle:
        return f"{why}. {CAPTIONS.capitalize()}; no one is disconnected"
    # It is about people in meetings: a screen with little room must not leave it to Details.
    return f"{WARNING} {CAPTIONS.capitalize()}. No one is disconnected: {why}"


def coming_up(cluster: Cluster, node: MediaNode) -> str:
    """Return `media-2 starting`, or what the node answers, when it does."""
    name, look = short_name(node.name, cluster.stack), node.look
    if isinstance(look, NodeStatus):
        return f"{name} {why_not_ready(look)}"
    if look.since:
        return f"{name} unknown ({look.reason})"
    return f"{name} starting"


def why_not_ready(look: NodeStatus) -> str:
    """Return why a node that is seen does not count as in service."""
    if not look.start and not look.running:
        return "installing"
    if "openvidu" in look.restarting or (
        look.runs_media_server and look.restarts and look.livekit != 200
    ):
        return f"not in service: its media server keeps restarting ({look.restarts} times)"
    if look.runs_media_server and isinstance(look.livekit, Unobserved):
        return f"unknown whether in service: {look.livekit.reason}"
    if look.runs_media_server and look.livekit == 0:
        return "not in service yet: LiveKit does not answer"
    if look.runs_media_server and look.livekit != 200:
        return f"not in service yet: LiveKit answers {look.livekit}"
    if look.is_drained:
        return "drained"
    return "starting"
