"""The one card of several clusters, and many clusters at a glance: their words and their size.

`OPENVIDU_BOT_UPDATE=1 pytest tests/laws/test_batch_cards.py` writes the golden files anew.
"""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.slack.blocks import Card
from handlers.views.batch import (
    BatchFacts,
    batch_approval_needed,
    batch_card,
    batch_details,
    batch_notice,
)
from handlers.views.details import details_view
from handlers.views.fleet import FleetRow, fleet_card
from handlers.views.home_tab import ClusterOverview, UserActions, home_view
from services.cluster.model import Cluster
from services.operations.results import Status
from services.procedures import AddWindow, Procedure, Shutdown
from services.procedures.plan import Plan, make_plan
from services.runs.batch import Batch, BatchState, Part, PartState, part_id
from tests.laws.test_cards import fit_to_send
from tests.laws.test_views import fit_to_open
from tests.support.clusters import ANA, BEN, NOW, clusters, down, law, ready
from tests.support.goldens import as_json, check_golden

GOLDEN = Path(__file__).parent / "golden" / "batches"
NAMES = tuple(f"customer-{n:02d}-production" for n in range(50))
MESSAGE = 13_000  # characters that Slack takes of a message's blocks
P, B = PartState, BatchState
LINK = re.compile(r"<https://x\.slack\.com/[^|<>]+\|acme-\d+>")
LOCKED = "far is locked by `far-7`: scale 3, started by [[person UBEN]] 2 min ago"


def named(name: str, media: int = 2, rooms: int = 1) -> "Plan":
    return plan_of(Shutdown(), name, media, rooms)


def plan_of(procedure: Procedure, name: str, media: int = 2, rooms: int = 1) -> Plan:
    return make_plan(replace(ready(media, rooms), name=name), procedure)


def batch(*parts: Part, procedure: Procedure | None = None, **more: Any) -> Batch:
    made = Batch(
        "batch.3f2a91c0", procedure or Shutdown(), ANA, parts, NOW, NOW + 1800.0, 1,
        reason="power work in ams3", channel="COPS", left=1,
    )  # fmt: skip
    return replace(made, **more)


def part(name: str, state: PartState = P.WAITING, number: int = 1, **more: Any) -> Part:
    return Part(name, state, part_id("batch.3f2a91c0", number), **more)


APPROVED: dict[str, Any] = {"state": B.APPROVED, "approvals": (BEN,), "agreed_at": NOW, "left": 0}
THREE = (part("acme"), part("far", number=2), part("lab", number=3))
PLANS = {"acme": named("acme", 3, 3), "far": named("far", 1, 0), "lab": named("lab")}
WHO = "<@UBEN> or <@UCARLA>"


