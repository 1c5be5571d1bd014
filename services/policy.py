"""Who may do what. Pure: sees the plan and the person, returns a verdict with its reason."""

from dataclasses import dataclass
from enum import StrEnum

from services.plan import Plan

EVERYONE = "everyone"


@dataclass(frozen=True)
class Actor:
    """A person, as Slack identifies them. Compared by member id, as roles are: never by name, nor by the door they came through."""

    user: str
    team: str = ""
    enterprise: str = ""
    name: str = ""
    outsider: str = ""  # why this one can never change anything: a guest, a bot, another workspace, deactivated

    @property
    def key(self) -> str:
        return self.user  # the team differs between a command and a button of one person in an organisation or a shared channel

    @property
    def window(self) -> bool:
        """A window is a colleague who types commands punctually; people have other ids."""
        return self.user.startswith("window:")

    @property
    def mention(self) -> str:
        if self.window:
            return f"window *{self.user.removeprefix('window:')}*"
        return f"<@{self.user}>"


@dataclass(frozen=True)
class Rules:
    """A cluster's policy. Empty roles mean that nobody may change anything."""

    operators: frozenset[str] = frozenset()
    approvers: frozenset[str] = frozenset()
    viewers: frozenset[str] = frozenset({EVERYONE})
    approvals: int = 1
    single_operator: bool = False
    scale_up_to: int | None = None  # media nodes that may be added up to without approval; None: any number
    approval_seconds: float = 1800.0
    growth: float = 0.5  # this much more load than at approval asks again


class Kind(StrEnum):
    """The three answers."""

    ALLOWED = "allowed"
    NEEDS_APPROVAL = "needs approval"
    DENIED = "denied"


@dataclass(frozen=True)
class Verdict:
    """An answer with its reason, and for an approval what it must say in as many words."""

    kind: Kind
    reason: str
    approvals: int = 0
    special: tuple[str, ...] = ()


def whom_to_ask(people: frozenset[str]) -> str:
    """`<@U1> or <@U2>`, at most three, for a refusal that says where to turn."""
    named = [f"<@{u}>" for u in sorted(people)][:3]
    return " or ".join(named) if named else "the person who keeps the bot's settings (no operators are named there)"


def may_read(actor: Actor, rules: Rules) -> Verdict:
    """Whether somebody may see the cluster's state."""
    if actor.outsider:
        return Verdict(Kind.DENIED, actor.outsider)
    if EVERYONE in rules.viewers or actor.user in rules.viewers | rules.operators | rules.approvers:
        return Verdict(Kind.ALLOWED, "may read")
    return Verdict(Kind.DENIED, f"you have no role for this cluster; ask {whom_to_ask(rules.operators)}")


def may_operate(actor: Actor, rules: Rules) -> Verdict:
    """Whether somebody may ask for changes, cancel and resume."""
    if actor.outsider:
        return Verdict(Kind.DENIED, actor.outsider)
    if actor.user not in rules.operators:
        return Verdict(Kind.DENIED, f"only operators of this cluster may change it; ask {whom_to_ask(rules.operators)}")
    return Verdict(Kind.ALLOWED, "is an operator")


def judge(plan: Plan, actor: Actor, rules: Rules) -> Verdict:
    """Whether this plan may be run by this person, at once or after approval."""
    may = may_operate(actor, rules)
    if may.kind is Kind.DENIED:
        return may
    reasons = approval_reasons(plan, rules)
    if not reasons and not plan.effects.special:
        return Verdict(Kind.ALLOWED, "nobody is disturbed by it")
    return Verdict(Kind.NEEDS_APPROVAL, "it " + " and ".join(reasons or ("cannot be taken back",)), rules.approvals, plan.effects.special)


def approval_reasons(plan: Plan, rules: Rules) -> tuple[str, ...]:
    """Why somebody else has to look at it."""
    effects = plan.effects
    reasons = []
    if effects.cuts_off:
        reasons.append("ends running meetings")
    if effects.blocks:
        reasons.append("keeps people from opening meetings" if effects.down else "takes media nodes out of service")
    if effects.stops_masters:
        reasons.append("stops masters")
    if effects.edits_secrets:
        reasons.append("edits secrets")
    if effects.standing:
        reasons.append("closes the cluster by itself from then on")
    if effects.adds and rules.scale_up_to is not None and plan.media + effects.adds > rules.scale_up_to:
        reasons.append(f"adds media nodes beyond the {rules.scale_up_to} that need no approval")
    return tuple(reasons)


def may_approve(actor: Actor, requester: Actor, rules: Rules, already: tuple[str, ...] = ()) -> Verdict:
    """Whether this person's approval counts. `already` holds the keys of those who approved before."""
    if actor.outsider:
        return Verdict(Kind.DENIED, actor.outsider)
    others = rules.approvers - {requester.user}
    if actor.user not in rules.approvers:
        return Verdict(Kind.DENIED, f"only approvers of this cluster may approve; ask {whom_to_ask(others)}")
    if actor.key == requester.key and not rules.single_operator:
        return Verdict(Kind.DENIED, f"you asked for this, so somebody else has to approve it: ask {whom_to_ask(others)}")
    if actor.key in already:
        return Verdict(Kind.DENIED, "you have approved this already; somebody else is needed too")
    return Verdict(Kind.ALLOWED, "may approve")
