"""How long a dead bot stays away: at once, after the time that the run's step may take, or the next day."""

from services.common.errors import Refused
from tests.support.clusters import ready
from tests.support.scene import Scene

AT_ONCE, A_DEADLINE, A_DAY = "at once", "after its deadline", "after a day"
ABSENCES = (AT_ONCE, A_DEADLINE, A_DAY)


async def comes_back(scene: Scene) -> None:
    """The next bot, after as long as this scene's people stay away. Where no run is open they ask again, and soon."""
    await scene.passes(await _away(scene))
    await scene.start_bot()


async def _away(scene: Scene) -> float:
    names = await scene.journal.latest("acme", 1)
    try:
        run = await scene.journal.run(names[0]) if names else None
    except Refused:
        run = None
    if run is None or run.over or scene.away == AT_ONCE:
        return 0.0
    if scene.away == A_DAY:
        return 86400.0
    return run.step.deadline(ready()) + 1.0 if run.step is not None else 0.0
