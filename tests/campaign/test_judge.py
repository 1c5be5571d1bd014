"""The judge finds faults.

For each promise a bot that breaks it, without other faults, and what is reported.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from handlers.updates.run_cards import RunCards
from services.access.policy import AccessResult, Verdict
from services.cloud import node_scripts as scripts
from services.cloud.node_look import parse_look
from services.cloud.pool_edit import PoolEditor
from services.cloud.writer import ClusterWriter
from services.cluster.model import NodeStatus
from services.common.clock import loop_clock
from services.operations.staged_secrets import StagedSecrets
from services.runs.drain_ledger import DrainLedger
from services.steps import Drain, Healthy, MediaGone, PoolTarget, PowerOff, Resize
from simulators.cloud import SimulatedDroplet
from simulators.node.docker import Docker, DockerError
from simulators.node.scripts import COMMANDS
from simulators.node.session import Session
from tests.campaign import goals
from tests.campaign.cast import ClusterCast
from tests.campaign.chaos import TroubleLog
from tests.campaign.faults import nothing_is_shown_first, stops_a_single_node_at_once
from tests.campaign.goals import KEY, VALUE
from tests.campaign.judge import Judge
from tests.campaign.ledger import StackHistory
from tests.campaign.requests import CampaignRequest
from tests.campaign.seed import SeedSettings, luck_of, of_deployment
from tests.campaign.story import ClusterStory, play_requests
from tests.campaign.witness import StoryWitness
from tests.support.memory_store import MemoryStore
from tests.support.scene import Scene

FAIR = replace(
    luck_of(1), calm=True, kind="pool", media=2, allow_zero="yes", victims="newest", policy={},
        site={"drain": {"method": "signal"}}, rates={}, slack={}, late=0.0, twice=0.0,
        lost_replies=0.0, slow_state=0.0, spells=0, deaths=0, second_bot=False, failovers=False,
        pydo=False, traffic=0.0, meetings=((4, 3.0, 1), (3, 2.0, 0)), agents="drains",
        livekit_ready=0.0, neighbours=0, glitch=None, hands=0, ill="", group=False, loses="",
        place="", patience=0.0, asks=0, closed=False, glass=False, turn="",
)  # fmt: skip
SHUTDOWN = CampaignRequest("shutdown", goals.down)
CONTAINERS = ("openvidu", "ingress", "egress", "agent-speech-processing")
Patch = pytest.MonkeyPatch


def wrong(wish: CampaignRequest, luck: SeedSettings = FAIR) -> str:
    return "\n".join(play_requests(luck, [wish]).wrong)


@pytest.mark.parametrize(
    "wish",
    [
        SHUTDOWN,
        CampaignRequest("scale 1", goals.scaled(1)),
        CampaignRequest("scale 3", goals.scaled(3)),
        CampaignRequest("resize masters s-8vcpu-16gb --rolling", goals.sized),
        CampaignRequest(f"config set {KEY}", goals.configured),
        CampaignRequest("restart master-2", goals.nothing),
    ],
    ids=lambda w: str(w.words.split()[0]),
)
def test_of_a_bot_that_keeps_them_nothing_is_said(wish: CampaignRequest) -> None:
    assert wrong(wish) == ""


ELASTIC = of_deployment(replace(FAIR, kind="fixed"), "elastic")
SINGLE = of_deployment(replace(FAIR, meetings=((6, 20.0, 1),)), "single node")


@pytest.mark.parametrize("luck", [ELASTIC, SINGLE], ids=lambda luck: str(luck.deployment))
@pytest.mark.parametrize(
    "wish",
    [
        SHUTDOWN,
        CampaignRequest("resize masters s-8vcpu-16gb", goals.sized),
        CampaignRequest("backup create", goals.backed_up),
    ],
    ids=lambda w: str(w.words.split()[0]),
)
def test_it_says_nothing_in_the_other_deployments_either(
    wish: CampaignRequest, luck: SeedSettings
) -> None:
    assert wrong(wish, luck) == ""


def test_a_single_node_that_stops_under_its_people(monkeypatch: Patch) -> None:
    stops_a_single_node_at_once(monkeypatch)
    said = wrong(SHUTDOWN, SINGLE)
    assert "not-on-a-card: acme-1 cut off 6 people and 1 recordings" in said
    assert "master-before-media: acme-vm-ce-pro stops while acme-vm-ce-pro is there" in said
    assert "thrown-out: 6 people in 1 meetings" in said


def test_what_no_one_had_started(monkeypatch: Patch) -> None:
    nothing_is_shown_first(monkeypatch)
    assert "unshown: acme-1 began, and UANA had not started what was shown" in wrong(
        CampaignRequest("scale 3", goals.scaled(3))
    )


@pytest.mark.parametrize(
    ("typed", "press", "steps", "said"),
    [
        ("scale 3", "", [1], True),
        ("scale 3 --now", "", [1], False),
        ("shutdown --now", "", [1], True),
        ("scale 3", "Start scale", [1], False),
        ("scale 3", "Cancel", [1], True),
        ("scale 3", "Start scale", [2], True),
    ],
)
def test_a_run_that_needs_no_approval_began_as_it_was_shown(
    typed: str, press: str, steps: list[int], *, said: bool
) -> None:
    event = opened("acme-1", 100.0)
    event["plan"] |= {"steps": [1], "procedure": {"is": "Scale"}}
    request = {"id": "r1", "plan": {"steps": steps}}
    pressed = []
    if press:
        event["request"] = "r1"
        pressed.append(SimpleNamespace(at=99.0, user="UANA", value="r1", label=press))
    judge = judged([event], log_of(), requests=(request,))
    judge._ledger.request = lambda name: request if name == "r1" else {}  # type: ignore[method-assign]
    place = SimpleNamespace(presses=pressed, user_actions=[(98.0, "UANA", "typed", typed)])
    judge._scene.slack = SimpleNamespace(workspace=place)  # type: ignore[assignment]
    assert bool(list(judge._unconfirmed())) is said


def always(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def test_masters_before_media(monkeypatch: Patch) -> None:
    for kind in (Drain, PoolTarget, MediaGone):
        monkeypatch.setattr(kind, "is_done", always(value=True))
    monkeypatch.setattr(PowerOff, "blocker", always(""))
    assert "master-before-media" in wrong(SHUTDOWN)


def forgetful(text: str) -> NodeStatus | str:
    """Return a look that does not see whether a node was drained."""
    look = parse_look(text)
    return look if isinstance(look, str) else replace(look, drain_marked=False)


def drains_unguarded(patch: Patch, signal: str) -> None:
    """Replace the bot's drain script by one that does not check the marker."""

    def unguarded(session: Session) -> int:
        for name in CONTAINERS:
            with suppress(DockerError):
                Docker(session).kill(name, signal)
        session.echo("begun")
        return 0

    patch.setitem(COMMANDS, "an unguarded drain", unguarded)
    patch.setattr(scripts, "drain", always("an unguarded drain"))


