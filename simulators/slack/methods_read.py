"""users.*, usergroups.*, conversations.*, bots.info, auth.test."""

from simulators.slack.model import JSON, Channel, Message, SlackError
from simulators.slack.request import MethodRequest


def auth_test(call: MethodRequest) -> JSON:
    """auth.test."""
    place, bot = call.workspace, call.workspace.bot
    identity: JSON = {
        "url": f"https://{place.domain}.slack.com/",
        "team": place.domain.title(),
        "user": bot.name,
        "team_id": place.team_id,
        "user_id": bot.id,
        "bot_id": bot.bot_id,
        "is_enterprise_install": False,
    }
    return identity | ({"enterprise_id": place.enterprise_id} if place.enterprise_id else {})


def open_connection(call: MethodRequest) -> JSON:
    """apps.connections.open."""
    if call.open_socket is None or not call.manifest.get("settings", {}).get("socket_mode_enabled"):
        raise SlackError("not_allowed")
    return {"url": call.open_socket()}


def bots_info(call: MethodRequest) -> JSON:
    """bots.info."""
    place = call.workspace
    if call.get("bot", place.bot.bot_id) != place.bot.bot_id:
        raise SlackError("bot_not_found")
    return {
        "bot": {
            "id": place.bot.bot_id,
            "app_id": place.app_id,
            "user_id": place.bot.id,
            "name": place.bot.name,
            "deleted": False,
        }
    }


def users_info(call: MethodRequest) -> JSON:
    """users.info."""
    call.get("include_locale")
    return {"user": call.user().as_json()}


def users_list(call: MethodRequest) -> JSON:
    """users.list."""
    call.get("include_locale")
    call.get("team_id")
    return page(call, "members", [user.as_json() for user in call.workspace.users.values()])


def usergroups_list(call: MethodRequest) -> JSON:
    """usergroups.list."""
    include = call.get("include_users")
    for name in ("include_count", "include_disabled", "team_id"):
        call.get(name)
    groups = call.workspace.groups.values()
    return {
        "usergroups": [
            group.as_json(call.workspace.team_id)
            | ({"users": list(group.users)} if include else {})
            for group in groups
        ]
    }


def usergroups_users(call: MethodRequest) -> JSON:
    """usergroups.users.list."""
    call.get("include_disabled")
    call.get("team_id")
    group = call.workspace.groups.get(str(call.need("usergroup")))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def conversations_info(call: MethodRequest) -> JSON:
    """conversations.info."""
    channel = readable(call, "read")
    call.get("include_locale")
    call.get("include_num_members")
    return {"channel": _told(call, channel)}


def conversations_join(call: MethodRequest) -> JSON:
    """conversations.join: public channels only."""
    channel = call.channel()
    if channel.kind() != "channels":
        raise SlackError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackError("is_archived")
    if call.workspace.bot.id not in channel.members:
        channel.members.append(call.workspace.bot.id)
    return {"channel": _told(call, channel)}


def conversations_list(call: MethodRequest) -> JSON:
    """conversations.list."""
    kinds = {"public_channel": "channels", "private_channel": "groups", "im": "im", "mpim": "mpim"}
    wanted = [
        kinds[name.strip()]
        for name in str(call.get("types", "public_channel")).split(",")
        if name.strip() in kinds
    ]
    for kind in wanted:
        call.require_scope(f"{kind}:read")
    without_archived = call.get("exclude_archived")
    call.get("team_id")
    shown = [channel for channel in call.workspace.channels.values() if channel.kind() in wanted]
    shown = [
        channel
        for channel in shown
        if call.workspace.bot.id in channel.members or channel.kind() == "channels"
    ]
    shown = [channel for channel in shown if not (without_archived and channel.is_archived)]
    return page(call, "channels", [_told(call, channel) for channel in shown])


def conversations_members(call: MethodRequest) -> JSON:
    """conversations.members."""
    return page(call, "members", list(readable(call, "read").members))


def history(call: MethodRequest) -> JSON:
    """conversations.history."""
    channel = readable(call, "history", member=True)
    messages = [
        m
        for m in channel.messages.values()
        if m.ephemeral_to is None and m.thread_ts in (None, m.ts)
    ]
    inside, limit, start = (
        list(reversed(_between(call, messages))),
        _limit(call),
        int(call.get("cursor") or 0),
    )
    more = start + limit < len(inside)
    page: JSON = {"messages": _told_messages(call, inside[start : start + limit]), "has_more": more}
    return page | ({"response_metadata": {"next_cursor": str(start + limit)}} if more else {})


def replies(call: MethodRequest) -> JSON:
    """conversations.replies."""
    channel = readable(call, "history", member=True)
    root = str(call.need("ts", "thread_not_found"))
    if root not in channel.messages:
        raise SlackError("thread_not_found")
    messages = [
        m
        for m in channel.messages.values()
        if m.ephemeral_to is None and root in (m.ts, m.thread_ts)
    ]
    return {
        "messages": _told_messages(call, _between(call, messages)[-_limit(call) :]),
        "has_more": False,
    }


def open_conversation(call: MethodRequest) -> JSON:
    """conversations.open."""
    who = str(call.get("users", "") or call.get("channel", ""))
    call.get("return_im")
    if "," in who:
        raise SlackError("method_not_supported_for_channel_type")
    channel = (
        call.workspace.direct(who) if who in call.workspace.users else call.workspace.channel(who)
    )
    return {"channel": _told(call, channel)}


def readable(call: MethodRequest, what: str, *, member: bool = False) -> Channel:
    """Return the channel of the call, if the app may read it."""
    channel = call.channel()
    call.require_scope(f"{channel.kind()}:{what}")
    inside = call.workspace.bot.id in channel.members
    if not inside and (channel.is_private or channel.private_to):
        raise SlackError("channel_not_found")
    if member and not inside:
        raise SlackError("not_in_channel")
    return channel


def page(call: MethodRequest, key: str, items: list[JSON] | list[str]) -> JSON:
    """Return one page of a list, with the cursor to the next."""
    start, limit = int(call.get("cursor") or 0), int(call.get("limit") or 1000)
    following = str(start + limit) if start + limit < len(items) else ""
    return {key: items[start : start + limit], "response_metadata": {"next_cursor": following}}


def _told(call: MethodRequest, channel: Channel) -> JSON:
    return channel.as_json() | (
        {} if channel.im_with else {"is_member": call.workspace.bot.id in channel.members}
    )


def _between(call: MethodRequest, messages: list[Message]) -> list[Message]:
    oldest, latest = str(call.get("oldest") or ""), str(call.get("latest") or "~")
    inclusive = call.get("inclusive")
    return [
        m for m in messages if oldest < m.ts < latest or (inclusive and m.ts in (oldest, latest))
    ]


def _limit(call: MethodRequest) -> int:
    return min(1000, int(call.get("limit") or 100))


def _told_messages(call: MethodRequest, shown: list[Message]) -> list[JSON]:
    """Return messages; metadata only for a caller that asks for it."""
    whole = call.get("include_all_metadata")
    messages = [m.as_json(call.workspace.team_id, call.workspace.app_id) for m in shown]
    if whole:
        return messages
    return [{key: m[key] for key in m if key != "metadata"} for m in messages]
