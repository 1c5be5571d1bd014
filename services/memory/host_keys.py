"""The SSH host key that each droplet presented first."""

from contextlib import suppress

from services.common.clock import Clock
from services.common.errors import Unreachable
from services.store import Commit, Store
from services.store.keys import host_key_key, host_key_used_key


class PinnedHostKeys:
    """SSH host keys, pinned by droplet id.

    Pool members are new hosts each time, and addresses are reused.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, droplet_id: int) -> str | None:
        """Return the pinned key, if this droplet was seen before.

        Its use is noted once a day: unused keys expire.
        """
        noted = host_key_used_key(droplet_id)
        key, used = await self._store.get(host_key_key(droplet_id), noted)
        now = self._clock.now()
        if key is not None and (used is None or now - float(used) > 86400.0):
            with suppress(Unreachable):  # the key is returned nevertheless
                await self._store.commit(Commit(checks={noted: used}, puts={noted: f"{now:.0f}"}))
        return key

    async def put(self, droplet_id: int, key: str) -> None:
        """Pin the key of a droplet that presents one for the first time."""
        pin, used = host_key_key(droplet_id), host_key_used_key(droplet_id)
        await self._store.commit(
            Commit(checks={pin: None}, puts={pin: key, used: f"{self._clock.now():.0f}"})
        )
