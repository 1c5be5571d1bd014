"""One call of the Web API, as its method sees it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulators.slack.blockkit import SchemaViolation, check_blocks
from simulators.slack.model import JSON, Channel, Message, SlackError, User
from simulators.slack.workspace import SlackWorkspace


@dataclass
class MethodRequest:
    """The input of a method: the workspace, the arguments, and the app's manifest."""

    workspace: SlackWorkspace
    args: JSON
    manifest: JSON
    complain: Callable[[str], None]
    scopes: frozenset[str]
    open_socket: Callable[[], str] | None = None
    used: set[str] = field(default_factory=set)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an optional argument."""
        self.used.add(name)
        return self.args.get(name, default)

    def need(self, name: str, error: str = "invalid_arguments") -> Any:
        """Return a required argument, or refuse."""
        value = self.get(name)
        if value in (None, ""):
            raise SlackError(
                error, [f"[ERROR] missing required field: {name} [json-pointer:/{name}]"]
            )
        return value

    def channel(self) -> Channel:
        """Return the channel of the call."""
        return self.workspace.channel(str(self.need("channel", "channel_not_found")))

    def message(self) -> Message:
        """Return the message of the call."""
        return self.workspace.find(self.channel(), str(self.need("ts", "message_not_found")))

    def user(self, name: str = "user") -> User:
        """Return the user of the call."""
        who = self.workspace.users.get(str(self.need(name, "user_not_found")))
        if who is None:
            raise SlackError("user_not_found")
        return who

    def blocks(self) -> list[JSON] | None:
        """Return the blocks of the call as values, or refuse invalid ones."""
        blocks = self.get("blocks")
        if blocks is None:
            return None
        refuse(check_blocks(blocks), "invalid_blocks")
        checked: list[JSON] = blocks
        return checked

    def require_scope(self, *any_of: str) -> None:
        """Refuse unless the app has one of these scopes."""
        if not self.scopes.intersection(any_of):
            raise SlackError(
                "missing_scope", needed=",".join(any_of), provided=",".join(sorted(self.scopes))
            )


def refuse(problems: list[SchemaViolation], code: str) -> None:
    """Refuse a call whose blocks have problems, in Slack's form."""
    if problems:
        raise SlackError(
            code,
            [f"[ERROR] {problem}" for problem in problems],
            errors=[str(problem) for problem in problems],
        )
