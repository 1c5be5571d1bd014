"""Every card in every state: valid for Slack, complete as text alone, and safe with user input.

`OPENVIDU_BOT_UPDATE=1 pytest tests/laws/test_cards.py` writes the golden files anew; read the diff.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import views
from handlers.slack.blocks import TEXT, Card, escape, truncate
from handlers.slack.markup import markup
from handlers.views.run_details import describe_event, one_run_card
from handlers.views.text import without_formatting
from services.access.policy import Actor
from services.audit.anchors import Digest
from services.audit.entries import AuditAction, AuditRecord, Entry, link
from services.cluster.model import Cluster, Load, SecretsState
from services.cluster.service_state import ServiceState
from services.common.errors import Rejected
from services.common.observed import Observed, Unobserved
from services.operations.results import Status
from services.procedures import (
    AddWindow,
    BackupCreate,
    Configure,
    Procedure,
    ResizeMasters,
    Restart,
    Scale,
    Shutdown,
    Startup,
)
from services.procedures.plan import Plan, make_plan
from services.runs.progress import Progress
from services.runs.request import Act, Request, RequestState
from services.runs.run import (
    OVER,
    Answered,
    Asked,
    CancelAsked,
    Ended,
    Event,
    Noted,
    Opened,
    Questioned,
    Reached,
    Run,
    State,
    Stopped,
    Taken,
    apply,
    fold,
)
from services.steps.results import tally
from simulators.slack.blockkit import check_blocks, check_view
from tests.laws.first_screen import MOST_IN_SENTENCE, MOST_IN_TEXT, MOST_WORDS, texts_above_buttons
from tests.laws.first_screen import words as words_of
from tests.support.clusters import (
    ANA,
    BEN,
    DRAINING,
    HOSTILE,
    IDLE,
    NOW,
    SIZES,
    SOLD,
    clusters,
    down,
    events,
    law,
    loads,
    plans,
    ready,
    requests,
    texts,
)
from tests.support.goldens import as_json, check_golden
from tests.support.slack_models import complaints_about_message, complaints_about_view

GOLDEN = Path(__file__).parent / "golden"
APPROVERS = "<@UBEN> or <@UCARLA>"
# What may stand before a sentence; names with which one begins in lower case: clusters, windows,
# nodes, sizes, files, commands.
LEADING = re.compile(r"^(?:[*_> •✓–○▸█░]|:[a-z_]+:|&gt;)*")
NAME_FIRST = re.compile(r"(?:acme|far|lab|nights)\b|[a-z]+[-_.]\w|(?:master|node) ·")
CAPITALISED = re.compile(r"\b(?:Acme|Nights)\b")
HELD = re.compile(r"<(@[A-Z0-9]+|!subteam\^[A-Z0-9]+|!date\^\d+\^[^|<>]*\|[^<>]*)>")
DATE = re.compile(r"<!date\^\d+\^(\{time\}|\{date_short\}|\{date_short_pretty\} \{time\})\|[^<>]+>")


def texts_of(value: Any) -> Iterator[str]:
    """Every mrkdwn text inside."""
    if isinstance(value, dict):
        if value.get("type") == "mrkdwn":
            yield value["text"]
        for inner in value.values():
            yield from texts_of(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_of(inner)


def fit_to_send(card: Card) -> None:
    """What Slack and a screen reader ask of every message."""
    sent = card.arguments()
    assert check_blocks(sent["blocks"]) == []
    assert complaints_about_message(sent["text"], sent["blocks"]) == []
    assert 0 < len(sent["text"].strip()) <= TEXT
    for text in (sent["text"], *texts_of(sent["blocks"])):
        left = HELD.sub("", text)
        assert "<" not in left, f"a mark that is not ours, or half a one of ours: {left}"
        assert ">" not in left.replace("->", "")
        assert "<@U666>" not in text
        assert "*bold*" not in text, "formatting that somebody typed"
        assert "`code`" not in text
        assert all(DATE.fullmatch(found) for found in re.findall(r"<!date[^>]*>", text))
        assert not re.search(r"&(?!amp;|lt;|gt;)", text)
    assert begins_in_lower_case(sent) == []
    for element in (e for b in sent["blocks"] if b["type"] == "actions" for e in b["elements"]):
        if "url" in element:
            assert "value" not in element, "a link decides nothing"
            continue
        for pressed in element.get("options", [element]):
            assert re.fullmatch(r"[\w|:.-]{1,150}", pressed["value"]), "opaque ids only"


def begins_in_lower_case(sent: dict[str, Any]) -> list[str]:
    """Return the texts that do not begin as a sentence, and names that lost their case."""
    lines: list[str] = []
    for block in sent["blocks"]:
        own = [block.get("text"), *block.get("elements", ())]
        if block["type"] in ("header", "section", "context"):
            lines += [t["text"] for t in own if t is not None]
    first = [LEADING.sub("", line) for text in lines for line in text.split("\n")]
    first.append(LEADING.sub("", sent["text"]))
    begun = [line for line in first if line[:1].islower() and not NAME_FIRST.match(line)]
    return begun + [word for line in (sent["text"], *lines) for word in CAPITALISED.findall(line)]


def says(card: Card, *words: str) -> None:
    """Check that the text alone has these words."""
    for word in words:
        assert word in card.text, f"{word!r} is not in {card.text!r}"


def says_one_way_back(card: Card, plan: Plan) -> None:
    """Check that a card never calls something reversible and not reversible."""
    read = f"{card.text} {' '.join(texts_of(card.blocks))}"
    if plan.permanent:
        assert "Undo" not in read
    else:
        assert "Not reversible" not in read


# Laws


@law
@given(
    st.lists(
        st.builds(
            AuditRecord,
            st.sampled_from(list(AuditAction)),
            st.sampled_from((None, ANA, BEN)),
            *[texts] * 5,
        ),
        max_size=30,
    )
)
def test_the_audit(deeds: list[AuditRecord]) -> None:
    entries: list[Entry] = []
    for deed in deeds:
        entries.append(link("acme", entries[-1].head if entries else None, deed, NOW))
    head = entries[-1].head if entries else None
    card = views.audit_card("acme", entries[::-1], head)
    fit_to_send(card)
    says(card, f"{len(entries)} decision" if entries else "Nothing was decided")
    if head is not None:
        fit_to_send(views.digest_card("acme", Digest(head, len(entries))))


@law
@given(
    st.lists(
        st.lists(st.sampled_from(("line", "7,", "DOMAIN_NAME:", "is;", "empty.", "Restore", "x")))
        .filter(bool)
        .map(lambda words: f"[[warning]] Secrets.env: {' '.join(words)}"),
        max_size=4,
    )
)
def test_every_warning_of_a_plan_is_above_the_fold(warnings: list[str]) -> None:
    """Each in few words; of many, how many more there are."""
    plan = replace(make_plan(ready(3), Shutdown(no_drain=True)), notes=tuple(warnings))
    asked = Request("a" * 32, plan, ANA, "power work", NOW, NOW + 1800, 1, "it ends meetings")
    later = replace(asked, later=NOW + 3600, zone="UTC", until=NOW + 3600, needs=0).agreed(NOW)
    run = a_run(notes=tuple(warnings) or ("x",))
    cards = [
        views.request_card(asked, APPROVERS),
        views.request_card(replace(asked, glass=True), APPROVERS),
        views.request_card(later, APPROVERS),
        views.plan_card(plan, dry=True),
        views.run_card(Progress(run, ready(3), "", None, "", NOW)),
    ]
    for card in cards:
        above = texts_above_buttons(list(card.blocks))
        lines = [line for text in above for line in text.split("\n") if "warning" in line]
        told = [line for line in lines if "Secrets.env" in line]
        others = [int(n) for line in lines for n in re.findall(r"(\d+) (?:more )?warning", line)]
        assert len(told) + sum(others) == len(warnings), lines
        assert len(others) <= 1
        assert all(words_of(line) <= MOST_IN_SENTENCE for line in told)
        assert sum(map(words_of, above)) <= MOST_WORDS


def test_a_bar_and_the_line_below_it_say_a_fact_once() -> None:
    told = a_run(*(Reached(NOW + n, n - 1) for n in range(1, 8)), procedure=Startup())
    here = halfway(ready(3))
    assert told.step is not None
    waits, counted = told.step.waits_for(here), tally(told.step, here)
    card = views.run_card(Progress(told, here, waits, None, "", NOW + 8, tally=counted))
    shown_there = " ".join(texts_of(card.blocks))
    assert shown_there.count("0 of 3 media nodes in service") == 1
    assert card.text.count("0 of 3 media nodes in service") == 1
    assert "waiting for 0 of" not in card.text


def test_what_has_only_begun_has_no_duration() -> None:
    card = views.run_card(Progress(a_run(), ready(3), "", None, "", NOW + 1))
    assert not re.search(r"(?:waiting|running for) \d", " ".join(texts_of(card.blocks)))


def test_an_event_is_described_in_one_line() -> None:
    told = Noted(NOW, "DigitalOcean refused 0:\nno <b>capacity</b>\n\tin ams3")
    described = describe_event(told, a_run())
    assert described == "DigitalOcean refused 0: no &lt;b&gt;capacity&lt;/b&gt; in ams3"


def test_a_sentence_needs_to_know_the_names_and_keeps_their_case() -> None:
    parameters = inspect.signature(views.sentence).parameters
    assert parameters["names"].default is inspect.Parameter.empty, "no caller can forget them"
    names = {"acme"}
    for kept in (
        "acme is shut down",
        "media-2 is off",
        "secrets.env is empty",
        "`x` is",
        "acme: y",
    ):
        assert views.sentence(kept, names).startswith(kept.split()[0])
    assert views.sentence("nothing was changed", names) == "Nothing was changed."


def test_a_note_about_windows_keeps_their_names() -> None:
    """No note begins with a window's name, which `sentence` could not tell from a word."""
    windows = ("nights Mon-Fri 20:00-07:30 UTC", "late Sat 10:00-12:00 Etc/GMT+3")
    for words in ("deep Mon-Fri 21:00-09:00 UTC --media-only", "deep daily 21:00-06:00 UTC"):
        plan = make_plan(replace(ready(3), windows=windows), AddWindow(words))
        asked = Request("a" * 32, plan, ANA, "", NOW, NOW + 1800, 1, "it closes acme")
        read = " ".join(texts_of(views.details_blocks(asked, APPROVERS)))
        assert "overlaps nights" in read
        assert not re.search(r"\b(?:Nights|Late|Deep)\b", read)


