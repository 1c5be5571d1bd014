"""Checks Slack: tokens, scopes, a socket, the channels, and the members that the settings name."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from pydantic import SecretStr
from slack_sdk.errors import SlackApiError

import config
from bot.clusters import news_channels
from bot.doctor.check import Check, CheckFinding, fine, skipped, unknown, wrong
from bot.doctor.context import DoctorContext
from bot.serve import HOPELESS
from services.common.causes import cause_of

HELLO_WITHIN = 10.0
# Users that can change nothing.
EXCLUDED = {
    "deleted": "deactivated",
    "is_bot": "a bot",
    "is_restricted": "a guest",
    "is_stranger": "of another workspace",
}


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield the checks of Slack."""
    yield Check("Slack: bot token", partial(_token, context))
    if context.settings.slack.mode == "socket":
        yield Check("Slack: socket", partial(_socket, context))
    else:
        yield Check("Slack: requests", partial(_http, context))
    yield Check("Slack: channels", partial(_channels, context))
    yield Check("Slack: people", partial(_people, context))


def wanted_scopes() -> frozenset[str]:
    """Return the bot scopes of the manifest."""
    manifest = yaml.safe_load(
        Path(config.__file__).with_name("slack-manifest.yaml").read_text("utf-8")
    )
    return frozenset(manifest["oauth_config"]["scopes"]["bot"])


async def _call(
    context: DoctorContext, method: str, token: SecretStr | None = None, **arguments: str
) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Call the Web API with the bot's client; return the answer and its headers.

    `token` replaces the bot token.
    """
    headers = {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token.get_secret_value()}"
    try:
        response = await context.slack.api_call(method, data=arguments, headers=headers)
    except SlackApiError as error:
        return _error_answer(error.response), getattr(error.response, "headers", {})
    answer = response.data if isinstance(response.data, dict) else {}
    return answer, {name.lower(): str(value) for name, value in response.headers.items()}


def _error_answer(response: object) -> Mapping[str, Any]:
    """Return Slack's answer with its error; one with the HTTP status if it has none."""
    answer = getattr(response, "data", None)
    if isinstance(answer, dict) and answer.get("error"):
        return answer
    status = getattr(response, "status_code", None) or getattr(response, "status", "unknown")
    return {"ok": False, "error": f"status {status}"}


def _unreachable(name: str, context: DoctorContext, error: BaseException) -> CheckFinding:
    cause = cause_of(error, "SSL_CERT_FILE")
    problem = f"{context.settings.slack.api_url} does not answer: {cause.text}"
    return unknown(name, problem, f"{cause.remedy}; or Slack is down")


def _refused(name: str, variable: str, answer: Mapping[str, Any]) -> CheckFinding:
    code = str(answer.get("error"))
    if code in HOPELESS:
        return wrong(
            name,
            f"Slack answered {code}: the token {HOPELESS[code]}",
            f"put another one into {variable}",
        )
    return unknown(name, f"Slack answered {code}", "try again later")


async def _token(context: DoctorContext) -> Sequence[CheckFinding]:
    name = "Slack: bot token"
    try:
        answer, headers = await _call(context, "auth.test")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return [_unreachable(name, context, error)]
    if not answer.get("ok"):
        return [_refused(name, "SLACK_BOT_TOKEN", answer)]
    findings = [fine(name, f"speaks as {answer.get('user')} in {answer.get('team')}")]
    teams = context.settings.slack.teams
    if teams and not set(teams) & {answer.get("team_id"), answer.get("enterprise_id")}:
        names = ", ".join(teams)
        problem = (
            f"the token is of {answer.get('team_id')}, which is not among slack.teams ({names})"
        )
        remedy = "name that workspace in slack.teams, or leave slack.teams out"
        findings.append(wrong("Slack: workspace", problem, remedy))
    return [*findings, _scopes(headers)]


def _scopes(headers: Mapping[str, str]) -> CheckFinding:
    name, granted = "Slack: scopes", headers.get("x-oauth-scopes")
    if granted is None:
        return unknown(name, "Slack did not say which scopes the token has", "try again later")
    missing = sorted(wanted_scopes() - {scope.strip() for scope in granted.split(",")})
    if missing:
        remedy = (
            "put the manifest (`openvidu-bot manifest`) into the app's settings "
            "and install the app to the workspace again"
        )
        return wrong(name, f"the bot token lacks {', '.join(missing)}", remedy)
    return fine(name, "every scope of the manifest is granted")


