"""Where a cluster's Terraform variables are kept: read, and changed by a pull request alone."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class PullRequest:
    """A pull request. `state`: `open`, `closed` or `merged`."""

    number: int
    url: str
    state: str = "open"


@dataclass(frozen=True)
class ProposedChange:
    """A change of the file on a branch of its own, for people to merge.

    `before`: the text that was shown; on another one nothing is proposed.
    """

    branch: str
    before: str
    after: str
    title: str
    body: str


class TerraformSource(Protocol):
    """A variables file. `takes_pulls` False: it can only be read.

    `template`: the vendor's template beside it, by its path; "" where that is not configured.
    """

    @property
    def path(self) -> str: ...
    @property
    def takes_pulls(self) -> bool: ...
    @property
    def template(self) -> str: ...
    async def read(self) -> str:
        """Return the text of the base branch. Unreachable, Rejected: unknown."""
        ...

    async def read_template(self) -> str:
        """Return the text of the template. Unreachable, Rejected: unknown."""
        ...

    async def find(self, branch: str) -> PullRequest | None:
        """Return the pull request of that branch, open or not; None for none."""
        ...

    async def propose(self, change: ProposedChange) -> PullRequest:
        """Open the pull request of this branch, or return the open one.

        Called again after a crash, or by two bots at once, it opens no second one.
        """
        ...
