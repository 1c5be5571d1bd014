"""Where the bot is heard in Slack: channels that take no message of it any more, and whether Slack takes its token at all."""

from dataclasses import dataclass

from services.common.errors import Unreachable

# What Slack says of a channel in which the bot can neither post nor edit, whatever it says there.
CLOSED = {
    "is_archived": "<#{0}> is archived",
    "is_inactive": "<#{0}> is archived",
    "channel_is_archived": "<#{0}> is archived",
    "not_in_channel": "the bot is not in <#{0}>: invite it there",
    "channel_not_found": "Slack knows no channel {0} for the bot: invite it there, or name another channel in its settings",
    "restricted_action": "the rules of <#{0}> do not let the bot post there",
    "restricted_action_read_only_channel": "the rules of <#{0}> do not let the bot post there",
    "restricted_action_non_threadable_channel": "the rules of <#{0}> do not let the bot post there",
    "posting_to_general_channel_denied": "the rules of <#{0}> do not let the bot post there",
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
SHOWN = frozenset(
    {"is_archived", "is_inactive", "channel_is_archived", "not_in_channel", "channel_not_found"}
)  # by a look, too
TRIED_AGAIN = 600.0  # seconds until a channel whose rules forbade a message is tried once more
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 600.0  # seconds until a refused token is tried once more


class Closed(Unreachable):
    """This channel takes no message of the bot; asking again soon gets the same answer. `why`: in words for people."""

    def __init__(self, channel: str, why: str, code: str = "") -> None:
        super().__init__(
            f"no message of the bot is taken in {channel}{f': {code}' if code else ''}",
            cause=why,
            sent=False,
        )
        self.channel = channel
        self.why = why
        self.code = code


class TokenRefused(Unreachable):
    """Slack does not take the bot's token: nothing can be said to anyone, until it is another one."""

    def __init__(self, code: str) -> None:
        super().__init__(
            f"Slack refuses the bot's token: {code}",
            cause=f"Slack refuses the bot's token ({code})",
            sent=False,
        )
        self.code = code


@dataclass(frozen=True)
class Shut:
    """A channel that takes nothing: why, and since when as far as this bot knows (epoch seconds).

    `unseen`: a message was refused, and no look at the channel shows why; so only a message that is taken proves that it is open again.
    """

    why: str
    since: float
    unseen: bool = False


class ChannelAccess:
    """What one process knows of it. A closed channel is asked for nothing, until somebody has `looked`."""

    def __init__(self) -> None:
        self.closed: dict[str, Shut] = {}
        self.reached: dict[str, float] = {}  # by channel: when it last took something
        self.token: str = ""  # why Slack refuses it; "" while it is taken
        self.token_since = 0.0
        self._pause = FIRST_PAUSE
        self._again_at = 0.0

    def why_closed(self, channel: str) -> str:
        """Why a channel takes nothing, as far as that is known; "" while nothing is."""
        shut = self.closed.get(channel)
        return shut.why if shut else ""

    def must_be_open(self, channel: str) -> None:
        """Closed when that is known of the channel: Slack is not asked again."""
        if (shut := self.closed.get(channel)) is not None:
            raise Closed(channel, shut.why)

    def must_be_believed(self, now: float) -> None:
        """TokenRefused while Slack was asked in vain a moment ago. `now` is the loop's own time."""
        if self.token and now < self._again_at:
            raise TokenRefused(self.token)

    def believes(self) -> None:
        """Slack took the token."""
        self.token, self._pause = "", FIRST_PAUSE

    def refusal(
        self, method: str, channel: str, code: str, loop_now: float, now: float
    ) -> Unreachable | None:
        """What a code of Slack's means for the channel, or for everything; None when it is about this one call."""
        if code in REFUSED:
            if not self.token:
                self.token_since = now
            self.token, self._again_at = code, loop_now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            return TokenRefused(code)
        if code in CLOSED and method.startswith(("chat.", "conversations.", "files.")):
            return Closed(channel, CLOSED[code].format(channel), code)
        return None

    def closes(self, error: Closed, now: float) -> None:
        """A channel took no message. A conversation with one person is no channel, and nothing is kept of it."""
        if error.channel.startswith(("C", "G")):
            self.closed.setdefault(
                error.channel, Shut(error.why, now, unseen=error.code not in SHOWN)
            )

    def opens(self, channel: str, now: float) -> None:
        """A channel took a message."""
        self.closed.pop(channel, None)
        self.reached[channel] = now

    def forget(self, channel: str) -> None:
        """What is known of a channel is old: the next message finds out."""
        self.closed.pop(channel, None)

    def looked(self, channel: str, why: str, now: float) -> None:
        """What a look at the channel showed: why it takes nothing, or "" when nothing is in the way any more.

        What a look never showed, such as the channel's rules, is tried again after a while.
        """
        shut = self.closed.get(channel)
        if why and channel.startswith(("C", "G")):
            self.closed[channel] = Shut(why, shut.since if shut else now)
        elif shut is not None and (not shut.unseen or now - shut.since > TRIED_AGAIN):
            self.closed.pop(channel)
