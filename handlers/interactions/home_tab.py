"""App Home: drawn when somebody opens it, and again when something that it shows changes; dated, and never faster than Slack takes it."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from handlers.commands.parser import SPOKEN
from handlers.interactions.overview import ClusterOverviews
from handlers.slack.client import MessageGone, SlackClient
from handlers.views.home_tab import ClusterOverview, UserActions, home_view
from handlers.views.offers import offers, open_to
from services.access.policy import Actor, Kind, may_operate, may_wake
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BotError
from services.common.tasks import Tasks
from services.memory.home_viewers import HomeViewers, Viewer
from services.operations.service import OperationsService
from services.operations.subscribers import Subscribers
from services.runs.executor import Progress
from services.runs.request import Request

log = logging.getLogger(__name__)
DRAWING = "drawing App Home"
KEPT_TRUE = 3600.0  # seconds after somebody opened it in which it follows what happens
GATHER = 3.0  # seconds of the wall's in which changes are gathered before they are drawn
BETWEEN = (
    1.5  # seconds of the wall's between two that are drawn: 40 a minute of the 100 that Slack takes
)
ANYWAY = 300.0  # seconds after which it is drawn again though nothing is known to have changed


@dataclass
class _Shown:
    """What one person's Home shows."""

    viewer: Viewer
    drawn: str = ""
    at: float = 0.0


