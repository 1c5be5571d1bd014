"""Copies of cards in people's own conversations with the bot, while a channel is closed."""

import logging
from dataclasses import replace

from handlers import views
from handlers.slack.api import MessageGone, is_permanent
from handlers.slack.blocks import Card, context
from handlers.slack.channel_access import ChannelClosed, TokenRefused
from handlers.slack.client import SlackClient
from handlers.slack.markup import time_of_day
from services.access.clusters import ClusterRegistry
from services.access.policy import Actor
from services.common.errors import Unreachable
from services.memory.message_refs import CardPlace, MessageRefs
from services.runs.request import Request, RequestState
from services.runs.run import Run, State

log = logging.getLogger(__name__)
OVER = "over"  # begins the state that a copy shows when nothing more can come
OPEN = "open"
UNREACHABLE = ("", "")  # a person who cannot be written to, and is not tried again


class DirectCopies:
    """Keeps one copy of a card per person, and posts what notifies them as new messages."""

    def __init__(self, cards: MessageRefs, clusters: ClusterRegistry, slack: SlackClient) -> None:
        self._cards = cards
        self._clusters = clusters
        self._slack = slack

    async def of_run(
        self, run: Run, card: Card, place: CardPlace, closed: ChannelClosed
    ) -> CardPlace:
        """Post or edit the copies of a run's card; return the place with them.

        Copies that show this state already stay as they are.
        """
        shows = _shows(run)
        if place.copied == shows:
            return place
        card = replace(
            card, blocks=(*card.blocks, context(f":warning: Shown here because {closed.why}."))
        )
        copies = {user: (channel, ts) for user, channel, ts in place.copies}
        for user in dict.fromkeys([*copies, *self._people(run)]):
            copies[user] = await self._one(user, card, copies.get(user), run.id)
            place = replace(place, copies=tuple((u, c, t) for u, (c, t) in copies.items()))
            await self._cards.put(run.id, place)
        place = replace(place, copied=shows)
        await self._cards.put(run.id, place)
        return place

    async def say(self, place: CardPlace, words: str) -> None:
        """Post what would go into the thread to each person: an edit notifies no one."""
        for user, channel, _ in place.copies:
            await self._one(user, views.text_card(words), None, "", channel)

    async def no_more(self, run: Run, place: CardPlace) -> CardPlace:
        """Say in the copies that the card is in a channel again."""
        if not place.copies:
            return place
        back = views.text_card(f"`{run.id}` is shown in <#{place.channel}> again.")
        for _, channel, ts in place.copies:
            if not channel:
                continue
            try:
                await self._slack.edit(channel, ts, back)
            except TokenRefused:
                raise
            except (Unreachable, MessageGone) as error:
                log.warning("a copy of %s stays as it is: %s", run.id, error)
        return replace(place, copies=(), copied="")

    async def of_request(self, request: Request, closed: ChannelClosed) -> None:
        """Tell the requester that no one reads their request in the channel; later its outcome."""
        place = await self._cards.get(request.id) or CardPlace(closed.channel, "")
        shows, text = _request_text(request, closed)
        if place.copied == shows or request.state is RequestState.APPROVED:
            return
        for user in _members(request.requester, *request.approvals):
            if not self._clusters.may_read(request.plan.cluster, Actor(user)):
                # They lost the role since.
                continue
            await self._one(user, views.text_card(text), None, "")
        await self._cards.put(request.id, replace(place, copied=shows))

    async def _one(
        self, user: str, card: Card, copy: tuple[str, str] | None, mark: str, channel: str = ""
    ) -> tuple[str, str]:
        """Post a copy, or edit the one at `copy` (channel id, ts). Returns where it is.

        UNREACHABLE for a person who cannot be written to.
        """
        if copy == UNREACHABLE:
            return copy
        try:
            if copy is None:
                return await self._slack.post_in(channel or user, card, mark=mark)
            await self._slack.edit(*copy, card)
        except MessageGone:
            return await self._slack.post_in(user, card, mark=mark)
        except Unreachable as error:
            if not is_permanent(error):
                raise
            log.warning("%s cannot be written to in private: %s", user, error)
            return UNREACHABLE
        return copy

    def _people(self, run: Run) -> list[str]:
        """Return requester and approvers, and the operators where none of these may answer.

        Leaves out who lost the role since.
        """
        operators = self._clusters.rules(run.cluster).operators
        people = _members(run.requester, *run.approvers)
        if not operators & set(people):
            people = sorted({*people, *operators})
        return [user for user in people if self._clusters.may_read(run.cluster, Actor(user))]


def _request_text(request: Request, closed: ChannelClosed) -> tuple[str, str]:
    """Return the state that a message about a request shows, and its text."""
    title, state = views.title(request.plan), request.state
    if state is not RequestState.OPEN:
        text = f"{title}: your request is {state}. It cannot be shown in its channel"
        return f"{OVER}: {state}", f"{text}, because {closed.why}."
    where = "Approvers find it in the bot's App Home."
    if request.startable:
        where = "You can start it in the bot's App Home."
    return OPEN, (
        f"{title}: no one can read your request in its channel, because {closed.why}. "
        f"{where} "
        f"It expires at {time_of_day(request.until)}; it is shown in the channel once that is "
        "fixed."
    )


def _members(*actors: Actor) -> list[str]:
    """Return the ids of those who are people in Slack, each once."""
    return list(dict.fromkeys(a.user for a in actors if a.user.startswith(("U", "W"))))


def _shows(run: Run) -> str:
    """Return the state that the copies of a run's card show; they are edited when it changes."""
    state, question, cancelled = "under way", "", ""
    if run.over:
        state = OVER
    elif run.state is State.STOPPED:
        state = "stopped"
    if run.question is not None:
        question = run.question.id
    if run.cancel is not None:
        cancelled = " cancelled"
    return f"{state}: {run.state} {run.position} {question}{cancelled}"
