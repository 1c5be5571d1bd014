"""A Slack workspace in memory: users, messages, and open views."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from simulators.clock import WorldClock
from simulators.slack.model import (
    JSON,
    Channel,
    File,
    Message,
    ModalTrigger,
    Press,
    ResponseUrl,
    SlackError,
    User,
    UserGroup,
    View,
    copied,
    mentioned,
    texts_of,
)

TRIGGER_SECONDS = 3.0
RESPONSE_URL_SECONDS = 1800.0
RESPONSE_URL_USES = 5


class SlackWorkspace:
    """Users, channels, messages, views and files of one pretend Slack team.

    `clock` dates the messages. `steady` measures Slack's own timeouts (trigger ids, response urls,
    rate limits): where the world's clock runs faster than people do, pass `time.monotonic`.

    One class although it is long: every change of messages, views and permissions ends in
    `changed()`, and payloads read all of them.
    """

    def __init__(
        self,
        clock: WorldClock,
        team_id: str = "T0ACME",
        enterprise_id: str | None = None,
        *,
        domain: str = "acme",
        steady: Callable[[], float] | None = None,
        app_name: str = "openvidu",
    ) -> None:
        self.clock = clock
        self.team_id = team_id
        self.enterprise_id = enterprise_id
        self.domain = domain
        self.steady = steady or clock.now
        self.base_url = "http://slack.invalid"
        self.app_id = "A0SIM"
        self.bot = User("U0BOT", app_name, app_name, is_bot=True, team_id=team_id, bot_id="B0BOT")
        self.users: dict[str, User] = {self.bot.id: self.bot}
        self.groups: dict[str, UserGroup] = {}
        self.channels: dict[str, Channel] = {}
        self.views: dict[str, list[View]] = {}
        self.homes: dict[str, View] = {}
        self.files: dict[str, File] = {}
        self.typed: dict[tuple[str, str], dict[str, dict[str, JSON]]] = {}
        self.user_actions: deque[tuple[float, str, str, str]] = deque(maxlen=2000)
        """User actions: moment, user, verb, and what."""
        self.on_shown: list[Callable[[Message], None]] = []
        """Called with each new or changed message."""
        self.presses: list[Press] = []
        """Every pressed button of a message."""
        self.revision = 0
        self._triggers: dict[str, ModalTrigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self._numbers = itertools.count(1)
        self._last_ts = 0
        self._listeners: list[Callable[[], None]] = []

    # --- users and channels

    def add_user(
        self,
        id: str,  # noqa: A002 - Slack's own word
        name: str,
        real_name: str = "",
        **more: Any,
    ) -> User:
        """Add a user to the team."""
        user = User(id, name, real_name or name.title(), **({"team_id": self.team_id} | more))
        self.users[id] = user
        self.changed()
        return user

    def add_group(
        self,
        id: str,  # noqa: A002 - Slack's own word
        handle: str,
        users: Iterable[str],
        name: str = "",
    ) -> UserGroup:
        """Create a user group."""
        self.groups[id] = group = UserGroup(id, handle, name or handle.title(), list(users))
        return group

    def add_channel(
        self,
        id: str,  # noqa: A002
        name: str,
        members: Iterable[str],
        *,
        private: bool = False,
        with_bot: bool = True,
    ) -> Channel:
        """Create a channel with these members, and with the bot by default."""
        everyone = [*members, *([self.bot.id] if with_bot else [])]
        self.channels[id] = channel = Channel(id, name, everyone, is_private=private)
        self.changed()
        return channel

    def channel(self, ref: str) -> Channel:
        """Return the channel with this id or `#name`.

        A user id means that user's conversation with the bot.
        """
        if ref in self.channels:
            return self.channels[ref]
        if ref in self.users:
            return self.direct(ref)
        for channel in self.channels.values():
            if channel.name and channel.name == ref.removeprefix("#"):
                return channel
        raise SlackError("channel_not_found")

    def direct(self, user: str) -> Channel:
        """Return the conversation of this user with the bot, opened if needed."""
        who = self.users.get(user)
        if who is None or who.deleted or who.is_bot:
            raise SlackError(
                "user_disabled" if who is not None and who.deleted else "channel_not_found"
            )
        id_ = f"D{user[1:]}"
        if id_ not in self.channels:
            self.channels[id_] = Channel(id_, "", [user, self.bot.id], im_with=user)
        return self.channels[id_]

    def add_direct(self, one: str, other: str) -> Channel:
        """Create the conversation of two users, in which no app is."""
        id_ = f"D{one[1:]}{other[1:]}"
        self.channels[id_] = channel = Channel(id_, "", [one, other], private_to=(one, other))
        return channel

    def deactivate(self, user: str) -> None:
        """Close a user's account: they leave every channel."""
        self.users[user].deleted = True
        for channel in self.channels.values():
            channel.members = [m for m in channel.members if m != user]
        for group in self.groups.values():
            group.users = [m for m in group.users if m != user]
        self.views.pop(user, None)
        self.changed()

    def archive(self, channel: str) -> None:
        """Archive a channel: nothing can be posted, everything can still be read."""
        self.channel(channel).is_archived = True
        self.changed()

    def leave(self, channel: str, user: str = "") -> None:
        """Remove a user from a channel; the bot by default."""
        place = self.channel(channel)
        place.members = [m for m in place.members if m != (user or self.bot.id)]
        self.changed()

    def join(self, channel: str, user: str = "") -> None:
        """Add a user to a channel; the bot by default."""
        place = self.channel(channel)
        if (user or self.bot.id) not in place.members:
            place.members.append(user or self.bot.id)
        self.changed()

    # --- messages

    def next_ts(self) -> str:
        """Return a message timestamp: the clock's, but never the same one twice."""
        self._last_ts = max(self._last_ts + 1, int(self.clock.now() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def post(
        self, channel: Channel, user: str, text: str, blocks: list[JSON] | None = None, **more: Any
    ) -> Message:
        """Post a message to a channel."""
        bot_id = self.bot.bot_id if user == self.bot.id else ""
        message = Message(
            self.next_ts(),
            channel.id,
            user,
            text,
            copied(blocks or []),
            bot_id=bot_id,
            **more,
        )
        message.unseen = bool(message.ephemeral_to and message.thread_ts) and not self._is_active(
            channel, str(message.thread_ts)
        )
        name_blocks(message.blocks)
        message.notified = mentioned(message)
        channel.messages[message.ts] = message
        self._shown(message)
        return message

    def find(self, channel: Channel, ts: str) -> Message:
        """Return the message with this timestamp."""
        if ts not in channel.messages:
            raise SlackError("message_not_found")
        return channel.messages[ts]

    def edit(
        self,
        message: Message,
        text: str | None = None,
        blocks: list[JSON] | None = None,
        metadata: JSON | None = None,
    ) -> None:
        """Change a message in place; metadata that is not given stays."""
        message.text = message.text if text is None else text
        message.blocks = copied(message.blocks if blocks is None else blocks)
        name_blocks(message.blocks)
        message.metadata = metadata or message.metadata
        message.edited = self.next_ts()
        self._shown(message)

    def _shown(self, message: Message) -> None:
        for listener in self.on_shown:
            listener(message)
        self.changed()

    def delete(self, message: Message) -> None:
        """Delete a message."""
        self.channels[message.channel].messages.pop(message.ts, None)
        self.changed()

    def post_ephemeral(
        self,
        user: str,
        channel: str,
        text: str,
        blocks: list[JSON] | None = None,
        *,
        error: bool = False,
    ) -> Message:
        """Show a message to one user only."""
        return self.post(
            self.channel(channel), self.bot.id, text, blocks, ephemeral_to=user, error=error
        )

    def visible(self, user: str, channel: Channel) -> list[Message]:
        """Return what this user sees in a channel, oldest first."""
        if user not in channel.members:
            return []
        return [
            m for m in channel.messages.values() if m.ephemeral_to in (None, user) and not m.unseen
        ]

    def _is_active(self, channel: Channel, thread: str) -> bool:
        return any(
            m.thread_ts == thread and m.ts != thread and m.ephemeral_to is None
            for m in channel.messages.values()
        )

    def pressed(self, user: str, message: Message, element: JSON) -> None:
        """Record a press with what the message showed."""
        label, value, confirm = (
            str(element["text"]["text"]),
            str(element.get("value", "")),
            "\n".join(texts_of(element.get("confirm"))),
        )
        readers, text = self.readers(message), message.shown()
        self.presses.append(
            Press(
                self.clock.now(),
                user,
                message.channel,
                message.ts,
                label,
                value,
                confirm,
                text,
                readers,
            )
        )

    def readers(self, message: Message) -> frozenset[str]:
        """Return who can read a message now."""
        if message.unseen:
            return frozenset()
        if message.ephemeral_to:
            return frozenset([message.ephemeral_to])
        return frozenset(self.channels[message.channel].members)

    # --- permissions that expire

    def number(self) -> int:
        """Return a new number."""
        return next(self._numbers)

    def issue_trigger(self, user: str) -> str:
        """Return a trigger id for what this user just did."""
        now = self.steady()
        # Ten minutes of memory are enough to answer "expired" instead of "invalid".
        self._triggers = {key: t for key, t in self._triggers.items() if t.until > now - 600}
        id_ = f"{self.number()}.{self.team_id}.{user}"
        self._triggers[id_] = ModalTrigger(user, now + TRIGGER_SECONDS)
        return id_

    def redeem_trigger(self, id_: str) -> str:
        """Return the user on whose screen this trigger id opens a modal."""
        trigger = self._triggers.get(id_)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if self.steady() > trigger.until:
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger.user

    def issue_response_url(self, user: str, channel: str, message: str | None = None) -> str:
        """Return a response url for what this user did in this channel, perhaps to this message."""
        now = self.steady()
        self.response_urls = {
            key: url for key, url in self.response_urls.items() if url.until > now - 600
        }
        token = f"{self.team_id}{self.number():06d}"
        self.response_urls[token] = ResponseUrl(user, channel, now + RESPONSE_URL_SECONDS, message)
        return f"{self.base_url}/respond/{token}"

    def redeem_response_url(self, token: str) -> ResponseUrl:
        """Return the interaction of this response url, and count one use."""
        url = self.response_urls.get(token)
        if url is None:
            raise SlackError("invalid_url")
        url.uses += 1
        if self.steady() > url.until:
            raise SlackError("expired_url")
        if url.uses > RESPONSE_URL_USES:
            raise SlackError("used_url")
        return url

    # --- views

    def open_view(self, user: str, body: JSON, *, push: bool = False) -> View:
        """Open a modal for a user: a new stack, or on top of the present one."""
        stack = self.views.get(user, []) if push else []
        if push and not stack:
            raise SlackError("not_found")
        if len(stack) >= 3:
            raise SlackError("push_limit_reached")
        id_ = f"V{self.number():08d}"
        view = View(
            id_,
            user,
            copied(body),
            self._hash(),
            stack[0].id if stack else id_,
            stack[-1].id if stack else None,
        )
        name_blocks(view.blocks)
        self.views[user] = [*stack, view]
        self.changed()
        return view

    def view(self, view_id: str = "", external_id: str = "") -> View:
        """Return the open view with this id."""
        everything = [*itertools.chain.from_iterable(self.views.values()), *self.homes.values()]
        for view in everything:
            if (view_id and view.id == view_id) or (
                external_id and view.body.get("external_id") == external_id
            ):
                return view
        raise SlackError("not_found")

    def update_view(self, view: View, body: JSON, expected_hash: str = "") -> View:
        """Change a view in place; text typed into blocks that remain stays."""
        if expected_hash and expected_hash != view.hash:
            raise SlackError("hash_conflict")
        view.body, view.hash, view.errors, view.trouble = copied(body), self._hash(), {}, ""
        name_blocks(view.blocks)
        block_ids = {str(block["block_id"]) for block in view.blocks}
        view.typed = {block: values for block, values in view.typed.items() if block in block_ids}
        self.changed()
        return view

    def publish_home(self, user: str, body: JSON, expected_hash: str = "") -> View:
        """Publish a user's App Home."""
        if user in self.homes:
            return self.update_view(self.homes[user], body, expected_hash)
        id_ = f"V{self.number():08d}"
        self.homes[user] = view = View(id_, user, copied(body), self._hash(), id_)
        name_blocks(view.blocks)
        self.changed()
        return view

    def close_view(self, view: View, *, everything: bool = False) -> None:
        """Close a modal, or the whole stack."""
        stack = self.views.get(view.user, [])
        self.views[view.user] = (
            [] if everything else [other for other in stack if other is not view]
        )
        self.changed()

    def view_json(self, view: View, state: JSON | None = None) -> JSON:
        """Return the view as the Web API and the payloads do."""
        shown: JSON = {
            "id": view.id,
            "team_id": self.team_id,
            "app_id": self.app_id,
            "app_installed_team_id": self.team_id,
            "bot_id": self.bot.bot_id,
            "hash": view.hash,
            "root_view_id": view.root,
            "previous_view_id": view.previous,
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            "title": None,
            "submit": None,
            "close": None,
            "state": {"values": state or {}},
        }
        content: JSON = copied(shown | view.body)
        return content

    def _hash(self) -> str:
        return f"{int(self.clock.now())}.{self.number():08x}"

    # --- listeners

    def record_action(self, user: str, verb: str, what: str) -> None:
        """Record a user action, for a guide that ticks its steps."""
        self.user_actions.append((self.clock.now(), user, verb, what))
        self.changed()

    def changed(self) -> None:
        """Call every listener."""
        self.revision += 1
        for listener in list(self._listeners):
            listener()

    def watch(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` at every change, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


def name_blocks(blocks: list[JSON]) -> None:
    """Give every block without a block_id one, as Slack does with a message."""
    for index, block in enumerate(blocks):
        block.setdefault("block_id", f"b{index}")
        for place, inner in enumerate(elements_of(block)):
            if inner.get("type") not in ("image", "mrkdwn", "plain_text"):
                inner.setdefault("action_id", f"a{index}.{place}")


def elements_of(block: JSON) -> list[JSON]:
    """Return the elements of a block: its accessory, its input, or its row of elements."""
    return [
        inner
        for inner in (block.get("accessory"), block.get("element"), *block.get("elements", []))
        if inner
    ]