def test_a_second_signal(monkeypatch: Patch) -> None:
    async def entered(*_: object) -> None:
        """Record nothing."""

    monkeypatch.setattr(DrainLedger, "enter", entered)
    drains_unguarded(monkeypatch, "SIGQUIT")
    monkeypatch.setattr(Drain, "retry_after", always(5.0))
    monkeypatch.setattr("services.cloud.node_access.parse_look", forgetful)
    report = wrong(SHUTDOWN)
    assert "second-signal" in report
    assert "thrown-out" in report


def test_people_thrown_out(monkeypatch: Patch) -> None:
    drains_unguarded(monkeypatch, "SIGKILL")
    assert "thrown-out: " in wrong(CampaignRequest("scale 1", goals.scaled(1)))


def test_two_masters_down(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Healthy, "is_done", always(value=True))
    assert "two-masters-down" in wrong(
        CampaignRequest("resize masters s-8vcpu-16gb --rolling", goals.sized)
    )


def test_a_pool_edit_that_loses_a_key(monkeypatch: Patch) -> None:
    put = PoolEditor._put

    async def without_tags(
        self: PoolEditor, seen: Any, before: Any, config: Any, changes: Any
    ) -> None:
        await put(self, seen, before, config, {**changes, "tags": []})

    monkeypatch.setattr(PoolEditor, "_put", without_tags)
    assert "pool-edit-lossy" in wrong(CampaignRequest("scale 3", goals.scaled(3)))


