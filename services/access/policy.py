"""Who may do what. Pure: sees the plan and the person, returns a verdict with its reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.common.command import CHANGING, CommandClass
from services.common.errors import Refused
from services.common.markers import person, strong, user_group
from services.procedures.plan import Plan
from services.windows import Window, closed_words

EVERYONE = "everyone"
NO_ROLE = (
    "you have no role for this cluster; the person who keeps the bot's settings can give you one"
)
NOWHERE = (
    "you have no role for any cluster; the person who keeps the bot's settings can give you one"
)
UNSURE = (
    "Slack has not said yet who is in the user groups that have a role for this cluster, so no role may rest on them; "
    "nothing was changed, try again in a minute"
)


@dataclass(frozen=True)
class Actor:
    """A person, as Slack identifies them: a member id, and the workspace and organisation that they are at home in."""

    user: str
    team: str = ""
    enterprise: str = ""
    name: str = ""
    outsider: str = (
        ""  # why this one can never change anything: a guest, a bot, another workspace, deactivated
    )

    @property
    def key(self) -> str:
        """Tells whether two acts may be one person's. The member id alone: in doubt two are the same, and one has to be somebody else.

        Whether a role may rest on the id is another question: it counts only with the workspace or organisation (`Rules.homes`).
        """
        return self.user

    @property
    def window(self) -> bool:
        """A window is a colleague who types commands punctually; people have other ids."""
        return self.user.startswith("window:")

    @property
    def mention(self) -> str:
        if self.window:
            return f"window {strong(self.user.removeprefix('window:'))}"
        return person(self.user)


class Impact(StrEnum):
    """What a plan does that somebody else may have to look at, by the name it has in the settings."""

    MEETINGS_CUT = "meetings_cut"
    MEETINGS_BLOCKED = "meetings_blocked"
    MASTERS_STOPPED = "masters_stopped"
    SECRETS_EDITED = "secrets_edited"
    WINDOWS_ADDED = "windows_added"
    MEDIA_ADDED = "media_added"
    IRREVERSIBLE = "irreversible"


class Decision(StrEnum):
    """What somebody may have to say a reason for, by the name that it has in the settings. Rejecting always takes one."""

    REJECT = "reject"
    APPROVE = "approve"
    CANCEL = "cancel"
    ABANDON = "abandon"
    TAKE_OVER = "take_over"  # the resume of a run that somebody else asked for

    @property
    def doing(self) -> str:
        """As the beginning of a sentence about it."""
        return {
            "reject": "rejecting",
            "approve": "approving",
            "cancel": "cancelling",
            "abandon": "abandoning",
        }.get(self, "taking over")


@dataclass(frozen=True)
class Rules:
    """A cluster's policy. Empty roles mean that nobody may change anything.

    Roles hold member ids, and ids of user groups (`S…`) that stand for their members: `access.user_groups` puts people in their place.
    """

    operators: frozenset[str] = frozenset()
    approvers: frozenset[str] = frozenset()
    viewers: frozenset[str] = frozenset({EVERYONE})
    breakers: frozenset[str] = frozenset()  # operators who may skip the approval, loudly
    wakers: frozenset[str] = frozenset()  # no operators, who may start what a window has closed
    wake_seconds: float = 7200.0  # for so long
    wakes_each: int = 2  # so often in a week: one person
    wakes_all: int = 5  # and all of them together
    only: tuple[
        tuple[CommandClass, frozenset[str]], ...
    ] = ()  # who uses a class of commands, where that is not the operators
    homes: frozenset[str] = (
        frozenset()
    )  # workspaces and organisations whose people count; empty: the caller has looked at that
    approvals: int = 1
    approvals_for: tuple[tuple[Impact, int], ...] = ()  # where an impact asks for more
    approvals_from: tuple[str, ...] = ()  # user groups: one approval from each
    members: tuple[tuple[str, frozenset[str]], ...] = ()  # of these groups
    closed: str = ""  # why nobody may change anything
    unsure: str = ""  # why nobody's role can rest on a user group now
    single_operator: bool = False
    scale_up_to: int | None = (
        None  # media nodes that may be added up to without approval; None: any number
    )
    approval_seconds: float = 1800.0
    confirm_seconds: float = (
        365 * 86400.0
    )  # a window's standing approval has to be confirmed again after this
    growth: float = 0.5  # this much more load than at approval asks again
    approvals_when: tuple[Window, ...] = ()  # the hours in which approvals count; none: always
    at: float = 0.0  # the moment that this is asked for
    reasons_for: frozenset[Decision] = (
        frozenset()
    )  # decisions about what somebody else asked for that take a reason

    @property
    def approvals_closed(self) -> str:
        """Why no approval counts at this moment; "" while they do."""
        return closed_words(self.approvals_when, self.at)

    def asks_why(self, decision: Decision, by: Actor, whose: Actor) -> bool:
        """Whether this decision about what `whose` asked for takes a reason. One's own never does."""
        return by.key != whose.key and (decision is Decision.REJECT or decision in self.reasons_for)

    def users(self, about: CommandClass) -> frozenset[str]:
        """Who uses that class of commands."""
        return dict(self.only).get(about, self.operators)

    @property
    def changers(self) -> frozenset[str]:
        """Whoever may change something."""
        return self.operators.union(*(people for _, people in self.only))

    def demand(self, impacts: Iterable[Impact]) -> int:
        """How many approvals a plan with these impacts takes. A window as many as what it does from then on without asking."""
        more, found = dict(self.approvals_for), set(impacts)
        if Impact.WINDOWS_ADDED in found:
            found |= {Impact.MEETINGS_BLOCKED, Impact.MASTERS_STOPPED}
        return max([self.approvals, len(self.approvals_from), *(more.get(i, 0) for i in found)])