@law
@given(requests())
def test_requests(request: Request) -> None:
    card = views.request_card(request, APPROVERS)
    fit_to_send(card)
    says(card, views.title(request.plan), "<@UANA>")
    if request.later:
        says(card, request.moment)
    if request.scheduled:
        says(card, "Cost" if request.plan.steps else "Nothing to do", "later cancel")
        assert [
            e["action_id"] for b in card.blocks if b["type"] == "actions" for e in b["elements"]
        ] == ["reject", "details"]
    elif request.state is RequestState.OPEN:
        says(card, "Cost")
        if request.glass:
            says(card, "Only <@UANA> can confirm it")
        else:
            says(card, APPROVERS)
        assert [
            e["action_id"] for b in card.blocks if b["type"] == "actions" for e in b["elements"]
        ] == ["approve", "reject", "details"]
        shown_there = views.without_formatting(" ".join(texts_of(card.blocks)))
        for special in request.plan.effects.special:
            assert views.without_formatting(special)[1:] in shown_there
        says_one_way_back(card, request.plan)
    else:
        assert not [b for b in card.blocks if b["type"] == "actions"], "nothing to press any more"
    if request.state in (RequestState.REJECTED, RequestState.EXPIRED, RequestState.SUPERSEDED):
        says(card, "Nothing was changed")
    assert card.blocks[0]["type"] == "header"
    fit_to_send(views.details_card(request, APPROVERS))
    modal = views.details_view(views.details_blocks(request, APPROVERS), "COPS")
    assert check_view(modal) == []
    assert complaints_about_view(modal) == []
    detailed = " ".join(texts_of(modal))
    for step in request.plan.steps:
        assert without_formatting(step.title()) in detailed
    assert request.plan.digest[:12] in detailed


