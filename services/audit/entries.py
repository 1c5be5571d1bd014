"""Audit entries: a hash chain of decisions that shows every changed, removed or moved entry. Pure.

An entry contains the hash of the one before it, and its own hash covers all of it. Someone with
write access to the store can rewrite the whole chain; heads anchored elsewhere before that then no
longer match.
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum

from services.access.policy import Actor

# Hex digits of a hash in a message.
SHORTEST = 16


class AuditAction(StrEnum):
    """The kinds of decisions. Stored: values stay; `action_text` is what people read."""

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
    BACKUPS = "backups changed"
    WASTE = "unused resource kept"
    SCALING = "scaling permission changed"
    PULL_REQUEST = "pull request requested"
    CLOSING = "closing confirmed"
    WAITS = "answer needed"
    SETTLED = "settled without an answer"
    ENDS_MEETINGS = "meetings ended"
    MISSED = "time missed"
    SERVICE = "service observed"
    POLICY = "policy changed"
    LOGS_READ = "logs read"
    EXPORTED = "timeline exported"
    FORGOTTEN = "old runs removed"
    SHORTENED = "audit shortened"


# What people read where the stored value is not in today's words.
TEXTS = {
    AuditAction.ASKED: "requested",
    AuditAction.GLASS: "break-glass requested",
    AuditAction.CANCELLED: "cancel requested",
    AuditAction.VOTED: "voted",
}


def action_text(what: str) -> str:
    """Return the kind of a decision as people read it. `what`: as stored."""
    return {str(action): text for action, text in TEXTS.items()}.get(what, what)


@dataclass(frozen=True)
class AuditRecord:
    """A decision before it is linked into the chain.

    `by` None: no person's; it followed from the time or from what was seen. `proof`: the digest of
    what the entry vouches for: a plan, or at a run's end its whole journal.
    """

    what: AuditAction
    by: Actor | None
    about: str
    reason: str = ""
    before: str = ""
    after: str = ""
    proof: str = ""


@dataclass(frozen=True)
class Entry:
    """A decision in the chain. `at` in epoch seconds; numbers start at 1."""

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
        """Return it as it is stored; equal entries give equal texts."""
        return _canonical(asdict(self))

    @property
    def expected_hash(self) -> str:
        """Return the hash that an entry with this content must have."""
        content = asdict(self)
        content.pop("hash")
        return _sha(_canonical(content))

    @property
    def head(self) -> "Head":
        return Head(self.hash, self.number, self.cluster)


@dataclass(frozen=True)
class Head:
    """The newest entry of a chain, by which a rewritten chain can be recognized later.

    `hash` may be shortened.
    """

    hash: str
    number: int | None = None
    cluster: str = ""

    @property
    def text(self) -> str:
        return f"{self.number}:{self.hash}"

    @property
    def short(self) -> str:
        """Return `42:3f9c2a…`, enough to verify a chain by."""
        return f"{self.number}:{self.hash[:SHORTEST]}"

    def matches(self, entry: Entry) -> bool:
        """Return whether it is the head of a chain that ends with that entry."""
        return entry.hash.startswith(self.hash) and self.number in (None, entry.number)


@dataclass(frozen=True)
class Flaw:
    """A problem of a chain, and the number of the entry."""

    number: int
    problem: str


def first_previous_hash(cluster: str) -> str:
    """Return what the first entry of a cluster's chain has as its previous hash."""
    return _sha(f"openvidu-bot audit of {cluster}")


def link(cluster: str, head: Head | None, deed: AuditRecord, at: float) -> Entry:
    """Return the entry that records a decision after `head`."""
    by = deed.by or Actor("")
    number, previous = 1, first_previous_hash(cluster)
    if head is not None:
        number, previous = (head.number or 0) + 1, head.hash
    entry = Entry(
        number=number,
        at=at,
        cluster=cluster,
        what=str(deed.what),
        user=by.user,
        team=by.team,
        enterprise=by.enterprise,
        about=deed.about,
        reason=deed.reason,
        before=deed.before,
        after=deed.after,
        proof=deed.proof,
        previous=previous,
    )
    return replace(entry, hash=entry.expected_hash)


def read_head(text: str | None, cluster: str = "") -> Head | None:
    """Return the head in stored text; None for no text."""
    if text is None:
        return None
    number, _, digest = text.partition(":")
    return Head(digest, int(number), cluster)


def read_entry(text: str) -> Entry | None:
    """Return the entry in stored text; None if it is not one."""
    try:
        raw = json.loads(text)
        if not isinstance(raw, dict) or set(raw) != {f.name for f in fields(Entry)}:
            return None
        entry = Entry(**raw)
    except (ValueError, TypeError):
        return None
    if not isinstance(entry.number, int):
        return None
    if not isinstance(entry.hash, str) or not isinstance(entry.previous, str):
        return None
    return entry


def journal_digest(entries: Iterable[str]) -> str:
    """Return the digest of a run's whole journal as stored."""
    return _sha("\n".join(entries))


# Verification


