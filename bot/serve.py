"""`openvidu-bot serve`: one bot, until it is told to stop."""

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from bot.app import Adapters, Bot, build
from bot.health import Health
from bot.logs import RunLogger
from bot.metrics import MetricsCollector
from bot.reread import SettingsFile
from bot.scheduler import Tick
from bot.slack_http import PATH, slack_route
from bot.slack_sockets import Sockets
from bot.state import Unusable, keep_looking, must_be_usable, open_store
from bot.terminal.identity import Peer, actor_of
from bot.terminal.local import circle_of
from bot.terminal.socket import Control
from bot.version import own_version
from bot.watchdog import Watchdog, supervisor_of
from config.values import Settings, is_loopback
from handlers.terminal.session import Terminal
from services.access.policy import Actor
from services.cloud.clients.http import Http
from services.common.causes import cause_of
from services.common.clock import Clock
from services.common.errors import Refused, Unreachable
from services.operations.assembly import SWEEP

log = logging.getLogger(__name__)
ANSWERS_WITHIN = 2.5  # seconds that answers on their way are given when the bot is stopped
CLOSE_WITHIN = 8.0
GONE_WITHIN = 10
SLACK_PATIENCE = 10.0
SLACK_AGAIN = 5.0
STATE_PATIENCE = 2.0
SILENT_TOO_LONG = 300.0

# What Slack says when asking again gets the same answer, and what to do about it.
HOPELESS = {
    "invalid_auth": "is not valid (revoked, mistyped, or of another app)",
    "not_authed": "is empty",
    "account_inactive": "belongs to a deleted app or workspace",
    "token_revoked": "was revoked; install the app again",
    "token_expired": "has expired; token rotation must be off for this app",
    "not_allowed_token_type": "is of the wrong kind",
    "missing_scope": "lacks a scope: connections:write for the app-level token, the manifest's for the bot token",
    "no_permission": "lacks a permission",
    "not_allowed": "may not open sockets: switch Socket Mode on in the app's settings",
}


class CannotStart(Exception):
    """A sentence for whoever started the bot."""


@dataclass(frozen=True)
class Home:
    """The workspace that the tokens are for, and its organisation if it is part of one."""

    team: str
    enterprise: str = ""


async def serve(settings: Settings, clock: Clock, file: SettingsFile | None = None) -> None:
    """Run a bot until SIGTERM or SIGINT. CannotStart when that cannot work. `file`: to read the settings' channels again."""
    loop = asyncio.get_running_loop()
    life = asyncio.ensure_future(_live(settings, clock, file))
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked:
            os._exit(1)  # asked twice: somebody is in a hurry
        asked = True
        signal.alarm(GONE_WITHIN)  # whatever may hang, the process is gone then
        life.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await life
    except asyncio.CancelledError:
        if not asked:
            raise
        log.info("stopped")


async def _live(settings: Settings, clock: Clock, file: SettingsFile | None) -> None:
    async with contextlib.AsyncExitStack() as parts:
        session = await parts.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        )
        client = slack_client(settings, session)
        home = await introduce(settings, client)
        # Before anybody can be heard: on the loop, these imports would hold up an acknowledgement for half a second or more.
        await asyncio.to_thread(_warm_up)
        gc.freeze()  # what was imported stays: going through it again and again would hold up acknowledgements for a fifth of a second
        try:
            store = open_store(settings.state, clock)
            await must_be_usable(settings, store, clock, own_version())
        except Unusable as error:
            raise CannotStart(str(error)) from None
        try:
            bot = build(settings, Adapters(clock, store, Http()), client, file)
        except Refused as error:
            raise CannotStart(str(error)) from None
        chronicle = RunLogger()
        bot.operations.subscribers.runs.append(chronicle.run)
        bot.operations.subscribers.requests.append(chronicle.request)
        serving = Serving(bot, client)
        parts.push_async_callback(serving.close)
        await serving.start(home)
        await serving.until_trouble()


