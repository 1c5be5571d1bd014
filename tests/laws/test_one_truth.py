"""One truth per fact: status, Home, menu, window list and cards never contradict each other.

They are rendered from the same state, and every fact that two of them show is compared. The second
half breaks each shared function in one view, and expects that the law notices it.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.slack.blocks import Block
from handlers.views import home_tab, menu, plan, run, status, windows
from handlers.views.cluster_facts import ClusterState, service_fields, state_of
from handlers.views.home_tab import ClusterOverview, UserActions, home_view
from handlers.views.menu import menu_card
from handlers.views.offers import offers
from handlers.views.request import request_card
from handlers.views.run import run_card
from handlers.views.schedule import AHEAD, schedule_words
from handlers.views.status import status_card
from handlers.views.windows import windows_card
from services.access.policy import ClusterPolicy
from services.cluster.certificates import DAY, Certificate, CertificateSeen, NoCertificate
from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, Fact, Load
from services.cluster.service_state import service_state
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.memory.schedule import Book
from services.operations.results import Status
from services.procedures import Shutdown
from services.procedures.plan import make_plan
from services.runs.progress import Progress
from services.runs.request import Request, RequestState
from services.runs.run import Opened, Run, Taken, fold
from services.schedule.reading import Schedule
from services.secrets_env import SecretsUnread
from services.windows import (
    NONE,
    Exceptions,
    Freeze,
    Hold,
    KeepUp,
    Manual,
    Window,
    due,
    forecast,
    parse_window,
)
from tests.laws.test_cards import APPROVERS, halfway
from tests.support.clusters import (
    ANA,
    BEN,
    NO_LIVEKIT,
    NOW,
    clusters,
    down,
    events,
    law,
    ready,
    requests,
)

WINDOWS = (
    (),
    ("nights daily 20:00-07:30 Europe/Madrid",),
    ("nights Mon-Fri 20:00-07:30 UTC", "weekend Sat,Sun 00:00-24:00 UTC --media-only"),
    ("always daily 00:00-23:00 UTC",),
)
EXCEPTIONS = (
    Exceptions(),
    Exceptions(holds=(Hold(NOW - 60, NOW + 7200, BEN.mention, "exam week"),)),
    Exceptions(keep_ups=(KeepUp(NOW - 60, NOW + 3600, BEN.mention, "a late class"),)),
    Exceptions(freezes=(Freeze(NOW - 60, NOW + 3 * DAY, "year end"),)),
    Exceptions(manual=(Manual(NOW - 60, "open", BEN.mention),)),
)
CERTIFICATES: tuple[CertificateSeen | None, ...] = (
    None,
    NoCertificate("connection refused"),
    *(Certificate("https://x/", ("x",), "an authority", 0.0, NOW + d * DAY) for d in (61.5, 3, -1)),
)
UNSEEN: tuple[tuple[tuple[Fact, str], ...], ...] = (
    (),
    (),
    (),
    ((Fact.DROPLETS, "listing droplets: no answer"),),
    ((Fact.POOL, "listing pools: no answer"),),
)
DATE = r"<!date\^\d+\^[^>]*>"
EDGE = re.compile(rf"(closes|opens) ({DATE}) \(([^)]*)\)")
HELD = re.compile(rf"on hold until {DATE} by \S+ exam week")
PLACE = re.compile(r"step \d+ of \d+|finishing")
STEP = re.compile(r"step \d+ of \d+: .+?(?= · since)|finishing(?= · since)")
WAITS = re.compile(rf"\*([^*]+)\* · \w+ by (<@\w+>).*? · expires ({DATE})", re.S)
MARKS = ("🟢 ", "🟡 ", "🔴 ", "⚫ ", "⚪ ")


@dataclass(frozen=True)
class Situation:
    """Everything that the views of one cluster are made of."""

    cluster: Cluster
    run: Run | None = None
    waiting: tuple[Request, ...] = ()
    later: tuple[Request, ...] = ()
    windows: tuple[Window, ...] = ()
    exceptions: Exceptions = NONE
    certificate: CertificateSeen | None = None

    @property
    def asked(self) -> Request | None:
        """A request for a shutdown of the cluster as it is; None where that is refused."""
        with suppress(Refused):
            made = make_plan(self.cluster, Shutdown())
            if made.effects.blocks and not made.effects.cuts_off:
                return Request("a" * 32, made, ANA, "", NOW, NOW + 60, 1, "it stops the masters")
        return None

    @property
    def schedule(self) -> Schedule:
        """What the windows want now."""
        return Schedule(due(self.windows, NOW, self.exceptions), None, NOW)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Draw any state of a cluster, its run, requests, windows and exceptions."""
    cluster = replace(draw(clusters()), unseen=draw(st.sampled_from(UNSEEN)))
    run, request = fold(draw(events())), draw(requests())
    opened: Run | None = run
    if run.over or draw(st.booleans()):
        opened = None
    is_open = request.state is RequestState.OPEN
    return Situation(
        cluster,
        opened,
        (request,) if is_open and not request.scheduled else (),
        (request,) if is_open and request.scheduled else (),
        tuple(parse_window(text, "UTC") for text in draw(st.sampled_from(WINDOWS))),
        draw(st.sampled_from(EXCEPTIONS)),
        draw(st.sampled_from(CERTIFICATES)),
    )


