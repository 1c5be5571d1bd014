"""The audit: every decision as one entry of a chain, so that a changed, removed or moved entry is found and named. Pure.

An entry holds the hash of the one before it, and its own hash is over all that it holds. Whoever can write to the store can write the
whole chain anew; its head, posted elsewhere in time, then no longer fits.
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

from services.access.policy import Actor

SHORTEST = 16  # hex digits of a hash that is said in a message


class What(StrEnum):
    """What can be decided, in the words that people read."""

    ASKED = "asked for"
    APPROVED = "approved"
    EASED = "needs no approval"
    STARTED = "started"
    DELAYED = "delayed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    GLASS = "break-glass asked for"
    GLASS_CONFIRMED = "break-glass confirmed"
    OPENED = "run opened"
    CANCELLED = "cancel asked for"
    RESUMED = "resumed"
    VOTED = "answer wanted"
    ANSWERED = "answered"
    ENDED = "run ended"
    HELD = "put on hold"
    UNHELD = "hold ended"
    KEPT = "kept up"
    WINDOW_ADDED = "window added"
    WINDOW_CHANGED = "window changed"
    WINDOW_REMOVED = "window removed"
    SKIPPED = "days off added"
    CLOSING = "closing confirmed"
    POLICY = "policy changed"
    FORGOTTEN = "old runs removed"
    SHORTENED = "audit shortened"


@dataclass(frozen=True)
class Deed:
    """One decision, before it has its place in the chain. `by` None: nobody's, it followed from the time or from what was seen.

    `proof`: the digest of what the entry vouches for, a plan or at a run's end its whole journal.
    """

    what: What
    by: Actor | None
    about: str
    reason: str = ""
    before: str = ""
    after: str = ""
    proof: str = ""


@dataclass(frozen=True)
class Entry:
    """One decision in its place. `at` in epoch seconds, numbers from 1."""

    number: int
    at: float
    cluster: str
    what: str
    user: str
    team: str
    enterprise: str
    about: str
    reason: str
    before: str
    after: str
    proof: str
    previous: str
    hash: str = ""

    @property
    def text(self) -> str:
        """As it is stored; equal entries are equal texts."""
        return _canonical(asdict(self))

    @property
    def right(self) -> str:
        """The hash that an entry with these contents has."""
        content = asdict(self)
        content.pop("hash")
        return _sha(_canonical(content))

    @property
    def head(self) -> "Head":
        return Head(self.hash, self.number, self.cluster)


@dataclass(frozen=True)
class Head:
    """The newest entry of a chain: who keeps it can tell later whether the chain was rewritten. `hash` may be shortened."""

    hash: str
    number: int | None = None
    cluster: str = ""

    @property
    def text(self) -> str:
        return f"{self.number}:{self.hash}"

    @property
    def short(self) -> str:
        """`42:3f9c2a…`, enough to be checked against."""
        return f"{self.number}:{self.hash[:SHORTEST]}"

    def fits(self, entry: Entry) -> bool:
        """Whether it is the head of a chain that ends with that entry."""
        return entry.hash.startswith(self.hash) and self.number in (None, entry.number)


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a chain, and with which entry."""

    number: int
    problem: str


def start_of(cluster: str) -> str:
    """What the first entry of a cluster's chain rests on."""
    return _sha(f"openvidu-bot audit of {cluster}")


def link(cluster: str, head: Head | None, deed: Deed, at: float) -> Entry:
    """The next entry."""
    by = deed.by or Actor("")
    number = (head.number or 0) + 1 if head else 1
    previous = head.hash if head else start_of(cluster)
    said = (deed.reason, deed.before, deed.after, deed.proof)
    entry = Entry(
        number,
        at,
        cluster,
        str(deed.what),
        by.user,
        by.team,
        by.enterprise,
        deed.about,
        *said,
        previous,
    )
    return Entry(**(asdict(entry) | {"hash": entry.right}))


def read_head(text: str | None, cluster: str = "") -> Head | None:
    """The head in stored text."""
    if text is None:
        return None
    number, _, found = text.partition(":")
    return Head(found, int(number), cluster)


def read_entry(text: str) -> Entry | None:
    """The entry in stored text; None when it is none."""
    try:
        raw = json.loads(text)
        if not isinstance(raw, dict) or set(raw) != {f.name for f in fields(Entry)}:
            return None
        entry = Entry(**raw)
        return (
            entry
            if isinstance(entry.number, int)
            and all(isinstance(v, str) for v in (entry.hash, entry.previous))
            else None
        )
    except (ValueError, TypeError):
        return None


def journal_digest(entries: Iterable[str]) -> str:
    """Of a run's whole journal, as it is stored."""
    return _sha("\n".join(entries))


# Checking


