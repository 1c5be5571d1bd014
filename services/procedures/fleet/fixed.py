"""Fixed media nodes: droplets that Terraform created one by one.

Only an apply adds or removes one. The bot drains, parks, resizes and starts them.
"""

import re
from collections.abc import Iterator

from typing_extensions import override

from services.cluster.model import MediaNode
from services.common.errors import Refused
from services.common.text import count_of, plural
from services.procedures import sizes, terraform_hints
from services.procedures.fleet.base import (
    PLAN_FIRST,
    Fleet,
    FleetChange,
    check_masters_healthy,
)
from services.steps import Drain, NodeSize, NodesOff, NodesOn, NodesServe, Revive, Step

NOTHING = "Saves nothing: DigitalOcean bills powered-off droplets in full, and these are kept"
# A target that is a number of nodes.
NUMBER = re.compile(r"\d{1,3}")


class FixedFleet(Fleet):
    """Numbered droplets that stay."""

    name = "fixed media nodes"
    fewer = "To run fewer: [[command park]]"
    saves = False
    installs = False

    @property
    def nodes(self) -> tuple[MediaNode, ...]:
        """The nodes that Terraform numbered, lowest number first."""
        own = (n for n in self.cluster.media if n.member_status is not None)
        return tuple(sorted(own, key=_number))

    @property
    def on(self) -> tuple[MediaNode, ...]:
        """The nodes that are not powered off."""
        return tuple(n for n in self.nodes if not n.droplet.off)

    # Shutdown and start-up

    @override
    def shutdown_steps(
        self,
        *,
        drain: bool = True,
        alone: bool = False,
        limit: float | None = None,
        gives_up: float = 0.0,
    ) -> Iterator[Step]:
        on = tuple(n for n in self.cluster.media if not n.droplet.off)
        if drain and on:
            yield Drain(
                number=len(on),
                limit=limit,
                gives_up=gives_up,
                floor=self.shutdown_floor(gives_up),
                ends=bool(gives_up),
            )
        yield NodesOff(
            tuple(n.id for n in on),
            remember=True,
            harsh=not drain,
            who=self.few_names(on),
            keep_ids=self.next_startup_ids,
        )

    @property
    def next_startup_ids(self) -> tuple[int, ...]:
        """The nodes that the next start-up starts after a shutdown from here."""
        on = tuple(n.id for n in self.on)
        if not all(n.parked for n in self.on):
            return on
        # None can serve: an earlier shutdown came this far, and recorded which were on.
        return tuple(
            n.id for n in self.nodes if n.id in (*on, *self.cluster.node_ids_before_shutdown)
        )

    @property
    def allowed_to_stay(self) -> tuple[int, ...]:
        return tuple(n.id for n in self.cluster.media)

    def startup_steps(self, number: int) -> Iterator[Step]:
        yield from self._start(self._to_start(number))

    def _start(self, nodes: tuple[MediaNode, ...]) -> Iterator[Step]:
        ids, who = tuple(n.id for n in nodes), self.few_names(nodes)
        if any(not n.droplet.active for n in nodes):
            yield NodesOn(ids, who=who)
        active = [n for n in nodes if n.droplet.active]
        drained = tuple(n.id for n in active if n.restartable or n.draining or n.busy_with)
        if drained:
            yield Revive(drained)
        yield NodesServe(ids, who=who)

    def _to_start(self, number: int) -> tuple[MediaNode, ...]:
        """Return so many nodes to start.

        Those that are on, then those that were on before the shutdown, then the lowest numbers.
        """
        recorded = self.cluster.node_ids_before_shutdown
        preferred = sorted(
            self.nodes,
            key=lambda n: (n.droplet.off, bool(recorded) and n.id not in recorded, _number(n)),
        )
        return tuple(sorted(preferred[:number], key=_number))

    @property
    def number_to_restore(self) -> int:
        if self.cluster.is_up:
            return len(self.on)
        return len(self.on) or self.startup_number(None) or 0

    def startup_number(self, requested: int | None) -> int | None:
        if requested is not None:
            return requested
        if self.on and not self.cluster.is_down:
            return len(self.on)
        recorded = [n for n in self.nodes if n.id in self.cluster.node_ids_before_shutdown]
        return len(recorded) or len(self.nodes) or None

    @property
    def max_startup_nodes(self) -> int | None:
        return len(self.nodes)

    def check_startup(self, requested: int | None) -> None:
        total = len(self.nodes)
        number = self.startup_number(requested)
        if number is None or not 1 <= number <= total:
            raise Refused(
                f"{self.cluster.name} has {count_of(total, 'fixed media node')}: start 1 to "
                f"{total}. Only an apply adds more. "
                f"{set_by_terraform(self.cluster.name, number or total)}"
            )
        if number < len(self.on) and any(not n.drained for n in self.on):
            raise Refused(
                f"{count_of(len(self.on), 'media node')} of {self.cluster.name} are powered on, "
                f"and a start-up stops none. {self.fewer}"
            )

    def check_window_number(self, number: int) -> None:
        if number > len(self.nodes):
            raise Refused(set_by_terraform(self.cluster.name, number))

    def shutdown_notes(self) -> tuple[str, ...]:
        return (NOTHING,)

    def shutdown_next_step(self) -> str:
        text = "Nothing is saved: DigitalOcean bills powered-off droplets in full"
        if not self.next_startup_ids:
            return text
        nodes = count_of(len(self.next_startup_ids), "media node")
        return f"{text}. [[command startup]] starts it again ({nodes}, as before)"

    # Number and size

    @override
    def scale(self, number: int, *, harsh: bool) -> FleetChange:
        raise Refused(
            f"{set_by_terraform(self.cluster.name, number)} "
            f"{_instead_of_scaling(number, len(self.nodes), len(self.on))} (saves nothing)"
        )

    def resize(self, size: str, *, harsh: bool) -> FleetChange:
        cluster = self.cluster
        wrong = tuple(n for n in self.nodes if n.droplet.size != size)
        if not wrong:
            return FleetChange()
        sizes.check_sold(cluster, size)
        sizes.check_fits(cluster, tuple(n.droplet for n in wrong), size)
        if any(n in self.on for n in wrong):
            check_masters_healthy(cluster)
        notes = (
            "[[strong One media node at a time]]: the others stay in service. Disks are not "
            "changed, so the resize is reversible",
            "[[strong Nothing is added or removed]]: the droplets keep their names, addresses and "
            "numbers",
        )
        steps = tuple(self._resize_steps(wrong, size, harsh=harsh))
        return FleetChange(steps, notes, (terraform_hints.fixed_size(size),))

    def _resize_steps(
        self, wrong: tuple[MediaNode, ...], size: str, *, harsh: bool
    ) -> Iterator[Step]:
        for node in wrong:
            ids, name = (node.id,), self.names((node,))
            on = not node.droplet.off
            if on:
                if not harsh:
                    yield Drain(ids, number=1, who=name, floor=self.drain_floor((node,)))
                yield NodesOff(ids, harsh=harsh, who=name, returns=True)
            yield NodeSize(node.id, size, who=name)
            if on:
                yield NodesOn(ids, who=name)
                yield NodesServe(ids, who=name)

    def recover_resize(self, step: Step) -> Iterator[Step]:
        if isinstance(step, NodeSize):
            ids = (step.id,)
            yield NodesOn(ids, who=step.who)
            yield NodesServe(ids, who=step.who)

    @override
    def check_upgrade(self) -> None:
        raise Refused(
            f"{self.cluster.name} has {self.name}, which only `terraform apply` replaces with "
            "nodes of another version. Upgrade by a new deployment, as OpenVidu recommends"
        )

    # Single nodes

    def select(self, target: str) -> tuple[MediaNode, ...]:
        """Return the nodes that the operator means. A number means so many, highest first."""
        if NUMBER.fullmatch(target):
            serving = [n for n in self.on if not n.drained]
            return _first(tuple(reversed(serving)), int(target), self.cluster.name)
        if target.lower() == "all":
            return self.on
        return super().select(target)

    def drain(self, selected: tuple[MediaNode, ...], target: str) -> FleetChange:
        off = [n for n in selected if n.droplet.off]
        if off:
            verb = plural(len(off), "is", "are")
            raise Refused(f"{self.names(off)} {verb} powered off: there is nothing to drain")
        if NUMBER.fullmatch(target):
            self.check_min_serving(len(self.on) - len(selected))
        them, back = "it", f"[[command restart {self.names(selected)}]]"
        if len(selected) > 1:
            them, back = "them", "[[command startup]]"
        step = Drain(
            tuple(n.id for n in selected),
            number=len(selected),
            pool_follows=False,
            alone=True,
            who=self.few_names(selected),
            floor=self.drain_floor(selected),
        )
        note = (
            "Nothing is removed, so nothing is saved: drained nodes stay and are billed. "
            f"They return to service with {back}"
        )
        return FleetChange((step,), (note,), next_step=f"Return {them} to service with {back}")

    def check_restart(self, node: MediaNode, target: str) -> None:
        if node.droplet.off:
            raise Refused(f"{target} is powered off. Start it with [[command unpark {target}]]")

    def park(self, target: str, *, harsh: bool) -> FleetChange:
        selected = tuple(n for n in self._select_to_park(target) if not n.droplet.off)
        if self.cluster.is_down:
            raise Refused(f"{self.cluster.name} is shut down, with its media nodes")
        if not selected:
            return FleetChange()
        left = [n for n in self.on if n not in selected and n.serving]
        if not left:
            raise Refused(
                "that would leave no media node known to be in service. "
                f"To shut {self.cluster.name} down, run [[command shutdown]]"
            )
        self.check_min_serving(len(left))
        ids, who = tuple(n.id for n in selected), self.few_names(selected)
        steps: tuple[Step, ...] = (NodesOff(ids, harsh=harsh, who=who),)
        if not harsh:
            floor = self.drain_floor(selected)
            steps = (Drain(ids, number=len(ids), who=who, floor=floor), *steps)
        them, back = "them", f"[[command unpark {len(ids)}]]"
        if len(ids) == 1:
            them, back = "it", f"[[command unpark {self.names(selected)}]]"
        note = f"{NOTHING}. They stay parked, also after a shutdown and start-up, until {back}"
        return FleetChange(steps, (note,), next_step=f"Return {them} to service with {back}")

    def _select_to_park(self, target: str) -> tuple[MediaNode, ...]:
        if NUMBER.fullmatch(target):
            return _first(tuple(reversed(self.on)), int(target), self.cluster.name)
        return super().select(target)

    def unpark(self, target: str) -> FleetChange:
        if self.cluster.is_down:
            raise Refused(
                f"{self.cluster.name} is shut down. Start all of it with "
                f"[[command startup {len(self.nodes)}]]"
            )
        off = tuple(n for n in self.nodes if n.droplet.off)
        if NUMBER.fullmatch(target):
            off = _first(off, int(target), self.cluster.name)
        elif target.lower() != "all":
            off = tuple(n for n in super().select(target) if n.droplet.off)
        if not off:
            return FleetChange()
        check_masters_healthy(self.cluster)
        return FleetChange(tuple(self._start(off)))


