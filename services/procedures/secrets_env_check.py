"""What a plan depends on in `secrets.env`. Pure.

Masters read the file when they boot, and media nodes when they install themselves. A cluster that
could not be started again is not stopped, and no line of the file runs because of a plan.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster
from services.common.errors import Refused
from services.procedures import fleet
from services.procedures.base import Procedure
from services.secrets_env import (
    Finding,
    Reader,
    SecretsFindings,
    SecretsUnread,
    findings_text,
    remedy,
    worst_consequence,
)
from services.steps import (
    Arrived,
    Effects,
    MediaGone,
    PowerOff,
    PowerOffHost,
    PowerOn,
    Step,
    TemplateSize,
)


class Unbootable(Refused):
    """Refused because of a fault in `secrets.env`."""


@dataclass(frozen=True)
class Reads:
    """Who reads the file because of a plan, or of the start-up that has to follow it."""

    masters: bool = False
    nodes: bool = False
    # The cluster, or its media nodes, are stopped before.
    stops: bool = False
    # The master that has the file is restarted whatever runs there, as people approve: one that
    # hangs shows its file to no one before that.
    forced: bool = False

    @property
    def any(self) -> bool:
        return self.masters or self.nodes


def readers_of(
    cluster: Cluster, procedure: Procedure, steps: Iterable[Step], effects: Effects
) -> Reads:
    """Return who reads the file. Derived from the steps, so that no procedure can forget it."""
    if procedure.brings_secrets_env:
        return Reads()
    planned = tuple(steps)
    stops = any(_stops(s) for s in planned)
    new_nodes = (
        stops or effects.adds > 0 or any(isinstance(s, Arrived | TemplateSize) for s in planned)
    )
    return Reads(
        masters=any(isinstance(s, PowerOff | PowerOn) for s in planned),
        nodes=new_nodes and fleet.fleet_of(cluster).installs,
        stops=stops,
        forced=any(isinstance(s, PowerOffHost) and s.harsh and s.returns for s in planned),
    )


def _stops(step: Step) -> bool:
    return isinstance(step, MediaGone) or (isinstance(step, PowerOff) and not step.media_stays)


def faults(cluster: Cluster, by: Reads) -> tuple[Finding, ...]:
    """Return the faults in the file that these readers would meet."""
    return tuple(
        f
        for f in _findings(cluster)
        if (f.reader is Reader.MASTERS and by.masters) or (f.reader is Reader.NODES and by.nodes)
    )


def _findings(cluster: Cluster) -> tuple[Finding, ...]:
    if isinstance(cluster.lint, SecretsFindings):
        return cluster.lint.findings
    return ()


def check_bootable(cluster: Cluster, by: Reads, *, under_way: bool) -> None:
    """Check that the cluster can start again with the file.

    `under_way`: the run is in progress, so that an unread file is no reason to refuse.

    Raises:
        Unbootable: a fault, with line, key and remedy; or the file could not be read before a stop.
    """
    if fault := _fault_text(faults(cluster, by)):
        raise Unbootable(f"{fault}. Nothing was changed")
    if by.stops and by.any and not under_way and not by.forced and (why := unread_reason(cluster)):
        raise Unbootable(
            f"{_place(cluster)} could not be read ({why}). A cluster that may not start "
            f"again is not stopped. Nothing was changed{_way_out(cluster)}"
        )


def _place(cluster: Cluster) -> str:
    plane = control_plane_of(cluster)
    return (
        f"secrets.env on {plane.all_masters}" if plane.own_secrets else "the bucket's secrets.env"
    )


def _way_out(cluster: Cluster) -> str:
    """Return how to restart a master that hangs; "" where the bucket has the file."""
    plane = control_plane_of(cluster)
    if not plane.own_secrets:
        return ""
    return (
        f". If {plane.all_masters} hangs, [[command restart {plane.noun} --no-drain]] restarts it "
        "and ends what runs there"
    )


def closing_fault(cluster: Cluster, *, masters: bool) -> str:
    """Return why a closing would be refused; "" when it would not be.

    `masters`: they are stopped too.
    """
    by = Reads(masters=masters, nodes=fleet.fleet_of(cluster).installs, stops=True)
    return _fault_text(faults(cluster, by))


def _fault_text(findings: tuple[Finding, ...]) -> str:
    if not findings:
        return ""
    return f"{worst_consequence(findings)}: {findings_text(findings)}. {remedy(findings)}"


def unread_reason(cluster: Cluster) -> str:
    """Return why the file could not be read; "" when it was, or no bucket is configured."""
    if cluster.has_bucket and isinstance(cluster.lint, SecretsUnread):
        return cluster.lint.reason
    return ""


def file_problem(cluster: Cluster) -> str:
    """Return the faults in the file with the remedy, or why they are unknown.

    "" when there are none, or no bucket is configured.
    """
    if control_plane_of(cluster).own_secrets and not any(m.active for m in cluster.masters):
        # The file is on the disk of a droplet that is off: that is no fault.
        return ""
    if why := unread_reason(cluster):
        return f"it could not be read ({why}); whether nodes can start with it is unknown"
    findings = _findings(cluster)
    if not findings:
        return ""
    return f"{findings_text(findings)}. {remedy(findings)}"


def notes(cluster: Cluster, by: Reads) -> tuple[str, ...]:
    """Return what people should know about the file before approval."""
    if not by.any:
        return ()
    if not cluster.has_bucket:
        return ("The file secrets.env is not checked: no bucket is configured",)
    problem = file_problem(cluster)
    if not problem:
        return ()
    return (f"[[warning]] secrets.env: {problem}",)
