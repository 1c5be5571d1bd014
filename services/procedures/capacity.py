"""More or fewer media nodes, drained ones, or ones of another size."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

from services.cluster import Cluster, MediaNode, short
from services.errors import Refused
from services.procedures import nodes, reminders
from services.procedures.base import Procedure
from services.procedures.nodes import who
from services.spoken import argument, flag
from services.steps import Drain, MediaServing, OldGone, PoolTarget, Revive, Shrunk, Step, TemplateSize
from services.steps.base import count, listed
from services.steps.media import POOL_COOLDOWN

MOST = 1000
NEAR = 4


@dataclass(frozen=True)
class Scale(Procedure):
    """Set the number of media nodes; those that go finish their meetings first."""

    command: ClassVar[str] = "scale"
    verb: ClassVar[str] = "Scale"
    doing: ClassVar[str] = "Scaling"
    done: ClassVar[str] = "is scaled"

    number: int = argument("media nodes to run, from 1 to 1000")
    no_drain: bool = flag("end running meetings on the nodes that go instead of letting them finish")

    def about(self, name: str) -> str:
        return f"{name} to {count(self.number, 'media node')}"

    def ended(self, name: str) -> str:
        return f"{name} has {count(self.number, 'media node')}"

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if self.number == 0:
            raise Refused(
                "0 media nodes is a shutdown: `/openvidu shutdown --media-only` leaves the masters on, `/openvidu shutdown` stops them too"
            )
        if self.number > MOST:
            raise Refused(f"DigitalOcean's pools hold at most {MOST} droplets; {self.number} is more")
        if cluster.down:
            raise Refused(f"{cluster.name} is down; `/openvidu startup {self.number}` starts it with {count(self.number, 'media node')}")
        if self.number > max(_target(cluster), len(cluster.members)):
            reminders.room_for(cluster, self.number - len(cluster.members), count(self.number, "media node"))
        if self.number > _target(cluster):
            _masters_must_serve(cluster)

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        members, target = cluster.members, _target(cluster)
        # Documented: the pool removes the most recently created ones first.
        stay, going = members[: self.number], members[self.number :]
        resting = tuple(n.id for n in stay if n.resting or n.draining)
        if resting:
            yield Revive(resting)
        if going:
            yield from self._less(cluster, stay, going)
        else:
            yield PoolTarget(self.number, was=target)
        yield MediaServing(self.number)

    def _less(self, cluster: Cluster, stay: tuple[MediaNode, ...], going: tuple[MediaNode, ...]) -> Iterator[Step]:
        ids, said = tuple(n.id for n in going), who(cluster, going)
        if not self.no_drain:
            yield Drain(ids, number=len(ids), who=said)
        yield PoolTarget(self.number, was=_target(cluster), harsh=self.no_drain)
        yield Shrunk(self.number, ids, stay=tuple((n.id, n.name) for n in stay), who=said)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        if not cluster.members[self.number :]:
            return ()
        return ("DigitalOcean chooses which nodes go, by its word the newest; who really went is checked afterwards and told",)

    def afterwards(self, cluster: Cluster) -> tuple[str, ...]:
        return (reminders.number(self.number),) if self.number != _target(cluster) else ()


@dataclass(frozen=True)
class DrainNodes(Procedure):
    """Let media nodes finish their meetings and take no new ones; nothing is removed."""

    command: ClassVar[str] = "drain"
    verb: ClassVar[str] = "Drain"
    doing: ClassVar[str] = "Draining"
    done: ClassVar[str] = "is drained"

    node: str = argument("media-2, a droplet's name or its id; left out: all", default="all")

    def about(self, name: str) -> str:
        return f"all media nodes of {name}" if self._all else f"{self.node} of {name}"

    def ended(self, name: str) -> str:
        return f"all media nodes of {name} are drained" if self._all else f"{self.node} of {name} is drained"

    @property
    def _all(self) -> bool:
        return self.node.lower() == "all"

    def _nodes(self, cluster: Cluster) -> tuple[MediaNode, ...]:
        if self._all:
            return tuple(n for n in cluster.media if n.member_status != "deleting")
        return (nodes.media(cluster, self.node),)

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        chosen = self._nodes(cluster)
        if not chosen:
            raise Refused(f"{cluster.name} has no media node that could be drained")
        going = [short(n.name, cluster.stack) for n in chosen if n.member_status == "deleting"]
        if going:
            raise Refused(f"DigitalOcean is removing {listed(going)} already; `/openvidu status` shows what stays")

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        chosen = self._nodes(cluster)
        yield Drain(tuple(n.id for n in chosen), number=len(chosen), pool_follows=False, alone=True, who=who(cluster, chosen))

    def notes(self, cluster: Cluster) -> tuple[str, ...]:  # noqa: ARG002
        return (f"Nothing is removed, so nothing is saved: drained nodes stay and are billed, and serve again after {self._back()}",)

    def next_words(self, cluster: Cluster) -> str:  # noqa: ARG002
        return f"bring {'them' if self._all else 'it'} back with {self._back()}"

    def _back(self) -> str:
        return "`/openvidu startup`" if self._all else f"`/openvidu restart {self.node}`"


@dataclass(frozen=True)
class ResizeMedia(Procedure):
    """Give the media nodes another droplet size: they finish their meetings, and DigitalOcean replaces them all."""

    command: ClassVar[str] = "resize media"
    verb: ClassVar[str] = "Resize the media nodes of"
    doing: ClassVar[str] = "Resizing the media nodes of"
    done: ClassVar[str] = "has media nodes of the new size"

    size: str = argument("a DigitalOcean droplet size, such as c-8")
    no_drain: bool = flag("end running meetings instead of letting them finish")

    def about(self, name: str) -> str:
        return f"{name} to {self.size}"

    def ended(self, name: str) -> str:
        return f"{name} has media nodes of {self.size}"

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if cluster.pool is None or cluster.pool.size == self.size:
            return
        self._must_be_sold(cluster)
        if cluster.members:
            _masters_must_serve(cluster)
            minutes = f"{POOL_COOLDOWN / 60:.0f} min"
            doubled = f"DigitalOcean replaces a pool by doubling it for about {minutes}: {len(cluster.members)} nodes more"
            reminders.room_for(cluster, len(cluster.members), doubled)

    def _must_be_sold(self, cluster: Cluster) -> None:
        if not cluster.sizes:
            raise Refused("DigitalOcean's list of sizes could not be read (the token needs sizes:read); nothing is resized unseen")
        size = cluster.size(self.size)
        region = cluster.region
        sold = [s.slug for s in cluster.sizes if s.available and region in s.regions]
        near = get_close_matches(self.size, sold, NEAR, 0.5)
        hint = f"; near it: {', '.join(f'`{s}`' for s in near)}" if near else ""
        if size is None:
            raise Refused(f"DigitalOcean has no size {self.size} for this account{hint}")
        if self.size not in sold:
            raise Refused(f"{self.size} is not to be had in {region} now{hint}")

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        pool = cluster.pool
        assert pool is not None, "checked before: a cluster without a pool is refused"
        old = tuple(n for n in cluster.media if n.member_status is not None and (pool.size != self.size or n.droplet.size != self.size))
        if pool.size != self.size:
            if not self.no_drain:
                yield Drain(number=len(cluster.media))
            yield TemplateSize(self.size, was=pool.size, harsh=self.no_drain)
        if old or (pool.size != self.size and pool.target):
            yield MediaServing(pool.target, size=self.size)
            yield OldGone(self.size, tuple(n.id for n in old))

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        # DigitalOcean would not take the size: what was drained for it serves again.
        drained = tuple(n.id for n in cluster.members if n.resting or n.draining)
        if isinstance(step, TemplateSize) and not step.is_done(cluster) and drained:
            yield Revive(drained)
            yield MediaServing(len(cluster.members))

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        number, size = len(cluster.members), cluster.size(self.size)
        if not number or size is None:
            return ()
        extra = size.hourly * number * int(POOL_COOLDOWN) / 3600
        minutes = f"{POOL_COOLDOWN / 60:.0f} min"
        doubles = f"DigitalOcean doubles the pool to {2 * number} nodes for about {minutes}, then removes the old ones"
        return (f"{doubles}: about ${extra:.2f}, once",)

    def afterwards(self, cluster: Cluster) -> tuple[str, ...]:  # noqa: ARG002
        return (reminders.media_size(self.size),)


def _target(cluster: Cluster) -> int:
    assert cluster.pool is not None, "checked before: a cluster without a pool is refused"
    return cluster.pool.target


def _masters_must_serve(cluster: Cluster) -> None:
    sick = [short(m.name, cluster.stack) for m in cluster.masters if not (m.active and m.healthy)]
    if sick:
        raise Refused(
            f"{listed(sick)} {'is' if len(sick) == 1 else 'are'} not healthy, and new media nodes register with the masters: "
            f"see `/openvidu status {sick[0]}`, then `/openvidu restart {sick[0]}` or `/openvidu startup`"
        )
