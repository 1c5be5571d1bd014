"""The procedure that upgrades OpenVidu in place, in the order of the vendor's page.

What it rests on, and what is not verified, is in docs/adr/0018-upgrade-in-place.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.backups import backups
from services.cluster.deployment import control_plane_of
from services.cluster.installation import Installation
from services.cluster.model import EVERYTHING, Basis, Cluster, Fact, short_name
from services.common.command import CommandClass, argument
from services.common.text import join_words, plural
from services.procedures import fleet, upgrade_checks
from services.procedures.base import Procedure
from services.procedures.upgrade_checks import (
    is_under_way,
    path_notes,
    version_before,
    wrong_masters,
    wrong_media,
)
from services.steps import (
    Arrived,
    FetchUpdater,
    FrontAnswers,
    Healthy,
    KeepSecrets,
    RecordVersion,
    RestoreMaster,
    Snapshots,
    StartServices,
    Step,
    UpdateMaster,
    VersionsSeen,
)

# Nothing that serves people is changed by these.
PREPARES = FetchUpdater | KeepSecrets | Snapshots


@dataclass(frozen=True)
class Upgrade(Procedure):
    """Upgrade OpenVidu in place: masters with `update.sh`, media nodes replaced after a drain."""

    command: ClassVar[str] = "upgrade"
    help_text: ClassVar[str] = (
        "Upgrade OpenVidu in place. The masters are updated; the media nodes are drained and "
        "replaced."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.POWER, CommandClass.CONFIGURATION)
    verb: ClassVar[str] = "Upgrade"
    doing: ClassVar[str] = "Upgrading"
    done: ClassVar[str] = "is upgraded"
    required_facts: ClassVar[frozenset[Fact]] = EVERYTHING | {Fact.SECRETS, Fact.VERSIONS}

    version: str = argument("the release of OpenVidu to install, such as 3.7.0")

    def target_text(self, name: str) -> str:
        return f"{name} to OpenVidu {self.version}"

    def outcome_text(self, name: str) -> str:
        return f"{name} runs OpenVidu {self.version}"

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        upgrade_checks.check(cluster, self.version)

    # Steps

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        number = fleet.fleet_of(cluster).number_to_restore
        if wrong_masters(cluster, self.version):
            yield from self._preparations(cluster)
        yield from self._upgrade(cluster, number)

    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        yield from (s for s in left if isinstance(s, PREPARES))
        promised = [fleet.promised_nodes(left), fleet.fleet_of(cluster).number_to_restore]
        promised += [s.media for s in left if isinstance(s, UpdateMaster | RecordVersion)]
        promised += [s.number for s in left if isinstance(s, Arrived)]
        yield from self._upgrade(cluster, max(promised))

    def _preparations(self, cluster: Cluster) -> Iterator[Step]:
        names = tuple(m.name for m in cluster.masters)
        # First what may fail: nothing is drained for a version that does not exist.
        yield FetchUpdater(names, version_before(cluster, self.version), self.version)
        if not is_under_way(cluster, self.version):
            yield KeepSecrets(cluster.stack)
            yield Snapshots(names)

    def _upgrade(self, cluster: Cluster, number: int) -> Iterator[Step]:
        names, now = tuple(m.name for m in cluster.masters), cluster
        wrong = wrong_masters(cluster, self.version)
        was = version_before(cluster, self.version)
        if wrong or wrong_media(cluster, self.version):
            for step in fleet.fleet_of(cluster).shutdown_steps(alone=True):
                yield step
                if not step.is_done(now):
                    now = step.after(now)
        for master in wrong:
            yield UpdateMaster(master.name, was, self.version, number)
        yield RecordVersion(was, self.version, number)
        # OpenVidu stays stopped until every master is updated: no two versions run together.
        yield StartServices(names, self.version)
        yield Healthy(names)
        yield FrontAnswers()
        if number:
            yield from fleet.fleet_of(now).startup_steps(number)
        yield VersionsSeen(self.version)

    # Rollback

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        names = tuple(m.name for m in cluster.masters)
        if isinstance(step, PREPARES):
            yield Healthy(names, restarts=False)
        if not isinstance(step, UpdateMaster | RecordVersion):
            # Before them the drain's own choices apply; after them databases may be newer.
            return
        for name in reversed(names):
            yield RestoreMaster(name, step.old, self.version)
        # Service first: a bucket that cannot be read must not leave the masters stopped.
        yield StartServices(names, step.old)
        yield Healthy(names)
        yield FrontAnswers()
        # Before new media nodes come, which install what it names.
        yield RecordVersion(self.version, step.old)
        if step.media:
            yield from fleet.fleet_of(cluster).startup_steps(step.media)

    @override
    def remainder_after_rollback(self, was: Basis, cluster: Cluster) -> str:
        newer = [
            short_name(m.name, cluster.stack)
            for m in cluster.masters
            if isinstance(m.installation, Installation) and m.installation.version == self.version
        ]
        if not newer:
            return ""
        return f"{join_words(newer)} still {plural(len(newer), 'has', 'have')} {self.version}"

    # What people read

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        lines = list(path_notes(cluster, self.version))
        if wrong_masters(cluster, self.version):
            lines += [
                "[[strong No two versions run together]]: OpenVidu is stopped on "
                f"{_in_turn(cluster)} updated",
                "[[strong Rollback]]: until OpenVidu is started, a failure restores the old "
                "version by itself, from the backup folders of `update.sh`",
                f"[[strong Point of no return]]: “Start OpenVidu {self.version}”. "
                "Later only the snapshots lead back, restored by people",
                "`update.sh` comes from OpenVidu's server by plain HTTP, as on its page. It runs "
                "as root with `--no-tty`, so no one reviews its changes of the configuration",
                "The snapshots are taken while it is in service, so they are crash-consistent",
            ]
        lines.append("OpenVidu recommends a new deployment instead of an upgrade in place")
        return tuple(lines)

    def cost_note(self, cluster: Cluster) -> str:
        if not wrong_masters(cluster, self.version) or is_under_way(cluster, self.version):
            return ""
        last = next((b for b in backups(cluster) if b.complete and b.size), None)
        estimate = "The size is known once they are taken"
        if last is not None:
            estimate = f"The last backup has {last.size:.1f} GB, ${last.monthly:.2f} a month"
        return f"Snapshots: $0.06 a month for each GB, until they are deleted. {estimate}"

    @override
    def follow_up(self, cluster: Cluster) -> tuple[str, ...]:
        plane = control_plane_of(cluster)
        disks = f"{plane.all_masters}'s disk" if plane.masters == 1 else "the masters' disks"
        return (
            "A `terraform apply` with templates of another version may replace nodes: read its "
            "plan first",
            f"Old images stay on {disks}; OpenVidu's page deletes them with "
            "`docker image prune -a`",
        )

    @override
    def next_step(self, cluster: Cluster) -> str:
        if not wrong_masters(cluster, self.version):
            return ""
        return "If something is wrong, [[command backup list]] names the snapshots from before"


def _in_turn(cluster: Cluster) -> str:
    """Return where OpenVidu is stopped, and when it is started: up to the word `updated`."""
    plane = control_plane_of(cluster)
    if plane.masters == 1:
        return f"{plane.all_masters}, and started when it is"
    return "each master in turn, and started when all are"
