"""What `make test` leaves out of a bot's rounds changes nothing that happens."""

from datetime import datetime
from typing import Any

import pytest

from bot.app import Bot
from tests.support import virtual
from tests.support.scene import Scene

HOUR = 3600.0
STARTS = datetime.fromisoformat("2026-11-25T19:00+00:00").timestamp()


def evening(*, every_round: bool) -> tuple[list[Any], list[tuple[str, float]], float]:
    """Close and open once.

    Returns the runs with their times, the messages with theirs, and hours in service.
    """

    async def story() -> tuple[list[Any], list[tuple[str, float]], float]:
        site = {"windows": ["nights daily 20:00-22:00 UTC"]}
        async with Scene(media=1, origin=STARTS, site=site, every_round=every_round) as scene:
            await scene.wait(4 * HOUR)
            ids = reversed(await scene.journal.latest("acme", 9))
            runs = [await scene.journal.run(run) for run in ids]
            posted = [(m.text, float(m.ts)) for m in scene.ana.visible_messages("COPS")]
            return (
                [(run.edge, run.state, round(run.opened_at)) for run in runs],
                posted,
                len(scene.estate.serving("acme")),
            )

    return virtual.run(story())


def test_the_same_happens_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[float] = []
    run_round = Bot.run_round

    async def counted(bot: Bot) -> bool:
        rounds.append(bot.adapters.clock.now())
        return await run_round(bot)

    monkeypatch.setattr(Bot, "run_round", counted)
    runs, posted, serving = evening(every_round=True)
    every = len(rounds)
    assert [edge.partition("@")[0] for edge, *_ in runs] == ["nights-close", "nights-open"]
    rounds.clear()
    fewer_runs, fewer_posted, still_serving = evening(every_round=False)
    assert len(rounds) < every / 3, "the test would be about nothing"
    assert (fewer_runs, still_serving) == (runs, serving)
    assert [at for _, at in fewer_posted] == pytest.approx([at for _, at in posted], abs=15)
