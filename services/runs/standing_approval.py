"""A window's standing approval: what it covers at each edge, and until when. Pure.

Each time a window opens or closes its cluster, the plan is compared with what was approved when the
window was added, by the policy and the roles of now. What goes beyond is not done, and posted with
the reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from services.access.policy import ClusterPolicy, PolicyImpact, count_approvals
from services.cluster.model import Cluster
from services.cluster.scaling import ScalingNotes
from services.common.text import count_of
from services.procedures import BackupCreate, Drill, Scale, Startup
from services.procedures.plan import Plan
from services.runs.authorization import Authorization, of_run, still_counting, too_few
from services.runs.run import Run
from services.windows import Edge, Window

REMIND = 14 * 86400.0


@dataclass(frozen=True)
class StandingApproval:
    """A window with its approval; None where the settings file names the window."""

    window: Window
    given: Authorization | None = None

    def until(self, rules: ClusterPolicy) -> float | None:
        """When it has to be confirmed again; None: never."""
        return None if self.given is None else self.given.at + rules.confirm_seconds


def standing_of(window: Window, run: Run | None) -> StandingApproval:
    """The standing approval of a window: that of the run which added it."""
    return StandingApproval(window, of_run(run) if run is not None else None)


def lapsed(standing: StandingApproval, rules: ClusterPolicy, at: float) -> str:
    """Why the window needs a new approval before it closes again; "" while it does not."""
    return _lapsed(f"window {standing.window.name}", standing.given, rules, at)


def _lapsed(name: str, given: Authorization | None, rules: ClusterPolicy, at: float) -> str:
    if given is None:
        return ""
    if given.glass:
        by = f"break-glass by {given.requester.mention}, which covers one run only"
        return f"{name} has no approval: {by}"
    if at > given.at + rules.confirm_seconds:
        return f"the standing approval of {name} has expired and must be renewed"
    why = too_few(given, rules.approvals_needed((PolicyImpact.WINDOWS_ADDED,)), rules)
    return f"{name}: {why}" if why else ""


def why_no_backup(
    plan: Plan, name: str, given: Authorization | None, rules: ClusterPolicy, at: float
) -> str:
    """Why a backup schedule's approval does not cover a plan; "" when it does.

    It covers backups that stop nothing, the deletion of older ones by the policy, and drills.
    """
    effects = plan.effects
    if not isinstance(plan.procedure, BackupCreate | Drill):
        return "a backup schedule only takes and proves backups"
    if effects.cuts_off or effects.blocks or effects.down or effects.stops_masters:
        return "a backup schedule never stops anything"
    if effects.special and not (isinstance(plan.procedure, BackupCreate) and plan.procedure.prune):
        return f"a backup schedule never does this: {'; '.join(effects.special)}"
    if given is None:
        return f"the run that added backup schedule {name} cannot be read"
    return _lapsed(f"backup schedule {name}", given, rules, at)


def why_no_scaling(
    plan: Plan,
    notes: ScalingNotes,
    price: Decimal | None,
    given: Authorization | None,
    rules: ClusterPolicy,
    at: float,
) -> str:
    """Why the permission to scale by the forecast does not cover a plan; "" when it does.

    It covers `scale` with draining, to a number within its quota. `price`: of a media node an hour,
    as it was seen just now.
    """
    allowed, effects, procedure = notes.permission, plan.effects, plan.procedure
    if allowed is None:
        return "no permission to scale by the forecast is given"
    if not isinstance(procedure, Scale) or procedure.no_drain:
        return "the forecast only scales, and drains the nodes that go"
    if effects.cuts_off or effects.down or effects.stops_masters or effects.special:
        return "the forecast never ends meetings, and never stops a cluster"
    if at > allowed.until:
        return "the permission to scale by the forecast has expired"
    if price is None or price <= 0:
        return "the price of a media node is unknown"
    cap = allowed.cap(price)
    if not allowed.least <= procedure.number <= cap:
        return f"the permission is for {allowed.least} to {cap} media nodes"
    if notes.used(at) >= allowed.changes:
        return f"the permission allows {count_of(allowed.changes, 'change')} a day"
    if given is None:
        return "the run that added the permission to scale cannot be read"
    if at > given.at + rules.confirm_seconds:
        return "the permission to scale by the forecast must be renewed"
    needs = rules.approvals_needed((PolicyImpact.WINDOWS_ADDED, PolicyImpact.MEDIA_ADDED))
    return too_few(given, needs, rules)


def may_start(
    standings: Iterable[StandingApproval], rules: ClusterPolicy, at: float, *, before: int
) -> int | None:
    """The most media nodes that an opening may end with; None: any number, no approval is needed.

    As many as before it closed, as many as need no approval, and the number of each window whose
    approval still covers that.
    """
    if rules.scale_up_to is None:
        return None
    numbers = [
        s.window.number
        for s in standings
        if s.window.number is not None and _covers_number(s, rules, at)
    ]
    return max(rules.scale_up_to, before, *numbers) if numbers else max(rules.scale_up_to, before)


def _covers_number(standing: StandingApproval, rules: ClusterPolicy, at: float) -> bool:
    given = standing.given
    if given is None:
        return True
    counting = still_counting(given.approvers, given.requester, rules)
    enough = not count_approvals(
        [a.user for a in counting],
        rules.approvals_needed((PolicyImpact.WINDOWS_ADDED, PolicyImpact.MEDIA_ADDED)),
        rules,
    ).left
    return enough and not lapsed(standing, rules, at)


def allowed_startup(
    edge: Edge,
    cluster: Cluster,
    standings: Iterable[StandingApproval],
    rules: ClusterPolicy,
    at: float,
) -> tuple[Startup, str]:
    """What an opening starts, and why that is not all that its windows name; "" when it is.

    A start-up takes nothing away: neither what others have added meanwhile nor, where a window says
    so, what was there before.
    """
    if edge.number is None:
        return Startup(), ""
    before = max(Startup().number(cluster) or 1, len(cluster.members))
    wanted = max(edge.number, before if edge.remembered else len(cluster.members))
    most = may_start(standings, rules, at, before=before)
    if most is None or wanted <= most:
        return Startup(wanted), ""
    return Startup(
        most
    ), f"{most} of {count_of(wanted, 'media node')}: its window is not approved for more"


def why_not_covered(
    plan: Plan, edge: Edge, standings: Iterable[StandingApproval], rules: ClusterPolicy, at: float
) -> str:
    """Why an edge's plan is not covered by the standing approvals of its windows; "" when it is."""
    if plan.effects.cuts_off or plan.effects.special:
        why = "; ".join(plan.effects.special) or "it ends running meetings"
        return f"a window never does this: {why}"
    if edge.kind == "open":
        return ""
    if plan.effects.stops_masters and edge.closes == "media-only":
        return "it would power off the masters; its window leaves them on"
    return "; ".join(filter(None, (lapsed(s, rules, at) for s in standings)))


def ends_soon(standing: StandingApproval, rules: ClusterPolicy, at: float) -> float | None:
    """When the standing approval ends (epoch seconds), if that is near."""
    until = standing.until(rules)
    return until if until is not None and at <= until <= at + REMIND else None
