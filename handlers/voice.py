"""The only place that speaks to Slack's Web API."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient

from handlers.blocks import Card, modal
from services.causes import cause_of
from services.clock import Clock
from services.errors import Unreachable
from services.policy import Actor

log = logging.getLogger(__name__)
KNOWN_FOR = 600.0  # seconds that a person's standing is believed
UNKNOWN = "Slack does not say who you are at the moment; try again"
ELSEWHERE = "you belong to another workspace; only members of this one may use it"
GONE = frozenset({"message_not_found", "edit_window_closed", "cant_update_message", "channel_not_found"})


@dataclass(frozen=True)
class Ear:
    """Where a private answer to one person goes: into a channel, or where there is none into a modal that is open or can be opened."""

    channel: str
    user: str
    thread: str = ""
    view: str = ""
    trigger: str = ""


class MessageGone(Exception):
    """The message to edit is not there any more."""


@dataclass(frozen=True)
class Standing:
    """What Slack says of a person. `outsider`: why they can change nothing; `teams` are the workspaces that they are in."""

    name: str = ""
    outsider: str = ""
    team: str = ""
    enterprise: str = ""
    teams: frozenset[str] = frozenset()


class Voice:
    """Posts, edits, whispers; and knows who people are. Raises Unreachable when Slack cannot be spoken to."""

    def __init__(self, client: AsyncWebClient, clock: Clock, teams: frozenset[str] = frozenset()) -> None:
        self._client = client
        self._clock = clock
        self._teams = teams
        self._people: dict[str, tuple[float, Standing]] = {}

    def is_of(self, team: str, enterprise: str = "") -> None:
        """The workspace that the bot's token is for, and its organisation: all that it serves, unless others were named."""
        if not self._teams:
            self._teams = frozenset(filter(None, (team, enterprise)))

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
        if ear.view or not ear.channel:
            await self._whisper_in_modal(ear, card)
            return
        more = {"thread_ts": ear.thread} if ear.thread else {}
        try:
            await self._call("chat.postEphemeral", {"channel": ear.channel, "user": ear.user, **card.arguments(), **more})
        except Unreachable as error:
            if not isinstance(error.__cause__, SlackApiError):
                raise
            await self._call("chat.postMessage", {"channel": ear.user, **card.arguments()})

    async def _whisper_in_modal(self, ear: Ear, card: Card) -> None:
        try:
            if ear.view:
                await self.change_modal(ear.view, modal("answer", "openvidu", card.blocks))
            else:
                await self.open_modal(ear.trigger, modal("answer", "openvidu", card.blocks))
        except Unreachable:  # it was closed meanwhile, or the three seconds are over
            await self._call("chat.postMessage", {"channel": ear.user, **card.arguments()})

    async def open_modal(self, trigger: str, view: dict[str, Any]) -> str:
        """Show a form to the person who typed or pressed; their trigger lasts three seconds. Returns what it is called from then on."""
        return str((await self._call("views.open", {"trigger_id": trigger, "view": view}))["view"]["id"])

    async def change_modal(self, view_id: str, view: dict[str, Any]) -> None:
        """Another form in the place of one that is open."""
        await self._call("views.update", {"view_id": view_id, "view": view})

    async def show_home(self, user: str, view: dict[str, Any]) -> None:
        """Draw one person's App Home."""
        await self._call("views.publish", {"user_id": user, "view": view})

    async def picture(self, channel: str, thread: str, png: bytes, title: str, described: str) -> None:
        """A picture below a message (with "": as one of its own), with its description for those who do not see it."""
        try:
            await self._client.files_upload_v2(
                channel=channel, thread_ts=thread or None, content=png, filename="hours.png", title=title, alt_txt=described
            )
        except SlackApiError as error:
            raise Unreachable(f"sending a picture to Slack: {error.response.get('error')}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, SlackRequestError) as error:
            raise _lost("sending a picture to Slack", error) from error

    async def private_picture(self, user: str, card: Card, png: bytes, title: str, described: str) -> None:
        """A card and its picture for one person's eyes, in their own conversation with the bot: nothing else shows pictures in private."""
        answer = await self._call("chat.postMessage", {"channel": user, **card.arguments()})
        await self.picture(str(answer["channel"]), "", png, title, described)

    async def actor(self, body: Mapping[str, Any]) -> Actor:
        """Who did this, from a payload. Somebody who can never change anything carries the reason."""
        user = body.get("user") if isinstance(body.get("user"), Mapping) else {}
        team = body.get("team") if isinstance(body.get("team"), Mapping) else {}
        user_id = str(body.get("user_id") or (user or {}).get("id") or "")
        team_id = str((user or {}).get("team_id") or body.get("team_id") or (team or {}).get("id") or "")
        enterprise = str(body.get("enterprise_id") or (body.get("enterprise") or {}).get("id") or "")
        if self._teams and not self._teams & {team_id, enterprise}:
            return Actor(user_id, team_id, enterprise, outsider=ELSEWHERE)
        standing = await self._person(user_id)
        if not standing.team:
            # Where only the payload tells, a guest of a shared channel comes with an organisation that may be the channel's and not theirs.
            mine = not team or team_id == team.get("id")
            return Actor(user_id, team_id, enterprise if mine else "", standing.name, standing.outsider)
        here = self._teams & standing.teams
        return Actor(user_id, min(here, default=standing.team), standing.enterprise, standing.name, standing.outsider)

    async def known(self, actor: Actor) -> Actor:
        """The same person as their account stands now. Unreachable when Slack does not say."""
        standing = await self._person(actor.user)
        if standing.outsider == UNKNOWN:
            raise Unreachable(f"Slack does not say at the moment whether the account of {actor.mention} is active")
        return replace(actor, outsider=standing.outsider)

    async def _person(self, user_id: str) -> Standing:
        known = self._people.get(user_id)
        if known is not None and self._clock.now() - known[0] < KNOWN_FOR:
            return known[1]
        try:
            person = (await self._call("users.info", {"user": user_id}))["user"]
        except Unreachable as error:
            cause = error.__cause__
            if isinstance(cause, SlackApiError) and cause.response.get("error") == "missing_scope":
                return Standing()  # roles name people one by one; without users:read that is all there is to go by
            return Standing(outsider=UNKNOWN)
        found = _standing(person, self._teams)
        if len(self._people) > 1000:
            self._people.clear()
        self._people[user_id] = (self._clock.now(), found)
        return found

    async def cannot_post(self, channel: str) -> str:
        """Why a message of the bot would be shown to no one there, in words; "" when it would be, or when Slack does not say."""
        try:
            found = (await self._call("conversations.info", {"channel": channel}))["channel"]
        except MessageGone:
            return f"Slack knows no channel {channel} for it; invite the bot, or name another channel in its settings"
        except Unreachable:
            return ""  # Slack is away, or does not let it ask: the card is owed, and posted when it can be
        if found.get("is_archived"):
            return f"<#{channel}> is archived"
        if found.get("is_im") or found.get("is_member", True):
            return ""
        return f"the bot is not in <#{channel}>: invite it there"

    async def members(self, group: str) -> list[str]:
        """Who is in a user group now. Raises Unreachable, with what Slack says, when it cannot be known."""
        return [str(user) for user in (await self._call("usergroups.users.list", {"usergroup": group}))["users"]]

    async def _call(self, method: str, arguments: dict[str, Any]) -> Any:
        try:
            return await self._client.api_call(method, json=arguments)
        except SlackApiError as error:
            code = str(error.response.get("error"))
            if code in GONE:
                raise MessageGone(code) from error
            raise Unreachable(f"asking Slack for {method}: {code}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _lost(f"asking Slack for {method}", error) from error


def _lost(doing: str, error: Exception) -> Unreachable:
    why = cause_of(error, "SSL_CERT_FILE")
    return Unreachable(f"{doing}: {why.said}", cause=why.said, remedy=why.remedy)


def _standing(person: Mapping[str, Any], teams: frozenset[str]) -> Standing:
    org = person.get("enterprise_user") or {}
    team, enterprise = str(person.get("team_id") or ""), str(org.get("enterprise_id") or "")
    everywhere = frozenset(str(t) for t in (team, *(org.get("teams") or ())) if t)
    here = not teams or not team or bool(teams & {enterprise, *everywhere})
    name = str(person.get("real_name") or person.get("name") or "")
    return Standing(name, _outsider(person, here=here), team, enterprise, everywhere)


def _outsider(person: Mapping[str, Any], *, here: bool) -> str:
    if person.get("deleted"):
        return "your account is deactivated"
    if person.get("is_bot"):
        return "bots may not operate clusters"
    if person.get("is_restricted") or person.get("is_ultra_restricted"):
        return "guests of the workspace may not operate clusters; ask a full member"
    return ELSEWHERE if person.get("is_stranger") or not here else ""
