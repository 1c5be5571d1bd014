"""Steps about the media nodes: letting them finish, seeing them gone, bringing them back."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster import Cluster, Droplet, Fact, MediaNode, NodeLook, short
from services.steps.base import Choice, Effects, Question, Step, World, ask_each, count, listed

POOL_FACTS = frozenset({Fact.DROPLETS, Fact.POOL})
NODE_FACTS = POOL_FACTS | {Fact.NODES}
QUIET = NodeLook(start="planned", running=(), marked=True)
SERVES = NodeLook(start="planned", running=("openvidu",))
STANDING = ("provisioning", "active", "off")


def newcomer(cluster: Cluster, index: int) -> MediaNode:
    """A pool member that is not there yet, as a plan imagines it."""
    size = cluster.pool.size if cluster.pool else ""
    droplet = Droplet(id=-1 - index, name=f"new-{index + 1}", status="active", size=size, hourly=cluster.media_price)
    return MediaNode(droplet, member_status="active", look=None)


def in_service(node: MediaNode) -> MediaNode:
    """The same node, taking meetings."""
    return replace(node, droplet=replace(node.droplet, status="active", locked=False), look=SERVES)


def _names(cluster: Cluster, nodes: list[MediaNode]) -> str:
    return listed(short(n.name, cluster.stack) for n in nodes)


def carrying(cluster: Cluster, nodes: list[MediaNode]) -> str:
    """`media-2: 1 meeting, 2 people, 1 recording` for each node that still carries something or cannot be seen."""
    parts = []
    for node in nodes:
        name, look = short(node.name, cluster.stack), node.look
        if look is None:
            parts.append(f"{name}: not reachable by SSH")
        elif look.rooms is None:
            parts.append(f"{name}: still running {listed(look.running)}")
        else:
            said = [count(look.rooms, "meeting"), count(look.people or 0, "person")]
            if look.recordings:
                said.append(count(look.recordings, "recording"))
            parts.append(f"{name}: {', '.join(said)}")
    return "; ".join(parts)


@dataclass(frozen=True)
class Drain(Step):
    """Media nodes finish: no new meeting lands on them and the running ones end by themselves. `ids` empty: every media node there is."""

    ids: tuple[int, ...] = ()
    number: int = 0  # how many there were when it was planned, for its title
    pool_follows: bool = True  # the nodes are removed afterwards

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS

    def _nodes(self, cluster: Cluster) -> list[MediaNode]:
        wanted = [n for n in cluster.media if not self.ids or n.id in self.ids]
        return [n for n in wanted if n.member_status != "deleting"]

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in self._nodes(cluster) if not n.drained]

    def title(self) -> str:
        return f"Let {count(self.number, 'media node')} finish"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._left(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        touched = {n.id for n in self._nodes(cluster)}
        media = tuple(replace(n, look=QUIET) if n.id in touched else n for n in cluster.media)
        return replace(cluster, media=media)

    def takes(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 30.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.drain_deadline

    def nudge(self, cluster: Cluster) -> float | None:
        return cluster.timings.look * 6

    def wants(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return any(n.look is not None and not n.look.marked for n in self._left(cluster))

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        # A node that cannot be seen is not signalled: first look, then ask.
        seen = [n for n in self._left(cluster) if n.look is not None and not n.look.marked]
        await ask_each(world.drain(n.id) for n in seen)

    def effects(self, cluster: Cluster) -> Effects:
        nodes = self._nodes(cluster)
        if not nodes:
            return Effects()
        everything = len(nodes) >= len([n for n in cluster.media if n.member_status != "deleting"])
        return Effects(
            blocks=True,
            down=everything,
            irreversible=("a draining node serves again only after its meetings have ended and its media server was restarted",),
        )

    def waits_for(self, cluster: Cluster) -> str:
        return carrying(cluster, self._left(cluster))

    def question(self, cluster: Cluster) -> Question | None:
        left = self._left(cluster)
        loses = f"ends now what still runs on {carrying(cluster, left)}"
        return Question(
            id="drain-deadline",
            text=f"{_names(cluster, left)} did not finish in time. Still there: {carrying(cluster, left)}. "
            "Nothing is cut off unless you say so.",
            choices=(
                Choice("wait", "Wait another 30 min", wait=1800.0),
                Choice("force", "End these meetings and go on", skip=True, loses=loses),
                Choice("stop", "Stop here", ends=f"stopped at the drain; {_names(cluster, left)} take no new meetings until restarted"),
            ),
            meanwhile=True,
        )

    def stays(self) -> str:
        return "the drained media nodes take no meetings until OpenVidu is restarted on them"


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
        stay = [n for n in cluster.media if n.id in self.kept and n.drained]
        return len(cluster.media) == len(stay) and len(stay) <= self.keep

    def after(self, cluster: Cluster) -> Cluster:
        stay = tuple(n for n in cluster.media if n.id in self.kept)[: self.keep]
        return replace(cluster, media=stay)

    def takes(self, cluster: Cluster) -> float:
        return 75.0 + cluster.timings.second_look

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.members_gone_deadline

    def waits_for(self, cluster: Cluster) -> str:
        left = [n for n in cluster.media if not (self.keep and n.id in self.kept and n.drained)]
        return f"{_names(cluster, left)} to be gone" if left else "a second look"

    def stays(self) -> str:
        return "the media droplets gone"


@dataclass(frozen=True)
class Revive(Step):
    """Drained nodes take meetings again: OpenVidu is restarted on them once their last meeting has ended."""

    ids: tuple[int, ...]

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS

    def _left(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.media if n.id in self.ids and not n.serving]

    def title(self) -> str:
        return f"Put {count(len(self.ids), 'drained media node')} back into service"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._left(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        return replace(cluster, media=tuple(in_service(n) if n.id in self.ids else n for n in cluster.media))

    def takes(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 40.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.serving_deadline

    def nudge(self, cluster: Cluster) -> float | None:
        return cluster.timings.power_on_deadline

    def wants(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return any(n.look is not None and n.look.idle for n in self._left(cluster))

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        # Only an idle node: a restart ends what still runs there.
        idle = [n for n in self._left(cluster) if n.look is not None and n.look.idle and n.droplet.active]
        await ask_each(world.restart_service(n.id) for n in idle)

    def waits_for(self, cluster: Cluster) -> str:
        return f"{_names(cluster, self._left(cluster))} to serve again"


@dataclass(frozen=True)
class MediaServing(Step):
    """That many media nodes take meetings. A pool that says active says nothing about OpenVidu on its members."""

    number: int

    needs: ClassVar[frozenset[Fact]] = NODE_FACTS
    checks: ClassVar[bool] = True

    def title(self) -> str:
        return f"Wait until {count(self.number, 'media node')} {'serves' if self.number == 1 else 'serve'}"

    def is_done(self, cluster: Cluster) -> bool:
        return len(cluster.serving) >= self.number

    def after(self, cluster: Cluster) -> Cluster:
        media = tuple(n if n.member_status == "deleting" else in_service(n) for n in cluster.media)
        missing = self.number - len([n for n in media if n.serving])
        born = tuple(in_service(newcomer(cluster, len(media) + i)) for i in range(missing))
        return replace(cluster, media=media + born)

    def takes(self, cluster: Cluster) -> float:
        return 240.0 if len(cluster.serving) < self.number else 5.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.serving_deadline

    def nudge(self, cluster: Cluster) -> float | None:
        return cluster.timings.serving_nudge

    def wants(self, cluster: Cluster, again: int) -> bool:
        # A drained survivor needs its restart at once; a newcomer that does not come up gets one, late.
        return bool(self._stuck(cluster)) and again == 1

    def _stuck(self, cluster: Cluster) -> list[MediaNode]:
        return [n for n in cluster.members if n.droplet.active and n.look is not None and n.look.idle]

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(world.restart_service(n.id) for n in self._stuck(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        text = f"{len(cluster.serving)} of {count(self.number, 'media node')} serving"
        waiting = [n for n in cluster.media if n.member_status in STANDING and not n.serving]
        if waiting:
            text += f"; {_names(cluster, waiting)} coming up"
        if cluster.pool is not None and cluster.pool.trouble:
            text += f"; DigitalOcean says: {cluster.pool.trouble}"
        return text
