"""Checks Slack: tokens, scopes, a socket, the channels, and the members that the settings name."""

import asyncio
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
from services.common.text import count_of

HELLO_WITHIN = 10.0
BOT_CHECK = "Slack: bot token"
CHANNEL = "Slack: channel"
INVITE = "type /invite @openvidu there"
# Users that can change nothing.
EXCLUDED = {
    "deleted": "deactivated",
    "is_bot": "a bot",
    "is_restricted": "a guest",
    "is_stranger": "of another workspace",
}


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield the checks of Slack."""
    yield Check(BOT_CHECK, partial(_token, context), needs=("secrets: SLACK_BOT_TOKEN",))
    if context.settings.slack.mode == "socket":
        app_token = ("secrets: SLACK_APP_TOKEN",)
        yield Check("Slack: socket", partial(_socket, context), needs=app_token)
    else:
        yield Check("Slack: requests", partial(_http, context))
    needs = ("secrets: SLACK_BOT_TOKEN", BOT_CHECK)
    yield Check("Slack: channels", partial(_channels, context), needs=needs)
    yield Check("Slack: people", partial(_people, context), needs=needs)


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
        return replace(
            wrong(
                name,
                f"Slack answered {code}: the token {HOPELESS[code]}",
                f"put a valid token into {variable}",
            ),
            no_access=True,
        )
    return unknown(name, f"Slack answered {code}", "try again later")


async def _token(context: DoctorContext) -> Sequence[CheckFinding]:
    name = BOT_CHECK
    try:
        answer, headers = await _call(context, "auth.test")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return [_unreachable(name, context, error)]
    if not answer.get("ok"):
        return [_refused(name, "SLACK_BOT_TOKEN", answer)]
    findings = [fine(name, f"signed in as {answer.get('user')} in {answer.get('team')}")]
    teams = context.settings.slack.teams
    if teams and not set(teams) & {answer.get("team_id"), answer.get("enterprise_id")}:
        names = ", ".join(teams)
        problem = (
            f"the token is of {answer.get('team_id')}, which is not among slack.teams ({names})"
        )
        remedy = "add that workspace to slack.teams, or remove slack.teams"
        findings.append(wrong("Slack: workspace", problem, remedy))
    return [*findings, _scopes(headers)]


def _scopes(headers: Mapping[str, str]) -> CheckFinding:
    name, granted = "Slack: scopes", headers.get("x-oauth-scopes")
    if granted is None:
        return unknown(name, "Slack did not say which scopes the token has", "try again later")
    missing = sorted(wanted_scopes() - {scope.strip() for scope in granted.split(",")})
    if missing:
        remedy = (
            "put the output of `openvidu-bot manifest` into the app's settings (App Manifest), "
            "then reinstall the app"
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
    running = "opens; no bot is running"
    if others:
        running = f"opens; a bot is running, with {count_of(others, 'socket')}"
    return [fine(name, running, notable=True)]


async def _http(_case: DoctorContext) -> Sequence[CheckFinding]:
    return [
        skipped(
            "Slack: requests",
            "only Slack can reach the public address of its requests",
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
    problem = f"{cluster} has no channel for its cards, so every change is refused"
    return wrong(f"{CHANNEL} of {cluster}", problem, f"set clusters.{cluster}.channel")


async def _channel(context: DoctorContext, channel: str) -> CheckFinding:
    name = f"{CHANNEL} {channel}"
    try:
        answer, _ = await _call(context, "conversations.info", channel=channel)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return _unreachable(name, context, error)
    if answer.get("error") == "channel_not_found":
        problem = "there is no such channel, or it is private and the bot is not a member"
        remedy = f"{INVITE}, or correct the id{await _similar_channel(context, channel)}"
        return wrong(name, problem, remedy)
    if not answer.get("ok"):
        return unknown(name, f"Slack answered {answer.get('error')}", "check the bot token")
    channel_info = answer["channel"]
    if channel_info.get("is_archived"):
        return wrong(
            name, f"#{channel_info.get('name')} is archived", "use another channel in the settings"
        )
    if not channel_info.get("is_member"):
        return wrong(name, f"the bot is not a member of #{channel_info.get('name')}", INVITE)
    return fine(name, f"#{channel_info.get('name')}", notable=True)


async def _similar_channel(context: DoctorContext, channel: str) -> str:
    """Return ` (did you mean #ops, C0123OPS?)` if a channel of the bot has a similar id."""
    try:
        answer, _ = await _call(
            context, "conversations.list", types="public_channel,private_channel", limit="200"
        )
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return ""
    names = {str(c.get("id")): c.get("name") for c in answer.get("channels") or ()}
    similar = difflib.get_close_matches(channel, names, n=1, cutoff=0.7)
    if not similar:
        return ""
    return f" (did you mean {similar[0]}, #{names[similar[0]]}?)"


async def _people(context: DoctorContext) -> Sequence[CheckFinding]:
    roles = [(*c.roles.changers, *c.who_approves) for c in context.settings.clusters.values()]
    named = dict.fromkeys(who for role in roles for who in role if not who.startswith("S"))
    if not named:
        remedy = "add member ids to clusters.NAME.roles.operators"
        return [
            wrong("Slack: people", "there are no operators: no one may change anything", remedy)
        ]
    findings = await asyncio.gather(*(_person(context, who) for who in named))
    problems = [finding for finding in findings if finding is not None]
    return problems or [
        fine(
            "Slack: people",
            f"{len(named)} operators and approvers, all full members",
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
            "no member of this workspace has that id",
            "correct it in the roles (Slack: profile, Copy member ID)",
        )
    if not answer.get("ok"):
        return unknown(name, f"Slack answered {answer.get('error')}", "check the bot token")
    person = answer["user"]
    label = person.get("real_name") or person.get("name")
    for key, why in EXCLUDED.items():
        if person.get(key):
            problem = f"{label} is {why} and cannot change anything"
            return wrong(name, problem, "remove this id from the roles")
    return None
