"""Follows a request or a run for somebody at a terminal: what happens, as it happens, until it is over."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from handlers import views
from handlers.commands.dispatcher import HandlerContext, say
from handlers.interactions.buttons import approvers
from handlers.slack.blocks import Card, clock
from handlers.terminal.plaintext import Reader, text_of, words_of
from handlers.views.run_details import TOLD
from services.access.policy import Actor
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.operations.assembly import SWEEP
from services.operations.service import OperationsService
from services.runs.executor import Progress
from services.runs.request import Request, RequestState
from services.runs.run import Asked, Event, Run, State, Taken
from services.schedule.visible import VisibleState

LOOK = 2.0


@dataclass(frozen=True)
class Line:
    """Something to show. A `live` one takes the place of the live one before it; the last line of all carries the exit code.

    `shown`: what was put before a person who has to agree to exactly that; said back with the order that does it.
    """

    text: str
    live: bool = False
    code: int | None = None
    shown: str = ""


@dataclass(frozen=True)
class TerminalContext:
    """What a terminal's words are understood in: the office of the bot, and what people are called."""

    office: HandlerContext
    names: Mapping[str, str] = field(default_factory=dict)  # Slack member id -> name

    def reader(self, cluster: str, width: int) -> Reader:
        """Whoever reads about that cluster."""
        return Reader(width, self.office.zone(cluster), self.names)


def request_card(operations: OperationsService, request: Request) -> Card:
    """A request, with who may approve it."""
    return views.request_card(
        request, approvers(operations.clusters, request.plan.cluster, request.requester)
    )


class Following:
    """For one reader. `drives`: this process looks after open runs meanwhile, as any bot would. Leaving is harmless."""

    def __init__(
        self,
        operations: OperationsService,
        sweep: Callable[[], Awaitable[None]],
        sight: VisibleState,
        actor: Actor,
        clock: Clock,
        circle: TerminalContext,
        width: int,
        *,
        drives: bool,
    ) -> None:
        self._operations = operations
        self._sweep = sweep
        self._sight = sight
        self._actor = actor
        self._clock = clock
        self._circle = circle
        self._width = width
        self._drives = drives
        self._swept = float("-inf")

    async def request(self, request: Request) -> AsyncIterator[Line]:
        """Until it is decided, and then what comes of it."""
        reader = self._circle.reader(request.plan.cluster, self._width)
        while request.state is RequestState.OPEN and not request.scheduled:
            yield Line(
                words_of(f"waits for approval until {clock(request.until)}", reader), live=True
            )
            await self._look_after()
            try:
                request = await self._sight.request(request.id, self._actor)
            except Unreachable as error:
                yield self._deaf(error)
        if request.scheduled:
            yield Line(text_of(request_card(self._operations, request), reader), code=0)
        elif request.state is RequestState.APPROVED:
            async for line in self.run(request.run):
                yield line
        else:
            yield Line(text_of(request_card(self._operations, request), reader), code=1)

    async def run(self, name: str) -> AsyncIterator[Line]:
        """Until the run is over or has stopped."""
        told, reader = 0, self._circle.reader(name.rpartition("-")[0], self._width)
        await self._look_after(at_once=True)
        while True:
            try:
                run, events = (
                    await self._sight.run(name, self._actor),
                    await self._sight.events(name, self._actor, told),
                )
            except Unreachable as error:
                yield self._deaf(error)
                await self._look_after()
                continue
            told += len(events)
            for event in filter(_is_news, events):
                yield Line(words_of(f"{clock(event.at)} {TOLD[type(event)](event, run)}", reader))
            progress = self._operations.progress(name, self._actor) or Progress(
                run, None, "", None, "", self._clock.now()
            )
            progress = replace(progress, run=run)
            if run.over or run.state is State.STOPPED:
                yield Line("")
                yield Line(
                    text_of(views.run_card(progress), reader),
                    code=0 if run.state is State.DONE else 1,
                )
                return
            yield Line(_now(progress, reader), live=True)
            await self._look_after()

    async def _look_after(self, *, at_once: bool = False) -> None:
        """A moment passes; when no bot may be running, what a bot does now and then is done here."""
        if not at_once:
            await self._clock.sleep(LOOK)
        if self._drives and self._clock.now() - self._swept >= SWEEP:
            await self._sweep()
            self._swept = self._clock.now()

    def _deaf(self, error: Unreachable) -> Line:
        return Line(words_of(say(error), Reader(self._width)), live=True)


def _is_news(event: Event) -> bool:
    return not isinstance(event, Taken) and not (isinstance(event, Asked) and event.again)


def _now(progress: Progress, reader: Reader) -> str:
    """The live part: what is being waited for, or what is asked."""
    run: Run = progress.run
    if run.question is not None:
        return text_of(Card("", views.run_card(progress).blocks[2:]), reader)
    waits = f" — {progress.waits_for}" if progress.waits_for else ""
    trouble = f" · {progress.trouble}; looking again" if progress.trouble else ""
    return words_of(f"▸ {run.step.title() if run.step else 'finishing'}{waits}{trouble}", reader)