class Home:
    """Draws it. One worker for everybody, so that a slow Slack holds up nothing."""

    def __init__(
        self,
        operations: OperationsService,
        viewers: HomeViewers,
        bulkheads: Bulkheads,
        subscribers: Subscribers,
        glances: ClusterOverviews,
        voice: SlackClient,
        clock: Clock,
        approvers: Callable[[Request], str],
        tasks: Tasks,
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._viewers = viewers
        self._bulkheads = bulkheads
        self._glances = glances
        self._voice = voice
        self._clock = clock
        self._approvers = approvers
        self._shown: dict[str, _Shown] = {}
        self._changed: set[str] = set()
        self._worker: asyncio.Task[None] | None = None
        self.tasks, self._drawing = tasks.part(), tasks.part()
        subscribers.runs.append(self._run_changed)
        subscribers.requests.append(self._request_changed)

    # What happens

    def opened(self, body: Mapping[str, Any]) -> None:
        """Somebody opened it. Returns at once."""
        user = str(body["event"]["user"])
        who = {
            "user_id": user,
            "team_id": body.get("team_id"),
            "enterprise_id": body.get("enterprise_id"),
        }
        self.tasks.start(self._opened(who), f"home of {user}", actor=user)

    async def _opened(self, who: Mapping[str, Any]) -> None:
        try:
            await self.refresh(await self._voice.actor(who))
        except (BotError, MessageGone) as error:
            log.warning("home of %s: %s", who["user_id"], error)

    async def refresh(self, actor: Actor) -> None:
        """Draw what is known at once, look, and draw again."""
        now = self._clock.now()
        viewer = Viewer(actor.user, actor.team, actor.enterprise, now + KEPT_TRUE)
        shown = self._shown.setdefault(actor.user, _Shown(viewer))
        shown.viewer, shown.drawn = viewer, ""
        with suppress(
            BotError
        ):  # it is drawn all the same; it only does not follow what happens after a restart
            await self._viewers.opened(viewer, now)
        names = self._readable(actor)
        if any(self._glances.known(n).cluster is None for n in names):
            await self._glances.read(names)
            await self._draw(shown, actor)
        await self._glances.look(names, at_most=0.0 if len(names) == 1 else 10.0)
        await self._draw(shown, actor)

    def _run_changed(self, progress: Progress) -> None:
        self._change(progress.run.cluster)

    def _request_changed(self, request: Request) -> None:
        self._change(request.plan.cluster)

    def _change(self, cluster: str) -> None:
        """Remember it, and wake the worker. Never waits."""
        self._changed.add(cluster)
        self._glances.changed(cluster)
        if self._shown and (self._worker is None or self._worker.done()):
            self._worker = self._drawing.start(self._follow(), "app homes", self._failed)

    def _failed(self, error: BaseException) -> None:
        """It goes on at the next change."""
        self._bulkheads.note(DRAWING, "", error)

    async def sweep(self) -> None:
        """Take over from bots that are gone, notice what others changed, and let nobody's Home grow old unseen."""
        now = self._clock.now()
        for viewer in await self._viewers.viewers(now):
            self._shown.setdefault(viewer.user, _Shown(viewer))
        self._shown = {u: s for u, s in self._shown.items() if s.viewer.until > now}
        if not self._shown:
            return
        old = any(now - s.at >= ANYWAY for s in self._shown.values())
        for name in self._clusters:
            await self._bulkheads.keep(
                "news for App Home", partial(self._notice, name, old=old), name
            )

    async def _notice(self, name: str, *, old: bool) -> None:
        if old or await self._glances.differs(name):
            self._change(name)

    async def aclose(self) -> None:
        """Draw nothing more."""
        await self.tasks.settle(0.5)
        await self._drawing.cancel()

    # Drawing

    async def _follow(self) -> None:
        """Until nothing is left to be drawn. By the loop's own time: Slack's limits do not speed up with a pretend world."""
        while self._changed and self._shown:
            await asyncio.sleep(GATHER)
            names, self._changed = self._changed, set()
            try:
                self._changed |= await self._glances.look(sorted(names))
            except BotError as error:
                log.warning("looking for app homes: %s", error)
            for shown in list(self._shown.values()):
                await self._draw_for(shown)
        self._bulkheads.well(DRAWING, "")

    async def _draw_for(self, shown: _Shown) -> None:
        viewer = shown.viewer
        try:
            who = {
                "user_id": viewer.user,
                "team_id": viewer.team,
                "enterprise_id": viewer.enterprise,
            }
            if await self._draw(shown, await self._voice.actor(who)):
                await asyncio.sleep(BETWEEN)
        except (BotError, MessageGone) as error:
            log.warning("home of %s: %s", viewer.user, error)
            await asyncio.sleep(BETWEEN)

    async def _draw(self, shown: _Shown, actor: Actor) -> bool:
        """Draw it, unless it says the same already."""
        names = self._readable(actor)
        glances = [self._for(self._glances.known(n), actor) for n in names]
        now = self._clock.now()
        hidden = 0 if actor.outsider else len(list(self._clusters)) - len(names)
        view = home_view(glances, now, hidden, actor.outsider)
        said = str(view["blocks"][1:])  # without the time
        if said == shown.drawn and now - shown.at < ANYWAY:
            return False
        await self._voice.show_home(actor.user, view)
        shown.drawn, shown.at = said, now
        return True

    def _readable(self, actor: Actor) -> list[str]:
        return list(self._clusters.readable(actor))

    def _for(self, glance: ClusterOverview, actor: Actor) -> tuple[ClusterOverview, UserActions]:
        """What this person may do about it."""
        rules = self._clusters.rules(glance.name)
        operates = may_operate(actor, rules).kind is Kind.ALLOWED
        about_run = (
            operates if glance.run is None else self._operations.may_decide(glance.run, actor)
        )
        decides = frozenset(r.id for r in glance.waiting if self._operations.counts(r, actor))
        offered = offers(
            glance.cluster, glance.run, operates=operates, held=glance.held, windows=glance.windows
        )
        offered = open_to(
            offered,
            SPOKEN,
            lambda kind: self._operations.may_say(glance.name, actor, kind).kind is not Kind.DENIED,
        )
        listed = tuple((o.label, f"{o.action}|{glance.name}") for o in offered)
        wakes = may_wake(actor, rules).kind is not Kind.DENIED
        return glance, UserActions(
            decides, about_run, listed, {r.id: self._approvers(r) for r in glance.waiting}, wakes
        )
