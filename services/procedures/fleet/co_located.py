"""A Single Node: meetings run on the droplet that is the master, too.

Whatever takes it down takes everything down. So it is drained first, and saves nothing.
"""

from collections.abc import Iterator

from typing_extensions import override

from services.cluster.model import Droplet, MediaNode, short_name
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.procedures.fleet.base import Fleet, FleetChange
from services.steps import (
    Drain,
    FrontAnswers,
    Healthy,
    HealthyHost,
    NodesServe,
    PowerOff,
    PowerOffHost,
    PowerOn,
    RestartHost,
    Revive,
    Step,
)

NOTHING = "Saves nothing: DigitalOcean bills powered-off droplets in full, and this one is kept"
LARGER = "For more capacity, resize it: [[command resize masters SIZE]]"
WAY_BACK = "[[command restart {node} --service]]"


class CoLocatedFleet(Fleet):
    """The one droplet, as the media node that it is beside being the master."""

    name = "a single node"
    fewer = "To stop it, run [[command shutdown]]"
    saves = False
    installs = False

    @property
    def nodes(self) -> tuple[MediaNode, ...]:
        """The droplet as a media node: one, or none where it was not seen."""
        ids = {m.id for m in self.cluster.masters}
        return tuple(n for n in self.cluster.media if n.id in ids)

    @property
    def _ids(self) -> tuple[int, ...]:
        return tuple(n.id for n in self.nodes)

    @property
    def _who(self) -> str:
        return self.few_names(self.nodes)

    @property
    def _masters(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.cluster.masters)

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
        if drain:
            yield from self.drain_first(limit=limit, gives_up=gives_up)

    @override
    def masters_off(self, *, drain: bool = True) -> PowerOff:
        return PowerOffHost(self._masters, harsh=not drain)

    @override
    def masters_healthy(self) -> Healthy:
        return HealthyHost(self._masters)

    @override
    def drain_first(self, *, limit: float | None = None, gives_up: float = 0.0) -> Iterator[Step]:
        if all(n.droplet.off for n in self.nodes):
            return
        yield Drain(
            number=len(self.nodes),
            who=self._who,
            limit=limit,
            gives_up=gives_up,
            floor=self.shutdown_floor(gives_up),
            ends=bool(gives_up),
        )

    @override
    def check_upgrade(self) -> None:
        raise Refused(
            f"{self.cluster.name} is {self.name}: its meetings run on the droplet that update.sh "
            "stops, and no bucket names its version. Upgrade it manually, or by a new deployment"
        )

    @override
    def check_shutdown(self, *, alone: bool) -> None:
        if alone:
            raise Refused(
                f"{self.cluster.name} is {self.name}: its meetings run on the node itself, so "
                "there are no media nodes to remove. [[command drain]] ends its meetings and "
                "leaves the node powered on; [[command shutdown]] powers it off too"
            )

    @override
    def startup_steps(self, number: int) -> Iterator[Step]:
        on = [n for n in self.nodes if n.droplet.active]
        if any(n.restartable or n.draining or n.busy_with for n in on):
            # It restarts all of OpenVidu there, its pages included.
            yield Revive(self._ids, who=self._who)
            yield self.masters_healthy()
            yield FrontAnswers()
        yield NodesServe(self._ids, who=self._who)

    @property
    def number_to_restore(self) -> int:
        return 1

    @override
    def startup_number(self, requested: int | None) -> int | None:
        return 1

    @property
    def max_startup_nodes(self) -> int | None:
        return 0

    def check_startup(self, requested: int | None) -> None:
        if requested is not None:
            raise Refused(
                f"{self.cluster.name} is {self.name}: a start-up starts that node. "
                "Run [[command startup]] without a number"
            )

    @override
    def check_window_number(self, number: int) -> None:
        raise Refused(
            f"{self.cluster.name} is {self.name}: a window opens with that node. Omit `--number`"
        )

    def window_notes(self) -> tuple[str, ...]:
        return ("[[warning]] Saves nothing; people cannot meet in these hours",)

    def shutdown_notes(self) -> tuple[str, ...]:
        return (NOTHING,)

    def shutdown_next_step(self) -> str:
        return (
            "Nothing is saved: DigitalOcean bills powered-off droplets in full. "
            "[[command startup]] starts it again"
        )

    # Restart

    @override
    def restart_master(
        self, master: Droplet, *, service: bool, drain: bool = True, least: int = 0
    ) -> Iterator[Step]:
        if drain:
            yield from self.drain_first()
        if service:
            assert isinstance(master.start, str), "the procedure refuses otherwise"
            yield RestartHost(master.name, was=master.start, harsh=not drain)
        else:
            yield PowerOffHost((master.name,), returns=True, harsh=not drain)
        yield from self._finish(master)
        yield NodesServe(self._ids, who=self._who)

    @override
    def _finish(self, master: Droplet) -> Iterator[Step]:
        yield PowerOn(master.name)
        yield self.masters_healthy()
        yield FrontAnswers()

    @override
    def finish_restart(self, master: Droplet, least: int = 0) -> Iterator[Step]:
        yield from self._finish(master)
        yield from self.startup_steps(1)

    @override
    def recover_restart(self, step: Step) -> Iterator[Step]:
        if not isinstance(step, PowerOff):
            return
        # A node that did not power off in time is drained, and serves again only by a restart.
        yield from (PowerOn(name) for name in self._masters)
        yield self.masters_healthy()
        yield FrontAnswers()
        yield from self.startup_steps(1)

    @override
    def restart_note(self, master: Droplet, *, service: bool, drain: bool = True) -> str:
        what = "only OpenVidu" if service else "its droplet"
        if not drain:
            return (
                f"Restarts {what}. Meetings run on this droplet and are ended; no one can meet "
                "until it is back in service"
            )
        return (
            f"Restarts {what}. Meetings run on this droplet: it is drained first, and no one can "
            "meet until it is back in service"
        )

    # Number and size

    @override
    def scale(self, number: int, *, harsh: bool) -> FleetChange:
        raise Refused(
            f"{self.cluster.name} is {self.name}: its meetings run on that droplet, and no media "
            f"nodes can be added. {LARGER}"
        )

    @override
    def resize(self, size: str, *, harsh: bool) -> FleetChange:
        raise Refused(
            f"{self.cluster.name} is {self.name}, without media nodes. "
            f"To resize the node, run [[command resize masters {size}]]"
        )

    def roll(self, size: str) -> FleetChange:
        raise Refused(
            f"rolling is for an autoscaler; {self.cluster.name} has {self.name}, and a change of "
            f"its size is always downtime: [[command resize masters {size}]]"
        )

    @override
    def unpark(self, target: str) -> FleetChange:
        raise Refused(
            f"parking is for fixed media nodes; {self.cluster.name} has {self.name}. "
            "To start it, run [[command startup]]"
        )

    # The node

    def select(self, target: str) -> tuple[MediaNode, ...]:
        wanted = target.lower()
        for node in self.nodes:
            names = (short_name(node.name, self.cluster.stack), node.name, str(node.id))
            if wanted in ("all", *(name.lower() for name in names)):
                return (node,)
        raise Refused(
            f"{self.cluster.name} has no media node “{target}”: its meetings run on its only node. "
            "To drain that node, run [[command drain]]"
        )

    @override
    def drain(self, selected: tuple[MediaNode, ...], target: str) -> FleetChange:
        (node,) = selected
        if node.droplet.off:
            raise Refused(
                f"{self.cluster.name} is shut down: there is nothing to drain. "
                "Start it with [[command startup]]"
            )
        if isinstance(node.look, Unobserved):
            raise Refused(
                f"{self._who} cannot be observed over SSH ({node.look.reason}). "
                f"[[command status {self._who}]] shows what is known"
            )
        back = WAY_BACK.format(node=self._who)
        step = Drain(self._ids, number=1, pool_follows=False, alone=True, who=self._who)
        notes = (
            f"[[strong All service ends]]: no one can meet on {self.cluster.name} until OpenVidu "
            f"is restarted with {back}. Its pages still answer meanwhile",
            "Nothing is saved: the droplet stays powered on and is billed",
        )
        return FleetChange((step,), notes, next_step=f"Return it to service with {back}")