def shown() -> dict[str, Card]:
    """Return each card, by the name of its golden file."""
    facts = BatchFacts(PLANS, approvers=WHO)
    waiting = batch(*THREE, label="production")
    dry = batch(*(Part(name) for name in PLANS), label="production")
    refused = Part("far", P.REFUSED, why=LOCKED)
    window = AddWindow("nights daily 20:00-07:00")
    windows = {name: plan_of(window, name) for name in ("acme", "far")}
    by_hand = {n: plan_of(Shutdown(no_drain=True), n) for n in ("acme", "far")}
    running = (
        part("acme", P.DONE, run="acme-17"),
        part("far", P.RUNNING, 2, run="far-8"),
        part("lab", number=3),
    )
    failed = (
        part("acme", P.FAILED, run="acme-17", why="rolled back"),
        part("far", P.DROPPED, 2, why="not started, because acme failed"),
        part("lab", P.CHANGED, 3, why=LOCKED.replace("far", "lab")),
    )
    links = {"acme-17": "https://x.slack.com/archives/COPS/p1"}
    stop: dict[str, Any] = {"state": B.STOPPED, "closed_at": NOW + 60, "why_closed": failed[1].why}
    return {
        "waiting": batch_card(waiting, facts),
        "with-a-refused-one": batch_card(
            batch(THREE[0], refused, Part("lab", P.UNNEEDED, why="lab is shut down already")),
            BatchFacts({"acme": PLANS["acme"]}, approvers=WHO),
        ),
        "window": batch_card(
            batch(*THREE[:2], procedure=window), BatchFacts(windows, approvers=WHO)
        ),
        "disconnecting": batch_card(
            batch(*THREE[:2], procedure=Shutdown(no_drain=True)),
            BatchFacts(by_hand, approvers=WHO),
        ),
        "startable": batch_card(batch(*THREE, needs=0, left=0), facts),
        "two-approvals": batch_card(batch(*THREE, needs=2, left=1, approvals=(BEN,)), facts),
        "later": batch_card(
            batch(*THREE, later=NOW + 3600.0, zone="Europe/Madrid", until=NOW + 3600.0), facts
        ),
        "scheduled": batch_card(
            batch(*THREE, later=NOW + 3600.0, zone="Europe/Madrid", **APPROVED), facts
        ),
        "dry-run": batch_card(dry, BatchFacts(PLANS), dry=True, offer="3f2a"),
        "observed": batch_card(dry, BatchFacts(PLANS), observes=True),
        "running": batch_card(batch(*running, **APPROVED), BatchFacts(PLANS, links=links)),
        "paused": batch_card(
            batch(replace(running[1], paused=True), running[2], stop_after=2, **APPROVED),
            BatchFacts(PLANS),
        ),
        "unreadable": batch_card(
            batch(replace(THREE[0], waits="DigitalOcean does not answer"), **APPROVED),
            BatchFacts(PLANS),
        ),
        "stopped": batch_card(
            batch(*failed, **{**APPROVED, **stop}), BatchFacts(PLANS, links=links)
        ),
        "cancelled": batch_card(
            batch(
                running[0],
                part("far", P.FAILED, 2, run="far-8", why="cancelled"),
                part("lab", P.DROPPED, 3, why="cancelled by [[person UBEN]]"),
                **{**APPROVED, "state": B.CANCELLED, "closed_by": BEN, "closed_at": NOW + 60},
            ),
            BatchFacts(PLANS),
        ),
        "rejected": batch_card(
            batch(
                *THREE, state=B.REJECTED, closed_by=BEN, closed_at=NOW, why_closed="not today"
            ).dropped("x"),
            BatchFacts(PLANS),
        ),
        "expired": batch_card(
            batch(*THREE, state=B.EXPIRED, closed_at=NOW).dropped("x"), BatchFacts(PLANS)
        ),
        "done": batch_card(
            batch(
                running[0],
                part("far", P.DONE, 2, run="far-8"),
                part("lab", P.UNNEEDED, 3, why="lab is shut down already"),
                **APPROVED,
            ),
            BatchFacts(PLANS),
        ),
        "approvers": batch_approval_needed(waiting, facts, ("UBEN", "S0OPS")),
        "fleet": fleet_card(fleet_rows(), NOW, hidden=2),
    }


def fleet_rows() -> list[FleetRow]:
    up, off = ready(3, 2), down(ready(3))
    return [
        FleetRow("acme", ("production",), Status(replace(up, name="acme"), None, None)),
        FleetRow("far", ("production",), Status(replace(off, name="far"), None, None)),
        FleetRow("lab-3", (), None, "it did not answer within 30 s"),
        FleetRow(
            "far-2",
            ("staging",),
            Status(replace(up, name="far-2", front=False), None, None),
        ),
    ]


CARDS = shown()


@pytest.mark.parametrize("name", sorted(CARDS))
def test_what_it_says(name: str) -> None:
    card = CARDS[name]
    fit_to_send(without_links(card))
    check_golden(GOLDEN / f"{name}.json", as_json({"text": card.text, "blocks": [*card.blocks]}))


def test_no_golden_file_is_left_over() -> None:
    assert sorted(p.stem for p in GOLDEN.glob("*.json")) == sorted(CARDS)


def without_links(card: Card) -> Card:
    """Return the card without links to the messages of runs, which are the bot's own."""
    blocks = json.loads(LINK.sub("", json.dumps([*card.blocks])))
    return Card(card.text, tuple(blocks))


def fits(card: Card) -> None:
    fit_to_send(without_links(card))
    assert len(card.blocks) <= 50
    assert len(json.dumps([*card.blocks], ensure_ascii=False)) < MESSAGE + 2000
    assert len(card.text) <= 3900


@law
@given(
    st.integers(1, 50),
    st.sampled_from(list(BatchState)),
    st.lists(st.sampled_from(list(PartState)), min_size=50, max_size=50),
    st.text(max_size=300),
)
def test_fifty_clusters_fit_into_one_message_and_each_is_named(
    number: int, state: BatchState, of_parts: list[PartState], typed: str
) -> None:
    plans = {name: named(name, 2, 3) for name in NAMES[:3]}
    plans = {n: replace(plans[NAMES[i % 3]], cluster=n) for i, n in enumerate(NAMES[:number])}
    waiting = batch(*(part(n, number=i) for i, n in enumerate(plans)), reason=typed)
    card = batch_card(waiting, BatchFacts(plans, approvers=WHO))
    fits(card)
    assert all(f"*{name}*" in str(card.blocks) for name in plans), "every plan is on the card"
    parts = [part(n, of_parts[i], i, why=typed, run=f"{n}-1") for i, n in enumerate(plans)]
    begun = batch(*parts, state=state, why_closed=typed, closed_by=BEN, agreed_at=NOW)
    fits(batch_card(begun, BatchFacts(plans)))
    fit_to_open(details_view(batch_details(begun, BatchFacts(plans), {}), "COPS"))


