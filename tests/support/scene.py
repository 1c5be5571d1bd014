"""A scene: the real bot, with all its parts, in the pretend world, in virtual time."""

import asyncio
import contextlib
import contextvars
import copy
import json
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from bot.app import Bot, build
from bot.clusters import Adapters
from bot.rehearsal.direct_api import use_direct_api
from bot.rehearsal.in_process import InProcessBucket, InProcessHttp, InProcessShell
from bot.reread import SettingsFile
from config.settings import load
from config.values import Settings
from handlers.views import outcome
from services.cloud.clients.exchanges import Listener
from services.common.clock import Clock, loop_clock
from services.common.errors import Refused
from services.operations.rehearsal import RehearsalStage
from services.runs.journal import Journal
from services.runs.run import Run
from services.store import Store
from services.store.keys import has_own_message
from services.store.sqlite import SqliteStore
from simulators.clock import LoopClock
from simulators.environment import SimulatedEnvironment
from simulators.faults import WorldFaults
from simulators.github import TOKEN as GITHUB_TOKEN
from simulators.slack.delivery import Undelivered
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.inprocess import Receive, bolt_receiver
from simulators.slack.model import Message
from simulators.slack.user import SimulatedUser
from simulators.slack.workspace import SlackWorkspace
from tests.support.coverage_level import QUICK
from tests.support.crash_injector import (
    CrashingHttp,
    CrashingShell,
    CrashingStore,
    CrashingWebClient,
    CrashInjector,
    CrashPoint,
)
from tests.support.idle_rounds import Idle, Rounds
from tests.support.memory_store import MemoryStore
from tests.support.pydo_transport import InProcessTransport

T = TypeVar("T")
ORIGIN = 1_800_000_000.0
ROOT = Path(__file__).parents[2]
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "config" / "slack-manifest.yaml").read_text())
PEOPLE = {"UANA": "ana", "UBEN": "ben", "UCARLA": "carla", "UDORA": "dora"}
SELDOM = 15.0  # seconds between the looks of a run in `make test`
OFTEN: dict[str, Any] = {"timings": {"look": 5}}
"""The site of a scene in which seconds matter: a run looks as often as with no setting."""
READ_AGAIN = 60.0  # seconds after which a run is read though no bot has changed anything
_life: contextvars.ContextVar[CrashInjector | None] = contextvars.ContextVar("life", default=None)


def open_message_tab(slack: FakeSlack) -> None:
    """Let people write to the app, as where it was installed with a manifest of their own."""
    manifest = copy.deepcopy(slack.manifest)
    manifest["features"]["app_home"]["messages_tab_read_only_enabled"] = False
    slack.manifest = manifest