class Kind(StrEnum):
    """The three answers."""

    ALLOWED = "allowed"
    NEEDS_APPROVAL = "needs approval"
    DENIED = "denied"


@dataclass(frozen=True)
class Verdict:
    """An answer with its reason, and for an approval what it must say in as many words and how many it takes."""

    kind: Kind
    reason: str
    approvals: int = 0
    special: tuple[str, ...] = ()


def whom_to_ask(people: frozenset[str]) -> str:
    """`@ben or @carla`, at most three, for a refusal that says where to turn."""
    named = [person(u) for u in sorted(people)][:3]
    return (
        " or ".join(named)
        if named
        else "the person who keeps the bot's settings (no operators are named there)"
    )


def _denied(reason: str) -> Verdict:
    return Verdict(Kind.DENIED, reason)


def _stranger(actor: Actor, rules: Rules) -> str:
    """Why this one counts for nothing here, whatever their member id; "" when they are at home here."""
    if actor.outsider:
        return actor.outsider
    # From Slack nobody comes without a workspace; for the user of a terminal the settings vouch.
    elsewhere = {actor.team, actor.enterprise} - {""}
    if rules.homes and elsewhere and not rules.homes & elsewhere:
        return "you belong to another workspace; only members of this one may use it"
    return ""


def _lacks_role(rules: Rules, otherwise: str) -> Verdict:
    """No role is known for somebody: because there is none, or because Slack does not say who is in the groups."""
    return _denied(rules.unsure or otherwise)


def may_read(actor: Actor, rules: Rules) -> Verdict:
    """Whether this person may see the cluster's state. A refusal names no one: who operates a cluster is part of what is not shown."""
    if stranger := _stranger(actor, rules):
        return _denied(stranger)
    if (
        EVERYONE in rules.viewers
        or actor.user in rules.viewers | rules.changers | rules.approvers | rules.wakers
    ):
        return Verdict(Kind.ALLOWED, "may read")
    return _denied(UNSURE if rules.unsure else NO_ROLE)


def may_operate(actor: Actor, rules: Rules) -> Verdict:
    """Whether somebody may change anything at all; what exactly is for `may_use` to say."""
    if rules.closed:
        return _denied(rules.closed)
    may = may_read(actor, rules)
    if may.kind is Kind.DENIED:
        return may
    if not any(actor.user in rules.users(about) for about in CHANGING):
        return _lacks_role(
            rules,
            f"only operators of this cluster may change it; ask {whom_to_ask(rules.changers)}",
        )
    return Verdict(Kind.ALLOWED, "is an operator")


