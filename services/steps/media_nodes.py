"""Steps about the media nodes: letting them finish, seeing them gone, bringing them back."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.model import Cluster, Droplet, Fact, Load, MediaNode, NodeLook, Quit, short
from services.common.observed import NOT_LOOKED, NotSeen, Observed
from services.common.text import count, duration, listed
from services.steps.base import Choice, Effects, Question, Step, World, ask_each
from services.steps.waves import spared

POOL_FACTS = frozenset({Fact.DROPLETS, Fact.POOL})
NODE_FACTS = POOL_FACTS | {Fact.NODES}
QUIET = NodeLook(start="planned", running=(), marked=True, livekit=0)
SERVES = NodeLook(start="planned", running=("openvidu",), livekit=200)
CAPTIONS = "captions may stop in running meetings"
STILL_SERVING = "every media node that serves stays in service"
UNKNOWN = "how many people are there is unknown"
STUCK = 600.0  # a node that could not be told to finish for this long is put to people, whatever time meetings may take
STANDING = ("provisioning", "active", "off")
NEW_NODE = 240.0  # seconds until a new pool member serves
RESTART = 40.0  # until a media server that is restarted does
POOL_COOLDOWN = 600.0  # documented for pools of fixed size, and not to be changed


def newcomer(cluster: Cluster, index: int, size: str = "") -> MediaNode:
    """A pool member that is not there yet, as a plan imagines it."""
    size = size or (cluster.pool.size if cluster.pool else "")
    droplet = Droplet(
        id=-1 - index,
        name=f"new-{index + 1}",
        status="active",
        size=size,
        hourly=cluster.media_price,
    )
    return MediaNode(droplet, member_status="active", look=NOT_LOOKED)


def in_service(node: MediaNode) -> MediaNode:
    """The same node, taking meetings."""
    return replace(node, droplet=replace(node.droplet, status="active", locked=False), look=SERVES)


def _names(cluster: Cluster, nodes: list[MediaNode]) -> str:
    return listed(short(n.name, cluster.stack) for n in nodes)


def pool_says(cluster: Cluster) -> str:
    """What the pool itself has to say to a wait: `; ` and why it cannot be edited, or why it is short of droplets; "" when it is well."""
    pool = cluster.pool
    return (
        "".join(f"; {said}" for said in (pool.state, pool.trouble) if said)
        if pool is not None
        else ""
    )


def missing(cluster: Cluster, ids: tuple[int, ...]) -> str:
    """`media-2 is powered off`, `1 media node is gone`: which of them cannot serve; "" when all are there and on."""
    here = {n.id: n for n in cluster.media}
    off, gone = (
        [here[i] for i in ids if i in here and here[i].droplet.off],
        [i for i in ids if i not in here],
    )
    parts = (
        [f"{_names(cluster, off)} {'is' if len(off) == 1 else 'are'} powered off"] if off else []
    )
    parts += (
        [f"{count(len(gone), 'media node')} {'is' if len(gone) == 1 else 'are'} gone"]
        if gone
        else []
    )
    return listed(parts)


def carrying(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """`media-2: 1 meeting, 2 people, 1 recording` for each node that still carries something or cannot be seen."""
    more = _uncounted(cluster, nodes)
    said = (
        f"; LiveKit counts {count(more.people, 'person')} more than the nodes' own metrics do, who may meet here"
        if more.people
        else ""
    )
    return "; ".join(f"{short(n.name, cluster.stack)}: {_carries(n)}" for n in nodes) + said


def at_stake(cluster: Cluster, nodes: list[MediaNode]) -> Observed[Load]:
    """Who meets on these nodes together, or may; not seen where one of them does not tell."""
    total = _uncounted(cluster, nodes)
    for node in nodes:
        found = (
            Load(0, 0, 0)
            if node.drained or node.held
            else node.look
            if isinstance(node.look, NotSeen)
            else _load(node.look)
        )
        if isinstance(found, NotSeen):
            return found
        total = total.plus(found)
    return total


def _uncounted(cluster: Cluster, nodes: list[MediaNode]) -> Load:
    """Who is counted by LiveKit and by no node's metrics: each of these nodes whose media server runs may be where they meet."""
    if not isinstance(cluster.load, Load) or all(n.drained or n.held for n in nodes):
        return Load(0, 0, 0)
    told = [
        found
        for n in cluster.media
        if isinstance(n.look, NodeLook) and isinstance(found := _load(n.look), Load)
    ]
    people = cluster.load.people - sum(t.people for t in told)
    rooms = cluster.load.rooms - sum(t.rooms for t in told)
    return Load(max(0, rooms), people, 0) if people > 0 else Load(0, 0, 0)


