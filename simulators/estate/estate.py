"""The pretend world itself: what there is, and the few ways to look at it and to disturb it."""

import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from simulators.clock import Clock
from simulators.estate.building import build
from simulators.estate.catalog import SIZES
from simulators.estate.delays import Delays
from simulators.estate.functions import Functions
from simulators.estate.neighbours import Neighbours
from simulators.estate.nodes import Nodes
from simulators.estate.people import People
from simulators.estate.power import Power
from simulators.estate.scaling import Scaling
from simulators.estate.things import (
    Action,
    Balancer,
    Cluster,
    Droplet,
    Kind,
    Loss,
    Meeting,
    Pool,
    Snapshot,
    Violation,
    ZeroMode,
    not_found,
    unprocessable,
)
from simulators.estate.timeline import Timeline
from simulators.estate.watch import Watch

FIRST_ID = 512_000_000
Addresses = Callable[[int], str]


class Estate:
    """Everything under one DigitalOcean account. Pure and synchronous: call `settle()` before you look or touch."""

    def __init__(self, clock: Clock, seed: int = 0, delays: Delays | None = None) -> None:
        self.clock, self.seed, self.delays = clock, seed, delays or Delays()
        self.timeline = Timeline(clock)
        self.dice = random.Random(f"estate {seed}")  # noqa: S311 - repeatable, not secret
        self.droplets: dict[int, Droplet] = {}
        self.pools: dict[str, Pool] = {}
        self.balancers: dict[str, Balancer] = {}
        self.clusters: dict[str, Cluster] = {}
        self.actions: dict[int, Action] = {}
        self.snapshots: dict[int, Snapshot] = {}
        self.meetings: dict[str, Meeting] = {}
        self.tags: set[str] = set()
        self.canaries: list[str] = []
        self.requests: list[tuple[str, str, int, float]] = []
        """What was asked of the API: method, path, status, moment."""
        self.droplet_limit = 25
        self.capacity = True
        self.cooldown_gates_edits = False
        self.resize_powers_off = True
        self.outcome: Callable[[str, Droplet], str] = lambda _kind, _droplet: "done"
        """What becomes of an action: "done", "ignored" (completed, but nothing happened) or "errored"."""
        self.switched: Callable[[str], bool] = lambda _name: False
        """Whether a named fault is switched on."""
        self.read_secrets: Callable[[str], bytes | None] | None = None
        """What a master's boot script finds in the bucket of that stack; None when no bucket is simulated."""
        self.install_fails: Callable[[Droplet], bool] = lambda _droplet: False
        """Whether the installation of a media node comes to nothing."""
        self.deletes_itself: Callable[[Droplet], bool] = lambda _droplet: True
        """Whether the vendor's script can destroy the droplet that it runs on; it says nothing when it cannot."""
        self._numbers, self._addresses = FIRST_ID, 0
        self.watch = Watch(self)
        self.nodes, self.power = Nodes(self), Power(self)
        self.scaling, self.people = Scaling(self, seed), People(self, seed)
        self.functions = Functions(self, seed)
        self.neighbours = Neighbours(self)

    @property
    def moment(self) -> float:
        """The present, in epoch seconds."""
        return self.timeline.moment

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        self.timeline.settle()

    def next_event_at(self) -> float | None:
        """When something happens next by itself, in epoch seconds."""
        return self.timeline.next_event_at()

    def build_cluster(
        self,
        stack: str = "acme",
        region: str = "ams3",
        media: int = 3,
        size: str = "s-4vcpu-8gb",
        masters_size: str = "s-4vcpu-8gb",
        allow_zero: ZeroMode = "yes",
        addresses: Addresses | None = None,
        domain: str | None = None,
        kind: Kind = "pool",
        **autoscaler: Any,
    ) -> Cluster:
        """A whole OpenVidu stack, up and healthy. `addresses` gives the public address of the n-th droplet of the estate.

        `autoscaler`: what stands in the function's code, where it is not as usual.
        """
        self.settle()
        return build(
            self,
            stack,
            region,
            media,
            size,
            masters_size,
            allow_zero,
            addresses,
            domain,
            kind,
            autoscaler,
        )

    # --- looking

    @property
    def violations(self) -> list[Violation]:
        """Promises that were broken so far."""
        return self.watch.violations

    @property
    def thrown_out(self) -> int:
        """People who lost their meeting."""
        return self.watch.thrown_out

    @property
    def losses(self) -> list[Loss]:
        """Everybody who was ever cut off, with the cause, whoever did it."""
        return self.watch.losses

    @property
    def signals(self) -> dict[tuple[int, str], int]:
        """Drain signals by droplet id and start of its media server (docker's text)."""
        return self.watch.signals

    def droplet(self, droplet_id: int) -> Droplet:
        """The droplet with that id, or a refusal."""
        if droplet_id not in self.droplets:
            raise not_found()
        return self.droplets[droplet_id]

    def named(self, name: str) -> Droplet:
        """The droplet of that name."""
        return next(d for d in self.droplets.values() if d.name == name)

    def masters(self, stack: str) -> list[Droplet]:
        """The masters of a stack, in order."""
        return [self.droplets[i] for i in self.clusters[stack].master_ids if i in self.droplets]

    def media(self, stack: str) -> list[Droplet]:
        """Every media droplet of a stack: members of its pool, what carries its media tag, and what has lost it."""
        cluster = self.clusters[stack]
        pool = self.pools.get(cluster.pool_id)
        ids = {m.droplet_id for m in pool.members} if pool else set()

        def is_media(droplet: Droplet) -> bool:
            mine = droplet.stack == stack and droplet.role == "media"
            return droplet.id in ids or mine or cluster.media_tag in droplet.tags

        return [d for d in self.droplets.values() if is_media(d)]

    def pool(self, stack: str) -> Pool:
        """The pool of a stack."""
        return self.pools[self.clusters[stack].pool_id]

    def exposed(self, stack: str) -> list[Droplet]:
        """The media nodes that serve outside their firewalls, which hold by the media tag."""
        return [d for d in self.serving(stack) if self.clusters[stack].media_tag not in d.tags]

    def up(self, master: Droplet) -> bool:
        """Whether that master runs, healthy or not."""
        return master.on and master.node.unit == "active"

    def healthy(self, master: Droplet, for_seconds: float = 0.0) -> bool:
        """Whether that master has been answering its health check for that long."""
        quorum_at = self.clusters[master.stack].quorum_at
        return (
            self.up(master)
            and quorum_at is not None
            and max(master.ready_at, quorum_at) + for_seconds <= self.moment
        )

    def front_is_up(self, stack: str) -> bool:
        """Whether people reach the stack through its load balancer."""
        return any(self.healthy(m, self.delays.front) for m in self.masters(stack))

    def serving(self, stack: str) -> list[Droplet]:
        """The media nodes that take new meetings."""
        if not self.front_is_up(stack):
            return []
        return [d for d in self.media(stack) if self.nodes.takes_meetings(d)]

    def meetings_on(self, droplet_id: int) -> list[Meeting]:
        """The meetings on a node."""
        return [m for m in self.meetings.values() if m.droplet_id == droplet_id]

    def meetings_of(self, stack: str) -> list[Meeting]:
        """The meetings of a stack."""
        return [m for m in self.meetings.values() if m.stack == stack]

    # --- what a test may declare or do

    def allow_kept(self, droplet_ids: Iterable[int]) -> None:
        """These media droplets were agreed to stay while the masters stop."""
        self.watch.kept.update(droplet_ids)

    @property
    def rolling(self) -> bool:
        """Whether masters are meant to go one at a time, with the media nodes up."""
        return self.watch.rolling

    @rolling.setter
    def rolling(self, value: bool) -> None:
        self.watch.rolling = value

    @property
    def allow_thrown_out(self) -> bool:
        """Whether it was agreed that people lose their meetings."""
        return self.watch.allow_thrown_out

    @allow_thrown_out.setter
    def allow_thrown_out(self, value: bool) -> None:
        self.watch.allow_thrown_out = value

    @property
    def allow_template_keys(self) -> set[str]:
        """Keys of the pool's template that may change."""
        return self.watch.allow_template_keys

    def open_meeting(
        self,
        people: int = 5,
        minutes: float = 12,
        recordings: int = 1,
        cluster: str = "acme",
        ingresses: int = 0,
        hidden: int = 0,
        on: Droplet | None = None,
    ) -> Meeting | None:
        """People meet, if some node takes them; `on`: that very node. `hidden`: recorders and agents, which no list of rooms counts."""
        self.settle()
        return self.people.open(
            cluster, people, minutes, recordings, ingresses, hidden=hidden, on=on
        )

    def record_page(
        self,
        minutes: float = 12,
        recordings: int = 1,
        cluster: str = "acme",
        on: Droplet | None = None,
    ) -> Meeting | None:
        """A web page is recorded: no room belongs to it, and only the egress service knows of it."""
        self.settle()
        return self.people.open(cluster, 0, minutes, recordings, 0, on=on, roomless=True)

    @contextmanager
    def by_hand(self, what: str = "somebody in the console") -> Iterator[None]:
        """What is done inside, another hand does: nothing of it, nor what comes of it, is the operator's."""
        self.settle()
        with self.timeline.because("hand", what):
            yield

    def team(
        self, people: int, recordings: int, minutes: tuple[float, float], cluster: str = "acme"
    ) -> None:
        """A team meets from now on again and again: always the same load while a node takes it."""
        self.settle()
        self.people.team(cluster, people, recordings, minutes)

    def traffic(self, cluster: str = "acme", per_hour: float = 20.0) -> None:
        """Meetings begin by themselves from now on; 0 stops it."""
        self.settle()
        self.people.traffic(cluster, per_hour)

    def tag(self, droplet: Droplet, name: str) -> None:
        """A droplet is given a tag."""
        if name not in droplet.tags:
            droplet.tags.append(name)
            self.nodes.tagged(droplet)

    def untag(self, droplet: Droplet, name: str) -> None:
        """A tag is taken from a droplet."""
        if name in droplet.tags:
            droplet.tags.remove(name)

    # --- making things

    def number(self) -> int:
        """A number that nothing else has."""
        self._numbers += 7
        return self._numbers

    def uuid(self) -> str:
        """A uuid, the same one for the same seed."""
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))

    def address(self) -> str:
        """A loopback address that no other droplet has."""
        self._addresses += 1
        high, low = divmod(self._addresses, 250)
        return f"127.{20 + self.seed % 200}.{high}.{low + 1}"

    def private_ip(self, stack: str) -> str:
        """A free address in the stack's VPC."""
        taken = {d.private_ip for d in self.droplets.values() if d.stack == stack}
        return next(ip for n in range(2, 255) if (ip := f"10.10.10.{n}") not in taken)

    def create_droplet(
        self, name: str, template: Mapping[str, Any], public_ip: str | None = None
    ) -> Droplet:
        """A new droplet, which is active after a while; refused when the account is full."""
        if len(self.droplets) >= self.droplet_limit:
            raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")
        tags = [str(tag) for tag in template.get("tags") or []]
        stack = next((s for s in self.clusters if f"{s}-media-node-tag" in tags), "")
        size = SIZES[str(template["size"])]
        droplet = Droplet(
            self.number(), name, str(template["region"]), "ubuntu-24-04-x64", size.slug, size.disk, tags, public_ip or self.address(),
            self.private_ip(stack), str(template.get("vpc_uuid") or self.uuid()), self.moment, "media" if stack else "other", stack,
            creating=True,
        )  # fmt: skip
        self.droplets[droplet.id] = droplet
        self.watch.touched(droplet)
        self.tags.update(tags)
        self.timeline.after(self.delays.droplet_create, lambda: self._arrive(droplet))
        return droplet

    def _arrive(self, droplet: Droplet) -> None:
        if droplet.id in self.droplets and droplet.creating:
            droplet.creating, droplet.status = False, "active"
            self.nodes.power_up(droplet)
