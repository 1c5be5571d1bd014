"""Slack as the other handlers use it: messages, modals, pictures, channels, people."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from handlers.slack.api import MessageGone, SlackApi, connection_lost, slack_code
from handlers.slack.blocks import Card, Picture, TextFile, modal, truncate
from handlers.slack.channel_access import CLOSED, ChannelAccess, ChannelClosed, TokenRefused
from handlers.slack.users import SlackUsers
from services.access.policy import Actor
from services.common.causes import cause_of
from services.common.clock import Clock
from services.common.errors import Unreachable

log = logging.getLogger(__name__)
TOO_MUCH = frozenset(
    {"msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format"}
)
PLAIN = 3000  # characters of a message that is sent without its blocks
URL_USES, URL_SECONDS = 5, 1700.0  # a response URL takes five answers within half an hour
MOST_URLS = 1000
CARD_EVENT = "openvidu_card"
MEMBERS = 1000  # people on a page
MEMBER_PAGES = 10
PAGES, PAGE = 5, 200  # of a channel's history that are searched for a card; messages on a page


@dataclass(frozen=True)
class ReplyTarget:
    """Where a private answer to one person goes: into a channel, or without one into a modal.

    `view`: id of an open modal. `trigger`: trigger id that opens one. `url`: the response URL of
    what they typed or pressed, which reaches them also where the bot is not a member. `since`: when
    Slack issued that URL (epoch seconds); 0 for just now.
    """

    channel: str
    user: str
    thread: str = ""
    view: str = ""
    trigger: str = ""
    url: str = ""
    since: float = 0.0


class SlackClient:
    """Posts, edits, answers in private, and knows who people are.

    Raises Unreachable when Slack does not answer. `reach`: which channels take messages. More than
    25 methods: each stands for one thing that the bot asks of Slack, and all share its pace.
    """

    def __init__(
        self, client: AsyncWebClient, clock: Clock, teams: frozenset[str] = frozenset()
    ) -> None:
        self._client = client
        self._clock = clock
        self.access = ChannelAccess()
        self._api = SlackApi(client, clock, self.access)
        self._users = SlackUsers(self._api, clock, teams)
        # By response URL: when it was first used (epoch seconds), and how often.
        self._urls: dict[str, tuple[float, int]] = {}

    # People

    def set_home_workspace(self, team: str, enterprise: str = "") -> None:
        """Serve the workspace and the organisation of the token, unless others were named."""
        self._users.set_home_workspace(team, enterprise)

    async def actor(self, body: Mapping[str, Any]) -> Actor:
        """Return who sent a payload; an outsider carries the reason why they change nothing."""
        return await self._users.actor(body)

    async def refreshed_actor(self, actor: Actor) -> Actor:
        """Return the actor with their account as it is now. Unreachable when Slack is silent."""
        return await self._users.known(actor)

    # Messages

    async def post(self, channel: str, card: Card, thread: str = "", mark: str = "") -> str:
        """Post a message and return its ts. Closed when the channel takes none.

        `mark`: id of what the card is about, to find the message again.
        """
        return (await self.post_in(channel, card, thread, mark))[1]

    async def post_in(
        self, channel: str, card: Card, thread: str = "", mark: str = ""
    ) -> tuple[str, str]:
        """Post a message and return channel id and ts.

        `channel` may be a user id; the returned id is that of their conversation with the bot.
        """
        arguments = {"channel": channel, **card.arguments()}
        if thread:
            arguments["thread_ts"] = thread
        if mark:
            arguments["metadata"] = {"event_type": CARD_EVENT, "event_payload": {"of": mark}}
        answer = await self._send("chat.postMessage", arguments)
        return str(answer["channel"]), str(answer["ts"])

    async def edit(self, channel: str, ts: str, card: Card) -> None:
        """Edit a message. MessageGone when it is not there, Closed when the channel is closed."""
        await self._send("chat.update", {"channel": channel, "ts": ts, **card.arguments()})

    async def find_card(self, channel: str, marks: Collection[str], oldest: float) -> str:
        """Return the ts of the newest card with one of these marks; "" when there is none.

        Searches messages since `oldest` (epoch seconds). Unreachable when that is unknown.
        """
        arguments: dict[str, Any] = {
            "channel": channel,
            "oldest": f"{oldest:.6f}",
            "limit": PAGE,
            "include_all_metadata": True,
        }
        for _ in range(PAGES):
            answer = await self._api.read("conversations.history", arguments)
            for message in answer.get("messages") or ():
                if message.get("bot_id") and mark_of(message) in marks:
                    return str(message["ts"])
            cursor = _next_cursor(answer)
            if not cursor:
                break
            arguments["cursor"] = cursor
        return ""

    async def has_reply(self, channel: str, thread: str, mark: str) -> bool:
        """Tell whether a thread holds the bot's message with this mark.

        Unreachable when that is unknown.
        """
        arguments: dict[str, Any] = {
            "channel": channel,
            "ts": thread,
            "limit": PAGE,
            "include_all_metadata": True,
        }
        for _ in range(PAGES):
            answer = await self._api.read("conversations.replies", arguments)
            for message in answer.get("messages") or ():
                if message.get("bot_id") and mark_of(message) == mark:
                    return True
            cursor = _next_cursor(answer)
            if not cursor:
                break
            arguments["cursor"] = cursor
        return False

    async def mark_at(self, channel: str, ts: str) -> str:
        """Return the mark of one message; "" for one that is not a card."""
        arguments = {
            "channel": channel,
            "oldest": ts,
            "latest": ts,
            "inclusive": True,
            "limit": 1,
            "include_all_metadata": True,
        }
        messages = (await self._api.read("conversations.history", arguments)).get("messages") or ()
        return next((mark_of(m) for m in messages if m.get("bot_id") and m.get("ts") == ts), "")

    async def permalink(self, channel: str, ts: str) -> str:
        """Return the permalink of a message; "" when Slack does not say."""
        arguments = {"channel": channel, "message_ts": ts}
        try:
            return str((await self._api.read("chat.getPermalink", arguments))["permalink"])
        except (Unreachable, MessageGone):
            return ""

    async def _send(self, method: str, arguments: dict[str, Any]) -> Any:
        """Post or edit a message; note whether the channel took it."""
        channel = str(arguments["channel"])
        self.access.raise_if_closed(channel)
        try:
            answer = await self._send_somehow(method, arguments)
        except ChannelClosed as error:
            self.access.note_closed(error, self._clock.now())
            raise
        self.access.note_open(channel, self._clock.now())
        return answer

    async def _send_somehow(self, method: str, arguments: dict[str, Any]) -> Any:
        """Send a message; without its blocks when Slack finds it too large."""
        try:
            return await self._api.call(method, arguments)
        except Unreachable as error:
            if slack_code(error) not in TOO_MUCH:
                raise
            log.warning("Slack does not take a message whole, its words go alone: %s", error)
        text = truncate(str(arguments["text"]), PLAIN)
        return await self._api.call(method, arguments | {"text": text, "blocks": []})

    # Private answers

    async def post_ephemeral(self, reply_to: ReplyTarget, card: Card) -> None:
        """Answer one person in private.

        By the response URL, else in the channel, else in their own conversation with the bot;
        where there is no channel, in a modal.
        """
        if reply_to.view or not (reply_to.channel or reply_to.url):
            await self._show_in_modal(reply_to, card)
        elif not await self._respond(reply_to, card):
            await self._post_ephemeral_in_channel(reply_to, card)

    async def _respond(self, reply_to: ReplyTarget, card: Card) -> bool:
        """Answer by the response URL. False when it does not take this answer (any more)."""
        now = self._clock.now()
        since, uses = self._urls.get(reply_to.url, (reply_to.since or now, 0))
        if not reply_to.url or uses >= URL_USES or now - since > URL_SECONDS:
            return False
        if len(self._urls) > MOST_URLS:
            recent = {u: used for u, used in self._urls.items() if now - used[0] <= URL_SECONDS}
            self._urls = recent
        self._urls[reply_to.url] = (since, uses + 1)
        client = AsyncWebhookClient(
            reply_to.url,
            session=self._client.session,
            timeout=10,
            logger=logging.getLogger("slack_sdk.quiet"),
        )
        client.proxy = self._client.proxy
        body = {"response_type": "ephemeral", "replace_original": False, **card.arguments()}
        if reply_to.thread:
            body["thread_ts"] = reply_to.thread
        try:
            return (await client.send_dict(body)).status_code == 200
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, SlackRequestError) as error:
            log.warning("an answer by response URL was not taken: %s", cause_of(error).text)
            return False

    async def _post_ephemeral_in_channel(self, reply_to: ReplyTarget, card: Card) -> None:
        arguments = {"channel": reply_to.channel, "user": reply_to.user, **card.arguments()}
        if reply_to.thread:
            arguments["thread_ts"] = reply_to.thread
        try:
            await self._api.call("chat.postEphemeral", arguments)
        except Unreachable as error:
            if not slack_code(error) or isinstance(error, TokenRefused):
                raise
            await self._post_direct(reply_to.user, card)

    async def _show_in_modal(self, reply_to: ReplyTarget, card: Card) -> None:
        view = modal("answer", "openvidu", card.blocks)
        try:
            if reply_to.view:
                await self.update_modal(reply_to.view, view)
            else:
                await self.open_modal(reply_to.trigger, view)
        except Unreachable:
            # The modal was closed meanwhile, or the three seconds of the trigger are over.
            await self._post_direct(reply_to.user, card)

    async def _post_direct(self, user: str, card: Card) -> Any:
        """Post into a person's own conversation with the bot."""
        return await self._api.call("chat.postMessage", {"channel": user, **card.arguments()})

    # Modals and the Home tab

    async def open_modal(self, trigger: str, view: dict[str, Any]) -> str:
        """Open a modal and return its id. A trigger id lasts three seconds."""
        arguments = {"trigger_id": trigger, "view": view}
        return str((await self._api.call("views.open", arguments))["view"]["id"])

    async def update_modal(self, view_id: str, view: dict[str, Any]) -> None:
        """Replace the content of an open modal."""
        await self._api.call("views.update", {"view_id": view_id, "view": view})

    async def publish_home(self, user: str, view: dict[str, Any]) -> None:
        """Publish one person's Home tab."""
        await self._api.call("views.publish", {"user_id": user, "view": view})

    # Pictures

    async def upload_pictures(self, channel: str, thread: str, pictures: Sequence[Picture]) -> None:
        """Upload pictures below a message, or with `thread` "" as one message of their own."""
        doing = "sending a picture to Slack"
        try:
            await self._client.files_upload_v2(
                channel=channel,
                thread_ts=thread or None,
                file_uploads=[
                    {
                        "content": picture.png,
                        "filename": "hours.png",
                        "title": picture.title,
                        "alt_txt": picture.described,
                    }
                    for picture in pictures
                ],
            )
        except SlackApiError as error:
            raise Unreachable(f"{doing}: {error.response.get('error')}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, SlackRequestError) as error:
            raise connection_lost(doing, error) from error

    async def send_private_pictures(
        self, user: str, card: Card, pictures: Sequence[Picture]
    ) -> None:
        """Post a card and its pictures into a person's own conversation with the bot.

        Nothing else shows pictures in private.
        """
        answer = await self._post_direct(user, card)
        await self.upload_pictures(str(answer["channel"]), "", pictures)

    async def send_private_file(self, user: str, card: Card, file: TextFile) -> None:
        """Post a card and a file into a person's own conversation with the bot.

        Slack shows no file in an answer that only one person of a channel sees.
        """
        answer = await self._post_direct(user, card)
        doing = "sending a file to Slack"
        try:
            await self._client.files_upload_v2(
                channel=str(answer["channel"]),
                filename=file.name,
                title=file.title,
                content=file.content,
            )
        except SlackApiError as error:
            raise Unreachable(f"{doing}: {error.response.get('error')}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, SlackRequestError) as error:
            raise connection_lost(doing, error) from error

    # Channels

    async def why_unreadable(self, channel: str) -> str:
        """Return why no one could read a message there; "" when they could.

        Also "" when Slack does not say: a card that cannot be posted now is posted later.
        """
        await self.check_channel(channel)
        return self.access.why_closed(channel)

    async def check_channel(self, channel: str) -> bool:
        """Check whether a channel takes messages, and note it. False: Slack does not say."""
        try:
            answer = await self._api.read("conversations.info", {"channel": channel})
        except ChannelClosed as error:
            why = error.why
        except (Unreachable, MessageGone):
            return False
        else:
            why = _why_closed(answer["channel"]).format(channel)
        self.access.note_checked(channel, why, self._clock.now())
        return True

    async def members(self, group: str) -> list[str]:
        """Return who is in a user group or a channel. Unreachable when that is unknown."""
        if not group.startswith("S"):
            return await _channel_members(self._api, group)
        answer = await self._api.call("usergroups.users.list", {"usergroup": group})
        return [str(user) for user in answer["users"]]


async def _channel_members(api: SlackApi, channel: str) -> list[str]:
    members: list[str] = []
    arguments = {"channel": channel, "limit": MEMBERS}
    for _ in range(MEMBER_PAGES):
        page = await api.call("conversations.members", arguments)
        members += [str(user) for user in page["members"]]
        cursor = _next_cursor(page)
        if not cursor:
            return members
        arguments["cursor"] = cursor
    raise Unreachable(
        f"channel {channel} has more than {MEMBER_PAGES * MEMBERS} people, "
        "and so many are not counted"
    )


def _next_cursor(answer: Any) -> str:
    return str((answer.get("response_metadata") or {}).get("next_cursor") or "")


def _why_closed(channel: Mapping[str, Any]) -> str:
    """Return why a channel takes no message, with a place for its id; "" when it takes them."""
    if channel.get("is_archived"):
        return CLOSED["is_archived"]
    if channel.get("is_im") or channel.get("is_member", True):
        return ""
    return CLOSED["not_in_channel"]


def mark_of(message: Mapping[str, Any]) -> str:
    """Return the mark of a message as Slack shows it; "" for one that is not a card."""
    data = message.get("metadata") or {}
    if data.get("event_type") != CARD_EVENT:
        return ""
    return str(data.get("event_payload", {}).get("of", ""))
