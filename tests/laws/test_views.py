"""Home tab, menu and forms in every state: valid for Slack, bounded, no offer that is refused.

`OPENVIDU_BOT_UPDATE=1 pytest tests/laws/test_views.py` writes the golden files anew; read the diff.
"""

import json
import re
import shlex
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import views
from handlers.commands.holds import HoldCommand
from handlers.commands.parser import COMMANDS, parse
from handlers.interactions.command_form import (
    ModalState,
    command_form,
    looking_view,
    plan_view,
    read_command_form,
)
from handlers.interactions.options import command_of_action
from handlers.slack.blocks import Card
from handlers.terminal.plaintext import TerminalReader, render_card
from handlers.views.home_tab import ClusterOverview, UserActions, home_view
from handlers.views.menu import menu_card, which_card
from handlers.views.offers import Offer, offers
from handlers.views.schedule import AHEAD, schedule_words
from handlers.views.status import status_card
from services.cluster.certificates import DAY, Certificate
from services.cluster.model import Cluster, Load, Size
from services.common.command import Command, CommandClass
from services.operations.results import Status
from services.procedures import (
    DrainNodes,
    ResizeMasters,
    ResizeMedia,
    Restart,
    Scale,
    Shutdown,
    Startup,
)
from services.procedures.plan import make_plan
from services.runs.progress import Progress
from services.runs.request import Request
from services.runs.run import Asked, Ended, Event, Opened, Run, State, Stopped, Taken, fold
from services.schedule.reading import Schedule
from services.windows import Hold, due, forecast, parse_window
from simulators.slack.blockkit import VIEW_BYTES, check_view
from simulators.slack.elements import begins_with, interactive
from tests.laws.test_cards import APPROVERS, HELD, fit_to_send, halfway, texts_of
from tests.support.clusters import (
    ANA,
    BEN,
    HOSTILE,
    IDLE,
    NOW,
    clusters,
    down,
    events,
    law,
    ready,
    requests,
)
from tests.support.goldens import as_json, check_golden
from tests.support.slack_models import complaints_about_view

Json = dict[str, Any]
GOLDEN = Path(__file__).parent / "golden" / "views"
LINK = re.compile(r"<https://[^|<>]+\|acme-\d+>")
FORMS = tuple(
    command_of_action(o.action.partition(":")[2])
    for o in offers(ready(3), None, operates=True, windows=True)
    if o.form
)


def fit_to_open(view: Json) -> None:
    """What Slack asks of every view, and we of ours."""
    assert check_view(view) == []
    assert complaints_about_view(view) == []
    assert len(json.dumps(view)) < VIEW_BYTES
    for text in texts_of(view["blocks"]):
        assert "<" not in LINK.sub("", HELD.sub("", text))
        assert "<@U666>" not in text
        assert "*bold*" not in text


def filled(view: Json) -> Json:
    """Return the view as it is sent with the first option of every list."""
    values: Json = {}
    for block, element in interactive(view["blocks"]):
        said = begins_with(element)
        if not block.get("optional") and element["type"] == "static_select":
            said["selected_option"] = element["options"][0]
        if element["type"] == "plain_text_input" and not block.get("optional"):
            said["value"] = "typed"
        values.setdefault(block["block_id"], {})[element["action_id"]] = said
    return {**view, "state": {"values": values}}


# Laws


@law
@given(
    st.lists(st.tuples(clusters(), events(), requests()), max_size=4),
    st.sampled_from(("", *HOSTILE)),
    st.booleans(),
)
def test_home(
    found: list[tuple[Cluster, list[Event], Request]], typed: str, operates: bool
) -> None:
    glances = []
    for number, (cluster, told, request) in enumerate(found):
        told_run = fold(told)
        run = None if told_run.over else told_run
        offered = tuple(
            (o.label, f"{o.action}|acme") for o in offers(cluster, run, operates=operates)
        )
        glance = ClusterOverview(
            f"c{number}",
            cluster,
            run,
            Progress(run, cluster, typed, NOW + 9, "", NOW) if run else None,
            (request,),
        )
        glances.append(
            (
                glance,
                UserActions(
                    frozenset({request.id}) if operates else frozenset(),
                    operates,
                    offered,
                    {request.id: APPROVERS},
                ),
            )
        )
        glances.append(
            (ClusterOverview(f"d{number}", None, trouble=(typed,) if typed else ()), UserActions())
        )
    fit_to_open(home_view(glances, NOW, hidden=1))
    fit_to_open(
        home_view(glances, NOW, outsider="guests of the workspace may not operate clusters")
    )


