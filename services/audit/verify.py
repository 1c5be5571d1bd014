"""Checks a cluster's audit as it lies in the state store: the chain, the heads kept elsewhere, and the journals of runs that have ended."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.audit.chain import Chain
from services.audit.entries import Flaw, Head, What, flaws, journal_digest, read_entry
from services.store import Store
from services.store.keys import run_log_key

TRIES = 10


@dataclass(frozen=True)
class Finding:
    """What is so: how many decisions there are, the head, and everything that is wrong."""

    cluster: str
    entries: int
    head: Head | None
    flaws: tuple[Flaw, ...]


async def verify(store: Store, chain: Chain, cluster: str, posted: Iterable[Head] = ()) -> Finding:
    """Read all of it, while a bot may be at work on it, and say what is wrong."""
    texts, head, start = await _read(chain, cluster)
    found = flaws(cluster, texts, head, posted, start)
    entries = [e for e in map(read_entry, texts) if e is not None]
    removed = {run for e in entries if e.what == What.FORGOTTEN for run in e.about.split()}
    for entry in entries:
        if entry.what != What.ENDED or not entry.proof:
            continue
        journal = await store.read(run_log_key(entry.about))
        if not journal and entry.about in removed:
            continue
        if journal_digest(journal) != entry.proof:
            gone = (
                "is gone"
                if not journal
                else "is not the one that it ended with: it was changed since"
            )
            found.append(
                Flaw(entry.number, f"tells of the end of {entry.about}, whose journal {gone}")
            )
    return Finding(cluster, len(texts), head, tuple(sorted(found, key=lambda f: f.number)))


async def _read(chain: Chain, cluster: str) -> tuple[list[str], Head | None, Head | None]:
    """Chain and head of one moment."""
    for _ in range(TRIES):
        head, start = await chain.head(cluster), await chain.checkpoint(cluster)
        texts = await chain.texts(cluster)
        if await chain.head(cluster) == head:
            break
    else:
        first = (start.number or 0) if start else 0
        # Others decide all the time: what they add meanwhile is left for the next check.
        texts = texts[: max(0, (head.number or 0) - first) if head else 0]
    return texts, head, start