def test_a_run_that_says_done_and_is_not(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Resize, "_wrong", always([]))
    assert "is done, and it is not so" in wrong(
        CampaignRequest("resize masters s-8vcpu-16gb", goals.sized)
    )


def test_a_run_that_nobody_approved(monkeypatch: Patch) -> None:
    for module in (
        "operations.change_requests",
        "operations.opening",
        "operations.approval_decisions",
        "operations.approvals",
        "runs.authorization",
    ):
        monkeypatch.setattr(
            f"services.{module}.authorize",
            always(Verdict(AccessResult.ALLOWED, "why not")),
        )
    assert "without anybody else's approval" in wrong(SHUTDOWN)


@pytest.mark.parametrize(
    "wish", [SHUTDOWN, CampaignRequest("scale 3", goals.scaled(3))], ids=lambda w: w.words
)
def test_a_message_that_does_not_say_how_it_ended(
    wish: CampaignRequest, monkeypatch: Patch
) -> None:
    """Scaling: its last message names media nodes, and says that it is running."""
    show = RunCards._show

    async def until_it_is_over(self: RunCards, run: Any, card: Any) -> None:
        if not run.over:
            await show(self, run, card)

    monkeypatch.setattr(RunCards, "_show", until_it_is_over)
    assert "no message says how acme-1 ended" in wrong(wish)


def test_a_secret_file_left_behind(monkeypatch: Patch) -> None:
    async def not_now(*_: object) -> None:
        """Delete nothing."""

    monkeypatch.setattr(StagedSecrets, "drop", not_now)
    monkeypatch.setattr(StagedSecrets, "sweep", not_now)
    monkeypatch.setattr(ClusterWriter, "delete_staged", not_now)
    monkeypatch.setattr("services.steps.secrets.DropStaged.is_done", always(value=True))
    assert "left behind: openvidu-bot/staged/" in wrong(
        CampaignRequest(f"config set {KEY}", goals.configured)
    )


def test_a_run_that_never_ends(monkeypatch: Patch) -> None:
    monkeypatch.setattr("tests.campaign.people.LONGEST", 900.0)
    monkeypatch.setattr(PoolTarget, "deadline", always(1e9))
    monkeypatch.setattr(PoolTarget, "is_done", always(value=False))
    report = wrong(SHUTDOWN)
    assert "never came to an end" in report


# --- actions unknown to the bot: in the world and in Slack, as if the bot had done them


def says(scene: Scene, user: str, text: str, **more: Any) -> None:
    scene.slack.webapi.handle(
        "chat.postEphemeral", "xoxb-sim", {"channel": "COPS", "user": user, "text": text, **more}
    )


async def begun(scene: Scene, part: ClusterStory) -> None:
    while not part.ledger.names():
        await scene.wait(1)


def busy(scene: Scene) -> SimulatedDroplet:
    return next(d for d in scene.estate.media("acme") if scene.estate.meetings_on(d.id))


def kill(scene: Scene, node: SimulatedDroplet, container: str) -> None:
    """Run `docker kill` there as the operator."""
    scene.estate.settle()
    with scene.estate.timeline.caused_by("operator", f"ssh {node.name}"):
        scene.estate.containers.signal(node, container, "SIGKILL")


async def cuts_people(scene: Scene, parts: list[ClusterStory]) -> None:
    await begun(scene, parts[0])
    kill(scene, busy(scene), "openvidu")


async def kills_the_recorder(scene: Scene, parts: list[ClusterStory]) -> None:
    await begun(scene, parts[0])
    node = next(
        d
        for d in scene.estate.media("acme")
        if any(m.recordings for m in scene.estate.meetings_on(d.id))
    )
    kill(scene, node, "egress")