def flaws(
    cluster: str,
    texts: Sequence[str],
    head: Head | None,
    posted: Iterable[Head] = (),
    start: Head | None = None,
) -> list[Flaw]:
    """Everything that is wrong with a chain, by entry. `head`: the store's own; `posted`: heads that were kept elsewhere.

    `start`: the checkpoint that a shortened chain goes on from; an entry of the chain itself has to vouch for it.
    """
    first = start.number or 0 if start else 0
    read = [read_entry(t) for t in texts]
    found = [
        Flaw(p, "cannot be read: it was changed")
        for p, e in enumerate(read, first + 1)
        if e is None
    ]
    entries = [(e, t) for e, t in zip(read, texts, strict=True) if e is not None]
    found += [Flaw(e.number, why) for e, t in entries if (why := _changed(e, t, cluster))]
    spoilt = {f.number for f in found}
    found += _order([e.number for e, _ in entries])
    by_number = {e.number: e for e, _ in entries}
    found += _gaps(by_number, spoilt, head, first)
    found += _links(by_number, spoilt, Head(start_of(cluster), 0) if start is None else start)
    found += _head(by_number, head)
    found += _vouched(by_number, start)
    for kept in posted:
        found += _posted(by_number, kept, start)
    return sorted(dict.fromkeys(found), key=lambda f: f.number)


def _changed(entry: Entry, text: str, cluster: str) -> str:
    if entry.hash != entry.right or entry.text != text:
        return "was changed: it does not hold what its hash is over"
    return "" if entry.cluster == cluster else f"belongs to the audit of {entry.cluster}"


def _order(numbers: list[int]) -> list[Flaw]:
    """The fewest entries that would have to be moved, and those that stand there twice."""
    tails: list[int] = []
    at: list[int] = []
    for number in numbers:
        place = bisect_left(tails, number)
        tails[place : place + 1] = [number]
        at.append(place)
    wanted = len(tails) - 1
    kept: set[int] = set()
    for index in range(len(numbers) - 1, -1, -1):
        if at[index] == wanted:
            kept.add(index)
            wanted -= 1
    moved = [n for i, n in enumerate(numbers) if i not in kept]
    return [
        Flaw(
            n,
            "stands there twice"
            if numbers.count(n) > 1
            else "stands in the wrong place: it was moved",
        )
        for n in moved
    ]


def _gaps(
    entries: Mapping[int, Entry], spoilt: set[int], head: Head | None, first: int
) -> list[Flaw]:
    last = max([*entries, *spoilt, head.number or 0 if head else 0], default=0)
    gone = [n for n in range(first + 1, last + 1) if n not in entries and n not in spoilt]
    return [Flaw(n, "is missing: it was removed") for n in gone]


def _links(entries: Mapping[int, Entry], spoilt: set[int], start: Head) -> list[Flaw]:
    found, first = [], (start.number or 0) + 1
    for number, entry in entries.items():
        before = entries.get(number - 1)
        rests_on = start.hash if number == first else before.hash if before else None
        if (
            rests_on is not None
            and entry.previous != rests_on
            and not {number, number - 1} & spoilt
        ):
            # Each is whole in itself, so one of them was written anew: the earlier one, unless it is the first.
            found.append(
                Flaw(max(first, number - 1), f"was replaced: entry {number} rests on another one")
            )
    return found


def _head(entries: Mapping[int, Entry], head: Head | None) -> list[Flaw]:
    last = max(entries, default=0)
    if head is None:
        return (
            [Flaw(last, "is the last one there, and the chain's head is gone")] if entries else []
        )
    found = [
        Flaw(n, "is not covered by the chain's head: it was added past it")
        for n in sorted(entries)
        if n > (head.number or 0)
    ]
    there = entries.get(head.number or 0)
    if there is not None and not head.fits(there):
        found.append(
            Flaw(there.number, "is not the one that the chain's head names: it was replaced")
        )
    return found


def _vouched(entries: Mapping[int, Entry], start: Head | None) -> list[Flaw]:
    """Whoever cuts a chain off and writes a checkpoint has no decision in it that says so."""
    if start is None:
        return []
    told = max(
        (e for e in entries.values() if e.what == What.SHORTENED),
        key=lambda e: e.number,
        default=None,
    )
    if told is not None and told.proof == start.text:
        return []
    return [
        Flaw(
            start.number or 0,
            "is where the chain goes on from, and no decision says that it was shortened to there",
        )
    ]


def _posted(entries: Mapping[int, Entry], kept: Head, start: Head | None) -> list[Flaw]:
    if start is not None and (kept.number is None or kept.number < (start.number or 0)):
        return []  # of what was removed nothing can be told any more
    if start is not None and kept.number == start.number:
        fits = start.hash.startswith(kept.hash)
        return (
            []
            if fits
            else [
                Flaw(
                    kept.number or 0,
                    f"is not the one whose head {kept.hash[:SHORTEST]} was posted: it was rewritten",
                )
            ]
        )
    if kept.number is None:
        known = any(kept.fits(e) for e in entries.values())
        return (
            []
            if known
            else [
                Flaw(
                    0,
                    f"no entry has the hash {kept.hash}: the chain was rewritten or cut since it was noted",
                )
            ]
        )
    there = entries.get(kept.number)
    if there is None:
        last = max(entries, default=0)
        return [
            Flaw(
                kept.number,
                f"is missing although its head was posted: the chain was cut, it ends with entry {last}",
            )
        ]
    if kept.fits(there):
        return []
    return [
        Flaw(
            kept.number,
            f"is not the one whose head {kept.hash[:SHORTEST]} was posted: the chain was rewritten",
        )
    ]


def _canonical(content: Mapping[str, object]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
