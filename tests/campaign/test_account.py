"""The account of losses against messages.

For each promise a story that breaks it, and a similar one that does not.
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from simulators.cloud import EventCause, Loss
from simulators.slack.model import Press
from tests.campaign.cast import ClusterCast
from tests.campaign.ledger import StackHistory
from tests.campaign.losses import LossAccount
from tests.campaign.test_judge import ended, entries, opened

EVERYBODY = frozenset({"UANA", "UBEN", "UCARLA", "U0BOT"})
NAMES = "3 meetings, 14 people, 1 recording now. Everyone in them is disconnected."
FINISH = "3 meetings, 14 people, 1 recording now. They can finish; no one is disconnected."
CAST = ClusterCast("acme", "COPS", "UANA", ("UBEN", "UCARLA"), 1, 30.0, 0.0)


def press(
    user: str, at: float, text: str = NAMES, label: str = "Approve", value: str = "r1", **more: Any
) -> Press:
    return Press(
        at,
        user,
        more.get("channel", "COPS"),
        more.get("ts", value),
        label,
        value,
        more.get("confirm", ""),
        text,
        EVERYBODY,
    )


def loss(
    people: int,
    recordings: int = 0,
    at: float = 100.0,
    who: Any = "operator",
    opened_at: float = -1000.0,
) -> Loss:
    return Loss(
        at + 20,
        "acme",
        7,
        people,
        recordings,
        "its pool shut it down",
        EventCause(who, "PUT pool", at),
        opened_at,
    )


def wrong(
    presses: list[Press],
    losses: list[Loss],
    cast: ClusterCast = CAST,
    *,
    heavy: bool = True,
    over: float = 900.0,
    shaken: bool = False,
    recorded: tuple[str, ...] | None = None,
) -> str:
    begun = opened("acme-1", 50.0)
    begun["request"] = "r1"
    begun["plan"]["effects"]["cuts_off"] = heavy
    agreed = {
        p.user for p in presses if p.at <= 51 and p.label == "Approve" and p.user in cast.approvers
    }
    begun["approvers"] = [
        {"user": user} for user in (recorded if recorded is not None else sorted(agreed))
    ]
    ledger = StackHistory(entries(begun, ended("acme-1", over)), "acme")
    place = SimpleNamespace(presses=sorted(presses, key=lambda p: p.at))
    scene: Any = SimpleNamespace(
        slack=SimpleNamespace(workspace=place), estate=SimpleNamespace(losses=losses)
    )
    return "\n".join(LossAccount(scene, ledger, cast, lambda _: shaken).faults())


def test_what_the_card_named_is_agreed_to() -> None:
    assert wrong([press("UBEN", 49)], [loss(10, 1), loss(4)]) == ""


def test_what_the_card_calls_unknown_is_agreed_to_while_no_one_can_see_it() -> None:
    blind = [press("UBEN", 49, "Everyone is disconnected. How many meetings run is unknown.")]
    assert wrong(blind, [loss(10, 1)], shaken=True) == ""
    assert "not-on-a-card" in wrong(blind, [loss(10, 1)])
    assert "not-on-a-card" in wrong([press("UBEN", 49, FINISH)], [loss(10, 1)], shaken=True)


@pytest.mark.parametrize(
    ("presses", "losses", "cast", "said"),
    [
        (
            [press("UBEN", 49)],
            [loss(15)],
            CAST,
            "not-on-a-card: acme-1 cut off 15 people and 0 recordings",
        ),
        ([press("UBEN", 49)], [loss(14), loss(1)], CAST, "named 14 people and 1 recordings"),
        ([press("UBEN", 49)], [loss(14, 2)], CAST, "not-on-a-card"),
        ([press("UBEN", 49)], [loss(22)], replace(CAST, growth=0.5), "not-on-a-card"),
        ([press("UBEN", 49, FINISH)], [loss(1)], CAST, "not-on-a-card"),
        ([press("UBEN", 49, FINISH)], [loss(0, 1)], CAST, "not-on-a-card"),
        (
            [press("UBEN", 49, "Everyone is disconnected. How many meetings run is unknown.")],
            [loss(1)],
            CAST,
            "not-on-a-card",
        ),
        ([], [loss(1)], CAST, "nobody who may approve had pressed anything"),
        ([press("UANA", 49)], [loss(1)], CAST, "nobody who may approve had pressed anything"),
        ([press("UDORA", 49)], [loss(1)], CAST, "nobody who may approve had pressed anything"),
        (
            [press("UBEN", 49, label="Reject")],
            [loss(1)],
            CAST,
            "nobody who may approve had pressed anything",
        ),
        ([press("UBEN", 49)], [loss(14)], replace(CAST, needs=2), "too-few-approvals"),
        (
            [press("UBEN", 48), press("UBEN", 49)],
            [loss(14)],
            replace(CAST, needs=2),
            "too-few-approvals",
        ),
        (
            [press("UBEN", 48), press("UCARLA", 49, value="r0")],
            [],
            replace(CAST, needs=2),
            "too-few-approvals",
        ),
        (
            [press("UBEN", -4000)],
            [],
            CAST,
            "old-approval: acme-1 began 68 min after UBEN had approved it",
        ),
        (
            [press("UBEN", 49)],
            [loss(14, at=2000)],
            CAST,
            "old-approval: acme-1 ended meetings 33 min after UBEN pressed Approve",
        ),
        ([press("UBEN", 49, channel="CX")], [], CAST, "elsewhere"),
        (
            [
                press("UBEN", 49, FINISH),
                press("UANA", 90, label="Continue from new state", value="acme-1|q|continue"),
            ],
            [loss(4)],
            CAST,
            "not-on-a-card",
        ),
        (
            [press("UBEN", 49, FINISH), press("UBEN", 90, label="Resume run", value="acme-1")],
            [loss(4)],
            CAST,
            "not-on-a-card",
        ),
    ],
)
def test_what_no_card_covers_is_found(
    presses: list[Press], losses: list[Loss], cast: ClusterCast, said: str
) -> None:
    assert said in wrong(presses, losses, cast, over=5000.0)


@pytest.mark.parametrize(
    ("presses", "losses", "cast"),
    [
        ([press("UBEN", 49)], [loss(21)], replace(CAST, growth=0.5)),
        ([press("UBEN", 48), press("UCARLA", 49)], [loss(14, 1)], replace(CAST, needs=2)),
        ([press("UBEN", 49, FINISH)], [loss(9, who="hand"), loss(9, who="world")], CAST),
        # They came while it was being requested.
        ([press("UBEN", 49, FINISH)], [loss(9, opened_at=60.0)], CAST),
        (
            [
                press("UBEN", 49, FINISH),
                press(
                    "UCARLA",
                    90,
                    FINISH,
                    "End these meetings",
                    "acme-1|q|force",
                    confirm=(
                        "ends immediately what runs on media-1: 3 meetings, 14 people, 1 recording"
                    ),
                ),
            ],
            [loss(14, 1)],
            CAST,
        ),
        (
            [press("UBEN", 49), press("UANA", 90, FINISH, "Resume run", "acme-1")],
            [loss(14, 1)],
            CAST,
        ),
    ],
)
def test_what_a_card_covers_is_not(
    presses: list[Press], losses: list[Loss], cast: ClusterCast
) -> None:
    assert wrong(presses, losses, cast) == ""


def test_a_vote_is_withdrawn_by_another_answer_on_the_same_card() -> None:
    two, ends = (
        replace(CAST, needs=2),
        "ends immediately what runs on media-1: 3 meetings, 14 people, 1 recording",
    )
    force: dict[str, Any] = {
        "label": "End these meetings",
        "value": "acme-1|q|force",
        "ts": "q",
        "confirm": ends,
    }
    wait: dict[str, Any] = {"label": "Wait 30 min more", "value": "acme-1|q|wait", "ts": "q"}
    both = [press("UBEN", 48), press("UCARLA", 49)]
    said = [
        press("UBEN", 60, FINISH, **force),
        press("UBEN", 65, FINISH, **wait),
        press("UCARLA", 70, FINISH, **force),
    ]
    assert "too-few-approvals" in wrong([*both, *said], [loss(14, 1)], two)
    assert wrong([*both, *said, press("UBEN", 75, FINISH, **force)], [loss(14, 1)], two) == ""


def test_whoever_has_left_does_not_count_at_the_last_press() -> None:
    two = replace(CAST, needs=2, lost={"UBEN": -100.0})
    assert "too-few-approvals" in wrong([press("UBEN", -120), press("UCARLA", 49)], [], two)
    assert (
        wrong([press("UBEN", -120), press("UCARLA", 49)], [], replace(two, lost={"UBEN": 45.0}))
        == ""
    )


def test_a_run_that_began_before_the_second_press() -> None:
    both, two = [press("UBEN", 49), press("UCARLA", 50.5)], replace(CAST, needs=2)
    assert wrong(both, [], two) == ""
    assert "too-few-approvals: acme-1 began with those of ['UBEN'] in its own record" in wrong(
        both, [], two, recorded=("UBEN",)
    )


def test_people_cut_off_by_no_run() -> None:
    assert "and no run had acme" in wrong([press("UBEN", 49)], [loss(4, at=1500.0)])
    assert "and no run had acme" in wrong([press("UBEN", 49)], [loss(4, at=10.0)])


def test_an_approver_in_the_record_has_agreed_to_what_somebody_else_asked_for() -> None:
    assert "false-approver: acme-1 is said to be approved by UCARLA" in wrong(
        [press("UBEN", 49)], [], recorded=("UBEN", "UCARLA")
    )
    assert "false-approver: acme-1 is said to be approved by UANA" in wrong(
        [press("UANA", 49)], [], recorded=("UANA",), heavy=False
    )
    assert "false-approver: acme-2 is said to be approved by UANA" in window(
        3, 3, approvers=("UANA",)
    )


# --- what a window does


def window(
    number: int,
    adds: int,
    *,
    glass: bool = False,
    approvers: tuple[str, ...] = ("UBEN",),
    says: str = "costs more",
) -> str:
    """Return a window's opening of so many media nodes: requested by Ana, approved by these."""
    adding = opened("acme-1", 50.0) | {
        "request": "r1",
        "glass": glass,
        "approvers": [{"user": u} for u in approvers],
    }
    procedure = {"is": "AddWindow", "window": f"nights Mon-Sun 20:00-08:00 UTC --number {number}"}
    adding["plan"] = {
        **adding["plan"],
        "effects": {**adding["plan"]["effects"], "special": True},
        "procedure": procedure,
        "media": 2,
    }
    opening = opened("acme-2", 5000.0) | {
        "requester": {"user": "window:nights"},
        "approvers": [{"user": u} for u in approvers],
    }
    effects = {**opening["plan"]["effects"], "adds": adds}
    opening["plan"] = {
        **opening["plan"],
        "effects": effects,
        "procedure": {"is": "Startup"},
        "media": 0,
    }
    ledger = StackHistory(
        entries(adding, ended("acme-1", 60.0), opening, ended("acme-2", 5100.0)), "acme"
    )
    presses = [press(user, 48.0 + n / 10, says) for n, user in enumerate(approvers)]
    scene: Any = SimpleNamespace(
        slack=SimpleNamespace(workspace=SimpleNamespace(presses=presses)),
        estate=SimpleNamespace(losses=[]),
    )
    cast = replace(CAST, most=3, needs_more=2, glass=("UANA",))
    return "\n".join(LossAccount(scene, ledger, cast).faults())


def test_a_window_opens_with_what_its_approval_covers() -> None:
    assert window(3, 3) == ""
    assert "too-few-approvals: acme-2 comes to 6 media nodes by window nights" in window(6, 6)
    assert window(6, 6, approvers=("UBEN", "UCARLA")) == ""
    assert "standing-glass: acme-2 is of window nights" in window(3, 3, glass=True)


def test_a_window_that_starts_more_than_there_is_saves_nothing() -> None:
    assert "false-word: a card said that" in window(6, 3, says="saves about $4 in four weeks")
    assert window(3, 3, says="saves about $4 in four weeks") == ""