async def kills_the_agent(scene: Scene, parts: list[ClusterStory]) -> None:
    await begun(scene, parts[0])
    kill(scene, busy(scene), "agent-speech-processing")


async def says_nothing_was_changed(scene: Scene, parts: list[ClusterStory]) -> None:
    await begun(scene, parts[0])
    says(
        scene,
        str(parts[0].ledger.tales()[0].opened["approvers"][-1]["user"]),
        "no usable answer. Nothing was changed; try again",
    )


async def says_it_serves(scene: Scene, _: list[ClusterStory]) -> None:
    while scene.estate.serving("acme"):
        await scene.wait(5)
    await scene.wait(90)
    says(scene, "UANA", "acme serves, 2 media nodes.")


async def says_it_is_down(scene: Scene, parts: list[ClusterStory]) -> None:
    await begun(scene, parts[0])
    says(scene, "UANA", "acme is down.")


async def answers_in_a_dead_thread(scene: Scene, _: list[ClusterStory]) -> None:
    talk = scene.slack.workspace.post(scene.slack.workspace.channels["COPS"], "UANA", "how is it?")
    says(scene, "UANA", "it is well", thread_ts=talk.ts)


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        (cuts_people, "not-on-a-card: acme-1 cut off 4 people and 1 recordings"),
        (kills_the_recorder, "not-on-a-card: acme-1 cut off 0 people and 1 recordings"),
        (kills_the_agent, "agent-cut: agent-speech-processing"),
        (says_nothing_was_changed, "and acme-1 was opened by it"),
        (says_it_serves, "false-word: UANA was told that acme serves, and it does not"),
        (says_it_is_down, "false-word: UANA was told that acme is down, and it is up"),
        (answers_in_a_dead_thread, "unseen-answer: UANA"),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_what_is_done_beside_the_card(beside: Any, said: str) -> None:
    assert said in "\n".join(
        play_requests(FAIR, [replace(SHUTDOWN, stays=300.0)], beside=beside).wrong
    )


# --- what trouble excuses


def log_of(*spans: tuple[str, float, float]) -> TroubleLog:
    log = TroubleLog(lambda: 10_000.0)
    log._past = list(spans)
    return log


def test_trouble_excuses_while_it_lasts_and_a_moment_longer() -> None:
    log = log_of(("deaf", 100.0, 200.0), ("node", 500.0, 900.0))
    assert [at for at in (80, 99, 150, 230, 300) if log.excuses(at, "deaf")] == [99, 150, 230]
    assert [at for at in (300, 600) if log.excuses(at)] == [600]
    assert log.calm_for(0, 1000) == 240.0  # From the minute after the first to the second.
    assert log.calm_for(950, 1500) == 540.0
    assert log.overlap(150, 600, "deaf", "node") == 150.0
    assert log.begun(450, 550, "node")
    assert not log.begun(550, 600, "node")


def judged(
    events: list[dict[str, Any]],
    log: TroubleLog,
    glitch: str = "",
    requests: tuple[dict[str, Any], ...] = (),
) -> Judge:
    ledger = StackHistory(entries(*events), "acme")
    ledger.requests = lambda: list(requests)  # type: ignore[method-assign]
    scene: Any = SimpleNamespace(clock=SimpleNamespace(now=lambda: 5_000.0))
    storm: Any = SimpleNamespace(log=log, glitch_only=glitch, shaken=lambda _: False)
    witness: Any = SimpleNamespace(
        looked_ready=None, readers={"r1": {"UANA": 100.0, "U0BOT": 100.0}, "r2": {"UBEN": 100.0}}
    )
    return Judge(scene, ledger, storm, ClusterCast("acme", "COPS", "UANA", ("UBEN",)), witness)


def stopped(run: str, at: float, reason: str) -> dict[str, Any]:
    return {"of": run, "is": "Stopped", "at": at, "reason": reason}