def _load(look: NodeLook) -> Observed[Load]:
    if isinstance(look.rooms, NotSeen):
        return look.rooms
    if isinstance(look.people, NotSeen):
        return look.people
    return (
        look.recordings
        if isinstance(look.recordings, NotSeen)
        else Load(look.rooms, look.people, look.recordings)
    )


def _carries(node: MediaNode) -> str:
    look = node.look
    if isinstance(look, NotSeen):
        return f"not seen ({look.reason}), {UNKNOWN}"
    if look.contradiction:
        return look.contradiction
    if node.held:
        return f"no meetings; held by {listed(node.held)}"
    told = f"not told to finish ({look.undelivered}), " if look.undelivered else ""
    return told + (
        meets(look)
        or (
            f"still running {listed(look.running)}, {UNKNOWN}"
            if look.running
            else "nothing runs there"
        )
    )


def meets(look: NodeLook) -> str:
    """`1 meeting, 2 people, 1 recording`; "" when its metrics do not say who meets there."""
    if isinstance(look.rooms, NotSeen) or isinstance(look.people, NotSeen):
        return ""
    words = [count(look.rooms, "meeting"), count(look.people, "person")]
    if isinstance(look.recordings, NotSeen):
        words.append(f"recordings unknown ({look.recordings.reason})")
    elif look.recordings:
        words.append(count(look.recordings, "recording"))
    return ", ".join(words)