@law
@given(plans(), st.booleans())
def test_plans(both: tuple[Cluster, Plan], dry: bool) -> None:
    _cluster, plan = both
    card = views.plan_card(plan, dry=dry)
    fit_to_send(card)
    says(card, views.title(plan), "othing was changed")
    empty = make_plan(down(ready(3)), Shutdown())
    fit_to_send(views.plan_card(empty, dry=dry))
    says(views.plan_card(empty, dry=dry), "Shut down acme", "nothing to do")


@law
@given(plans())
def test_a_first_screen_is_short_and_never_calls_unknown_meetings_none(
    both: tuple[Cluster, Plan],
) -> None:
    _cluster, plan = both
    request = Request("a" * 32, plan, ANA, "power work", NOW, NOW + 1800, 1, "it stops the masters")
    card = views.request_card(request, APPROVERS)
    read = f"{card.text} {' '.join(texts_of(card.blocks))}"
    if isinstance(plan.meetings, Unobserved):
        assert "No one is in a meeting" not in read
        assert "*Meetings now*\nnone" not in read
    elif plan.effects.cuts_off and plan.meetings.rooms:
        assert f"{plan.meetings.people} " in card.text
    if not plan.effects.special:
        blocks = list(card.blocks)
        assert sum(map(words_of, texts_above_buttons(blocks))) <= MOST_WORDS
        assert words_of(card.text) <= MOST_IN_TEXT