def may_use(actor: Actor, rules: Rules, needs: Iterable[CommandClass]) -> Verdict:
    """Whether somebody may use all of these classes of commands."""
    may = may_operate(actor, rules)
    if may.kind is Kind.DENIED:
        return may
    for about in needs:
        people = rules.users(about)
        if actor.user not in people:
            return _lacks_role(
                rules,
                f"{about.replace('_', '-')} commands of this cluster are not open to you; ask {whom_to_ask(people)}",
            )
    return may


def may_say(actor: Actor, rules: Rules, classes: Iterable[CommandClass]) -> Verdict:
    """Whether a command of these classes is worth saying: one of them is open to this person. Its plan may need more of them."""

    def one(about: CommandClass) -> Verdict:
        if about is CommandClass.LOOK:
            return may_read(actor, rules)
        if about is CommandClass.WAKE:
            return may_wake(actor, rules)
        return (
            may_break_glass(actor, rules)
            if about is CommandClass.BREAK_GLASS
            else may_use(actor, rules, (about,))
        )

    found = [one(about) for about in classes]
    return next((v for v in found if v.kind is not Kind.DENIED), found[0])


def may_decide(
    actor: Actor, rules: Rules, needs: Iterable[CommandClass], *, window: bool = False
) -> Verdict:
    """Whether somebody may cancel, resume, abandon or answer a run that took these classes; `window`: an off-hours window's run."""
    may = may_use(actor, rules, needs)
    if (
        window
        and may.kind is Kind.DENIED
        and may_use(actor, rules, (CommandClass.WINDOWS,)).kind is not Kind.DENIED
    ):
        return may_operate(actor, rules)
    return may


def may_wake(actor: Actor, rules: Rules) -> Verdict:
    """Whether somebody may start what a window has closed: those who are named for it, and whoever looks after windows."""
    if rules.closed:
        return _denied(rules.closed)
    may = may_read(actor, rules)
    if may.kind is Kind.DENIED or actor.user in rules.wakers:
        return may
    if may_use(actor, rules, (CommandClass.WINDOWS,)).kind is not Kind.DENIED:
        return may
    return _lacks_role(
        rules, f"wake-up is not open to you; ask {whom_to_ask(rules.users(CommandClass.WINDOWS))}"
    )


def may_break_glass(actor: Actor, rules: Rules) -> Verdict:
    """Whether this operator may go on without the approval that a plan needs."""
    may = may_operate(actor, rules)
    if may.kind is Kind.DENIED or actor.user in rules.breakers:
        return may
    named = f"; it is open to {whom_to_ask(rules.breakers)}" if rules.breakers else ""
    return _lacks_role(
        rules,
        f"break-glass is not open to you{named}: `roles.break_glass` in the bot's settings names who may use it",
    )


def authorize(plan: Plan, actor: Actor, rules: Rules) -> Verdict:
    """Whether this plan may be run by this person, at once or after approval."""
    may = may_use(actor, rules, plan.procedure.needs())
    if may.kind is Kind.DENIED:
        return may
    found = impacts(plan, rules)
    if not found:
        return Verdict(Kind.ALLOWED, "nobody is disturbed by it")
    return Verdict(
        Kind.NEEDS_APPROVAL,
        "it " + " and ".join(approval_reasons(plan, rules)),
        rules.demand(found),
        plan.effects.special,
    )


def impacts(plan: Plan, rules: Rules) -> tuple[Impact, ...]:
    """What somebody else has to look at."""
    effects = plan.effects
    limit = rules.scale_up_to
    beyond = limit is not None and (
        (effects.adds > 0 and plan.media + effects.adds > limit) or effects.opens > limit
    )
    found = {
        Impact.MEETINGS_CUT: effects.cuts_off,
        Impact.MEETINGS_BLOCKED: effects.blocks,
        Impact.MASTERS_STOPPED: effects.stops_masters,
        Impact.SECRETS_EDITED: effects.edits_secrets,
        Impact.WINDOWS_ADDED: effects.standing,
        Impact.MEDIA_ADDED: beyond,
        Impact.IRREVERSIBLE: effects.special,
    }
    return tuple(impact for impact, there in found.items() if there)


