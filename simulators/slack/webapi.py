"""The Web API.

A table of methods, each with its scope and rate limit, and one way through all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulators.evidence import Source, rests_on
from simulators.slack import methods_chat as chat
from simulators.slack import methods_files as files
from simulators.slack import methods_read as look
from simulators.slack import methods_views as views
from simulators.slack.arguments import read_value
from simulators.slack.faults import SlackFault, SlackFaults
from simulators.slack.journal import WireLog
from simulators.slack.limits import PER_MINUTE, POSTS_PER_MINUTE, Limits
from simulators.slack.model import JSON, SlackError
from simulators.slack.request import MethodRequest
from simulators.slack.workspace import SlackWorkspace

BOT_TOKEN, APP_TOKEN, SIGNING_SECRET = "xoxb-sim", "xapp-sim", "signing-secret-sim"


@dataclass(frozen=True)
class MethodResponse:
    """An answer: a status, headers and JSON; perhaps late, perhaps lost on the way."""

    status: int
    headers: dict[str, str]
    json: JSON
    delay: float = 0.0
    lost: bool = False


@dataclass(frozen=True)
class Method:
    """A method of the Web API. `scope` empty: none needed, or the method checks it itself."""

    run: Callable[[MethodRequest], JSON]
    scope: str = ""
    per_minute: int = PER_MINUTE[4]
    for_app_token: bool = False


METHODS: dict[str, Method] = {
    "api.test": Method(lambda call: {"args": dict(call.args)}, per_minute=600),
    "auth.test": Method(look.auth_test, per_minute=600),
    "apps.connections.open": Method(
        look.open_connection, "connections:write", PER_MINUTE[3], for_app_token=True
    ),
    "blocks.validate": Method(views.validate),
    "bots.info": Method(look.bots_info, "users:read", PER_MINUTE[3]),
    "chat.delete": Method(chat.delete, "chat:write", PER_MINUTE[3]),
    "chat.getPermalink": Method(chat.permalink, per_minute=600),
    "chat.postEphemeral": Method(chat.post_ephemeral, "chat:write"),
    "chat.postMessage": Method(chat.post_message, "chat:write", POSTS_PER_MINUTE),
    "chat.update": Method(chat.update, "chat:write", PER_MINUTE[3]),
    "conversations.history": Method(look.history, per_minute=PER_MINUTE[3]),
    "conversations.info": Method(look.conversations_info, per_minute=PER_MINUTE[3]),
    "conversations.join": Method(look.conversations_join, "channels:join", PER_MINUTE[3]),
    "conversations.list": Method(look.conversations_list, per_minute=PER_MINUTE[2]),
    "conversations.members": Method(look.conversations_members),
    "conversations.open": Method(look.open_conversation, "im:write", PER_MINUTE[3]),
    "conversations.replies": Method(look.replies, per_minute=PER_MINUTE[3]),
    "files.completeUploadExternal": Method(files.complete_upload, "files:write"),
    "files.getUploadURLExternal": Method(files.get_upload_url, "files:write"),
    "pins.add": Method(chat.pin, "pins:write", PER_MINUTE[2]),
    "reactions.add": Method(chat.add_reaction, "reactions:write", PER_MINUTE[3]),
    "reactions.remove": Method(chat.remove_reaction, "reactions:write", PER_MINUTE[2]),
    "usergroups.list": Method(look.usergroups_list, "usergroups:read", PER_MINUTE[2]),
    "usergroups.users.list": Method(look.usergroups_users, "usergroups:read", PER_MINUTE[2]),
    "users.info": Method(look.users_info, "users:read"),
    "users.list": Method(look.users_list, "users:read", PER_MINUTE[2]),
    "views.open": Method(views.open_view),
    "views.publish": Method(views.publish),
    "views.push": Method(views.push_view),
    "views.update": Method(views.update_view),
}

# Errors that are the app's own fault; "not found" and "conflict" are part of life.
FAULTY = frozenset(
    {
        "invalid_blocks",
        "invalid_arguments",
        "no_text",
        "msg_too_long",
        "missing_scope",
        "unknown_method",
        "view_too_large",
    }
)
FAULTY_TOO = frozenset(
    {
        "ratelimited",
        "invalid_metadata_format",
        "invalid_attachments",
        "not_enabled",
        "push_limit_reached",
    }
)


@dataclass
class WebApi:
    """Slack's Web API over one workspace, for the app with this manifest."""

    workspace: SlackWorkspace
    manifest: JSON
    faults: SlackFaults = field(default_factory=SlackFaults)
    journal: WireLog | None = None
    bot_token: str = BOT_TOKEN
    app_token: str = APP_TOKEN
    limited: bool = True
    revoked: bool = False
    """Whether the app's token was revoked."""
    open_socket: Callable[[], str] | None = None

    def __post_init__(self) -> None:
        self.limits = Limits(self.workspace.steady)
        self.record: WireLog = self.journal or WireLog(self.workspace.clock.now)
        self.journal = self.record
        self.workspace.bot.name = str(
            self.manifest.get("features", {})
            .get("bot_user", {})
            .get("display_name", self.workspace.bot.name)
        )

    @property
    def scopes(self) -> frozenset[str]:
        """Return the scopes of the manifest."""
        return frozenset(self.manifest.get("oauth_config", {}).get("scopes", {}).get("bot", []))

    def handle(self, method: str, token: str, args: dict[str, Any]) -> MethodResponse:
        """Answer one call."""
        fault = self.faults.take(method)
        if fault and not fault.lost and (fault.error or fault.status != 200):
            answer = _faulty(fault)
        else:
            answer = self._answer(method, token, args)
            if fault:
                answer = MethodResponse(
                    answer.status, answer.headers, answer.json, fault.delay, fault.lost
                )
        ok = answer.status == 200 and bool(answer.json.get("ok")) and not answer.lost
        note = ""
        if fault:
            note = "fault"
        elif not ok:
            note = str(answer.json.get("error", answer.status))
        self.record.write(
            "api",
            method,
            ok=ok,
            note=note,
            sent={k: v for k, v in args.items() if k != "token"},
            answer=answer.json,
        )
        return answer

    def _answer(self, name: str, token: str, args: dict[str, Any]) -> MethodResponse:
        try:
            arguments = {
                key: read_value(key, value)
                for key, value in args.items()
                if value is not None and key != "token"
            }
            told = self._run(name, token or str(args.get("token", "")), arguments)
        except SlackError as refused:
            if refused.code in FAULTY or refused.code in FAULTY_TOO:
                details = refused.extra.get("response_metadata", {}).get(
                    "messages", ""
                ) or refused.extra.get("needed", "")
                self.record.complain(f"{name}: {refused.code} {details}".strip())
            wait = refused.extra.pop("retry_after", 0)
            content = {"ok": False, "error": refused.code} | refused.extra
            if wait:
                return MethodResponse(429, {"Retry-After": str(wait)}, content)
            return MethodResponse(200, {}, content)
        return MethodResponse(
            200, {"X-OAuth-Scopes": ",".join(sorted(self.scopes))}, {"ok": True} | told
        )

    def _run(self, name: str, token: str, args: JSON) -> JSON:
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        self._authorise(method, token)
        wait = self.limited and self.limits.wait_for_call(name, method.per_minute)
        if wait:
            raise SlackError("ratelimited", retry_after=wait)

        def complain(what: str) -> None:
            self.record.complain(f"{name}: {what}")

        call = MethodRequest(
            self.workspace, args, self.manifest, complain, self.scopes, self.open_socket
        )
        if (
            self.limited
            and name == "chat.postMessage"
            and self.limits.wait_for_post(call.channel().id)
        ):
            raise SlackError("ratelimited", retry_after=1)
        content = method.run(call)
        unknown = sorted(set(args) - call.used)
        if unknown:
            self.record.write("note", f"{name}: arguments that Slack ignores: {', '.join(unknown)}")
        return content

    def _authorise(self, method: Method, token: str) -> None:
        if not token:
            raise SlackError("not_authed")
        if token not in (self.bot_token, self.app_token):
            raise SlackError("invalid_auth")
        if self.revoked and token == self.bot_token:
            raise SlackError("token_revoked")
        if (token == self.app_token) != method.for_app_token:
            raise SlackError("not_allowed_token_type")
        if method.scope and not method.for_app_token:
            self.record.scopes_used.add(method.scope)
            if method.scope not in self.scopes:
                raise SlackError(
                    "missing_scope", needed=method.scope, provided=",".join(sorted(self.scopes))
                )


def _faulty(fault: SlackFault) -> MethodResponse:
    headers, error = {}, "internal_error"
    if fault.status == 429:
        headers, error = {"Retry-After": str(fault.retry_after)}, "ratelimited"
    error = fault.error or error
    return MethodResponse(fault.status, headers, {"ok": False, "error": error}, fault.delay)


rests_on(
    "Slack",
    Source.DOCUMENT,
    "docs.slack.dev: the methods' references, with their errors and rate limits",
    *(name for name in METHODS if name not in {"apps.connections.open", "api.test"}),
)
rests_on(
    "Slack",
    Source.SOURCE,
    "slack_sdk 3.47 and slack_bolt 1.30: what they send and read",
    "apps.connections.open",
    "api.test",
)
