"""What can go wrong, drawn as the tree it is.

BotError
├── Refused          tell the operator: not allowed, busy, stale, unknown. Nothing was changed.
│   └── Foreign      the state is about something else: another cluster of that name, a newer version. Until a person sees to it.
├── Unreachable      nobody answered, or not now: look again, then ask again. `sent` says whether the request may have taken effect.
│   ├── Unreadable   answered, in a shape that cannot be read: counts as not seen. Names the listing and the field, never the content
│   └── Unconfirmed  answered once or twice unlike before (401, 403, 404, another kind of fleet): not believed until it is seen again
├── BadRecord        a stored record cannot be read: it is damaged, or a newer version wrote it. Trouble of that record alone.
├── Rejected         answered, and the answer is no: do not repeat it unchanged. Carries the provider's request id.
│   ├── Forbidden    the credentials do not allow it; the text names what they lack
│   └── NotFound     there is no such thing
└── Superseded       somebody else drives this now: stop quietly

Texts are lower case and say what was being done and to what. None of them holds the body of a request or of an answer: bodies carry
credentials (`user_data`, `secrets.env`), and errors end up in logs, journals and messages.
"""


class BotError(Exception):
    """Everything the bot raises on purpose.

    `cause`: why, in words of its own ("certificate expired on 2026-11-20 08:00 UTC"), to show without the rest of the text.
    `remedy`: what a person does about it. Both are "" where they are not known.
    """

    def __init__(self, text: str = "", *, cause: str = "", remedy: str = "") -> None:
        super().__init__(text)
        self.cause = cause
        self.remedy = remedy


class Refused(BotError):
    """Tell the operator: not allowed, busy, stale, unknown."""


class Foreign(Refused):
    """What stands in the state is not this bot's to act on; the text says whose it is and what to do."""


class Unreachable(BotError):
    """Nobody answered, or not now; look, then ask again.

    `again_in` is how many seconds the other side asked us to wait, if it said. `sent` is False when the request certainly never
    arrived, True when it certainly did, and None when nobody can know: then look before asking again.
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
        self.again_in = again_in
        self.sent = sent


class BadRecord(BotError):
    """A stored record that cannot be read; the text names it and says why."""


class Unreadable(Unreachable):
    """An answer, or one entry of a list, has not the shape that was promised: what it says was not seen.

    `listing` is what was asked for, `field` what of it cannot be read, `whose` the entry by its name or id if those can be read.
    """

    def __init__(
        self, listing: str, field: str, whose: str = "", *, sent: bool | None = None
    ) -> None:
        super().__init__(
            f"{listing}: {f'{whose} has' if whose else 'the answer holds'} no readable {field}",
            sent=sent,
        )
        self.listing = listing
        self.field = field
        self.whose = whose


class Unconfirmed(Unreachable):
    """Seen once or twice, and unlike everything before: it may be one odd answer. `first_seen` is in epoch seconds.

    It has to be seen in several looks over a minute. After that what was answered counts: a `Rejected` is raised as such.
    """

    def __init__(self, text: str, first_seen: float) -> None:
        super().__init__(text, sent=False)
        self.text = text
        self.first_seen = first_seen


class Rejected(BotError):
    """The other side answered no; asking the same again gets the same answer."""

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
    """There is no such thing (any more)."""


class Forbidden(Rejected):
    """The credentials are refused or do not allow it; the text names what is missing for what."""


class Superseded(BotError):
    """Somebody else drives this now: stop quietly."""
