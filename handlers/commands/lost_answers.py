"""After an answer that was lost: say that it is not known, look until it is, and tell what became of it."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from handlers import views
from handlers.slack.blocks import Card
from handlers.slack.client import ReplyTarget, SlackClient
from services.access.policy import Actor
from services.audit.entries import What
from services.common.clock import Clock
from services.common.errors import BotError, Refused, Unreachable
from services.procedures import Procedure
from services.runs.request import RequestState
from services.schedule.visible import VisibleState

EVERY, TRIES = (
    10.0,
    180,
)  # half an hour: longer than a fail-over, shorter than anybody remembers what they pressed
NOT_YET = "Whether it was taken is not known yet; I look, and tell you here."
NOT_TAKEN = "It was not taken, and nothing was changed by it. You can type or press it again."
AUDITED = 50  # newest entries of a cluster that are looked through
# What the audit says of a command or a button that is no procedure, and of the form of `config set`.
RECORDED: Mapping[str, tuple[What, ...]] = {
    "hold": (What.HELD,),
    "unhold": (What.UNHELD,),
    "keepup": (What.KEPT,),
    "wake": (What.KEPT,),
    "closenow": (What.CLOSING,),
    "window remove": (What.WINDOW_REMOVED,),
    "window skip": (What.SKIPPED,),
    "later cancel": (What.REJECTED,),
    "break-glass": (What.GLASS,),
    "config set": (What.ASKED, What.OPENED),
    "config rollback": (What.ASKED, What.OPENED),
}
Look = Callable[[], Awaitable[str]]


class LostAnswers:
    """Follows up for people whose change may or may not have been written down."""

    def __init__(self, sight: VisibleState, voice: SlackClient, clock: Clock) -> None:
        self._sight, self._voice, self._clock = sight, voice, clock
        self._deeds: Counter[str] = (
            Counter()
        )  # of each person, so that only the newest one is told of

    def moved(self, user: str) -> None:
        """This person has typed or pressed something else: what became of the one before is no news any more."""
        self._deeds[user] += 1

    async def tell(self, ear: ReplyTarget, error: Unreachable, look: Look) -> None:
        """Two messages: that it is not known, and later what is."""
        mine = self._deeds[ear.user]
        await self._say(ear, f"{views.sentence(f'no usable answer: {error}')} {NOT_YET}", mine)
        for _ in range(TRIES):
            await self._clock.sleep(EVERY)
            if self._deeds[ear.user] != mine:
                return
            try:
                words = await look()
            except Refused as refusal:
                words = views.sentence(str(refusal))  # such as that they have no role for it
            except BotError:
                continue
            await self._say(ear, words, mine)
            return
        await self._say(
            ear,
            "What became of it is still not known; `status` shows it once the bot's state store answers.",
            mine,
        )

    async def _say(self, ear: ReplyTarget, words: str, deed: int) -> None:
        await self.say(ear, views.words_card(words), deed)

    async def say(self, ear: ReplyTarget, card: Card, deed: int | None = None) -> None:
        """A private answer, again and again until Slack takes it, for half an hour; of a `deed` while it is that person's newest."""
        for _ in range(TRIES):
            if deed is not None and self._deeds[ear.user] != deed:
                return
            try:
                await self._voice.whisper(ear, card)
            except Unreachable:
                await self._clock.sleep(EVERY)
            else:
                return

    # What became of it

    async def asked_for(
        self, cluster: str, procedure: Procedure, actor: Actor, since: float
    ) -> str:
        """Of a change that was typed or picked."""
        for run in await self._sight.latest(cluster, actor, 5):
            if (
                run.requester.key == actor.key
                and run.plan.procedure == procedure
                and run.opened_at >= since
            ):
                return f"It was taken: `{run.id}` is {run.state}; its message shows how it goes."
        for request in (
            *await self._sight.waiting(cluster, actor),
            *await self._sight.later(cluster, actor),
        ):
            if (
                request.requester.key == actor.key
                and request.plan.procedure == procedure
                and request.made_at >= since
            ):
                then = (
                    f"it is done on {request.moment}"
                    if request.scheduled
                    else "the request waits for approval"
                )
                return f"It was taken: {then}."
        return NOT_TAKEN

    async def recorded(self, cluster: str, command: str, actor: Actor, since: float) -> str:
        """Of anything else that is decided: the audit holds it in the same act."""
        whats = RECORDED.get(command, ())
        for entry in await self._sight.own_decisions(cluster, actor, AUDITED):
            if entry.what in whats and entry.at >= since - 0.001:
                return f"It was taken: “{entry.what}” stands in the audit of {cluster}."
        return NOT_TAKEN

    async def decided(self, request_id: str, actor: Actor) -> str:
        """Of a press on a request."""
        request = await self._sight.request(request_id, actor)
        mine = request.closed_by is not None and request.closed_by.key == actor.key
        if request.state is RequestState.APPROVED:
            return (
                f"It was {'taken: approved' if mine else 'approved by others'}, as `{request.run}`."
            )
        if request.scheduled and any(a.key == actor.key for a in request.approvals):
            return f"It was taken: it is approved, and is done on {request.moment}."
        if request.state is not RequestState.OPEN:
            return f"{'It was taken' if mine else 'Others were first'}: the request is {request.state}."
        if any(a.key == actor.key for a in request.approvals):
            return "It was taken: your approval counts, and others are needed."
        return NOT_TAKEN

    async def pressed(self, run_id: str, actor: Actor, since: float) -> str:
        """Of a press on a run: an answer, a resume, a cancel or an abandon."""
        run = await self._sight.run(run_id, actor)
        for event in reversed(await self._sight.events(run_id, actor)):
            by = getattr(event, "by", None)
            if event.at >= since and isinstance(by, Actor) and by.key == actor.key:
                return f"It was taken: {run.id} is {run.state} now; its message shows how it goes."
        return NOT_TAKEN


async def became(look: Look | None) -> str:
    """What a look finds now; that it was not taken, where there is nothing to look for or to see."""
    try:
        return await look() if look is not None else NOT_TAKEN
    except Refused:
        return NOT_TAKEN
