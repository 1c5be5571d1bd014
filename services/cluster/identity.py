"""Which cluster a name means: by what stays the same however the cluster changes. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Identity:
    """A cluster at DigitalOcean. What was not seen is empty, and speaks for nothing and against nothing.

    `account`: of the team, or the person, whose token it is. `masters`: ids of their droplets, which no two droplets ever share.
    """

    account: str = ""
    stack: str = ""
    masters: tuple[int, ...] = ()

    def differs(self, other: "Identity") -> str:
        """Why these cannot be the same cluster, in words; "" when they can.

        Two stacks of one name in one account are the same one, whatever became of its droplets. Without the account only they tell.
        """
        if self.stack and other.stack and self.stack != other.stack:
            return f"the stack is {self.stack} here and {other.stack} there"
        if self.account and other.account:
            return (
                f"the DigitalOcean account is {self.account} here and {other.account} there"
                if self.account != other.account
                else ""
            )
        return self.other_masters(other)

    def other_masters(self, other: "Identity") -> str:
        """Why not one of the masters is the same droplet; "" when one is, or they were not seen."""
        if not self.masters or not other.masters or set(self.masters) & set(other.masters):
            return ""
        return f"the masters are droplets {_ids(self.masters)} here and {_ids(other.masters)} there"

    def learned(self, seen: "Identity") -> "Identity":
        """With what was seen now, where anything was."""
        return replace(
            self,
            account=seen.account or self.account,
            stack=seen.stack or self.stack,
            masters=seen.masters or self.masters,
        )


UNSEEN = Identity()


def _ids(masters: Iterable[int]) -> str:
    return ", ".join(str(m) for m in sorted(masters))