def set_by_terraform(name: str, number: int) -> str:
    """Return why only Terraform changes the number, and what that apply does."""
    return (
        f"{name} has fixed media nodes; only Terraform changes their number: "
        f"`fixedNumberOfMediaNodes = {number}`. [[strong That apply replaces every media node]] "
        "(not only the difference) and ends the meetings there. Drain all of them first, and "
        f"{PLAN_FIRST}."
    )


def _instead_of_scaling(number: int, total: int, on: int) -> str:
    """Return what to do instead of an apply."""
    off = total - on
    if number > on and off:
        verb = plural(off, "is", "are")
        return f"{count_of(off, 'node')} {verb} powered off; to start: [[command unpark]]"
    parking = on - number
    if parking > 0:
        return f"To run fewer for now: [[command park {parking}]]"
    return "To run fewer for now: [[command park]]"


def _number(node: MediaNode) -> int:
    suffix = node.name.rsplit("-", 1)[-1]
    if not suffix.isdigit():
        return 0
    return int(suffix)


def _first(nodes: tuple[MediaNode, ...], number: int, name: str) -> tuple[MediaNode, ...]:
    """Return the first so many nodes. Refuses a number that is not among 1 to all of them."""
    if not 1 <= number <= len(nodes):
        raise Refused(
            f"{name} has {count_of(len(nodes), 'media node')} to choose from. "
            f"Choose a number from 1 to {len(nodes)}, not {number}"
        )
    return nodes[:number]
