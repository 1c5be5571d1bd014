"""The payloads that Slack sends to an app."""

from simulators.slack.model import JSON, Channel, Message, User, View
from simulators.slack.workspace import SlackWorkspace

VERIFICATION_TOKEN = "verification-sim"  # noqa: S105 - deprecated by Slack, never checked


def slash_command(
    place: SlackWorkspace, user: User, channel: Channel, command: str, text: str
) -> JSON:
    """Return the payload of a slash command."""
    # In an organisation, a command comes from the workspace that it was typed in.
    own = bool(place.enterprise_id) and user.enterprise_id == place.enterprise_id
    payload: JSON = {
        "token": VERIFICATION_TOKEN,
        "team_id": user.team_id if own else place.team_id,
        "team_domain": place.domain,
        "channel_id": channel.id,
        "channel_name": "directmessage" if channel.kind() == "im" else channel.name,
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": place.app_id,
        "is_enterprise_install": "false",
        "response_url": place.issue_response_url(user.id, channel.id),
        "trigger_id": place.issue_trigger(user.id),
    }
    enterprise = place.enterprise_id
    return payload | (
        {"enterprise_id": enterprise, "enterprise_name": place.domain.title()} if enterprise else {}
    )


def _interaction(place: SlackWorkspace, kind: str, user: User) -> JSON:
    enterprise = (
        {"id": place.enterprise_id, "name": place.domain.title()} if place.enterprise_id else None
    )
    team: JSON = {"id": place.team_id, "domain": place.domain}
    if enterprise:
        team |= {"enterprise_id": enterprise["id"], "enterprise_name": enterprise["name"]}
    return {
        "type": kind,
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
        "api_app_id": place.app_id,
        "token": VERIFICATION_TOKEN,
        "team": team,
        "enterprise": enterprise,
        "is_enterprise_install": False,
    }


def message_action(
    place: SlackWorkspace, user: User, message: Message, action: JSON, state: JSON
) -> JSON:
    """Return the payload of an action in a message."""
    channel = place.channels[message.channel]
    container: JSON = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    payload = _interaction(place, "block_actions", user) | {
        "container": container,
        "trigger_id": place.issue_trigger(user.id),
        "channel": {
            "id": channel.id,
            "name": "directmessage" if channel.kind() == "im" else channel.name,
        },
        "state": {"values": state},
        "response_url": place.issue_response_url(user.id, channel.id, message.ts),
        "actions": [action],
    }
    # Slack does not include the message when only one user saw it.
    if not message.ephemeral_to:
        payload["message"] = message.as_json(place.team_id, place.app_id)
    return payload


def message_shortcut(place: SlackWorkspace, user: User, message: Message, callback: str) -> JSON:
    """Return the payload of a shortcut in a message's context menu."""
    channel = place.channels[message.channel]
    return _interaction(place, "message_action", user) | {
        "callback_id": callback,
        "action_ts": place.next_ts(),
        "message_ts": message.ts,
        "trigger_id": place.issue_trigger(user.id),
        "response_url": place.issue_response_url(user.id, channel.id, message.ts),
        "channel": {"id": channel.id, "name": channel.name},
        "message": message.as_json(place.team_id, place.app_id),
    }


def view_action(place: SlackWorkspace, user: User, view: View, action: JSON, state: JSON) -> JSON:
    """Return the payload of an action in a modal or in App Home."""
    return _interaction(place, "block_actions", user) | {
        "container": {"type": "view", "view_id": view.id},
        "trigger_id": place.issue_trigger(user.id),
        "view": place.view_json(view, state),
        "state": {"values": state},
        "actions": [action],
    }


def view_submission(place: SlackWorkspace, user: User, view: View, state: JSON) -> JSON:
    """Return the payload of a submitted modal."""
    return _interaction(place, "view_submission", user) | {
        "trigger_id": place.issue_trigger(user.id),
        "view": place.view_json(view, state),
        "response_urls": [],
    }


def view_closed(place: SlackWorkspace, user: User, view: View, *, cleared: bool) -> JSON:
    """Return the payload of a closed modal that has `notify_on_close`."""
    return _interaction(place, "view_closed", user) | {
        "view": place.view_json(view),
        "is_cleared": cleared,
    }


def event(place: SlackWorkspace, body: JSON) -> JSON:
    """Return an envelope of the Events API."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": place.team_id,
        "enterprise_id": place.enterprise_id,
        "api_app_id": place.app_id,
        "event": body | {"event_ts": place.next_ts()},
        "type": "event_callback",
        "event_id": f"Ev{place.number():010d}",
        "event_time": int(place.clock.now()),
        "is_ext_shared_channel": False,
        "authorizations": [
            {
                "enterprise_id": place.enterprise_id,
                "team_id": place.team_id,
                "user_id": place.bot.id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
    }


def home_opened(place: SlackWorkspace, user: User) -> JSON:
    """Return the event of an opened App Home."""
    body: JSON = {
        "type": "app_home_opened",
        "user": user.id,
        "channel": place.direct(user.id).id,
        "tab": "home",
    }
    home = place.homes.get(user.id)
    return event(place, body | ({"view": place.view_json(home)} if home else {}))


def mention(place: SlackWorkspace, message: Message, kind: str = "app_mention") -> JSON:
    """Return the event of a mention, or of a message to the bot (`kind` "message")."""
    body: JSON = {
        "type": kind,
        "user": message.user,
        "text": message.text,
        "ts": message.ts,
        "channel": message.channel,
    }
    body |= {"team": place.users[message.user].team_id} | (
        {"thread_ts": message.thread_ts} if message.thread_ts else {}
    )
    return event(place, body | ({"channel_type": "im"} if kind == "message" else {}))
