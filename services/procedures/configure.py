"""Changing `secrets.env`: applied and seen to work, or put back by itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from services.cluster.model import EVERYTHING, Cluster, Fact
from services.common.command import CommandClass
from services.common.errors import Refused
from services.common.text import listed
from services.procedures import fleet
from services.procedures.base import Procedure
from services.secrets_env import KEYS, Policy, effects
from services.secrets_env.keys import INFORMATION
from services.steps import Autoscaling, RunsOver, Step
from services.steps.secrets import (
    BreakLock,
    DropStaged,
    PromoteSecrets,
    RestoreSecrets,
    restart_first,
    the_way,
)

SHOWN = 5


def classes_of(keys: Iterable[str]) -> tuple[CommandClass, ...]:
    """What changing these keys takes. A key that is not known here may be a secret."""
    secret = {(known := KEYS.get(key)) is None or known.secret for key in keys}
    return tuple(
        c
        for c, there in (
            (CommandClass.CONFIGURATION, False in secret),
            (CommandClass.SECRETS, True in secret),
        )
        if there
    )


@dataclass(frozen=True)
class Configure(Procedure):
    """Put a new value into secrets.env and apply it. Asked for through `config set` and `config rollback`."""

    command: ClassVar[str] = "config apply"
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CONFIGURATION, CommandClass.SECRETS)
    hidden: ClassVar[bool] = True
    verb: ClassVar[str] = "Change the configuration of"
    doing: ClassVar[str] = "Changing the configuration of"
    done: ClassVar[str] = "has its new configuration"
    looks_at: ClassVar[frozenset[Fact]] = (EVERYTHING - {Fact.LINT}) | {Fact.SECRETS}
    brings_file: ClassVar[bool] = True
    each_time: ClassVar[bool] = (
        True  # nobody can see whether master 1 has read the file: it is restarted again
    )

    keys: tuple[str, ...] = ()
    staged: str = ""
    before: str = ""
    after_digest: str = ""
    mends: tuple[
        str, ...
    ] = ()  # what is wrong with the file and will not be any more; lines and keys, no values
    brings: tuple[
        str, ...
    ] = ()  # what will be wrong with it and is not now: an earlier version may have its own faults
    said: str = ""  # the command that asked for it
    repairs: bool = False  # plans are refused because of the file that it replaces
    one_way: bool = False  # a master that boots with that file runs part of it or stays stopped: it is never put back

    def needs(self) -> tuple[CommandClass, ...]:
        return classes_of(self.keys)

    def words(self) -> str:
        return self.said or (f"config set {self.keys[0]}" if self.keys else self.command)

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if not self.staged:
            raise Refused(
                "say [[command config set KEY]]: the value is typed into a form, never into the channel"
            )
        if cluster.secrets is None:
            raise Refused("the bucket with secrets.env cannot be read now; nothing was changed")
        if self._applies(cluster):
            self._check_masters(cluster)
        if self.outdated(cluster):
            raise Refused(self.outdated(cluster))

    def _applies(self, cluster: Cluster) -> bool:
        """Whether master 1 is restarted with it. Where masters could not start with the file before, it is only written."""
        return not self.repairs or all(m.active and m.healthy for m in cluster.masters)

    def _check_masters(self, cluster: Cluster) -> None:
        if cluster.down:
            raise Refused(
                f"{cluster.name} is down, and a change has to be seen to work: [[command startup]] first"
            )
        if not all(m.well for m in cluster.masters[1:]):
            raise Refused(
                "masters 2-4 have to be on and healthy, since master 1 is restarted to apply it"
            )

    def outdated(self, cluster: Cluster) -> str:
        if cluster.secrets is None or cluster.secrets.digest in (self.before, self.after_digest):
            return ""
        return "somebody else has changed secrets.env since the form was filled in; nothing was written, ask again"

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        applies = self._applies(cluster)
        way = the_way(
            cluster, PromoteSecrets(self.keys, self.staged, self.before, self.after_digest, applies)
        )
        yield from fleet.of(cluster).unmoved(way) if applies else way

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        if not isinstance(step, PromoteSecrets | BreakLock | DropStaged | Autoscaling | RunsOver):
            if self.one_way:
                return  # people decide: the file before would keep master 1 from starting at all
            yield RestoreSecrets(self.staged, self.before, self.after_digest)
            yield from restart_first(cluster)
            yield DropStaged(self.staged)
        # Else nothing was written yet, or all of it has been seen to work.
        yield from fleet.of(cluster).moved()

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        impact = effects(self.keys)
        said = [f"Changes {listed(self.keys)} in secrets.env; values are not shown anywhere"]
        if self._applies(cluster):
            said += [
                f"Restarts {what}; the other three masters serve meanwhile"
                for what in impact.restarts
            ]
        else:
            said.append("Only the file is written; masters read it when they start next")
        if self.one_way:
            said.append(
                "The file before is not put back if master 1 does not come up: no master starts with it"
            )
        if brought := [
            k
            for k in self.keys
            if k in KEYS and KEYS[k].policy is Policy.REFUSED and KEYS[k].goes_to != INFORMATION
        ]:
            said.append(
                f"[[warning]] Brings back {listed(brought)}; they have to be what masters and databases use now"
            )
        said += [*impact.breaks, *impact.todo]
        said += [f"Mends what is wrong with the file now: {text}" for text in self.mends[:SHOWN]]
        said += [
            f"[[warning]] Brings what is not wrong with the file now: {text}"
            for text in self.brings[:SHOWN]
        ]
        return (*super().notes(cluster), *said)

    def next_words(self, cluster: Cluster) -> str:
        return "" if self._applies(cluster) else "[[command startup]] starts the masters with it"
