"""The desk from a terminal: words in, lines of plain text out. The same values, refusals and cards as in Slack."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from handlers import views
from handlers.commands import CommandContext, InstantCommand, WhichCluster
from handlers.commands.dispatcher import say
from handlers.commands.parser import SPOKEN, Words, parse, with_reason
from handlers.terminal.follow import Following, Line, TerminalContext, request_card
from handlers.terminal.plaintext import SHORT, Reader, text_of, words_of
from services.access.policy import NOWHERE, Actor
from services.common.clock import Clock
from services.common.command import Command
from services.common.errors import BotError, Refused, Unreachable
from services.operations.results import Changed, Outcome, Planned, Started, Waiting
from services.operations.service import OperationsService
from services.procedures import Procedure
from services.runs.executor import Progress
from services.runs.request import Request
from services.runs.run import State
from services.schedule.scheduler import WindowScheduler
from services.schedule.visible import VisibleState
from services.windows.times import parse_at

NOBODY = "system:"  # begins the id of a user of the machine who is nobody in Slack
READING = ("status", "runs", "plan", "watch", "show")


@dataclass(frozen=True)
class Order:
    """What was typed: `openvidu-bot VERB WORDS`. `follow`: stay until what it started is over.

    `shown`: what the person was shown and has agreed to, as the line that showed it names it.
    """

    verb: str
    words: str = ""
    follow: bool = True
    shown: str = ""


class Terminal:
    """Hears one order at a time. `drives`: this process looks after open runs while it follows one, as any bot would."""

    def __init__(
        self,
        operations: OperationsService,
        sweep: Callable[[], Awaitable[None]],
        hours: WindowScheduler,
        clock: Clock,
        circle: TerminalContext,
        *,
        drives: bool,
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._sweep = sweep
        self._hours = hours
        self._sight = VisibleState(operations, hours)
        self._clock = clock
        self._circle = circle
        self._drives = drives

    async def hear(self, order: Order, actor: Actor, width: int = 100) -> AsyncGenerator[Line]:
        """Do it and tell of it. Errors are sentences here too."""
        try:
            self._must_be_somebody(order, actor)
            async for line in self._answer(order, actor, width):
                yield line
        except (BotError, TimeoutError) as error:
            yield Line(words_of(say(error), self._reader("", width)), code=1)

    def _must_be_somebody(self, order: Order, actor: Actor) -> None:
        if actor.user.startswith(NOBODY) and order.verb not in READING and order.verb != "say":
            name = actor.user.removeprefix(NOBODY)
            raise Refused(
                f"the settings do not say who {name} is in Slack (`terminal.users`), so {name} may only read here: "
                "status, runs, plan and watch; whoever keeps the bot's settings can add it"
            )

    def _reader(self, cluster: str, width: int) -> Reader:
        return self._circle.reader(cluster, width)

    def _following(self, actor: Actor, width: int) -> Following:
        # Whoever may only read drives nothing either.
        drives = self._drives and not actor.user.startswith(NOBODY)
        return Following(
            self._operations,
            self._sweep,
            self._sight,
            actor,
            self._clock,
            self._circle,
            width,
            drives=drives,
        )

    async def _answer(self, order: Order, actor: Actor, width: int) -> AsyncIterator[Line]:
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
                lines = self._talk(order, actor, width)
        async for line in lines:
            yield line

    # Asking

    async def _talk(self, order: Order, actor: Actor, width: int) -> AsyncIterator[Line]:
        words = parse(order.words if order.verb == "say" else f"{order.verb} {order.words}".strip())
        if not isinstance(words.said, InstantCommand):
            raise Refused(
                f"`{words.said.command}` changes a cluster: say `openvidu-bot run {words.said.words()}`"
            )
        began = self._clock.now()
        meant = partial(self._cluster, words, actor)
        asked = CommandContext(
            self._operations,
            self._hours,
            actor,
            "",
            self._clock,
            meant,
            self._circle.office.zone,
            spoken=SPOKEN,
            read=_said,
        )
        later = self._later(words, self._cluster(words, actor)) if words.at else None
        card = await words.said.answer(
            replace(asked, reason=words.reason, dry=words.dry, later=later)
        )
        reader = self._reader(self._known(words, actor), width)
        if card is not None:
            yield Line(text_of(card, reader))
        if words.said.plans and not words.dry:
            for request in await self._waiting(self._cluster(words, actor), actor):
                if request.requester.key == actor.key and request.made_at >= began:
                    async for line in self._made(
                        Waiting(request), request.plan.cluster, actor, width, follow=order.follow
                    ):
                        yield line
                    return
        if order.verb == "status":
            for request in await self._waiting(self._cluster(words, actor), actor):
                yield Line(
                    f"  {words_of(views.heading(request), reader)}: openvidu-bot approve {request.id[:SHORT]}"
                )
        resumed = (
            order.verb == "resume"
            and (await self._operations.run(order.words.split()[0], actor)).state
            is not State.STOPPED
        )
        if resumed and order.follow:
            async for line in self._following(actor, width).run(order.words.split()[0]):
                yield line
            return
        yield Line("", code=1 if order.verb == "resume" and not resumed else 0)

    def _cluster(self, words: Words, actor: Actor) -> str:
        sites = self._clusters
        if words.cluster is None and len(sites) != 1:
            names = sites.readable(actor)
            if not names:
                raise Refused(NOWHERE)
            raise WhichCluster(f"which cluster? add `--cluster` and one of {', '.join(names)}")
        return sites.named(words.cluster or next(iter(sites)), actor)

    def _known(self, words: Words, actor: Actor) -> str:
        with contextlib.suppress(Refused):
            return self._cluster(words, actor)
        return ""

    async def _waiting(self, cluster: str, actor: Actor) -> list[Request]:
        try:
            return await self._sight.waiting(cluster, actor)
        except Unreachable:
            return []  # reading works without the state store

    # Changing

    async def _change(self, order: Order, actor: Actor, width: int) -> AsyncIterator[Line]:
        words = parse(order.words)
        if not isinstance(words.said, Procedure):
            # Its other words are not repeated: a value may be among them.
            raise Refused(
                f"`{words.said.command}` is no procedure: say `openvidu-bot say {words.said.command}`"
            )
        cluster = self._cluster(words, actor)
        made = await self._ask(words, cluster, actor, dry=words.dry or order.verb == "plan")
        async for line in self._made(made, cluster, actor, width, follow=order.follow):
            yield line

    async def _ask(self, words: Words, cluster: str, actor: Actor, *, dry: bool) -> Outcome:
        assert isinstance(words.said, Procedure), "only procedures are asked for"
        later = self._later(words, cluster)
        return await self._operations.request(
            actor, cluster, words.said, reason=words.reason, dry=dry, later=later
        )

    def _later(self, words: Words, cluster: str) -> tuple[float, str] | None:
        zone = self._circle.office.zone(cluster)
        return (parse_at(words.at, self._clock.now(), zone), zone) if words.at else None

    async def _approve(self, order: Order, actor: Actor, width: int) -> AsyncIterator[Line]:
        said, reason = with_reason(order.words)
        request = await self._one(said, actor)
        if order.shown != _shown(request):
            async for line in self._put_before(request, width, again=bool(order.shown)):
                yield line
            return
        made = await self._operations.approve(request.id, actor, reason)
        async for line in self._made(made, request.plan.cluster, actor, width, follow=order.follow):
            yield line

    async def _made(
        self, made: Outcome, cluster: str, actor: Actor, width: int, *, follow: bool
    ) -> AsyncIterator[Line]:
        """What came of a wish, and then what comes of that."""
        reader = self._reader(cluster, width)
        match made:
            case Planned(plan=plan, dry=dry):
                yield Line(text_of(views.plan_card(plan, dry=dry), reader), code=0)
                return
            case Started(run=run):
                lines = self._following(actor, width).run(run.id)
                said = f"{run.id} is started."
                later = f"{said} It goes on while a bot runs, or while somebody watches: openvidu-bot watch {run.id}"
            case Waiting(request=request):
                yield Line(text_of(request_card(self._operations, request), reader))
                lines, said = self._following(actor, width).request(request), ""
                later = "It waits; this changes nothing until somebody else approves."
            case Changed(new=request, why=why):
                yield Line(words_of(views.changed_words(request, why), reader))
                yield Line(text_of(request_card(self._operations, request), reader), code=1)
                return
        if not follow:
            yield Line(later, code=0)
            return
        if said:
            yield Line(said)
        async for line in lines:
            yield line

    async def _put_before(
        self, request: Request, width: int, *, again: bool
    ) -> AsyncIterator[Line]:
        """Shown is not approved: the plan, for a person to agree to exactly that."""
        reader = self._reader(request.plan.cluster, width)
        if again:
            yield Line(
                "What you agreed to is not what waits now, so nothing was approved. This is:"
            )
        yield Line(text_of(request_card(self._operations, request), reader))
        said = f"Not approved yet: openvidu-bot approve {request.id[:SHORT]} shows it and asks you"
        yield Line(said, code=1, shown=_shown(request))

    async def _reject(self, said: str, actor: Actor, width: int) -> AsyncIterator[Line]:
        said, reason = with_reason(said)
        request = await self._operations.reject((await self._one(said, actor)).id, actor, reason)
        yield Line(
            text_of(
                request_card(self._operations, request), self._reader(request.plan.cluster, width)
            ),
            code=0,
        )

    async def _show(self, said: str, actor: Actor, width: int) -> AsyncIterator[Line]:
        request = await self._one(with_reason(said)[0], actor)
        card = text_of(
            request_card(self._operations, request), self._reader(request.plan.cluster, width)
        )
        yield Line(card, code=0, shown=_shown(request))

    async def _choose(self, order: Order, actor: Actor, width: int) -> AsyncIterator[Line]:
        name, choice = [*order.words.split(), "", ""][:2]
        run = await self._operations.run(name, actor)
        if run.question is None:
            raise Refused(
                f"{run.id} asks nothing now; `/openvidu runs {run.id}` tells how it stands"
            )
        choices = {c.id: c for c in run.question.choices}
        if choice not in choices:
            raise Refused(f"which answer? one of: {', '.join(choices)}")
        loses = choices[choice].loses
        if loses and order.shown != run.question.id:
            reader = self._reader(run.cluster, width)
            yield Line(
                text_of(
                    views.run_card(Progress(run, None, "", None, "", self._clock.now())), reader
                )
            )
            yield Line(
                words_of(f"{choices[choice].label}: {loses}", reader), code=1, shown=run.question.id
            )
            return
        made = await self._operations.answer(run.id, run.question.id, choice, actor)
        if isinstance(made, Waiting):
            async for line in self._made(made, run.cluster, actor, width, follow=order.follow):
                yield line
            return
        if not order.follow:
            yield Line(f"{run.id} has your answer.", code=0)
            return
        async for line in self._following(actor, width).run(run.id):
            yield line

    async def _one(self, said: str, actor: Actor) -> Request:
        """The waiting request, of those that this one may see, whose id begins so; the only one there is when nothing was said."""
        waiting = await self._sight.all_waiting(actor)
        found = [r for r in waiting if r.id.startswith(said.strip().lower())]
        if len(found) == 1:
            return found[0]
        there = "; ".join(
            f"{r.id[:SHORT]} {views.plain(views.heading(r))}, asked by {r.requester.mention}"
            for r in waiting
        )
        if not there:
            raise Refused("no request waits for approval")
        raise Refused(
            f"which request? there are: {there}"
            if found or not said.strip()
            else f"no such request waits; there are: {there}"
        )

    async def _watch(self, said: str, actor: Actor, width: int) -> AsyncIterator[Line]:
        words = parse(f"runs {said}".strip())
        name = getattr(words.said, "run", None)
        if name is None:
            cluster = self._cluster(words, actor)
            run = await self._sight.open_run(cluster, actor)
            if run is None:
                raise Refused(f"nothing is under way on {cluster}; `/openvidu runs` lists what was")
            name = run.id
        await self._operations.run(name, actor)  # Refused when this one may not see it
        async for line in self._following(actor, width).run(name):
            yield line


def _shown(request: Request) -> str:
    """What a person who saw this request's plan has seen."""
    return f"{request.id}:{request.plan.digest}"


def _said(text: str) -> Command:
    return parse(text).said
