"""The procedure that changes one configuration file: applied and verified, or rolled back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.deployment import ControlPlane, control_plane_of
from services.cluster.model import EVERYTHING, Basis, Cluster, Fact, short_name
from services.common.command import CommandClass
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.common.text import join_words, plural
from services.config_files import GLOBAL, ConfigFile, Place, known_file
from services.procedures import fleet
from services.procedures.base import Procedure
from services.steps import Autoscaling, RunsOver, Step
from services.steps.configuration import (
    ApplyConfig,
    ConfigAccepted,
    ForgetConfig,
    RestoreConfigFile,
    WriteConfigFile,
    errors_of,
    unseen_media,
)
from services.steps.masters import master_names
from services.steps.secrets import DropStaged

# Lines of the difference in the notes.
SHOWN = 40


@dataclass(frozen=True)
class ChangeConfigFile(Procedure):
    """Replace one of OpenVidu's configuration files. Requested by `config file` and `webhook`."""

    command: ClassVar[str] = "file apply"
    help_text: ClassVar[str] = (
        "Write a configuration file and apply it. `config file` and `webhook` request it."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CONFIGURATION, CommandClass.SECRETS)
    hidden: ClassVar[bool] = True
    verb: ClassVar[str] = "Change"
    doing: ClassVar[str] = "Changing"
    done: ClassVar[str] = "has its new configuration"
    required_facts: ClassVar[frozenset[Fact]] = EVERYTHING | {Fact.SECRETS, Fact.CONFIGURATION}
    # Whether the nodes have read the file cannot be observed: the master is restarted again.
    repeatable: ClassVar[bool] = True

    file: str = ""
    staged: str = ""
    before: str = ""
    after_digest: str = ""
    # The changed lines, with what may be shown of them.
    difference: tuple[str, ...] = ()
    # It changes values that are not shown.
    hides: bool = False
    # The command that requested it.
    said: str = ""
    # In a few words, such as a webhook: it may be shown.
    what: str = ""

    def target_text(self, name: str) -> str:
        if self.what:
            return f"{self.file} of {name}: {self.what}"
        return f"{self.file or 'the configuration'} of {name}"

    def required_classes(self) -> tuple[CommandClass, ...]:
        if self.hides:
            return self.classes
        return (CommandClass.CONFIGURATION,)

    def command_line(self) -> str:
        return self.said or self.command

    # Whether it can be done

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if not self.staged:
            raise Refused("run [[command config file edit FILE]]: a form shows the file")
        if cluster.is_down:
            raise Refused(
                f"{cluster.name} is shut down, and a change must be verified on a running cluster. "
                "Run [[command startup]] first"
            )
        down = tuple(m.name for m in cluster.masters if not m.is_healthy)
        if down:
            verb = plural(len(down), "is", "are")
            raise Refused(
                f"{master_names(down)} {verb} not healthy. A change is verified on healthy masters"
            )
        for master in cluster.masters:
            look = cluster.configuration_of(master.name)
            name = short_name(master.name, cluster.stack)
            if isinstance(look, Unobserved):
                raise Refused(f"the configuration of {name} cannot be read: {look.reason}")
            if look.troubled:
                raise Refused(
                    f"{join_words(look.troubled)} on {name} keep restarting, "
                    "so a change could not be verified"
                )
        unseen = unseen_media(cluster)
        if unseen and self._file().place is not Place.MASTERS:
            raise Refused(
                f"{unseen[0]} cannot be seen ({unseen[1]}), and a change of {self.file} is "
                "verified on every media node"
            )
        if reason := self.obsolete_reason(cluster):
            raise Refused(reason)

    def obsolete_reason(self, cluster: Cluster) -> str:
        look = cluster.configuration_of(self._first(cluster))
        if isinstance(look, Unobserved):
            return ""
        digest = look.digest(self._file().path_in(look.layout))
        if digest in (self.before, self.after_digest):
            return ""
        return (
            f"{self.file} was changed on {short_name(self._first(cluster), cluster.stack)} since "
            "the form was opened. Nothing was written. Request the change again"
        )

    def _file(self) -> ConfigFile:
        return known_file(self.file)

    def _first(self, cluster: Cluster) -> str:
        return cluster.masters[0].name if cluster.masters else ""

    def _ends_meetings(self, cluster: Cluster) -> bool:
        return self._file().ends_meetings or not control_plane_of(cluster).can_roll

    # What is done

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        yield from fleet.fleet_of(cluster).with_autoscaler_paused(self._changing(cluster))

    def _changing(self, cluster: Cluster) -> tuple[Step, ...]:
        first = self._first(cluster)
        write = WriteConfigFile(first, self.file, self.staged, self.before, self.after_digest)
        return (write, *self._applying(cluster, self.after_digest))

    def _applying(self, cluster: Cluster, digest: str) -> tuple[Step, ...]:
        first = self._first(cluster)
        return (
            ApplyConfig(first, self.staged, self._ends_meetings(cluster)),
            ConfigAccepted(self.file, digest),
            ForgetConfig(first, self.staged),
            DropStaged(self.staged),
        )

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        if isinstance(step, DropStaged | ForgetConfig | Autoscaling | RunsOver):
            # Before and after the change: all of it is verified, or nothing is written.
            yield from fleet.fleet_of(cluster).resume_autoscaler()
            return
        first = self._first(cluster)
        if isinstance(step, WriteConfigFile) and not self._is_kept(cluster):
            yield DropStaged(self.staged)
            yield from fleet.fleet_of(cluster).resume_autoscaler()
            return
        yield RestoreConfigFile(first, self.file, self.staged, self.before, self.after_digest)
        if not isinstance(step, WriteConfigFile):
            yield from self._applying(cluster, self.before)
        else:
            yield ForgetConfig(first, self.staged)
            yield DropStaged(self.staged)
        yield from fleet.fleet_of(cluster).resume_autoscaler()

    def _is_kept(self, cluster: Cluster) -> bool:
        """Return whether the change has left anything on the master, as far as it was seen."""
        look = cluster.configuration_of(self._first(cluster))
        return isinstance(look, Unobserved) or look.kept_file(self.staged) is not None

    @override
    def remainder_after_rollback(self, was: Basis, cluster: Cluster) -> str:
        look = cluster.configuration_of(self._first(cluster))
        if isinstance(look, Unobserved):
            return ""
        if look.digest(self._file().path_in(look.layout)) != self.after_digest:
            return ""
        return f"{self.file} is the new one, which every node accepts"

    # What people should know

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        plane, file = control_plane_of(cluster), self._file()
        lines = [f"Changes {self.file}; this is the difference, and only this is approved"]
        lines += [f"`{line.replace('`', '’')}`" for line in self.difference[:SHOWN]]
        if len(self.difference) > SHOWN:
            lines.append(f"{len(self.difference) - SHOWN} more lines are not shown here")
        if self.hides:
            lines.append("It changes values that are not shown")
        lines += [f"[[warning]] There is an error already: {text}" for text in errors_of(cluster)]
        lines.append(_way(file))
        lines += self._restarts(plane, file)
        lines.append(
            "If a node does not accept it, the old file is put back and verified, by itself"
        )
        return (*super().notes(cluster), *lines)

    def _restarts(self, plane: ControlPlane, file: ConfigFile) -> list[str]:
        noun = f"the {plane.noun}" if plane.masters == 1 else "master 1"
        lines = [f"Restarts OpenVidu on {noun}; {_stays(plane)}"]
        services = join_words(file.restarts)
        if file.ends_meetings and not plane.hosts_meetings:
            lines.append(
                f"[[warning]] OpenVidu then restarts {services} on every media node at once: "
                "running meetings end"
            )
        elif file.place is not Place.MASTERS:
            lines.append(f"OpenVidu then restarts {services} on every media node")
        else:
            lines.append(f"OpenVidu then restarts {services} on every {plane.noun}")
        return lines


def _stays(plane: ControlPlane) -> str:
    if plane.others:
        return f"{plane.others} stay in service"
    return "running meetings end, and none can begin until OpenVidu runs again"


def _way(file: ConfigFile) -> str:
    """Return which way is taken, and why."""
    if file.name == GLOBAL:
        return (
            "These keys are not in secrets.env, so the file on the masters is changed. "
            "A key of secrets.env is changed there: masters copy it over this file at each boot"
        )
    return "The file is on the masters, not in secrets.env: no boot overwrites it"
