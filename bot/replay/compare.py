"""Compares recorded exchanges with simulated ones. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Any

from bot.replay.facts import Facts, PathFacts
from simulators.cloud.delays import range_of

Json = dict[str, Any]
# A duration is another one beyond this factor and this many seconds: looks are seconds apart.
FACTOR = 3.0
LEEWAY = 10.0


class DifferenceKind(StrEnum):
    """What is different, in the order in which it is listed."""

    STATUS = "other status"
    NO_ANSWER = "answered only by one"
    ORDER_OF_STATES = "other order of states"
    TYPE = "other type"
    VALUE = "value unknown to us"
    OUR_VALUE = "value only our world gives"
    MISSING = "field missing"
    UNKNOWN = "field unknown to us"
    SOMETIMES = "field not always there"
    DURATION = "other duration"
    PAGES = "other pages"
    ORDER = "other order in a list"
    HEADER = "header missing in our world"
    OUR_HEADER = "header only our world sends"
    NOTHING = "nothing to compare with"


@dataclass(frozen=True)
class Difference:
    """One difference. `where`: request and status; `what`: the field or state; `count`: how often.

    The key is the same for the same difference in another recording.
    """

    kind: DifferenceKind
    where: str
    what: str
    said: str
    count: int = 1

    @property
    def key(self) -> str:
        """The name under which it can be marked as known."""
        return f"{self.where}: {self.what}: {self.kind.value}"


# Of published examples, only these can be compared; of parts, not what they have not.
OF_EXAMPLES = frozenset(
    {
        DifferenceKind.STATUS,
        DifferenceKind.TYPE,
        DifferenceKind.VALUE,
        DifferenceKind.UNKNOWN,
        DifferenceKind.MISSING,
        DifferenceKind.NOTHING,
    }
)
OF_PARTS = OF_EXAMPLES - {DifferenceKind.MISSING}


def compare(pairs: Iterable[tuple[Json, Json]], published: str = "") -> list[Difference]:
    """Return the differences between recorded and simulated exchanges, what decides first.

    `published`: of what published material the recording is made ("examples", "parts", "").
    """
    kinds = list(DifferenceKind)
    known = {"examples": OF_EXAMPLES, "parts": OF_PARTS}.get(published, frozenset(kinds))
    found = [d for d in _compare(pairs) if d.kind in known]
    return sorted(found, key=lambda d: (kinds.index(d.kind), d.where, d.what))


def _compare(pairs: Iterable[tuple[Json, Json]]) -> Iterator[Difference]:
    recorded, simulated = Facts(), Facts()
    statuses: Counter[tuple[str, str, str]] = Counter()
    for real, ours in pairs:
        one, other = _outcome(real), _outcome(ours)
        if one != other:
            statuses[real["ask"], one, other] += 1
            # Pages are states of hosts; of other requests, the answers cannot be compared.
            if real["party"] != "http":
                continue
        recorded.add(real)
        simulated.add(ours)
    yield from _statuses(statuses)
    yield from _fields(recorded, simulated)
    yield from _headers(recorded, simulated)
    yield from _changes(recorded, simulated)
    yield from _durations(recorded, simulated)
    yield from _pages(recorded, simulated)
    yield from _orders(recorded, simulated)


def _outcome(line: Json) -> str:
    return "no answer" if line.get("lost") else str(line.get("status", 0))


def _statuses(statuses: Counter[tuple[str, str, str]]) -> Iterator[Difference]:
    for (ask, one, other), count in statuses.items():
        kind = DifferenceKind.STATUS
        if "no answer" in (one, other):
            kind = DifferenceKind.NO_ANSWER
        said = f"recorded {one}, our world {other}"
        yield Difference(kind, ask, f"{one} and {other}", said, count)


def _fields(recorded: Facts, simulated: Facts) -> Iterator[Difference]:
    """Yield the differences in fields; below a field that only one has, there are no others."""
    one_sided: list[tuple[str, str]] = []
    for difference in _all_fields(recorded, simulated):
        if any(
            difference.where == where and difference.what.startswith((f"{path}.", f"{path}["))
            for where, path in one_sided
        ):
            continue
        if difference.kind in (DifferenceKind.UNKNOWN, DifferenceKind.MISSING):
            one_sided.append((difference.where, difference.what))
        yield difference


def _all_fields(recorded: Facts, simulated: Facts) -> Iterator[Difference]:
    empty: set[tuple[str, str]] = set()
    for (where, path), real in sorted(recorded.fields.items()):
        ours = simulated.fields.get((where, path), PathFacts())
        if any(w == where and path.startswith(f"{p}[]") for w, p in empty):
            continue
        if real.items and not ours.items and "array" in ours.types:
            empty.add((where, path))
            said = "the list is empty in our world"
            yield Difference(DifferenceKind.NOTHING, where, path, said, real.items)
            continue
        if ours.items and not real.items and real.types:
            empty.add((where, path))
            continue
        yield from _field(where, path, real, ours)
    for (where, path), ours in sorted(simulated.fields.items()):
        if (where, path) in recorded.fields or any(
            w == where and path.startswith(f"{p}[]") for w, p in empty
        ):
            continue
        parent = path.rpartition(".")[0]
        if ours.present and recorded.fields.get((where, parent), PathFacts()).types:
            said = "our world has it, the recording does not"
            yield Difference(DifferenceKind.MISSING, where, path, said, ours.present)


def _field(where: str, path: str, real: PathFacts, ours: PathFacts) -> Iterator[Difference]:
    if real.present and not ours.present:
        if ours.objects or path.startswith("line ") or not ours.types:
            said = "the recording has it, our world does not"
            yield Difference(DifferenceKind.UNKNOWN, where, path, said, real.present)
        return
    if ours.present and not real.present:
        if real.objects:
            said = "our world has it, the recording does not"
            yield Difference(DifferenceKind.MISSING, where, path, said, ours.present)
        return
    always, ours_always = _always(real), _always(ours)
    if always is not None and ours_always is not None and always != ours_always:
        said = f"recorded {_share(real)}, our world {_share(ours)}"
        yield Difference(DifferenceKind.SOMETIMES, where, path, said, real.present)
    one, other = _types(real, ours)
    if (one - other) or (other - one - {"null"}):
        said = f"recorded {_list(one)}, our world {_list(other)}"
        yield Difference(DifferenceKind.TYPE, where, path, said, real.present or 1)
    for value in sorted(real.values.keys() - ours.values.keys()):
        said = f"recorded {value}, our world {_list(ours.values)}"
        yield Difference(DifferenceKind.VALUE, where, f"{path} = {value}", said, real.values[value])
    for value in sorted(ours.values.keys() - real.values.keys()):
        said = f"recorded {_list(real.values)}, our world {value}"
        yield Difference(
            DifferenceKind.OUR_VALUE, where, f"{path} = {value}", said, ours.values[value]
        )


def _always(facts: PathFacts) -> bool | None:
    return facts.present == facts.objects if facts.objects and facts.present else None


def _share(facts: PathFacts) -> str:
    return f"in {facts.present} of {facts.objects}"


def _types(real: PathFacts, ours: PathFacts) -> tuple[set[str], set[str]]:
    """Return both sides' types; a number is one, with a fraction or without."""
    one, other = set(real.types), set(ours.types)
    if "number" in one | other:
        one, other = ({"number" if t == "integer" else t for t in side} for side in (one, other))
    return one, other


