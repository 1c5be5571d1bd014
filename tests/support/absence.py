"""How long a dead bot stays away.

No time, as long as the run's step may take, or until the next day.
"""

from services.common.errors import Refused
from tests.support.clusters import ready
from tests.support.scene import Scene

AT_ONCE, A_DEADLINE, A_DAY = "at once", "after its deadline", "after a day"
ABSENCES = (AT_ONCE, A_DEADLINE, A_DAY)


async def restart_after_absence(scene: Scene) -> None:
    """Start the next bot, after as long as this scene demands.

    Without an open run it comes soon.
    """
    await scene.wait(await _away(scene))
    await scene.start_bot()


async def _away(scene: Scene) -> float:
    names = await scene.journal.latest("acme", 1)
    try:
        run = await scene.journal.run(names[0]) if names else None
    except Refused:
        run = None
    if run is None or run.over or scene.downtime == AT_ONCE:
        return 0.0
    if scene.downtime == A_DAY:
        return 86400.0
    return run.step.deadline(ready()) + 1.0 if run.step is not None else 0.0
