"""Slack accounts as they stand now: a deactivated person approves nothing any more."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from services.access.policy import Actor
from services.common.errors import Unreachable
from services.runs.request import Request

Lookup = Callable[[Actor], Awaitable[Actor]]


class Accounts:
    """Looks people up.

    `lookup`: asks Slack; None in a process without Slack, where every user counts as recorded.
    """

    def __init__(self, lookup: Lookup | None = None) -> None:
        self._lookup = lookup

    async def current(self, actor: Actor) -> Actor:
        """The person as their account stands now. Unreachable where Slack does not answer."""
        if self._lookup is None or actor.is_window:
            return actor
        return await self._lookup(actor)

    async def last_known(self, actor: Actor) -> Actor:
        """The person as `current`; as recorded while Slack does not answer.

        Approvals expire soon enough for that not to matter.
        """
        with suppress(Unreachable):
            return await self.current(actor)
        return actor

    async def of_request(self, request: Request) -> Request:
        """The request with everyone's account as it was last known."""
        approvals = tuple([await self.last_known(a) for a in request.approvals])
        requester = await self.last_known(request.requester)
        return replace(request, requester=requester, approvals=approvals)