# The views, as the handlers make them


def blocks_of(it: Situation) -> Mapping[str, list[Block]]:
    """Render every view of a situation."""
    rows = forecast(it.windows, NOW, NOW + AHEAD, it.exceptions)
    words, name = schedule_words(it.schedule, rows), it.cluster.name
    offered = offers(it.cluster, it.run, operates=True)
    mine = frozenset(r.id for r in it.waiting)
    state = Status(
        it.cluster,
        it.run,
        None,
        it.waiting,
        later=it.later,
        certificate=it.certificate,
    )
    overview = ClusterOverview(
        name,
        # Home does not look into secrets.env.
        replace(it.cluster, known=it.cluster.known - {Fact.LINT}, lint=SecretsUnread()),
        it.run,
        waiting=it.waiting,
        later=it.later,
        schedule=words,
        coming=rows,
        read=True,
        certificate=it.certificate,
    )
    allowed = tuple((o.label, f"{o.action}|{name}") for o in offered)
    actions = UserActions(mine, True, allowed, {r.id: APPROVERS for r in it.waiting})
    views = {
        "status": status_card(state, NOW, words, offered).blocks,
        "menu": menu_card(state, offered, it.exceptions.hold(NOW), "", mine).blocks,
        "home": home_view([(overview, actions)], NOW)["blocks"],
    }
    if it.windows:
        book = Book(windows=it.windows, exceptions=it.exceptions)
        views["windows"] = windows_card(
            name, book, (), ClusterPolicy(), it.schedule, words, NOW
        ).blocks
    if it.run is not None:
        progress = Progress(it.run, it.cluster, "", None, "", NOW)
        views["run"] = run_card(progress).blocks
    if it.asked is not None:
        views["request"] = request_card(it.asked, APPROVERS).blocks
    return {view: list(blocks) for view, blocks in views.items()}


def texts(blocks: list[Block]) -> Iterator[str]:
    """Yield every mrkdwn text, one block after the other."""
    for block in blocks:
        for element in (block.get("text"), *block.get("fields", ()), *block.get("elements", ())):
            if isinstance(element, dict) and element.get("type") == "mrkdwn":
                yield element["text"]


# The facts in them


def facts_in(view: str, blocks: list[Block]) -> Iterator[tuple[str, str]]:
    """Yield each fact that a view shows, as pairs of name and words."""
    whole = "\n".join(texts(blocks))
    if view in ("status", "menu"):
        yield "state", blocks[0]["text"]["text"]
    for head in (b["text"]["text"] for b in blocks if b["type"] == "header"):
        if head.startswith(MARKS):
            yield "state", head[2:]
    for block in blocks:
        for field in block.get("fields", ()):
            label, _, value = field["text"].partition("\n")
            if view != "request" or label == "*Meetings now*":
                yield label.strip("*").lower(), value
    for detail in (t for t in texts(blocks) if view == "home" and "Backups: " in t):
        yield from _details(detail)
    if view in ("status", "menu", "home") and (step := STEP.search(whole)):
        yield "step", step[0]
        yield "place", step[0].partition(":")[0]
    if view == "run" and (place := PLACE.search(str(blocks[0]["text"]["text"]))):
        yield "place", place[0]
    if held := HELD.search(whole):
        yield "hold", held[0]
    edges = EDGE.findall(whole)
    if edges:
        yield "next opening or closing", " ".join(edges[0])
    if view == "home" and (listed := EDGE.findall(_below(blocks, "Next openings"))):
        yield "next opening or closing", " ".join(listed[0])
    for what in WAITS.findall(whole):
        yield "waiting", " ".join(what)


