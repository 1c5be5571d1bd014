"""Steps that change one of OpenVidu's configuration files, on a master that the others copy.

The new content is staged in the bucket before, private. No content passes through a step.
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.configuration import KeptFile, NodeConfiguration
from services.cluster.model import Cluster, Droplet, Fact, MediaNode, NodeStatus, short_name
from services.common.observed import Unobserved
from services.common.text import join_words, plural
from services.common.values import replace
from services.config_files import Place, is_known, known_file
from services.config_files.modules import MODULES, Module
from services.steps.base import NODE_FACTS, Effects, Step, StepTiming, WriteOperations
from services.steps.masters import master_names

CONFIGURATION_FACTS = frozenset({Fact.DROPLETS, Fact.CONFIGURATION})
# Seconds for which nothing may be wrong: nodes read a change some time after the restart.
SETTLED = 45.0
# Seconds until a fault that is seen counts as lasting.
LASTING = 120.0
FILE_TIMING = StepTiming(
    expected=5.0,
    deadline=lambda t: t.front_deadline,
    retry_after=lambda t: t.look * 3,
)


def _look(cluster: Cluster, name: str) -> NodeConfiguration | None:
    look = cluster.configuration_of(name)
    return None if isinstance(look, Unobserved) else look


def _digest(cluster: Cluster, name: str, file: str) -> str | None:
    """Return the digest of a file on that master; None if it was not seen."""
    look = _look(cluster, name)
    if look is None or not is_known(file):
        return None
    return look.digest(known_file(file).path_in(look.layout))


def _with_look(cluster: Cluster, master: Droplet, look: NodeConfiguration) -> Cluster:
    looks = dict(cluster.configuration) | {master.id: look}
    return replace(cluster, configuration=tuple(looks.items()))


def _with_file(look: NodeConfiguration, file: str, digest: str) -> NodeConfiguration:
    if not is_known(file):
        return look
    files = dict(look.files) | {known_file(file).path_in(look.layout): digest}
    return replace(look, files=tuple(files.items()))


def errors_of(cluster: Cluster) -> list[str]:
    """Return what nodes_errors.log says on any master, since OpenVidu started on the first one."""
    looks = [look for m in cluster.masters if (look := _look(cluster, m.name))]
    since = looks[0].since if looks else ""
    errors = dict.fromkeys(text for look in looks for text in look.errors_since(since))
    return [f"nodes_errors.log: {text}" for text in errors]


def unseen_media(cluster: Cluster) -> tuple[str, str] | None:
    """Return a media node that stays and is not seen, with the reason; None if all are seen."""
    for node in cluster.media:
        leaves = node.member_status == "deleting" or not node.droplet.active
        if not leaves and isinstance(node.look, Unobserved):
            return short_name(node.name, cluster.stack), node.look.reason
    return None


def _silence(cluster: Cluster, name: str) -> str:
    """Return that a master does not answer over SSH, with the reason; "" if it does."""
    look = cluster.configuration_of(name)
    if isinstance(look, Unobserved):
        return f"{short_name(name, cluster.stack)} to answer over SSH: {look.reason}"
    return ""


@dataclass(frozen=True)
class _ConfigFileStep(Step):
    """A configuration file on one master, changed or put back.

    `before` and `after_digest` are digests of the whole file, so that no other change is
    overwritten.
    """

    timing: ClassVar[StepTiming] = FILE_TIMING
    needs: ClassVar[frozenset[Fact]] = CONFIGURATION_FACTS
    interruptible: ClassVar[bool] = False

    name: str
    file: str
    staged: str
    before: str
    after_digest: str

    @property
    def is_waypoint(self) -> bool:
        # Written and not applied, it would surprise the operator who restarts a master next.
        return True

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return _look(cluster, self.name) is not None and not self.is_done(cluster)


@dataclass(frozen=True)
class WriteConfigFile(_ConfigFileStep):
    """The staged file is in the place of a configuration file, on one master.

    The old file is kept there.
    """

    def title(self) -> str:
        return f"Write the new {self.file} on {master_names((self.name,))} (the old file is kept)"

    def is_done(self, cluster: Cluster) -> bool:
        look = _look(cluster, self.name)
        return (
            look is not None
            and look.kept_file(self.staged) is not None
            and _digest(cluster, self.name, self.file) == self.after_digest
        )

    def after(self, cluster: Cluster) -> Cluster:
        look = _look(cluster, self.name)
        if look is None:
            return cluster
        kept = (*look.kept, KeptFile(self.staged, self.before, look.start))
        written = replace(_with_file(look, self.file, self.after_digest), kept=kept)
        return _with_look(cluster, cluster.master(self.name), written)

    def blocker(self, cluster: Cluster) -> str:
        digest = _digest(cluster, self.name, self.file)
        if digest in (None, self.before) or self.is_done(cluster):
            return ""
        return (
            f"{self.file} was changed on {master_names((self.name,))} since this was requested. "
            "Nothing was written. Request the change again"
        )

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.write_config(
            cluster.master(self.name).id, self.file, self.staged, self.before, self.after_digest
        )

    @override
    def waits_for(self, cluster: Cluster) -> str:
        return _silence(cluster, self.name) or "the file to read back as written"

    def residue(self) -> str:
        return f"{self.file} changed on {master_names((self.name,))}"


@dataclass(frozen=True)
class RestoreConfigFile(_ConfigFileStep):
    """A configuration file is again the one from before the change."""

    def title(self) -> str:
        return f"Restore the old {self.file} on {master_names((self.name,))}"

    def is_done(self, cluster: Cluster) -> bool:
        return _digest(cluster, self.name, self.file) == self.before

    def after(self, cluster: Cluster) -> Cluster:
        look = _look(cluster, self.name)
        if look is None:
            return cluster
        restored = _with_file(look, self.file, self.before)
        return _with_look(cluster, cluster.master(self.name), restored)

    def blocker(self, cluster: Cluster) -> str:
        digest = _digest(cluster, self.name, self.file)
        if digest is None or digest in (self.before, self.after_digest):
            return ""
        return (
            f"{self.file} was changed on {master_names((self.name,))} since the bot changed it. "
            "That file was not overwritten"
        )

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.restore_config(
            cluster.master(self.name).id, self.file, self.staged, self.before, self.after_digest
        )

    @override
    def waits_for(self, cluster: Cluster) -> str:
        return _silence(cluster, self.name) or "the old file to read back"

    def supersedes(self, earlier: Step) -> bool:
        return isinstance(earlier, WriteConfigFile) and earlier.staged == self.staged


@dataclass(frozen=True)
class ApplyConfig(Step):
    """OpenVidu was restarted on one master after its configuration was written.

    Another start of its unit runs than the one that the kept file names. OpenVidu then restarts the
    services of every node whose files have changed.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=20.0,
        deadline=lambda t: t.power_on_deadline,
    )
    needs: ClassVar[frozenset[Fact]] = CONFIGURATION_FACTS | {Fact.HEALTH, Fact.LOAD}
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.CONFIGURATION})
    interruptible: ClassVar[bool] = False

    name: str
    staged: str
    # The change restarts the media servers.
    ends_meetings: bool = False

    @property
    def is_waypoint(self) -> bool:
        # What was applied is verified, or rolled back.
        return True

    def title(self) -> str:
        return f"Restart OpenVidu on {master_names((self.name,))}, which applies it to all nodes"

    def is_done(self, cluster: Cluster) -> bool:
        look = _look(cluster, self.name)
        kept = look.kept_file(self.staged) if look is not None else None
        return look is not None and kept is not None and look.start not in ("", kept.start)

    def after(self, cluster: Cluster) -> Cluster:
        look = _look(cluster, self.name)
        if look is None:
            return cluster
        master = cluster.master(self.name)
        restarted = replace(look, start=f"after {look.start}")
        unhealthy = cluster.with_masters({self.name: replace(master, healthy=False)})
        return _with_look(unhealthy, master, restarted)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # Once, and only while the old start is seen: a second restart would begin the wait again.
        look = _look(cluster, self.name)
        kept = look.kept_file(self.staged) if look is not None else None
        return again == 0 and look is not None and kept is not None and look.start == kept.start

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.restart_service(cluster.master(self.name).id)

    @override
    def effects(self, cluster: Cluster) -> Effects:
        return Effects(stops_masters=True, cuts_off=self.ends_meetings)

    def blocker(self, cluster: Cluster) -> str:
        if self.is_done(cluster):
            return ""
        down = tuple(m.name for m in cluster.masters if m.name != self.name and not m.active)
        if not down:
            return ""
        return f"{master_names(down)} not powered on: two masters are never down at once"

    @override
    def waits_for(self, cluster: Cluster) -> str:
        name = short_name(self.name, cluster.stack)
        return _silence(cluster, self.name) or f"OpenVidu on {name} to start again"

    def residue(self) -> str:
        return f"OpenVidu restarted on {master_names((self.name,))}"