def test_time_in_which_nobody_looked_is_no_time_waited() -> None:
    late = "“Set media pool to 0” timed out after 22 min: still waiting for it"
    away = log_of(("nobody", 60.0, 1300.0))
    assert list(
        judged([opened("acme-1", 50), stopped("acme-1", 1310, late)], away)._late_without_a_look()
    )
    assert not list(
        judged([opened("acme-1", 50), stopped("acme-1", 1500, late)], away)._late_without_a_look()
    )
    assert not list(
        judged(
            [opened("acme-1", 50), stopped("acme-1", 1310, "it was refused")], away
        )._late_without_a_look()
    )


def test_one_wrong_answer_stops_nothing() -> None:
    events = [opened("acme-1", 50), stopped("acme-1", 90, "acme has 3 masters")]
    assert list(judged([dict(e) for e in events], log_of(), "digitalocean 401 GET ")._glitched())
    assert not list(judged([dict(e) for e in events], log_of())._glitched())


def test_a_request_that_nobody_can_read() -> None:
    def request(name: str, closed: float = 0.0) -> dict[str, Any]:
        return {"id": name, "made_at": 100.0, "closed_at": closed, "requester": {"user": "UANA"}}

    assert list(judged([], log_of(), requests=(request("r1"),))._unseen())
    assert not list(judged([], log_of(), requests=(request("r2"),))._unseen())
    assert not list(judged([], log_of(), requests=(request("r1", 150.0),))._unseen())
    assert not list(
        judged([], log_of(("mute", 90.0, 5_000.0)), requests=(request("r1"),))._unseen()
    )


def test_trouble_that_a_turn_is_about_is_no_excuse() -> None:
    log = log_of(("closed", 100.0, 900.0))
    assert log.calm_for(0, 1000) == 100.0
    assert log.calm_for(0, 1000, ("closed",)) == 1000.0


def asks(run: str, at: float, question: str = "late.1") -> dict[str, Any]:
    return {"of": run, "is": "Questioned", "at": at, "question": {"id": question, "choices": []}}


@pytest.mark.parametrize(
    ("shown_at", "said"), [(110.0, ""), (2_000.0, "unseen-question: what acme-1 asked")]
)
def test_a_question_that_is_shown_late(shown_at: float, said: str) -> None:
    judge = judged([opened("acme-1", 50), asks("acme-1", 100.0)], log_of())
    judge._witness.readers["acme-1|late.1"] = {"UBEN": shown_at}
    reports = list(judge._unseen_questions())
    assert bool(reports) == bool(said)
    assert said in "".join(reports)


def test_a_request_that_needs_no_approval_and_cannot_be_started() -> None:
    request = {
        "id": "r1",
        "made_at": 100.0,
        "closed_at": 0.0,
        "needs": 0,
        "requester": {"user": "UANA"},
    }
    judge = judged([], log_of(), requests=(request,))
    judge._witness.startable = set()
    assert list(judge._blocked())
    judge._witness.startable = {"r1"}
    assert not list(judge._blocked())


def test_a_channel_that_takes_nothing_and_is_asked_again_and_again() -> None:
    judge = judged([], log_of())
    judge._witness.refused = {"COPS": [n * 60.0 for n in range(40)], "COTHER": [0.0] * 40}  # type: ignore[assignment]
    assert not list(judge._shouting())
    judge._witness.refused = {"COPS": [n * 30.0 for n in range(40)]}  # type: ignore[assignment]
    assert list(judge._shouting())


@pytest.mark.parametrize(
    ("user", "text", "said"),
    [
        (
            "UDORA",
            ("You have no role for this cluster. The bot's administrator can give you one."),
            "",
        ),
        (
            "UDORA",
            "acme-3 is done.",
            "told-a-stranger: UDORA, who has no role in acme, reads “acme-3”",
        ),
        ("UDORA", "3 people are in meetings.", "told-a-stranger"),
        ("UBEN", "acme-3 is done.", ""),
        ("UBEN", f"DASHBOARD_ADMIN_PASSWORD={VALUE}", "value-told: UBEN reads a value"),
    ],
)
def test_what_somebody_reads_who_may_not(user: str, text: str, said: str) -> None:
    slack = SimpleNamespace(
        workspace=SimpleNamespace(on_shown=[]), webapi=SimpleNamespace(handle=None)
    )
    scene: Any = SimpleNamespace(slack=slack, clock=SimpleNamespace(now=lambda: 0.0))
    witness = StoryWitness(
        scene,
        [],
        {"COPS": "acme"},
        casts=[ClusterCast("acme", "COPS", "UANA", ("UBEN",), closed=True)],
    )
    witness.reads(user, text)
    assert bool(witness.wrong) == bool(said)
    assert said in "".join(witness.wrong)