progress_words = st.sampled_from(("", "media-2: 1 meeting, 2 people", *HOSTILE))


@law
@given(events(), clusters() | st.none(), progress_words, progress_words, st.booleans())
def test_runs(
    told: list[Event], cluster: Cluster | None, waits: str, trouble: str, limited: bool
) -> None:
    run = fold(told)
    at = told[-1].at + 60
    progress = Progress(run, cluster, waits, at + 600 if limited else None, trouble, at)
    card = views.run_card(progress)
    fit_to_send(card)
    says(card, "acme", "<@UANA>")
    pressable = {
        e["action_id"].partition(":")[0]
        for b in card.blocks
        if b["type"] == "actions"
        for e in b["elements"]
    }
    if run.over:
        assert pressable <= {"next", "link"}
        says(card, views.outcome(run))
        if run.state is not State.DONE:
            assert run.plan.procedure.done not in card.text.split("Done:")[0], (
                "no success without success (story A14)"
            )
    elif run.state is State.STOPPED:
        assert pressable == {"resume", "abandon", "link"}
        says(card, "acme-7 is paused", "Resume run or Abandon run")
    elif run.question is not None:
        assert pressable == {"answer"}
        says(card, "acme-7 needs a decision")
    else:
        assert pressable == (set() if run.cancel else {"cancel"})
        says(card, run.plan.procedure.doing, "running for")
    for by in run.approvers:
        says(card, markup(by.mention))
    fit_to_send(one_run_card(run, progress, told, at))
    for words in (
        views.end_notice(run),
        views.picked_up(run),
        views.stopped_notice(run),
        views.question_notice(run),
    ):
        fit_to_send(views.text_card(words))
    fit_to_send(views.runs_card("acme", [run] * 10))
    says(views.runs_card("acme", [run]), "acme-7")


@law
@given(clusters(), events(), requests(), st.sampled_from(("", *HOSTILE)), st.booleans())
def test_status(
    cluster: Cluster, told: list[Event], request: Request, problem: str, busy: bool
) -> None:
    run = fold(told)
    forgets = (
        ("Redis keeps no append-only file: after a crash, locks and runs may be lost",)
        if busy
        else ()
    )
    status = Status(
        replace(cluster, problem=problem),
        run if busy else None,
        None,
        (request,) if busy else (),
        forgets,
    )
    card = views.status_card(status, NOW)
    fit_to_send(card)
    says(card, "acme")
    if isinstance(cluster.load, Unobserved):
        says(card, "none while shut down" if cluster.is_down else "unknown")
        assert "no meetings now" not in card.text
        assert "0 meetings" not in card.text
    if busy:
        says(card, "acme-7", "<@UANA>", *forgets)


@law
@given(loads())
def test_people_are_counted_or_unknown(found: Observed[Load]) -> None:
    words = views.people(found)
    assert ("unknown" in words) == isinstance(found, Unobserved)
    assert not re.search(r"\b1 (meetings|people|recordings|ingresses)\b", words)


def test_status_of_a_cluster_with_very_many_nodes() -> None:
    fit_to_send(views.status_card(Status(ready(400), None, None), NOW))


