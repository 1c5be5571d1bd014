"""The errors the bot raises on purpose, as a tree.

BotError
├── Refused          tell the user: not allowed, busy, stale, unknown. Nothing was changed.
│   ├── Foreign      the state belongs to something else: another cluster of that name, a newer
│   │                version. Stays so until a person acts.
│   └── ObservesOnly this bot only observes: nothing was sent, and a retry is refused too
├── Unreachable      no answer, or not now: read the state, then retry. `sent` says whether the
│   │                request may have taken effect.
│   ├── Unreadable   an answer that cannot be parsed: its content is unknown. Names the listing and
│   │                the field, never the content.
│   └── Unconfirmed  an answer unlike all before (401, 403, 404, another kind of fleet): does not
│                    count until it is repeated.
├── BadRecord        a stored record cannot be read: damaged, or of a newer version. Concerns that
│                    record alone.
├── Rejected         the answer is no: do not retry unchanged. Carries the provider's request id.
│   ├── Forbidden    the credentials do not allow it; the text names what they lack
│   └── NotFound     there is no such thing
└── Superseded       another process drives this run now: stop quietly

Texts are lower case and say what was being done and to what. None of them holds the body of a
request or of an answer: bodies carry credentials (`user_data`, `secrets.env`), and errors end up in
logs, journals and messages.
"""

OBSERVES = "this bot only observes (mode: observe)"
OPERATE = "set mode: operate in the settings, then restart the bot"


class BotError(Exception):
    """Base class of everything the bot raises on purpose.

    `cause`: the reason alone, such as "certificate expired on 2026-11-20 08:00 UTC", to show
    without the rest of the text. `remedy`: what a person can do. Both are "" where unknown.
    """

    def __init__(self, text: str = "", *, cause: str = "", remedy: str = "") -> None:
        super().__init__(text)
        self.cause = cause
        self.remedy = remedy


class Refused(BotError):
    """Tell the user: not allowed, busy, stale, unknown. Nothing was changed."""


class Foreign(Refused):
    """The state is not this bot's to act on; the text says whose it is and what to do."""


class ObservesOnly(Refused):
    """It would change something, and this bot only observes. Nothing was sent; never retried."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: not done, because this bot only observes (mode: observe)",
            cause=OBSERVES,
            remedy=OPERATE,
        )


class Unreachable(BotError):
    """No answer, or not now; read the state, then retry.

    `again_in`: seconds to wait before a retry, where the other side named them. `sent`: False when
    the request certainly did not arrive, True when it certainly did, None when unknown: then read
    before retrying.
    """

    def __init__(
        self,
        text: str,
        *,
        again_in: float | None = None,
        sent: bool | None = None,
        cause: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(text, cause=cause, remedy=remedy)
        self.retry_after = again_in
        self.sent = sent


class BadRecord(BotError):
    """A stored record cannot be read; the text names it and says why."""


class Unreadable(Unreachable):
    """An answer, or one entry of a list, is not of the documented shape: its content is unknown.

    `listing`: what was read; `field`: what of it cannot be parsed; `whose`: the entry's name or id
    if those can be.
    """

    def __init__(
        self, listing: str, field: str, whose: str = "", *, sent: bool | None = None
    ) -> None:
        owner = f"{whose} has" if whose else "the answer has"
        super().__init__(f"{listing}: {owner} no readable {field}", sent=sent)
        self.listing = listing
        self.field = field
        self.entry = whose


class Unconfirmed(Unreachable):
    """An answer unlike everything before, seen once or twice. `first_seen` in epoch seconds.

    It counts once it was repeated over a minute: a `Rejected` is then raised as such.
    """

    def __init__(self, text: str, first_seen: float) -> None:
        super().__init__(text, sent=False)
        self.text = text
        self.first_seen = first_seen


class Rejected(BotError):
    """The other side answered no; the same request gets the same answer."""

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        message: str = "",
        cause: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(text, cause=cause, remedy=remedy)
        self.status = status
        self.request_id = request_id
        self.message = message


class NotFound(Rejected):
    """There is no such thing, or not any more."""


class Forbidden(Rejected):
    """The credentials are refused or do not allow it; the text names what is missing for what."""


class Superseded(BotError):
    """Another process drives this run now: stop quietly."""
