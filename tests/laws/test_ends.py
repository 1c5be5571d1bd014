"""When the last meeting likely ends: the quantile, and its sentence where little is known."""

from fractions import Fraction
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from services.windows import edges, parse_window
from services.windows.edge import Edge
from services.windows.ends import SHARE, ClosingRecord, likely_end, upper_bound
from tests.procedures.test_windows import at
from tests.support.clusters import law

seconds = st.floats(0, 20_000) | st.just(inf)


@law
@given(st.lists(seconds, min_size=2, max_size=30), st.fractions(Fraction(1, 2), Fraction(19, 20)))
def test_of_any_evenings_each_told_from_the_others_so_many_hold(
    evenings: list[float], share: Fraction
) -> None:
    """A prediction from all closings but one holds for that one as often as claimed."""
    told = [
        (upper_bound([*evenings[:i], *evenings[i + 1 :]], share), found)
        for i, found in enumerate(evenings)
    ]
    if any(said is None for said, _ in told):
        assert all(said is None for said, _ in told), "they are too few, whichever is left out"
        return
    holds = len([1 for said, found in told if said is not None and found <= said])
    assert Fraction(holds, len(evenings)) >= share


@law
@given(st.lists(seconds, max_size=30))
def test_it_is_one_that_was_seen_or_nothing(evenings: list[float]) -> None:
    said = upper_bound(evenings)
    assert (said is None) == (len(evenings) < 4)
    assert said is None or (
        said in evenings and len([e for e in evenings if e <= said]) >= SHARE * len(evenings)
    )


def closing() -> Edge:
    found = edges(
        [parse_window("nights Mon-Fri 20:00-07:30 Europe/Madrid")],
        at("2026-11-25T12:00"),
        at("2026-11-25T23:00"),
    )
    return next(e for e in found if e.kind == "close")


def evening(day: int, minutes: float, *, ended: bool = True, time: str = "20:00") -> ClosingRecord:
    return f"nights-close@2026-11-{day:02}T{time}", minutes * 60, ended


def test_words() -> None:
    nine = [evening(d, 5.0 * d) for d in range(1, 10)]
    assert (
        likely_end(nine, closing())
        == "last meeting likely ends by 20:40 (80 % of 9 closings at 20:00)"
    )
    assert (
        likely_end([], closing())
        == "when the last meeting ends is unknown: no closing at 20:00 is recorded yet"
    )
    other = [evening(d, 5.0, time="18:00") for d in range(1, 10)]
    assert likely_end(other, closing()).endswith("no closing at 20:00 is recorded yet"), (
        "those of another time of day tell nothing"
    )
    few = "when the last meeting ends is unknown: only 3 closings at 20:00 recorded, "
    assert likely_end(nine[:3], closing()) == few + "the latest ended at 20:15"
    assert (
        likely_end([*nine[:2], evening(3, 60, ended=False)], closing())
        == few[:-2] + "; in 1 of them meetings ran longer than the wait"
    )
    late = [evening(d, 60, ended=d > 3) for d in range(1, 10)]
    assert likely_end(late, closing()) == (
        "when the last meeting ends cannot be predicted: in 3 of 9 closings at 20:00 "
        "meetings ran longer than the wait"
    )


def test_a_minute_that_has_begun_counts_whole() -> None:
    assert "likely ends by 20:11 (" in likely_end(
        [evening(d, 10.01) for d in range(1, 6)], closing()
    )
