"""What is kept of each cluster's scaling by the forecast, in one document per cluster."""

from collections.abc import Callable
from functools import lru_cache

from services.access.policy import Actor
from services.audit.chain import AuditChain
from services.audit.entries import AuditAction, AuditRecord
from services.cluster.scaling import NO_SCALING, ScalingChange, ScalingNotes, ScalingPermission
from services.common.errors import BadRecord, Superseded
from services.common.serialize import Classes, read, write
from services.memory.schedule import NO_FENCE, Fence
from services.store import Commit, Store
from services.store.edit import retried, too_fast
from services.store.keys import scaling_key

CLASSES: Classes = {k.__name__: k for k in (ScalingNotes, ScalingPermission, ScalingChange)}


@lru_cache(maxsize=512)  # the same text is read at every look
def read_scaling(text: str | None) -> ScalingNotes:
    """Return the notes in a stored text."""
    if text is None:
        return NO_SCALING
    notes = read(text, CLASSES, "the permission to scale by the forecast")
    if not isinstance(notes, ScalingNotes):
        raise BadRecord("the permission to scale by the forecast cannot be read: it is damaged")
    return notes


def write_scaling(notes: ScalingNotes, over: str | None) -> str:
    """Return the text of the notes. `over`: the replaced text, whose unknown fields it keeps."""
    return write(notes, CLASSES, over)


class ScalingRepository:
    """The documents of all clusters."""

    def __init__(self, store: Store, chain: AuditChain) -> None:
        self._store = store
        self._chain = chain

    async def stored(self, cluster: str) -> tuple[str | None, ScalingNotes]:
        """Return the stored text, to check against, and what it says."""
        (text,) = await self._store.get(scaling_key(cluster))
        return text, read_scaling(text)

    async def edit(
        self,
        cluster: str,
        change: Callable[[ScalingNotes], ScalingNotes],
        about: str,
        why: str,
        fence: Fence = NO_FENCE,
        by: Actor | None = None,
    ) -> None:
        """Change the permission, with its audit entry; repeated on a concurrent write.

        `about`: the new state, for the audit. `fence`: what must still be stored elsewhere, such
        as a lease; Superseded if it is not.
        """
        key = scaling_key(cluster)
        record = AuditRecord(AuditAction.SCALING, by, "permission to scale", why, "", about)

        async def attempt() -> bool | None:
            (text,) = await self._store.get(key)
            before = read_scaling(text)
            after = change(before)
            if after == before:
                return True
            commit = Commit(checks={key: text, **fence}, puts={key: write_scaling(after, text)})
            if await self._chain.commit(commit, cluster, record):
                return True
            if fence and await self._store.get(*fence) != list(fence.values()):
                raise Superseded(f"the permission of {cluster} is now noted by another bot process")
            return None

        await retried(attempt, too_fast(f"the permission to scale {cluster}"))
