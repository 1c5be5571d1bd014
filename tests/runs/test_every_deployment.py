"""Every procedure in every deployment and fleet: typed in Slack, killed or cancelled at any point.

What is always asked: no one is disconnected unless the plan said so; a media server is drained once
per start; the lock is released; the end is what the card said; and what a cancel leaves undone is
said, and brought back by the commands that are there for it.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import pytest

from services.access.policy import Actor
from services.common.errors import BotError
from services.procedures import PROCEDURES
from services.procedures.plan import Plan
from services.runs.run import OVER, Run, State
from simulators.cloud.boot_script import SECRETS
from simulators.cloud.model import SimulatedVolume
from tests.campaign import goals, requests
from tests.campaign.goals import BIG, KEY, VALUE, Goal
from tests.campaign.ledger import RunRecord
from tests.procedures.test_drill import leftovers
from tests.support import virtual
from tests.support.absence import restart_after_absence
from tests.support.coverage_level import by_level, spread
from tests.support.crash_injector import CrashPoint, assert_survives_crashes
from tests.support.scene import Scene
from tests.support.short_scene import short_scene

ANA, BEN = Actor("UANA", "T0ACME"), Actor("UBEN", "T0ACME")
TRIES = 12
HELPS = re.compile(r"startup|unfreeze|Restore service|Unfreeze")
Asks = Callable[[Scene], Awaitable[object]]


@dataclass(frozen=True)
class Fleet:
    """A deployment with one kind of media fleet, and what its nodes are called."""

    deployment: str
    kind: str

    @property
    def master(self) -> str:
        return {"elastic": "master", "single node": "node"}.get(self.deployment, "master-2")

    @property
    def media(self) -> str:
        return {"co-located": "node", "autoscaler": "media-1001"}.get(self.kind, "media-1")

    @property
    def is_single(self) -> bool:
        return self.kind == "co-located"

    @property
    def name(self) -> str:
        return self.deployment if self.is_single else f"{self.deployment}, {self.kind}"


OLD_VOLUME = "506f78a4-e098-11e5-ad9f-000f53306ae1"
KINDS = ("pool", "fixed", "autoscaler")
FLEETS = (
    *(Fleet("high availability", kind) for kind in KINDS),
    *(Fleet("elastic", kind) for kind in KINDS),
    Fleet("single node", "co-located"),
)
ALL = tuple(fleet.name for fleet in FLEETS)
SINGLE = ("single node",)
WITH_MEDIA = tuple(fleet.name for fleet in FLEETS if not fleet.is_single)


def _of(*kinds: str) -> tuple[str, ...]:
    return tuple(fleet.name for fleet in FLEETS if fleet.kind in kinds)


# How it ends, where the campaign has no check of its own


def _one_is_stopped(scene: Scene, _: RunRecord) -> str:
    nodes = {d.id: d for d in (*scene.estate.masters("acme"), *scene.estate.media("acme"))}
    stopped = [d.name for d in nodes.values() if d.on and d.node.unit == "inactive"]
    return "" if len(stopped) == 1 else f"stopped: {stopped}"


def _file_is_changed(scene: Scene, tale: RunRecord) -> str:
    for master in scene.estate.masters("acme"):
        texts = [t for p, t in master.node.files.items() if p.endswith("/livekit.yaml")]
        if not any(b"max_participants: 50" in text for text in texts):
            return f"the old file is on {master.name}"
    return goals.serves(scene, tale)


def _without_module(scene: Scene, tale: RunRecord) -> str:
    masters = scene.estate.masters("acme")
    bucket = scene.estate.clusters["acme"].bucket
    file = scene.environment.spaces.read(bucket, "secrets.env") or b""
    if masters[0].is_media:
        file = masters[0].node.files[SECRETS]
    line = next(x for x in file.splitlines() if x.startswith(b"ENABLED_MODULES="))
    running = [m.name for m in masters if m.node.running("grafana")]
    if b"observability" in line or running:
        return f"{line!r}, and Grafana runs on {running}"
    return goals.serves(scene, tale)


def _nothing_is_left(scene: Scene, tale: RunRecord) -> str:
    return goals.serves(scene, tale) or ", ".join(leftovers(scene))


def _scales(scene: Scene, tale: RunRecord) -> str:
    return goals.healthy(scene, tale) or goals.unfrozen(scene, tale)


# What is typed


async def _set_secret(scene: Scene) -> None:
    """Submit the form of `config set`."""
    await scene.bot.operations.service.configure(
        ANA, "acme", lambda file: file.set(KEY, VALUE), channel="COPS", words=f"config set {KEY}"
    )


def _nothing_unused(scene: Scene, tale: RunRecord) -> str:
    return goals.healthy(scene, tale) or ", ".join(scene.estate.storage.volumes)


def _unused_volume(scene: Scene) -> None:
    scene.estate.storage.volumes[OLD_VOLUME] = SimulatedVolume(
        OLD_VOLUME, "acme-old", 10, "ams3", scene.estate.now
    )


def _backups_exist(scene: Scene) -> None:
    requests._old_backups(scene)


def _applied(scene: Scene) -> None:
    requests._applied(scene)


@dataclass(frozen=True)
class Play:
    """A command that a procedure carries out. `words`: with {master} and {media} for the names."""

    procedure: str
    words: str
    goal: Goal
    fleets: tuple[str, ...]
    first: tuple[str, ...] = ()
    asks: Callable[[Scene], Awaitable[None]] | None = None
    prepare: Callable[[Scene], None] = lambda _: None


WINDOW = "window add nights daily 20:00-06:00 UTC"
FILE = "config file set livekit.yaml room.max_participants 50"
PLAYS = (
    Play("Shutdown", "shutdown", goals.down, ALL),
    Play("Shutdown", "shutdown --media-only", goals.without_media, WITH_MEDIA),
    Play("Startup", "startup", goals.serves, ALL, ("shutdown",)),
    Play("Startup", "startup", goals.serves, ALL, ("stop {master}",)),
    Play("Scale", "scale 1", goals.scaled(1), _of("pool")),
    Play("Scale", "scale 3", goals.scaled(3), _of("pool")),
    Play("DrainNodes", "drain {media}", goals.healthy, ALL),
    Play("Restart", "restart {master}", goals.serves, ALL),
    Play("Restart", "restart {master} --service", goals.serves, ALL),
    Play("Restart", "restart {media}", goals.serves, _of("pool", "fixed")),
    Play("Stop", "stop {master}", _one_is_stopped, ALL),
    Play("Stop", "stop {media}", _one_is_stopped, _of("pool", "fixed")),
    Play("Start", "start {master}", goals.healthy, ALL, ("stop {master}",)),
    Play("Start", "start {media}", goals.serves, _of("pool", "fixed"), ("stop {media}",)),
    Play("ResizeMedia", "resize media c-8", goals.media_sized("c-8"), _of("pool")),
    Play("ResizeMedia", f"resize media {BIG}", goals.media_sized(BIG), _of("fixed")),
    Play("ResizeMasters", f"resize masters {BIG} --snapshot", goals.sized, ALL),
    Play("BackupCreate", "backup create", goals.backed_up, ALL),
    Play("BackupCreate", "backup create --offline", goals.backed_up, ALL),
    Play("AddBackupSchedule", "backup schedule weekly Sun 03:00", goals.nothing, ALL),
    Play("Drill", "drill", _nothing_is_left, ALL, ("backup create",)),
    Play(
        "DeleteWaste",
        f"cost delete volume:{OLD_VOLUME}",
        _nothing_unused,
        ALL,
        prepare=_unused_volume,
    ),
    Play("BackupPrune", "backup prune", goals.pruned, ALL, prepare=_backups_exist),
    Play("AddWindow", WINDOW, goals.nothing, _of("pool", "autoscaler")),
    Play("AddWindow", f"{WINDOW} --saves-nothing", goals.nothing, _of("fixed", "co-located")),
    Play("Configure", f"config set {KEY}", goals.configured, ALL, asks=_set_secret),
    Play("ChangeConfigFile", FILE, _file_is_changed, ALL),
    Play("SwitchModule", "module off observability", _without_module, ALL),
    Play("Freeze", "freeze", goals.frozen, _of("autoscaler")),
    Play("Unfreeze", "unfreeze", _scales, _of("autoscaler"), ("freeze",)),
    Play("Roll", f"roll {BIG}", goals.rolled, _of("autoscaler"), prepare=_applied),
    Play("Park", "park 1", goals.parked(1), _of("fixed")),
    Play("Unpark", "unpark 1", goals.unparked, _of("fixed"), ("park 1",)),
    Play("Upgrade", "upgrade 3.7.0", goals.upgraded, _of("pool", "autoscaler")),
)
REFUSED = (
    ("Shutdown", "shutdown --media-only", SINGLE, "there are no media nodes to remove"),
    ("Startup", "startup 2", SINGLE, "without a number"),
    ("Scale", "scale 1", _of("fixed"), "saves nothing"),
    ("Scale", "scale 1", _of("autoscaler"), "keeps the number as it is"),
    # tests/runs/test_forecast.py plays it where `people_per_node` is set.
    ("AllowScaling", "forecast allow 2-5 20", _of("pool"), "the bot does not guess it"),
    ("AllowScaling", "forecast allow 2-5 20", _of("fixed"), "set by Terraform"),
    ("AllowScaling", "forecast allow 2-5 20", _of("autoscaler"), "keeps the number as it is"),
    ("AllowScaling", "forecast allow 2-5 20", SINGLE, "no media nodes can be added"),
    ("Scale", "scale 3", SINGLE, "no media nodes can be added"),
    ("DrainNodes", "drain media-7", ALL, "media-7"),
    ("DrainNodes", "drain all", _of("autoscaler"), "as fast as they leave"),
    ("Restart", "restart {media}", _of("autoscaler"), "drain media-1001"),
    ("Restart", "restart master-9", ALL, "has no node “master-9”"),
    ("Stop", "stop {media}", _of("autoscaler"), "stopped it would still be counted"),
    ("Stop", "stop master-9", ALL, "has no node “master-9”"),
    ("Start", "start master-9", ALL, "has no node “master-9”"),
    ("ResizeMedia", f"resize media {BIG}", _of("autoscaler"), "mediaNodeInstanceType"),
    ("ResizeMedia", f"resize media {BIG}", SINGLE, f"resize masters {BIG}"),
    ("ResizeMasters", "resize masters s-nothing", ALL, "s-nothing"),
    ("ResizeMasters", f"resize masters {BIG} --rolling", WITH_MEDIA[3:], "always downtime"),
    ("ResizeMasters", f"resize masters {BIG} --rolling", SINGLE, "always downtime"),
    ("AddWindow", WINDOW, _of("fixed", "co-located"), "--saves-nothing"),
    ("ChangeConfigFile", "config file set livekit.yaml no.such 1", ALL, "unknown"),
    ("SwitchModule", "module on nothing", ALL, "no such module"),
    ("Freeze", "freeze", _of("pool", "fixed", "co-located"), "nothing to freeze"),
    ("Unfreeze", "unfreeze", _of("pool", "fixed", "co-located"), "nothing to unfreeze"),
    ("Roll", f"roll {BIG}", _of("pool", "fixed", "co-located"), "is for an autoscaler"),
    ("Park", "park 1", _of("pool", "autoscaler"), "is for fixed media nodes"),
    ("Park", "park node", SINGLE, "a single node"),
    ("Unpark", "unpark 1", _of("pool", "autoscaler", "co-located"), "is for fixed media nodes"),
    ("Upgrade", "upgrade 3.7.0", _of("fixed"), "Upgrade by a new deployment"),
    ("Upgrade", "upgrade 3.7.0", SINGLE, "Upgrade it manually"),
    ("Upgrade", "upgrade 3.5.0", _of("pool", "autoscaler"), "not downgraded"),
)
CASES = [
    pytest.param(fleet, play, id=f"{fleet.name}: {' then '.join((*play.first, play.words))}")
    for play in PLAYS
    for fleet in FLEETS
    if fleet.name in play.fleets
]
REFUSALS = [
    pytest.param(fleet, words, text, id=f"{fleet.name}: {words}")
    for _, words, fleets, text in REFUSED
    for fleet in FLEETS
    if fleet.name in fleets
]


def test_each_procedure_is_played_or_refused_in_each_deployment_and_fleet() -> None:
    told = {(p.procedure, fleet) for p in PLAYS for fleet in p.fleets}
    told |= {(name, fleet) for name, _, fleets, _ in REFUSED for fleet in fleets}
    every = {(procedure.__name__, fleet) for procedure in PROCEDURES for fleet in ALL}
    assert told == every


# Playing them


def _scene(fleet: Fleet, play: Play, **settings: Any) -> Scene:
    more: dict[str, Any] = {} if fleet.is_single else {"media": 2}
    scene = short_scene(deployment=fleet.deployment, kind=fleet.kind, **more, **settings)
    scene.estate.delays = replace(scene.estate.delays, update=30)
    scene.allowed_complaints = ["ratelimited"]
    return scene


def _words(fleet: Fleet, words: str) -> str:
    return words.format(master=fleet.master, media=fleet.media)


def _typed(words: str) -> Asks:
    return lambda scene: scene.ana.type_text("COPS", f"/openvidu {words}")


async def _insist(scene: Scene, asks: Asks) -> Run:
    """Type it until it is taken, approve it, and start a crashed bot again, until it is over."""
    before, tries = len(await scene.journal.latest("acme", 1000)), 0
    for _ in range(1000):
        if scene.crash_injectors[-1].is_dead:
            await restart_after_absence(scene)
        runs = await scene.journal.latest("acme", 1000)
        if len(runs) > before:
            run = await scene.journal.run(runs[0])
            if run.over or run.state in (State.STOPPED, State.ASKING):
                return run
        else:
            tries += 1
            assert tries < TRIES, [m.text for m in scene.ana.visible_messages("COPS")][-3:]
            await scene.by_bot(_ask(scene, asks))
        await scene.wait(15)
    raise AssertionError("it never came to an end")


def _agree(scene: Scene, plan: Plan) -> None:
    """Let the world accept what the plan says, and nothing else."""
    scene.estate.allow_disconnects = plan.effects.cuts_off
    scene.estate.allow_rolling = not plan.effects.down
    if any(type(step).__name__ == "TemplateSize" for step in plan.steps):
        scene.estate.allow_template_keys.add("size")


async def _ask(scene: Scene, asks: Asks) -> None:
    operations = scene.bot.operations
    try:
        if not await operations.reader.waiting("acme"):
            await asks(scene)
            await scene.wait(5)
        for request in await operations.reader.waiting("acme"):
            _agree(scene, request.plan)
            await operations.service.approve(request.id, ANA if request.startable else BEN)
    except BotError:
        return


async def _prepared(scene: Scene, fleet: Fleet, play: Play) -> None:
    await scene.start_bot()
    play.prepare(scene)
    for words in play.first:
        run = await _insist(scene, _typed(_words(fleet, words)))
        assert run.state is State.DONE, run.stopped
    for _ in range(2):
        scene.estate.open_meeting(people=4, minutes=2, recordings=1)


def _asks(fleet: Fleet, play: Play) -> Asks:
    return play.asks or _typed(_words(fleet, play.words))


def _tale(run: Run) -> RunRecord:
    return RunRecord(run.id, steps=[{"is": type(step).__name__} for step in run.steps])


async def _harmless(scene: Scene, run: Run) -> None:
    """What is asked of each run, however it ended."""
    if not run.plan.effects.cuts_off:
        assert scene.estate.people_disconnected == 0, "no card said so"
    assert set(scene.estate.signals.values()) <= {1}, "drained once per start"
    await scene.settled(run)
    assert await scene.bot.operations.service.open_run("acme", ANA) is None


async def _ended(scene: Scene, fleet: Fleet, play: Play, run: Run) -> None:
    assert type(run.plan.procedure).__name__ == play.procedure
    assert run.state is State.DONE, f"{run.state}: {run.stopped or run.question}"
    await _harmless(scene, run)
    assert play.goal(scene, _tale(run)) == ""


def tell(fleet: Fleet, play: Play, die_at: CrashPoint) -> int:
    async def story() -> int:
        async with _scene(fleet, play) as scene:
            await _prepared(scene, fleet, play)
            life = scene.crash_injectors[-1]
            life.points, life.die_at = 0, die_at
            run = await _insist(scene, _asks(fleet, play))
            await _ended(scene, fleet, play, run)
            return life.points

    return virtual.run(story())


def _points(number: int) -> Iterable[int]:
    return {1 + index for index in spread(number, by_level(1, 2, 16))}


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("fleet", "play"), CASES)
def test_typed_in_slack_and_killed_at_any_point(fleet: Fleet, play: Play) -> None:
    name = f"{fleet.name}, {play.words}"
    assert_survives_crashes(name, partial(tell, fleet, play), _points)


@cache
def _lasts(fleet: Fleet, play: Play) -> float:
    """Return the seconds that it takes when no one interferes."""

    async def story() -> float:
        async with _scene(fleet, play) as scene:
            await _prepared(scene, fleet, play)
            run = await _insist(scene, _asks(fleet, play))
            return run.ended_at - run.opened_at

    return virtual.run(story())


def _is_whole(scene: Scene, was: int) -> bool:
    """Return whether people can meet as before: on as many nodes, and nothing is paused."""
    estate = scene.estate
    return (
        all(estate.healthy(m) for m in estate.masters("acme"))
        and len(estate.serving("acme")) >= was
        and (estate.clusters["acme"].kind != "autoscaler" or estate.functions.scales("acme"))
    )


async def _run_of(scene: Scene, asks: Asks) -> Run:
    """Return the run that this request opens."""
    before = len(await scene.journal.latest("acme", 1000))
    for _ in range(20):
        runs = await scene.journal.latest("acme", 1000)
        if len(runs) > before:
            return await scene.journal.run(runs[0])
        await scene.by_bot(_ask(scene, asks))
        await scene.wait(1)
    raise AssertionError("it was not taken")


async def _brought_back(scene: Scene, was: int, said: str) -> None:
    """Bring back what a cancel left undone, by the commands that are there for it."""
    if _is_whole(scene, was):
        return
    assert HELPS.search(said), f"nothing is said of what is left: {said}"
    paused = (
        scene.estate.clusters["acme"].kind == "autoscaler"
        and not scene.estate.functions.scales("acme")
        and scene.estate.front_is_up("acme")
    )
    for words in (*(["unfreeze"] if paused else []), "startup"):
        if not _is_whole(scene, was):
            run = await _insist(scene, _typed(words))
            assert run.state is State.DONE, f"{words}: {run.state}: {run.stopped or run.question}"
    await scene.wait(300)
    assert _is_whole(scene, was)


def cancelled(fleet: Fleet, play: Play, part: float) -> None:
    """Ana cancels the run after that part of the time that it takes."""
    seconds = _lasts(fleet, play) * part

    async def story() -> None:
        async with _scene(fleet, play) as scene:
            await _prepared(scene, fleet, play)
            # An autoscaler brings more when people come.
            was = 1 if fleet.kind == "autoscaler" else len(scene.estate.serving("acme"))
            run = await _run_of(scene, _asks(fleet, play))
            await scene.wait(seconds)
            service = scene.bot.operations.service
            try:
                await service.cancel(run.id, ANA)
            except BotError:
                assert (await scene.journal.run(run.id)).state in OVER, "too late to cancel"
            run = await scene.run_is(run.id, *OVER, State.STOPPED, State.ASKING)
            assert run.over, f"{run.state}: {run.stopped or run.question}"
            await _harmless(scene, run)
            if run.state is State.DONE:
                assert play.goal(scene, _tale(run)) == ""
                return
            await scene.wait(300)
            scene.estate.settle()
            said = " ".join(f"{m.text} {m.blocks}" for m in scene.cards_of(run))
            await _brought_back(scene, was, said)
            assert scene.estate.people_disconnected == 0 or run.plan.effects.cuts_off

    virtual.run(story())


MOMENTS = [(2 * n + 1) / (2 * by_level(1, 2, 10)) for n in range(by_level(1, 2, 10))]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("fleet", "play"), CASES)
@pytest.mark.parametrize("part", MOMENTS)
def test_cancelled_at_any_moment(fleet: Fleet, play: Play, part: float) -> None:
    cancelled(fleet, play, part)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("fleet", "words", "text"), REFUSALS)
def test_what_a_deployment_cannot_do_is_refused_with_its_reason(
    fleet: Fleet, words: str, text: str
) -> None:
    async def story() -> None:
        play = PLAYS[0]
        async with _scene(fleet, play) as scene:
            await scene.start_bot()
            await scene.ana.type_text("COPS", f"/openvidu {_words(fleet, words)}")
            await scene.ephemeral("UANA", text)
            assert await scene.bot.operations.reader.waiting("acme") == []
            assert await scene.journal.latest("acme", 10) == []

    virtual.run(story())
