"""The messages of one run to meetings: before nodes are closed, and before a drain's deadline."""

from datetime import datetime
from zoneinfo import ZoneInfo

from services.cluster.meeting_messages import Occasion, filled
from services.cluster.model import Cluster, MediaNode
from services.runs.room_messages import RoomMessages
from services.runs.run import ABOUT_MESSAGES, Noted
from services.runs.worker_state import WorkerState
from services.steps import Step

WHEN = {
    Occasion.DRAIN: f"{ABOUT_MESSAGES} before the drain",
    Occasion.DEADLINE: f"{ABOUT_MESSAGES} at the deadline",
}


class RunMessages:
    """Sends the texts that the run's approval showed, and notes the counts on its card."""

    def __init__(self, state: WorkerState, rooms: RoomMessages) -> None:
        self._state = state
        self._rooms = rooms
        # This worker has sent that a deadline is near.
        self._near = False

    async def before_request(self, step: Step, cluster: Cluster) -> bool:
        """Notify the meetings on nodes that the step's next request closes for new ones.

        Returns whether that took time.
        """
        return await self._tell(Occasion.DRAIN, step, cluster, step.closing_nodes(cluster))

    def is_due(self, step: Step, cluster: Cluster) -> bool:
        """Return whether the deadline of a drain is near, and its meetings do not know it yet."""
        state, messages = self._state, cluster.messages
        if messages is None or not self._text(Occasion.DEADLINE) or state.run.question is not None:
            return False
        if not step.awaited_nodes(cluster) or self._is_deadline_told():
            return False
        return state.remaining(step, cluster) <= min(messages.lead, step.deadline(cluster) / 2)

    async def before_deadline(self, step: Step, cluster: Cluster) -> None:
        """Notify the meetings that a drain waits for that its deadline is near, once."""
        if self.is_due(step, cluster):
            self._near = True
            await self._tell(Occasion.DEADLINE, step, cluster, step.awaited_nodes(cluster))

    async def reached(self, step: Step) -> None:
        """Note what was sent and, because a bot crashed in between, not noted."""
        if not step.waits_for_meetings:
            return
        for occasion in WHEN:
            if self._text(occasion):
                result = await self._rooms.result(self._state.run.cluster, self._name(occasion))
                await self._note(occasion, result)

    async def _tell(
        self, occasion: Occasion, step: Step, cluster: Cluster, nodes: tuple[MediaNode, ...]
    ) -> bool:
        state, text = self._state, self._text(occasion)
        if not text or not nodes:
            return False
        deadline = state.clock.now() + max(0.0, state.remaining(step, cluster))
        time = f"{datetime.fromtimestamp(deadline, ZoneInfo(cluster.zone)):%H:%M}"
        result = await self._rooms.tell(
            state.world,
            cluster,
            self._name(occasion),
            filled(text, cluster=cluster.name, time=time),
            [n.id for n in nodes],
            state.lease,
        )
        await self._note(occasion, result)
        return True

    def _text(self, occasion: Occasion) -> str:
        return dict(self._state.run.shown.tells).get(occasion, "")

    def _name(self, occasion: Occasion) -> str:
        return f"{self._state.run.id}/{occasion}"

    def _is_deadline_told(self) -> bool:
        """Return whether it was sent, by this worker or an earlier one; the ledger holds either."""
        said = WHEN[Occasion.DEADLINE]
        return self._near or any(n.text.startswith(said) for n in self._state.run.notes)

    async def _note(self, occasion: Occasion, result: str) -> None:
        text = f"{WHEN[occasion]}: {result}"
        if result and all(n.text != text for n in self._state.run.notes):
            await self._state.append(Noted(self._state.clock.now(), text))
