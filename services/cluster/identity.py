"""The identity of a cluster: properties that stay the same however it changes. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.common.values import replace


@dataclass(frozen=True)
class Identity:
    """A cluster at DigitalOcean. Properties that were not seen are empty, and prove nothing.

    `account`: id of the team or person whose token it is. `masters`: ids of their droplets, which
    are never reused.
    """

    account: str = ""
    stack: str = ""
    masters: tuple[int, ...] = ()

    def differs(self, other: "Identity") -> str:
        """Return why these cannot be the same cluster; "" if they can.

        Stacks of one name in one account are the same, whatever became of the droplets. The
        droplets count only where an account is unknown.
        """
        if self.stack and other.stack and self.stack != other.stack:
            return f"the stack is {self.stack} here and {other.stack} there"
        if self.account and other.account:
            if self.account == other.account:
                return ""
            return f"the DigitalOcean account is {self.account} here and {other.account} there"
        return self.other_masters(other)

    def other_masters(self, other: "Identity") -> str:
        """Return that no master is the same droplet; "" if one is, or they were not seen."""
        if not self.masters or not other.masters or set(self.masters) & set(other.masters):
            return ""
        return f"the masters are droplets {_ids(self.masters)} here and {_ids(other.masters)} there"

    def merged_with(self, seen: "Identity") -> "Identity":
        """Return it updated with what was seen now."""
        return replace(
            self,
            account=seen.account or self.account,
            stack=seen.stack or self.stack,
            masters=seen.masters or self.masters,
        )


UNKNOWN_IDENTITY = Identity()


def _ids(masters: Iterable[int]) -> str:
    return ", ".join(str(m) for m in sorted(masters))
