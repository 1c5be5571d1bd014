"""Verifies an audit: the chain, the heads anchored elsewhere, and the journals of ended runs."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.audit.chain import AuditChain
from services.audit.entries import (
    AuditAction,
    Entry,
    Flaw,
    Head,
    find_flaws,
    journal_digest,
    read_entry,
)
from services.store import Store
from services.store.keys import run_log_key

TRIES = 10


@dataclass(frozen=True)
class Verification:
    """The result: the number of entries, the head, and everything that is wrong."""

    cluster: str
    entries: int
    head: Head | None
    flaws: tuple[Flaw, ...]


async def verify(
    store: Store, chain: AuditChain, cluster: str, posted: Iterable[Head] = ()
) -> Verification:
    """Verify a whole audit, also while a bot is writing to it."""
    texts, head, start = await _read(chain, cluster)
    problems = find_flaws(cluster, texts, head, posted, start)
    entries = [e for e in map(read_entry, texts) if e is not None]
    removed = {run for e in entries if e.what == AuditAction.FORGOTTEN for run in e.about.split()}
    for entry in entries:
        if entry.what != AuditAction.ENDED or not entry.proof:
            continue
        journal = await store.read(run_log_key(entry.about))
        if not journal and entry.about in removed:
            continue
        if journal_digest(journal) != entry.proof:
            problems.append(_journal_flaw(entry, is_empty=not journal))
    return Verification(cluster, len(texts), head, tuple(sorted(problems, key=lambda f: f.number)))


def _journal_flaw(entry: Entry, *, is_empty: bool) -> Flaw:
    state = "was changed since"
    if is_empty:
        state = "is missing"
    return Flaw(entry.number, f"records the end of {entry.about}, whose journal {state}")


async def _read(chain: AuditChain, cluster: str) -> tuple[list[str], Head | None, Head | None]:
    """Return entries, head and checkpoint as of one moment."""
    for _ in range(TRIES):
        head, start = await chain.head(cluster), await chain.checkpoint(cluster)
        texts = await chain.texts(cluster)
        if await chain.head(cluster) == head:
            return texts, head, start
    # Written all the time: entries after the head that was read are left for the next check.
    covered = _number(head) - _number(start)
    return texts[: max(0, covered)], head, start


def _number(head: Head | None) -> int:
    if head is None:
        return 0
    return head.number or 0
