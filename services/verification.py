"""Checks a cluster's audit as it lies in the state store: the chain, the heads kept elsewhere, and the journals of runs that have ended."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.audit import Flaw, Head, What, flaws, journal_digest, read_entry
from services.chain import Chain
from services.journal import log_of
from services.store import Store

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
    texts, head = await _read(chain, cluster)
    found = flaws(cluster, texts, head, posted)
    for text in texts:
        entry = read_entry(text)
        if entry is None or entry.what != What.ENDED or not entry.proof:
            continue
        journal = await store.read(log_of(entry.about))
        if journal_digest(journal) != entry.proof:
            gone = "is gone" if not journal else "is not the one that it ended with: it was changed since"
            found.append(Flaw(entry.number, f"tells of the end of {entry.about}, whose journal {gone}"))
    return Finding(cluster, len(texts), head, tuple(sorted(found, key=lambda f: f.number)))


async def _read(chain: Chain, cluster: str) -> tuple[list[str], Head | None]:
    """Chain and head of one moment."""
    for _ in range(TRIES):
        head = await chain.head(cluster)
        texts = await chain.texts(cluster)
        if await chain.head(cluster) == head:
            break
    else:
        texts = texts[: (head.number or 0) if head else 0]  # others decide all the time: what they add meanwhile is left for the next check
    return texts, head
