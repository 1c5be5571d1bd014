"""Droplet actions (power, resize, snapshot): requested once; an earlier one is adopted."""

from services.cloud.clients.digitalocean import DigitalOceanWrites
from services.cloud.listings import SharedAccount
from services.cloud.parse import Action
from services.common.errors import Rejected, Unreachable

CLOCKS_APART = 5.0
RETRY_SECONDS = 10.0
# Actions that must be this very one: another that is in progress does not count as it.
LONG = ("resize", "snapshot")
PENDING = ("already has a pending event", "blocking events processing")
ALREADY = (*PENDING, "already powered off", "already powered on")


class DropletActions:
    """Requests droplet actions and reads what became of them."""

    def __init__(self, account: SharedAccount, writes: DigitalOceanWrites) -> None:
        self._account = account
        self._writes = writes

    async def request(
        self, droplet_id: int, kind: str, since: float | None, **options: str | bool
    ) -> None:
        """Request an action. "Already so" and "already in progress" are states, not failures.

        `since`: an earlier request at or after that moment may have taken effect although no answer
        came; such an action is adopted, not repeated.
        """
        if since is not None and await self._was_requested(droplet_id, kind, since):
            return
        try:
            await self._writes.droplet_action(droplet_id, kind, **options)
        except Rejected as error:
            if error.status != 422:
                raise
            message = error.message.lower()
            if kind in LONG and _mentions(message, PENDING):
                await self._require_in_progress(droplet_id, kind)
            elif not _mentions(message, ALREADY):
                raise

    async def has_failed(self, droplet_id: int, kind: str) -> bool:
        """Whether the newest action of that kind ended in an error.

        DigitalOcean does not say why.
        """
        newest = await self._newest(droplet_id, kind)
        return newest is not None and newest.status == "errored"

    async def _was_requested(self, droplet_id: int, kind: str, since: float) -> bool:
        earliest = since - CLOCKS_APART
        actions = await self._account.actions(droplet_id, kind)
        return any(a.status != "errored" and a.started_at >= earliest for a in actions)

    async def _require_in_progress(self, droplet_id: int, kind: str) -> None:
        """Adopt the action in progress if it is of this kind; otherwise raise Unreachable."""
        newest = await self._newest(droplet_id)
        if newest is None or newest.type != kind or newest.status != "in-progress":
            raise Unreachable(
                f"asking for {kind} of droplet {droplet_id}: another action is in progress there",
                again_in=RETRY_SECONDS,
                sent=False,
            )

    async def _newest(self, droplet_id: int, kind: str = "") -> Action | None:
        actions = await self._account.actions(droplet_id, kind)
        return max(actions, key=lambda a: (a.started_at, a.id), default=None)


def _mentions(message: str, texts: tuple[str, ...]) -> bool:
    return any(text in message for text in texts)