async def _socket(context: DoctorContext) -> Sequence[CheckFinding]:
    name = "Slack: socket"
    try:
        answer, _ = await _call(context, "apps.connections.open", context.settings.slack.app_token)
        if not answer.get("ok"):
            return [_refused(name, "SLACK_APP_TOKEN", answer)]
        # Slack may send a command to this socket: it is closed right after the hello.
        session, limit = context.slack.session, aiohttp.ClientWSTimeout(ws_close=2.0)
        assert session is not None, "the bot's client brings its own"
        async with session.ws_connect(
            str(answer["url"]), timeout=limit, proxy=context.slack.proxy
        ) as socket:
            hello = await socket.receive_json(timeout=HELLO_WITHIN)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, TypeError) as error:
        return [_unreachable(name, context, error)]
    others = int(hello.get("num_connections") or 1) - 1
    running = "; no other is open: no bot is running"
    if others:
        running = f"; {others} more are open: a bot is running"
    return [fine(name, f"a socket opens and Slack says {hello.get('type')}{running}")]


async def _http(_case: DoctorContext) -> Sequence[CheckFinding]:
    return [
        skipped(
            "Slack: requests",
            "only Slack itself can try the public address that its requests come to",
        )
    ]


async def _channels(context: DoctorContext) -> Sequence[CheckFinding]:
    named = dict.fromkeys(
        [
            *context.settings.channels,
            *(c.channel for c in context.settings.clusters.values() if c.channel),
        ]
    )
    findings = await asyncio.gather(*(_channel(context, channel) for channel in named))
    without = [
        name for name in context.settings.clusters if name not in news_channels(context.settings)
    ]
    return [*findings, *(_no_channel(name) for name in without)]


def _no_channel(cluster: str) -> CheckFinding:
    problem = (
        f"{cluster} has no channel of its own, so its changes could be read by no one: "
        "they are refused"
    )
    return wrong(f"Slack: channel of {cluster}", problem, f"name one in clusters.{cluster}.channel")


async def _channel(context: DoctorContext, channel: str) -> CheckFinding:
    name = f"Slack: channel {channel}"
    try:
        answer, _ = await _call(context, "conversations.info", channel=channel)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return _unreachable(name, context, error)
    if answer.get("error") == "channel_not_found":
        problem = "there is no such channel, or it is private and the bot is not in it"
        return wrong(name, problem, "type /invite @openvidu there, or correct the id")
    if not answer.get("ok"):
        return unknown(
            name,
            f"Slack answered {answer.get('error')}",
            "see what is said about the bot token above",
        )
    channel_info = answer["channel"]
    if channel_info.get("is_archived"):
        return wrong(
            name, f"#{channel_info.get('name')} is archived", "name another channel in the settings"
        )
    if not channel_info.get("is_member"):
        return wrong(
            name, f"the bot is not in #{channel_info.get('name')}", "type /invite @openvidu there"
        )
    return fine(name, f"the bot is in #{channel_info.get('name')}")


async def _people(context: DoctorContext) -> Sequence[CheckFinding]:
    roles = [(*c.roles.changers, *c.who_approves) for c in context.settings.clusters.values()]
    named = dict.fromkeys(who for role in roles for who in role if not who.startswith("S"))
    if not named:
        remedy = "name them in clusters.NAME.roles.operators"
        return [
            wrong("Slack: people", "no operators are named: nobody may change anything", remedy)
        ]
    findings = await asyncio.gather(*(_person(context, who) for who in named))
    problems = [finding for finding in findings if finding is not None]
    return problems or [
        fine(
            "Slack: people",
            f"{len(named)} of {len(named)} operators and approvers are full members",
        )
    ]


async def _person(context: DoctorContext, who: str) -> CheckFinding | None:
    name = f"Slack: {who}"
    try:
        answer, _ = await _call(context, "users.info", user=who)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return _unreachable(name, context, error)
    if answer.get("error") in ("user_not_found", "user_not_visible"):
        return wrong(
            name,
            "nobody in this workspace has that member id",
            "correct it in the roles (profile, “copy member ID”)",
        )
    if not answer.get("ok"):
        return unknown(
            name,
            f"Slack answered {answer.get('error')}",
            "see what is said about the bot token above",
        )
    person = answer["user"]
    label = person.get("real_name") or person.get("name")
    for key, why in EXCLUDED.items():
        if person.get(key):
            return wrong(
                name, f"{label} is {why} and can change nothing", "name somebody else in the roles"
            )
    return None