def unseen(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """Which of these nodes no one can see, and why; or what the witnesses contradict each other in. "" when all is proved."""
    on = [
        n for n in nodes if not n.droplet.off
    ]  # DigitalOcean itself says that nothing runs on the others
    silent = [
        f"{short(n.name, cluster.stack)} is not seen ({n.look.reason})"
        for n in on
        if isinstance(n.look, NotSeen)
    ]
    return "; ".join(silent) or cluster.contradiction


def in_service_until(cluster: Cluster, kept: tuple[MediaNode, ...], *, ends: bool) -> str:
    """`media-1 stays in service until no one meets there`."""
    until = (
        ("no one meets there" if len(kept) == 1 else "no one meets on any")
        if ends
        else "another serves"
    )
    return f"{_names(cluster, list(kept))} {'stays' if len(kept) == 1 else 'stay'} in service until {until}"


def agents_lost(cluster: Cluster, nodes: list[MediaNode]) -> tuple[str, ...]:
    """The agents on these nodes that end with their node, in the middle of what they do; and those of which no one can see it."""
    seen = [(n, n.look) for n in nodes if isinstance(n.look, NodeLook)]
    agents = [
        (f"`{a.name}` on {short(n.name, cluster.stack)}", a.quit)
        for n, look in seen
        for a in look.agents
    ]
    cut, doubtful = (
        [a for a, does in agents if does in (Quit.DEAF, Quit.DIES)],
        [a for a, does in agents if does is Quit.UNKNOWN],
    )
    silent = [n for n in nodes if isinstance(n.look, NotSeen) and not n.droplet.off]
    said = [_they_end(cut)] if cut else []
    if doubtful:
        said.append(
            f"whether {listed(doubtful)} {'hears' if len(doubtful) == 1 else 'hear'} the signal to drain is unknown: {CAPTIONS}"
        )
    if silent:
        said.append(f"which agents run on {_names(cluster, silent)} is unknown: {CAPTIONS}")
    return tuple(said)


def _they_end(cut: list[str]) -> str:
    one = len(cut) == 1
    return (
        f"{'agent' if one else 'agents'} {listed(cut)} {'does' if one else 'do'} not hear the signal to drain: "
        f"{'it ends' if one else 'they end'} with {'its node' if one else 'their nodes'}. {CAPTIONS.capitalize()}; "
        "no one is disconnected by that"
    )


@dataclass(frozen=True)
class Drain(Step):
    """Media nodes finish: no new meeting lands on them and the running ones end by themselves. `ids` empty: every media node there is."""

    ids: tuple[int, ...] = ()
    number: int = 0  # how many there were when it was planned, for its title
    pool_follows: bool = True  # they are let go to be removed: the pool's number follows. Else they stay for as long as it needs, drained
    returns: bool = False  # OpenVidu is restarted on them afterwards
    alone: bool = False  # nothing comes afterwards: they stay, and take no meetings
    who: str = ""  # their names, for its title, when they are few
    limit: float | None = (
        None  # seconds that meetings may take, when it is not the cluster's own drain deadline
    )
    gives_up: float = 0.0  # seconds that an unanswered question stays open; then the nodes serve again. 0: for ever
    stay: tuple[
        int, ...
    ] = ()  # of those that are let go to be removed, the ones that stay, drained
    floor: int = 0  # media nodes of the cluster that stay in service meanwhile
    ends: bool = False  # nothing is in service afterwards: these go too, once no one meets on any
    back: tuple[Step, ...] = ()  # with `gives_up`: the way that brings the capacity back
    beyond: int = 0  # without `ids`: only the members after the first so many, oldest first

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS

    def _nodes(self, cluster: Cluster) -> list[MediaNode]:
        if self.beyond and not self.ids:
            return list(cluster.members[self.beyond :])
        wanted = [n for n in cluster.media if not self.ids or n.id in self.ids]
        return [n for n in wanted if n.member_status != "deleting"]

    def _spared(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        return spared(cluster, self._left(cluster), self.floor, ends=self.ends)

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in self._nodes(cluster) if not self._finished(n)]

    def is_sure(self, cluster: Cluster) -> bool:
        return super().is_sure(cluster) and len(self._nodes(cluster)) >= self.number

    def _finished(self, node: MediaNode) -> bool:
        # What is removed afterwards need only be empty; what stays must not begin to serve by itself. What is restarted afterwards need
        # not wait for an agent that works without end: its meetings are over.
        if self.returns:
            return node.parked or node.restartable
        return node.parked if self._stays(node) else node.drained

    def _stays(self, node: MediaNode) -> bool:
        return not self.pool_follows or node.id in self.stay

    def title(self) -> str:
        return f"Let {self.who or count(self.number, 'media node')} finish"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._left(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        touched = {n.id for n in self._nodes(cluster)}
        media = tuple(replace(n, look=QUIET) if n.id in touched else n for n in cluster.media)
        return replace(cluster, media=media)

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 3.0

    def deadline(self, cluster: Cluster) -> float:
        limit = cluster.timings.drain_deadline if self.limit is None else self.limit
        return (
            min(limit, STUCK)
            if any(_is_stuck(n, cluster.seen_at) for n in self._left(cluster))
            else limit
        )

    def retry_after(self, cluster: Cluster) -> float | None:
        refused = any(
            isinstance(n.look, NodeLook) and n.look.undelivered for n in self._left(cluster)
        )
        return cluster.timings.look * (24 if refused else 6)

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return bool(self._waiting(cluster))

    def _waiting(self, cluster: Cluster) -> list[MediaNode]:
        # A node that cannot be seen, or that still installs itself, is not signalled: first look, then ask.
        spare = {n.id for n in self._spared(cluster)}
        return [n for n in self._left(cluster) if _may_be_signalled(n) and n.id not in spare]

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(world.drain(n.id, stays=self._stays(n)) for n in self._waiting(cluster))

    def effects(self, cluster: Cluster) -> Effects:
        nodes = self._nodes(cluster)
        if (
            not nodes or self.beyond
        ):  # those beyond came in the place of others, which serve again by then
            return Effects()
        mine = {n.id for n in nodes}
        others = [n for n in cluster.media if n.id not in mine and n.serving]
        return Effects(
            blocks=True,
            down=not others,
            irreversible=(
                "a draining node serves again only after its meetings have ended and its media server was restarted",
            ),
            special=self._special(cluster, nodes, len(others)),
            keeps=min(self.floor, len([n for n in nodes if n.serving])) if self.ends else 0,
        )

    def _special(self, cluster: Cluster, nodes: list[MediaNode], others: int) -> tuple[str, ...]:
        """What an approval says in as many words, where fewer stay in service than the cluster's settings ask for."""
        if not self.ids or (
            others and (others >= cluster.min_serving or not any(n.serving for n in nodes))
        ):
            return ()
        if not others:
            return (f"nobody can meet on {cluster.name} {self._until()}",)
        said = f"leaves {count(others, 'media node')} in service {self._until()}"
        return (f"{said}; `min_serving` of {cluster.name} is {cluster.min_serving}",)

    def _until(self) -> str:
        if self.alone:
            return "afterwards, until OpenVidu is restarted there"
        return (
            "until OpenVidu has been restarted there"
            if self.returns
            else "until another media node serves"
        )

    def lost(self, cluster: Cluster) -> str:
        again = [n for n in self._nodes(cluster) if n.serving]
        return (
            f"{_names(cluster, again)} {'takes' if len(again) == 1 else 'take'} meetings"
            if again
            else ""
        )

    def waits_for(self, cluster: Cluster) -> str:
        said, kept = carrying(cluster, self._left(cluster)), self._spared(cluster)
        return f"{said}; {in_service_until(cluster, kept, ends=self.ends)}" if kept else said

    def question(self, cluster: Cluster) -> Question | None:
        left, kept = self._left(cluster), self._spared(cluster)
        loses = f"ends now what still runs on {carrying(cluster, left)}"
        out = [n for n in left if n not in kept]
        head = (
            f"{_names(cluster, out)} did not finish in time"
            if out
            else "Meetings did not end in time"
        )
        return Question(
            id="drain-deadline",
            text=f"{head}. Still there: {self.waits_for(cluster)}. No one is disconnected unless you choose it.",
            choices=(
                Choice("wait", "Wait another 30 min", wait=1800.0),
                *self._closes(kept),
                self._force(left, loses),
                *self._ways_out(cluster, out),
            ),
            meanwhile=True,
            default="up" if self.gives_up else "",
            default_after=self.gives_up,
        ).staking(at_stake(cluster, left))

    def _closes(self, kept: tuple[MediaNode, ...]) -> tuple[Choice, ...]:
        """The last ones are drained too, although people meet there: it is final then."""
        if not (kept and self.ends):
            return ()
        return (
            Choice(
                "close",
                "Drain all, open no new meeting",
                steps=(replace(self, floor=0),),
                goes_on=True,
            ),
        )

    def _ways_out(self, cluster: Cluster, out: list[MediaNode]) -> tuple[Choice, ...]:
        rest = (
            f"{_names(cluster, out)} take no new meetings until restarted" if out else STILL_SERVING
        )
        stop = Choice("stop", "Stop here", ends=f"stopped at the drain; {rest}")
        if not self.gives_up:
            return (stop,)
        nodes = [n for n in self._nodes(cluster) if not n.droplet.off]
        again = self.back or (Revive(tuple(n.id for n in nodes)), MediaServing(len(nodes)))
        back = f"meetings went on; {cluster.name} stays up{self._capacity(cluster, nodes)}"
        return (Choice("up", f"Keep {cluster.name} up", steps=again, back=back), stop)

    def _capacity(self, cluster: Cluster, nodes: list[MediaNode]) -> str:
        """How many are in service as it is given up, and when the others are."""
        serving = [n for n in nodes if n.serving]
        if len(serving) == len(nodes):
            return ""
        busy = [n for n in nodes if not n.serving and not n.restartable]
        said = f" with {len(serving)} of {count(len(nodes), 'media node')} in service"
        if cluster.pool is not None or not busy:
            return f"{said}, all of them about {duration(NEW_NODE if busy else RESTART)} later"
        return f"{said}; {_names(cluster, busy)} {'serves' if len(busy) == 1 else 'serve'} again after the last meeting there"

    def _force(self, left: list[MediaNode], loses: str) -> Choice:
        held = sorted({name for n in left for name in n.held})
        agents_only = (
            bool(left) and all(n.held for n in left) and not {"ingress", "egress"} & set(held)
        )
        label = "End these meetings and go on"
        if agents_only:
            one = len(held) == 1
            label = "End the agent and go on" if one else "End the agents and go on"
            loses = f"ends {'agent' if one else 'agents'} {listed(held)}; no meeting runs on these nodes, and no one is disconnected"
        if not (self.returns or self.alone):
            return Choice("force", label, skip=True, loses=loses)
        # No pool takes these nodes away: what runs on them is ended by stopping OpenVidu.
        ids = tuple(n.id for n in left)
        after: tuple[Step, ...] = () if self.alone else (Revive(ids),)
        return Choice("force", label, steps=(StopService(ids), *after), loses=loses)

    def stays(self) -> str:
        return "the drained media nodes take no meetings until OpenVidu is restarted on them"


def _may_be_signalled(node: MediaNode) -> bool:
    """Seen with a media server that has had no signal: never one that may have had it."""
    look = node.look
    return (
        isinstance(look, NodeLook)
        and bool(look.start)
        and (not look.marked or bool(look.undelivered))
        and bool(look.to_signal)
    )


def _is_stuck(node: MediaNode, now: float) -> bool:
    """Whether waiting alone brings nothing: it was not seen for long, or could not be told to finish."""
    if isinstance(node.look, NotSeen):
        return bool(node.look.since) and now - node.look.since > STUCK
    return bool(node.look.undelivered) or bool(node.contradiction)


def _coming(cluster: Cluster, node: MediaNode) -> str:
    """`media-2 coming up`, with what it answers where something does."""
    name, look = short(node.name, cluster.stack), node.look
    if isinstance(look, NotSeen):
        return f"{name} coming up" if not look.since else f"{name} not seen ({look.reason})"
    return f"{name} {not_ready(look)}"


def not_ready(look: NodeLook) -> str:
    """Why a node that is seen does not count as in service, in words."""
    if not look.start and not look.running:
        return "installing"
    if "openvidu" in look.restarting or (look.serves and look.restarts and look.livekit != 200):
        return f"not in service: its media server restarts again and again ({look.restarts} times)"
    if look.serves and isinstance(look.livekit, NotSeen):
        return f"not proved to be in service: {look.livekit.reason}"
    if look.serves and look.livekit != 200:
        return f"not in service yet: LiveKit {f'answers {look.livekit}' if look.livekit else 'does not answer'}"
    return "drained" if look.quiet else "coming up"


@dataclass(frozen=True)
class StopService(Step):
    """OpenVidu is stopped on media nodes, whatever still runs there. Only people choose this."""

    ids: tuple[int, ...]

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS | {Fact.LOAD}

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.id in self.ids and not n.drained]

    def title(self) -> str:
        return f"Stop OpenVidu on {count(len(self.ids), 'media node')}"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._left(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return replace(
            cluster,
            media=tuple(replace(n, look=QUIET) if n.id in self.ids else n for n in cluster.media),
        )

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 20.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.power_on_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.look * 6

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(world.stop_service(n.id) for n in self._left(cluster) if n.seen)

    def effects(self, cluster: Cluster) -> Effects:
        return Effects(cuts_off=bool(self._left(cluster)))

    def waits_for(self, cluster: Cluster) -> str:
        return f"{_names(cluster, self._left(cluster))} to stop" if self._left(cluster) else ""

    def stays(self) -> str:
        return f"OpenVidu stopped on {count(len(self.ids), 'media node')}"


@dataclass(frozen=True)
class MediaGone(Step):
    """No pool member and no droplet with the media tag is left, seen twice; or only those named as kept, seen drained."""

    kept: tuple[int, ...] = ()
    keep: int = 0  # how many of `kept` may stay

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    checks: ClassVar[bool] = True
    twice: ClassVar[bool] = True

    def title(self) -> str:
        if self.keep:
            return f"See that only {count(self.keep, 'drained media node')} is left"
        return "See that no media droplet is left"

    def is_done(self, cluster: Cluster) -> bool:
        stay = [n for n in cluster.media if n.id in self.kept and n.parked]
        return len(cluster.media) == len(stay) and len(stay) <= self.keep

    def after(self, cluster: Cluster) -> Cluster:
        stay = tuple(n for n in cluster.media if n.id in self.kept)[: self.keep]
        return replace(cluster, media=stay)

    def expected_seconds(self, cluster: Cluster) -> float:
        return 65.0 + cluster.timings.second_look

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.members_gone_deadline

    def waits_for(self, cluster: Cluster) -> str:
        left = [n for n in cluster.media if not (self.keep and n.id in self.kept and n.parked)]
        return (
            f"{_names(cluster, left)} to be gone{pool_says(cluster)}" if left else "a second look"
        )

    def settles(self, earlier: Step) -> bool:
        return isinstance(earlier, Drain) and not self.keep

    def stays(self) -> str:
        return (
            f"the media droplets gone but for {count(self.keep, 'drained one')}"
            if self.keep
            else "the media droplets gone"
        )


@dataclass(frozen=True)
class Revive(Step):
    """Drained nodes take meetings again: OpenVidu is restarted on them once their last meeting has ended."""

    ids: tuple[int, ...]
    who: str = ""  # their names, for its title, when they are few
    enough: int = (
        0  # it is reached, too, as soon as so many media nodes are in service, whichever they are
    )

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        if self.enough and len(cluster.serving) >= self.enough:
            return []
        return [n for n in cluster.media if n.id in self.ids and not n.serving]

    def title(self) -> str:
        if self.enough and not self.who:
            return f"Bring {count(self.enough, 'media node')} back into service"
        return (
            f"Restart OpenVidu on {self.who}"
            if self.who
            else f"Put {count(len(self.ids), 'drained media node')} back into service"
        )

    def is_done(self, cluster: Cluster) -> bool:
        return not self._left(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return replace(
            cluster, media=tuple(in_service(n) if n.id in self.ids else n for n in cluster.media)
        )

    def expected_seconds(self, cluster: Cluster) -> float:
        return (
            NEW_NODE
            if self.enough and any(not n.restartable for n in self._left(cluster))
            else RESTART
        )

    def deadline(self, cluster: Cluster) -> float:
        # A node whose last meeting has not ended cannot be restarted; people are not sent away for it.
        return cluster.timings.serving_deadline + 4 * cluster.timings.drain_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.power_on_deadline

    def objection(self, cluster: Cluster) -> str:
        off = () if self.enough else tuple(n.id for n in self._left(cluster) if n.droplet.off)
        return missing(cluster, off)  # it never serves by waiting

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return any(n.restartable for n in self._left(cluster))

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        # Only an idle node: a restart ends what still runs there.
        idle = [n for n in self._left(cluster) if n.restartable and n.droplet.active]
        await ask_each(world.restart_service(n.id) for n in idle)

    def lost(self, cluster: Cluster) -> str:
        return "" if self.enough else missing(cluster, self.ids)

    def waits_for(self, cluster: Cluster) -> str:
        left = self._left(cluster)
        busy = [n for n in left if not n.restartable]
        if not (self.enough and busy):
            return f"{_names(cluster, left)} to serve again"
        serving = f"{len(cluster.serving)} of {count(self.enough, 'media node')} in service"
        return f"{serving}; {_names(cluster, busy)} {'returns' if len(busy) == 1 else 'return'} after the last meeting there"

    def stays(self) -> str:
        return f"{count(self.enough if self.enough and not self.who else len(self.ids), 'media node')} back in service"


@dataclass(frozen=True)
class MediaServing(Step):
    """That many media nodes take meetings. A pool that says active says nothing about OpenVidu on its members."""

    number: int
    size: str = ""  # only droplets of this size count

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    checks: ClassVar[bool] = True

    def title(self) -> str:
        of_size = f" of {self.size}" if self.size else ""
        return f"Wait until {count(self.number, 'media node')}{of_size} {'serves' if self.number == 1 else 'serve'}"

    def _counts(self, node: MediaNode) -> bool:
        return not self.size or node.droplet.size == self.size

    def _serving(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.serving if self._counts(n)]

    def is_done(self, cluster: Cluster) -> bool:
        return len(self._serving(cluster)) >= self.number

    def after(self, cluster: Cluster) -> Cluster:
        media = tuple(
            in_service(n) if self._counts(n) and n.member_status != "deleting" else n
            for n in cluster.media
        )
        missing = self.number - len([n for n in media if n.serving and self._counts(n)])
        born = tuple(
            in_service(newcomer(cluster, len(media) + i, self.size)) for i in range(missing)
        )
        return replace(cluster, media=media + born)

    def expected_seconds(self, cluster: Cluster) -> float:
        return 5.0 if self.is_done(cluster) else 240.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.serving_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.serving_nudge

    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # A drained survivor needs its restart at once; a newcomer that does not come up gets one, late.
        return bool(self._stuck(cluster)) and again == 1

    def _stuck(self, cluster: Cluster) -> list[MediaNode]:
        return [
            n
            for n in cluster.members
            if self._counts(n) and n.droplet.active and (n.restartable or (n.seen and n.drained))
        ]

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(world.restart_service(n.id) for n in self._stuck(cluster))

    def lost(self, cluster: Cluster) -> str:
        here = [
            n
            for n in cluster.media
            if self._counts(n) and n.member_status != "deleting" and n.droplet.status == "active"
        ]
        return (
            ""
            if len(here) >= self.number
            else f"only {count(len(here), 'media node')} of {self.number} left"
        )

    def waits_for(self, cluster: Cluster) -> str:
        text = f"{len(self._serving(cluster))} of {count(self.number, 'media node')} serving"
        waiting = [
            n
            for n in cluster.media
            if self._counts(n) and n.member_status in STANDING and not n.serving
        ]
        if waiting:
            text += f"; {listed(_coming(cluster, n) for n in waiting)}"
        return text + pool_says(cluster)

    def stays(self) -> str:
        return f"{count(self.number, 'media node')} serving"


@dataclass(frozen=True)
class Shrunk(Step):
    """The pool has shrunk, and it is seen who went. A drained member that stayed instead of another is brought back into service."""

    number: int
    ids: tuple[int, ...]  # those that were drained to go
    stay: tuple[tuple[int, str], ...] = ()  # those that were to stay, with their names
    who: str = ""  # the names of those that go, for its title, when they are few

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    checks: ClassVar[bool] = True

    def title(self) -> str:
        return f"See that {self.who or count(len(self.ids), 'media node')} {'is' if len(self.ids) == 1 else 'are'} gone"

    def _standing(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.member_status is not None]

    def _survivors(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.members if n.id in self.ids]

    def _settled(self, cluster: Cluster) -> bool:
        return len(self._standing(cluster)) <= self.number

    def is_done(self, cluster: Cluster) -> bool:
        return self._settled(cluster) and all(n.serving for n in self._survivors(cluster))

    def is_sure(self, cluster: Cluster) -> bool:  # noqa: ARG002
        return (
            True  # the pool was told to destroy them, and does: an odd listing only says it early
        )

    def after(self, cluster: Cluster) -> Cluster:
        gone = {n.id for n in cluster.media if n.id in self.ids or n.member_status == "deleting"}
        return replace(cluster, media=tuple(n for n in cluster.media if n.id not in gone))

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 65.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.members_gone_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.power_on_deadline

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return self._settled(cluster) and any(n.restartable for n in self._survivors(cluster))

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        idle = [n for n in self._survivors(cluster) if n.restartable and n.droplet.active]
        await ask_each(world.restart_service(n.id) for n in idle)

    def remark(self, cluster: Cluster) -> str:
        here = {n.id for n in self._standing(cluster)}
        lost = [short(name, cluster.stack) for droplet, name in self.stay if droplet not in here]
        if not lost:
            return ""
        said = f"DigitalOcean removed {listed(lost)}, which {'was' if len(lost) == 1 else 'were'} to stay: meetings there were cut off"
        survivors = self._survivors(cluster)
        return (
            f"{said}; {_names(cluster, survivors)} had been drained to go, stayed instead and serve again"
            if survivors
            else said
        )

    def settles(self, earlier: Step) -> bool:
        return isinstance(
            earlier, Drain
        )  # one that stayed although it was drained is put back into service

    def waits_for(self, cluster: Cluster) -> str:
        survivors = [n for n in self._survivors(cluster) if not n.serving]
        if self._settled(cluster):
            return (
                f"{_names(cluster, survivors)} to serve again: DigitalOcean removed others instead"
                if survivors
                else ""
            )
        return f"{count(len(self._standing(cluster)), 'pool member')} to become {self.number}{pool_says(cluster)}"

    def stays(self) -> str:
        return f"{self.who or count(len(self.ids), 'media node')} gone"


@dataclass(frozen=True)
class OldGone(Step):
    """No pool member of another size is left: the pool destroys the old ones itself when its cooldown is over."""

    size: str
    ids: tuple[int, ...] = ()  # those that were there before

    needs: ClassVar[frozenset[Fact]] = POOL_FACTS
    checks: ClassVar[bool] = True

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [
            n
            for n in cluster.media
            if n.member_status is not None and (n.id in self.ids or n.droplet.size != self.size)
        ]

    def title(self) -> str:
        return "See that the media nodes of the old size are gone"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._left(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        gone = {n.id for n in self._left(cluster)}
        return replace(cluster, media=tuple(n for n in cluster.media if n.id not in gone))

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return (
            POOL_COOLDOWN - 240.0 + 75.0
        )  # it began when the template was changed, and the new ones were waited for meanwhile

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.members_gone_deadline + POOL_COOLDOWN

    def waits_for(self, cluster: Cluster) -> str:
        left = self._left(cluster)
        minutes = f"{POOL_COOLDOWN / 60:.0f} min"
        return (
            f"{_names(cluster, left)} to be gone; the pool keeps old nodes for about {minutes}{pool_says(cluster)}"
            if left
            else ""
        )

    def stays(self) -> str:
        return "the media nodes of the old size gone"
