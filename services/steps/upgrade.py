"""Steps that upgrade OpenVidu on the masters, and put the version before it back."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.installation import Installation, Updater, UpdateRecord, UpdateState
from services.cluster.model import Cluster, Droplet, Fact, MediaNode, SecretsState, short_name
from services.common.observed import Observed, Unobserved
from services.common.text import count_of, join_words, plural
from services.common.values import replace
from services.steps.base import NODE_FACTS, Effects, Step, StepTiming, WriteOperations, request_each
from services.steps.masters import master_names
from services.steps.usual import usual

VERSION_FACTS = frozenset({Fact.DROPLETS, Fact.VERSIONS})
# Of one master, images included. No recording shows it yet.
UPDATE = usual("update.sh until its end", 420.0)
UPDATE_DEADLINE = 3600.0
LOOK_AGAIN = 20.0


def _named(cluster: Cluster, names: tuple[str, ...]) -> list[Droplet]:
    return [m for m in cluster.masters if m.name in names]


def _unseen(cluster: Cluster, names: tuple[str, ...]) -> str:
    """Return which of these masters do not show what is installed; "" when all do."""
    for master in _named(cluster, names):
        if isinstance(master.installation, Unobserved) and master.status != "off":
            name = short_name(master.name, cluster.stack)
            return f"{name} to show its version: {master.installation.reason}"
    return ""


def _off(cluster: Cluster, names: tuple[str, ...]) -> str:
    """Return which of these masters is powered off; "" when none is."""
    off = tuple(m.name for m in _named(cluster, names) if m.status == "off")
    if not off:
        return ""
    return f"{master_names(off)} {plural(len(off), 'is', 'are')} powered off"


def _version(installation: Observed[Installation]) -> str:
    """Return the version that was seen; "" where none was."""
    return installation.version if isinstance(installation, Installation) else ""


def _record(master: Droplet, version: str) -> UpdateRecord | None:
    if isinstance(master.installation, Unobserved):
        return None
    return master.installation.update_to(version)


def _installed(master: Droplet, version: str, *, runs: bool) -> Droplet:
    """Return the master with that version on it, as planned."""
    before = master.installation
    known = before if isinstance(before, Installation) else Installation(version)
    ended = tuple(
        replace(u, state=UpdateState.ENDED, status=0) if u.version == version else u
        for u in known.updates
    )
    unit = "active" if runs else "inactive"
    healthy: Observed[bool] = master.healthy if runs else False
    installation = replace(known, version=version, unit=unit, updates=ended)
    return replace(master, installation=installation, healthy=healthy)


def _with_updater(master: Droplet, updater: Updater) -> Droplet:
    """Return the master with that script on it, as planned."""
    before = master.installation
    known = before if isinstance(before, Installation) else Installation(updater.paths[0][0])
    others = tuple(u for u in known.updaters if u.version != updater.version)
    return replace(master, installation=replace(known, updaters=(*others, updater)))


@dataclass(frozen=True)
class FetchUpdater(Step):
    """The vendor's `update.sh` of this version is on these masters, and leads there."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=10.0, deadline=lambda t: t.front_deadline, retry_after=60.0
    )
    needs: ClassVar[frozenset[Fact]] = VERSION_FACTS
    leaves_change: ClassVar[bool] = False

    names: tuple[str, ...]
    old: str
    version: str

    def title(self) -> str:
        return f"Download update.sh of {self.version} to {master_names(self.names)}"

    def _missing(self, cluster: Cluster) -> list[Droplet]:
        return [
            m
            for m in _named(cluster, self.names)
            if isinstance(m.installation, Unobserved)
            or m.installation.updater_of(self.version) is None
        ]

    def is_done(self, cluster: Cluster) -> bool:
        return not self._missing(cluster) and not self.blocker(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        updater = Updater(self.version, self.version, ((self.old, self.version),))
        fetched = {m.name: _with_updater(m, updater) for m in _named(cluster, self.names)}
        return cluster.with_masters(fetched)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return bool(self._missing(cluster))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(world.fetch_updater(m.id, self.version) for m in self._missing(cluster))

    @override
    def missing_evidence(self, cluster: Cluster) -> str:
        return _unseen(cluster, self.names)

    @override
    def blocker(self, cluster: Cluster) -> str:
        if off := _off(cluster, self.names):
            return off
        for master in _named(cluster, self.names):
            if isinstance(master.installation, Unobserved):
                continue
            updater = master.installation.updater_of(self.version)
            if updater is None or _version(master.installation) == self.version:
                continue
            name = short_name(master.name, cluster.stack)
            if updater.release != self.version:
                named = updater.release or "no version"
                return f"update.sh on {name} is of {named}, not of {self.version}"
            if not updater.leads_from(self.old):
                return f"OpenVidu's update.sh of {self.version} does not update {self.old}"
        return ""

    @override
    def waits_for(self, cluster: Cluster) -> str:
        missing = [short_name(m.name, cluster.stack) for m in self._missing(cluster)]
        return f"{join_words(missing)} to have update.sh" if missing else ""


@dataclass(frozen=True)
class UpdateMaster(Step):
    """`update.sh` has updated OpenVidu on one master. OpenVidu stays stopped there.

    It runs once per master and version; a run of it that failed is never repeated.
    """

    timing: ClassVar[StepTiming] = StepTiming(
        expected=UPDATE, deadline=UPDATE_DEADLINE, retry_after=LOOK_AGAIN * 3
    )
    # Media nodes, too: none may be in service.
    needs: ClassVar[frozenset[Fact]] = VERSION_FACTS | NODE_FACTS
    shows_in: ClassVar[frozenset[Fact]] = frozenset({Fact.VERSIONS})
    whole_look_every: ClassVar[float] = LOOK_AGAIN
    interruptible: ClassVar[bool] = False

    name: str
    old: str
    version: str
    # Media nodes that a rollback brings back.
    media: int = 0

    @property
    def is_waypoint(self) -> bool:
        # Masters of two versions are not left behind.
        return True

    def title(self) -> str:
        return f"Update {master_names((self.name,))} to {self.version} with update.sh"

    def _record(self, cluster: Cluster) -> UpdateRecord | None:
        return _record(cluster.master(self.name), self.version)

    def is_done(self, cluster: Cluster) -> bool:
        record = self._record(cluster)
        if record is not None and not record.succeeded:
            return False
        return _version(cluster.master(self.name).installation) == self.version

    def after(self, cluster: Cluster) -> Cluster:
        master = _installed(cluster.master(self.name), self.version, runs=False)
        return cluster.with_masters({self.name: master})

    @override
    def effects(self, cluster: Cluster) -> Effects:
        return Effects(stops_masters=True, down=True)

    @override
    def missing_evidence(self, cluster: Cluster) -> str:
        return _unseen(cluster, (self.name,))

    def blocker(self, cluster: Cluster) -> str:
        if self.is_done(cluster):
            return ""
        if off := _off(cluster, (self.name,)):
            return off
        name, record = short_name(self.name, cluster.stack), self._record(cluster)
        if record is not None and record.fault:
            return f"{record.fault} on {name}, and is never repeated"
        running = _version(cluster.master(self.name).installation)
        if record is None and running not in ("", self.old):
            return f"{name} has OpenVidu {running}, not {self.old}"
        if record is not None and record.succeeded and running != self.version:
            return f"update.sh ended on {name}, which still has OpenVidu {running}"
        if cluster.media and any(not (n.parked or n.drained) for n in cluster.media):
            return "media nodes are in service: masters are updated only without them"
        return ""

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        # The marker on the node makes a second request harmless; none is made where it is seen.
        installed = not isinstance(cluster.master(self.name).installation, Unobserved)
        return installed and self._record(cluster) is None and not self.is_done(cluster)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.update_openvidu(cluster.master(self.name).id, self.old, self.version)

    def waits_for(self, cluster: Cluster) -> str:
        name, record = short_name(self.name, cluster.stack), self._record(cluster)
        if record is not None and record.state is UpdateState.RUNNING:
            return f"update.sh to end on {name}"
        return _unseen(cluster, (self.name,)) or f"{name} to have OpenVidu {self.version}"

    def residue(self) -> str:
        return f"OpenVidu {self.version} on {master_names((self.name,))}"


@dataclass(frozen=True)
class RecordVersion(Step):
    """`secrets.env` names this version, which new media nodes install."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=5.0, deadline=lambda t: t.front_deadline, retry_after=lambda t: t.look * 3
    )
    needs: ClassVar[frozenset[Fact]] = VERSION_FACTS | {Fact.POOL, Fact.SECRETS}
    interruptible: ClassVar[bool] = False

    old: str
    version: str
    media: int = 0

    @property
    def is_waypoint(self) -> bool:
        return True

    def title(self) -> str:
        return f"Write OPENVIDU_VERSION {self.version} to secrets.env (the old file is kept)"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.secrets is not None and cluster.secrets.version == self.version

    def after(self, cluster: Cluster) -> Cluster:
        secrets = cluster.secrets or SecretsState("")
        return replace(cluster, secrets=replace(secrets, version=self.version))

    @override
    def effects(self, cluster: Cluster) -> Effects:
        return Effects(edits_secrets=True)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        unlocked = cluster.secrets is not None and cluster.secrets.lock_age is None
        return unlocked and not self.is_done(cluster)

    def blocker(self, cluster: Cluster) -> str:
        if cluster.secrets is None or cluster.secrets.version in (self.old, self.version):
            return ""
        now = cluster.secrets.version or "no version"
        return f"secrets.env names {now} of OpenVidu, not {self.old}. Nothing was written"

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.record_version(self.old, self.version)

    def waits_for(self, cluster: Cluster) -> str:
        if cluster.secrets is None:
            return "the bucket to answer"
        if cluster.secrets.lock_age is not None:
            return "another writer to release lock.lock"
        return "the file to read back as written"

    def residue(self) -> str:
        return f"OPENVIDU_VERSION {self.version} in secrets.env"


@dataclass(frozen=True)
class StartServices(Step):
    """OpenVidu runs on these masters. From then on an update of them is not rolled back."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=20.0, deadline=lambda t: t.power_on_deadline, retry_after=60.0
    )
    needs: ClassVar[frozenset[Fact]] = VERSION_FACTS
    interruptible: ClassVar[bool] = False

    names: tuple[str, ...]
    version: str

    def title(self) -> str:
        return f"Start OpenVidu {self.version} on {master_names(self.names)}"

    def _stopped(self, cluster: Cluster) -> list[Droplet]:
        return [
            m
            for m in _named(cluster, self.names)
            if isinstance(m.installation, Installation) and not m.installation.runs
        ]

    def is_done(self, cluster: Cluster) -> bool:
        return all(
            isinstance(m.installation, Installation) and m.installation.runs
            for m in _named(cluster, self.names)
        )

    def after(self, cluster: Cluster) -> Cluster:
        return cluster.with_masters(
            {m.name: _installed(m, self.version, runs=True) for m in _named(cluster, self.names)}
        )

    @override
    def missing_evidence(self, cluster: Cluster) -> str:
        return _unseen(cluster, self.names)

    def blocker(self, cluster: Cluster) -> str:
        for master in _named(cluster, self.names):
            version = _version(master.installation)
            if version not in ("", self.version):
                name = short_name(master.name, cluster.stack)
                return f"{name} has OpenVidu {version}: no two versions are started together"
        return _off(cluster, self.names)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return bool(self._stopped(cluster))

    @override
    def effects(self, cluster: Cluster) -> Effects:
        version = self.version
        updated = any(_record(m, version) for m in _named(cluster, self.names))
        planned = any(not m.is_healthy for m in _named(cluster, self.names))
        if not (updated or planned):
            return Effects()
        return Effects(irreversible=(f"the databases are opened by OpenVidu {version}",))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await request_each(world.start_services(m.id) for m in self._stopped(cluster))

    def waits_for(self, cluster: Cluster) -> str:
        stopped = [short_name(m.name, cluster.stack) for m in self._stopped(cluster)]
        if stopped:
            return f"OpenVidu to start on {join_words(stopped)}"
        return _unseen(cluster, self.names)

    def residue(self) -> str:
        return f"OpenVidu {self.version} started on {master_names(self.names)}"


