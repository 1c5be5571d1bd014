"""Slack: both tokens, the scopes, a socket, the channels, and who the settings name."""

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
from bot.app import news_channels
from bot.doctor.check import Check, Finding, fine, skipped, unknown, wrong
from bot.doctor.context import Case
from bot.serve import HOPELESS
from services.common.causes import cause_of

HELLO = 10.0
OUTSIDE = {
    "deleted": "deactivated",
    "is_bot": "a bot",
    "is_restricted": "a guest",
    "is_stranger": "of another workspace",
}


def checks(case: Case) -> Iterator[Check]:
    """What there is to look at in Slack."""
    yield Check("Slack: bot token", partial(_token, case))
    if case.settings.slack.mode == "socket":
        yield Check("Slack: socket", partial(_socket, case))
    else:
        yield Check("Slack: requests", partial(_http, case))
    yield Check("Slack: channels", partial(_channels, case))
    yield Check("Slack: people", partial(_people, case))


def wanted_scopes() -> frozenset[str]:
    """The scopes that the manifest asks for."""
    manifest = yaml.safe_load(
        Path(config.__file__).with_name("slack-manifest.yaml").read_text("utf-8")
    )
    return frozenset(manifest["oauth_config"]["scopes"]["bot"])


async def _ask(
    case: Case, method: str, token: SecretStr | None = None, **said: str
) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """One call of the Web API, by the client that the bot uses: its answer and its headers. `token`: another than the bot's own."""
    bearer = {"Authorization": f"Bearer {token.get_secret_value() if token else ''}"}
    try:
        got = await case.slack.api_call(
            method, data=said, headers=bearer if token is not None else {}
        )
    except SlackApiError as error:
        answer = getattr(error.response, "data", None)
        status = getattr(error.response, "status_code", None) or getattr(
            error.response, "status", "unknown"
        )
        known = (
            answer
            if isinstance(answer, dict) and answer.get("error")
            else {"ok": False, "error": f"status {status}"}
        )
        return known, getattr(error.response, "headers", {})
    return got.data if isinstance(got.data, dict) else {}, {
        name.lower(): str(value) for name, value in got.headers.items()
    }


def _silent(name: str, case: Case, error: BaseException) -> list[Finding]:
    why = cause_of(error, "SSL_CERT_FILE")
    return [
        unknown(
            name,
            f"{case.settings.slack.api_url} does not answer: {why.said}",
            f"{why.remedy}; or Slack is down",
        )
    ]


def _refused(name: str, variable: str, answer: Mapping[str, Any]) -> Finding:
    code = str(answer.get("error"))
    if code in HOPELESS:
        return wrong(
            name,
            f"Slack answered {code}: the token {HOPELESS[code]}",
            f"put another one into {variable}",
        )
    return unknown(name, f"Slack answered {code}", "try again later")


async def _token(case: Case) -> Sequence[Finding]:
    name = "Slack: bot token"
    try:
        answer, headers = await _ask(case, "auth.test")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return _silent(name, case, error)
    if not answer.get("ok"):
        return [_refused(name, "SLACK_BOT_TOKEN", answer)]
    found = [fine(name, f"speaks as {answer.get('user')} in {answer.get('team')}")]
    teams = case.settings.slack.teams
    if teams and not set(teams) & {answer.get("team_id"), answer.get("enterprise_id")}:
        said = f"the token is of {answer.get('team_id')}, which is not among slack.teams ({', '.join(teams)})"
        found.append(
            wrong(
                "Slack: workspace",
                said,
                "name that workspace in slack.teams, or leave slack.teams out",
            )
        )
    return [*found, _scopes(headers)]


def _scopes(headers: Mapping[str, str]) -> Finding:
    name, told = "Slack: scopes", headers.get("x-oauth-scopes")
    if told is None:
        return unknown(name, "Slack did not say which scopes the token has", "try again later")
    lacking = sorted(wanted_scopes() - {scope.strip() for scope in told.split(",")})
    if lacking:
        remedy = "put the manifest (`openvidu-bot manifest`) into the app's settings and install the app to the workspace again"
        return wrong(name, f"the bot token lacks {', '.join(lacking)}", remedy)
    return fine(name, "every scope of the manifest is granted")


