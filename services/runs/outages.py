"""Outages during a run: wait, notify people once, and stop the run after an hour."""

from contextlib import suppress

from services.common.errors import Unreachable
from services.runs.doubts import Doubtful, Outage
from services.runs.run import Noted
from services.runs.stopping import RunStop
from services.runs.worker_state import WorkerState, bugs

BLIND_LIMIT = 3600.0  # seconds without a look after which the run stops
NOTIFY_AFTER = 300.0  # seconds after which an outage is posted, once
BUG_PAUSE = 30.0


class OutageHandler:
    """Handles outages and internal errors of one worker."""

    def __init__(self, state: WorkerState, stopping: RunStop) -> None:
        self._state = state
        self._stopping = stopping

    async def unreachable(self, error: Unreachable) -> None:
        """No answer, or a doubtful one: wait and look again."""
        state = self._state
        state.trouble = str(error)
        if not state.seen:
            state.watch.interrupt()
        if state.doing is not None and not isinstance(error, Doubtful):
            outage = state.step.outages.setdefault(state.doing, Outage())
            if outage.lasts(state.clock.now()) > BLIND_LIMIT:
                await self._stopping.give_up(f"no answer for 1 h: {error}")
                return
            await self._notify(outage, str(error))
        state.report()
        pause = state.look_interval
        if error.retry_after is not None:
            pause = error.retry_after
        await state.clock.sleep(min(max(pause, 1.0), 60.0))

    async def internal(self, error: Exception) -> None:
        """An unexpected error, of ours or because of an answer: handled like a look that failed."""
        state, step, where = self._state, self._state.run.step, "the end of the run"
        if step is not None:
            where = f"“{step.title()}”"
        trouble = f"internal error {type(error).__name__} in {where}; this is a bug"
        bugs.log(f"{state.run.id}: internal error in {where}", error)
        state.trouble = trouble
        state.watch.interrupt()
        if state.step.internal_error.lasts(state.clock.now()) > BLIND_LIMIT:
            await self._stopping.give_up(f"for 1 h: {trouble}")
            return
        await self._notify(state.step.internal_error, trouble)
        state.report()
        await state.clock.sleep(BUG_PAUSE)

    async def _notify(self, outage: Outage, trouble: str) -> None:
        now = self._state.clock.now()
        if outage.notified or outage.lasts(now) < NOTIFY_AFTER:
            return
        then = "Nothing is changed meanwhile. After 1 h without an answer the run pauses"
        with suppress(Unreachable):
            text = f"still waiting: {trouble}. {then}"
            await self._state.append(Noted(now, text, waiting=True))
            outage.notified = True
