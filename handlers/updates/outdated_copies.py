"""Messages whose buttons were pressed although no bot keeps them up to date."""

from contextlib import suppress
from dataclasses import dataclass, replace

from handlers import views
from handlers.slack.api import MessageGone
from handlers.slack.client import SlackClient
from handlers.updates.card_poster import CardPoster
from services.common.errors import Refused
from services.memory.message_refs import CardPlace, MessageRefs
from services.operations.reader import ClusterReader
from services.runs.run import Run


@dataclass(frozen=True)
class _CardSubject:
    """What a card is about.

    `name`: id under which its place is stored. `marks`: those that its messages may have.
    `request`: id of the request that became this run, if it was asked about by that; or "".
    """

    name: str
    cluster: str
    state: str
    marks: frozenset[str]
    request: str = ""


class OutdatedCopies:
    """Updates such a message: it becomes the card, or names the one that is."""

    def __init__(
        self, reader: ClusterReader, cards: MessageRefs, slack: SlackClient, poster: CardPoster
    ) -> None:
        self._reader = reader
        self._cards = cards
        self._slack = slack
        self._poster = poster

    async def pressed(self, name: str, channel: str, ts: str, mark: str) -> None:
        """Update the message `ts`, on which a button about the request or run `name` was pressed.

        `mark`: the mark of the message; "" where Slack did not send it.
        """
        subject = await self._subject(name)
        place = await self._place(subject)
        if place is not None and (ts == place.ts or ts in [t for _, _, t in place.copies]):
            return
        mark = mark or await self._slack.mark_at(channel, ts)
        if not mark or mark not in subject.marks:
            # The card of something else, or no card.
            return
        if place is not None and place.ts:
            await self._point_to(place, subject, channel, ts)
        elif self._poster.is_own_channel(subject.cluster, channel):
            # No bot could remember it: from here on it is the card.
            place = replace(place or CardPlace(channel, ""), ts=ts)
            await self._cards.put(subject.name, place)

    async def _subject(self, name: str) -> _CardSubject:
        try:
            run = await self._reader.run(name)
        except Refused:
            request = await self._reader.request(name)
        else:
            return _of_run(run, name)
        if request.run:
            return _of_run(await self._reader.run(request.run), name, request.id)
        state = f"the request is {request.state}"
        return _CardSubject(name, request.plan.cluster, state, frozenset({name}))

    async def _place(self, subject: _CardSubject) -> CardPlace | None:
        place = await self._cards.get(subject.name)
        if not subject.request or (place is not None and place.ts):
            return place
        # The request's message is about to become the run's.
        return await self._cards.get(subject.request)

    async def _point_to(
        self, place: CardPlace, subject: _CardSubject, channel: str, ts: str
    ) -> None:
        where = f"its message in <#{place.channel}>"
        if link := await self._slack.permalink(place.channel, place.ts):
            where = f"<{link}|its message>"
        text = f"This copy is outdated: {subject.state}. See {where}."
        with suppress(MessageGone):
            await self._slack.edit(channel, ts, views.text_card(text))


def _of_run(run: Run, name: str, request: str = "") -> _CardSubject:
    marks = frozenset({name, run.id, run.request})
    return _CardSubject(run.id, run.cluster, f"`{run.id}` is {run.state.words}", marks, request)
