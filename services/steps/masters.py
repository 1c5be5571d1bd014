"""Steps about the masters and the public address in front of them."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, Droplet, Fact, only_name, short_name
from services.common.observed import Unobserved
from services.common.text import join_words, plural
from services.common.values import replace
from services.secrets_env import Reader, SecretsFindings, findings_text
from services.steps.base import Effects, Step, StepTiming, WriteOperations, request_each
from services.steps.node_text import unseen_nodes
from services.steps.usual import usual

STATUS = {"off": "powered off", "active": "powered on"}
# Seconds between two looks at which masters are on, while a step waits for what runs on them. A
# master that others power off while it starts did not answer before either.
MASTERS_SEEN = 20.0


def master_names(names: tuple[str, ...]) -> str:
    """Return `masters 1-4`, `master 2`, `masters 1 and 3`; `the master` or `the node` if only one.

    `the master` is Elastic's, `the node` is the droplet of a Single Node.
    """
    if len(names) == 1 and (only := only_name(names[0])):
        return f"the {only}"
    numbers = [name.rsplit("-", 1)[-1] for name in names]
    if len(numbers) == 1:
        return f"master {numbers[0]}"
    if numbers == ["1", "2", "3", "4"]:
        return "masters 1-4"
    return f"masters {join_words(numbers)}"


def powered_on(names: tuple[str, ...]) -> str:
    """Return what remains of powering these masters on."""
    return f"{master_names(names)} powered on"


def _masters(cluster: Cluster, names: tuple[str, ...]) -> list[Droplet]:
    return [m for m in cluster.masters if m.name in names]


def are_here(cluster: Cluster, names: tuple[str, ...]) -> bool:
    """Return whether all of these masters were seen: of one that was not, nothing is reached."""
    return set(names) <= {m.name for m in cluster.masters}


def _with_status(cluster: Cluster, names: tuple[str, ...], status: str) -> str:
    """Return `master 2 is powered off`, of those seen in that status; "" when none is."""
    matching = tuple(m.name for m in _masters(cluster, names) if m.status == status)
    if not matching:
        return ""
    verb = plural(len(matching), "is", "are")
    return f"{master_names(matching)} {verb} {STATUS[status]}"


def _another_is_down(cluster: Cluster, names: tuple[str, ...]) -> str:
    """Return why none of these may be stopped while another master is off; "" when all are on."""
    others = [m for m in cluster.masters if m.name not in names]
    stopped = tuple(m.name for m in others if cluster.stopped_by_request(m.id) and not m.is_healthy)
    if stopped:
        return f"OpenVidu is stopped on {master_names(stopped)}: two masters are never down at once"
    down = tuple(m.name for m in others if m.status != "active")
    if not down:
        return ""
    verb = plural(len(down), "is", "are")
    return f"{master_names(down)} {verb} not powered on: two masters are never down at once"


def _of_a_stop(cluster: Cluster) -> Effects:
    """Return what it means that one master stops while media nodes stay in service.

    Where it is the only one, no one can meet, and running meetings lose their connection.
    """
    if control_plane_of(cluster).can_roll:
        return Effects(stops_masters=True, down=not cluster.is_up)
    meets = any(not n.drained for n in cluster.media)
    return Effects(stops_masters=True, down=True, blocks=meets, cuts_off=meets and not cluster.idle)


def _startup_fault(cluster: Cluster) -> str:
    """Return why a master stopped now would not start again; "" when no fault is known.

    As far as secrets.env was read.
    """
    if not isinstance(cluster.lint, SecretsFindings):
        return ""
    return findings_text([f for f in cluster.lint.findings if f.reader is Reader.MASTERS])


@dataclass(frozen=True)
class PowerOff(Step):
    """Masters are powered off.

    Shutdowns are requested in order without waiting; the first retry cuts the power.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=usual("shutdown until off", 25.0),
        deadline=lambda t: t.power_off_deadline,
        retry_after=lambda t: t.shutdown_nudge,
    )
    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.POOL, Fact.NODES, Fact.LINT})
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS})
    interruptible: ClassVar[bool] = False

    names: tuple[str, ...]
    # Media droplets that may stay, because they are named and drained.
    kept: tuple[int, ...] = ()
    # A rolling operation: media nodes stay in service while one master is down.
    media_stays: bool = False

    @property
    def is_waypoint(self) -> bool:
        # A single master of a cluster in service is not left powered off.
        return self.media_stays

    def title(self) -> str:
        return f"Power off {master_names(self.names)}"

    def is_done(self, cluster: Cluster) -> bool:
        return are_here(cluster, self.names) and all(m.off for m in _masters(cluster, self.names))

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters(
            {
                m.name: replace(m, status="off", locked=False, healthy=False)
                for m in _masters(cluster, self.names)
            }
        )

    def effects(self, cluster: Cluster) -> Effects:
        if self.media_stays:
            return _of_a_stop(cluster)
        down = len(self.names) > 1 or not cluster.is_up or not control_plane_of(cluster).can_roll
        return Effects(stops_masters=True, down=down)

    def missing_evidence(self, cluster: Cluster) -> str:
        if self.media_stays or self.is_done(cluster):
            return ""
        kept = [n for n in cluster.media if n.id in self.kept and not n.droplet.off]
        return unseen_nodes(cluster, kept)

    def blocker(self, cluster: Cluster) -> str:
        if self.is_done(cluster):
            return ""
        if self.media_stays:
            return _another_is_down(cluster, self.names)
        left = [n for n in cluster.media if not (n.id in self.kept and n.parked)]
        if left:
            names = join_words(short_name(n.name, cluster.stack) for n in left)
            return f"{names} not deleted yet: masters are stopped only without media droplets"
        if cluster.autoscaler is not None and cluster.autoscaler.enabled:
            return (
                "the autoscaler is enabled: it would add media nodes while the masters are "
                "powered off"
            )
        return ""

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return not self.is_done(cluster) and not self._held_by(cluster)

    def _held_by(self, cluster: Cluster) -> str:
        """Return which fault in secrets.env keeps all of them on.

        The file was valid when this was planned; meetings may have taken hours to end since.
        """
        if all(m.active for m in _masters(cluster, self.names)):
            return _startup_fault(cluster)
        return ""

    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        # "shutdown" is only a request to the guest system; "power_off" cuts the power.
        action = "shutdown" if again == 0 else "power_off"
        on = [m for m in _masters(cluster, self.names) if m.status != "off" and not m.locked]
        await request_each(world.request_droplet_action(m.id, action) for m in on)

    def waits_for(self, cluster: Cluster) -> str:
        if fault := self._held_by(cluster):
            return f"secrets.env to be fixed: {fault}"
        on = [short_name(m.name, cluster.stack) for m in _masters(cluster, self.names) if not m.off]
        if not on:
            return ""
        return f"{join_words(on)} to power off"

    def reverted(self, before: Cluster, now: Cluster) -> str:
        was_off = {m.name for m in _masters(before, self.names) if m.status == "off"}
        on = tuple(
            m.name for m in _masters(now, self.names) if m.name in was_off and m.status == "active"
        )
        if not on:
            return ""
        verb = plural(len(on), "is", "are")
        return f"{master_names(on)} {verb} powered on again after being powered off"

    def regression(self, cluster: Cluster) -> str:
        return _with_status(cluster, self.names, "active")

    def residue(self) -> str:
        return f"{master_names(self.names)} powered off"


