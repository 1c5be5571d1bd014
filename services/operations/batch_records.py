"""Batches in the state store: each change is one commit, with the audit of every cluster in it."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from services.audit.chain import AuditChain
from services.audit.entries import AuditRecord
from services.common.errors import BadRecord, Refused
from services.common.serialize import read_json
from services.runs.audit_entries import of_request
from services.runs.batch import Batch, from_text, to_text
from services.runs.journal import to_text as request_text
from services.runs.request import Request
from services.store import Commit, Store
from services.store.edit import edit, retried, too_fast
from services.store.keys import BATCH_CARDS, BATCHES, batch_key, request_key

LIST = "the list of batches"
Changed = tuple[Request, Request]
"""A request as it was read, and as it is written."""


class BatchRecords:
    """Reads and writes batches. `tell`: takes every new state of one."""

    def __init__(self, store: Store, chain: AuditChain, tell: Callable[[Batch], None]) -> None:
        self._store = store
        self._chain = chain
        self.tell = tell

    async def get(self, name: str) -> Batch:
        """One batch. Refused when there is none of that id."""
        (text,) = await self._store.get(batch_key(name))
        if text is None:
            raise Refused(
                "this request no longer exists; request the change again with the command"
            )
        return from_text(text, name)

    async def unfinished_ids(self) -> list[str]:
        """The ids of those that are not over."""
        (text,) = await self._store.get(BATCHES)
        return [str(name) for name in read_json(text, [], LIST)]

    async def unfinished(self) -> list[Batch]:
        """Those that are not over and can be read, in the order in which they were requested."""
        batches = []
        for name in await self.unfinished_ids():
            with suppress(Refused, BadRecord):
                batches.append(await self.get(name))
        return batches

    async def file(self, batch: Batch, requests: Sequence[Request]) -> Batch:
        """Store a new batch with the requests of its parts, listed, in one commit."""
        key, text = batch_key(batch.id), to_text(batch)

        async def attempt() -> bool | None:
            checks: dict[str, str | None] = {key: None}
            puts: dict[str, str | None] = {key: text}
            # What drives it and what shows it each have a list; it is in both or in neither.
            lists = (BATCHES, BATCH_CARDS)
            for one, listed in zip(lists, await self._store.get(*lists), strict=True):
                checks[one] = listed
                puts[one] = json.dumps([*read_json(listed, [], LIST), batch.id])
            deeds: dict[str, list[AuditRecord]] = {}
            for request in requests:
                puts[request_key(request.id)] = request_text(request)
                deeds[request.plan.cluster] = [of_request(None, request)]
            return await self._chain.commit_each(Commit(checks, puts), deeds) or None

        await retried(attempt, too_fast(LIST))
        filed = replace(batch, text=text)
        self.tell(filed)
        return filed

    async def change(self, before: Batch, after: Batch, requests: Sequence[Changed] = ()) -> bool:
        """Replace a batch as it was read, and requests of its parts. False: it has changed."""
        commit, text = commit_of(before, after)
        checks, puts = dict(commit.checks), dict(commit.puts)
        deeds: dict[str, list[AuditRecord]] = {}
        for old, new in requests:
            key = request_key(old.id)
            checks[key], puts[key] = old.text, request_text(new, old.text)
            deeds.setdefault(new.plan.cluster, []).append(of_request(old, new))
        if not await self._chain.commit_each(Commit(checks, puts), deeds):
            return False
        await self.changed(replace(after, text=text))
        return True

    async def changed(self, batch: Batch) -> None:
        """Unlist a batch that is over, and pass its state on."""
        if batch.over:
            await self.unlist(batch.id)
        self.tell(batch)

    async def unlist(self, name: str) -> None:
        """Take a batch that is over, or was removed, from the list."""

        def without(text: str | None) -> str | None:
            names = read_json(text, [], LIST)
            if name not in names:
                return text
            return json.dumps([n for n in names if n != name]) if len(names) > 1 else None

        await edit(self._store, BATCHES, without, LIST)


def commit_of(before: Batch, after: Batch) -> tuple[Commit, str]:
    """The commit that replaces a batch as it was read, and the text that it writes."""
    key, text = batch_key(before.id), to_text(after)
    checks: Mapping[str, str | None] = {key: before.text}
    return Commit(checks, {key: text}), text