class Serving:
    """A bot with its sockets, its tick and its health page."""

    def __init__(self, bot: Bot, client: AsyncWebClient) -> None:
        settings = bot.settings
        self._bot = bot
        self._client = client
        self._sockets: Sockets | None = None
        if settings.slack.mode == "socket":
            token = settings.slack.app_token
            self._sockets = Sockets(
                bot.app, token.get_secret_value() if token else "", proxied=client.proxy is not None
            )
        secret = settings.slack.signing_secret
        routes = (
            []
            if self._sockets
            else [
                slack_route(
                    bot.app, secret.get_secret_value() if secret else "", bot.operations.once.claim
                )
            ]
        )
        looks = (self._alive, self._ready, self._troubles, self._cautions, self._measure)
        self._health = Health(settings.health.host, settings.health.port, *looks, routes)
        self._measures = MetricsCollector(bot.operations, bot.ways.clock.now, own_version())
        self._tick = Tick(bot.sweep, SWEEP, bot.ways.clock)
        service, sweep = bot.operations.service, bot.operations.sweep
        circle = circle_of(settings)
        terminal = Terminal(service, sweep, bot.hours, bot.ways.clock, circle, drives=False)
        self._control = Control(settings.control_socket, terminal, self._who)
        self._tasks: list[asyncio.Task[None]] = []
        self._introduced = False
        self._watchdog = Watchdog(supervisor_of(os.environ), self._stuck)

    async def start(self, home: Home | None) -> None:
        """Open everything. `home` None: Slack does not answer yet; open runs are driven all the same."""
        settings = self._bot.settings
        try:
            await self._health.start()
        except OSError as error:
            health = settings.health
            raise CannotStart(
                f"health.port: {health.host}:{health.port} cannot be listened on ({error.strerror}); set another"
            ) from None
        try:
            await self._control.start()
        except OSError as error:
            why = error.strerror or error
            log.warning(
                "%s cannot be listened on (%s): this bot cannot be asked from a terminal",
                settings.control_socket,
                why,
            )
        where = f"http://{self._health.host}:{self._health.port}"
        log.info(
            "health on %s/healthz%s",
            where,
            "" if self._sockets else f", Slack's requests on {where}{PATH}",
        )
        self._tasks = [
            asyncio.create_task(self._speak(home), name="slack"),
            asyncio.create_task(self._look_at_the_state(), name="look at the state store"),
        ]
        self._tick.start()
        self._watchdog.ready()

    async def until_trouble(self) -> None:
        """Return never; raise what ends the connection to Slack for good."""
        await self._tasks[0]
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Take nothing new, let answers go out, hand runs over, hang up."""
        bot = self._bot
        bot.counter.closing = True
        self._watchdog.stopping()
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                self._tick.stop()
                await self._control.close()
                await bot.counter.tasks.settle(ANSWERS_WITHIN)
                for task in self._tasks:
                    task.cancel()
                if self._sockets is not None:
                    await self._sockets.close()
                await bot.aclose()
                await self._health.close()
        except TimeoutError:
            log.warning("not everything could be closed within %.0f s", CLOSE_WITHIN)

    def _who(self, peer: Peer) -> Actor:
        """Who asks from a terminal: what the kernel says, and what the settings make of it."""
        return actor_of(self._bot.settings, peer, self._bot.operations.user_groups.known.homes)

    async def _speak(self, home: Home | None) -> None:
        while home is None:
            await asyncio.sleep(SLACK_AGAIN)
            home = await introduce(self._bot.settings, self._client)
        self._bot.is_of(home.team, home.enterprise)
        self._introduced = True
        if self._sockets is not None:
            await self._sockets.run()

    def _stuck(self) -> list[str]:
        """Why the watchdog is not fed. A part that fails is no reason: it would fail after each restart, and the others work."""
        stalled = self._tick.stalled_for()
        return (
            [f"no round of looking after everything has ended for {stalled:.0f} s"]
            if stalled > SILENT_TOO_LONG
            else []
        )

    async def _alive(self) -> list[str]:
        if stuck := self._stuck():
            return stuck
        silent = self._tick.silent_for()
        if silent <= SILENT_TOO_LONG:
            return []
        of = [t.words for t in self._bot.operations.bulkheads.troubles if not t.cluster]
        return [f"no round of looking after everything has ended well for {silent:.0f} s", *of]

    async def _troubles(self) -> list[str]:
        """What does not work now, by part and cluster."""
        return [t.words for t in self._bot.operations.bulkheads.troubles]

    async def _ready(self) -> list[str]:
        problems = ["stopping"] if self._bot.counter.closing else []
        problems += self._bot.doors.problems()
        if not self._introduced:
            problems.append("Slack does not answer")
        elif self._sockets is not None:
            problems += await self._sockets.problems()
        if self._bot.settings.state.require_durable:
            problems += self._bot.operations.service.cautions
        if self._bot.gate.why:
            problems.append(f"no change can be made: {self._bot.gate.why}")
        if not await self._state_up():
            problems.append("the state store does not answer: no change can be made, reading works")
        return problems

    async def _state_up(self) -> bool:
        try:
            async with asyncio.timeout(STATE_PATIENCE):
                await self._bot.ways.store.get("ready")
        except (Unreachable, TimeoutError):
            return False
        return True

    async def _measure(self) -> None:
        """What /metrics shows of this moment."""
        up = await self._state_up()
        ready = not [*await self._alive(), *await self._ready()]
        sockets = await self._sockets.connected() if self._sockets is not None else 0
        closed, refused = self._bot.doors.closed(), bool(self._bot.voice.reach.token)
        self._measures.slack(closed=frozenset(closed), refused=refused)
        await self._measures.measure(
            ready=ready, state_up=up, sockets=sockets, silent=self._tick.silent_for()
        )

    async def _cautions(self) -> list[str]:
        held = await self._sockets.cautions() if self._sockets is not None else []
        changed = [self._bot.reread.problem] if self._bot.reread.problem else []
        return [
            *self._bot.operations.service.cautions,
            *held,
            *self._bot.doors.cautions(),
            *changed,
        ]

    async def _look_at_the_state(self) -> None:
        bot = self._bot
        await keep_looking(
            bot.ways.store, self._state_is, self._state_is_unfit, bot.operations.bulkheads
        )

    def _state_is(self, cautions: Sequence[str]) -> None:
        self._bot.operations.service.cautions = tuple(cautions)

    def _state_is_unfit(self, why: str) -> None:
        if why:
            self._bot.gate.close("redis", why)
        else:
            self._bot.gate.open("redis")


def _warm_up() -> None:
    """Import what the clients would only import at their first call."""
    for name in ("pydo.aio", "azure.core.pipeline.transport", "asyncssh"):
        importlib.import_module(name)


def slack_client(settings: Settings, session: aiohttp.ClientSession) -> AsyncWebClient:
    """Slack's Web API with one session and patience for hiccups; past loopback no proxy is asked."""
    token = settings.slack.bot_token
    client = AsyncWebClient(
        token=token.get_secret_value() if token else "",
        base_url=f"{settings.slack.api_url}/",
        session=session,
        retry_handlers=[
            AsyncConnectionErrorRetryHandler(max_retry_count=2),
            AsyncRateLimitErrorRetryHandler(max_retry_count=3),
            AsyncServerErrorRetryHandler(max_retry_count=2),
        ],
    )
    if is_loopback(urlsplit(settings.slack.api_url).hostname):
        # The SDK reads HTTPS_PROXY but not NO_PROXY.
        client.proxy = None
    return client


