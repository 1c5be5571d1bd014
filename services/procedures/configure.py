"""The procedure that changes `secrets.env`: applied and verified, or rolled back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from services.cluster.deployment import control_plane_of
from services.cluster.fact_text import with_source
from services.cluster.model import EVERYTHING, Cluster, Fact
from services.common.command import CommandClass
from services.common.errors import Refused
from services.common.text import count_of, join_words
from services.procedures import fleet
from services.procedures.base import Procedure
from services.procedures.node_service import startup_media
from services.procedures.round_trip import rest_of_trip, without_media
from services.secrets_env import KEYS, ChangePolicy, consequences
from services.secrets_env.keys import INFORMATION
from services.steps import (
    Autoscaling,
    FrontAnswers,
    Healthy,
    PowerOff,
    PowerOn,
    RunsOver,
    Step,
)
from services.steps.configuration import ConfigAccepted
from services.steps.masters import master_names
from services.steps.secrets import (
    BreakLock,
    DropStaged,
    PromoteSecrets,
    RestoreSecrets,
    promote_steps,
    restart_first,
)

# Up to so many faults are listed in the notes.
SHOWN = 5
NAMED = 3  # keys in a title
ROLLBACK = "config rollback "


def classes_of(keys: Iterable[str]) -> tuple[CommandClass, ...]:
    """Return the command classes that a change of these keys needs.

    An unknown key may be a secret.
    """
    secret = {key not in KEYS or KEYS[key].secret for key in keys}
    classes = []
    if False in secret:
        classes.append(CommandClass.CONFIGURATION)
    if True in secret:
        classes.append(CommandClass.SECRETS)
    return tuple(classes)


def _conditional_write(cluster: Cluster) -> list[str]:
    """Return what was seen of the bucket's conditional writes; nothing where it is not known."""
    late = "so a change in the same second is overwritten. The file is verified afterwards"
    texts = {
        "honoured": "The bucket refuses the write if another writer has changed the file",
        "ignored": f"The bucket ignores conditions, {late}",
        "refused": f"The bucket refuses conditions, {late}",
    }
    text = texts.get(cluster.account.answer("if_match"), "")
    return [with_source(text, cluster.account, "if_match", cluster.seen_at)] if text else []