@dataclass(frozen=True)
class PowerOn(Step):
    """One master is powered on.

    The next one is started only when this one is active, as the vendor's page describes.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=usual("power_on until active", 35.0),
        deadline=lambda t: t.power_on_deadline,
        retry_after=lambda t: t.shutdown_nudge,
    )
    interruptible: ClassVar[bool] = False

    name: str

    def title(self) -> str:
        return f"Power on {master_names((self.name,))}"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.master(self.name).active

    def after(self, cluster: Cluster) -> Cluster:
        master = replace(cluster.master(self.name), status="active", locked=False)
        return cluster.with_masters({self.name: master})

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return cluster.master(self.name).off

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.request_droplet_action(cluster.master(self.name).id, "power_on")

    def regression(self, cluster: Cluster) -> str:
        return _with_status(cluster, (self.name,), "off")

    def waits_for(self, cluster: Cluster) -> str:
        return f"{short_name(self.name, cluster.stack)} to power on"

    def residue(self) -> str:
        return powered_on((self.name,))


@dataclass(frozen=True)
class Healthy(Step):
    """Masters answer their own health page.

    All together: waiting for one before the next is started can deadlock.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=usual("power_on until healthy", 120.0),
        deadline=lambda t: t.masters_deadline,
        retry_after=lambda t: t.masters_nudge,
    )
    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.HEALTH, Fact.FRONT})
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.HEALTH})
    whole_look_every: ClassVar[float] = MASTERS_SEEN
    is_verification: ClassVar[bool] = True
    leaves_change: ClassVar[bool] = False

    names: tuple[str, ...]
    # False: a master that does not come up by itself is a failure, and is not restarted.
    restarts: bool = True

    def title(self) -> str:
        verb = plural(len(self.names), "is", "are")
        return f"Wait until {master_names(self.names)} {verb} healthy"

    def is_done(self, cluster: Cluster) -> bool:
        return are_here(cluster, self.names) and all(
            m.is_healthy for m in _masters(cluster, self.names)
        )

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters(
            {m.name: replace(m, healthy=True) for m in _masters(cluster, self.names)}
        )

    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # Nothing is requested at first; a single retry restarts OpenVidu where it does not answer.
        return self.restarts and again == 1 and bool(self._unhealthy(cluster))

    def _unhealthy(self, cluster: Cluster) -> list[Droplet]:
        """Return the masters that are on and seen to be unhealthy.

        One that only this bot cannot reach may serve people, and is not restarted. While the public
        address does not answer either, no one is served, and no answer is reason enough.
        """
        no_one_served = cluster.front is False
        on = [m for m in _masters(cluster, self.names) if m.active]
        return [
            m
            for m in on
            if m.healthy is False or (no_one_served and isinstance(m.healthy, Unobserved))
        ]

    def blocker(self, cluster: Cluster) -> str:
        # A master that is off never becomes healthy by waiting.
        return self.regression(cluster)

    def regression(self, cluster: Cluster) -> str:
        return _with_status(cluster, self.names, "off")

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(world.restart_service(m.id) for m in self._unhealthy(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        return join_words(
            f"{short_name(m.name, cluster.stack)} ({_why_unhealthy(m)})"
            for m in _masters(cluster, self.names)
            if not m.is_healthy
        )

    def residue(self) -> str:
        return f"{master_names(self.names)} healthy"

    def supersedes(self, earlier: Step) -> bool:
        return isinstance(earlier, PowerOff) and set(earlier.names) <= set(self.names)


def _why_unhealthy(master: Droplet) -> str:
    if not master.active:
        return "not powered on"
    if isinstance(master.healthy, Unobserved):
        return f"health page unknown: {master.healthy.reason}"
    return "health page does not return 200"


@dataclass(frozen=True)
class RestartService(Step):
    """OpenVidu was restarted on one master.

    Its systemd unit runs since another start than the one seen when this was planned.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=20.0,
        deadline=lambda t: t.power_on_deadline,
    )
    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.SERVICES})
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.SERVICES})
    whole_look_every: ClassVar[float] = MASTERS_SEEN
    interruptible: ClassVar[bool] = False

    name: str
    # The start seen when it was planned, as systemd names it.
    was: str

    def title(self) -> str:
        return f"Restart OpenVidu on {master_names((self.name,))}"

    def is_done(self, cluster: Cluster) -> bool:
        start = cluster.master(self.name).start
        return isinstance(start, str) and start not in ("", self.was)

    def after(self, cluster: Cluster) -> Cluster:
        master = cluster.master(self.name)
        restarted = replace(master, start=f"after {self.was}", healthy=False)
        return cluster.with_masters({self.name: restarted})

    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # Once, and only while the old start is seen: a second restart would begin the wait again.
        return again == 0 and cluster.master(self.name).start == self.was

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.restart_service(cluster.master(self.name).id)

    @override
    def effects(self, cluster: Cluster) -> Effects:
        return _of_a_stop(cluster)

    def blocker(self, cluster: Cluster) -> str:
        if self.is_done(cluster):
            return ""
        return _another_is_down(cluster, (self.name,))

    def waits_for(self, cluster: Cluster) -> str:
        name = short_name(self.name, cluster.stack)
        start = cluster.master(self.name).start
        if isinstance(start, Unobserved):
            return f"{name} to answer over SSH: {start.reason}"
        return f"OpenVidu on {name} to start again"

    def residue(self) -> str:
        return f"OpenVidu restarted on {master_names((self.name,))}"


@dataclass(frozen=True)
class FrontAnswers(Step):
    """The public address answers through what is in front: a load balancer, or a reserved IP.

    Masters can be healthy and not reachable.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=10.0,
        deadline=lambda t: t.front_deadline,
    )
    needs: ClassVar[frozenset[Fact]] = frozenset({Fact.FRONT})
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.FRONT})
    whole_look_every: ClassVar[float] = MASTERS_SEEN
    is_verification: ClassVar[bool] = True
    leaves_change: ClassVar[bool] = False

    def title(self) -> str:
        return "Verify that the public address answers"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.front is True or not cluster.has_front

    def after(self, cluster: Cluster) -> Cluster:
        return replace(cluster, front=True)

    def waits_for(self, cluster: Cluster) -> str:
        text = f"the public address to answer through {control_plane_of(cluster).front}"
        if isinstance(cluster.front, Unobserved) and cluster.front.since:
            return f"{text}: {cluster.front.reason}"
        return text

    def residue(self) -> str:
        return "the public address answers"