def test_help() -> None:
    card = views.help_card("*acme* · up", {"power": ["shutdown"], "runs": []}, ["You may read."])
    fit_to_send(card)
    says(card, "power: shutdown", "You may read")
    whole = views.all_help_card({"power": [("shutdown [--no-drain]", "Drain it.")]})
    fit_to_send(whole)
    says(whole, "/openvidu shutdown [--no-drain]")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_was_typed_is_shown_and_does_nothing(text: str) -> None:
    safe = escape(text)
    assert "<" not in safe
    assert ">" not in safe
    assert (
        re.sub(r"\u200b", "", safe).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        == text
    )


@law
@given(st.text(alphabet="ab <>&;@!|", max_size=80), st.integers(10, 60))
def test_a_cut_leaves_no_half_mark(text: str, limit: int) -> None:
    safe = f"{escape(text)} <@UANA> {escape(text)} <!date^1^{{time}}|x>"
    short = truncate(safe, limit)
    assert len(short) <= limit
    assert "<" not in HELD.sub("", short)
    assert not re.search(r"&(?!amp;|lt;|gt;)", short)
    if len(safe) <= limit:
        assert short == safe


def test_a_long_reason_leaves_room_for_the_rest() -> None:
    plan = make_plan(ready(3), Shutdown())
    request = Request(
        "a" * 32, plan, ANA, "power work " * 90, NOW, NOW + 1800, 1, "it stops the masters"
    )
    card = views.request_card(request, APPROVERS)
    fit_to_send(card)
    says(card, "power work", "Cost", APPROVERS)
    run = fold([Opened(NOW, "acme-7", plan, ANA, (), "power work " * 90)])
    shown = views.run_card(Progress(run, None, "", None, "", NOW))
    assert "`acme-7`" in str(shown.blocks)


def test_a_name_in_bold_does_not_end_a_bold_line() -> None:
    """The title of a window's step has a name in bold; Slack knows no bold inside bold."""
    plan = make_plan(ready(3), AddWindow("nights daily 20:00-22:31 Europe/Madrid"))
    request = Request("a" * 32, plan, ANA, "", NOW, NOW + 1800, 1, "it closes the cluster")
    run = fold([Opened(NOW, "acme-7", plan, ANA, (), "")])
    card = views.run_card(Progress(run, None, "", None, "", NOW))
    shown = [*views.details_blocks(request, APPROVERS), *card.blocks]
    lines = [line for text in texts_of(shown) for line in text.split("\n")]
    titles = [line for line in lines if "Save the window" in line]
    assert titles
    for line in titles:
        assert line.count("*") in (0, 2), line


# Golden files


def a_run(
    *more: Event, procedure: Shutdown | Startup | None = None, notes: tuple[str, ...] = ()
) -> Run:
    plan = make_plan(
        down(ready(3)) if isinstance(procedure, Startup) else ready(3), procedure or Shutdown()
    )
    plan = replace(plan, notes=notes or plan.notes)
    opened = Opened(NOW, "acme-7", plan, ANA, (BEN,), "power work in ams3", "COPS", "r")
    return fold([opened, Taken(NOW, "host:1", 1, again=False), *more])


def started_masters(cluster: Cluster) -> Cluster:
    """Return the cluster with masters on which OpenVidu is seen to run."""
    masters = tuple(replace(m, start="Thu 2027-01-14 07:30:00 UTC") for m in cluster.masters)
    return replace(cluster, masters=masters)


def halfway(cluster: Cluster) -> Cluster:
    look = replace(DRAINING, rooms=1, people=2, recordings=1)
    first, *rest = cluster.media
    return replace(
        cluster, media=(replace(first, look=look), *(replace(n, look=IDLE) for n in rest))
    )


def powering_off(cluster: Cluster) -> Card:
    """Return the card of a shutdown at its last step: two of four masters are off."""
    told = a_run(*(Reached(NOW + 60 * n, n - 1) for n in range(1, 4)), Asked(NOW + 181, 3, 0))
    first, second, *others = cluster.masters
    off = (replace(first, status="off"), replace(second, status="off"), *others)
    here = replace(cluster, media=(), masters=off)
    assert told.step is not None
    waits, counted = told.step.waits_for(here), tally(told.step, here)
    return views.run_card(Progress(told, here, waits, NOW + 600, "", NOW + 240, tally=counted))


