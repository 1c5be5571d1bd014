"""What reaches people in the thread of a request's card: an edit of the card notifies no one."""

from collections.abc import Iterable

from handlers.slack.blocks import Card
from handlers.slack.markup import date_time, markup, time_of_day
from handlers.views.act import heading
from handlers.views.plan import deciding_facts
from handlers.views.text import short_reason, text_card
from services.common.markers import person, user_group
from services.common.text import count_of
from services.runs.request import Request, RequestState

MOST_CALLED = 20


def approval_needed(request: Request, whom: Iterable[str]) -> Card:
    """Return the message that asks approvers for their decision, with what decides.

    It is what notifies them: the card mentions no one. `whom`: their ids.
    """
    needs = f"{_subject(request)} needs your approval until {_until(request)}."
    requester = f"Requested by {request.requester.mention}{short_reason(request.reason)}."
    return text_card(_to(whom, f"{needs} {deciding_facts(request.plan)} {requester}"))


def approval_expires(request: Request, whom: Iterable[str]) -> Card:
    """Return the reminder before a request expires."""
    missing = count_of(request.left, "approval")
    expires = f"{_subject(request)} expires at {_until(request)}"
    return text_card(_to(whom, f"{expires}. It still needs {missing}."))


def with_link(card: Card, link: str) -> Card:
    """Return a card for a direct message, with a link to what it is about."""
    if not link:
        return card
    return text_card(f"{card.text} <{link}|Open>")


def expired_notice(request: Request) -> str:
    """Tell the requester that their request has expired; "" for any other state."""
    if request.state is not RequestState.EXPIRED or request.agreed_at:
        return ""
    expired = f"{_inside(_subject(request))} expired at {time_of_day(request.closed_at)}"
    return f"{request.requester.mention}: {expired}. {_missed(request)} Nothing was changed."


def _to(whom: Iterable[str], text: str) -> str:
    """Address people; a direct message addresses no one."""
    mentions = called(whom)
    if not mentions:
        return text
    return f"{mentions}: {_inside(text)}"


def _inside(text: str) -> str:
    """Return a text that begins with its subject in bold, to follow a colon."""
    return f"{text[:1]}{text[1:2].lower()}{text[2:]}"


def called(whom: Iterable[str]) -> str:
    """Mention people and user groups by their ids, up to a limit."""
    mentions = list(map(_mention, whom))
    text = " ".join(mentions[:MOST_CALLED])
    if len(mentions) > MOST_CALLED:
        return f"{text} and {len(mentions) - MOST_CALLED} more"
    return text


def _mention(one: str) -> str:
    if one.startswith("S"):
        return markup(user_group(one))
    return markup(person(one))


def _subject(request: Request) -> str:
    """Return `*Shut down acme*`."""
    return f"*{heading(request)}*"


def _until(request: Request) -> str:
    if request.later:
        return date_time(request.until)
    return time_of_day(request.until)


def _missed(request: Request) -> str:
    if request.startable:
        return "You did not start it."
    if request.glass:
        return "You did not confirm it."
    if request.approvals:
        return f"{len(request.approvals)} of {count_of(request.needs, 'approval')} were given."
    return "No one approved it."