@dataclass(frozen=True)
class ConfigAccepted(Step):
    """Every node has read the configuration: on each master, and on the media nodes.

    On every master the file has this digest, OpenVidu's unit runs, no container restarts again and
    again, and nodes_errors.log has no error since the restart. Masters are healthy, the public
    address answers, and no media server is down. One step, because a cancel must not end between
    these: what the kept file is for shows only in a look at the configuration.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=SETTLED + 60.0,
        deadline=lambda t: t.masters_deadline,
        confirm_after=SETTLED,
    )
    needs: ClassVar[frozenset[Fact]] = CONFIGURATION_FACTS | NODE_FACTS | {Fact.HEALTH, Fact.FRONT}
    confirm: ClassVar[bool] = True
    is_verification: ClassVar[bool] = True
    leaves_change: ClassVar[bool] = False

    # The file and its digest; "": none was changed by itself.
    file: str = ""
    digest: str = ""
    # Modules that must run, and that must not.
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def title(self) -> str:
        if self.present or self.absent:
            return "Verify that every node accepts the configuration and runs the modules"
        return "Verify that every node accepts the configuration, and that people can meet"

    def is_done(self, cluster: Cluster) -> bool:
        return not self._unseen(cluster) and not self._faults(cluster)

    @override
    def deadline(self, cluster: Cluster) -> float:
        # What crashes now does not come back by waiting.
        if self._lasting(cluster):
            return LASTING
        return super().deadline(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        for master in cluster.masters:
            look = _look(cluster, master.name)
            if look is not None:
                look = _with_file(look, self.file, self.digest) if self.file else look
                accepted = replace(
                    look, unit="active", troubled=(), errors=(), running=self._runs(look)
                )
                cluster = _with_look(cluster, master, accepted)
        healthy = {m.name: replace(m, healthy=True) for m in cluster.masters}
        return replace(cluster.with_masters(healthy), front=True)

    def _runs(self, look: NodeConfiguration) -> tuple[str, ...]:
        gone = {c for m in self._modules(self.absent) for names in m.containers for c in names}
        new = {names[0] for m in self._modules(self.present) for names in m.containers}
        return tuple(sorted((set(look.running) - gone) | new))

    def _modules(self, names: tuple[str, ...]) -> list[Module]:
        return [module for module in MODULES if module.name in names]

    def _unseen(self, cluster: Cluster) -> str:
        silent = next((s for m in cluster.masters if (s := _silence(cluster, m.name))), "")
        if silent or not is_known(self.file) or known_file(self.file).place is Place.MASTERS:
            return silent
        # What media nodes read was accepted where their media servers are seen.
        unseen = unseen_media(cluster)
        return f"{unseen[0]} to answer over SSH: {unseen[1]}" if unseen else ""

    def _faults(self, cluster: Cluster) -> list[str]:
        """Return what is wrong, the most telling first."""
        looks = [(m, look) for m in cluster.masters if (look := _look(cluster, m.name))]
        faults = self._lasting(cluster)
        for master, look in looks:
            name = short_name(master.name, cluster.stack)
            if look.unit != "active":
                faults.append(f"OpenVidu's unit on {name} is {look.unit or 'not there'}")
            if self.file and _digest(cluster, master.name, self.file) != self.digest:
                faults.append(f"{name} does not have the new {self.file} yet")
            faults += self._module_faults(name, look)
        unhealthy = tuple(m.name for m in cluster.masters if not m.is_healthy)
        if unhealthy:
            verb = plural(len(unhealthy), "is", "are")
            faults.append(f"{master_names(unhealthy)} {verb} not healthy yet")
        if cluster.has_front and cluster.front is not True:
            faults.append("the public address does not answer")
        down = [
            n for n in cluster.media if _is_down(n) and cluster.stopped_by_request(n.id) is None
        ]
        if down:
            names = join_words(short_name(n.name, cluster.stack) for n in down)
            faults.append(f"the media server of {names} is not in service")
        return faults

    def _module_faults(self, name: str, look: NodeConfiguration) -> list[str]:
        running = set(look.running)
        missing = [m for m in self._modules(self.present) if not running & set(m.telling)]
        left = [m for m in self._modules(self.absent) if running & set(m.telling)]
        return [
            *(f"{module.telling[0]} does not run on {name}" for module in missing),
            *(f"{module.telling[0]} still runs on {name}" for module in left),
        ]

    def _lasting(self, cluster: Cluster) -> list[str]:
        """Return the faults that OpenVidu's page on troubleshooting names."""
        faults = []
        looks = [(m, look) for m in cluster.masters if (look := _look(cluster, m.name))]
        for master, look in looks:
            name = short_name(master.name, cluster.stack)
            if "openvidu-init" in look.troubled:
                faults.append(
                    f"openvidu-init keeps restarting on {name}: a file has a wrong syntax"
                )
            elif look.troubled:
                faults.append(f"{join_words(look.troubled)} on {name} keep restarting")
        return [*faults, *errors_of(cluster)[:1]]

    @override
    def waits_for(self, cluster: Cluster) -> str:
        if silence := self._unseen(cluster):
            return silence
        faults = self._faults(cluster)
        return faults[0] if faults else "every node to run without errors for a while"

    def residue(self) -> str:
        return "the configuration is verified"