async def _socket(case: Case) -> Sequence[Finding]:
    name = "Slack: socket"
    try:
        answer, _ = await _ask(case, "apps.connections.open", case.settings.slack.app_token)
        if not answer.get("ok"):
            return [_refused(name, "SLACK_APP_TOKEN", answer)]
        # Slack may hand this socket a command; it is closed as soon as it has said hello, so that none gets lost here.
        session, limit = case.slack.session, aiohttp.ClientWSTimeout(ws_close=2.0)
        assert session is not None, "the bot's client brings its own"
        async with session.ws_connect(
            str(answer["url"]), timeout=limit, proxy=case.slack.proxy
        ) as line:
            hello = await line.receive_json(timeout=HELLO)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, TypeError) as error:
        return _silent(name, case, error)
    others = int(hello.get("num_connections") or 1) - 1
    running = (
        f"; {others} more are open: a bot is running"
        if others
        else "; no other is open: no bot is running"
    )
    return [fine(name, f"a socket opens and Slack says {hello.get('type')}{running}")]


async def _http(_case: Case) -> Sequence[Finding]:
    return [
        skipped(
            "Slack: requests",
            "only Slack itself can try the public address that its requests come to",
        )
    ]


async def _channels(case: Case) -> Sequence[Finding]:
    named = dict.fromkeys(
        [
            *case.settings.channels,
            *(c.channel for c in case.settings.clusters.values() if c.channel),
        ]
    )
    found = await asyncio.gather(*(_channel(case, channel) for channel in named))
    without = [name for name in case.settings.clusters if name not in news_channels(case.settings)]
    return [*found, *(_no_channel(name) for name in without)]


def _no_channel(cluster: str) -> Finding:
    said = f"{cluster} has no channel of its own, so its changes could be read by no one: they are refused"
    return wrong(f"Slack: channel of {cluster}", said, f"name one in clusters.{cluster}.channel")


async def _channel(case: Case, channel: str) -> Finding:
    name = f"Slack: channel {channel}"
    try:
        answer, _ = await _ask(case, "conversations.info", channel=channel)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return _silent(name, case, error)[0]
    if answer.get("error") == "channel_not_found":
        said = "there is no such channel, or it is private and the bot is not in it"
        return wrong(name, said, "type /invite @openvidu there, or correct the id")
    if not answer.get("ok"):
        return unknown(
            name,
            f"Slack answered {answer.get('error')}",
            "see what is said about the bot token above",
        )
    about = answer["channel"]
    if about.get("is_archived"):
        return wrong(
            name, f"#{about.get('name')} is archived", "name another channel in the settings"
        )
    if not about.get("is_member"):
        return wrong(
            name, f"the bot is not in #{about.get('name')}", "type /invite @openvidu there"
        )
    return fine(name, f"the bot is in #{about.get('name')}")


async def _people(case: Case) -> Sequence[Finding]:
    roles = [(*c.roles.changers, *c.who_approves) for c in case.settings.clusters.values()]
    named = dict.fromkeys(who for role in roles for who in role if not who.startswith("S"))
    if not named:
        remedy = "name them in clusters.NAME.roles.operators"
        return [
            wrong("Slack: people", "no operators are named: nobody may change anything", remedy)
        ]
    found = await asyncio.gather(*(_person(case, who) for who in named))
    troubled = [f for f in found if f is not None]
    return troubled or [
        fine(
            "Slack: people",
            f"{len(named)} of {len(named)} operators and approvers are full members",
        )
    ]


async def _person(case: Case, who: str) -> Finding | None:
    name = f"Slack: {who}"
    try:
        answer, _ = await _ask(case, "users.info", user=who)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return _silent(name, case, error)[0]
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
    who = person.get("real_name") or person.get("name")
    for key, why in OUTSIDE.items():
        if person.get(key):
            return wrong(
                name, f"{who} is {why} and can change nothing", "name somebody else in the roles"
            )
    return None
