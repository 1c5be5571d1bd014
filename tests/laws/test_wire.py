"""Everything that is stored is read back unchanged."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.policy import Actor
from services.cluster.model import Cluster, Load
from services.common.errors import BadRecord
from services.common.observed import Observed, Unobserved
from services.common.serialize import VERSION, decode, encode
from services.procedures import PROCEDURES, Procedure
from services.procedures.plan import Plan
from services.runs.journal import from_text, to_text
from services.runs.request import Request, RequestState, Vote
from services.runs.run import CLASSES, Event
from services.steps import STEPS, Question, Step
from tests.support.clusters import (
    clusters,
    events,
    law,
    loads,
    plans,
    procedures,
    question_of,
    requests,
    steps,
)

about = clusters().flatmap(lambda c: st.tuples(st.just(c), steps(c)))


def there_and_back(value: object) -> Any:
    return decode(json.loads(json.dumps(encode(value))), CLASSES)


@law
@given(about)
def test_every_step(both: tuple[Cluster, Step]) -> None:
    step = both[1]
    back = there_and_back(step)
    assert back == step
    assert type(back) is type(step)


@law
@given(procedures())
def test_every_procedure(procedure: Procedure) -> None:
    assert there_and_back(procedure) == procedure


@law
@given(plans())
def test_every_plan(both: tuple[Cluster, Plan]) -> None:
    plan = both[1]
    back = there_and_back(plan)
    assert back == plan
    assert isinstance(back.saves, Decimal)
    assert back.steps[0].is_done(both[0]) in (True, False), "what comes back works"


@law
@given(events())
def test_every_event(told: list[Event]) -> None:
    for event in told:
        assert from_text(to_text(event)) == event


@law
@given(requests())
def test_every_request(request: Request) -> None:
    assert from_text(to_text(request)) == request
    # An approval is consumed by comparing texts: the text of what was read has to be the text that
    # is stored.
    assert to_text(from_text(to_text(request))) == to_text(request)


@law
@given(question_of(), loads())
def test_questions_and_loads(question: Question, found: Observed[Load]) -> None:
    assert there_and_back(question) == question
    assert isinstance(found, Unobserved) or there_and_back(found) == found, (
        "a plan stores what was seen, or the reason beside it"
    )


@pytest.mark.parametrize(
    "kind",
    [*STEPS, *PROCEDURES, *get_args(Event), Plan, Request, Question],
    ids=lambda k: k.__name__,
)
def test_every_stored_class_is_known(kind: type) -> None:
    assert CLASSES[kind.__name__] is kind
    assert is_dataclass(kind)


def test_no_two_stored_classes_have_one_name() -> None:
    kinds = [*STEPS, *PROCEDURES, *get_args(Event)]
    assert len({k.__name__ for k in kinds}) == len(kinds)
    assert not {k.__name__ for k in kinds} & {"Decimal", "dict", "frozenset"}


@law
@given(about)
def test_a_field_that_an_older_bot_did_not_write_takes_its_default(
    both: tuple[Cluster, Step],
) -> None:
    step = both[1]
    written = encode(step)
    for field in fields(step):
        if repr(field.default) != repr(
            type(step).__dataclass_fields__[field.name].default
        ) or "MISSING" in repr(field.default):
            continue
        older = {k: v for k, v in written.items() if k != field.name}
        assert getattr(decode(older, CLASSES), field.name) == field.default


@law
@given(about)
def test_a_field_that_a_newer_bot_wrote_is_left_out(both: tuple[Cluster, Step]) -> None:
    assert decode(encode(both[1]) | {"colour": "blue"}, CLASSES) == both[1]


def test_a_class_that_is_not_known_is_said() -> None:
    with pytest.raises(ValueError, match="stored by a newer version: Teleport"):
        decode({"is": "Teleport"}, CLASSES)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "é🎥",
        (),
        (1, ("a", None)),
        Decimal("0.10"),
        frozenset({"b", "a"}),
        {"a": 1, "b": (Decimal(1),)},
    ],
    ids=range(12),  # a set's repr differs between workers
)
def test_plain_values(value: object) -> None:
    assert there_and_back(value) == value


def test_records_in_a_row_carry_their_versions() -> None:
    votes = (Vote(Actor("UANA"), "force", 1.0), Vote(Actor("UBEN"), "force", 2.0))
    assert [record["v"] for record in json.loads(to_text(votes))] == [VERSION, VERSION]
    assert from_text(to_text(votes)) == votes


def test_what_cannot_be_stored_is_said() -> None:
    with pytest.raises(TypeError, match="object cannot be stored"):
        encode(object())


# Enums


def enum_fields(kind: type) -> list[str]:
    """Return the fields of a stored class whose type mentions an enum, in a union or list too."""
    types = get_type_hints(kind)
    return [f.name for f in fields(kind) if any(map(is_enum, parts(types[f.name])))]


def parts(of: Any) -> Iterator[Any]:
    yield of
    for part in get_args(of):
        yield from parts(part)


def is_enum(of: Any) -> bool:
    return isinstance(of, type) and issubclass(of, Enum)


@law
@given(requests())
def test_an_enum_comes_back_as_its_member(request: Request) -> None:
    loaded = from_text(to_text(request))
    assert isinstance(loaded, Request)
    assert type(loaded.state) is RequestState


@law
@given(requests())
def test_an_enum_value_of_a_newer_version_makes_its_record_unreadable(request: Request) -> None:
    stored = json.loads(to_text(request))
    with pytest.raises(BadRecord, match=r"newer openvidu-bot .*\(postponed is not known here"):
        from_text(json.dumps(stored | {"state": "postponed"}))


def test_enums_stand_alone_in_their_fields() -> None:
    for kind in CLASSES.values():
        types = get_type_hints(kind)
        assert all(is_enum(types[name]) for name in enum_fields(kind)), (
            f"{kind.__name__}: an enum inside a union or tuple would come back as a string"
        )