def by_window() -> Run:
    plan = make_plan(ready(3), Shutdown(limit=3600.0, gives_up=1800.0))
    who = Actor("window:nights", name="window nights")
    since = NOW - 60 * 86400
    return fold(
        [
            Opened(
                NOW,
                "acme-8",
                plan,
                who,
                (BEN,),
                "closes at 20:00",
                edge="nights-close@2027-01-15T20:00",
                standing=since,
            )
        ]
    )


def closed_by_window() -> Run:
    run, ended = by_window(), Ended(NOW + 300, State.DONE, "")
    for number in range(len(run.steps)):
        run = apply(run, Reached(NOW + 60 * (number + 1), number))
    return replace(apply(run, ended), opens=NOW + 11 * 3600)


WARNINGS = (
    "[[warning]] secrets.env: line 7, DOMAIN_NAME: has a command in it, which runs as root on each "
    "master that boots; line 9, LIVEKIT_API_KEY: is empty. Restore a version of "
    "[[command config history]] with [[command config rollback]]",
    "[[warning]] Introduces a new problem: line 12 has no equals sign",
    "[[warning]] Introduces a new problem: line 13 has no equals sign",
)
TIMED_OUT = (
    "“Set media pool to 0” timed out after 2 min: still waiting for DigitalOcean to show 0 "
    "(shows 3)"
)
LATE = f"{TIMED_OUT}. Another 14 min are not counted: no bot was running"