def find_flaws(
    cluster: str,
    texts: Sequence[str],
    head: Head | None,
    posted: Iterable[Head] = (),
    start: Head | None = None,
) -> list[Flaw]:
    """Return everything that is wrong with a chain, by entry.

    `head`: the store's own; `posted`: heads anchored elsewhere. `start`: the checkpoint that a
    shortened chain starts from, for which an entry of the chain itself must vouch.
    """
    first = _number(start)
    entries_read = [read_entry(t) for t in texts]
    problems = [
        Flaw(place, "cannot be read: it was changed")
        for place, entry in enumerate(entries_read, first + 1)
        if entry is None
    ]
    entries = [(e, t) for e, t in zip(entries_read, texts, strict=True) if e is not None]
    problems += [Flaw(e.number, why) for e, t in entries if (why := _changed(e, t, cluster))]
    spoilt = {f.number for f in problems}
    problems += _order([e.number for e, _ in entries])
    by_number = {e.number: e for e, _ in entries}
    problems += _gaps(by_number, spoilt, head, first)
    problems += _links(by_number, spoilt, start or Head(first_previous_hash(cluster), 0))
    problems += _head(by_number, head)
    problems += _vouched(by_number, start)
    for anchored in posted:
        problems += _posted(by_number, anchored, start)
    return sorted(dict.fromkeys(problems), key=lambda f: f.number)


def _number(head: Head | None) -> int:
    """Return a head's number; 0 for none, and for a head that is a hash alone."""
    if head is None:
        return 0
    return head.number or 0


def _changed(entry: Entry, text: str, cluster: str) -> str:
    if entry.hash != entry.expected_hash or entry.text != text:
        return "was changed: its content does not match its hash"
    if entry.cluster != cluster:
        return f"belongs to the audit of {entry.cluster}"
    return ""


def _order(numbers: list[int]) -> list[Flaw]:
    """Return the fewest entries that would have to be moved, and duplicates.

    All others form a longest increasing subsequence, found by patience sorting.
    """
    tails: list[int] = []
    length_at: list[int] = []
    for number in numbers:
        place = bisect_left(tails, number)
        tails[place : place + 1] = [number]
        length_at.append(place)
    wanted = len(tails) - 1
    in_order: set[int] = set()
    for index in range(len(numbers) - 1, -1, -1):
        if length_at[index] == wanted:
            in_order.add(index)
            wanted -= 1
    return [
        _misplaced(number, numbers) for index, number in enumerate(numbers) if index not in in_order
    ]


def _misplaced(number: int, numbers: list[int]) -> Flaw:
    if numbers.count(number) > 1:
        return Flaw(number, "is there twice")
    return Flaw(number, "is in the wrong place: it was moved")


def _gaps(
    entries: Mapping[int, Entry], spoilt: set[int], head: Head | None, first: int
) -> list[Flaw]:
    last = max([*entries, *spoilt, _number(head)], default=0)
    missing = [n for n in range(first + 1, last + 1) if n not in entries and n not in spoilt]
    return [Flaw(n, "is missing: it was removed") for n in missing]


def _links(entries: Mapping[int, Entry], spoilt: set[int], start: Head) -> list[Flaw]:
    problems, first = [], _number(start) + 1
    for number, entry in entries.items():
        earlier = entries.get(number - 1)
        if number == first:
            expected = start.hash
        elif earlier is not None:
            expected = earlier.hash
        else:
            continue
        if entry.previous != expected and not {number, number - 1} & spoilt:
            # Each is consistent in itself, so one was replaced: the earlier one, if there is one.
            replaced = max(first, number - 1)
            problems.append(Flaw(replaced, f"was replaced: entry {number} follows another one"))
    return problems


def _head(entries: Mapping[int, Entry], head: Head | None) -> list[Flaw]:
    last = max(entries, default=0)
    if head is None:
        if not entries:
            return []
        return [Flaw(last, "is the last entry, and the chain's head is missing")]
    number = _number(head)
    problems = [
        Flaw(n, "is not covered by the chain's head: it was added after it")
        for n in sorted(entries)
        if n > number
    ]
    newest = entries.get(number)
    if newest is not None and not head.matches(newest):
        problems.append(
            Flaw(newest.number, "is not the one that the chain's head names: it was replaced")
        )
    return problems


def _vouched(entries: Mapping[int, Entry], start: Head | None) -> list[Flaw]:
    """Check that the newest decision to shorten the chain names this checkpoint.

    Someone who cuts the chain and writes a checkpoint has no such decision.
    """
    if start is None:
        return []
    shortened = [e for e in entries.values() if e.what == AuditAction.SHORTENED]
    newest = max(shortened, key=lambda e: e.number, default=None)
    if newest is not None and newest.proof == start.text:
        return []
    return [
        Flaw(
            _number(start),
            "is where the chain continues, but no decision records that it was shortened to there",
        )
    ]


def _posted(entries: Mapping[int, Entry], anchored: Head, start: Head | None) -> list[Flaw]:
    """Check the chain against one head that was anchored elsewhere."""
    number = anchored.number
    if start is not None:
        if number is None or number < _number(start):
            return []  # of an entry that was removed since
        if number == start.number:
            return _posted_start(anchored, start)
    if number is None:
        if any(anchored.matches(e) for e in entries.values()):
            return []
        return [
            Flaw(
                0,
                f"no entry has the hash {anchored.hash}: "
                "the chain was rewritten or shortened since it was noted",
            )
        ]
    entry = entries.get(number)
    if entry is None:
        last = max(entries, default=0)
        return [
            Flaw(
                number,
                "is missing although its head was posted: "
                f"the chain was shortened and ends with entry {last}",
            )
        ]
    if anchored.matches(entry):
        return []
    return [
        Flaw(
            number,
            f"is not the one whose head {anchored.hash[:SHORTEST]} was posted: "
            "the chain was rewritten",
        )
    ]


def _posted_start(anchored: Head, start: Head) -> list[Flaw]:
    if start.hash.startswith(anchored.hash):
        return []
    return [
        Flaw(
            _number(anchored),
            f"is not the one whose head {anchored.hash[:SHORTEST]} was posted: it was rewritten",
        )
    ]


def _canonical(content: Mapping[str, object]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
