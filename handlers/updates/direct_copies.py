"""Where a cluster's channel is closed: what people of a run or request read of it in their own conversations with the bot."""

import logging
from dataclasses import replace

from handlers import views
from handlers.slack.blocks import Card, clock, context
from handlers.slack.channel_access import Closed, TokenRefused
from handlers.slack.client import MessageGone, SlackClient
from services.access.clusters import ClusterRegistry
from services.access.policy import Actor
from services.common.errors import Unreachable
from services.memory.message_refs import CardPlace, MessageRefs
from services.runs.request import Request, RequestState
from services.runs.run import Run, State

log = logging.getLogger(__name__)
OVER = "over"  # begins what a copy shows once nothing more can come


class DirectCopies:
    """A copy of the card for each of them, edited when the run comes to something new, and one message for what calls them."""

    def __init__(self, cards: MessageRefs, clusters: ClusterRegistry, voice: SlackClient) -> None:
        self._cards = cards
        self._clusters = clusters
        self._voice = voice

    async def of_run(self, run: Run, card: Card, place: CardPlace, closed: Closed) -> CardPlace:
        """The run's card for its people. They are asked nothing twice: a copy that shows this already is left alone."""
        shows = _shows(run)
        if place.copied == shows:
            return place
        card = replace(
            card, blocks=(context(f":warning: Shown here because {closed.why}."), *card.blocks)
        )
        there = {user: (channel, ts) for user, channel, ts in place.copies}
        for user in dict.fromkeys([*there, *self._people(run)]):
            there[user] = await self._one(user, card, there.get(user), run.id)
            place = replace(place, copies=tuple((u, c, t) for u, (c, t) in there.items()))
            await self._cards.put(run.id, place)
        place = replace(place, copied=shows)
        await self._cards.put(run.id, place)
        return place

    async def say(self, place: CardPlace, words: str) -> None:
        """What would stand in the thread: a new message for each, because an edit calls nobody."""
        for user, channel, _ in place.copies:
            await self._one(user, views.words_card(words), None, "", channel)

    async def no_more(self, run: Run, place: CardPlace) -> CardPlace:
        """The card stands in a channel again: the copies say where."""
        if not place.copies:
            return place
        for _, channel, ts in place.copies:
            if channel:
                try:
                    await self._voice.edit(
                        channel,
                        ts,
                        views.words_card(f"`{run.id}` is shown in <#{place.channel}> again."),
                    )
                except TokenRefused:
                    raise
                except (Unreachable, MessageGone) as error:
                    log.warning("a copy of %s stays as it is: %s", run.id, error)
        return replace(place, copies=(), copied="")

    async def of_request(self, request: Request, closed: Closed) -> None:
        """Whoever asked reads that nobody can approve it in the channel, and later what became of it."""
        place = await self._cards.get(request.id) or CardPlace(closed.channel, "")
        is_open = request.state is RequestState.OPEN
        shows = "open" if is_open else f"{OVER}: {request.state}"
        if place.copied == shows or request.state is RequestState.APPROVED:
            return
        title = views.title(request.plan)
        words = (
            f"{title}: your request can be read by no one in its channel, because {closed.why}. Approvers find it in the bot's App Home. "
            f"It is shown in the channel once that is fixed, until {clock(request.until)}."
            if is_open
            else f"{title}: your request is {request.state}. It cannot be shown in its channel, because {closed.why}."
        )
        for user in _members(request.requester, *request.approvals):
            if not self._clusters.may_read(request.plan.cluster, Actor(user)):
                continue  # lost the role since
            await self._one(user, views.words_card(words), None, "")
        await self._cards.put(request.id, replace(place, copied=shows))

    async def _one(
        self, user: str, card: Card, there: tuple[str, str] | None, mark: str, channel: str = ""
    ) -> tuple[str, str]:
        """Where this person reads it. ("", ""): they cannot be reached, and are not tried again."""
        if there == ("", ""):
            return there
        try:
            if there is None:
                return await self._voice.post_in(channel or user, card, mark=mark)
            await self._voice.edit(*there, card)
        except MessageGone:
            return await self._voice.post_in(user, card, mark=mark)
        except Unreachable as error:
            if not self._voice.refuses(error):
                raise
            log.warning("%s cannot be written to in private: %s", user, error)
            return "", ""
        return there

    def _people(self, run: Run) -> list[str]:
        """Whoever asked and approved. The operators too where none of these may answer, or nobody is behind it."""
        operators = self._clusters.rules(run.cluster).operators
        people = _members(run.requester, *run.approvers)
        people = people if operators & set(people) else sorted({*people, *operators})
        return [
            user for user in people if self._clusters.may_read(run.cluster, Actor(user))
        ]  # not whoever lost the role since


def _members(*actors: Actor) -> list[str]:
    """Those of them who are people in Slack."""
    return list(dict.fromkeys(a.user for a in actors if a.user.startswith(("U", "W"))))


def _shows(run: Run) -> str:
    question = run.question.id if run.question is not None else ""
    cancelled = " cancelled" if run.cancel is not None else ""
    state = OVER if run.over else "stopped" if run.state is State.STOPPED else "under way"
    return f"{state}: {run.state} {run.position} {question}{cancelled}"
