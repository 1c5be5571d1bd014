"""What must not stand in the way of a change: another run, a hold, a change freeze."""

from collections.abc import Mapping
from datetime import UTC, datetime

from services.access.reasons import safe_reason
from services.common.clock import Clock
from services.common.errors import Refused
from services.common.text import duration
from services.memory.schedule import ScheduleRepository
from services.operations.reader import ClusterReader
from services.runs.run import Run, State
from services.store.keys import schedule_key
from services.windows import Freeze, Hold


class ChangeGuards:
    """Refuses changes of a cluster that is locked, on hold or frozen."""

    def __init__(self, reader: ClusterReader, schedules: ScheduleRepository, clock: Clock) -> None:
        self._reader = reader
        self._schedules = schedules
        self._clock = clock

    async def must_be_free(self, name: str, *, glass: bool = False) -> None:
        """Refused while the cluster is locked by a run, on hold, or in a change freeze.

        `glass`: break-glass, which skips a freeze.
        """
        run = await self._reader.open_run(name)
        if run is not None:
            raise Refused(self.busy(run))
        await self.must_not_be_held(name, glass=glass)

    async def must_not_be_held(
        self, name: str, *, glass: bool = False, at: float = 0.0
    ) -> Mapping[str, str | None]:
        """Refused during a hold, or a change freeze.

        Returns checks for the commit that rests on this answer.

        `glass`: break-glass, which skips a freeze. `at`: a later moment (epoch seconds), by what is
        known of it now.
        """
        now = max(at, self._clock.now())
        text, book = await self._schedules.read(name)
        hold = book.exceptions.hold(now)
        if hold is not None:
            raise Refused(self._on_hold(name, hold))
        freeze = None if glass else book.exceptions.freeze(now)
        if freeze is not None:
            raise Refused(self._in_freeze(name, freeze, later=at > 0))
        return {schedule_key(name): text}

    def _on_hold(self, name: str, hold: Hold) -> str:
        left = duration(hold.until - self._clock.now())
        by = f"{hold.by}, {safe_reason(hold.reason)}"
        return f"{name} is on hold for another {left} ({by}). End it with [[command unhold]]"

    def _in_freeze(self, name: str, freeze: Freeze, *, later: bool) -> str:
        left, label = duration(freeze.until - self._clock.now()), ""
        if freeze.name:
            label = f": {safe_reason(freeze.name)}"
        if later:
            ends = f"which ends in {left}{label}"
            return f"{name} will be in a change freeze, {ends}. Choose a later time"
        another = f"for another {left}{label}"
        return f"{name} is in a change freeze {another}. Only break-glass can change it now"

    async def freeze(self, name: str) -> Freeze | None:
        """The change freeze that is in force."""
        _, book = await self._schedules.read(name)
        return book.exceptions.freeze(self._clock.now())

    def busy(self, run: Run) -> str:
        """Describe the run that has locked a cluster: since when, why, by whom, doing what."""
        age = duration(self._clock.now() - run.opened_at)
        why = ""
        if run.reason.strip():
            why = f" (“{safe_reason(run.reason)}”)"
        started = f"started by {run.requester.mention} {age} ago{why}{_approved_by(run)}"
        locked = f"{run.cluster} is locked by `{run.id}`: {run.plan.procedure.command_line()}"
        return f"{locked}, {started}, {_doing(run)}. {_what_to_do(run)}"


def _approved_by(run: Run) -> str:
    if run.glass:
        return f", no approval: break-glass by {run.requester.mention}"
    if not run.approvers:
        return ""
    verb = "standing approval by" if run.standing else "approved by"
    return f", {verb} {' and '.join(a.mention for a in run.approvers)}"


def _doing(run: Run) -> str:
    if run.state is State.STOPPED:
        return f"paused: {run.stopped}"
    return f"now: {run.step.title()}" if run.step else "finishing"


def _what_to_do(run: Run) -> str:
    if run.state is State.STOPPED:
        return "Resume or abandon it first"
    return f"Operators can cancel it with [[command cancel {run.id}]]"


def freeze_words(freeze: Freeze) -> str:
    """`a change freeze lasts until 2026-12-31 12:00 UTC (year end)`."""
    until = f"{datetime.fromtimestamp(freeze.until, UTC):%Y-%m-%d %H:%M} UTC"
    sentence = f"a change freeze lasts until {until}"
    return f"{sentence} ({freeze.name})" if freeze.name else sentence
