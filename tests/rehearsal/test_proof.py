"""What happens in worlds with hidden misfortunes is among what was rehearsed.

One world always; `make test-all` compares 45, and prints no table: `python -m
tests.rehearsal.proof 45 80 300` does.
"""

from dataclasses import replace
from functools import cache
from statistics import median

import pytest

from bot.rehearsal.luck import REFUSED_ZERO, TROUBLES
from bot.rehearsal.play import play
from bot.rehearsal.run import play_run
from services.cluster.account_facts import AccountFact, AccountFacts
from services.operations.rehearsal import Ending, Scenario, SimulatedRun
from simulators.cloud.delays import Delays
from tests.rehearsal.hidden import MISFORTUNES, Happened, hidden
from tests.rehearsal.proof import Compared, compare, compare_all, share
from tests.rehearsal.test_estate import busy, scenario_of


def test_the_hidden_worlds_are_of_all_kinds() -> None:
    worlds = [hidden(seed) for seed in range(60)]
    assert {w.kind for w in worlds} == {"pool", "fixed", "autoscaler"}
    assert {m for w in worlds for m in w.misfortunes} == {*MISFORTUNES}
    assert len({w.procedure.command_line() for w in worlds}) >= 6


def test_kinds_of_bad_luck_have_names_of_their_own() -> None:
    assert len({trouble.name for trouble in TROUBLES}) == len(TROUBLES)
    assert all(0 < trouble.chance < 1 for trouble in TROUBLES)


@cache
def idle() -> Scenario:
    """Return a cluster without meetings: its runs are short."""
    return scenario_of(lambda _: None, media=1)


@cache
def compared() -> Compared:
    return compare(8, 4)


def test_the_same_run_has_the_same_bad_luck() -> None:
    scenario = idle()
    once, again, other = (
        play_run(scenario, number, Delays(), frozenset(), 600.0).run for number in (3, 3, 4)
    )
    assert once == again
    assert once != other


def test_a_misfortune_that_is_certain_is_seen_in_every_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pool of 0 is refused: the run asks, whatever else happens; without it, none does."""
    scenario = replace(idle(), runs=2)
    refused = [replace(t, chance=1.0) for t in TROUBLES if t.name == REFUSED_ZERO]
    for certain, asks in ((refused, 2), ([], 0)):
        monkeypatch.setattr("bot.rehearsal.luck.TROUBLES", tuple(certain))
        found = play(scenario)
        assert [run.ending for run in found.runs].count(Ending.ASKS) == asks
        assert found.kinds == ({"done", "asks zero-refused"} if asks else {"done"})


def test_what_a_probe_has_found_is_no_bad_luck_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    certain = [replace(t, chance=1.0) for t in TROUBLES if t.name == REFUSED_ZERO]
    monkeypatch.setattr("bot.rehearsal.luck.TROUBLES", tuple(certain))
    scenario = replace(idle(), runs=1)
    for answer, kinds in (("accepted", {"done"}), ("refused", {"asks zero-refused"})):
        facts = AccountFacts((AccountFact("zero", answer, scenario.at),))
        seen = replace(scenario, cluster=replace(scenario.cluster, account=facts))
        assert play(seen).kinds == kinds, answer


def test_durations_are_those_that_were_measured() -> None:
    """The cluster's masters take five minutes to be powered off, and so they do here."""
    scenario = idle()
    usual = play(replace(scenario, runs=0)).expected.seconds
    slow = replace(scenario, runs=0, usual=(("PowerOff", 300.0),))
    found = play(slow)
    assert 240 < found.expected.seconds - usual < 320
    assert found.measured == ("PowerOff",)


def test_meetings_end_as_those_of_past_closings_did() -> None:
    scenario = replace(scenario_of(busy, media=1), runs=0)
    short = play(replace(scenario, endings=(60.0, 90.0, 120.0, 150.0, 200.0))).expected.seconds
    long = play(replace(scenario, endings=(2500.0,) * 5)).expected.seconds
    assert short < 600
    assert 2500 < long < 3000


def test_what_happens_was_foreseen() -> None:
    found = compared()
    assert found.foreseen, (found.happened, found.forecast.kinds)
    low, high = found.forecast.range  # of so few runs that it says little
    assert found.happened.seconds is not None
    assert low / 2 < found.happened.seconds < high * 2


def test_the_comparison_finds_what_was_not_foreseen() -> None:
    found = compared()
    stopped = Happened(frozenset({"stops at Nowhere"}), None, 0, "")
    assert not Compared(found.about, found.forecast, stopped).foreseen
    slow = Happened(frozenset({"done"}), 10 * found.forecast.range[1] + 100, 0, "")
    assert Compared(found.about, found.forecast, slow).in_range is False
    assert SimulatedRun(Ending.STOPS, 1.0, step="Nowhere").kinds == stopped.kinds


@pytest.mark.thorough
def test_in_most_worlds() -> None:
    """In worlds that were not used for tuning."""
    compared = compare_all(range(300, 345), 80, workers=2)
    assert share(c.foreseen for c in compared) >= 0.95
    assert share(c.in_range for c in compared if c.in_range is not None) >= 0.9
    # A forecast that anything may happen, at any time, would be no forecast.
    assert median(len(c.forecast.kinds) for c in compared) <= 12
    assert median(c.width for c in compared) <= 20