def test_home_of_very_many_clusters_in_very_much_trouble() -> None:
    request = Request(
        "a" * 32,
        make_plan(ready(3), Shutdown()),
        ANA,
        "why " * 200,
        NOW,
        NOW + 9,
        1,
        "it stops the masters",
    )
    run = fold(
        [
            Opened(NOW, "acme-7", request.plan, ANA, (), "r"),
            Taken(NOW, "w", 1, again=False),
            Stopped(NOW, "why " * 500),
        ]
    )
    offered = tuple((o.label, f"{o.action}|acme") for o in offers(ready(3), None, operates=True))
    glances = [
        (
            ClusterOverview(
                f"cluster-{n}",
                ready(40),
                run,
                None,
                (request,) * 5,
                schedule="hours " * 90,
                trouble=("x" * 900,),
            ),
            UserActions(frozenset({request.id}), operates=True, offers=offered),
        )
        for n in range(200)
    ]
    view = home_view(glances, NOW)
    fit_to_open(view)
    assert "And 180 clusters more" in str(view["blocks"])


@law
@given(clusters(), events(), requests(), st.booleans(), st.booleans(), st.booleans())
def test_menu(
    cluster: Cluster, told: list[Event], request: Request, operates: bool, held: bool, busy: bool
) -> None:
    told_run = fold(told)
    run = told_run if busy and not told_run.over else None
    offered = offers(cluster, run, operates=operates, held=held, windows=held)
    hold = Hold(NOW, NOW + 60, ANA.mention, "exam week") if held else None
    card = menu_card(
        Status(cluster, run, None, (request,)),
        offered,
        hold,
        "" if operates else "only operators may",
        frozenset({request.id}),
    )
    fit_to_send(card)
    typed = render_card(card, TerminalReader())
    assert all(o.command in typed for o in offered), (
        "somebody at a terminal reads commands in the place of buttons"
    )
    names = [o.command for o in offered]
    assert len(set(names)) == len(names)
    assert all(command_of_action(o.action.partition(":")[2]) is not None for o in offered), (
        "every offer is a command"
    )
    for offer in offered:
        kind = next(s for s in COMMANDS if s.command == offer.command)
        if offer.form or CommandClass.LOOK not in kind.classes:
            assert operates
        if not offer.form:
            assert parse(offer.command).command is not None
    changing = [
        n
        for n in names
        if command_of_action(n.replace(" ", "-")) in (Shutdown, Startup, Scale, Restart)
    ]
    if run is not None or held or not operates:
        assert not changing, "nothing is offered that would be refused at once"
    if cluster.is_down and operates and not run and not held and not cluster.problem:
        assert changing == ["startup"]


@law
@given(clusters(), st.sampled_from([k for k in FORMS if k is not None]))
def test_forms_lead_to_the_words_that_could_be_typed(cluster: Cluster, kind: type[Command]) -> None:
    view = command_form(kind, cluster, ModalState(kind.command, "acme", "COPS"))
    fit_to_open(view)
    meant = read_command_form(filled(view))
    assert isinstance(parse(meant.words).command, kind)
    assert (meant.cluster, meant.channel) == ("acme", "COPS")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_typed_into_a_form_stays_what_it_is(text: str) -> None:
    kind = command_of_action("hold")
    assert kind is not None
    view = filled(command_form(kind, ready(3), ModalState("hold", "acme")))
    view["state"]["values"]["what"]["what"]["value"] = text
    said = parse(read_command_form(view).words).command
    assert isinstance(said, HoldCommand)
    typed = parse(f"hold {shlex.quote(' '.join(text.split()))} for 30m").command
    assert said == typed


