"""Cached user-group membership, refreshed in the background; readers never wait for Slack.

A role given through a user group counts while the members are known as of ten minutes ago at most.
After that it allows no changes any more; what may be seen goes by what was known last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.access.policy import EVERYONE, ClusterPolicy
from services.common.text import duration
from services.common.values import replace

# Seconds after which known members do not count any more.
STALE = 600.0
# What the ids of user groups and channels begin with.
GROUPS = ("S", "C", "G")


@dataclass(frozen=True)
class Group:
    """A user group's members as of `at` (epoch seconds). `trouble`: why nothing newer is known."""

    members: frozenset[str] = frozenset()
    at: float = 0.0
    trouble: str = ""


@dataclass(frozen=True)
class GroupMembership:
    """The known user groups, and the workspaces and organizations whose members count."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    homes: frozenset[str] = frozenset()

    def resolve(self, rules: ClusterPolicy, now: float) -> ClusterPolicy:
        """Return the rules with groups replaced by their members, as far as these are known now."""
        named = groups_of(rules)
        if not named and self.homes <= rules.workspaces:
            return rules
        if not named:
            return replace(rules, workspaces=rules.workspaces | self.homes)
        stale = [g for g in named if now - self._group(g).at > STALE]
        fresh = {g: self.groups[g].members for g in named if g not in stale}
        viewers = rules.viewers
        if EVERYONE not in viewers:
            ever_seen = (self.groups[g].members for g in named if g in self.groups)
            viewers = _people(viewers, {}).union(*ever_seen)
        return replace(
            rules,
            operators=_people(rules.operators, fresh),
            approvers=_people(rules.approvers, fresh),
            break_glass_users=_people(rules.break_glass_users, fresh),
            wake_users=_people(rules.wake_users, fresh),
            users_by_class=tuple(
                (about, _people(people, fresh)) for about, people in rules.users_by_class
            ),
            viewers=viewers,
            workspaces=rules.workspaces | self.homes,
            group_members=tuple((g, fresh.get(g, frozenset())) for g in rules.approvals_from),
            groups_unknown=self._unsure(stale, now),
        )

    def _group(self, group: str) -> Group:
        return self.groups.get(group, Group())

    def _unsure(self, stale: Iterable[str], now: float) -> str:
        """Return why no role may rest on these groups, by the one known longest ago."""
        oldest = min(stale, key=lambda g: self._group(g).at, default=None)
        if oldest is None:
            return ""
        known = self._group(oldest)
        since = "yet"
        if known.at:
            at = datetime.fromtimestamp(known.at, UTC)
            since = f"since {at:%H:%M UTC} ({duration(now - known.at)} ago)"
        why = f" ({known.trouble})" if known.trouble else ""
        where = "user group" if oldest.startswith("S") else "channel"
        return (
            f"the members of the {where} {oldest} are not known {since}, because Slack does not "
            f"answer{why}. Nothing was changed. Reading works, and people whom the settings name "
            "by user id can still act"
        )


def groups_of(rules: ClusterPolicy) -> tuple[str, ...]:
    """Return the user groups, and channels of wakers, that a policy names."""
    return tuple(sorted(p for p in rules.named if p.startswith(GROUPS)))


def _people(role: frozenset[str], groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return a role's people: those it names, and the members of its groups."""
    named = frozenset(p for p in role if not p.startswith(GROUPS))
    return named.union(*(members for g, members in groups.items() if g in role))


class UserGroupCache:
    """The membership known to this process, kept up to date in the background."""

    def __init__(self, homes: frozenset[str] = frozenset()) -> None:
        self.known = GroupMembership(homes=homes)

    def update(self, group: str, members: Iterable[str], at: float) -> None:
        """Record a group's members at that time, unless a later time is known."""
        if at >= self.known.groups.get(group, Group()).at:
            self._put(group, Group(frozenset(members), at))

    def note_failure(self, group: str, trouble: str) -> None:
        """Record that a group could not be read; what was known gets older."""
        self._put(group, replace(self.known.groups.get(group, Group()), trouble=trouble))

    def set_home_workspace(self, *homes: str) -> None:
        """Set the bot's own workspace and organization, unless the settings name others."""
        if not self.known.homes:
            self.known = replace(self.known, homes=frozenset(h for h in homes if h))

    def _put(self, group: str, known: Group) -> None:
        self.known = replace(self.known, groups={**self.known.groups, group: known})
