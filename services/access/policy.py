"""Authorization: who may do what. Pure: a plan and a person in, a verdict with its reason out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from services.common.command import CHANGING, CommandClass
from services.common.errors import Refused
from services.common.markers import person, strong, user_group
from services.common.text import or_words
from services.procedures import AllowScaling
from services.procedures.plan import Plan
from services.windows import Window, why_not_counting

EVERYONE = "everyone"
# Before the name of a backup schedule, in place of a member id.
BACKUPS = "backups:"
# Before the name of a cluster that is scaled by the forecast, in place of a member id.
FORECAST = "forecast:"
NO_ROLE = "you have no role for this cluster. The bot's administrator can give you one"
NO_ROLE_ANYWHERE = "you have no role for any cluster. The bot's administrator can give you one"
GROUPS_UNKNOWN = (
    "the members of this cluster's user groups are not known yet, because Slack has not answered. "
    "Nothing was changed. Try again in a minute"
)


@dataclass(frozen=True)
class Actor:
    """A person as Slack identifies them: member id, home workspace and home organization."""

    user: str
    team: str = ""
    enterprise: str = ""
    name: str = ""
    # Why they can never change anything: a guest, a bot, of another workspace, deactivated.
    outsider: str = ""

    @property
    def key(self) -> str:
        """Return what decides whether two acts may be one person's: the member id alone.

        So in doubt two people count as one, and a second person is required. Roles are another
        matter: an id counts only together with its workspace or organization (`Rules.homes`).
        """
        return self.user

    @property
    def is_window(self) -> bool:
        """Return whether it is a window, a backup schedule or the forecast: they act as people."""
        return self.user.startswith(("window:", BACKUPS, FORECAST))

    @property
    def mention(self) -> str:
        """Return a marker that views render as a mention."""
        if self.user.startswith(BACKUPS):
            return f"backup schedule {strong(self.user.removeprefix(BACKUPS))}"
        if self.user.startswith(FORECAST):
            return "the forecast"
        if self.is_window:
            return f"window {strong(self.user.removeprefix('window:'))}"
        return person(self.user)


class PolicyImpact(StrEnum):
    """An effect of a plan that may need approval, by its name in the settings."""

    MEETINGS_CUT = "meetings_cut"
    MEETINGS_BLOCKED = "meetings_blocked"
    MASTERS_STOPPED = "masters_stopped"
    SECRETS_EDITED = "secrets_edited"
    WINDOWS_ADDED = "windows_added"
    MEDIA_ADDED = "media_added"
    IRREVERSIBLE = "irreversible"


class DecisionKind(StrEnum):
    """A decision that may need a reason, by its name in the settings; rejecting always does."""

    REJECT = "reject"
    APPROVE = "approve"
    CANCEL = "cancel"
    ABANDON = "abandon"
    # Resuming a run that another person requested.
    TAKE_OVER = "take_over"

    @property
    def doing(self) -> str:
        """Return the beginning of a sentence about it."""
        return {
            "reject": "rejecting",
            "approve": "approving",
            "cancel": "cancelling",
            "abandon": "abandoning",
        }.get(self, "taking over")


@dataclass(frozen=True)
class ClusterPolicy:
    """A cluster's policy. With empty roles no one may change anything.

    Roles hold member ids, and ids of user groups (`S...`), which `access.user_groups` resolves.
    """

    operators: frozenset[str] = frozenset()
    approvers: frozenset[str] = frozenset()
    viewers: frozenset[str] = frozenset({EVERYONE})
    # Operators who may skip the approval (break-glass).
    break_glass_users: frozenset[str] = frozenset()
    # People other than operators who may start what a window has closed: for how long, how often
    # a week each, and how often a week all of them together.
    wake_users: frozenset[str] = frozenset()
    wake_seconds: float = 7200.0
    wakes_each: int = 2
    wakes_all: int = 5
    # Who may use a class of commands, where not the operators.
    users_by_class: tuple[tuple[CommandClass, frozenset[str]], ...] = ()
    # Workspaces and organizations whose members count; empty: the caller has checked that.
    workspaces: frozenset[str] = frozenset()
    approvals: int = 1
    # More approvals for certain impacts.
    approvals_for: tuple[tuple[PolicyImpact, int], ...] = ()
    # User groups that must give one approval each, and their members.
    approvals_from: tuple[str, ...] = ()
    group_members: tuple[tuple[str, frozenset[str]], ...] = ()
    # Why no one may change anything.
    closed: str = ""
    # Why no role can rest on a user group now.
    groups_unknown: str = ""
    single_operator: bool = False
    # Media nodes that may be added up to without approval; None: any number.
    scale_up_to: int | None = None
    approval_seconds: float = 1800.0
    # Seconds after which a window's standing approval must be confirmed again.
    confirm_seconds: float = 365 * 86400.0
    # An increase of load since the approval by more than this share needs a new approval.
    growth: float = 0.5
    # The hours in which approvals count; empty: always.
    approvals_when: tuple[Window, ...] = ()
    # The moment for which this policy is evaluated.
    evaluated_at: float = 0.0
    # Decisions about other people's requests that need a reason.
    reasons_for: frozenset[DecisionKind] = frozenset()

    @property
    def approvals_closed(self) -> str:
        """Return why no approval counts at this moment; "" while they do."""
        return why_not_counting(self.approvals_when, self.evaluated_at)

    def needs_reason(self, decision: DecisionKind, by: Actor, whose: Actor) -> bool:
        """Return whether a decision about `whose` request needs a reason; about one's own never."""
        return by.key != whose.key and (
            decision is DecisionKind.REJECT or decision in self.reasons_for
        )

    def users_of(self, about: CommandClass) -> frozenset[str]:
        """Return who may use that class of commands."""
        return dict(self.users_by_class).get(about, self.operators)

    @cached_property
    def named(self) -> frozenset[str]:
        """Return everyone who has a role: people, user groups, and channels of wakers."""
        roles = (self.operators, self.approvers, self.break_glass_users, self.viewers)
        of_classes = (people for _, people in self.users_by_class)
        return self.wake_users.union(*roles, *of_classes, self.approvals_from)

    @property
    def changers(self) -> frozenset[str]:
        """Return everyone who may change something."""
        return self.operators.union(*(people for _, people in self.users_by_class))

    def approvals_needed(self, impacts: Iterable[PolicyImpact]) -> int:
        """Return how many approvals a plan with these impacts needs.

        A window needs as many as what it will do without further approval.
        """
        required, included = dict(self.approvals_for), set(impacts)
        if PolicyImpact.WINDOWS_ADDED in included:
            included |= {PolicyImpact.MEETINGS_BLOCKED, PolicyImpact.MASTERS_STOPPED}
        for_impacts = (required.get(impact, 0) for impact in included)
        return max([self.approvals, len(self.approvals_from), *for_impacts])


