"""Follows a request or a run in a terminal, until it is over."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from handlers import views
from handlers.commands.errors import error_text
from handlers.commands.targets import HandlerContext
from handlers.interactions.button_actions import describe_approvers
from handlers.slack.blocks import Card
from handlers.slack.markup import time_of_day
from handlers.terminal.plaintext import TerminalReader, render_card, render_text
from handlers.views.run_details import describe_event
from handlers.views.text import current_step
from services.access.policy import Actor
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.operations.assembly import SWEEP_INTERVAL
from services.operations.service import OperationsService
from services.runs.progress import Progress
from services.runs.request import Request, RequestState
from services.runs.run import Asked, Event, Run, State, Taken
from services.schedule.visible import VisibleClusters

LOOK = 2.0  # seconds between two looks


@dataclass(frozen=True)
class OutputLine:
    """A line of output.

    A `live` line replaces the live line before it; the last line has the exit `code`. `shown`:
    identifies what the person was shown and has to confirm; the confirming order repeats it.
    `file`: the text is a file of that name, to be printed or stored as it is.
    """

    text: str
    live: bool = False
    code: int | None = None
    shown: str = ""
    file: str = ""


@dataclass(frozen=True)
class TerminalContext:
    """Settings of a terminal: those of the handlers, and names by Slack member id."""

    handlers: HandlerContext
    names: Mapping[str, str] = field(default_factory=dict)

    def reader(self, cluster: str, width: int) -> TerminalReader:
        """Return how text about a cluster is rendered."""
        return TerminalReader(width, self.handlers.zone(cluster), self.names)


def request_card(operations: OperationsService, request: Request) -> Card:
    """Return a request's card with its details, and who may approve it."""
    who = describe_approvers(operations.clusters, request.plan.cluster, request.requester)
    return views.whole_request_card(request, who)


class RunFollower:
    """Follows for one reader; stopping is harmless.

    `drives`: this process drives open runs meanwhile, as any bot would.
    """

    def __init__(
        self,
        operations: OperationsService,
        sweep: Callable[[], Awaitable[None]],
        visible: VisibleClusters,
        actor: Actor,
        clock: Clock,
        context: TerminalContext,
        width: int,
        *,
        drives: bool,
    ) -> None:
        self._operations = operations
        self._sweep = sweep
        self._visible = visible
        self._actor = actor
        self._clock = clock
        self._context = context
        self._width = width
        self._drives = drives
        self._swept = float("-inf")

    async def request(self, request: Request) -> AsyncIterator[OutputLine]:
        """Yield lines until a request is decided, and then those of its run."""
        reader = self._context.reader(request.plan.cluster, self._width)
        while request.state is RequestState.OPEN and not request.scheduled:
            yield OutputLine(
                render_text(f"waiting for approval until {time_of_day(request.until)}", reader),
                live=True,
            )
            await self.look_after()
            try:
                request = await self._visible.request(request.id, self._actor)
            except Unreachable as error:
                yield self.unreachable(error)
        if request.scheduled:
            yield OutputLine(render_card(request_card(self._operations, request), reader), code=0)
        elif request.state is RequestState.APPROVED:
            async for line in self.run(request.run):
                yield line
        else:
            yield OutputLine(render_card(request_card(self._operations, request), reader), code=1)

    async def run(self, name: str) -> AsyncIterator[OutputLine]:
        """Yield lines until a run is over or has stopped."""
        shown, reader = 0, self._context.reader(name.rpartition("-")[0], self._width)
        await self.look_after(at_once=True)
        while True:
            try:
                run = await self._visible.run(name, self._actor)
                events = await self._visible.events(name, self._actor, shown)
            except Unreachable as error:
                yield self.unreachable(error)
                await self.look_after()
                continue
            shown += len(events)
            for event in filter(_is_news, events):
                line = f"{time_of_day(event.at)} {describe_event(event, run)}"
                yield OutputLine(render_text(line, reader))
            progress = self._operations.progress(name, self._actor)
            if progress is None:
                progress = Progress(run, None, "", None, "", self._clock.now())
            progress = replace(progress, run=run)
            if run.over or run.state is State.STOPPED:
                yield OutputLine("")
                yield OutputLine(
                    render_card(views.run_card(progress), reader), code=_exit_code(run)
                )
                return
            yield OutputLine(_now(progress, reader), live=True)
            await self.look_after()

    async def look_after(self, *, at_once: bool = False) -> None:
        """Wait a moment; do a bot's periodic work when this process drives."""
        if not at_once:
            await self._clock.sleep(LOOK)
        if self._drives and self._clock.now() - self._swept >= SWEEP_INTERVAL:
            await self._sweep()
            self._swept = self._clock.now()

    def unreachable(self, error: Unreachable) -> OutputLine:
        """Return the live line that says what does not answer."""
        return OutputLine(
            render_text(error_text(error, self._operations.clusters), TerminalReader(self._width)),
            live=True,
        )


def _is_news(event: Event) -> bool:
    return not isinstance(event, Taken) and not (isinstance(event, Asked) and event.again)


def _exit_code(run: Run) -> int:
    if run.state is State.DONE:
        return 0
    return 1


def _now(progress: Progress, reader: TerminalReader) -> str:
    """Return the live line: what is waited for, or what is asked."""
    run = progress.run
    if run.question is not None:
        return render_card(Card("", views.run_card(progress).blocks[:-2]), reader)
    line = f"▸ {current_step(run)}"
    if progress.waits_for:
        line += f" — {progress.waits_for}"
    if progress.trouble:
        line += f" · {progress.trouble}; trying again"
    return render_text(line, reader)