@law
@given(st.lists(clusters(), min_size=1, max_size=3), st.integers(1, 120), st.text(max_size=200))
def test_a_fleet_of_any_size_fits_and_counts_each_once(
    seen: list[Cluster], number: int, typed: str
) -> None:
    rows = []
    for n in range(number):
        cluster = replace(seen[n % len(seen)], name=f"c-{n}")
        status = Status(cluster, None, None) if n % 4 else None
        rows.append(FleetRow(f"c-{n}", ("production",) if n % 2 else (), status, typed))
    card = fleet_card(rows, NOW)
    fits(card)
    assert str(card.blocks).count("*c-") == min(number, 40)


def test_home_of_a_hundred_clusters_shows_what_is_wrong_and_counts_the_rest_by_label() -> None:
    up = ready(3)
    overviews = [
        (
            ClusterOverview(
                f"c-{n:02d}",
                replace(up, name=f"c-{n:02d}"),
                read=True,
                labels=(("production", "staging")[n % 2],),
                trouble=("It could not be observed",) if n in (50, 77) else (),
            ),
            UserActions(),
        )
        for n in range(100)
    ]
    view = home_view(overviews, NOW)
    fit_to_open(view)
    text = str(view["blocks"])
    assert text.index("c-50 is in service") < text.index("c-00 is in service")
    assert text.index("c-77 is in service") < text.index("c-02 is in service")
    assert "c-01 is in service" not in text, "its label comes later"
    (rest,) = [b for b in view["blocks"] if "clusters more" in str(b)]
    assert "And 80 clusters more: production: 31 in service; staging: 49 in service" in str(rest)


def test_home_shows_a_change_of_several_clusters_with_the_buttons_of_its_reader() -> None:
    waiting = batch(*THREE)
    glance = (ClusterOverview("acme", ready(3), read=True), UserActions())
    view = home_view([glance], NOW, batches=[(waiting, []), (waiting, [])] * 3)
    fit_to_open(view)
    text = str(view["blocks"])
    assert text.count("Shut down 3 clusters") == 3
    assert "And 3 more, in their channels" in text


def test_what_is_said_at_the_end_names_what_was_not_done() -> None:
    parts = (
        part("acme", P.DONE, run="acme-1"),
        part("far", P.FAILED, 2, run="far-1", why="rolled back"),
        part("lab", P.DROPPED, 3),
    )
    over = batch(*parts, state=B.STOPPED, why_closed="not started, because far failed")
    said = batch_notice(over)
    assert "<@UANA>: shut down 3 clusters: stopped, 1 of 3 done." in said
    assert "Failed: far." in said
    assert "Not started: lab." in said
    assert batch_notice(batch(*THREE)) == "", "nothing is said while it waits"
    mine = replace(over, state=B.REJECTED, closed_by=ANA)
    assert batch_notice(mine) == "", "who withdraws it knows"


def test_the_sums_are_those_of_the_plans() -> None:
    card = batch_card(batch(*THREE), BatchFacts(PLANS))
    saves = sum(plan.saves or 0 for plan in PLANS.values())
    assert f"saves ${saves:.2f}/h" in str(card.blocks)
    rooms = sum(plan.load.rooms for plan in PLANS.values() if plan.load)
    people = sum(plan.load.people for plan in PLANS.values() if plan.load)
    assert f"{rooms} ({people} people)" in str(card.blocks)
    unknown = {**PLANS, "far": replace(PLANS["far"], saves=None, load=None)}
    card = batch_card(batch(*THREE), BatchFacts(unknown))
    assert "; unknown on 1 cluster" in str(card.blocks), "unknown is not nothing"


def test_each_state_reads_differently() -> None:
    heads = Counter(str(CARDS[n].blocks[0]["text"]["text"]) for n in ("done", "stopped", "expired",
        "rejected", "cancelled", "running", "waiting", "scheduled"))  # fmt: skip
    assert max(heads.values()) == 1