class AccessResult(StrEnum):
    """The result of an authorization."""

    ALLOWED = "allowed"
    NEEDS_APPROVAL = "needs approval"
    DENIED = "denied"


@dataclass(frozen=True)
class Verdict:
    """A result with its reason.

    For an approval: how many are needed, and the effects that approvers must confirm explicitly.
    """

    kind: AccessResult
    reason: str
    approvals: int = 0
    special: tuple[str, ...] = ()


def people_to_ask(people: frozenset[str]) -> str:
    """Return up to three people, joined by "or", for a refusal."""
    mentions = [person(u) for u in sorted(people)][:3]
    if not mentions:
        return "the bot's administrator (the settings name no operators)"
    return or_words(mentions)


def _denied(reason: str) -> Verdict:
    return Verdict(AccessResult.DENIED, reason)


def _is_denied(verdict: Verdict) -> bool:
    return verdict.kind is AccessResult.DENIED


def _stranger(actor: Actor, rules: ClusterPolicy) -> str:
    """Return why an actor has no role here, whatever their member id; "" for members."""
    if actor.outsider:
        return actor.outsider
    # From Slack everyone comes with a workspace; for the users of a terminal the settings vouch.
    elsewhere = {actor.team, actor.enterprise} - {""}
    if rules.workspaces and elsewhere and not rules.workspaces & elsewhere:
        return "you belong to another workspace; only members of this one may use it"
    return ""


def _lacks_role(rules: ClusterPolicy, reason: str) -> Verdict:
    """Deny: the actor has no known role, or Slack does not say who is in the groups."""
    return _denied(rules.groups_unknown or reason)


def may_read(actor: Actor, rules: ClusterPolicy) -> Verdict:
    """Decide whether the actor may see the cluster's state.

    A refusal names no one: who operates a cluster is part of what is not shown.
    """
    if stranger := _stranger(actor, rules):
        return _denied(stranger)
    with_role = rules.viewers | rules.changers | rules.approvers | rules.wake_users
    if EVERYONE in rules.viewers or actor.user in with_role:
        return Verdict(AccessResult.ALLOWED, "may read")
    return _denied(GROUPS_UNKNOWN if rules.groups_unknown else NO_ROLE)


def may_operate(actor: Actor, rules: ClusterPolicy) -> Verdict:
    """Decide whether the actor may change anything at all; `may_use` decides what."""
    if rules.closed:
        return _denied(rules.closed)
    reading = may_read(actor, rules)
    if _is_denied(reading):
        return reading
    if not any(actor.user in rules.users_of(about) for about in CHANGING):
        return _lacks_role(
            rules,
            f"only operators of this cluster may change it. Ask {people_to_ask(rules.changers)}",
        )
    return Verdict(AccessResult.ALLOWED, "is an operator")


