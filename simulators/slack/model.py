"""The records of a Slack workspace."""

import re
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]
MENTION = re.compile(r"<(?:@|!subteam\^)([A-Z0-9]+)>")


class SlackError(Exception):
    """Slack's refusal: a short code and the other fields of the answer."""

    def __init__(self, code: str, messages: list[str] | None = None, **extra: object) -> None:
        super().__init__(code)
        self.code = code
        self.extra: JSON = dict(extra)
        if messages:
            self.extra["response_metadata"] = {"messages": messages}


@dataclass
class User:
    """A user of the workspace: a person, a guest or a bot."""

    id: str
    name: str
    real_name: str
    tz: str = "Europe/Madrid"
    is_bot: bool = False
    is_restricted: bool = False
    deleted: bool = False
    team_id: str = "T0ACME"
    bot_id: str = ""
    enterprise_id: str = ""
    teams: tuple[str, ...] = ()
    """With `enterprise_id`: the user's workspaces in the organisation."""

    def as_json(self) -> JSON:
        """Return the user as `users.info` does."""
        profile = {"real_name": self.real_name, "display_name": self.name}
        return {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "real_name": self.real_name,
            "deleted": self.deleted,
            "tz": self.tz,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": False,
            "is_admin": False,
            "is_owner": False,
            "profile": profile | ({"bot_id": self.bot_id} if self.bot_id else {}),
        } | ({"enterprise_user": self._in_the_organisation()} if self.enterprise_id else {})

    def _in_the_organisation(self) -> JSON:
        teams = list(self.teams or (self.team_id,))
        return {
            "id": self.id,
            "enterprise_id": self.enterprise_id,
            "enterprise_name": "Org",
            "is_admin": False,
            "teams": teams,
        }


@dataclass
class UserGroup:
    """A user group such as @operators."""

    id: str
    handle: str
    name: str
    users: list[str]

    def as_json(self, team: str) -> JSON:
        """Return the group as `usergroups.list` does."""
        count = len(self.users)
        return {
            "id": self.id,
            "team_id": team,
            "is_usergroup": True,
            "handle": self.handle,
            "name": self.name,
            "date_delete": 0,
            "user_count": count,
        }


@dataclass
class Message:
    """A message in a channel; with `ephemeral_to`, only that user sees it."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: list[JSON] = field(default_factory=list)
    thread_ts: str | None = None
    ephemeral_to: str | None = None
    edited: str | None = None
    bot_id: str = ""
    broadcast: bool = False
    metadata: JSON | None = None
    files: list[str] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    pinned: bool = False
    error: bool = False
    notified: tuple[str, ...] = ()
    """The people and user groups that it mentioned when it was posted; an edit notifies no one."""
    unseen: bool = False
    """An ephemeral in a thread that was not active: Slack answers ok, and no one sees it."""

    def shown(self) -> str:
        """Return all its texts as one text."""
        return "\n".join([self.text, *texts_of(self.blocks)])

    def as_json(self, team: str, app_id: str) -> JSON:
        """Return the message as the Web API and the payloads do."""
        content: JSON = {
            "type": "message",
            "user": self.user,
            "ts": self.ts,
            "text": self.text,
            "team": team,
        }
        if self.bot_id:
            content |= {"bot_id": self.bot_id, "app_id": app_id}
        if self.blocks:
            content["blocks"] = self.blocks
        if self.thread_ts:
            content["thread_ts"] = self.thread_ts
        if self.edited:
            content["edited"] = {"user": self.bot_id or self.user, "ts": self.edited}
        if self.metadata:
            content["metadata"] = self.metadata
        if self.reactions:
            content["reactions"] = [
                {"name": name, "users": who, "count": len(who)}
                for name, who in self.reactions.items()
            ]
        return content


def mentioned(message: Message) -> tuple[str, ...]:
    """Return the people and user groups that a message mentions, in its blocks or its text."""
    texts = texts_of(message.blocks) or [message.text]
    return tuple(dict.fromkeys(f for text in texts for f in MENTION.findall(text)))


def texts_of(blocks: Any) -> list[str]:
    """Return the texts of blocks, in their order."""
    if isinstance(blocks, list):
        return [text for block in blocks for text in texts_of(block)]
    if not isinstance(blocks, dict):
        return []
    own = blocks.get("text")
    texts = [own] if isinstance(own, str) else []
    for key in READABLE:
        if key in blocks:
            texts += texts_of(blocks[key])
    return texts


READABLE = ("text", "fields", "elements", "accessory", "label", "confirm", "title")


def copied(value: Any) -> Any:
    """Return a copy of JSON, as `copy.deepcopy` does at ten times the cost."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [copied(inner) for inner in value]
    return value


@dataclass(frozen=True)
class Press:
    """A pressed button, and what the message showed at that moment."""

    at: float
    user: str
    channel: str
    ts: str
    label: str
    value: str
    confirm: str
    """The text of its confirm dialog."""
    text: str
    readers: frozenset[str]
    """Who could read that message."""


@dataclass
class Channel:
    """A channel, or a direct conversation.

    With the bot (`im_with`) or of two users without it (`private_to`).
    """

    id: str
    name: str
    members: list[str] = field(default_factory=list)
    is_private: bool = False
    is_archived: bool = False
    im_with: str | None = None
    private_to: tuple[str, str] | None = None
    topic: str = ""
    messages: dict[str, Message] = field(default_factory=dict)

    def as_json(self) -> JSON:
        """Return the channel as `conversations.info` does."""
        if self.im_with:
            return {
                "id": self.id,
                "is_im": True,
                "user": self.im_with,
                "is_channel": False,
                "is_archived": False,
            }
        return {
            "id": self.id,
            "name": self.name,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_member": True,
            "is_general": self.name == "general",
            "num_members": len(self.members),
            "topic": {"value": self.topic},
        }

    def kind(self) -> str:
        """Return the family of scopes that reading this conversation needs."""
        if self.im_with or self.private_to:
            return "im"
        if self.is_private:
            return "groups"
        return "channels"


@dataclass
class View:
    """A modal or an App Home as one user has it open."""

    id: str
    user: str
    body: JSON
    hash: str
    root: str
    previous: str | None = None
    typed: dict[str, dict[str, JSON]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    trouble: str = ""

    @property
    def title(self) -> str:
        """Return the title of the modal."""
        return str(self.body.get("title", {}).get("text", ""))

    @property
    def blocks(self) -> list[JSON]:
        """Return the blocks of the view."""
        blocks: list[JSON] = self.body["blocks"]
        return blocks


@dataclass
class File:
    """An uploaded file, shared or not yet."""

    id: str
    name: str
    length: int
    data: bytes | None = None
    title: str = ""
    shared: bool = False
    alt: str = ""
    """What a screen reader says instead of the picture."""


@dataclass
class ModalTrigger:
    """The permission to open one modal for one user, within three seconds, once."""

    user: str
    until: float
    used: bool = False


@dataclass
class ResponseUrl:
    """The permission to answer one interaction: five times, for half an hour."""

    user: str
    channel: str
    until: float
    message: str | None = None
    uses: int = 0