class Scene:
    """`async with Scene() as scene:` inside `virtual.run`.

    The invariants are checked at the end, whatever the story was.

    `reach` is how the bots reach the state, `road` how Slack's deliveries reach them; `pydo` False
    leaves pydo's pipeline out, as `make test` does in scenes that are not about it. `every_round`:
    those in which nothing is due, too. `sqlite` False keeps the state in dictionaries, as
    `make test` does in scenes that do not look into its tables.
    `shared`: the bots divide the clusters, as on a Redis. `stage`: where changes are rehearsed.
    `sites` are a stack's settings beside `site`, `each` the options of its cluster beside the
    common ones. `cluster`: how clusters are built, as for `Estate.build_cluster`: `deployment`
    ("elastic", "single node") and `kind` of the media fleet among others.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        media: int = 3,
        stacks: tuple[str, ...] = ("acme",),
        policy: Mapping[str, Any] | None = None,
        roles: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        site: Mapping[str, Any] | None = None,
        sites: Mapping[str, Mapping[str, Any]] | None = None,
        each: Mapping[str, Mapping[str, Any]] | None = None,
        faults: WorldFaults | None = None,
        store: Store | None = None,
        reach: Callable[[Store], Store] = lambda store: store,
        road: Callable[[Receive], Receive] = lambda receive: receive,
        shell: Callable[[SimulatedEnvironment], Any] | None = None,
        pydo: bool = not QUICK,
        every_round: bool = not QUICK,
        sqlite: bool = not QUICK,
        livekit: bool = True,
        start: bool = True,
        reread: bool = False,
        shared: bool = False,
        stage: RehearsalStage | None = None,
        origin: float = ORIGIN,
        listener: Listener | None = None,
        **cluster: Any,
    ) -> None:
        self.environment = SimulatedEnvironment(LoopClock(origin), seed, faults)
        self.environment.estate.droplet_limit = max(25, (media * 2 + 4) * len(stacks))
        for stack in stacks:
            self.environment.build_cluster(
                stack, **{"media": media, **cluster, **(each or {}).get(stack, {})}
            )
        self.estate = self.environment.estate
        self.clock: Clock = loop_clock(origin)
        self.store: Store = store or (
            SqliteStore(None, self.clock, threaded=False) if sqlite else MemoryStore(self.clock)
        )
        self.slack = FakeSlack(_workspace(origin), MANIFEST)
        self.site = dict(
            site or {}
        )  # More settings of each cluster: drain, timings, another stack's name.
        self.sites = sites or {}
        self.file: SettingsFile | None = None
        self._keeps_file = reread
        self._listener = listener
        self._stage = stage
        self._shared = shared
        self.settings = self._settings(
            stacks, policy or {}, roles or {}, settings or {}, livekit=livekit
        )
        self.bots: list[Bot] = []
        self.crash_injectors: list[CrashInjector] = []
        self._ears: dict[CrashInjector, Receive] = {}
        self.on_death: list[Callable[[], None]] = []
        self.downtime = "at once"  # How long a dead bot stays away: tests/support/absence.py.
        self.promises = True
        self.allowed_complaints: list[str] = []  # Complaints of Slack that this story allows.
        self._kept: list[asyncio.Task[None]] = []
        self._idle = Idle(every_round=every_round)
        self.journal = Journal(self.store, self.clock)
        self._start = start
        self._reach, self._road, self._pydo, self._shell = (
            reach,
            road,
            pydo,
            shell or InProcessShell,
        )

    def _settings(
        self,
        stacks: tuple[str, ...],
        policy: Mapping[str, Any],
        roles: Mapping[str, Any],
        more: Mapping[str, Any],
        *,
        livekit: bool,
    ) -> Settings:
        env = {
            "DIGITALOCEAN_TOKEN": "dop_v1_sim",
            "SLACK_BOT_TOKEN": "xoxb-sim",
            "SLACK_APP_TOKEN": "xapp-sim",
            "GITHUB_TOKEN": GITHUB_TOKEN,
        }
        if self._shared:
            env["REDIS_URL"] = "redis://127.0.0.1:9/0"  # `self.store` stands for it
        clusters = {}
        for stack in stacks:
            domain = self.estate.clusters[stack].domain
            face = self.environment.livekit[stack]
            env |= {
                f"KEY_{_variable(stack)}": face.api_key,
                f"SECRET_{_variable(stack)}": face.api_secret,
            }
            clusters[stack] = {
                "stack": stack,
                "region": "ams3",
                "public_url": f"https://{domain}/",
                "roles": {"operators": ["UANA", "UBEN", "UCARLA"], **roles},
                "policy": dict(policy),
                "channel": "COPS",
                "spaces": {
                    "endpoint": "https://ams3.digitaloceanspaces.com",
                    "bucket": self.estate.clusters[stack].bucket,
                },
                **_usual(),
                **self.site,
                **self.sites.get(stack, {}),
            }
            if livekit:
                clusters[stack] |= {
                    "livekit_url": f"https://{domain}",
                    "secrets": {
                        "livekit_api_key": f"KEY_{_variable(stack)}",
                        "livekit_api_secret": f"SECRET_{_variable(stack)}",
                    },
                }
        raw = {"clusters": clusters, "channels": {"COPS": stacks[0]}, **more}
        path = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"scene-{id(self)}.yaml"
        path.write_text(json.dumps(raw))  # which is YAML
        if self._keeps_file:
            self.file = SettingsFile(path, lambda: load(path, env))
            return self.file.read()
        try:
            return load(path, env)
        finally:
            path.unlink()

    def change_channel(self, channel: str) -> None:
        """Edit the settings file of a scene with `reread`: this is every cluster's channel now."""
        assert self.file is not None, "Scene(reread=True)"
        raw = yaml.safe_load(self.file.path.read_text())
        for cluster in raw["clusters"].values():
            cluster["channel"] = channel
        self.file.path.write_text(yaml.safe_dump(raw))

    async def __aenter__(self) -> "Scene":
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._make_task)
        if self._start:
            await self.start_bot()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        for bot, life in zip(self.bots, self.crash_injectors, strict=True):
            if not life.is_dead:
                await bot.aclose()
        for life in self.crash_injectors:
            for task in life.tasks:
                task.cancel()
        if self.file is not None:
            self.file.path.unlink()
        if kind is None and self.promises:
            self.check_invariants()

    def check_invariants(self) -> None:
        """Check that no invariant was broken, and nothing sent that Slack would refuse."""
        assert self.estate.violations == []
        assert self.environment.shell.unknown == []
        self.slack.journal.assert_clean(allow=self.allowed_complaints)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **more: Any
    ) -> "asyncio.Task[Any]":
        task = asyncio.Task(coro, loop=loop, **more)
        life = _life.get()
        if life is not None:
            life.began(task)
        return task

    # --- bots

    async def start_bot(self, die_at: CrashPoint = None) -> Bot:
        """Start one more bot on the same state and the same Slack.

        The newest gets Slack's deliveries while it lives.
        """
        life = CrashInjector(die_at)
        token = _life.set(life)
        try:
            transport = InProcessTransport(self.environment.digitalocean.handle)
            send = transport.send

            async def mortal(request: Any, **config: Any) -> Any:
                return await life.call(
                    f"digitalocean {request.method}", lambda: send(request, **config)
                )

            transport.send = mortal  # type: ignore[method-assign]
            ways = Adapters(
                clock=self.clock,
                store=CrashingStore(self._reach(self.store), life),
                stage=self._stage,
                http=CrashingHttp(InProcessHttp(self.environment), life),
                transport=transport,
                shell=lambda _cluster, _keys: CrashingShell(self._shell(self.environment), life),
                bucket=lambda cluster: (
                    InProcessBucket(self.environment, cluster.spaces.bucket, life)
                    if cluster.spaces
                    else None
                ),
                listener=self._listener,
            )
            bot = build(self.settings, ways, CrashingWebClient(self.slack.webapi, life), self.file)
            if not self._pydo:
                for account in bot.accounts:
                    use_direct_api(account.api, "dop_v1_sim", transport.answer, life.call)
            receive = bolt_receiver(bot.app, self.slack.webapi)

            self._ears[life] = receive
            self.slack.connect(self._road(self._deliver))
            self.bots.append(bot)
            self.crash_injectors.append(life)
            rounds = Rounds(bot, life, self.store, self._idle)
            self._kept.append(asyncio.create_task(rounds.run(), name="sweeping"))
            self._kept.append(asyncio.create_task(self._bury(life), name="undertaker"))
        finally:
            _life.reset(token)
        return bot

    async def _deliver(self, kind: str, payload: Any) -> Any:
        """Deliver to the newest bot that is alive."""
        life = next((n for n in reversed(self.crash_injectors) if not n.is_dead), None)
        if life is None:
            raise Undelivered("operation_timeout")
        life.changes += 1
        mark = _life.set(life)
        try:
            return await self._ears[life](kind, payload)
        except asyncio.CancelledError:
            if not life.is_dead:
                raise
            raise Undelivered(
                "operation_timeout"
            ) from None  # The bot died over it; the user lives on.
        finally:
            _life.reset(mark)

    async def _bury(self, life: CrashInjector) -> None:
        await life.crashed.wait()
        for heard in self.on_death:
            heard()
        for task in life.tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def kill(self) -> None:
        """kill -9 for the newest bot."""
        self.crash_injectors[-1].crash()

    async def by_bot(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Run something inside the newest bot; it dies with the bot."""
        token = _life.set(self.crash_injectors[-1])
        try:
            task = asyncio.create_task(work)
        finally:
            _life.reset(token)
        try:
            return await task
        except asyncio.CancelledError:
            if self.crash_injectors[-1].is_dead:
                return None
            raise

    async def settled(self, run: Run) -> None:
        """Wait until the run's message shows how it ended, whichever bot wrote it.

        No other message may say something else.
        """
        for _ in range(60):
            if self.crash_injectors[-1].is_dead:
                await self.start_bot()
            shown = [
                m
                for m in self.ana.visible_messages("COPS")
                if outcome(run) in m.text and run.id in m.text
            ]
            if shown:
                assert len(self.cards_of(run)) == 1, [m.text for m in self.cards_of(run)]
                return
            await self.wait(5)
        raise AssertionError(
            f"no message says {outcome(run)!r}: "
            f"{[m.text for m in self.ana.visible_messages('COPS')]}"
        )

    def cards_of(self, run: Run) -> list[Message]:
        """Return the channel's messages about this run, or about the request for it."""
        messages = self.slack.workspace.channels["COPS"].messages.values()
        marks = (
            (run.id,) if has_own_message(run.request) else (run.id, run.request)
        )  # A change planned for later, or of several clusters, has a message of its own.
        return [
            m for m in messages if m.metadata and m.metadata["event_payload"].get("of") in marks
        ]

    @property
    def bot(self) -> Bot:
        return self.bots[-1]

    # --- people

    def person(self, user: str) -> SimulatedUser:
        return self.slack.user(user)

    @property
    def ana(self) -> SimulatedUser:
        return self.person("UANA")

    @property
    def ben(self) -> SimulatedUser:
        return self.person("UBEN")

    @property
    def dora(self) -> SimulatedUser:
        return self.person("UDORA")

    async def card(self, text: str, timeout: float = 3600.0, channel: str = "COPS") -> Message:
        """Return the channel's newest message with this text, now or soon.

        What a thread says is looked at only where no message of the channel says it.
        """

        def seen() -> Message | None:
            found = [
                m
                for m in reversed(self.ana.visible_messages(channel))
                if text in m.text or text in str(m.blocks)
            ]
            own = [m for m in found if not m.thread_ts or m.thread_ts == m.ts]
            return next(iter(own or found), None)

        with self._idle.expected(timeout):
            return await self.ana.wait_for(seen, timeout)

    async def ephemeral(
        self, user: str, text: str, timeout: float = 120.0, channel: str = "COPS"
    ) -> Message:
        """Return the message that only this user reads."""
        return await self.person(user).wait_for_message(channel, text, timeout)

    async def wait(self, seconds: float) -> None:
        """Let time pass; in `make test` with fewer rounds while nothing happens."""
        await self._idle.wait(seconds)

    async def run_is(self, run_id: str, *states: str, timeout: float = 6 * 3600.0) -> Run:
        """Wait until a run is in one of these states."""
        until = self.clock.now() + timeout
        seen, read_at = -1, 0.0
        with self._idle.expected(timeout):
            while (now := self.clock.now()) < until:
                changes = sum(life.changes for life in self.crash_injectors)
                if changes != seen or now - read_at >= READ_AGAIN:
                    seen, read_at = changes, now
                    with contextlib.suppress(Refused):
                        run = await self.journal.run(run_id)
                        if run.state in states:
                            return run
                await asyncio.sleep(5)
        raise AssertionError(
            f"{run_id} is not {states} after {timeout} s: {await self.journal.run(run_id)}"
        )


def _usual() -> dict[str, Any]:
    """In `make test` a run looks less often, as it does on a slow cluster."""
    return {"timings": {"look": SELDOM}} if QUICK else {}


def _variable(stack: str) -> str:
    return stack.upper().replace("-", "_")


def _workspace(origin: float) -> SlackWorkspace:
    place = SlackWorkspace(LoopClock(origin))
    for user, name in PEOPLE.items():
        place.add_user(user, name, name.title())
    place.add_channel("COPS", "ops", list(PEOPLE))
    return place