def decided(at: float, what: str, after: str = "") -> str:
    return json.dumps({"at": at, "what": what, "user": "UCARLA", "after": after})


def test_a_hold_lasts_until_it_is_ended_or_over() -> None:
    store = MemoryStore(loop_clock(0.0))
    store.append("audit:acme", decided(100.0, "put on hold", "until 1970-01-01 01:00 UTC"))
    ledger = StackHistory(store, "acme")
    assert [at for at in (50.0, 200.0, 3599.0, 3700.0) if ledger.held(at)] == [200.0, 3599.0]
    store.append("audit:acme", decided(300.0, "hold ended"))
    assert [at for at in (200.0, 400.0) if ledger.held(at)] == [200.0]
    assert ledger.acts_of("UCARLA", 250.0, 350.0)
    assert not ledger.acts_of("UCARLA", 310.0, 350.0)


# --- what the state's text shows


def entries(*events: dict[str, Any]) -> MemoryStore:
    """Return a store that holds these runs."""
    store = MemoryStore(loop_clock(0.0))
    for event in events:
        run = event.pop("of")
        if event["is"] == "Opened":
            store.append("runs:acme", run)
        store.append(f"run:{run}", json.dumps(event))
    return store


def opened(run: str, at: float) -> dict[str, Any]:
    effects = dict.fromkeys(
        ("cuts_off", "blocks", "stops_masters", "edits_secrets", "special"), False
    )
    ana: dict[str, Any] = {"user": "UANA"}
    return {
        "of": run,
        "is": "Opened",
        "at": at,
        "plan": {"steps": [], "effects": effects},
        "requester": ana,
        "approvers": [],
    }


def ended(run: str, at: float, how: str = "done") -> dict[str, Any]:
    return {"of": run, "is": "Ended", "at": at, "how": how}


def taken(run: str, epoch: int) -> dict[str, Any]:
    return {"of": run, "is": "Taken", "at": 1.0, "epoch": epoch}


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([opened("acme-1", 0), ended("acme-1", 5), opened("acme-2", 6), ended("acme-2", 9)], ""),
        (
            [opened("acme-1", 0), opened("acme-2", 3), ended("acme-1", 5), ended("acme-2", 9)],
            "two runs in one cluster: acme-2 began",
        ),
        (
            [opened("acme-1", 0), ended("acme-1", 5), ended("acme-1", 6)],
            "acme-1 goes on after its end",
        ),
        (
            [opened("acme-1", 0), ended("acme-1", 5, "somehow")],
            "acme-1 ends in no state that has a name: somehow",
        ),
        (
            [opened("acme-1", 0), taken("acme-1", 1), taken("acme-1", 1), ended("acme-1", 5)],
            "taken by two workers in one epoch",
        ),
        ([opened("acme-1", 0), taken("acme-1", 1), taken("acme-1", 2), ended("acme-1", 5)], ""),
        (
            [opened("acme-1", 0), opened("acme-1", 1), ended("acme-1", 5)],
            "does not begin with its opening, once",
        ),
        ([opened("acme-1", 0)], "acme-1 never ended: running"),
    ],
)
def test_runs_that_cannot_be(events: list[dict[str, Any]], said: str) -> None:
    ledger = StackHistory(entries(*(dict(e) for e in events)), "acme")
    report = "\n".join([*ledger.faults(), *ledger.endings()])
    assert said in report
    assert bool(said) == bool(report)


def test_a_cluster_that_is_held_by_a_run_that_is_over() -> None:
    store = entries(opened("acme-1", 0), ended("acme-1", 5))
    store.set("claim:acme", "acme-1")
    assert list(StackHistory(store, "acme").endings()) == [
        "acme-1 is over and still has the cluster"
    ]
