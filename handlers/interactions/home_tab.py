"""The Home tab: drawn when someone opens it, and again when what it shows changes."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from handlers.commands.parser import COMMANDS
from handlers.interactions.overview import ClusterOverviews
from handlers.slack.api import MessageGone
from handlers.slack.blocks import Block
from handlers.slack.client import SlackClient
from handlers.views.batch import BatchFacts, decide_buttons
from handlers.views.home_tab import ClusterOverview, UserActions, content_of, home_view
from handlers.views.offers import allowed_offers, offers
from services.access.policy import AccessResult, Actor, may_operate, may_wake
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BotError
from services.common.tasks import Tasks
from services.memory.home_viewers import HomeViewers, Viewer
from services.operations.service import OperationsService
from services.operations.subscribers import Subscribers
from services.runs.batch import Batch
from services.runs.progress import Progress
from services.runs.request import Request

log = logging.getLogger(__name__)
DRAWING = "drawing App Home"
FOLLOWED = 3600.0  # seconds for which an opened tab is kept up to date
# Seconds of wall time in which changes are gathered before they are drawn.
GATHER = 3.0
# Seconds of wall time between two that are drawn: 40 a minute, of the 100 that Slack takes.
BETWEEN = 1.5
ANYWAY = 300.0  # seconds after which it is drawn again, although nothing is known to have changed


@dataclass
class _Shown:
    """One person's Home tab: what was drawn last, and when (epoch seconds)."""

    viewer: Viewer
    drawn: str = ""
    at: float = 0.0