def may_use(actor: Actor, rules: ClusterPolicy, needs: Iterable[CommandClass]) -> Verdict:
    """Decide whether the actor may use all of these classes of commands."""
    operating = may_operate(actor, rules)
    if _is_denied(operating):
        return operating
    for about in needs:
        people = rules.users_of(about)
        if actor.user not in people:
            name = about.replace("_", "-")
            return _lacks_role(
                rules,
                f"you may not use {name} commands of this cluster. Ask {people_to_ask(people)}",
            )
    return operating


def may_type(actor: Actor, rules: ClusterPolicy, classes: Iterable[CommandClass]) -> Verdict:
    """Decide whether a command may be typed: one of its classes is open to the actor.

    Its plan may need more of them.
    """
    verdicts = [_may_use_class(actor, rules, about) for about in classes]
    return next((v for v in verdicts if not _is_denied(v)), verdicts[0])


def _may_use_class(actor: Actor, rules: ClusterPolicy, about: CommandClass) -> Verdict:
    match about:
        case CommandClass.LOOK:
            return may_read(actor, rules)
        case CommandClass.WAKE:
            return may_wake(actor, rules)
        case CommandClass.BREAK_GLASS:
            return may_break_glass(actor, rules)
        case _:
            return may_use(actor, rules, (about,))


def may_decide(
    actor: Actor, rules: ClusterPolicy, needs: Iterable[CommandClass], *, window: bool = False
) -> Verdict:
    """Decide whether the actor may cancel, resume, abandon or answer a run with these classes.

    `window`: it is an off-hours window's run, which those who may change windows may decide on too.
    """
    using = may_use(actor, rules, needs)
    if (
        window
        and _is_denied(using)
        and not _is_denied(may_use(actor, rules, (CommandClass.WINDOWS,)))
    ):
        return may_operate(actor, rules)
    return using


def may_wake(actor: Actor, rules: ClusterPolicy) -> Verdict:
    """Decide whether the actor may start what a window has closed: a waker, or a window manager."""
    if rules.closed:
        return _denied(rules.closed)
    reading = may_read(actor, rules)
    if _is_denied(reading) or actor.user in rules.wake_users:
        return reading
    if not _is_denied(may_use(actor, rules, (CommandClass.WINDOWS,))):
        return reading
    return _lacks_role(
        rules,
        f"you may not use wake-up. Ask {people_to_ask(rules.users_of(CommandClass.WINDOWS))}",
    )


def may_break_glass(actor: Actor, rules: ClusterPolicy) -> Verdict:
    """Decide whether the actor may skip the approval that a plan needs."""
    operating = may_operate(actor, rules)
    if _is_denied(operating) or actor.user in rules.break_glass_users:
        return operating
    named = f". Ask {people_to_ask(rules.break_glass_users)}" if rules.break_glass_users else ""
    return _lacks_role(
        rules,
        f"you may not use break-glass{named}. The setting `roles.break_glass` names who may",
    )


def authorize(plan: Plan, actor: Actor, rules: ClusterPolicy) -> Verdict:
    """Decide whether the actor may run this plan, at once or after approval."""
    using = may_use(actor, rules, plan.procedure.required_classes())
    if _is_denied(using):
        return using
    needing_approval = impacts(plan, rules)
    if not needing_approval:
        return Verdict(AccessResult.ALLOWED, "it affects no one")
    return Verdict(
        AccessResult.NEEDS_APPROVAL,
        "it " + " and ".join(approval_reasons(plan, rules)),
        rules.approvals_needed(needing_approval),
        plan.effects.special,
    )


def impacts(plan: Plan, rules: ClusterPolicy) -> tuple[PolicyImpact, ...]:
    """Return the impacts of a plan that need approval."""
    effects = plan.effects
    limit = rules.scale_up_to
    beyond = limit is not None and (
        (effects.adds > 0 and plan.media + effects.adds > limit) or effects.opens > limit
    )
    has = {
        PolicyImpact.MEETINGS_CUT: effects.cuts_off,
        PolicyImpact.MEETINGS_BLOCKED: effects.blocks,
        PolicyImpact.MASTERS_STOPPED: effects.stops_masters,
        PolicyImpact.SECRETS_EDITED: effects.edits_secrets,
        PolicyImpact.WINDOWS_ADDED: effects.standing,
        PolicyImpact.MEDIA_ADDED: beyond,
        PolicyImpact.IRREVERSIBLE: effects.special,
    }
    return tuple(impact for impact, present in has.items() if present)


