"""Operations from a terminal: orders in, lines of plain text out.

The same values, refusals and cards as in Slack.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from handlers import views
from handlers.commands import CommandContext, InstantCommand, WhichCluster
from handlers.commands.errors import error_text
from handlers.commands.help import Help
from handlers.commands.parser import COMMANDS, ParsedCommand, parse, with_reason
from handlers.commands.run_control import only_open_run
from handlers.commands.runner import must_take_several
from handlers.commands.scale_by import ScaleBy
from handlers.commands.status import ShowStatus
from handlers.commands.targets import clusters_named
from handlers.slack.blocks import Card, TextFile
from handlers.terminal.batches import BatchTerminal
from handlers.terminal.follow import OutputLine, RunFollower, TerminalContext, request_card
from handlers.terminal.plaintext import SHORT, TerminalReader, render_card, render_text
from services.access.policy import NO_ROLE_ANYWHERE, Actor
from services.common.clock import Clock
from services.common.command import Command
from services.common.errors import BotError, Refused, Unreachable
from services.operations.results import (
    AwaitingStart,
    Outcome,
    Planned,
    Replanned,
    Started,
    WaitingForApproval,
)
from services.operations.service import OperationsService
from services.procedures import Procedure
from services.procedures.plan import Plan
from services.runs.batch import Batch, BatchState
from services.runs.progress import Progress
from services.runs.request import Request
from services.runs.run import State
from services.schedule.scheduler import WindowScheduler
from services.schedule.visible import VisibleClusters
from services.store.keys import BATCH
from services.windows.times import parse_at

SYSTEM_USER = "system:"  # begins the id of a user of the machine without a Slack member
NEW_PLAN = "This is the new plan:"
READING = ("status", "runs", "plan", "rehearse", "watch", "show")


@dataclass(frozen=True)
class TerminalCommand:
    """What was typed: `openvidu-bot VERB WORDS`. `follow`: stay until what it started is over.

    `shown`: what the person was shown and confirms, as the line that showed it names it.
    """

    verb: str
    words: str = ""
    follow: bool = True
    shown: str = ""


class TerminalSession:
    """Carries out one order at a time.

    `drives`: this process drives open runs while it follows one, as any bot would. More than 25
    methods: one for each verb, and its questions to the same person at the same terminal.
    """

    def __init__(
        self,
        operations: OperationsService,
        sweep: Callable[[], Awaitable[None]],
        scheduler: WindowScheduler,
        clock: Clock,
        context: TerminalContext,
        *,
        drives: bool,
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._sweep = sweep
        self._scheduler = scheduler
        self._visible = VisibleClusters(operations, scheduler)
        self._clock = clock
        self._context = context
        self._drives = drives

    async def run(
        self, order: TerminalCommand, actor: Actor, width: int = 100
    ) -> AsyncGenerator[OutputLine]:
        """Carry out an order; yield the output. Errors become sentences."""
        try:
            self._raise_if_nobody(order, actor)
            async for line in self._answer(order, actor, width):
                yield line
        except (BotError, TimeoutError) as error:
            yield OutputLine(
                render_text(error_text(error, self._clusters), self._reader("", width)), code=1
            )

    def _raise_if_nobody(self, order: TerminalCommand, actor: Actor) -> None:
        if actor.user.startswith(SYSTEM_USER) and order.verb not in (*READING, "say"):
            name = actor.user.removeprefix(SYSTEM_USER)
            raise Refused(
                f"{name} may only read here: status, runs, plan and watch. To change something, "
                f"add {name} to `terminal.users` in the bot's settings, with a Slack member id"
            )

    def _reader(self, cluster: str, width: int) -> TerminalReader:
        return self._context.reader(cluster, width)

    def _following(self, actor: Actor, width: int) -> RunFollower:
        # A process of someone who may only read drives nothing.
        drives = self._drives and not actor.user.startswith(SYSTEM_USER)
        return RunFollower(
            self._operations,
            self._sweep,
            self._visible,
            actor,
            self._clock,
            self._context,
            width,
            drives=drives,
        )

    async def _answer(
        self, order: TerminalCommand, actor: Actor, width: int
    ) -> AsyncIterator[OutputLine]:
        match order.verb:
            case "run" | "plan":
                lines = self._change(order, actor, width)
            case "approve":
                lines = self._approve(order, actor, width)
            case "watch":
                lines = self._watch(order.words, actor, width)
            case "reject":
                lines = self._reject(order.words, actor, width)
            case "answer":
                lines = self._choose(order, actor, width)
            case "show":
                lines = self._show(order.words, actor, width)
            case _:
                lines = self._instant(order, actor, width)
        async for line in lines:
            yield line

    # Commands that are answered at once

    async def _instant(
        self, order: TerminalCommand, actor: Actor, width: int
    ) -> AsyncIterator[OutputLine]:
        parsed = parse(_command_text(order))
        command = parsed.command
        if not isinstance(command, InstantCommand):
            raise Refused(
                f"`{command.command}` changes a cluster; "
                f"use `openvidu-bot run {command.command_line()}`"
            )
        if self._means_all(order, parsed):
            # Nothing decides between several clusters: all of them in a line each.
            parsed = replace(parsed, command=ShowStatus(all=True))
        lines = self._one(order, parsed, actor, width)
        if parsed.several or parsed.command == ShowStatus(all=True):
            lines = self._several(parsed, actor, width)
        async for line in lines:
            yield line

    async def _one(
        self, order: TerminalCommand, parsed: ParsedCommand, actor: Actor, width: int
    ) -> AsyncIterator[OutputLine]:
        """Answer a command about one cluster, and what follows from it."""
        command = parsed.command
        assert isinstance(command, InstantCommand), "checked by the caller"
        if command.meanwhile:
            yield OutputLine(command.meanwhile, live=True)
        began, resumed = self._clock.now(), ""
        if order.verb == "resume":
            resumed = await self._meant_run(command, parsed, actor)
        files: list[TextFile] = []
        card = await command.answer(self._command_context(parsed, actor, files))
        reader = self._reader(self._cluster_or_none(parsed, actor), width)
        for line in _answered(card, files, reader):
            yield line
        if command.plans and not parsed.dry:
            request = await self._requested_since(began, parsed, actor)
            if request is not None:
                cluster = request.plan.cluster
                waiting = self._outcome(
                    WaitingForApproval(request), cluster, actor, width, follow=order.follow
                )
                async for line in waiting:
                    yield line
                return
        if order.verb == "status":
            for request in await self._waiting(self._cluster(parsed, actor), actor):
                approve = f"openvidu-bot approve {request.id[:SHORT]}"
                yield OutputLine(f"  {render_text(views.heading(request), reader)}: {approve}")
        if order.verb != "resume":
            yield OutputLine("", code=0)
            return
        async for line in self._resumed(resumed, order, actor, width):
            yield line

    def _means_all(self, order: TerminalCommand, parsed: ParsedCommand) -> bool:
        unnamed = parsed.cluster is None and len(self._clusters) > 1
        return order.verb == "status" and unnamed and parsed.command == ShowStatus()

    async def _several(
        self, parsed: ParsedCommand, actor: Actor, width: int
    ) -> AsyncIterator[OutputLine]:
        """Answer a command about several clusters."""
        command = parsed.command
        assert isinstance(command, InstantCommand), "changes are requested with `run`"
        ctx = self._command_context(parsed, actor)
        if not parsed.several:
            one = await command.answer(ctx)
            assert one is not None, "a status is a card"
            yield OutputLine(render_card(one, self._reader("", width)), code=0)
            return
        must_take_several(command)
        names = clusters_named(self._clusters, parsed, actor)
        card = await command.answer_several(ctx, names)
        yield OutputLine(render_card(card, self._reader(names[0], width)), code=0)

    async def _meant_run(self, command: InstantCommand, parsed: ParsedCommand, actor: Actor) -> str:
        """Return the run that a command names; without a name, the open one."""
        if name := getattr(command, "run", None):
            return str(name)
        return (await only_open_run(self._command_context(parsed, actor), command.command)).id

    def _command_context(
        self, parsed: ParsedCommand, actor: Actor, files: list[TextFile] | None = None
    ) -> CommandContext:
        """Return what answering needs. `files`: takes the files of the answer."""

        async def send_file(_card: Card, file: TextFile) -> str:
            if files is not None:
                files.append(file)
            return ""

        later = None
        if parsed.at and not parsed.several:
            later = self._later(parsed, self._cluster(parsed, actor))
        return CommandContext(
            self._operations,
            self._scheduler,
            actor,
            "",
            self._clock,
            partial(self._cluster, parsed, actor),
            self._context.handlers.zone,
            commands=COMMANDS,
            parse=_parse,
            reason=parsed.reason,
            dry_run=parsed.dry,
            later=later,
            send_file=send_file,
            version=self._context.handlers.version,
        )

    async def _requested_since(
        self, since: float, parsed: ParsedCommand, actor: Actor
    ) -> Request | None:
        """Return the actor's waiting request that was made since then, if there is one."""
        for request in await self._waiting(self._cluster(parsed, actor), actor):
            if request.requester.key == actor.key and request.made_at >= since:
                return request
        return None

    async def _resumed(
        self, name: str, order: TerminalCommand, actor: Actor, width: int
    ) -> AsyncIterator[OutputLine]:
        run = await self._operations.run(name, actor)
        if run.state is State.STOPPED:
            yield OutputLine("", code=1)
            return
        if not order.follow:
            yield OutputLine("", code=0)
            return
        async for line in self._following(actor, width).run(name):
            yield line

    def _cluster(self, parsed: ParsedCommand, actor: Actor) -> str:
        clusters = self._clusters
        if parsed.cluster is None and len(clusters) != 1:
            names = clusters.readable(actor)
            if not names:
                raise Refused(NO_ROLE_ANYWHERE)
            raise WhichCluster(f"which cluster? add `--cluster` and one of {', '.join(names)}")
        return clusters.resolve_name(parsed.cluster or next(iter(clusters)), actor)

    def _cluster_or_none(self, parsed: ParsedCommand, actor: Actor) -> str:
        with contextlib.suppress(Refused):
            return self._cluster(parsed, actor)
        return ""

    async def _waiting(self, cluster: str, actor: Actor) -> list[Request]:
        try:
            return await self._visible.waiting(cluster, actor)
        except Unreachable:
            # Reading works without the state store.
            return []

    # Changes

    async def _change(
        self, order: TerminalCommand, actor: Actor, width: int
    ) -> AsyncIterator[OutputLine]:
        parsed = parse(order.words)
        procedure = parsed.command
        if isinstance(procedure, Help | ScaleBy):
            # `run shutdown --help` and `plan scale +1`: they change nothing.
            card = await procedure.answer(self._command_context(parsed, actor))
            reader = self._reader(self._cluster_or_none(parsed, actor), width)
            yield OutputLine(render_card(card, reader), code=0)
            return
        if not isinstance(procedure, Procedure):
            # Its other words are not repeated: a value may be among them.
            name = procedure.command
            raise Refused(f"`{name}` is not a change; use `openvidu-bot say {name}`")
        if parsed.several:
            async for line in self._batches(actor, width).request(
                parsed, dry=parsed.dry or order.verb == "plan", follow=order.follow
            ):
                yield line
            return
        cluster = self._cluster(parsed, actor)
        outcome = await self._operations.request(
            actor,
            cluster,
            procedure,
            reason=parsed.reason,
            dry=parsed.dry or order.verb == "plan",
            later=self._later(parsed, cluster),
            confirmed=parsed.confirmed or order.shown,
            files=False,
        )
        if isinstance(outcome, AwaitingStart):
            again = bool(order.shown)
            for line in self._ask_to_start(outcome.plan, order.words, width, again=again):
                yield line
            return
        async for line in self._outcome(outcome, cluster, actor, width, follow=order.follow):
            yield line

    def _ask_to_start(
        self, plan: Plan, words: str, width: int, *, again: bool
    ) -> Iterator[OutputLine]:
        """Show a plan that needs no approval, for the person to confirm exactly that."""
        reader = self._reader(plan.cluster, width)
        if again:
            yield OutputLine(f"The plan changed, and nothing was started. {NEW_PLAN}")
        yield OutputLine(render_card(views.plan_card(plan, dry=False), reader))
        start = f"openvidu-bot run {words} --now"
        yield OutputLine(f"Not started yet: {start}", code=1, shown=plan.digest)

    def _later(self, parsed: ParsedCommand, cluster: str) -> tuple[float, str] | None:
        if not parsed.at:
            return None
        zone = self._context.handlers.zone(cluster)
        return parse_at(parsed.at, self._clock.now(), zone), zone

    async def _approve(
        self, order: TerminalCommand, actor: Actor, width: int
    ) -> AsyncIterator[OutputLine]:
        prefix, reason = with_reason(order.words)
        if batch := await self._found_batch(prefix, actor):
            async for line in self._batches(actor, width).approve(
                batch, order.shown, reason, follow=order.follow
            ):
                yield line
            return
        request = await self._find_request(prefix, actor)
        if order.shown != _shown(request):
            async for line in self._ask_to_confirm(request, width, again=bool(order.shown)):
                yield line
            return
        outcome = await self._operations.approve(request.id, actor, reason)
        cluster = request.plan.cluster
        async for line in self._outcome(outcome, cluster, actor, width, follow=order.follow):
            yield line

    async def _outcome(
        self, outcome: Outcome, cluster: str, actor: Actor, width: int, *, follow: bool
    ) -> AsyncIterator[OutputLine]:
        """Yield the outcome of a change, and then what follows from it."""
        reader = self._reader(cluster, width)
        following = self._following(actor, width)
        match outcome:
            case Planned(plan=plan, dry=dry, observes=observes):
                card = views.plan_card(plan, dry=dry, observes=observes)
                yield OutputLine(render_card(card, reader), code=0)
            case Started(run=run) if follow:
                yield OutputLine(f"{run.id} has started.")
                async for line in following.run(run.id):
                    yield line
            case Started(run=run):
                watch = f"openvidu-bot watch {run.id}"
                goes_on = f"It continues while a bot is running, or during: {watch}"
                yield OutputLine(f"{run.id} has started. {goes_on}", code=0)
            case WaitingForApproval(request=request):
                yield OutputLine(render_card(request_card(self._operations, request), reader))
                if request.startable:
                    approve = f"openvidu-bot approve {request.id[:SHORT]}"
                    yield OutputLine(
                        f"Not started yet: {approve} shows the plan and starts it", code=1
                    )
                    return
                if not follow:
                    waits = "Nothing is changed until someone else approves it."
                    yield OutputLine(waits, code=0)
                    return
                async for line in following.request(request):
                    yield line
            case Replanned(new=request, why=why):
                yield OutputLine(render_text(views.plan_changed_text(request, why), reader))
                yield OutputLine(
                    render_card(request_card(self._operations, request), reader), code=1
                )

    async def _ask_to_confirm(
        self, request: Request, width: int, *, again: bool
    ) -> AsyncIterator[OutputLine]:
        """Show the plan, for the person to confirm exactly that. Nothing is approved yet."""
        reader = self._reader(request.plan.cluster, width)
        if again:
            yield OutputLine(
                "The request has changed since you saw it. Nothing was approved. It is now:"
            )
        yield OutputLine(render_card(request_card(self._operations, request), reader))
        approve = f"openvidu-bot approve {request.id[:SHORT]}"
        yield OutputLine(
            f"Not approved yet. To approve it, run: {approve}", code=1, shown=_shown(request)
        )

    async def _reject(self, words: str, actor: Actor, width: int) -> AsyncIterator[OutputLine]:
        prefix, reason = with_reason(words)
        if batch := await self._found_batch(prefix, actor):
            async for line in self._batches(actor, width).reject(batch, reason):
                yield line
            return
        found = await self._find_request(prefix, actor)
        request = await self._operations.reject(found.id, actor, reason)
        yield OutputLine(self._request_text(request, width), code=0)

    async def _show(self, words: str, actor: Actor, width: int) -> AsyncIterator[OutputLine]:
        prefix = with_reason(words)[0]
        if batch := await self._found_batch(prefix, actor):
            async for line in self._batches(actor, width).show(batch):
                yield line
            return
        request = await self._find_request(prefix, actor)
        yield OutputLine(self._request_text(request, width), code=0, shown=_shown(request))

    def _request_text(self, request: Request, width: int) -> str:
        reader = self._reader(request.plan.cluster, width)
        return render_card(request_card(self._operations, request), reader)

    async def _choose(
        self, order: TerminalCommand, actor: Actor, width: int
    ) -> AsyncIterator[OutputLine]:
        """Answer a run's question; an answer that loses something has to be confirmed."""
        name, answer = [*order.words.split(), "", ""][:2]
        run = await self._operations.run(name, actor)
        if run.question is None:
            raise Refused(
                f"{run.id} has no open question; `/openvidu runs {run.id}` shows its state"
            )
        choices = {c.id: c for c in run.question.choices}
        if answer not in choices:
            raise Refused(f"which answer? one of: {', '.join(choices)}")
        choice = choices[answer]
        if choice.loses and order.shown != run.question.id:
            reader = self._reader(run.cluster, width)
            progress = Progress(run, None, "", None, "", self._clock.now())
            yield OutputLine(render_card(views.run_card(progress), reader))
            loses = render_text(f"{choice.label}: {choice.loses}", reader)
            yield OutputLine(loses, code=1, shown=run.question.id)
            return
        outcome = await self._operations.answer(run.id, run.question.id, answer, actor)
        if isinstance(outcome, WaitingForApproval):
            cluster = run.cluster
            async for line in self._outcome(outcome, cluster, actor, width, follow=order.follow):
                yield line
            return
        if not order.follow:
            yield OutputLine(f"{run.id} has taken your answer.", code=0)
            return
        async for line in self._following(actor, width).run(run.id):
            yield line

    def _batches(self, actor: Actor, width: int) -> BatchTerminal:
        return BatchTerminal(
            self._operations,
            self._following(actor, width),
            actor,
            self._clock,
            self._context,
            width,
        )

    async def _found_batch(self, prefix: str, actor: Actor) -> Batch | None:
        """Return the batch that is meant: by its id, or the only thing that waits."""
        start = prefix.strip().lower()
        if not start and await self._visible.all_waiting(actor):
            return None
        waiting = [b for b in await self._visible.batches(actor) if b.state is BatchState.OPEN]
        matches = [b for b in waiting if b.id.startswith(start)] if waiting else []
        if len(matches) == 1:
            return matches[0]
        if len(matches) > 1 or start.startswith(BATCH):
            there = ", ".join(b.id for b in waiting) or "none"
            raise Refused(f"no single change of several clusters has that id; waiting: {there}")
        return None

    async def _find_request(self, prefix: str, actor: Actor) -> Request:
        """Return the waiting request whose id begins so; the only one when `prefix` is empty.

        Among those that the actor may see. Refused when none or several match.
        """
        prefix = prefix.strip().lower()
        waiting = await self._visible.all_waiting(actor)
        matches = [r for r in waiting if r.id.startswith(prefix)]
        if len(matches) == 1:
            return matches[0]
        if not waiting:
            raise Refused("no request is waiting for approval")
        there = f"there are: {'; '.join(map(_listed_request, waiting))}"
        if matches or not prefix:
            raise Refused(f"which request? {there}")
        raise Refused(f"no such request is waiting; {there}")

    async def _watch(self, words: str, actor: Actor, width: int) -> AsyncIterator[OutputLine]:
        if words.strip().startswith(BATCH):
            batch = await self._visible.batch(words.strip(), actor)
            async for line in self._batches(actor, width).follow(batch.id):
                yield line
            return
        parsed = parse(f"runs {words}".strip())
        name = getattr(parsed.command, "run", None)
        if name is None:
            cluster = self._cluster(parsed, actor)
            run = await self._visible.open_run(cluster, actor)
            if run is None:
                raise Refused(f"{cluster} has no open run; `/openvidu runs` lists earlier ones")
            name = run.id
        # Refused when the actor may not see it.
        await self._operations.run(name, actor)
        async for line in self._following(actor, width).run(name):
            yield line


def _answered(
    card: Card | None, files: list[TextFile], reader: TerminalReader
) -> Iterator[OutputLine]:
    if card is not None:
        yield OutputLine(render_card(card, reader))
    for file in files:
        yield OutputLine(file.content.rstrip("\n"), file=file.name)


def _command_text(order: TerminalCommand) -> str:
    if order.verb == "say":
        return order.words
    return f"{order.verb} {order.words}".strip()


def _listed_request(request: Request) -> str:
    subject = views.without_formatting(views.heading(request))
    return f"{request.id[:SHORT]} {subject}, requested by {request.requester.mention}"


def _shown(request: Request) -> str:
    """Identify what a person saw who was shown this request's plan."""
    return f"{request.id}:{request.plan.digest}"


def _parse(text: str) -> Command:
    return parse(text).command
