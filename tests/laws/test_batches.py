"""Laws of batches: never more than so many at once, each cluster once, none forgotten."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.access.policy import Actor
from services.procedures import AddWindow, Procedure, Scale, Shutdown
from services.runs.batch import (
    Batch,
    BatchState,
    Part,
    PartState,
    batch_of,
    from_text,
    has_to_stop,
    part_id,
    startable_parts,
    to_text,
)
from services.store.keys import has_own_message, request_key
from tests.support.coverage_level import LAW

ANA = Actor("UANA", "T0ACME")
NAMES = tuple(f"cluster-{n}" for n in range(50))
ENDS = (PartState.DONE, PartState.FAILED)


def batch_of_parts(number: int, at_once: int = 1, stop_after: int = 1, **more: Any) -> Batch:
    parts = tuple(
        Part(name, request=part_id("batch.1", n)) for n, name in enumerate(NAMES[:number])
    )
    batch = Batch("batch.1", Shutdown(), ANA, parts, 0.0, 100.0, 1)
    return replace(batch, state=BatchState.APPROVED, at_once=at_once, stop_after=stop_after, **more)


def played(batch: Batch, choose: Callable[[int], int]) -> Batch:
    """Begin and end parts in an order that `choose` decides, until nothing more happens."""
    begun: list[str] = []
    for _ in range(4 * len(batch.parts) + 4):
        running = batch.of(PartState.RUNNING)
        assert len(running) <= batch.at_once
        turn = startable_parts(batch, 1.0)
        assert len(running) + len(turn) <= batch.at_once
        if turn and (not running or choose(2)):
            (first, *_) = turn
            assert first.cluster not in begun, "each once"
            assert not has_to_stop(batch)
            if choose(5) == 0:  # it is refused at its turn
                batch = batch.with_parts([replace(first, state=PartState.CHANGED)])
                continue
            begun.append(first.cluster)
            batch = batch.with_parts([replace(first, state=PartState.RUNNING, run="r")])
        elif running:
            one = running[choose(len(running))]
            if one.paused or choose(6):
                how = ENDS[choose(4) == 0]
                batch = batch.with_parts([replace(one, state=how, paused=False)])
            else:
                batch = batch.with_parts([replace(one, paused=True)])
        else:
            return batch
    return batch


@LAW
@given(st.integers(1, 50), st.integers(1, 6), st.integers(1, 4), st.randoms(use_true_random=False))
def test_at_most_so_many_run_and_each_begins_once(
    number: int, at_once: int, stop_after: int, luck: random.Random
) -> None:
    batch = batch_of_parts(number, at_once, stop_after)
    end = played(batch, luck.randrange)
    assert end.clusters == batch.clusters, "none is forgotten"
    if has_to_stop(end):
        # What ran beside the failure that was one too many may fail too.
        assert end.failures <= stop_after + at_once - 1
    else:
        assert end.of(PartState.WAITING, PartState.RUNNING) == ()


@LAW
@given(st.integers(1, 12), st.integers(1, 4))
def test_nothing_begins_before_its_moment_nor_in_any_other_state(number: int, at_once: int) -> None:
    batch = batch_of_parts(number, at_once, later=50.0)
    assert startable_parts(batch, 49.0) == ()
    assert startable_parts(batch, 50.0) == batch.parts[:at_once]
    for state in frozenset(BatchState) - {BatchState.APPROVED}:
        assert startable_parts(replace(batch, state=state), 60.0) == ()


@LAW
@given(
    st.sampled_from([Shutdown(), Scale(4), AddWindow("nights daily 20:00-07:00")]),
    st.integers(1, 50),
    st.sampled_from(list(BatchState)),
    st.sampled_from(list(PartState)),
)
def test_it_is_stored_and_read_as_it_was(
    procedure: Procedure, number: int, state: BatchState, of_part: PartState
) -> None:
    batch = replace(batch_of_parts(number), procedure=procedure, state=state, approvals=(ANA,))
    batch = batch.with_parts(replace(p, state=of_part, why="x", run="r-1") for p in batch.parts[:2])
    text = to_text(batch)
    assert from_text(text, batch.id) == batch
    newer = text[:-1] + ',"of_a_newer_version":1}'
    assert '"of_a_newer_version":1' in to_text(from_text(newer, batch.id)), "kept by this one"


def test_the_request_of_a_part_names_its_batch() -> None:
    request = part_id("batch.3f2a91c0", 12)
    assert batch_of(request) == "batch.3f2a91c0"
    assert batch_of("at.3f2a") == batch_of("3f2a") == ""
    assert not request_key(request).startswith(("request:", "later:")), "older bots leave it alone"
    assert has_own_message(request)


def test_dropping_leaves_alone_what_runs_or_is_over() -> None:
    batch = batch_of_parts(4, at_once=4)
    states = (PartState.DONE, PartState.RUNNING, PartState.WAITING, PartState.REFUSED)
    pairs = zip(batch.parts, states, strict=True)
    batch = batch.with_parts(replace(part, state=state) for part, state in pairs)
    dropped = batch.dropped("why")
    expected = [PartState.DONE, PartState.RUNNING, PartState.DROPPED, PartState.REFUSED]
    assert [p.state for p in dropped.parts] == expected
    assert not dropped.over
    assert not dropped.succeeded