def impact_words(plan: Plan, rules: Rules) -> dict[Impact, str]:
    """What each impact means here, said after "it"."""
    return {
        Impact.MEETINGS_CUT: "ends running meetings",
        Impact.MEETINGS_BLOCKED: "keeps people from opening meetings"
        if plan.effects.down
        else "takes media nodes out of service",
        Impact.MASTERS_STOPPED: "stops masters",
        Impact.SECRETS_EDITED: "edits secrets",
        Impact.WINDOWS_ADDED: "closes the cluster by itself from then on",
        Impact.MEDIA_ADDED: f"adds media nodes beyond the {rules.scale_up_to} that need no approval",
        Impact.IRREVERSIBLE: "cannot be taken back",
    }


def approval_reasons(plan: Plan, rules: Rules) -> tuple[str, ...]:
    """Why somebody else has to look at it, in words."""
    words = impact_words(plan, rules)
    found = impacts(plan, rules)
    if found != (Impact.IRREVERSIBLE,):
        found = tuple(
            i for i in found if i is not Impact.IRREVERSIBLE
        )  # its own words stand in the plan
    return tuple(words[i] for i in found)


# Approvals


def may_approve(
    actor: Actor, requester: Actor, rules: Rules, already: tuple[str, ...] = ()
) -> Verdict:
    """Whether this person's approval counts. `already` holds the keys of those who approved before."""
    if rules.closed:
        return _denied(rules.closed)
    may = may_read(actor, rules)
    if may.kind is Kind.DENIED:
        return may
    others = rules.approvers - {requester.user}
    if actor.user not in rules.approvers:
        return _lacks_role(
            rules, f"only approvers of this cluster may approve; ask {whom_to_ask(others)}"
        )
    if actor.key == requester.key and not rules.single_operator:
        return _denied(
            f"you asked for this, so somebody else has to approve it: ask {whom_to_ask(others)}"
        )
    if actor.key in already:
        return _denied("you have approved this already; somebody else is needed too")
    return Verdict(Kind.ALLOWED, "may approve")


def may_approve_now(rules: Rules) -> Verdict:
    """Whether an approval that is given at this moment counts, whoever gives it. Those given before go on counting."""
    return (
        _denied(rules.approvals_closed)
        if rules.approvals_closed
        else Verdict(Kind.ALLOWED, "approvals count now")
    )


@dataclass(frozen=True)
class ApprovalCount:
    """How far approvals have come: `left` are missing, among them one from each group of `lacks`."""

    left: int
    lacks: tuple[str, ...] = ()


def tally(approvers: Sequence[str], needs: int, rules: Rules) -> ApprovalCount:
    """Count these people's approvals. Everybody counts once, and somebody who is in two groups counts for one of them."""
    members = dict(rules.members)
    for_group: dict[str, str] = {}

    def place(who: str, tried: set[str]) -> bool:
        for group in rules.approvals_from:
            if group in tried or who not in members.get(group, frozenset()):
                continue
            tried.add(group)
            if group not in for_group or place(for_group[group], tried):
                for_group[group] = who
                return True
        return False

    people = tuple(dict.fromkeys(approvers))
    for who in people:
        place(who, set())
    lacks = tuple(g for g in rules.approvals_from if g not in for_group)
    anybody = max(0, needs - len(rules.approvals_from) - (len(people) - len(for_group)))
    return ApprovalCount(len(lacks) + anybody, lacks)


def adds_up(actor: Actor, before: Sequence[str], needs: int, rules: Rules) -> Verdict:
    """Whether one more approval, of this person, brings the plan any nearer to being run."""
    was, now = tally(before, needs, rules), tally((*before, actor.user), needs, rules)
    if now.left < was.left:
        return Verdict(Kind.ALLOWED, "counts")
    groups = " and ".join(map(user_group, was.lacks))
    return _denied(f"enough people like you have approved this; somebody of {groups} is needed too")


def raise_if_denied(verdict: Verdict) -> Verdict:
    """The verdict, unless it is a no: then Refused with its reason."""
    if verdict.kind is Kind.DENIED:
        raise Refused(verdict.reason)
    return verdict
