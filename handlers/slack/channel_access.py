"""Where the bot can post in Slack: closed channels, and whether Slack accepts its token."""

from dataclasses import dataclass

from services.common.errors import Unreachable

# Slack's error codes for a channel in which the bot can neither post nor edit, whatever the text.
POSTING_NOT_ALLOWED = "the rules of <#{0}> do not let the bot post there"
CLOSED = {
    "is_archived": "<#{0}> is archived",
    "is_inactive": "<#{0}> is archived",
    "channel_is_archived": "<#{0}> is archived",
    "not_in_channel": "the bot is not in <#{0}>: invite it there",
    "channel_not_found": (
        "Slack knows no channel {0} for the bot: invite it there, "
        "or name another channel in its settings"
    ),
    "restricted_action": POSTING_NOT_ALLOWED,
    "restricted_action_read_only_channel": POSTING_NOT_ALLOWED,
    "restricted_action_non_threadable_channel": POSTING_NOT_ALLOWED,
    "posting_to_general_channel_denied": POSTING_NOT_ALLOWED,
}
REFUSED = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "team_access_not_granted",
    }
)
# Those of CLOSED that reading a channel's information shows, too.
SHOWN = frozenset(
    {"is_archived", "is_inactive", "channel_is_archived", "not_in_channel", "channel_not_found"}
)
RETRY_AFTER = 600.0  # seconds until a channel whose rules forbade a message is tried again
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 600.0  # seconds until a refused token is tried again


class ChannelClosed(Unreachable):
    """A channel takes no message of the bot, and would not soon. `why`: the reason in words."""

    def __init__(self, channel: str, why: str, code: str = "") -> None:
        text = f"no message of the bot is taken in {channel}"
        if code:
            text += f": {code}"
        super().__init__(text, cause=why, sent=False)
        self.channel = channel
        self.why = why
        self.code = code


class TokenRefused(Unreachable):
    """Slack does not accept the bot's token: nothing can be posted until it is replaced."""

    def __init__(self, code: str) -> None:
        super().__init__(
            f"Slack refuses the bot's token: {code}",
            cause=f"Slack refuses the bot's token ({code})",
            sent=False,
        )
        self.code = code


@dataclass(frozen=True)
class ClosedState:
    """Why a channel takes nothing, and since when as far as this bot knows (epoch seconds).

    `unseen`: a message was refused although the channel's information does not show why; only a
    message that is taken proves that it is open again.
    """

    why: str
    since: float
    unseen: bool = False


class ChannelAccess:
    """What one process knows about its access. A closed channel gets no requests until a check.

    `closed`: by channel id. `reached`: by channel id, when it last took a message (epoch seconds).
    `token`: why Slack refuses the token, "" while it is accepted; `token_since`: since when.
    """

    def __init__(self) -> None:
        self.closed: dict[str, ClosedState] = {}
        self.reached: dict[str, float] = {}
        self.token: str = ""
        self.token_since = 0.0
        self._pause = FIRST_PAUSE
        self._again_at = 0.0

    def why_closed(self, channel: str) -> str:
        """Return why a channel takes nothing; "" when it is open, as far as is known."""
        state = self.closed.get(channel)
        if state is None:
            return ""
        return state.why

    def raise_if_closed(self, channel: str) -> None:
        """Raise Closed for a channel that is known to be closed, without asking Slack."""
        if (state := self.closed.get(channel)) is not None:
            raise ChannelClosed(channel, state.why)

    def raise_if_token_refused(self, now: float) -> None:
        """Raise TokenRefused while the last refusal is recent. `now`: the loop's own time."""
        if self.token and now < self._again_at:
            raise TokenRefused(self.token)

    def token_accepted(self) -> None:
        """Note that Slack accepted the token."""
        self.token, self._pause = "", FIRST_PAUSE

    def refusal(
        self, method: str, channel: str, code: str, loop_now: float, now: float
    ) -> Unreachable | None:
        """Return the error for one of Slack's codes, if it is about the channel or the token.

        Returns None for a code that is about this one call. A refused token is noted.
        """
        if code in REFUSED:
            if not self.token:
                self.token_since = now
            self.token, self._again_at = code, loop_now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            return TokenRefused(code)
        if code in CLOSED and method.startswith(("chat.", "conversations.", "files.")):
            return ChannelClosed(channel, CLOSED[code].format(channel), code)
        return None

    def note_closed(self, error: ChannelClosed, now: float) -> None:
        """Note that a channel took no message. Conversations with one person are not noted."""
        if _is_channel(error.channel):
            state = ClosedState(error.why, now, unseen=error.code not in SHOWN)
            self.closed.setdefault(error.channel, state)

    def note_open(self, channel: str, now: float) -> None:
        """Note that a channel took a message."""
        self.closed.pop(channel, None)
        self.reached[channel] = now

    def forget(self, channel: str) -> None:
        """Forget what is known about a channel: the next message finds out."""
        self.closed.pop(channel, None)

    def note_checked(self, channel: str, why: str, now: float) -> None:
        """Note the result of a check: why a channel takes nothing, "" when nothing shows.

        What a check never shows, such as a channel's rules, is tried again after a while.
        """
        state = self.closed.get(channel)
        if why and _is_channel(channel):
            since = now
            if state is not None:
                since = state.since
            self.closed[channel] = ClosedState(why, since)
        elif state is not None and (not state.unseen or now - state.since > RETRY_AFTER):
            self.closed.pop(channel)


def _is_channel(channel: str) -> bool:
    return channel.startswith(("C", "G"))