@dataclass(frozen=True)
class RestoreMaster(Step):
    """One master has the files from before the update, from the vendor's backup folder."""

    timing: ClassVar[StepTiming] = StepTiming(
        expected=15.0, deadline=UPDATE_DEADLINE, retry_after=LOOK_AGAIN
    )
    needs: ClassVar[frozenset[Fact]] = VERSION_FACTS
    interruptible: ClassVar[bool] = False

    name: str
    old: str
    version: str

    def title(self) -> str:
        return f"Restore OpenVidu {self.old} on {master_names((self.name,))} from its backup"

    def _record(self, cluster: Cluster) -> UpdateRecord | None:
        return _record(cluster.master(self.name), self.version)

    def is_done(self, cluster: Cluster) -> bool:
        installation = cluster.master(self.name).installation
        return _version(installation) == self.old and self._record(cluster) is None

    def after(self, cluster: Cluster) -> Cluster:
        master = _installed(cluster.master(self.name), self.old, runs=False)
        if isinstance(master.installation, Installation):
            others = tuple(u for u in master.installation.updates if u.version != self.version)
            installation = replace(master.installation, updates=others)
            master = replace(master, installation=installation)
        return cluster.with_masters({self.name: master})

    @override
    def missing_evidence(self, cluster: Cluster) -> str:
        return _unseen(cluster, (self.name,))

    def blocker(self, cluster: Cluster) -> str:
        record = self._record(cluster)
        if record is not None and record.started:
            name = short_name(self.name, cluster.stack)
            return f"OpenVidu {self.version} was started on {name}: its databases may be newer"
        now = _version(cluster.master(self.name).installation)
        if record is None and now not in ("", self.old):
            name = short_name(self.name, cluster.stack)
            return f"{name} has OpenVidu {now}, which the bot did not install: it has no backup"
        return _off(cluster, (self.name,))

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        record = self._record(cluster)
        return record is not None and record.state is not UpdateState.RUNNING

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.restore_openvidu(cluster.master(self.name).id, self.old, self.version)

    def waits_for(self, cluster: Cluster) -> str:
        name, record = short_name(self.name, cluster.stack), self._record(cluster)
        if record is not None and record.state is UpdateState.RUNNING:
            return f"update.sh to end on {name}"
        return _unseen(cluster, (self.name,)) or f"{name} to have OpenVidu {self.old}"

    def residue(self) -> str:
        return f"OpenVidu {self.old} restored on {master_names((self.name,))}"


