"""What a bot keeps in memory stays level: it depends on the clusters, not on the hours."""

import asyncio
import gc
from collections import Counter, deque
from collections.abc import Iterator
from functools import lru_cache

import pytest

from handlers.commands import inbox
from handlers.slack import client
from services.runs import journal
from services.schedule import reading
from tests.support import virtual
from tests.support.coverage_level import by_level
from tests.support.scene import Scene
from tests.support.stories import request_and_approve, with_buttons

HOUR = 3600.0
WARM, LATER = 3, by_level(5, 9, 9)  # hours
ANSWERS = ("status", "runs", "cost", "help", "window list", "scale 5 --dry-run", "config list")
Cache = type(lru_cache(lambda: None))
# Times of the requests of the last hour, of which no two have the same number.
LAST_HOUR = "services.cloud.clients.pace.RequestPace._sent"
OURS = ("bot", "handlers", "services")


def cached() -> Counter[str]:
    """Empty each of our caches that has a bound; count what the others hold."""
    names: Counter[str] = Counter()
    for each in gc.get_objects():
        # Not isinstance: it asks a weak proxy for its object, which may be gone.
        if type(each) is Cache and each.__module__.partition(".")[0] in OURS:
            if each.cache_parameters()["maxsize"] is None:
                names[each.__qualname__] += each.cache_info().currsize
            else:
                each.cache_clear()
    return names


def kept(scene: Scene) -> Counter[str]:
    """Count the objects of our classes and what each holds; and the tasks and timers."""
    for life in scene.crash_injectors:
        life.forget_ended()  # a bot has nothing that remembers ended tasks
    gc.unfreeze()  # what is frozen is counted too
    names = cached()
    gc.collect()
    for each in gc.get_objects():
        kind = type(each)
        module = str(kind.__module__)
        name = f"{module}.{kind.__qualname__}"
        if module.partition(".")[0] in OURS:
            names[name] += 1
            for attribute, value in getattr(each, "__dict__", {}).items():
                if isinstance(value, dict | list | set | deque):
                    names[f"{name}.{attribute}"] += len(value)
        elif issubclass(kind, asyncio.Task | asyncio.TimerHandle):
            names[name] += 1
    return names


async def hour(scene: Scene, number: int) -> None:
    """Ask for everything; and power media nodes off and on again."""
    for words in ANSWERS:
        await scene.ana.type_text("COPS", f"/openvidu {words}")
        await scene.wait(60)
    if number % 2:
        await request_and_approve(scene, "shutdown", "Approve shutdown")
    else:
        await scene.ana.type_text("COPS", "/openvidu startup")
        await scene.ana.press(await with_buttons(scene, "Start or cancel"), "Start up")
    await scene.run_is(f"acme-{number}", "done")
    await scene.wait(HOUR - len(ANSWERS) * 60)


@pytest.fixture(autouse=True)
def _frozen() -> Iterator[None]:
    """Leave to the next test what tests/conftest.py spared from the collector."""
    yield
    gc.collect()
    gc.freeze()


def test_memory_is_level_over_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept has bounds; they are low here, so that the level is reached early."""
    monkeypatch.setattr(reading, "NEWEST", 2)
    monkeypatch.setattr(journal, "RUNS_REMEMBERED", 2)
    journal._FOLDED.clear()
    monkeypatch.setattr(client, "MOST_URLS", 2)
    monkeypatch.setattr(inbox, "REMEMBERED", 2)

    async def story() -> None:
        async with Scene() as scene:
            for number in range(1, WARM):
                await hour(scene, number)
            before = kept(scene)
            for number in range(WARM, LATER):
                await hour(scene, number)
            grown = kept(scene) - before
            grown.pop(LAST_HOUR, None)
            assert grown.total() <= len(ANSWERS), grown.most_common()
            assert before.total() > 2000, "the bot's objects were counted"

    virtual.run(story())
