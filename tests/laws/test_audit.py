"""The audit's chain: every change of an entry is reported with its number, and nothing else is."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.policy import Actor
from services.audit.entries import (
    AuditAction,
    AuditRecord,
    Entry,
    Flaw,
    Head,
    find_flaws,
    journal_digest,
    link,
    read_entry,
    read_head,
)
from services.memory.schedule import Book
from services.memory.schedule_audit import schedule_audit_records
from services.windows import Hold, KeepUp, parse_window
from tests.support.clusters import law

ANA = Actor("UANA", "T0ACME", "E0ORG")
words = st.text(max_size=20)
deeds = st.builds(
    AuditRecord,
    st.sampled_from(list(AuditAction)),
    st.one_of(st.none(), st.builds(Actor, words, words)),
    words,
    words,
    words,
    words,
    words,
)


def chain(made: list[AuditRecord], cluster: str = "acme") -> list[Entry]:
    entries: list[Entry] = []
    for number, deed in enumerate(made):
        entries.append(
            link(cluster, entries[-1].head if entries else None, deed, 1_800_000_000.0 + number)
        )
    return entries


def texts(entries: list[Entry]) -> list[str]:
    return [e.text for e in entries]


def again(entry: Entry) -> AuditRecord:
    by = Actor(entry.user, entry.team, entry.enterprise)
    return AuditRecord(
        AuditAction(entry.what),
        by,
        entry.about,
        entry.reason,
        entry.before,
        entry.after,
        entry.proof,
    )


chains = st.lists(deeds, min_size=1, max_size=12).map(chain)


def numbers(found: list[Flaw]) -> set[int]:
    return {f.number for f in found}


@law
@given(chains)
def test_an_unchanged_chain_is_valid(entries: list[Entry]) -> None:
    head = entries[-1].head
    assert find_flaws("acme", texts(entries), head, [e.head for e in entries]) == []
    assert [read_entry(t) for t in texts(entries)] == entries
    assert read_head(head.text, "acme") == head
    assert find_flaws("acme", [], None) == []


@law
@given(chains, st.data())
def test_any_changed_character_is_named(entries: list[Entry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    written = texts(entries)
    place = data.draw(st.integers(0, len(written[at]) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != written[at][place]))
    written[at] = written[at][:place] + other + written[at][place + 1 :]
    found = find_flaws("acme", written, entries[-1].head)
    assert at + 1 in numbers(found), found


@law
@given(chains, st.data())
def test_any_changed_field_is_named_even_with_a_hash_made_for_it(
    entries: list[Entry], data: st.DataObject
) -> None:
    """A changed entry with a matching hash breaks the link of the next one, or the head."""
    at = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(
        st.sampled_from(
            ["what", "user", "team", "enterprise", "about", "reason", "before", "after", "proof"]
        )
    )
    forged = replace(entries[at], **{field: getattr(entries[at], field) + "x"})
    plain = texts(entries)
    plain[at] = forged.text
    assert at + 1 in numbers(find_flaws("acme", plain, entries[-1].head))
    plain[at] = replace(forged, hash=forged.expected_hash).text
    found = find_flaws("acme", plain, entries[-1].head)
    assert numbers(found) == {at + 1}, found
    assert "replaced" in found[0].problem


@law
@given(chains, st.data())
def test_what_is_removed_is_named(entries: list[Entry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    left = [t for i, t in enumerate(texts(entries)) if i != at]
    found = find_flaws("acme", left, entries[-1].head)
    assert found == [Flaw(at + 1, "is missing: it was removed")]


@law
@given(chains.filter(lambda c: len(c) > 1), st.data())
def test_two_that_changed_places_are_named(entries: list[Entry], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(entries) - 2))
    second = data.draw(st.integers(first + 1, len(entries) - 1))
    moved = texts(entries)
    moved[first], moved[second] = moved[second], moved[first]
    found = find_flaws("acme", moved, entries[-1].head)
    assert numbers(found) & {first + 1, second + 1}
    assert all("moved" in f.problem for f in found)
    assert numbers(found) <= {*range(first + 1, second + 2)}


@law
@given(chains, st.data())
def test_a_chain_that_was_cut_is_named_by_the_stores_head_or_by_one_kept_elsewhere(
    entries: list[Entry], data: st.DataObject
) -> None:
    keep = data.draw(st.integers(0, len(entries) - 1))
    left = texts(entries)[:keep]
    gone = {*range(keep + 1, len(entries) + 1)}
    assert numbers(find_flaws("acme", left, entries[-1].head)) == gone
    # Whoever cuts it may set the head back, too; a head that was posted is out of reach.
    back = entries[keep - 1].head if keep else None
    assert find_flaws("acme", left, back) == []
    posted = entries[data.draw(st.integers(keep, len(entries) - 1))].head
    assert numbers(find_flaws("acme", left, back, [posted])) == {posted.number}
    unnumbered = find_flaws("acme", left, back, [Head(posted.hash)])
    assert [f.number for f in unnumbered] == [0]
    assert posted.hash in unnumbered[0].problem


@law
@given(chains, deeds, st.data())
def test_a_chain_that_was_written_anew_does_not_fit_a_posted_head(
    entries: list[Entry], deed: AuditRecord, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    forged = chain(
        [
            again(e) if i != at else replace(deed, reason=f"{deed.reason}forged")
            for i, e in enumerate(entries)
        ]
    )
    assert find_flaws("acme", texts(forged), forged[-1].head) == [], "from within nobody can tell"
    assert numbers(find_flaws("acme", texts(forged), forged[-1].head, [entries[-1].head])) == {
        len(entries)
    }
    short = replace(entries[-1].head, hash=entries[-1].hash[:16])
    assert find_flaws("acme", texts(forged), forged[-1].head, [short]), "as it stands in a message"
    assert find_flaws("acme", texts(entries), entries[-1].head, [short]) == []


@law
@given(chains, deeds)
def test_what_is_added_past_the_head_and_what_stands_twice_is_named(
    entries: list[Entry], deed: AuditRecord
) -> None:
    more = link("acme", entries[-1].head, deed, 1_900_000_000.0)
    assert numbers(find_flaws("acme", [*texts(entries), more.text], entries[-1].head)) == {
        len(entries) + 1
    }
    twice = [*texts(entries), entries[0].text]
    assert Flaw(1, "is there twice") in find_flaws("acme", twice, entries[-1].head)
    assert numbers(find_flaws("acme", texts(entries), None)) == {len(entries)}, (
        "a head that is gone"
    )


def test_an_entry_of_another_cluster_is_named() -> None:
    theirs = chain([AuditRecord(AuditAction.HELD, ANA, "hold")], "beta")
    found = find_flaws("acme", texts(theirs), theirs[-1].head)
    assert any("belongs to the audit of beta" in f.problem for f in found)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"number": 1}', "not json", '"x"'])
def test_what_is_no_entry_is_told_of_as_changed(text: str) -> None:
    entries = chain(
        [AuditRecord(AuditAction.HELD, ANA, "hold"), AuditRecord(AuditAction.UNHELD, ANA, "hold")]
    )
    assert find_flaws("acme", [text, entries[1].text], entries[1].head) == [
        Flaw(1, "cannot be read: it was changed")
    ]


def test_an_entry_holds_who_what_why_before_and_after() -> None:
    (entry,) = chain(
        [
            AuditRecord(
                AuditAction.REJECTED, ANA, "r1", "not now", "1 of 2 approvals", "rejected", "abc"
            )
        ]
    )
    said = json.loads(entry.text)
    assert said == asdict(entry)
    assert (said["user"], said["team"], said["enterprise"]) == ("UANA", "T0ACME", "E0ORG")
    assert (said["what"], said["reason"], said["before"], said["after"]) == (
        "rejected",
        "not now",
        "1 of 2 approvals",
        "rejected",
    )


@law
@given(st.lists(words, min_size=1, max_size=6), st.data())
def test_a_journal_that_was_changed_has_another_digest(
    entries: list[str], data: st.DataObject
) -> None:
    stored = [json.dumps(e) for e in entries]
    at = data.draw(st.integers(0, len(stored) - 1))
    for other in (
        [*stored[:at], json.dumps(f"{entries[at]}x"), *stored[at + 1 :]],
        stored[:at] + stored[at + 1 :],
        [*stored, '"x"'],
    ):
        assert journal_digest(other) != journal_digest(stored)


# Books


def test_a_books_decisions_are_read_from_what_changed() -> None:
    book = Book()
    window = parse_window("nights Mon-Fri 20:00-07:30 Europe/Madrid")
    added = book.with_window(window, "acme-4", 1.0)
    (deed,) = schedule_audit_records(book, added, None)
    assert (deed.what, deed.about, deed.reason, deed.before, deed.after) == (
        AuditAction.WINDOW_ADDED,
        "nights",
        "run acme-4",
        "",
        window.to_text(),
    )
    changed = added.with_window(
        parse_window("nights Mon-Fri 21:00-07:30 Europe/Madrid"), "acme-5", 2.0
    )
    (deed,) = schedule_audit_records(added, changed, None)
    assert (deed.what, deed.before) == (AuditAction.WINDOW_CHANGED, window.to_text())
    (deed,) = schedule_audit_records(changed, changed.without_window("nights"), ANA)
    assert (deed.what, deed.by, deed.after) == (AuditAction.WINDOW_REMOVED, ANA, "")


def test_holds_and_what_else_people_put_in_a_windows_way() -> None:
    book = Book()
    held = replace(
        book, exceptions=replace(book.exceptions, holds=(Hold(10.0, 1000.0, "<@UANA>", "exams"),))
    )
    (deed,) = schedule_audit_records(book, held, ANA)
    assert (deed.what, deed.by, deed.reason) == (AuditAction.HELD, ANA, "exams")
    ended = replace(
        held,
        exceptions=replace(
            held.exceptions, holds=(replace(held.exceptions.holds[0], until=500.0),)
        ),
    )
    (deed,) = schedule_audit_records(held, ended, ANA)
    assert deed.what is AuditAction.UNHELD
    assert "exams" in deed.before
    forgotten = replace(ended, exceptions=ended.exceptions.without_old(1e9))
    assert forgotten.exceptions.holds == ()
    assert schedule_audit_records(ended, forgotten, None) == (), (
        "what is over and put away is no decision"
    )
    kept = replace(
        book,
        exceptions=replace(
            book.exceptions, keep_ups=(KeepUp(1.0, 2.0, "<@UANA>", "late"),), off=("2026-12-24",)
        ),
    )
    assert [d.what for d in schedule_audit_records(book, kept, ANA)] == [
        AuditAction.KEPT,
        AuditAction.SKIPPED,
    ]
    yes = replace(book, answers=(("nights-close@x/ask", ANA),))
    (deed,) = schedule_audit_records(book, yes, None)
    assert (deed.what, deed.by, deed.about) == (AuditAction.CLOSING, ANA, "nights-close@x")


def test_what_the_bot_notes_in_a_book_is_no_decision() -> None:
    book = Book().with_window(parse_window("nights Mon-Fri 20:00-07:30 Europe/Madrid"), "", 1.0)
    assert (
        schedule_audit_records(book, replace(book.with_done("nights-close@x"), since=99.0), None)
        == ()
    )
