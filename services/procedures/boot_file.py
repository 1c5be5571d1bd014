"""What a plan makes of `secrets.env`: masters read it when they boot, and media nodes when they install themselves. Pure.

A cluster that could not be started again is not stopped, and no line of the file runs because of a plan.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from services.cluster.model import Cluster
from services.common.errors import Refused
from services.procedures import fleet
from services.procedures.base import Procedure
from services.secrets_env import Finding, Linted, Reader, Unread, described, remedy, would
from services.steps import Arrived, Effects, MediaGone, PowerOff, PowerOn, Step, TemplateSize


class Unbootable(Refused):
    """Refused because of what stands in `secrets.env`."""


@dataclass(frozen=True)
class Reads:
    """Who reads the file because of a plan, or because of the start-up that has to follow it."""

    masters: bool = False
    nodes: bool = False
    stops: bool = False  # the cluster, or its media nodes, are stopped before

    @property
    def any(self) -> bool:
        return self.masters or self.nodes


def reads(cluster: Cluster, procedure: Procedure, steps: Iterable[Step], effects: Effects) -> Reads:
    """Told from the steps, so that no procedure can forget it."""
    if procedure.brings_file:
        return Reads()
    given = tuple(steps)
    emptied = any(isinstance(s, MediaGone) for s in given)
    stops = emptied or any(isinstance(s, PowerOff) and not s.media_stays for s in given)
    new_nodes = (
        stops or effects.adds > 0 or any(isinstance(s, Arrived | TemplateSize) for s in given)
    )
    return Reads(
        masters=any(isinstance(s, PowerOff | PowerOn) for s in given),
        nodes=new_nodes and fleet.of(cluster).installs,
        stops=stops,
    )


def faults(cluster: Cluster, by: Reads) -> tuple[Finding, ...]:
    """What these readers would meet in the file."""
    found = cluster.lint.findings if isinstance(cluster.lint, Linted) else ()
    return tuple(
        f
        for f in found
        if (f.reader is Reader.MASTERS and by.masters) or (f.reader is Reader.NODES and by.nodes)
    )


def must_start(cluster: Cluster, by: Reads, *, under_way: bool) -> None:
    """Refused with line, key and remedy where the file forbids the plan; and, before it has begun, where a stop would rest on a guess.

    Raises:
        Unbootable
    """
    if said := _said(faults(cluster, by)):
        raise Unbootable(f"{said}; nothing was changed")
    if by.stops and by.any and not under_way and (why := unread(cluster)):
        raise Unbootable(
            f"the bucket's secrets.env could not be read ({why}), and what may not start again is not stopped; nothing was changed"
        )


def closing_fault(cluster: Cluster, *, masters: bool) -> str:
    """Why a closing would be refused; "" when it would not be. `masters`: they are stopped too."""
    return _said(
        faults(cluster, Reads(masters=masters, nodes=fleet.of(cluster).installs, stops=True))
    )


def _said(found: tuple[Finding, ...]) -> str:
    return f"{would(found)}: {described(found)}. {remedy(found)}" if found else ""


def unread(cluster: Cluster) -> str:
    """Why the file could not be read; "" when it was, or when no bucket is configured."""
    return cluster.lint.reason if cluster.has_bucket and isinstance(cluster.lint, Unread) else ""


def state(cluster: Cluster) -> str:
    """What is wrong with the file, or why that is not known, with the remedy; "" when nothing is, or no bucket is configured."""
    if why := unread(cluster):
        return f"it could not be read ({why}); whether nodes can start with it is unknown"
    found = cluster.lint.findings if isinstance(cluster.lint, Linted) else ()
    return f"{described(found)}. {remedy(found)}" if found else ""


def notes(cluster: Cluster, by: Reads) -> tuple[str, ...]:
    """What people should know of the file before they agree."""
    if not by.any:
        return ()
    if not cluster.has_bucket:
        return ("The file secrets.env is not checked: no bucket is configured",)
    said = state(cluster)
    return (f"[[warning]] secrets.env: {said}",) if said else ()