@dataclass(frozen=True)
class Configure(Procedure):
    """Replace secrets.env and apply it. Requested by `config set` and `config rollback`."""

    command: ClassVar[str] = "config apply"
    help_text: ClassVar[str] = (
        "Write a new value into secrets.env and apply it. `config set` and `config rollback` "
        "request it."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CONFIGURATION, CommandClass.SECRETS)
    hidden: ClassVar[bool] = True
    verb: ClassVar[str] = "Change"
    doing: ClassVar[str] = "Changing"
    done: ClassVar[str] = "has its new configuration"
    required_facts: ClassVar[frozenset[Fact]] = (EVERYTHING - {Fact.LINT}) | {Fact.SECRETS}
    brings_secrets_env: ClassVar[bool] = True
    # Whether a master has read the file cannot be observed: it is restarted again.
    repeatable: ClassVar[bool] = True

    keys: tuple[str, ...] = ()
    staged: str = ""
    before: str = ""
    after_digest: str = ""
    # Faults of the current file that the new one fixes: lines and keys, no values.
    mends: tuple[str, ...] = ()
    # Faults of the new file that the current one does not have, such as of an earlier version.
    brings: tuple[str, ...] = ()
    # The command that requested it.
    said: str = ""
    # Plans are refused because of the file that it replaces.
    repairs: bool = False
    # A master that boots with the previous file fails: it is never put back.
    one_way: bool = False
    # The configuration file in which the change was requested; "": secrets.env.
    requested_in: str = ""

    def target_text(self, name: str) -> str:
        words = [*self.keys[:NAMED]] or ["the configuration"]
        if left := len(self.keys[NAMED:]):
            words.append(count_of(left, "more key"))
        target = f"{join_words(words)} of {name}"
        version = self.said.removeprefix(ROLLBACK)
        return target if version == self.said else f"{target} back to {version}"

    def required_classes(self) -> tuple[CommandClass, ...]:
        return classes_of(self.keys)

    def command_line(self) -> str:
        if self.said:
            return self.said
        if self.keys:
            return f"config set {self.keys[0]}"
        return self.command

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        if not self.staged:
            raise Refused(
                "run [[command config set KEY]]: enter the value in a form, never in the channel"
            )
        if cluster.secrets is None:
            raise Refused("the bucket with secrets.env cannot be read now. Nothing was changed")
        if self._applies(cluster):
            self._check_masters(cluster)
        if self.obsolete_reason(cluster):
            raise Refused(self.obsolete_reason(cluster))

    def _applies(self, cluster: Cluster) -> bool:
        """Return whether the first master is restarted to apply the file.

        Where masters could not start with the file before, the new one is only written.
        """
        return not self.repairs or all(m.active and m.healthy for m in cluster.masters)

    def _check_masters(self, cluster: Cluster) -> None:
        if cluster.is_down:
            raise Refused(
                f"{cluster.name} is shut down, and a change must be verified on a running cluster. "
                "Run [[command startup]] first"
            )
        others = tuple(m.name for m in cluster.masters[1:])
        if not all(m.is_healthy for m in cluster.masters[1:]):
            raise Refused(
                f"{master_names(others)} must be healthy, because "
                f"{master_names((cluster.masters[0].name,))} is restarted to apply the change"
            )
        if not control_plane_of(cluster).can_roll:
            fleet.fleet_of(cluster).check_round_trip()

    def obsolete_reason(self, cluster: Cluster) -> str:
        if cluster.secrets is None or cluster.secrets.digest in (self.before, self.after_digest):
            return ""
        return (
            "another writer changed secrets.env since the form was submitted. "
            "Nothing was written. Request the change again"
        )

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        return self._steps(cluster)

    def _steps(self, cluster: Cluster, least: int = 0) -> Iterator[Step]:
        applies = self._applies(cluster)
        promote = PromoteSecrets(self.keys, self.staged, self.before, self.after_digest, applies)
        steps = promote_steps(cluster, promote)
        if applies and not control_plane_of(cluster).can_roll:
            yield from without_media(cluster, steps, least)
        elif applies:
            yield from fleet.fleet_of(cluster).with_autoscaler_paused(steps)
        else:
            yield from steps

    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        applied = not any(isinstance(s, PromoteSecrets | PowerOff) for s in left)
        if applied and not control_plane_of(cluster).can_roll:
            yield from rest_of_trip(cluster, (), left)
        else:
            yield from self._steps(cluster, fleet.promised_nodes(left))

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        if not control_plane_of(cluster).can_roll:
            yield from self._recover_only_master(cluster, step)
            return
        # Before these nothing is written; after them all of it is verified.
        unapplied = PromoteSecrets | BreakLock | DropStaged | Autoscaling | RunsOver
        if not isinstance(step, unapplied):
            if self.one_way:
                # People decide: the master would not start at all with the file before.
                return
            yield RestoreSecrets(self.staged, self.before, self.after_digest)
            yield from restart_first(cluster)
            yield DropStaged(self.staged)
        yield from fleet.fleet_of(cluster).resume_autoscaler()

    def _recover_only_master(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        """Yield the rollback where the media nodes are away meanwhile: they come back last.

        What fails before the file is written, or after the master has started with it, is no
        reason to restart it again: people decide.
        """
        applying = PowerOff | PowerOn | Healthy | FrontAnswers | ConfigAccepted
        if isinstance(step, applying) and not self.one_way:
            yield RestoreSecrets(self.staged, self.before, self.after_digest)
            # People may meet on a Single Node although its pages do not answer.
            yield from fleet.fleet_of(cluster).drain_first()
            yield from restart_first(cluster)
            yield DropStaged(self.staged)
        elif not isinstance(step, PromoteSecrets | BreakLock | DropStaged):
            return
        yield from startup_media(cluster)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        impact, plane = consequences(self.keys), control_plane_of(cluster)
        lines = [f"Changes {join_words(self.keys)} in secrets.env; values are never shown"]
        if self.requested_in:
            lines.append(
                f"Requested for {self.requested_in}. Masters copy these keys from secrets.env at "
                f"each boot, so a change of {self.requested_in} alone would be lost"
            )
        if self._applies(cluster) and plane.can_roll:
            lines += [
                f"Restarts {what}; {plane.others} stay in service" for what in impact.restarts
            ]
        elif self._applies(cluster):
            lines.append(
                f"Restarts the only {plane.noun}: {cluster.name} is out of service until it is "
                "back. Running meetings finish first"
            )
        else:
            lines.append("Only the file is written; masters read it at their next start")
        if plane.own_secrets:
            lines.append(
                f"It is written on the {plane.noun} itself, over SSH: {plane.title} never reads "
                "the bucket's copy, which stays as it is"
            )
        else:
            lines += _conditional_write(cluster)
        if self.one_way:
            lines.append(
                f"If {master_names((cluster.masters[0].name,))} does not start, the previous file "
                "is not restored: "
                "no master starts with it"
            )
        if refused := [k for k in self.keys if _is_refused(k)]:
            lines.append(
                f"[[warning]] Restores {join_words(refused)}: the values must match what masters "
                "and databases use now"
            )
        lines += [*impact.breaks, *impact.todo]
        lines += [f"Fixes in the current file: {text}" for text in self.mends[:SHOWN]]
        lines += [f"[[warning]] Introduces a new problem: {text}" for text in self.brings[:SHOWN]]
        return (*super().notes(cluster), *lines)

    def next_step(self, cluster: Cluster) -> str:
        if self._applies(cluster):
            return ""
        return "Start the masters with [[command startup]]"


def _is_refused(key: str) -> bool:
    """Return whether only an earlier version of the file brings the key back, not a form."""
    return (
        key in KEYS
        and KEYS[key].policy is ChangePolicy.REFUSED
        and KEYS[key].goes_to != INFORMATION
    )