class HomeTab:
    """Draws Home tabs. One worker draws all, so that a slow Slack delays nothing else."""

    def __init__(
        self,
        operations: OperationsService,
        viewers: HomeViewers,
        bulkheads: Bulkheads,
        subscribers: Subscribers,
        overviews: ClusterOverviews,
        slack: SlackClient,
        clock: Clock,
        approvers: Callable[[Request], str],
        tasks: Tasks,
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._viewers = viewers
        self._bulkheads = bulkheads
        self._overviews = overviews
        self._slack = slack
        self._clock = clock
        self._approvers = approvers
        self._shown: dict[str, _Shown] = {}
        self._changed: set[str] = set()
        self._worker: asyncio.Task[None] | None = None
        self.tasks, self._drawing = tasks.part(), tasks.part()
        subscribers.runs.append(self._run_changed)
        subscribers.requests.append(self._request_changed)
        subscribers.batches.append(self._batch_changed)

    # Events

    def opened(self, body: Mapping[str, Any]) -> None:
        """Draw a tab that was opened, in a task of its own."""
        user = str(body["event"]["user"])
        sender = {
            "user_id": user,
            "team_id": body.get("team_id"),
            "enterprise_id": body.get("enterprise_id"),
        }
        self.tasks.start(self._opened(sender), f"home of {user}", actor=user)

    async def _opened(self, sender: Mapping[str, Any]) -> None:
        try:
            await self.refresh(await self._slack.actor(sender))
        except (BotError, MessageGone) as error:
            log.warning("home of %s: %s", sender["user_id"], error)

    async def refresh(self, actor: Actor) -> None:
        """Draw what is known at once, look at the clusters, and draw again."""
        now = self._clock.now()
        viewer = Viewer(actor.user, actor.team, actor.enterprise, now + FOLLOWED)
        shown = self._shown.setdefault(actor.user, _Shown(viewer))
        shown.viewer, shown.drawn = viewer, ""
        with suppress(BotError):
            # If this fails, the tab is drawn, but not kept up to date after a restart.
            await self._viewers.opened(viewer, now)
        names = self._readable(actor)
        if any(self._overviews.known(n).cluster is None for n in names):
            await self._overviews.read(names)
            await self._draw(shown, actor)
        max_age = 10.0
        if len(names) == 1:
            max_age = 0.0
        await self._overviews.look(names, max_age)
        await self._draw(shown, actor)

    def _run_changed(self, progress: Progress) -> None:
        self._change(progress.run.cluster)

    def _request_changed(self, request: Request) -> None:
        self._change(request.plan.cluster)

    def _batch_changed(self, batch: Batch) -> None:
        for cluster in batch.clusters[:1]:
            self._change(cluster)

    def _change(self, cluster: str) -> None:
        """Note a change and wake the worker; never waits."""
        self._changed.add(cluster)
        self._overviews.changed(cluster)
        if self._shown and (self._worker is None or self._worker.done()):
            self._worker = self._drawing.start(self._follow(), "app homes", self._failed)

    def _failed(self, error: BaseException) -> None:
        """Note the worker's failure; the next change starts another one."""
        self._bulkheads.record_failure(DRAWING, "", error)

    async def sweep(self) -> None:
        """Take over tabs from bots that died, notice changes by others, and redraw old tabs."""
        now = self._clock.now()
        for viewer in await self._viewers.viewers(now):
            self._shown.setdefault(viewer.user, _Shown(viewer))
        self._shown = {u: s for u, s in self._shown.items() if s.viewer.until > now}
        if not self._shown:
            return
        old = any(now - s.at >= ANYWAY for s in self._shown.values())
        for name in self._clusters:
            await self._bulkheads.run(
                "news for App Home", partial(self._notice, name, old=old), name
            )

    async def _notice(self, name: str, *, old: bool) -> None:
        if old or await self._overviews.differs(name):
            self._change(name)

    async def aclose(self) -> None:
        """Stop drawing."""
        await self.tasks.settle(0.5)
        await self._drawing.cancel()

    # Drawing

    async def _follow(self) -> None:
        """Draw until nothing has changed.

        By the loop's own time: Slack's limits do not speed up with a simulated clock.
        """
        while self._changed and self._shown:
            await asyncio.sleep(GATHER)
            names, self._changed = self._changed, set()
            try:
                self._changed |= await self._overviews.look(sorted(names))
            except BotError as error:
                log.warning("looking for app homes: %s", error)
            for shown in list(self._shown.values()):
                await self._draw_for(shown)
        self._bulkheads.record_success(DRAWING, "")

    async def _draw_for(self, shown: _Shown) -> None:
        viewer = shown.viewer
        try:
            who = {
                "user_id": viewer.user,
                "team_id": viewer.team,
                "enterprise_id": viewer.enterprise,
            }
            if await self._draw(shown, await self._slack.actor(who)):
                await asyncio.sleep(BETWEEN)
        except (BotError, MessageGone) as error:
            log.warning("home of %s: %s", viewer.user, error)
            await asyncio.sleep(BETWEEN)

    async def _draw(self, shown: _Shown, actor: Actor) -> bool:
        """Draw a tab, unless it shows the same already. Returns whether it was drawn."""
        names = self._readable(actor)
        overviews = [self._for(self._labelled(n), actor) for n in names]
        now = self._clock.now()
        hidden, observes = self._hidden(actor, names), self._clusters.observes
        batches = await self._batches(actor)
        view = home_view(overviews, now, hidden, actor.outsider, observes=observes, batches=batches)
        content = content_of(view)
        if content == shown.drawn and now - shown.at < ANYWAY:
            return False
        await self._slack.publish_home(actor.user, view)
        shown.drawn, shown.at = content, now
        return True

    async def _batches(self, actor: Actor) -> list[tuple[Batch, list[Block]]]:
        """Return the changes of several clusters, with the buttons that this person may press."""
        with suppress(BotError):
            batches = await self._operations.batches.unfinished(actor)
            return [(batch, await self._buttons(batch, actor)) for batch in batches]
        return []

    async def _buttons(self, batch: Batch, actor: Actor) -> list[Block]:
        batches = self._operations.batches
        if await batches.counts(batch, actor):
            planned = await batches.plans(batch, actor)
            return decide_buttons(batch, BatchFacts(planned.plans))
        return []

    def _readable(self, actor: Actor) -> list[str]:
        return list(self._clusters.readable(actor))

    def _hidden(self, actor: Actor, readable: Sequence[str]) -> int:
        """Return how many clusters the actor may not see; 0 for outsiders."""
        if actor.outsider:
            return 0
        return len(list(self._clusters)) - len(readable)

    def _labelled(self, name: str) -> ClusterOverview:
        return replace(self._overviews.known(name), labels=self._clusters[name].labels)

    def _for(self, overview: ClusterOverview, actor: Actor) -> tuple[ClusterOverview, UserActions]:
        """Add what this person may do with a cluster."""
        operations, run = self._operations, overview.run
        rules = self._clusters.rules(overview.name)
        operates = may_operate(actor, rules).kind is AccessResult.ALLOWED
        decides_run = operates
        if run is not None:
            decides_run = operations.may_decide(run, actor)
        offered = offers(
            overview.cluster, run, operates=operates, held=overview.held, windows=overview.windows
        )
        allowed = allowed_offers(
            offered,
            COMMANDS,
            lambda kind: (
                operations.permission(overview.name, actor, kind).kind is not AccessResult.DENIED
            ),
        )
        return overview, UserActions(
            decides=frozenset(
                r.id for r in overview.waiting if operations.approval_counts(r, actor)
            ),
            operates=decides_run,
            offers=tuple((o.label, f"{o.action}|{overview.name}") for o in allowed),
            approvers={r.id: self._approvers(r) for r in overview.waiting},
            wakes=may_wake(actor, rules).kind is not AccessResult.DENIED,
        )