def _list(values: Iterable[str]) -> str:
    return " or ".join(sorted(values)) or "none"


def _headers(recorded: Facts, simulated: Facts) -> Iterator[Difference]:
    with_headers = {where for where, _ in recorded.headers}
    for (where, name), types in sorted(recorded.headers.items()):
        ours = simulated.headers.get((where, name))
        if ours is None:
            yield Difference(DifferenceKind.HEADER, where, name, "recorded", types.total())
        elif set(types) - set(ours):
            said = f"recorded {_list(types)}, our world {_list(ours)}"
            yield Difference(DifferenceKind.TYPE, where, f"header {name}", said, types.total())
        elif types.total() == recorded.answers[where] and ours.total() < simulated.answers[where]:
            said = f"our world sends it in {ours.total()} of {simulated.answers[where]}"
            yield Difference(DifferenceKind.HEADER, where, name, said, types.total())
    for (where, name), types in sorted(simulated.headers.items()):
        if where in with_headers and (where, name) not in recorded.headers:
            said = "not recorded"
            yield Difference(DifferenceKind.OUR_HEADER, where, name, said, types.total())


def _changes(recorded: Facts, simulated: Facts) -> Iterator[Difference]:
    """A change of state is known when ours comes from one to the other, perhaps over a third."""
    for state in sorted(recorded.changes.keys() | simulated.changes.keys()):
        real, ours = recorded.changes.get(state, Counter()), simulated.changes.get(state, Counter())
        for (before, after), count in sorted(real.items()):
            if not _reaches(ours, before, after):
                said = f"recorded {before} → {after}, never in our world"
                yield Difference(
                    DifferenceKind.ORDER_OF_STATES, state, f"{before} → {after}", said, count
                )
        for (before, after), count in sorted(ours.items()):
            if not _reaches(real, before, after):
                said = f"our world {before} → {after}, never recorded"
                yield Difference(
                    DifferenceKind.ORDER_OF_STATES, state, f"{before} → {after} (ours)", said, count
                )


