"""The only place that speaks to Slack's Web API."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient

from handlers.blocks import Card
from services.clock import Clock
from services.errors import Unreachable
from services.policy import Actor

log = logging.getLogger(__name__)
KNOWN_FOR = 600.0  # seconds that a person's standing is believed
GONE = frozenset({"message_not_found", "edit_window_closed", "cant_update_message", "channel_not_found"})


@dataclass(frozen=True)
class Ear:
    """Where a private answer to one person goes."""

    channel: str
    user: str
    thread: str = ""


class MessageGone(Exception):
    """The message to edit is not there any more."""


class Voice:
    """Posts, edits, whispers; and knows who people are. Raises Unreachable when Slack cannot be spoken to."""

    def __init__(self, client: AsyncWebClient, clock: Clock, teams: frozenset[str] = frozenset()) -> None:
        self._client = client
        self._clock = clock
        self._teams = teams
        self._people: dict[str, tuple[float, str, str]] = {}

    def is_of(self, team: str) -> None:
        """The workspace that the bot's token is for: the only one it serves, unless others were named."""
        if team and not self._teams:
            self._teams = frozenset({team})

    async def post(self, channel: str, card: Card, thread: str = "") -> str:
        """A new message; returns its ts."""
        more = {"thread_ts": thread} if thread else {}
        answer = await self._call("chat.postMessage", {"channel": channel, **card.arguments(), **more})
        return str(answer["ts"])

    async def edit(self, channel: str, ts: str, card: Card) -> None:
        """The same message, changed. MessageGone when it is not there."""
        await self._call("chat.update", {"channel": channel, "ts": ts, **card.arguments()})

    async def whisper(self, ear: Ear, card: Card) -> None:
        """For one person's eyes. Where the bot is not in the channel, in their own conversation with it."""
        more = {"thread_ts": ear.thread} if ear.thread else {}
        try:
            await self._call("chat.postEphemeral", {"channel": ear.channel, "user": ear.user, **card.arguments(), **more})
        except Unreachable as error:
            if not isinstance(error.__cause__, SlackApiError):
                raise
            await self._call("chat.postMessage", {"channel": ear.user, **card.arguments()})

    async def open_modal(self, trigger: str, view: dict[str, Any]) -> None:
        """Show a form to the person who typed; their trigger lasts three seconds."""
        await self._call("views.open", {"trigger_id": trigger, "view": view})

    async def picture(self, channel: str, thread: str, png: bytes, title: str, described: str) -> None:
        """A picture below a message, with its description for those who do not see it."""
        try:
            await self._client.files_upload_v2(
                channel=channel, thread_ts=thread, content=png, filename="hours.png", title=title, alt_txt=described
            )
        except SlackApiError as error:
            raise Unreachable(f"sending a picture to Slack: {error.response.get('error')}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, SlackRequestError) as error:
            raise Unreachable(f"sending a picture to Slack: {type(error).__name__}") from error

    async def actor(self, body: Mapping[str, Any]) -> Actor:
        """Who did this, from a payload. Somebody who can never change anything carries the reason."""
        user = body.get("user") if isinstance(body.get("user"), Mapping) else {}
        team = body.get("team") if isinstance(body.get("team"), Mapping) else {}
        user_id = str(body.get("user_id") or (user or {}).get("id") or "")
        team_id = str((user or {}).get("team_id") or body.get("team_id") or (team or {}).get("id") or "")
        enterprise = body.get("enterprise_id") or (body.get("enterprise") or {}).get("id") or ""
        if self._teams and team_id not in self._teams and enterprise not in self._teams:
            return Actor(user_id, team_id, str(enterprise), outsider="you belong to another workspace; only members of this one may use it")
        name, outsider = await self._person(user_id)
        return Actor(user_id, team_id, str(enterprise), name, outsider)

    async def _person(self, user_id: str) -> tuple[str, str]:
        known = self._people.get(user_id)
        if known is not None and self._clock.now() - known[0] < KNOWN_FOR:
            return known[1], known[2]
        try:
            person = (await self._call("users.info", {"user": user_id}))["user"]
        except Unreachable as error:
            cause = error.__cause__
            if isinstance(cause, SlackApiError) and cause.response.get("error") == "missing_scope":
                return "", ""  # roles name people one by one; without users:read that is all there is to go by
            return "", "Slack does not say who you are at the moment; nothing was changed, try again"
        found = (str(person.get("real_name") or person.get("name") or ""), _outsider(person, self._teams))
        if len(self._people) > 1000:
            self._people.clear()
        self._people[user_id] = (self._clock.now(), *found)
        return found

    async def _call(self, method: str, arguments: dict[str, Any]) -> Any:
        try:
            return await self._client.api_call(method, json=arguments)
        except SlackApiError as error:
            code = str(error.response.get("error"))
            if code in GONE:
                raise MessageGone(code) from error
            raise Unreachable(f"asking Slack for {method}: {code}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"asking Slack for {method}: {type(error).__name__}") from error


def _outsider(person: Mapping[str, Any], teams: frozenset[str]) -> str:
    if person.get("deleted"):
        return "your account is deactivated"
    if person.get("is_bot"):
        return "bots may not operate clusters"
    if person.get("is_restricted") or person.get("is_ultra_restricted"):
        return "guests of the workspace may not operate clusters; ask a full member"
    elsewhere = teams and person.get("team_id") and person["team_id"] not in teams and not person.get("enterprise_user")
    if person.get("is_stranger") or elsewhere:
        return "you belong to another workspace; only members of this one may use it"
    return ""
