"""Steps about the four masters and the public address in front of them."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.model import Cluster, Droplet, Fact, short
from services.common.observed import NotSeen
from services.common.text import listed
from services.secrets_env import Linted, Reader, described
from services.steps.base import Effects, Step, World, ask_each
from services.steps.media_nodes import unseen


def _masters(cluster: Cluster, names: tuple[str, ...]) -> list[Droplet]:
    return [m for m in cluster.masters if m.name in names]


def _seen(cluster: Cluster, names: tuple[str, ...], status: str) -> str:
    """`master 2 is off`, of those that are seen in that state; "" when none is."""
    found = tuple(m.name for m in _masters(cluster, names) if m.status == status)
    return f"{said(found)} {'is' if len(found) == 1 else 'are'} {STATUS[status]}" if found else ""


STATUS = {"off": "powered off", "active": "powered on"}


def said(names: tuple[str, ...]) -> str:
    """`masters 1-4`, `master 2`, `masters 1 and 3`."""
    numbers = [name.rsplit("-", 1)[-1] for name in names]
    if len(numbers) == 1:
        return f"master {numbers[0]}"
    if numbers == ["1", "2", "3", "4"]:
        return "masters 1-4"
    return f"masters {listed(numbers)}"


def _fault(cluster: Cluster) -> str:
    """Why a master that is stopped now would not start again, as far as secrets.env was seen; "" when nothing is known to be wrong."""
    found = cluster.lint.findings if isinstance(cluster.lint, Linted) else ()
    return described([f for f in found if f.reader is Reader.MASTERS])


@dataclass(frozen=True)
class PowerOff(Step):
    """Masters are off. Asked in order without waiting; after the nudge time the power is cut."""

    names: tuple[str, ...]
    kept: tuple[
        int, ...
    ] = ()  # media droplets that may stay, because they were named and are drained
    media_stays: bool = False  # rolling work: media nodes go on serving while one master is down

    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.POOL, Fact.NODES, Fact.LINT})
    breakable: ClassVar[bool] = False

    @property
    def leads_on(self) -> bool:
        return self.media_stays  # one master of a cluster that serves: it is not left off

    def title(self) -> str:
        return f"Shut down {said(self.names)}"

    def is_done(self, cluster: Cluster) -> bool:
        return all(m.off for m in _masters(cluster, self.names))

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters(
            {
                m.name: replace(m, status="off", locked=False, healthy=False)
                for m in _masters(cluster, self.names)
            }
        )

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 25.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.power_off_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.shutdown_nudge

    def effects(self, cluster: Cluster) -> Effects:
        return Effects(stops_masters=True, down=len(self.names) > 1 or not cluster.up)

    def unproved(self, cluster: Cluster) -> str:
        if self.media_stays or self.is_done(cluster):
            return ""
        return unseen(
            cluster, [n for n in cluster.media if n.id in self.kept and not n.droplet.off]
        )

    def objection(self, cluster: Cluster) -> str:
        if self.media_stays:
            down = [
                m.name for m in cluster.masters if m.name not in self.names and m.status != "active"
            ]
            return (
                f"{said(tuple(down))} not on: two masters are never down at once"
                if down and not self.is_done(cluster)
                else ""
            )
        left = [n for n in cluster.media if not (n.id in self.kept and n.parked)]
        if left and not self.is_done(cluster):
            names = listed(short(n.name, cluster.stack) for n in left)
            return f"{names} still there: masters are not stopped while a media droplet exists"
        if (
            cluster.autoscaler is not None
            and cluster.autoscaler.enabled
            and not self.is_done(cluster)
        ):
            return "the autoscaler is on: it would bring media nodes all the time that the masters are off"
        return ""

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return not self.is_done(cluster) and not self._held_by(cluster)

    def _held_by(self, cluster: Cluster) -> str:
        """What in secrets.env keeps all of them on: it was sound when this was planned, and meetings may have taken hours to end."""
        return _fault(cluster) if all(m.active for m in _masters(cluster, self.names)) else ""

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:
        # DigitalOcean's "shutdown" only promises that the request was made; power_off is the hard cut when it did not help.
        action = "shutdown" if again == 0 else "power_off"
        on = [m for m in _masters(cluster, self.names) if m.status != "off" and not m.locked]
        await ask_each(world.act(m.id, action) for m in on)

    def waits_for(self, cluster: Cluster) -> str:
        if fault := self._held_by(cluster):
            return f"secrets.env to be repaired: {fault}"
        names = [short(m.name, cluster.stack) for m in _masters(cluster, self.names) if not m.off]
        return f"{listed(names)} to power off" if names else ""

    def undone(self, before: Cluster, now: Cluster) -> str:
        was_off = {m.name for m in _masters(before, self.names) if m.status == "off"}
        back = tuple(
            m.name for m in _masters(now, self.names) if m.name in was_off and m.status == "active"
        )
        return (
            f"{said(back)}, which had gone off and {'is' if len(back) == 1 else 'are'} on again"
            if back
            else ""
        )

    def lost(self, cluster: Cluster) -> str:
        return _seen(cluster, self.names, "active")

    def stays(self) -> str:
        return f"{said(self.names)} off"


@dataclass(frozen=True)
class PowerOn(Step):
    """One master is on: the next is asked only when this one is active, as the vendor's page has it."""

    name: str

    breakable: ClassVar[bool] = False

    def title(self) -> str:
        return f"Start {said((self.name,))}"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.master(self.name).active

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters(
            {self.name: replace(cluster.master(self.name), status="active", locked=False)}
        )

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 35.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.power_on_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.shutdown_nudge

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        master = cluster.master(self.name)
        return master.off

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.act(cluster.master(self.name).id, "power_on")

    def lost(self, cluster: Cluster) -> str:
        return _seen(cluster, (self.name,), "off")

    def waits_for(self, cluster: Cluster) -> str:
        return f"{short(self.name, cluster.stack)} to be active"

    def stays(self) -> str:
        return f"{said((self.name,))} on"


