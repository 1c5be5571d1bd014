"""The SSH host key that each droplet showed first."""

from contextlib import suppress

from services.common.clock import Clock
from services.common.errors import Unreachable
from services.store import Commit, Store
from services.store.keys import host_key_key, host_key_used_key


class HostKeys:
    """SSH host keys, pinned per droplet id: a pool's members are new hosts each time, and addresses are reused."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, droplet_id: int) -> str | None:
        """The pinned key, if this droplet was seen before. That it was of use today is noted: one that is not for long goes."""
        noted = host_key_used_key(droplet_id)
        key, used = await self._store.get(host_key_key(droplet_id), noted)
        now = self._clock.now()
        if key is not None and (used is None or now - float(used) > 86400.0):
            with suppress(Unreachable):  # reading works without it
                await self._store.commit(Commit(checks={noted: used}, puts={noted: f"{now:.0f}"}))
        return key

    async def put(self, droplet_id: int, key: str) -> None:
        """Pin the key of a droplet that is seen for the first time."""
        pin, used = host_key_key(droplet_id), host_key_used_key(droplet_id)
        await self._store.commit(
            Commit(checks={pin: None}, puts={pin: key, used: f"{self._clock.now():.0f}"})
        )