def shown() -> dict[str, Card]:
    """The cards that people see most, by name."""
    up = ready(3)
    plan, harsh = make_plan(up, Shutdown()), make_plan(up, Shutdown(no_drain=True))
    asked = Request(
        "a" * 32,
        plan,
        ANA,
        "power work in ams3",
        NOW,
        NOW + 1800,
        1,
        "it blocks new meetings and stops the masters",
    )
    without = replace(
        asked, plan=harsh, special=harsh.effects.special, why="it ends running meetings"
    )
    unlike = (
        "it was approved 14 h ago; an approval lasts 30 min; 40 people are in "
        "meetings; there were 14 when it was requested"
    )
    resume = replace(without, act=Act("acme-7"), differs=unlike)
    other = Act("acme-7", "other-hand.1", "continue", "Continue from new state")
    onward = replace(without, act=other, differs="1 media node was added since the approval")
    eased, sold = replace(asked, needs=0), replace(up, sizes=SOLD)
    warned = replace(asked, plan=replace(plan, notes=WARNINGS))

    def wanted(procedure: Procedure, cluster: Cluster = up) -> Card:
        """Return the request for another procedure."""
        plan = make_plan(cluster, procedure)
        return views.request_card(replace(asked, plan=plan), APPROVERS)

    later = replace(
        asked, id="at." + "a" * 32, later=NOW + 21600, zone="Europe/Madrid", until=NOW + 21600
    )
    agreed = replace(later, approvals=(BEN,)).agreed(NOW + 240)
    undone = replace(
        agreed.closed(RequestState.EXPIRED, NOW + 22600),
        why_closed="acme is on hold for another 2 h",
    )
    instead = agreed.closed(RequestState.SUPERSEDED, NOW + 21601, replaced_by="b")
    instead = replace(instead, why_closed="the approval of <@UBEN> no longer counts")
    names = ", ".join(m.name for m in up.masters[:3])
    strange = replace(
        up,
        masters=up.masters[:3],
        problem=f"acme has 3 masters ({names}); exactly four are needed",
    )
    drain = halfway(up)
    step = plan.steps[0]
    question = step.timeout_question(drain)
    zero = plan.steps[1].refusal_question(
        replace(up, media=tuple(replace(n, look=IDLE) for n in up.media)),
        Rejected("", status=422, message="at least 1"),
    )
    assert question is not None
    assert zero is not None
    done = [Reached(NOW + 60 * n, n - 1) for n in range(1, 5)]

    def run(
        *more: Event,
        at: float = NOW + 600,
        waits: str = "",
        until: float | None = None,
        trouble: str = "",
    ) -> Card:
        told = a_run(*more)
        how_far = None
        if told.step is not None:
            how_far = tally(told.step, drain)
        return views.run_card(
            Progress(told, drain, waits, until, trouble, at, asks=bool(until), tally=how_far)
        )

    started = a_run(
        *(Reached(NOW + 60 * n, n - 1) for n in range(1, 9)),
        Ended(NOW + 600, State.DONE, ""),
        procedure=Startup(),
    )
    return {
        "request": views.request_card(asked, APPROVERS),
        "request-no-drain": views.request_card(without, APPROVERS),
        "request-resume": views.request_card(resume, APPROVERS),
        "request-resume-approved": views.request_card(
            resume.closed(RequestState.APPROVED, NOW + 60, BEN, run="acme-7"), APPROVERS
        ),
        "request-resume-expired": views.request_card(
            resume.closed(RequestState.EXPIRED, NOW + 1800), APPROVERS
        ),
        "request-resume-outdated": views.request_card(
            resume.closed(RequestState.SUPERSEDED, NOW + 60, BEN), APPROVERS
        ),
        "request-resume-glass": views.request_card(replace(resume, glass=True), APPROVERS),
        "request-onward": views.request_card(onward, APPROVERS),
        "request-onward-expired": views.request_card(
            onward.closed(RequestState.EXPIRED, NOW + 1800), APPROVERS
        ),
        "request-eased": views.request_card(eased, APPROVERS),
        "request-eased-expired": views.request_card(
            eased.closed(RequestState.EXPIRED, NOW + 1800), APPROVERS
        ),
        "request-silent": views.request_card(asked, ""),
        "request-media-only": wanted(Shutdown(media_only=True)),
        "request-startup": wanted(Startup(), down(up)),
        "request-restart-service": wanted(Restart("master-2", service=True), started_masters(up)),
        "request-warned": views.request_card(warned, APPROVERS),
        "request-scale": wanted(Scale(2)),
        "request-scale-up": wanted(Scale(5)),
        "request-restart": wanted(Restart("master-2")),
        "request-resize-masters": wanted(ResizeMasters(SIZES[1]), sold),
        "request-resize-rolling": wanted(ResizeMasters(SIZES[1], rolling=True), sold),
        "request-window": wanted(AddWindow("nights daily 20:00-22:31 Europe/Madrid")),
        "request-backup": wanted(BackupCreate(), replace(up, snapshots=(), has_bucket=True)),
        "request-config": wanted(
            Configure(("REDIS_PASSWORD",), "s" * 16, "d1", "d2"),
            replace(up, secrets=SecretsState("d1", staged=("s" * 16,))),
        ),
        "request-unknown": wanted(
            Shutdown(no_drain=True), replace(up, load=Unobserved("LiveKit does not answer"))
        ),
        "not-covered": views.not_covered_card(resume),
        "run-by-window": views.run_card(Progress(by_window(), drain, "", None, "", NOW + 600)),
        "run-by-glass": views.run_card(
            Progress(replace(a_run(), glass=True, approvers=()), drain, "", None, "", NOW + 600)
        ),
        "request-expired": views.request_card(
            asked.closed(RequestState.EXPIRED, NOW + 1800), APPROVERS
        ),
        "request-rejected": views.request_card(
            asked.closed(RequestState.REJECTED, NOW + 60, BEN), APPROVERS
        ),
        "request-superseded": views.request_card(
            asked.closed(RequestState.SUPERSEDED, NOW + 60, BEN, replaced_by="b"), APPROVERS
        ),
        "request-later": views.request_card(later, APPROVERS),
        "request-later-agreed": views.request_card(agreed, APPROVERS),
        "request-later-free": views.request_card(replace(later, needs=0).agreed(NOW), APPROVERS),
        "request-later-delayed": views.request_card(
            replace(agreed, waits="acme is locked by `acme-6`: restart"), APPROVERS
        ),
        "request-later-started": views.request_card(
            agreed.closed(RequestState.APPROVED, NOW + 21601, BEN, run="acme-7"), APPROVERS
        ),
        "request-later-undone": views.request_card(undone, APPROVERS),
        "request-later-undone-notice": views.text_card(views.rejected_notice(undone)),
        "request-later-asked-again": views.request_card(instead, APPROVERS),
        "request-later-called-off": views.request_card(
            agreed.closed(RequestState.REJECTED, NOW + 300, ANA), APPROVERS
        ),
        "later-list": views.later_card("acme", [agreed, later]),
        "request-details": views.details_card(
            replace(asked, plan=replace(plan, digest="0123456789abcdef")), APPROVERS
        ),
        "dry-run": views.plan_card(plan, dry=True),
        "nothing-to-do": views.plan_card(make_plan(down(up), Shutdown()), dry=False),
        "run-draining": run(Asked(NOW + 1, 0, 0), waits=step.waits_for(drain), until=NOW + 7200),
        "run-trouble": run(
            Asked(NOW + 1, 0, 0), trouble="listing droplets: DigitalOcean answered 503"
        ),
        "run-powering-off": powering_off(up),
        "run-warned": views.run_card(
            Progress(a_run(notes=WARNINGS), drain, "", None, "", NOW + 600)
        ),
        "run-cancelling": run(Asked(NOW + 1, 0, 0), CancelAsked(NOW + 9, BEN)),
        "run-drain-question": run(
            Asked(NOW + 1, 0, 0), Questioned(NOW + 7200, question), at=NOW + 7260
        ),
        "run-zero-question": run(done[0], Asked(NOW + 1, 1, 0), Questioned(NOW + 70, zero)),
        "run-stopped": run(done[0], Asked(NOW + 61, 1, 0), Stopped(NOW + 300, LATE)),
        "run-doubted": run(Asked(NOW + 1, 0, 0), trouble="DigitalOcean shows 3 of 4 masters"),
        "run-done": run(*done, Ended(NOW + 300, State.DONE, "")),
        "run-cancelled": run(
            done[0], CancelAsked(NOW + 62, BEN), Ended(NOW + 65, State.CANCELLED, "drained", BEN)
        ),
        "run-needs-you": run(
            Asked(NOW + 1, 0, 0),
            CancelAsked(NOW + 62, BEN, "a meeting runs late"),
            Ended(
                NOW + 65,
                State.CANCELLED,
                "3 media nodes draining",
                BEN,
                service=ServiceState(NOW + 64, 4, 4, serving=0, out=3, pool="0a1b2c3d"),
            ),
        ),
        "run-closed-by-window": views.run_card(
            Progress(closed_by_window(), None, "", None, "", NOW)
        ),
        "run-abandoned": run(
            done[0],
            Stopped(NOW + 70, TIMED_OUT),
            Ended(NOW + 99, State.ABANDONED, "", BEN),
        ),
        "run-left": run(
            Asked(NOW, 0, 0),
            Questioned(NOW, question),
            Answered(NOW + 9, question.id, "stop", BEN),
            Ended(
                NOW + 10,
                State.LEFT,
                "stopped during the drain; 3 media nodes take no new meetings until restarted",
                BEN,
            ),
        ),
        "run-startup-done": views.run_card(Progress(started, None, "", None, "", NOW + 600)),
        "run-noted": run(
            *done, Noted(NOW + 70, "DigitalOcean refused 0"), Ended(NOW + 300, State.DONE, "")
        ),
        "status-up": views.status_card(Status(up, None, None), NOW),
        "status-down": views.status_card(Status(down(up), None, None), NOW),
        "status-unknown": views.status_card(
            Status(
                replace(up, load=Unobserved("LiveKit does not answer")), a_run(), None, (asked,)
            ),
            NOW,
        ),
        "status-problem": views.status_card(Status(strange, None, None), NOW),
    }


NAMES = sorted(shown())


@pytest.mark.parametrize("name", NAMES)
def test_cards_look_as_they_did(name: str) -> None:
    card = shown()[name]
    fit_to_send(card)
    made = as_json({"text": card.text, "blocks": list(card.blocks)})
    check_golden(GOLDEN / f"{name}.json", made)


def test_no_golden_file_is_left_over() -> None:
    assert sorted(p.stem for p in GOLDEN.glob("*.json")) == NAMES


def test_every_end_has_a_golden_or_a_law() -> None:
    ends = {a_run(Ended(NOW, how, "")).state for how in OVER}
    assert ends == OVER
    outcomes = [views.outcome(a_run(Ended(NOW, how, "", Actor("UBEN")))) for how in sorted(OVER)]
    assert len(set(outcomes)) == len(outcomes), "no two ends read alike"
