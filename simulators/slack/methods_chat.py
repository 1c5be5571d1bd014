"""chat.*, reactions.* and pins.*."""

from simulators.slack.model import JSON, Channel, Message, SlackError
from simulators.slack.request import MethodRequest

EDIT_TEXT, POST_TEXT = 4_000, 40_000


def post_message(call: MethodRequest) -> JSON:
    """chat.postMessage."""
    channel = call.channel()
    may_write(call, channel)
    text, blocks = content(call)
    if len(text) > POST_TEXT:
        text = text[:POST_TEXT]
    more = {
        "thread_ts": thread(call, channel),
        "broadcast": bool(call.get("reply_broadcast")),
        "metadata": metadata(call),
    }
    for name in (
        "unfurl_links",
        "unfurl_media",
        "mrkdwn",
        "link_names",
        "parse",
        "username",
        "icon_emoji",
        "icon_url",
    ):
        call.get(name)
    message = call.workspace.post(channel, call.workspace.bot.id, text, blocks, **more)
    said = message.as_json(call.workspace.team_id, call.workspace.app_id)
    return {"channel": channel.id, "ts": message.ts, "message": said}


def update(call: MethodRequest) -> JSON:
    """chat.update."""
    channel, message = call.channel(), call.message()
    may_edit(call, channel)
    if message.user != call.workspace.bot.id or message.ephemeral_to:
        raise SlackError("cant_update_message" if not message.ephemeral_to else "message_not_found")
    text, blocks = content(call)
    if len(text) > EDIT_TEXT:
        raise SlackError("msg_too_long")
    for name in (
        "link_names",
        "parse",
        "reply_broadcast",
        "as_user",
        "unfurl_links",
        "unfurl_media",
        "file_ids",
    ):
        call.get(name)
    # Text without blocks removes the blocks, as in Slack.
    call.workspace.edit(message, text, blocks or [], metadata(call))
    said = message.as_json(call.workspace.team_id, call.workspace.app_id)
    return {"channel": channel.id, "ts": message.ts, "text": text, "message": said}


def delete(call: MethodRequest) -> JSON:
    """chat.delete."""
    message = call.message()
    call.get("as_user")
    if message.ephemeral_to:
        raise SlackError("message_not_found")
    if message.user != call.workspace.bot.id:
        raise SlackError("cant_delete_message")
    call.workspace.delete(message)
    return {"channel": message.channel, "ts": message.ts}


def post_ephemeral(call: MethodRequest) -> JSON:
    """chat.postEphemeral."""
    channel, user = call.channel(), call.user()
    may_write(call, channel)
    if user.id not in channel.members or user.deleted:
        raise SlackError("user_not_in_channel")
    text, blocks = content(call)
    for name in ("link_names", "parse", "username", "icon_emoji", "icon_url", "as_user"):
        call.get(name)
    message = call.workspace.post(
        channel,
        call.workspace.bot.id,
        text,
        blocks,
        ephemeral_to=user.id,
        thread_ts=thread(call, channel),
    )
    return {"message_ts": message.ts}


def permalink(call: MethodRequest) -> JSON:
    """chat.getPermalink."""
    channel = call.channel()
    message = call.workspace.find(channel, str(call.need("message_ts", "message_not_found")))
    suffix = f"?thread_ts={message.thread_ts}&cid={channel.id}" if message.thread_ts else ""
    link = f"{call.workspace.base_url}/archives/{channel.id}/p{message.ts.replace('.', '')}{suffix}"
    return {"channel": channel.id, "permalink": link}


def add_reaction(call: MethodRequest) -> JSON:
    """reactions.add."""
    message, name = _reacted(call)
    who = message.reactions.setdefault(name, [])
    if call.workspace.bot.id in who:
        raise SlackError("already_reacted")
    who.append(call.workspace.bot.id)
    call.workspace.changed()
    return {}


def remove_reaction(call: MethodRequest) -> JSON:
    """reactions.remove."""
    message, name = _reacted(call)
    if call.workspace.bot.id not in message.reactions.get(name, []):
        raise SlackError("no_reaction")
    message.reactions[name].remove(call.workspace.bot.id)
    message.reactions = {key: who for key, who in message.reactions.items() if who}
    call.workspace.changed()
    return {}


def pin(call: MethodRequest) -> JSON:
    """pins.add."""
    message = call.workspace.find(call.channel(), str(call.need("timestamp", "no_item_specified")))
    if message.pinned:
        raise SlackError("already_pinned")
    message.pinned = True
    call.workspace.changed()
    return {}


def _reacted(call: MethodRequest) -> tuple[Message, str]:
    message = call.workspace.find(call.channel(), str(call.need("timestamp", "no_item_specified")))
    return message, str(call.need("name", "invalid_name")).strip(":")


def content(call: MethodRequest) -> tuple[str, list[JSON] | None]:
    """Return the text and blocks of a message.

    The text must stand alone, for notifications and screen readers.
    """
    text, blocks = str(call.get("text", "") or ""), call.blocks()
    if call.get("attachments"):
        raise SlackError("invalid_attachments")
    if not text and not blocks:
        raise SlackError("no_text")
    if not text.strip():
        call.complain("message without text: notifications and screen readers have nothing to say")
    return text, blocks


def may_write(call: MethodRequest, channel: Channel) -> None:
    """Refuse a message to a channel that the bot is not in."""
    if channel.is_archived:
        raise SlackError("is_archived")
    if call.workspace.bot.id not in channel.members:
        if channel.is_private or channel.private_to:
            raise SlackError("channel_not_found")
        if "chat:write.public" not in call.scopes:
            raise SlackError("not_in_channel")


def may_edit(call: MethodRequest, channel: Channel) -> None:
    """Refuse a change in a channel that is archived, or that the bot has left."""
    if channel.is_archived:
        raise SlackError("is_inactive")
    if call.workspace.bot.id not in channel.members:
        raise SlackError("channel_not_found" if channel.is_private else "not_in_channel")


def thread(call: MethodRequest, channel: Channel) -> str | None:
    """Return the thread that the message goes to: always that of the root."""
    ts = call.get("thread_ts")
    if not ts:
        return None
    root = channel.messages.get(str(ts))
    if root is None:
        raise SlackError("thread_not_found")
    return root.thread_ts or root.ts


def metadata(call: MethodRequest) -> JSON | None:
    """Return the metadata of a message."""
    value = call.get("metadata")
    if value is None:
        return None
    if (
        not isinstance(value, dict)
        or set(value) != {"event_type", "event_payload"}
        or not isinstance(value["event_payload"], dict)
    ):
        raise SlackError("invalid_metadata_format")
    return value