@dataclass(frozen=True)
class VersionsSeen(Step):
    """Every master and every media node was seen with this version."""

    timing: ClassVar[StepTiming] = StepTiming(expected=5.0, deadline=lambda t: t.serving_deadline)
    needs: ClassVar[frozenset[Fact]] = VERSION_FACTS | {Fact.POOL}
    is_verification: ClassVar[bool] = True
    only_waits: ClassVar[bool] = True
    leaves_change: ClassVar[bool] = False

    version: str

    def title(self) -> str:
        return f"Verify that every node has OpenVidu {self.version}"

    def _wrong(self, cluster: Cluster) -> list[str]:
        nodes = (*cluster.masters, *(n.droplet for n in cluster.media if _stays(n)))
        return [
            f"{short_name(d.name, cluster.stack)} ({_shown(d.installation)})"
            for d in nodes
            if _version(d.installation) != self.version
        ]

    def is_done(self, cluster: Cluster) -> bool:
        return not self._wrong(cluster)

    def after(self, cluster: Cluster) -> Cluster:
        masters = {m.name: _installed(m, self.version, runs=True) for m in cluster.masters}
        media = {
            n.id: replace(
                n, droplet=replace(n.droplet, installation=Installation(self.version, "active"))
            )
            for n in cluster.media
        }
        return cluster.with_masters(masters).with_media(media)

    def waits_for(self, cluster: Cluster) -> str:
        wrong = self._wrong(cluster)
        return f"{join_words(wrong)} to have OpenVidu {self.version}" if wrong else ""

    @override
    def completion_note(self, cluster: Cluster) -> str:
        """Return how many new lines the masters' nodes_errors.log have since the update."""
        lines = 0
        for master in cluster.masters:
            record = _record(master, self.version)
            lines += record.errors if record is not None else 0
        if not lines:
            return ""
        verb = plural(lines, "is", "are")
        return (
            f"{count_of(lines, 'new line')} {verb} in nodes_errors.log since the update. "
            "[[command status master-1]] shows the last ones"
        )


def _stays(node: MediaNode) -> bool:
    return node.member_status != "deleting" and not node.droplet.off


def _shown(installation: Observed[Installation]) -> str:
    if isinstance(installation, Unobserved):
        return f"unknown: {installation.reason}"
    return installation.version
