"""Timelines: one order whatever the clocks say, and an export that shows every later change."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.audit.entries import AuditAction, AuditRecord, Entry, link
from services.timeline import (
    Export,
    Moment,
    Source,
    check_export,
    export_of,
    ordered,
    read_export,
)
from services.timeline.skew import RESOLUTION
from tests.support.coverage_level import LAW

T0 = 1_800_000_000.0


@dataclass(frozen=True)
class Told:
    """A true history, and what the sources tell of it with their own clocks."""

    moments: list[Moment]
    true: dict[str, float]  # of what DigitalOcean did, by its text
    ahead: float


@st.composite
def histories(draw: Any) -> Told:
    """Steps that are asked for, done by DigitalOcean, and seen, one after the other."""
    ahead = draw(st.floats(-600, 600))
    moments, true, now = [], {}, T0
    for step in range(draw(st.integers(1, 6))):
        asked = now + draw(st.floats(0.1, 30))
        began = asked + draw(st.floats(0.1, 20))
        ended = began + draw(st.floats(0.0, 60))
        seen = ended + draw(st.floats(0.1, 20))
        name = f"power_off {step}"
        moments.append(Moment(asked, Source.RUN, "asks", "acme-1", place=2 * step))
        moments.append(Moment(seen, Source.RUN, "sees", "acme-1", place=2 * step + 1, sees=True))
        true[name] = began
        moments.append(
            Moment(
                float(int(began + ahead)),  # whole seconds, as DigitalOcean's
                Source.DIGITALOCEAN,
                name,
                "master-1",
                after=asked,
                before=seen,
                until=float(int(ended + ahead)),
            )
        )
        now = seen
    return Told(draw(st.permutations(moments)), true, ahead)


@LAW
@given(histories())
def test_every_cause_comes_before_its_effect(told: Told) -> None:
    found = ordered(told.moments)
    run = [m for m in found.moments if m.source is Source.RUN]
    assert [m.place for m in run] == sorted(m.place for m in run)
    at = {m.text: index for index, m in enumerate(found.moments)}
    for step in range(len(told.true)):
        asked = next(
            i for i, m in enumerate(found.moments) if m.place == 2 * step and m.text == "asks"
        )
        seen = next(i for i, m in enumerate(found.moments) if m.sees and m.place == 2 * step + 1)
        assert asked < at[f"power_off {step}"] < seen


@LAW
@given(histories())
def test_a_corrected_time_is_as_exact_as_it_says(told: Told) -> None:
    found = ordered(told.moments)
    (clock,) = found.clocks
    assert not clock.skew.contradicts
    within = clock.skew.within
    assert within is not None
    for moment in found.moments:
        if moment.source is Source.DIGITALOCEAN:
            assert abs(moment.at - told.true[moment.text]) <= within + 2 * RESOLUTION


def test_a_clock_that_no_difference_explains_is_left_as_it_is() -> None:
    """As where a person pressed the same button in DigitalOcean's console."""
    moments = [
        Moment(T0, Source.RUN, "asks", "acme-1"),
        Moment(T0 + 5, Source.DIGITALOCEAN, "a", after=T0, before=T0 + 10),
        Moment(T0 + 900, Source.DIGITALOCEAN, "b", after=T0, before=T0 + 10),
    ]
    (clock,) = ordered(moments).clocks
    assert clock.skew.contradicts
    assert clock.skew.offset == 0
    assert "contradict" in clock.words


def test_bots_with_different_clocks_do_not_change_the_order() -> None:
    moments = [
        Moment(T0 + 40, Source.RUN, "one", "acme-1", place=0),
        Moment(T0 + 1, Source.RUN, "two, by a bot that is 40 s behind", "acme-1", place=1),
        Moment(T0 + 41, Source.RUN, "three", "acme-1", place=2),
    ]
    assert [m.place for m in ordered(reversed(moments)).moments] == [0, 1, 2]


def test_a_long_timeline_says_what_it_leaves_out() -> None:
    moments = [Moment(T0 + n, Source.AUDIT, "x", place=n) for n in range(2100)]
    found = ordered(moments)
    assert (len(found.moments), found.left_out, found.moments[-1].at) == (2000, 100, T0 + 2099)


# Exports


def exported() -> tuple[Export, list[Entry], dict[str, list[str]]]:
    """An export of two audit entries and a line of DigitalOcean's, and the audit that has it."""
    first = link("acme", None, AuditRecord(AuditAction.ASKED, None, "r1"), T0)
    second = link("acme", first.head, AuditRecord(AuditAction.OPENED, None, "acme-1"), T0 + 1)
    moments = [
        *(
            Moment(
                e.at,
                Source.AUDIT,
                e.what,
                e.about,
                proof=f"audit {e.number}:{e.hash}",
                place=e.number,
            )
            for e in (first, second)
        ),
        Moment(T0 + 2, Source.DIGITALOCEAN, "power_off", "master-1"),
    ]
    export = export_of("acme", "acme-1", T0, T0 + 3, ordered(moments), T0 + 4)
    made = AuditRecord(AuditAction.EXPORTED, None, "acme-1", proof=export.last_hash)
    return export, [first, second, link("acme", second.head, made, T0 + 4)], {}


def flaws(text: str) -> list[tuple[int, str]]:
    _, entries, journals = exported()
    return [(f.line, f.problem) for f in check_export(read_export(text), entries, journals)]


def test_an_export_as_it_was_made_is_intact() -> None:
    export, _, _ = exported()
    assert flaws(export.text) == []


def test_every_later_change_is_named() -> None:
    export, _, _ = exported()
    lines = export.text.splitlines()
    changed = [*lines[:2], lines[2].replace("acme-1", "acme-2"), *lines[3:]]
    assert [line for line, _ in flaws("\n".join(changed))] == [2]
    assert flaws("\n".join([*lines[:2], *lines[3:]]))[0] == (
        3,
        "comes where line 2 should be: it was removed",
    )
    assert "vouches" in flaws("\n".join(lines[:-1]))[0][1], "the last line was removed"
    assert flaws("\n".join([*lines, lines[-1]]))[0][0] == 3, "a line was added"
    assert flaws("\n".join([lines[0], lines[2], lines[1], lines[3]])), "two lines were exchanged"
    head = json.loads(lines[0]) | {"missing": []} | {"subject": "acme-9"}
    assert flaws("\n".join([json.dumps(head), *lines[1:]]))[0][0] == 1, "the head was changed"


def test_an_export_written_anew_is_not_vouched_for() -> None:
    """All hashes fit, and the audit has none of them."""
    _, entries, _ = exported()
    moment = Moment(T0, Source.AUDIT, "nothing happened", place=1)
    forged = export_of("acme", "acme-1", T0, T0 + 3, ordered([moment]), T0 + 4)
    (flaw,) = check_export(forged, entries, {})
    assert "no entry of the audit vouches for it" in flaw.problem


def test_a_line_that_the_audit_has_otherwise_is_named() -> None:
    moment = Moment(T0, Source.AUDIT, "approved", place=1, proof=f"audit 1:{'0' * 64}")
    forged = export_of("acme", "acme-1", T0, T0 + 3, ordered([moment]), T0 + 4)
    _, entries, _ = exported()
    assert "names another entry 1" in check_export(forged, entries, {})[0].problem


@pytest.mark.parametrize("text", ["", "{}", "[]", "x", '{"format":"openvidu-bot timeline 1"}'])
def test_what_is_no_export(text: str) -> None:
    with pytest.raises(ValueError, match=r"it|line"):
        read_export(text)
