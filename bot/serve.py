"""`openvidu-bot serve`: run one bot until SIGTERM or SIGINT."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from bot import logs
from bot.app import Bot, build
from bot.clusters import Adapters, news_channels
from bot.health import HealthServer
from bot.metrics import MetricsCollector
from bot.options import found_files, read_settings, settings_file
from bot.packages import missing_packages
from bot.probe.journal import journal_beside, store_waiting
from bot.rehearsal.process import RehearsalProcess
from bot.reread import SettingsFile
from bot.scheduler import Ticker
from bot.slack_http import PATH, slack_route
from bot.slack_sockets import Sockets
from bot.state import Unusable, keep_looking, must_be_usable, open_store
from bot.terminal.identity import Peer, actor_of
from bot.terminal.local import terminal_context
from bot.terminal.socket import Control
from bot.version import own_version
from bot.watchdog import Watchdog, supervisor_of
from config.values import Settings, is_loopback
from handlers.slack.heard import HeardWebClient
from handlers.slack.markup import markup
from handlers.terminal.session import TerminalSession
from services.access.policy import Actor
from services.cloud.clients.exchanges import Listener
from services.cloud.clients.http import HttpClient
from services.cluster.certificates import utc_text
from services.common.causes import cause_of
from services.common.clock import Clock
from services.common.errors import OBSERVES, BotError, Refused, Unreachable
from services.common.imports import freeze
from services.operations.assembly import SWEEP_INTERVAL
from services.secrets_env.mask import Masker
from services.store.origin import Origin

if TYPE_CHECKING:
    from bot.record.recorder import Recorder

log = logging.getLogger(__name__)
ANSWERS_WITHIN = 2.5  # seconds for answers in flight when the bot is stopped
CLOSE_WITHIN = 8.0
EXIT_WITHIN = 10
SLACK_TIMEOUT = 10.0
SLACK_RETRY = 5.0
STATE_TIMEOUT = 2.0
SILENT_TOO_LONG = 300.0

# Errors for which Slack answers every retry the same, and the reason to show.
HOPELESS = {
    "invalid_auth": "is not valid (mistyped, revoked, or of another app)",
    "not_authed": "is not set",
    "account_inactive": "belongs to a deleted app or workspace",
    "token_revoked": "was revoked; install the app again",
    "token_expired": "has expired; token rotation must be disabled for this app",
    "not_allowed_token_type": "is of the wrong kind",
    "missing_scope": "lacks a scope: connections:write for the app-level token, "
    "the manifest's for the bot token",
    "no_permission": "lacks a permission",
    "not_allowed": "may not open sockets: switch Socket Mode on in the app's settings",
}


class CannotStart(Exception):
    """The bot cannot start; the message is for the person who started it."""


@dataclass(frozen=True)
class SlackTeam:
    """The workspace of the tokens, and its organisation if it is part of one."""

    team: str
    enterprise: str = ""


def run(options: argparse.Namespace) -> int:
    """Run `openvidu-bot serve`; return the exit code."""
    settings = read_settings(options)
    logs.set_up(settings)
    for text in introduction(settings, found_files(options).line):
        log.info("%s", text)
    try:
        asyncio.run(serve(settings, options.clock, settings_file(options), options.record))
    except CannotStart as error:
        return _report(str(error), settings)
    except BotError as error:
        return _report("; ".join(filter(None, (str(error), error.remedy))), settings)
    except OSError as error:
        cause = cause_of(error)
        return _report("; ".join(filter(None, (cause.text, cause.remedy))), settings)
    return 0


def _report(text: str, settings: Settings) -> int:
    """Print in one line why the bot cannot start; return the exit code."""
    mask = Masker(logs.secrets_of(settings))
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"Cannot start: {mask(markup(text))}\n")
    return 1


def introduction(settings: Settings, files: str) -> Iterator[str]:
    """Yield what this bot operates, with which files, and which parts are not configured."""
    operated = ", ".join(
        f"{name} (stack {cluster.stack}, {cluster.region})"
        for name, cluster in settings.clusters.items()
    )
    verb = "observes" if settings.observes else "operates"
    yield f"openvidu-bot {own_version()} {verb} {operated}"
    yield files
    if settings.observes:
        yield (
            "mode: observe: nothing outside of Slack is changed; no audit head is stored in a "
            "bucket, and on-call is not called"
        )
    channels = news_channels(settings)
    for name, cluster in settings.clusters.items():
        missing = [
            text
            for text, absent in (
                ("no channel: changes are refused", name not in channels),
                ("no operators: no one may change anything", not cluster.roles.changers),
                ("no LiveKit: running meetings are unknown", cluster.livekit_url is None),
                ("no bucket: secrets.env cannot be changed from Slack", cluster.spaces is None),
            )
            if absent
        ]
        if missing:
            yield f"{name} is not fully configured: {'; '.join(missing)}"


def state_line(settings: Settings, opened: tuple[Origin, bool] | None) -> str:
    """Return where the state is, since when, and how many bots may use it."""
    where, bots = str(settings.state.path.absolute()), "one bot"
    if settings.state.redis_url is not None:
        where, bots = "Redis (REDIS_URL)", "any number of bots"
    if opened is None:
        return f"state: {where}; it does not answer yet"
    origin, new = opened
    since = "new"
    if not new:
        since = f"in use since {utc_text(origin.at)}"
    return f"state: {where}; {since}; for {bots}"


def _now(bot: Bot) -> str:
    return utc_text(bot.adapters.clock.now())


async def serve(
    settings: Settings,
    clock: Clock,
    file: SettingsFile | None = None,
    record: Path | None = None,
) -> None:
    """Run a bot until SIGTERM or SIGINT. CannotStart when it cannot work.

    `file` is the settings file: its channels are read again while the bot runs. `record`: the file
    that exchanges are recorded in, redacted.
    """
    loop = asyncio.get_running_loop()
    bot = asyncio.ensure_future(_serve(settings, clock, file, record))
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            os._exit(1)  # a second signal: exit now
        stopping = True
        signal.alarm(EXIT_WITHIN)  # ends the process even if closing hangs
        bot.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await bot
    except asyncio.CancelledError:
        if not stopping:
            raise
        log.info("stopped")


async def _serve(
    settings: Settings, clock: Clock, file: SettingsFile | None, record: Path | None
) -> None:
    if missing := missing_packages():
        raise CannotStart(f"not installed: {', '.join(missing)}; install openvidu-bot again")
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        )
        listener = None
        if record is not None:
            recorder = _recorder(settings, clock, record)
            stack.push_async_callback(asyncio.to_thread, recorder.close)
            listener = recorder.hear
        client = slack_client(settings, session, listener)
        workspace = await verify_tokens(settings, client)
        freeze()
        try:
            store = open_store(settings.state, clock)
            opened = await must_be_usable(settings, store, clock, own_version())
        except Unusable as error:
            raise CannotStart(str(error)) from None
        log.info("%s", state_line(settings, opened))
        if opened is not None and await store_waiting(journal_beside(settings.state.path), store):
            log.info("the answers of `openvidu-bot probe` are stored in the state")
        try:
            ways = Adapters(
                clock, HttpClient(), store=store, listener=listener, stage=RehearsalProcess()
            )
            bot = build(settings, ways, client, file)
        except Refused as error:
            raise CannotStart(str(error)) from None
        run_logger = logs.RunLogger()
        bot.operations.subscribers.runs.append(run_logger.run)
        bot.operations.subscribers.requests.append(run_logger.request)
        serving = Serving(bot, client)
        stack.push_async_callback(serving.close)
        await serving.start(workspace)
        await serving.until_trouble()


def _recorder(settings: Settings, clock: Clock, record: Path) -> "Recorder":
    """Return a recorder that writes already. CannotStart when the file cannot be opened."""
    from bot.record.recorder import Recorder, stacks_of  # noqa: PLC0415

    try:
        recorder = Recorder(record, own_version(), stacks_of(settings), clock.now)
    except OSError as error:
        raise CannotStart(f"--record {record}: {error.strerror}") from None
    recorder.begin()
    log.info("recording exchanges, redacted, in %s", record)
    return recorder


class Serving:
    """A bot with its sockets to Slack, its ticker, its health pages and its control socket."""

    def __init__(self, bot: Bot, client: AsyncWebClient) -> None:
        settings = bot.settings
        self._bot = bot
        self._client = client
        self._sockets = _sockets(bot, client)
        self._health = HealthServer(
            settings.health.host,
            settings.health.port,
            alive=self._alive,
            ready=self._ready,
            troubles=self._troubles,
            cautions=self._cautions,
            measure=self._measure,
            routes=_slack_routes(bot),
        )
        self._metrics = MetricsCollector(
            bot.operations, bot.adapters.clock.now, own_version(), bot.scheduler.slo
        )
        self._ticker = Ticker(bot.run_round, SWEEP_INTERVAL, bot.adapters.clock)
        terminal = TerminalSession(
            bot.operations.service,
            bot.operations.sweep,
            bot.scheduler,
            bot.adapters.clock,
            terminal_context(settings),
            drives=False,
        )
        self._control = Control(settings.control_socket, terminal, self._actor)
        self._tasks: list[asyncio.Task[None]] = []
        self._slack_answered = False
        self._watchdog = Watchdog(supervisor_of(os.environ), self._stuck)

    async def start(self, workspace: SlackTeam | None) -> None:
        """Start everything.

        `workspace` None: Slack does not answer yet; open runs are driven nevertheless.
        """
        await self._listen()
        self._tasks = [
            asyncio.create_task(self._connect_to_slack(workspace), name="slack"),
            asyncio.create_task(self._watch_the_state(), name="look at the state store"),
        ]
        self._ticker.start()
        self._watchdog.ready()

    async def _listen(self) -> None:
        """Open the health port, which must work, and the control socket, which need not."""
        settings = self._bot.settings
        try:
            await self._health.start()
        except OSError as error:
            address = f"{settings.health.host}:{settings.health.port}"
            raise CannotStart(
                f"health.port: cannot listen on {address} ({error.strerror}); "
                "another bot may be running: stop it, or set another port"
            ) from None
        try:
            await self._control.start()
        except OSError as error:
            log.warning(
                "cannot listen on %s (%s): terminal commands do not reach this bot",
                settings.control_socket,
                error.strerror or error,
            )
        where = f"http://{self._health.host}:{self._health.port}"
        if self._sockets:
            log.info("running since %s; health on %s/healthz", _now(self._bot), where)
        else:
            log.info(
                "running since %s; health on %s/healthz; Slack's requests on %s%s",
                _now(self._bot),
                where,
                where,
                PATH,
            )

    async def until_trouble(self) -> None:
        """Never return; raise what ends the connection to Slack for good."""
        await self._tasks[0]
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Take nothing new, finish answers in flight, hand runs over, disconnect."""
        bot = self._bot
        bot.dispatcher.closing = True
        self._watchdog.stopping()
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                self._ticker.stop()
                await self._control.close()
                await bot.dispatcher.tasks.settle(ANSWERS_WITHIN)
                for task in self._tasks:
                    task.cancel()
                if self._sockets is not None:
                    await self._sockets.close()
                await bot.aclose()
                await self._health.close()
        except TimeoutError:
            log.warning("stopped without closing everything within %.0f s", CLOSE_WITHIN)

    def _actor(self, peer: Peer) -> Actor:
        """Return the Slack member for a user of this machine, as the settings map them."""
        return actor_of(self._bot.settings, peer, self._bot.operations.user_groups.known.homes)

    async def _connect_to_slack(self, workspace: SlackTeam | None) -> None:
        while workspace is None:
            await asyncio.sleep(SLACK_RETRY)
            workspace = await verify_tokens(self._bot.settings, self._client)
        self._bot.set_home_workspace(workspace.team, workspace.enterprise)
        self._slack_answered = True
        if self._sockets is not None:
            await self._sockets.run()

    def _stuck(self) -> list[str]:
        """Return why the watchdog is not fed.

        A part that fails is no reason: it would fail after each restart, and the others work.
        """
        stalled = self._ticker.stalled_for()
        if stalled <= SILENT_TOO_LONG:
            return []
        return [f"no scheduler round has ended for {stalled:.0f} s"]

    async def _alive(self) -> list[str]:
        if stuck := self._stuck():
            return stuck
        silent = self._ticker.silent_for()
        if silent <= SILENT_TOO_LONG:
            return []
        failing = [t.text_line for t in self._bot.operations.bulkheads.failures if not t.cluster]
        problem = f"no scheduler round has succeeded for {silent:.0f} s"
        return [problem, *failing]

    async def _troubles(self) -> list[str]:
        """Return what does not work now, by part and cluster."""
        return [t.text_line for t in self._bot.operations.bulkheads.failures]

    async def _ready(self) -> list[str]:
        problems = []
        if self._bot.dispatcher.closing:
            problems.append("stopping")
        problems += self._bot.closed_channels.problems()
        if not self._slack_answered:
            problems.append("Slack does not answer")
        elif self._sockets is not None:
            problems += await self._sockets.problems()
        if self._bot.settings.state.require_durable:
            problems += self._bot.operations.service.cautions
        if self._bot.gate.reason:
            problems.append(f"no change is possible: {self._bot.gate.reason}")
        if not await self._state_up():
            problems.append("the state store does not answer: no change is possible, reading works")
        return problems

    async def _state_up(self) -> bool:
        try:
            async with asyncio.timeout(STATE_TIMEOUT):
                await self._bot.adapters.store.get("ready")
        except (Unreachable, TimeoutError):
            return False
        return True

    async def _measure(self) -> None:
        """Update the metrics that are measured when /metrics is read."""
        up = await self._state_up()
        ready = not [*await self._alive(), *await self._ready()]
        closed, refused = self._bot.closed_channels.closed(), bool(self._bot.slack.access.token)
        self._metrics.slack(closed=frozenset(closed), refused=refused)
        await self._metrics.measure(
            ready=ready,
            state_up=up,
            sockets=await self._open_sockets(),
            silent=self._ticker.silent_for(),
        )

    async def _open_sockets(self) -> int:
        if self._sockets is None:
            return 0
        return await self._sockets.connected()

    async def _cautions(self) -> list[str]:
        cautions = [*self._bot.operations.service.cautions]
        if self._bot.settings.observes:
            cautions.append(f"{OBSERVES}: nothing outside of Slack is changed")
        if self._sockets is not None:
            cautions += await self._sockets.cautions()
        cautions += self._bot.closed_channels.cautions()
        if self._bot.reread.problem:
            cautions.append(self._bot.reread.problem)
        return cautions

    async def _watch_the_state(self) -> None:
        bot = self._bot
        await keep_looking(
            bot.adapters.store, self._set_cautions, self._set_unfit, bot.operations.bulkheads
        )

    def _set_cautions(self, cautions: Sequence[str]) -> None:
        self._bot.operations.service.cautions = tuple(cautions)

    def _set_unfit(self, why: str) -> None:
        if why:
            self._bot.gate.close("redis", why)
        else:
            self._bot.gate.open("redis")