async def introduce(settings: Settings, client: AsyncWebClient) -> Home | None:
    """The workspace the tokens are for; None when Slack does not answer now. CannotStart when it refuses them."""
    variable = "SLACK_BOT_TOKEN"
    try:
        async with asyncio.timeout(SLACK_PATIENCE):
            known = await client.auth_test()
            if settings.slack.mode == "socket" and settings.slack.app_token:
                variable = "SLACK_APP_TOKEN"
                await client.apps_connections_open(
                    app_token=settings.slack.app_token.get_secret_value()
                )
    except SlackApiError as error:
        code = str(error.response.get("error"))
        if code in HOPELESS:
            raise CannotStart(
                f"{variable}: Slack answered {code}: the token {HOPELESS[code]}"
            ) from None
        log.warning("Slack answers %s; asking again in %.0f s", code, SLACK_AGAIN)
        return None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        why = cause_of(error, "SSL_CERT_FILE")
        log.warning(
            "no answer from %s: %s (%s); trying again in %.0f s",
            settings.slack.api_url,
            why.said,
            why.remedy,
            SLACK_AGAIN,
        )
        return None
    home = Home(str(known.get("team_id") or ""), str(known.get("enterprise_id") or ""))
    log.info(
        "speaking as %s in %s (%s)",
        known.get("user"),
        known.get("team"),
        home.team or home.enterprise,
    )
    return home