def _reaches(changes: Counter[tuple[str, str]], before: str, after: str) -> bool:
    reached, edge = {before}, {before}
    while edge:
        edge = {b for a, b in changes if a in edge} - reached
        reached |= edge
        if after in edge:
            return True
    return False


def _durations(recorded: Facts, simulated: Facts) -> Iterator[Difference]:
    for what, times in sorted(recorded.durations.items()):
        took = median(times.values())
        ours = simulated.durations.get(what)
        known = range_of(what)
        here = f"our world {median(ours.values()):.0f} s" if ours else "not finished in our world"
        if known is not None:
            here += f" (delays: {known[0]:.0f}-{known[1]:.0f} s)"
        said = f"recorded {took:.0f} s, {here}"
        if not _same_duration(took, median(ours.values()) if ours else None, known):
            yield Difference(DifferenceKind.DURATION, what, "duration", said, len(times))
    for what, ours in sorted(simulated.durations.items()):
        if what not in recorded.durations:
            said = f"our world {median(ours.values()):.0f} s, not finished in the recording"
            yield Difference(DifferenceKind.DURATION, what, "duration", said, len(ours))


def _same_duration(took: float, ours: float | None, known: tuple[float, float] | None) -> bool:
    """Whether a duration is that of our world, and within the range of its delays."""
    if ours is None or not _near(took, ours, ours):
        return False
    return known is None or _near(took, *known)


def _near(took: float, low: float, high: float) -> bool:
    return low / FACTOR - LEEWAY <= took <= high * FACTOR + LEEWAY


def _pages(recorded: Facts, simulated: Facts) -> Iterator[Difference]:
    for (ask, law), real in sorted(recorded.pages.items()):
        ours = simulated.pages.get((ask, law))
        if ours is not None and real != ours:
            said = f"recorded {_truth(real)}, our world {_truth(ours)}"
            yield Difference(DifferenceKind.PAGES, ask, law, said)


def _truth(seen: set[bool]) -> str:
    return "at times" if len(seen) > 1 else "yes" if True in seen else "no"


def _orders(recorded: Facts, simulated: Facts) -> Iterator[Difference]:
    for (where, path), real in sorted(recorded.orders.items()):
        ours = simulated.orders.get((where, path))
        if ours is not None and real != ours:
            said = f"recorded {_list(real)}, our world {_list(ours)}"
            yield Difference(DifferenceKind.ORDER, where, path, said)
