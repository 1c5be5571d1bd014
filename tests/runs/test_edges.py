"""At the edge of a window: two bots and a crash are one run, an edit counts to the second, a thousand clusters close together."""

import os
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from services.books import Books
from services.clock import loop_clock
from services.cluster import Cluster, Droplet, Fact, MediaNode, NodeLook, Pool
from services.desk import Desk, Site
from services.hours import Hours
from services.policy import Rules
from services.procedures import Shutdown, Startup
from services.runs import State
from services.store.sqlite import SqliteStore
from services.windows import parse_window
from tests.support import virtual
from tests.support.scene import Scene

MADRID = ZoneInfo("Europe/Madrid")
NIGHTS = "nights Mon-Fri 20:00-07:30 Europe/Madrid"
FULL = bool(os.environ.get("OPENVIDU_BOT_FULL"))


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=MADRID).timestamp()


def evening(**more: object) -> Scene:
    site = {"timezone": "Europe/Madrid", "channel": "COPS", "windows": [NIGHTS]}
    return Scene(media=2, origin=at("2026-11-25T19:50"), site=site, **more)  # type: ignore[arg-type]


async def commands(scene: Scene) -> list[str]:
    runs = [await scene.journal.run(r) for r in await scene.journal.latest("acme", 50)]
    return [r.plan.procedure.command for r in reversed(runs)]


def test_three_bots_at_the_edge_are_one_run() -> None:
    async def story() -> None:
        async with evening() as scene:
            await scene.start_bot()
            await scene.start_bot()
            await scene.passes(at("2026-11-26T08:00") - scene.clock.now())
            assert await commands(scene) == ["shutdown", "startup"]
            assert len([m for m in scene.ana.sees("COPS") if m.text.startswith("acme closes at 20:00 (in 5 min)")]) == 1

    virtual.run(story())


def close_with_death_at(point: int | None) -> int:
    """The bot dies at that point after 19:59:40; another comes 20 s later."""

    async def story() -> int:
        async with evening() as scene:
            await scene.passes(at("2026-11-25T19:59:40") - scene.clock.now())
            life = scene.lives[-1]
            begun = life.points
            life.die_at = None if point is None else begun + point
            for _ in range(90):
                await scene.passes(10)
                if scene.lives[-1].dead:
                    await scene.passes(10)
                    await scene.start_bot()
            assert await commands(scene) == ["shutdown"]
            run = await scene.run_is("acme-1", State.DONE)
            assert run.requester.window
            assert [m.status for m in scene.estate.masters("acme")] == ["off"] * 4
            return life.points - begun

    return virtual.run(story())


def test_a_crash_at_any_point_around_the_edge() -> None:
    points = close_with_death_at(None)
    for point in range(1, points, 1 if FULL else max(1, points // 12)):
        close_with_death_at(point)


@pytest.mark.parametrize(("seconds", "closes"), [(-5, False), (30, True)])
def test_an_edit_at_the_edge_is_what_the_last_saved_version_says(seconds: int, closes: bool) -> None:
    async def story() -> None:
        async with evening() as scene:
            await scene.passes(at("2026-11-25T20:00") + seconds - scene.clock.now())
            await scene.ana.types("COPS", "/openvidu window remove nights")
            await scene.passes(1800)
            assert await commands(scene) == (["shutdown"] if closes else [])

    virtual.run(story())


def test_the_forecast_is_what_happens() -> None:
    """A working week, the bot away now and then: what it did is what it had said it would do."""

    async def story() -> None:
        async with evening() as scene:
            name, now = "acme", scene.clock.now()
            hours = scene.bot.hours
            _, book = await hours.books.read(name)
            from services.windows import edges  # noqa: PLC0415

            said = [e.kind for e in edges(book.windows, now, now + 3 * 86400, terms=await hours.terms(name)) if e.acts]
            for away in (600, 2400, 60, 3000):
                await scene.passes(at("2026-11-28T19:50") / 4 - now / 4 - away)
                scene.kill()
                await scene.passes(away)
                await scene.start_bot()
            await scene.passes(3600)
            did = ["close" if c == "shutdown" else "open" for c in await commands(scene)]
            assert did == said

    virtual.run(story())


class Town:
    """A world that is only looked at: many clusters at once are about the book-keeping."""

    def __init__(self, name: str) -> None:
        masters = tuple(Droplet(id=n, name=f"{name}-master-node-{n}", status="active", healthy=True) for n in range(1, 5))
        look = NodeLook(start="s", running=("openvidu",))
        media = tuple(MediaNode(Droplet(id=10 + n, name=f"{name}-m-{n}", status="active"), "active", look) for n in range(2))
        facts = frozenset(Fact)
        self.cluster = Cluster(name, name, masters=masters, media=media, pool=Pool("p", "p", 2, template="t"), known=facts)

    async def observe(self, needs: frozenset[Fact], since: float | None = None) -> Cluster:
        return self.cluster

    def pace(self, interval: float) -> float:
        return interval * 1000

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name}: only looked at")


def test_a_thousand_windows_close_in_the_same_minute() -> None:
    async def story() -> float:
        clock = loop_clock(at("2026-11-25T19:59:55"))
        store = SqliteStore(None, clock, threaded=False)
        names = [f"c{n}" for n in range(1000)]
        desk = Desk({n: Site(n, Town(n), Rules()) for n in names}, store, clock, "one")  # type: ignore[arg-type]
        desk._drive = lambda _run: None  # type: ignore[method-assign, assignment]
        hours, books = Hours(desk, clock), Books(store)
        for name in names:
            await books.seed(name, (parse_window(NIGHTS),), clock.now())
        await clock.sleep(6)
        await hours.tick()
        opened = [(await desk.journal.run(f"{n}-1")).opened_at for n in names]
        assert all(isinstance((await desk.journal.run(f"{n}-1")).plan.procedure, Shutdown | Startup) for n in names[:5])
        return max(opened) - min(opened)

    assert virtual.run(story()) <= 1.0