@dataclass(frozen=True)
class Healthy(Step):
    """Masters answer their own health page. All together: waiting for one before starting the next can deadlock."""

    names: tuple[str, ...]
    restarts: bool = (
        True  # False: what did not come up by itself is a failure, not something to help along
    )

    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.HEALTH, Fact.FRONT})
    checks: ClassVar[bool] = True

    def title(self) -> str:
        return f"Wait until {said(self.names)} {'is' if len(self.names) == 1 else 'are'} healthy"

    def is_done(self, cluster: Cluster) -> bool:
        return all(m.well for m in _masters(cluster, self.names))

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters(
            {m.name: replace(m, healthy=True) for m in _masters(cluster, self.names)}
        )

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 120.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.masters_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.masters_nudge

    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # The first ask is patience itself; the one nudge restarts OpenVidu where it does not answer.
        return self.restarts and again == 1 and bool(self._sick(cluster))

    def _sick(self, cluster: Cluster) -> list[Droplet]:
        """Masters that are on and seen not to be well. One that only this bot cannot see may serve people: it is not restarted.

        While the public address is seen not to answer either, no one is served, and silence is reason enough.
        """
        silent_all_over = cluster.front is False
        on = [m for m in _masters(cluster, self.names) if m.active]
        return [
            m
            for m in on
            if m.healthy is False or (silent_all_over and isinstance(m.healthy, NotSeen))
        ]

    def objection(self, cluster: Cluster) -> str:
        return self.lost(cluster)  # it never becomes healthy by waiting

    def lost(self, cluster: Cluster) -> str:
        return _seen(cluster, self.names, "off")

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await ask_each(world.restart_service(m.id) for m in self._sick(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        names = [
            f"{short(m.name, cluster.stack)} ({_unwell(m)})"
            for m in _masters(cluster, self.names)
            if not m.well
        ]
        return listed(names)

    def stays(self) -> str:
        return f"{said(self.names)} healthy"

    def settles(self, earlier: Step) -> bool:
        return isinstance(earlier, PowerOff) and set(earlier.names) <= set(self.names)


def _unwell(master: Droplet) -> str:
    """Why it does not count as healthy."""
    if not master.active:
        return "not active"
    if isinstance(master.healthy, NotSeen):
        return f"health page not seen: {master.healthy.reason}"
    return "health page not 200"


@dataclass(frozen=True)
class RestartService(Step):
    """OpenVidu was restarted on one master: another start of its unit runs there than the one seen when it was planned."""

    name: str
    was: str  # that start, as systemd names it

    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.SERVICES})
    breakable: ClassVar[bool] = False

    def title(self) -> str:
        return f"Restart OpenVidu on {said((self.name,))}"

    def is_done(self, cluster: Cluster) -> bool:
        start = cluster.master(self.name).start
        return isinstance(start, str) and start not in ("", self.was)

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters(
            {
                self.name: replace(
                    cluster.master(self.name), start=f"after {self.was}", healthy=False
                )
            }
        )

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 20.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.power_on_deadline

    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # Asked once, and only when it is seen that it has not happened: a second restart would begin the waiting anew.
        return again == 0 and cluster.master(self.name).start == self.was

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.restart_service(cluster.master(self.name).id)

    def effects(self, cluster: Cluster) -> Effects:  # noqa: ARG002
        return Effects(stops_masters=True)

    def objection(self, cluster: Cluster) -> str:
        down = tuple(
            m.name for m in cluster.masters if m.name != self.name and m.status != "active"
        )
        return (
            f"{said(down)} not on: two masters are never down at once"
            if down and not self.is_done(cluster)
            else ""
        )

    def waits_for(self, cluster: Cluster) -> str:
        name = short(self.name, cluster.stack)
        start = cluster.master(self.name).start
        return (
            f"{name} to answer by SSH: {start.reason}"
            if isinstance(start, NotSeen)
            else f"OpenVidu on {name} to start again"
        )

    def stays(self) -> str:
        return f"OpenVidu restarted on {said((self.name,))}"


@dataclass(frozen=True)
class FrontAnswers(Step):
    """The public address answers through the load balancer: masters can be healthy and yet not be reachable."""

    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.FRONT})
    checks: ClassVar[bool] = True

    def title(self) -> str:
        return "Check the public address through the load balancer"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.front is True or not cluster.has_front

    def after(self, cluster: Cluster) -> Cluster:
        return replace(cluster, front=True)

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 10.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.front_deadline

    def waits_for(self, cluster: Cluster) -> str:
        why = (
            f": {cluster.front.reason}"
            if isinstance(cluster.front, NotSeen) and cluster.front.since
            else ""
        )
        return f"the public address to answer through the load balancer{why}"

    def stays(self) -> str:
        return "the public address answers"