def test_very_many_sizes_and_nodes_fit_into_their_lists() -> None:
    sizes = tuple(
        Size(f"s-{n}", 2, 4096, 9999, Decimal("0.1"), Decimal(n), ("ams3",)) for n in range(400)
    )
    cluster = replace(ready(300), sizes=sizes, region="ams3")
    for kind in (ResizeMasters, ResizeMedia, DrainNodes, Restart, Scale):
        fit_to_open(command_form(kind, cluster, ModalState(kind.command, "acme")))


# Golden files


def busy() -> Run:
    opened = Opened(
        NOW,
        "acme-7",
        make_plan(ready(3), Shutdown()),
        ANA,
        (BEN,),
        "power work in ams3",
        "COPS",
        "r",
    )
    return fold([opened, Taken(NOW, "host:1", 1, again=False), Asked(NOW + 1, 0, 0)])


def ended(number: int, procedure: Startup | Shutdown) -> Run:
    before = ready(3)
    if isinstance(procedure, Startup):
        before = down(before)
    at = NOW - 3600 * (10 - number)
    plan = make_plan(before, procedure)
    opened = Opened(at, f"acme-{number}", plan, ANA, (BEN,), "")
    return fold([opened, Ended(at + 300, State.DONE, "")])


def shown() -> dict[str, Json | Card]:
    """The views that people see most, by name."""
    up = replace(ready(3), load=Load(3, 14, 1, longest=4320.0))
    asked = Request(
        "a" * 32,
        make_plan(up, Shutdown()),
        ANA,
        "power work in ams3",
        NOW,
        NOW + 1800,
        1,
        "it stops the masters",
    )
    all_mine = tuple((o.label, f"{o.action}|acme") for o in offers(up, None, operates=True))
    reading = tuple((o.label, f"{o.action}|acme") for o in offers(up, None, operates=False))
    run, drain = busy(), halfway(up)
    progress = Progress(run, drain, "media-2: 1 meeting, 2 people", NOW + 7200, "", NOW + 840)
    month = "about $212.40 this month, $41.10 saved"
    windows = (parse_window("nights daily 20:00-07:30 Europe/Madrid", "UTC"),)
    rows = forecast(windows, NOW, NOW + AHEAD)
    words = schedule_words(Schedule(due(windows, NOW), None, NOW), rows)
    before = tuple(ended(n, procedure) for n, procedure in ((6, Startup()), (5, Shutdown())))
    glance = ClusterOverview(
        "acme",
        up,
        schedule=words,
        coming=rows,
        month=month,
        read=True,
        windows=True,
        certificate=Certificate("https://x/", ("x",), "an authority", 0.0, NOW + 61.5 * DAY),
        recent=before,
        links={"acme-6": "https://acme.slack.com/archives/COPS/p1", "acme-7": "https://x/p2"},
    )
    later = replace(asked, id="at.0a1b2c3d", later=NOW + 7200, zone="UTC").agreed(NOW)
    other = ClusterOverview("lab", replace(down(up), name="lab"), read=True)
    lost = ClusterOverview(
        "far",
        None,
        trouble=("It could not be observed: listing droplets: DigitalOcean answered 503",),
    )
    opened = Opened(NOW, "acme-7", run.plan, ANA, (BEN,), "r")
    stopped = fold(
        [
            opened,
            Taken(NOW, "h", 1, again=False),
            Stopped(NOW + 60, "no one answered the question in time"),
        ]
    )
    mine = UserActions(
        frozenset({asked.id}), operates=True, offers=all_mine, approvers={asked.id: APPROVERS}
    )
    hold = Hold(NOW, NOW + 7200, ANA.mention, "exam week")
    assert stopped.state is State.STOPPED

    def form(kind: type[Command]) -> Json:
        sold = ((2, 4, 80, 24), (4, 8, 160, 48), (8, 16, 320, 96))
        sizes = tuple(
            Size(f"s-{c}vcpu-{m}gb", c, m * 1024, d, Decimal(p) / 672, Decimal(p), ("ams3",))
            for c, m, d, p in sold
        )
        return command_form(
            kind,
            replace(drain, sizes=sizes, region="ams3"),
            ModalState(kind.command, "acme", "COPS"),
        )

    def menu(
        status: Status,
        hold: Hold | None = None,
        may_not: str = "",
        mine: frozenset[str] = frozenset(),
    ) -> Card:
        offered: tuple[Offer, ...] = offers(
            status.cluster, status.run, operates=not may_not, held=hold is not None
        )
        return menu_card(status, offered, hold, may_not, mine)

    def status(status: Status) -> Card:
        offered = offers(status.cluster, status.run, operates=True)
        return status_card(status, NOW, words, offered, decides=True)

    drained = tuple(replace(n, look=IDLE) for n in up.media)
    return {
        "home": home_view(
            [
                (replace(glance, waiting=(asked,), later=(later,)), mine),
                (other, UserActions()),
                (lost, UserActions()),
            ],
            NOW + 60,
        ),
        "home-busy": home_view(
            [
                (
                    replace(glance, cluster=drain, run=run, progress=progress),
                    replace(mine, offers=reading),
                )
            ],
            NOW + 840,
        ),
        "home-quiet": home_view([(glance, mine)], NOW + 60),
        "home-reader": home_view([(glance, UserActions(offers=reading))], NOW + 60, hidden=1),
        "home-first": home_view([(ClusterOverview("acme", read=True), mine)], NOW),
        "home-stopped": home_view([(replace(glance, run=stopped), mine)], NOW + 90, hidden=2),
        "home-outsider": home_view(
            [], NOW, outsider="guests of the workspace may not operate clusters; ask a full member"
        ),
        "status": status(Status(up, None, None, certificate=glance.certificate)),
        "status-busy": status(Status(drain, run, progress)),
        "status-wrong": status(Status(replace(up, media=drained), None, None)),
        "menu": menu(Status(up, None, None)),
        "menu-approver": menu(Status(up, None, None, (asked,)), mine=frozenset({asked.id})),
        "menu-busy": menu(Status(drain, run, progress)),
        "menu-down": menu(Status(down(up), None, None)),
        "menu-held": menu(Status(up, None, None), hold),
        "menu-reader": menu(
            Status(up, None, None),
            may_not="only operators of this cluster may change it. Ask <@UANA> or <@UBEN>",
        ),
        "menu-which": which_card(["acme", "lab"]),
        "form-looking": looking_view(ModalState("scale", "acme"), "Looking at"),
        "form-shutdown": form(Shutdown),
        "form-startup": form(Startup),
        "form-scale": form(Scale),
        "form-restart": form(Restart),
        "form-drain": form(DrainNodes),
        "form-resize-media": form(ResizeMedia),
        "form-resize-masters": form(ResizeMasters),
        "form-plan": plan_view(
            views.plan_card(asked.plan, dry=False),
            ModalState("shutdown", "acme", "COPS", "shutdown"),
            submit="Request approval",
            note=(
                "Someone else must approve it, because it stops the masters. "
                "Nothing is changed before that."
            ),
        ),
    }


NAMES = sorted(shown())


@pytest.mark.parametrize("name", NAMES)
def test_views_look_as_they_did(name: str) -> None:
    made = shown()[name]
    if isinstance(made, Card):
        fit_to_send(made)
    else:
        fit_to_open(made)
    told = (
        {"text": made.text, "blocks": list(made.blocks)}
        if isinstance(made, Card)
        else {"view": made}
    )
    text = as_json(told)
    check_golden(GOLDEN / f"{name}.json", text)


def test_no_golden_file_is_left_over() -> None:
    assert sorted(p.stem for p in GOLDEN.glob("*.json")) == NAMES


def test_every_text_says_when_it_was_so() -> None:
    for name, made in shown().items():
        if name.startswith(("home", "menu-")) and name != "menu-which":
            assert re.search(r"<!date\^", str(made)), name