def _details(detail: str) -> Iterator[tuple[str, str]]:
    for label, value in re.findall(r"(Backups|Certificate): (.+?)(?= · Certificate|$)", detail):
        yield label.lower(), value


def _below(blocks: list[Block], heading: str) -> str:
    """Return the text below a heading."""
    for number, block in enumerate(blocks):
        if block["type"] == "header" and block["text"]["text"].startswith(heading):
            return str(blocks[number + 1]["text"]["text"])
    return ""


def wrong_in(blocks: list[Block]) -> list[str]:
    """Return the lines with a warning that are about the cluster, in their order."""
    lines = (line for text in texts(blocks) for line in text.split("\n"))
    about = (line for line in lines if line.startswith(":warning: "))
    return [line for line in about if "`acme-7`" not in line and "acme-7 " not in line]


def contradictions(it: Situation) -> list[str]:
    """Return the facts on which two views differ."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    views = blocks_of(it)
    for view, blocks in views.items():
        for fact, words in facts_in(view, blocks):
            found[fact][words].add(view)
    differing = [
        f"{fact}: {json.dumps({w: sorted(v) for w, v in said.items()}, ensure_ascii=False)}"
        for fact, said in found.items()
        if len(said) > 1
    ]
    shown, whole = wrong_in(views["home"]), wrong_in(views["status"])
    if shown != [line for line in whole if "secrets.env" not in line][: len(shown)]:
        differing.append(f"what is wrong: {shown}, {whole}")
    return differing


def missing(it: Situation) -> list[str]:
    """Return what a view does not show, although the state has it."""
    found = []
    hold = it.exceptions.hold(NOW)
    for view, blocks in blocks_of(it).items():
        facts = dict(facts_in(view, blocks))
        if view in ("run", "request"):
            continue
        if view != "windows":
            plane = control_plane_of(it.cluster)
            nodes = (plane.label.lower(), "media nodes")
            if plane.hosts_meetings and len(it.cluster.masters) == 1:
                nodes = ("node",)
            labels = ("state", *nodes, "meetings now", "cost now")
            found += [f"{view}: no {label}" for label in labels if not facts.get(label)]
        if hold is not None and "hold" not in facts:
            found.append(f"{view}: no hold")
        if it.run is not None and view != "windows" and "step" not in facts:
            found.append(f"{view}: no step of the open run")
        if it.waiting and view != "windows" and "waiting" not in facts:
            found.append(f"{view}: not that a request waits")
    return found


@law
@given(situations())
def test_no_view_contradicts_another(it: Situation) -> None:
    assert contradictions(it) == []


@law
@given(situations())
def test_what_two_views_share_is_in_both(it: Situation) -> None:
    assert missing(it) == []


@law
@given(situations())
def test_they_are_true(it: Situation) -> None:
    """The words against the state itself: unknown is said, and never shown as none."""
    cluster = it.cluster
    for view, blocks in blocks_of(it).items():
        facts = dict(facts_in(view, blocks))
        if view in ("windows", "run", "request"):
            continue
        state, meetings = facts["state"], facts["meetings now"]
        if state == f"{cluster.name} is in service":
            assert cluster.serving
            stopped = {stop.id for stop in cluster.stopped}
            assert all(m.is_healthy or m.id in stopped for m in cluster.masters)
            assert {m.id for m in cluster.masters} - stopped
            assert cluster.front is not False
            found = service_state(cluster)
            assert found is None or found.can_meet is True
        assert (state == f"{cluster.name} is shut down") == (
            cluster.is_down and cluster.unseen[:1] != UNSEEN[3]
        )
        load = cluster.load
        if cluster.is_down:
            assert meetings == "none while shut down"
        elif isinstance(load, Load):
            assert meetings == "none" if load.idle else meetings.startswith(f"{load.rooms} (")
        else:
            assert meetings.startswith("unknown (")
        if cluster.snapshots is None and "backups" in facts:
            assert facts["backups"].startswith("unknown (")
        if cluster.unseen and not cluster.media and "node" not in facts:
            assert facts["media nodes"] == "unknown"


# The law notices a contradiction


def opened(cluster: Cluster) -> Run:
    made = make_plan(cluster, Shutdown())
    event = Opened(NOW, "acme-7", made, ANA, (BEN,), "power work", "COPS", "r")
    return fold([event, Taken(NOW, "host:1", 1, again=False)])


def examples() -> list[Situation]:
    """Return plain states that together show every fact."""
    up = ready(3)
    asked = Request("a" * 32, make_plan(up, Shutdown()), ANA, "power work", NOW, NOW + 60, 1, "x")
    nights = (parse_window(WINDOWS[1][0], "UTC"),)
    return [
        Situation(up, waiting=(asked,), windows=nights, certificate=CERTIFICATES[2]),
        Situation(halfway(up), run=opened(up), windows=nights),
        Situation(down(up), windows=nights, exceptions=EXCEPTIONS[1]),
        Situation(replace(up, load=NO_LIVEKIT, front=Unobserved("no such host", NOW - 30))),
    ]


def test_the_examples_do_not_contradict_themselves() -> None:
    for it in examples():
        assert contradictions(it) == []
        assert missing(it) == []


def lie(label: str) -> Callable[[Any], tuple[tuple[str, str], ...]]:
    """Return the fields with one wrong value."""

    def fields(cluster: Cluster) -> tuple[tuple[str, str], ...]:
        true = service_fields(cluster)
        return tuple((name, "7 of 9" if name == label else value) for name, value in true)

    return fields


def off(_: Cluster) -> ClusterState:
    return ClusterState("🟢", "is fine")


def said(words: str) -> Callable[..., str]:
    return lambda *_: words


FIELDS = ("Masters", "Media nodes", "Meetings now", "Cost now")
LIES: list[tuple[Any, str, Any, str]] = [
    *((view, "state_of", off, "state") for view in (status, menu, home_tab)),
    *((menu, "service_fields", lie(label), label.lower()) for label in FIELDS),
    *((home_tab, "service_fields", lie(label), label.lower()) for label in FIELDS),
    *(
        (view, "run_line", said("*Shutting down acme* · step 9 of 9: nothing · since now"), "step")
        for view in (status, menu, home_tab)
    ),
    *(
        (
            view,
            "waiting_line",
            said("*Scale acme* · requested by <@U9> · expires <!date^1^x|y>"),
            what,
        )
        for view, what in ((status, "waiting"), (menu, "waiting"))
    ),
    (plan, "meetings_now", said("9 (9 people)"), "meetings now"),
    (run, "run_place", said("step 9 of 9"), "place"),
    (home_tab, "backup_words", said("none"), "backups"),
    (status, "backup_words", said("9 days old (live)"), "backups"),
    (home_tab, "certificate_days", said("365 days"), "certificate"),
    (status, "certificate_days", said("expired"), "certificate"),
    (menu, "hold_words", said("on hold until <!date^1^x|y> by <@U9>: exam week"), "hold"),
    (home_tab, "edge_words", said("opens <!date^1^x|y> (days)"), "next opening or closing"),
    (home_tab, "problems", lambda *_, **__: ("It is on fire.",), "what is wrong"),
    (status, "problems", lambda *_, **__: ("It is on fire.",), "what is wrong"),
]


@pytest.mark.parametrize(
    ("view", "name", "wrong", "fact"),
    [
        pytest.param(*case, id=f"{case[0].__name__.rpartition('.')[2]}-{case[1]}-{case[3]}")
        for case in LIES
    ],
)
def test_a_planted_contradiction_is_noticed(
    view: Any, name: str, wrong: Any, fact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as planted:
        planted.setattr(view, name, wrong)
        found = [c for it in examples() for c in contradictions(it)]
    assert any(c.startswith(f"{fact}: ") for c in found), found


def test_every_shared_function_is_planted() -> None:
    """What two views import from the module of shared facts is broken by a case above."""
    modules = {m: set(vars(m)) for m in (status, menu, home_tab, windows)}
    shared = {
        name
        for name, value in vars(__import__(state_of.__module__, fromlist=["x"])).items()
        if callable(value)
        and getattr(value, "__module__", "") == state_of.__module__
        and len([m for m in modules if name in modules[m]]) > 1
    }
    assert shared <= {name for _, name, _, _ in LIES}
