"""Who is in which user group. A value: whoever can ask puts it here now and then, and nothing waits for it to be asked.

A role that rests on a user group counts while it is known, as of ten minutes ago at most, who is in it. After that nothing may be
changed on that ground; what is seen goes by what was known last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from services.access.policy import EVERYONE, Rules
from services.common.text import duration

STALE = 600.0
GROUPS = ("S", "C", "G")  # begin the ids of user groups and channels


@dataclass(frozen=True)
class Group:
    """A user group's members as of `at` (epoch seconds). `trouble`: why nothing newer is known."""

    members: frozenset[str] = frozenset()
    at: float = 0.0
    trouble: str = ""


@dataclass(frozen=True)
class Membership:
    """What is known of user groups, and of the workspaces and organisations whose people count."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    homes: frozenset[str] = frozenset()

    def resolve(self, rules: Rules, now: float) -> Rules:
        """The rules with people in the place of groups, as far as that can be relied on at this moment."""
        named = groups_of(rules)
        if not named:
            return replace(rules, homes=rules.homes | self.homes)
        stale = [g for g in named if now - self.groups.get(g, Group()).at > STALE]
        sure = {g: self.groups[g].members for g in named if g not in stale}
        anyhow = frozenset().union(*(self.groups[g].members for g in named if g in self.groups))
        return replace(
            rules,
            operators=_people(rules.operators, sure),
            approvers=_people(rules.approvers, sure),
            breakers=_people(rules.breakers, sure),
            wakers=_people(rules.wakers, sure),
            only=tuple((about, _people(people, sure)) for about, people in rules.only),
            viewers=rules.viewers
            if EVERYONE in rules.viewers
            else _people(rules.viewers, {}) | anyhow,
            homes=rules.homes | self.homes,
            members=tuple((g, sure.get(g, frozenset())) for g in rules.approvals_from),
            unsure=self._unsure(stale, now),
        )

    def _unsure(self, stale: Iterable[str], now: float) -> str:
        oldest = min(stale, key=lambda g: self.groups.get(g, Group()).at, default=None)
        if oldest is None:
            return ""
        known = self.groups.get(oldest, Group())
        since = (
            f"since {datetime.fromtimestamp(known.at, UTC):%H:%M UTC} ({duration(now - known.at)} ago)"
            if known.at
            else "yet"
        )
        why = f" ({known.trouble})" if known.trouble else ""
        where = "user group" if oldest.startswith("S") else "channel"
        return (
            f"Slack has not said {since} who is in the {where} {oldest}{why}, so no role may rest on it and nothing was changed; "
            "reading works, and people whom the settings name one by one may still act"
        )


def groups_of(rules: Rules) -> tuple[str, ...]:
    """The user groups, and channels of wakers, that a policy names."""
    people = (
        rules.changers
        | rules.approvers
        | rules.breakers
        | rules.viewers
        | rules.wakers
        | frozenset(rules.approvals_from)
    )
    return tuple(sorted(p for p in people if p.startswith(GROUPS)))


def _people(role: frozenset[str], groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found = frozenset(p for p in role if not p.startswith(GROUPS))
    return found.union(*(members for g, members in groups.items() if g in role))


class UserGroupCache:
    """What is known of people now. One for each process, kept up to date in the background."""

    def __init__(self, homes: frozenset[str] = frozenset()) -> None:
        self.known = Membership(homes=homes)

    def note(self, group: str, members: Iterable[str], at: float) -> None:
        """These were its members at that time. What is known of a later time stays."""
        if at >= self.known.groups.get(group, Group()).at:
            self._put(group, Group(frozenset(members), at))

    def missed(self, group: str, trouble: str) -> None:
        """It could not be asked for; what was known ages."""
        self._put(group, replace(self.known.groups.get(group, Group()), trouble=trouble))

    def is_of(self, *homes: str) -> None:
        """The workspace and the organisation that this bot is at home in, unless others were named."""
        if not self.known.homes:
            self.known = replace(self.known, homes=frozenset(h for h in homes if h))

    def _put(self, group: str, known: Group) -> None:
        self.known = replace(self.known, groups={**self.known.groups, group: known})
