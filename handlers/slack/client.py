"""The only place that speaks to Slack's Web API."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.http_retry import HttpRequest, HttpResponse, RetryState
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from handlers.slack.blocks import Card, modal, truncate
from handlers.slack.channel_access import CLOSED, ChannelAccess, Closed, TokenRefused
from services.access.policy import Actor
from services.common.causes import cause_of
from services.common.clock import Clock, loop_clock
from services.common.errors import Unreachable
from services.common.patience import patiently

log = logging.getLogger(__name__)
KNOWN_FOR = 600.0  # seconds that a person's standing is believed
JUST_NOW = 10.0  # the same where it decides whether their approval counts
UNKNOWN = "Slack does not say who you are at the moment; try again"
ELSEWHERE = "you belong to another workspace; only members of this one may use it"
GONE = frozenset({"message_not_found", "edit_window_closed", "cant_update_message"})
TOO_MUCH = frozenset(
    {"msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format"}
)
PLAIN = 3000  # characters of a message that is sent without its blocks
AGAIN = frozenset(
    {"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
PATIENCE = 8.0  # seconds in which a look is repeated while a person waits for what comes of it
FIRST_PAUSE = 0.5
TOO_MANY = 429
URL_USES, URL_SECONDS = 5, 1700.0  # a response URL takes five answers within half an hour
CARD_EVENT = "openvidu_card"
MEMBER_PAGES = 10  # of a thousand people each
PAGES, PAGE = 5, 200  # of a channel's history, in which a card is looked for


@dataclass(frozen=True)
class ReplyTarget:
    """Where a private answer to one person goes: into a channel, or where there is none into a modal that is open or can be opened.

    `url`: Slack's own address for answers to what they typed or pressed; it reaches them also where the bot is not a member.
    """

    channel: str
    user: str
    thread: str = ""
    view: str = ""
    trigger: str = ""
    url: str = ""
    since: float = 0.0  # when Slack issued that address; 0: just now


class LookFirst(AsyncRetryHandler):
    """Another handler, but for messages: Slack may have taken one whose answer was lost, so nothing posts it again unseen."""

    def __init__(self, other: AsyncRetryHandler) -> None:
        super().__init__(other.max_retry_count, other.interval_calculator)
        self.other = other

    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if request.url.endswith("/chat.postMessage") and (
            response is None or response.status_code != TOO_MANY
        ):
            return False
        return await self.other.can_retry_async(
            state=state, request=request, response=response, error=error
        )

    async def prepare_for_next_attempt_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        await self.other.prepare_for_next_attempt_async(
            state=state, request=request, response=response, error=error
        )


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


class SlackClient:
    """Posts, edits, whispers; and knows who people are. Raises Unreachable when Slack cannot be spoken to."""

    def __init__(
        self, client: AsyncWebClient, clock: Clock, teams: frozenset[str] = frozenset()
    ) -> None:
        client.retry_handlers = [
            h if isinstance(h, LookFirst) else LookFirst(h) for h in client.retry_handlers
        ]
        self._client = client
        self._clock = clock
        self._teams = teams
        self._people: dict[str, tuple[float, Standing]] = {}
        self._asking: dict[str, asyncio.Lock] = {}  # about whom Slack is being asked
        self._urls: dict[str, tuple[float, int]] = {}  # when each was first used, and how often
        self.reach = ChannelAccess()

    def is_of(self, team: str, enterprise: str = "") -> None:
        """The workspace that the bot's token is for, and its organisation: all that it serves, unless others were named."""
        if not self._teams:
            self._teams = frozenset(filter(None, (team, enterprise)))

    async def post(self, channel: str, card: Card, thread: str = "", mark: str = "") -> str:
        """A new message; returns its ts. Closed when the channel takes none. `mark`: whose card it is, to find it again by `find`."""
        return (await self.post_in(channel, card, thread, mark))[1]

    async def post_in(
        self, channel: str, card: Card, thread: str = "", mark: str = ""
    ) -> tuple[str, str]:
        """The same; returns the channel's own id too, which for a person is that of their conversation with the bot."""
        more: dict[str, Any] = {"thread_ts": thread} if thread else {}
        if mark:
            more["metadata"] = {"event_type": CARD_EVENT, "event_payload": {"of": mark}}
        answer = await self._send(
            "chat.postMessage", {"channel": channel, **card.arguments(), **more}
        )
        return str(answer["channel"]), str(answer["ts"])

    async def edit(self, channel: str, ts: str, card: Card) -> None:
        """The same message, changed. MessageGone when it is not there, Closed when the channel takes no change."""
        await self._send("chat.update", {"channel": channel, "ts": ts, **card.arguments()})

    async def find(self, channel: str, marks: Collection[str], oldest: float) -> str:
        """The newest card of one of these in a channel, posted since that moment; "" when there is none. Unreachable: not known."""
        cursor = ""
        for _ in range(PAGES):
            said = {
                "channel": channel,
                "oldest": f"{oldest:.6f}",
                "limit": PAGE,
                "include_all_metadata": True,
            }
            answer = await self._look(
                "conversations.history", said | ({"cursor": cursor} if cursor else {})
            )
            for message in answer.get("messages") or ():
                if message.get("bot_id") and mark_of(message) in marks:
                    return str(message["ts"])
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        return ""

    async def mark(self, channel: str, ts: str) -> str:
        """Whose card one message of a channel is; "" for any other message."""
        said = {
            "channel": channel,
            "oldest": ts,
            "latest": ts,
            "inclusive": True,
            "limit": 1,
            "include_all_metadata": True,
        }
        found = (await self._look("conversations.history", said)).get("messages") or ()
        return next((mark_of(m) for m in found if m.get("bot_id") and m.get("ts") == ts), "")

    async def link(self, channel: str, ts: str) -> str:
        """The address of a message, as people open it; "" when Slack does not say."""
        try:
            return str(
                (await self._look("chat.getPermalink", {"channel": channel, "message_ts": ts}))[
                    "permalink"
                ]
            )
        except (Unreachable, MessageGone):
            return ""

    async def post_ephemeral(self, reply_to: ReplyTarget, card: Card) -> None:
        """For one person's eyes: by Slack's address for answers, else in the channel, else in their own conversation with the bot."""
        if reply_to.view or not (reply_to.channel or reply_to.url):
            await self._show_in_modal(reply_to, card)
        elif not await self._respond(reply_to, card):
            await self._post_ephemeral_in_channel(reply_to, card)

    async def _respond(self, reply_to: ReplyTarget, card: Card) -> bool:
        """By the response URL. False when it does not take this answer (any more)."""
        now = self._clock.now()
        since, uses = self._urls.get(reply_to.url, (reply_to.since or now, 0))
        if not reply_to.url or uses >= URL_USES or now - since > URL_SECONDS:
            return False
        if len(self._urls) > 1000:
            self._urls = {
                url: used for url, used in self._urls.items() if now - used[0] <= URL_SECONDS
            }
        self._urls[reply_to.url] = (since, uses + 1)
        client = AsyncWebhookClient(
            reply_to.url,
            session=self._client.session,
            timeout=10,
            logger=logging.getLogger("slack_sdk.quiet"),
        )
        client.proxy = self._client.proxy
        said = {"response_type": "ephemeral", "replace_original": False, **card.arguments()}
        try:
            return (
                await client.send_dict(
                    said | ({"thread_ts": reply_to.thread} if reply_to.thread else {})
                )
            ).status_code == 200
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, SlackRequestError) as error:
            log.warning("an answer by response URL was not taken: %s", cause_of(error).said)
            return False

    async def _post_ephemeral_in_channel(self, reply_to: ReplyTarget, card: Card) -> None:
        more = {"thread_ts": reply_to.thread} if reply_to.thread else {}
        try:
            await self._call(
                "chat.postEphemeral",
                {"channel": reply_to.channel, "user": reply_to.user, **card.arguments(), **more},
            )
        except Unreachable as error:
            if not isinstance(error.__cause__, SlackApiError) or isinstance(error, TokenRefused):
                raise
            await self._call("chat.postMessage", {"channel": reply_to.user, **card.arguments()})

    async def _show_in_modal(self, reply_to: ReplyTarget, card: Card) -> None:
        try:
            if reply_to.view:
                await self.change_modal(reply_to.view, modal("answer", "openvidu", card.blocks))
            else:
                await self.open_modal(reply_to.trigger, modal("answer", "openvidu", card.blocks))
        except Unreachable:  # it was closed meanwhile, or the three seconds are over
            await self._call("chat.postMessage", {"channel": reply_to.user, **card.arguments()})

    async def open_modal(self, trigger: str, view: dict[str, Any]) -> str:
        """Show a form to the person who typed or pressed; their trigger lasts three seconds. Returns what it is called from then on."""
        return str(
            (await self._call("views.open", {"trigger_id": trigger, "view": view}))["view"]["id"]
        )

    async def change_modal(self, view_id: str, view: dict[str, Any]) -> None:
        """Another form in the place of one that is open."""
        await self._call("views.update", {"view_id": view_id, "view": view})

    async def show_home(self, user: str, view: dict[str, Any]) -> None:
        """Draw one person's App Home."""
        await self._call("views.publish", {"user_id": user, "view": view})

    async def picture(
        self, channel: str, thread: str, png: bytes, title: str, described: str
    ) -> None:
        """A picture below a message (with "": as one of its own), with its description for those who do not see it."""
        try:
            await self._client.files_upload_v2(
                channel=channel,
                thread_ts=thread or None,
                content=png,
                filename="hours.png",
                title=title,
                alt_txt=described,
            )
        except SlackApiError as error:
            raise Unreachable(
                f"sending a picture to Slack: {error.response.get('error')}"
            ) from error
        except (aiohttp.ClientError, OSError, TimeoutError, SlackRequestError) as error:
            raise _lost("sending a picture to Slack", error) from error

    async def private_picture(
        self, user: str, card: Card, png: bytes, title: str, described: str
    ) -> None:
        """A card and its picture for one person's eyes, in their own conversation with the bot: nothing else shows pictures in private."""
        answer = await self._call("chat.postMessage", {"channel": user, **card.arguments()})
        await self.picture(str(answer["channel"]), "", png, title, described)

    async def actor(self, body: Mapping[str, Any]) -> Actor:
        """Who did this, from a payload. Somebody who can never change anything carries the reason."""
        user = body.get("user") if isinstance(body.get("user"), Mapping) else {}
        team = body.get("team") if isinstance(body.get("team"), Mapping) else {}
        user_id = str(body.get("user_id") or (user or {}).get("id") or "")
        team_id = str(
            (user or {}).get("team_id") or body.get("team_id") or (team or {}).get("id") or ""
        )
        enterprise = str(
            body.get("enterprise_id") or (body.get("enterprise") or {}).get("id") or ""
        )
        if self._teams and not self._teams & {team_id, enterprise}:
            return Actor(user_id, team_id, enterprise, outsider=ELSEWHERE)
        standing = await self._person(user_id)
        if not standing.team:
            # Where only the payload tells, a guest of a shared channel comes with an organisation that may be the channel's and not theirs.
            mine = not team or team_id == team.get("id")
            return Actor(
                user_id, team_id, enterprise if mine else "", standing.name, standing.outsider
            )
        here = self._teams & standing.teams
        return Actor(
            user_id,
            min(here, default=standing.team),
            standing.enterprise,
            standing.name,
            standing.outsider,
        )

    async def known(self, actor: Actor) -> Actor:
        """The same person as their account stands now, asked anew. Unreachable when Slack does not say."""
        standing = await self._person(actor.user, believed=JUST_NOW)
        if standing.outsider == UNKNOWN:
            raise Unreachable(
                f"Slack does not say at the moment whether the account of {actor.mention} is active"
            )
        return replace(actor, outsider=standing.outsider)

    async def _person(self, user_id: str, believed: float = KNOWN_FOR) -> Standing:
        async with self._asking.setdefault(
            user_id, asyncio.Lock()
        ):  # many presses at once are one question to Slack
            return await self._standing_of(user_id, believed)

    async def _standing_of(self, user_id: str, believed: float) -> Standing:
        known = self._people.get(user_id)
        if known is not None and self._clock.now() - known[0] < believed:
            return known[1]
        try:
            person = (await self._look("users.info", {"user": user_id}))["user"]
        except Unreachable as error:
            cause = error.__cause__
            if isinstance(cause, SlackApiError) and cause.response.get("error") == "missing_scope":
                return (
                    Standing()
                )  # roles name people one by one; without users:read that is all there is to go by
            return Standing(outsider=UNKNOWN)
        found = _standing(person, self._teams)
        if len(self._people) > 1000:
            self._people.clear()
            self._asking = {user: lock for user, lock in self._asking.items() if lock.locked()}
        self._people[user_id] = (self._clock.now(), found)
        return found

    async def cannot_post(self, channel: str) -> str:
        """Why a message of the bot would be shown to no one there, in words; "" when it would be, or when Slack does not say."""
        await self.look_into(channel)
        return self.reach.why_closed(
            channel
        )  # where Slack does not say: what is not shown is owed, and posted when it can be

    async def look_into(self, channel: str) -> bool:
        """Look whether a channel takes messages of the bot, and note it. False: Slack does not say."""
        try:
            found = (await self._look("conversations.info", {"channel": channel}))["channel"]
        except Closed as error:
            why = error.why
        except (Unreachable, MessageGone):
            return False
        else:
            inside = found.get("is_im") or found.get("is_member", True)
            code = "is_archived" if found.get("is_archived") else "" if inside else "not_in_channel"
            why = CLOSED[code].format(channel) if code else ""
        self.reach.looked(channel, why, self._clock.now())
        return True

    async def members(self, group: str) -> list[str]:
        """Who is in a user group or channel now. Raises Unreachable, with what Slack says, when it cannot be known."""
        if not group.startswith("S"):
            return await self._in_channel(group)
        return [
            str(user)
            for user in (await self._call("usergroups.users.list", {"usergroup": group}))["users"]
        ]

    async def _in_channel(self, channel: str) -> list[str]:
        found: list[str] = []
        cursor = ""
        for _ in range(MEMBER_PAGES):
            asked = {"channel": channel, "limit": 1000, **({"cursor": cursor} if cursor else {})}
            page = await self._call("conversations.members", asked)
            found += [str(user) for user in page["members"]]
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return found
        raise Unreachable(
            f"channel {channel} has more than {MEMBER_PAGES * 1000} people, and so many are not counted"
        )

    @staticmethod
    def refuses(error: Exception) -> bool:
        """Whether Slack has answered, and asking again gets the same answer."""
        return isinstance(error, MessageGone | Closed) or (
            isinstance(error, Unreachable) and _is_refusal(error)
        )

    async def _send(self, method: str, arguments: dict[str, Any]) -> Any:
        """A message of the bot. What Slack finds too much is sent once more as plain words, rather than never."""
        channel = str(arguments["channel"])
        self.reach.must_be_open(channel)
        try:
            try:
                answer = await self._call(method, arguments)
            except Unreachable as error:
                cause = error.__cause__
                if (
                    not isinstance(cause, SlackApiError)
                    or cause.response.get("error") not in TOO_MUCH
                ):
                    raise
                log.warning("Slack does not take a message whole, its words go alone: %s", error)
                answer = await self._call(
                    method,
                    arguments | {"text": truncate(str(arguments["text"]), PLAIN), "blocks": []},
                )
        except Closed as error:
            self.reach.closes(error, self._clock.now())
            raise
        self.reach.opens(channel, self._clock.now())
        return answer

    async def _look(self, method: str, arguments: dict[str, Any]) -> Any:
        """Something that changes nothing, so it is repeated for as long as a person waits in patience."""
        real = loop_clock(0.0)  # Slack's time does not speed up with a pretend world
        return await patiently(
            real,
            lambda: self._call(method, arguments),
            seconds=PATIENCE,
            first=FIRST_PAUSE,
            may_pass=_is_passing,
        )

    async def _call(self, method: str, arguments: dict[str, Any]) -> Any:
        self.reach.must_be_believed(asyncio.get_running_loop().time())
        try:
            answer = await self._client.api_call(method, json=arguments)
        except SlackApiError as error:
            raise self._refusal(method, str(arguments.get("channel", "")), error) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _lost(f"asking Slack for {method}", error) from error
        self.reach.believes()
        return answer

    def _refusal(self, method: str, channel: str, error: SlackApiError) -> Exception:
        code = str(error.response.get("error"))
        if code in GONE:
            return MessageGone(code)
        if refused := self.reach.refusal(
            method, channel, code, asyncio.get_running_loop().time(), self._clock.now()
        ):
            return refused
        headers = getattr(error.response, "headers", None) or {}
        wait = str(headers.get("Retry-After", "")) if code == "ratelimited" else ""
        return Unreachable(
            f"asking Slack for {method}: {code}", again_in=float(wait) if wait.isdecimal() else None
        )


def mark_of(message: Mapping[str, Any]) -> str:
    """Whose card a message is, as Slack tells it; "" for one that is no card."""
    data = message.get("metadata") or {}
    return (
        str(data.get("event_payload", {}).get("of", ""))
        if data.get("event_type") == CARD_EVENT
        else ""
    )


def _is_refusal(error: Unreachable) -> bool:
    return (
        isinstance(error.__cause__, SlackApiError)
        and not isinstance(error, TokenRefused)
        and not _is_passing(error)
    )


def _is_passing(error: Unreachable) -> bool:
    """Whether asking again soon may get another answer."""
    cause = error.__cause__
    if isinstance(cause, SlackApiError):
        return (
            str(cause.response.get("error")) in AGAIN
            or getattr(cause.response, "status_code", 200) >= 500
        )
    return not isinstance(error, Closed | TokenRefused)


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
