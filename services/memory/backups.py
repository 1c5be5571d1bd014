"""What is kept of each cluster's backups, in one document per cluster."""

from collections.abc import Callable
from functools import lru_cache

from services.access.policy import Actor
from services.audit.chain import AuditChain
from services.audit.entries import AuditAction, AuditRecord
from services.cluster.backup_notes import (
    NO_NOTES,
    BackupNotes,
    BackupSchedule,
    CountsNoted,
    DrillResult,
)
from services.common.errors import BadRecord, Superseded
from services.common.serialize import Classes, read, write
from services.memory.schedule import NO_FENCE, Fence
from services.store import Commit, Store
from services.store.edit import retried, too_fast
from services.store.keys import backups_key

CLASSES: Classes = {k.__name__: k for k in (BackupNotes, BackupSchedule, CountsNoted, DrillResult)}


@lru_cache(maxsize=512)  # the same text is read at every look
def read_notes(text: str | None) -> BackupNotes:
    """Return the notes in a stored text."""
    if text is None:
        return NO_NOTES
    notes = read(text, CLASSES, "what is kept of the backups")
    if not isinstance(notes, BackupNotes):
        raise BadRecord("what is kept of the backups cannot be read: it is damaged")
    return notes


class BackupNotesRepository:
    """The documents of all clusters."""

    def __init__(self, store: Store, chain: AuditChain) -> None:
        self._store = store
        self._chain = chain

    async def read(self, cluster: str) -> BackupNotes:
        """Return what is kept of a cluster's backups."""
        return (await self.stored(cluster))[1]

    async def stored(self, cluster: str) -> tuple[str | None, BackupNotes]:
        """Return the stored text, to check against, and what it says."""
        (text,) = await self._store.get(backups_key(cluster))
        return text, read_notes(text)

    async def edit(
        self,
        cluster: str,
        change: Callable[[BackupNotes], BackupNotes],
        fence: Fence = NO_FENCE,
        by: Actor | None = None,
        about: tuple[str, str, str] | None = None,
    ) -> BackupNotes:
        """Change it; repeated on a concurrent write.

        `fence`: what must still be stored elsewhere, such as a lease; Superseded if it is not.
        `about`: of a decision, for the audit: about what, the new state, and why.
        """
        key = backups_key(cluster)

        async def attempt() -> BackupNotes | None:
            (text,) = await self._store.get(key)
            before = read_notes(text)
            after = change(before)
            if after == before and text is not None:
                return before
            commit = Commit(checks={key: text, **fence}, puts={key: write(after, CLASSES, text)})
            if await self._chain.commit(commit, cluster, *_decisions(about, by)):
                return after
            if fence and await self._store.get(*fence) != list(fence.values()):
                raise Superseded(f"the backups of {cluster} are now noted by another bot process")
            return None

        return await retried(attempt, too_fast(f"what is kept of the backups of {cluster}"))


def _decisions(about: tuple[str, str, str] | None, by: Actor | None) -> tuple[AuditRecord, ...]:
    if about is None:
        return ()
    what, now, why = about
    return (AuditRecord(AuditAction.BACKUPS, by, what, why, "", now),)


def write_notes(notes: BackupNotes, over: str | None) -> str:
    """Return the text of the notes. `over`: the replaced text, whose unknown fields it keeps."""
    return write(notes, CLASSES, over)
