"""What is kept of what each cluster pays for without use, in one document per cluster."""

from collections.abc import Callable
from functools import lru_cache

from services.access.policy import Actor
from services.audit.chain import AuditChain
from services.audit.entries import AuditAction, AuditRecord
from services.cluster.leftovers import NO_WASTE, KeptThing, WasteNotes
from services.common.errors import BadRecord
from services.common.serialize import Classes, read, write
from services.store import Commit, Store
from services.store.edit import retried, too_fast
from services.store.keys import waste_key

CLASSES: Classes = {k.__name__: k for k in (WasteNotes, KeptThing)}


@lru_cache(maxsize=512)  # the same text is read at every look
def read_waste(text: str | None) -> WasteNotes:
    """Return the notes in a stored text."""
    if text is None:
        return NO_WASTE
    notes = read(text, CLASSES, "what is kept of unused resources")
    if not isinstance(notes, WasteNotes):
        raise BadRecord("what is kept of unused resources cannot be read: it is damaged")
    return notes


class WasteNotesRepository:
    """The documents of all clusters."""

    def __init__(self, store: Store, chain: AuditChain) -> None:
        self._store = store
        self._chain = chain

    async def edit(
        self,
        cluster: str,
        change: Callable[[WasteNotes], WasteNotes],
        by: Actor | None = None,
        about: tuple[str, str] | None = None,
    ) -> WasteNotes:
        """Change it; repeated on a concurrent write.

        `about`: of a decision, for the audit: about what, and the new state.
        """
        key = waste_key(cluster)
        records: tuple[AuditRecord, ...] = ()
        if about is not None:
            records = (AuditRecord(AuditAction.WASTE, by, about[0], "", "", about[1]),)

        async def attempt() -> WasteNotes | None:
            (text,) = await self._store.get(key)
            before = read_waste(text)
            after = change(before)
            if after == before:
                return before
            commit = Commit(checks={key: text}, puts={key: write(after, CLASSES, text)})
            if await self._chain.commit(commit, cluster, *records):
                return after
            return None

        return await retried(attempt, too_fast(f"what is kept of unused resources of {cluster}"))
