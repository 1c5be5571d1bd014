"""The card of a rehearsal, from values: what decides comes first, and nothing is claimed."""

from dataclasses import replace
from pathlib import Path

import pytest

from handlers.terminal.plaintext import TerminalReader, render_card
from handlers.views import rehearsal_card
from handlers.views.text import word_count
from services.operations.rehearsal import Ending, PosedQuestion, Rehearsal, SimulatedRun
from services.procedures import Procedure, Restart, Shutdown
from services.procedures.plan import make_plan
from tests.support.clusters import ready
from tests.support.goldens import as_json, check_golden

GOLDEN = Path(__file__).parent / "golden"
LUCK = ("DigitalOcean errors", "slow media nodes", "no capacity", "SSH errors", "slow masters")
DRAIN = PosedQuestion("drain-deadline", "media-2 still has 1 meeting")
ZERO = PosedQuestion("zero-refused", "DigitalOcean refused to set the pool to 0")


def done(seconds: float, **about: object) -> SimulatedRun:
    return replace(SimulatedRun(Ending.DONE, seconds), **about)  # type: ignore[arg-type]


def rehearsal(procedure: Procedure, *runs: SimulatedRun, **about: object) -> Rehearsal:
    plan = make_plan(ready(3), procedure)
    found = Rehearsal(plan, done(660.0, gap=180.0), runs, wanted=len(runs))
    return replace(found, **about)  # type: ignore[arg-type]


def many() -> list[SimulatedRun]:
    """Return 200 runs: 190 finish within 26 min, three ask, four pause, three are slower."""
    quick = [done(500.0 + 5.5 * n, gap=240.0 + n, luck=(LUCK[n % 5],)) for n in range(190)]
    asks = [
        SimulatedRun(Ending.ASKS, 7300.0, (DRAIN,), luck=LUCK[:1]),
        SimulatedRun(Ending.DONE, 9000.0, (DRAIN,), luck=LUCK[:1]),
        SimulatedRun(Ending.ASKS, 300.0, (ZERO,), luck=LUCK[:1]),
    ]
    stops = [
        SimulatedRun(
            Ending.STOPS, 900.0, stopped="Power on master 3 timed out after 5 min",
            step="PowerOn", resumed=n < 3, luck=LUCK[1:2],
        )
        for n in range(4)
    ]  # fmt: skip
    slow = [done(4000.0 + n, gap=840.0, luck=LUCK) for n in range(3)]
    return [*quick, *asks, *stops, *slow]


CASES = {
    "usual": rehearsal(Restart("master-2"), *many(), measured=("PowerOff", "PowerOn")),
    "closes": rehearsal(
        Shutdown(), *many(), expected=done(660.0, gap=660.0, serves=False), measured=("Drain",)
    ),
    "all goes well": rehearsal(
        Restart("master-2"), *(done(200.0 + n) for n in range(200)), expected=done(220.0)
    ),
    "people lose a meeting": rehearsal(
        Shutdown(no_drain=True),
        *(done(200.0 + n, disconnected=14, serves=False) for n in range(200)),
        expected=done(220.0, disconnected=14, serves=False),
    ),
    "a few lose a meeting": rehearsal(
        Restart("media-1"), done(100.0, disconnected=3), *(done(200.0) for _ in range(199))
    ),
    "no run fits into the time": rehearsal(Shutdown(), wanted=200),
    "few fit into the time": rehearsal(Shutdown(), *many()[:31], wanted=200),
    "it asks as expected": rehearsal(
        Shutdown(),
        *(SimulatedRun(Ending.ASKS, 300.0, (ZERO,)) for _ in range(20)),
        expected=SimulatedRun(Ending.ASKS, 290.0, (ZERO,), serves=False),
    ),
    "parts are unknown": rehearsal(
        Shutdown(),
        *(done(200.0 + n, serves=False) for n in range(20)),
        expected=done(300.0, serves=False),
        assumed=(
            "media-2: not seen (docker does not answer). Assumed: in service, with one meeting "
            "on it.",
            "Meetings by LiveKit: unknown (LiveKit is not configured here). Assumed: those that "
            "the nodes report.",
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_its_card(name: str) -> None:
    card = rehearsal_card(CASES[name])
    path = GOLDEN / f"{name.replace(' ', '_')}.json"
    check_golden(path, as_json([card.text, card.blocks]))
    assert word_count(card.text) <= 60
    plain = render_card(card, TerminalReader())
    assert "Nothing was changed" in plain


def test_the_share_is_of_all_runs_also_of_those_that_did_not_finish() -> None:
    found = CASES["usual"]
    assert (found.of_twenty, round(found.slowest / 60)) == (19, 26)
    half = replace(found, runs=tuple(many()[:100] + many()[190:197] * 10))
    assert half.of_twenty == 11
    assert "11 of 20 within" in rehearsal_card(half).text


def test_the_range_holds_what_38_of_40_took() -> None:
    found = rehearsal(Shutdown(), *(done(float(n)) for n in range(1, 202)))
    assert found.range == (6.0, 196.0)


def test_a_run_that_asked_and_then_finished_is_none_that_finished_by_itself() -> None:
    found = CASES["usual"]
    assert len(found.asking) == 3
    assert len(found.durations) == 193
    assert found.kinds == {"done", "asks drain-deadline", "asks zero-refused", "stops at PowerOn"}


def test_what_is_not_known_is_not_nothing() -> None:
    text = rehearsal_card(CASES["no run fits into the time"]).text
    assert "unknown" in text or "0 of 200" in str(
        rehearsal_card(CASES["no run fits into the time"]).blocks
    )
    assert " of 20 " not in text


def test_a_share_of_twenty_takes_twenty_runs() -> None:
    few = rehearsal(Shutdown(), *(done(200.0 + n) for n in range(4)), wanted=200)
    text = rehearsal_card(few).text
    assert " of 20 " not in text
    assert "4 of 4 runs within 3 min" in text


def test_without_bad_luck_nothing_is_said_about_it() -> None:
    text = rehearsal_card(CASES["no run fits into the time"]).text
    assert "Disconnected: no one as expected; with bad luck unknown" in text
    assert "Without service: 3 min as expected; with bad luck unknown" in text


def test_what_comes_after_an_answer_is_not_foretold() -> None:
    waits = SimulatedRun(Ending.ASKS, 300.0, (DRAIN,))
    text = rehearsal_card(rehearsal(Shutdown(), *[waits] * 20, expected=waits)).text
    assert "Disconnected: no one before an answer" in text
    assert "Without service: never before an answer" in text
    some = rehearsal(Shutdown(), *(done(200.0) for _ in range(199)), waits)
    assert "Disconnected: no one before an answer" in rehearsal_card(some).text