def _is_down(node: MediaNode) -> bool:
    """Return whether a node that is seen, and is not draining, serves no one.

    One without a media server is installing it, or a new file has made it disappear: both serve
    no one, and only its service tells them apart.
    """
    look = node.look
    if not isinstance(look, NodeStatus) or not node.droplet.active:
        return False
    is_leaving = node.member_status == "deleting" or look.drain_marked or node.draining
    return not is_leaving and not node.parked and not node.serving


@dataclass(frozen=True)
class ForgetConfig(Step):
    """What a change of a configuration file keeps on the master is deleted."""

    timing: ClassVar[StepTiming] = FILE_TIMING
    needs: ClassVar[frozenset[Fact]] = CONFIGURATION_FACTS
    leaves_change: ClassVar[bool] = False

    name: str
    staged: str

    def title(self) -> str:
        return f"Delete the kept file on {master_names((self.name,))}"

    def is_done(self, cluster: Cluster) -> bool:
        look = _look(cluster, self.name)
        return look is not None and look.kept_file(self.staged) is None

    def after(self, cluster: Cluster) -> Cluster:
        look = _look(cluster, self.name)
        if look is None:
            return cluster
        left = tuple(kept for kept in look.kept if kept.change != self.staged)
        return _with_look(cluster, cluster.master(self.name), replace(look, kept=left))

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return _look(cluster, self.name) is not None and not self.is_done(cluster)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.forget_config(cluster.master(self.name).id, self.staged)

    @override
    def waits_for(self, cluster: Cluster) -> str:
        return _silence(cluster, self.name) or "the kept file to be deleted"