def impact_texts(plan: Plan, rules: ClusterPolicy) -> dict[PolicyImpact, str]:
    """Return what each impact means for this plan, as a sentence after "it"."""
    blocks = "takes media nodes out of service"
    if plan.effects.down:
        blocks = "blocks new meetings"
    limit = rules.scale_up_to
    return {
        PolicyImpact.MEETINGS_CUT: "ends running meetings",
        PolicyImpact.MEETINGS_BLOCKED: blocks,
        PolicyImpact.MASTERS_STOPPED: f"stops the {plan.only_master or 'masters'}",
        PolicyImpact.SECRETS_EDITED: "edits secrets",
        PolicyImpact.WINDOWS_ADDED: _by_itself(plan),
        PolicyImpact.MEDIA_ADDED: f"adds media nodes beyond the {limit} that need no approval",
        PolicyImpact.IRREVERSIBLE: "is not reversible",
    }


def _by_itself(plan: Plan) -> str:
    if isinstance(plan.procedure, AllowScaling):
        return "scales the cluster by itself from now on"
    return "closes the cluster by itself from now on"


def approval_reasons(plan: Plan, rules: ClusterPolicy) -> tuple[str, ...]:
    """Return why a plan needs approval, one text per impact."""
    texts = impact_texts(plan, rules)
    present = impacts(plan, rules)
    if present != (PolicyImpact.IRREVERSIBLE,):
        # The plan itself says what is irreversible.
        present = tuple(i for i in present if i is not PolicyImpact.IRREVERSIBLE)
    return tuple(texts[i] for i in present)


# Approvals


def may_approve(
    actor: Actor, requester: Actor, rules: ClusterPolicy, already: tuple[str, ...] = ()
) -> Verdict:
    """Decide whether the actor's approval counts. `already`: keys of those who have approved."""
    if rules.closed:
        return _denied(rules.closed)
    reading = may_read(actor, rules)
    if _is_denied(reading):
        return reading
    others = rules.approvers - {requester.user}
    if actor.user not in rules.approvers:
        return _lacks_role(
            rules, f"only approvers of this cluster may approve. Ask {people_to_ask(others)}"
        )
    if actor.key == requester.key and not rules.single_operator:
        return _denied(
            f"you requested this, so someone else must approve it. Ask {people_to_ask(others)}"
        )
    if actor.key in already:
        return _denied("you have already approved this; one more person must approve it")
    return Verdict(AccessResult.ALLOWED, "may approve")


def may_approve_now(rules: ClusterPolicy) -> Verdict:
    """Decide whether an approval given now counts, of any person; earlier ones keep counting."""
    if rules.approvals_closed:
        return _denied(rules.approvals_closed)
    return Verdict(AccessResult.ALLOWED, "approvals count now")


@dataclass(frozen=True)
class ApprovalCount:
    """`left`: how many approvals are missing; among them one from each group in `lacks`."""

    left: int
    lacks: tuple[str, ...] = ()


def count_approvals(approvers: Sequence[str], needs: int, rules: ClusterPolicy) -> ApprovalCount:
    """Count approvals: each person once, and a member of two groups for one of them.

    Assigns people to groups so that as many groups as possible have an approval (a maximum
    bipartite matching, by augmenting paths).
    """
    members = dict(rules.group_members)
    approver_of: dict[str, str] = {}

    def assign(person: str, tried: set[str]) -> bool:
        for group in rules.approvals_from:
            if group in tried or person not in members.get(group, frozenset()):
                continue
            tried.add(group)
            if group not in approver_of or assign(approver_of[group], tried):
                approver_of[group] = person
                return True
        return False

    people = tuple(dict.fromkeys(approvers))
    for approver in people:
        assign(approver, set())
    lacks = tuple(g for g in rules.approvals_from if g not in approver_of)
    of_anyone = needs - len(rules.approvals_from) - (len(people) - len(approver_of))
    return ApprovalCount(len(lacks) + max(0, of_anyone), lacks)


def approval_advances(
    actor: Actor, before: Sequence[str], needs: int, rules: ClusterPolicy
) -> Verdict:
    """Decide whether the actor's approval, after those `before`, lowers what is missing."""
    earlier, now = (
        count_approvals(before, needs, rules),
        count_approvals((*before, actor.user), needs, rules),
    )
    if now.left < earlier.left:
        return Verdict(AccessResult.ALLOWED, "counts")
    groups = " and ".join(map(user_group, earlier.lacks))
    return _denied(f"the approval that is missing must come from {groups}")


def raise_if_denied(verdict: Verdict) -> Verdict:
    """Return the verdict; raise Refused with its reason if it is a denial."""
    if _is_denied(verdict):
        raise Refused(verdict.reason)
    return verdict