def _sockets(bot: Bot, client: AsyncWebClient) -> Sockets | None:
    """Return the sockets of Socket Mode; None in HTTP mode."""
    slack = bot.settings.slack
    if slack.mode != "socket":
        return None
    token = slack.app_token.get_secret_value() if slack.app_token else ""
    return Sockets(bot.app, token, proxied=client.proxy is not None)


def _slack_routes(bot: Bot) -> list[web.RouteDef]:
    """Return the route for Slack's requests in HTTP mode; none in Socket Mode."""
    slack = bot.settings.slack
    if slack.mode == "socket":
        return []
    secret = slack.signing_secret.get_secret_value() if slack.signing_secret else ""
    return [slack_route(bot.app, secret, bot.operations.once.claim)]


def slack_client(
    settings: Settings, session: aiohttp.ClientSession, listener: Listener | None = None
) -> AsyncWebClient:
    """Return a client of Slack's Web API that retries; an address on loopback uses no proxy.

    `listener` hears every exchange.
    """
    token = settings.slack.bot_token
    make = AsyncWebClient if listener is None else partial(HeardWebClient, listener)
    client = make(
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


async def verify_tokens(settings: Settings, client: AsyncWebClient) -> SlackTeam | None:
    """Return the workspace of the tokens; None when Slack does not answer.

    CannotStart when Slack refuses one of them.
    """
    variable = "SLACK_BOT_TOKEN"
    try:
        async with asyncio.timeout(SLACK_TIMEOUT):
            identity = await client.auth_test()
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
        log.warning("Slack answered %s; retrying in %.0f s", code, SLACK_RETRY)
        return None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        why = cause_of(error, "SSL_CERT_FILE")
        log.warning(
            "no answer from %s: %s (%s); retrying in %.0f s",
            settings.slack.api_url,
            why.text,
            why.remedy,
            SLACK_RETRY,
        )
        return None
    workspace = SlackTeam(
        str(identity.get("team_id") or ""), str(identity.get("enterprise_id") or "")
    )
    log.info(
        "Slack: signed in as %s in workspace %s (%s)",
        identity.get("user"),
        identity.get("team"),
        workspace.team or workspace.enterprise,
    )
    return workspace
