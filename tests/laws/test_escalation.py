"""What waits for a person: when it is repeated, to whom, and when on-call is paged."""

from dataclasses import replace

from services.schedule.escalation import (
    Audience,
    EscalationState,
    WaitingMatter,
    decide,
    no_longer_waiting,
    repeats,
)

STOP = WaitingMatter("stop:acme-1:9", "acme", 1000.0, "*acme-1 is paused*", ("UANA",))
MINUTE, HOUR = 60.0, 3600.0


def played(
    matter: WaitingMatter, until: float, every: float = 10.0, told: EscalationState | None = None
) -> tuple[list[tuple[float, Audience]], list[float], EscalationState | None]:
    """Return when it was repeated to whom.

    And when on-call was paged; `every`: seconds per look.
    """
    said, paged = [], []
    now = matter.since
    while now <= matter.since + until:
        call = decide(matter, told, now)
        if call is not None:
            told = replace(call.after, outside=call.after.outside or call.pages)
            said += [(now - matter.since, call.audience)] if call.says else []
            paged += [now - matter.since] if call.pages else []
        now += every
    return said, paged, told


def test_it_is_said_at_15_minutes_at_an_hour_then_hourly_to_more_and_more_people() -> None:
    said, paged, _ = played(STOP, 4 * HOUR)
    assert said == [
        (15 * MINUTE, Audience.REQUESTER),
        (HOUR, Audience.APPROVERS),
        (2 * HOUR, Audience.OPERATORS),
        (3 * HOUR, Audience.OUTSIDE),
        (4 * HOUR, Audience.OUTSIDE),
    ]
    assert paged == [3 * HOUR, 4 * HOUR]


def test_what_a_window_asked_for_begins_with_the_approvers() -> None:
    said, paged, _ = played(replace(STOP, who=()), 2 * HOUR)
    assert [whom for _, whom in said] == [Audience.APPROVERS, Audience.OPERATORS, Audience.OUTSIDE]
    assert paged == [2 * HOUR]


def test_where_people_cannot_meet_outside_is_called_at_once() -> None:
    said, paged, _ = played(replace(STOP, urgent=True), 10 * MINUTE)
    assert paged[0] == 0.0
    assert said == []
    _, paged, _ = played(replace(STOP, urgent=True), HOUR)
    assert paged == [0.0, 15 * MINUTE, HOUR]


def test_what_only_costs_money_calls_no_one_but_its_requester() -> None:
    said, paged, _ = played(replace(STOP, widest=Audience.REQUESTER, urgent=False), 5 * HOUR)
    assert {whom for _, whom in said} == {Audience.REQUESTER}
    assert paged == []


def test_acknowledged_is_quiet_until_it_is_over() -> None:
    _, _, told = played(STOP, HOUR)
    assert told is not None
    assert played(STOP, 30 * HOUR, told=replace(told, by="UBEN"))[0] == []
    assert no_longer_waiting({STOP.key: told}, [STOP]) == {}
    assert no_longer_waiting({STOP.key: told}, []) == {STOP.key: told}


def test_a_bot_that_was_away_says_it_once_and_goes_on() -> None:
    assert [at for at, _ in played(STOP, 8 * HOUR, every=2.5 * HOUR)[0]] == [
        2.5 * HOUR,
        5 * HOUR,
        7.5 * HOUR,
    ]
    assert [repeats(s) for s in (0, 899, 900, 3599, 3600, 7199, 7200)] == [0, 0, 1, 1, 2, 2, 3]


def test_outside_that_could_not_be_called_is_called_again() -> None:
    first = decide(replace(STOP, urgent=True), None, STOP.since)
    assert first is not None
    again = decide(replace(STOP, urgent=True), first.after, STOP.since + 60)
    assert again is not None
    assert again.pages
    assert not again.says
