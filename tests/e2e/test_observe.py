"""`serve --observe` on real sockets: the world's own record shows nothing but reading."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.demo.bot_process import BotProcess
from bot.demo.world import OPS, STACK, DemoWorld
from simulators.wire import WireCall
from tests.support.outside import listen
from tests.support.real_people import sees, until_seen
from tests.support.real_sockets import running_world

SPEED = 60.0
READS = {
    "health": r"GET .*",
    "digitalocean": r"GET /v2/.*",
    "spaces": r"(GET|HEAD) .*",
    "livekit": r"POST /twirp/livekit\.(RoomService/ListRooms|(Egress|Ingress)/List(E|In)gress)",
}


def is_reading(call: WireCall) -> bool:
    """Whether a request that reached the world only reads. SSH is counted where it runs."""
    return bool(re.fullmatch(READS.get(call.service, ".*"), call.name))


def test_a_window_and_commands_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[WireCall] = []

    def record(_world: DemoWorld, call: WireCall) -> None:
        calls.append(call)

    monkeypatch.setattr(DemoWorld, "_record", record)

    async def story() -> None:
        async with running_world(tmp_path, SPEED) as world:
            outside = listen(world.environment)
            bot = BotProcess(world.folder / "bot.log")
            await bot.start([*world.bot_command(), "--observe"], world.bot_environment())
            try:
                await observed(world)
            except BaseException as error:
                error.add_note(f"the bot wrote:\n{bot.log_tail()}")
                raise
            finally:
                await bot.stop()
            assert [f"{c.service} {c.name}" for c in calls if not is_reading(c)] == []
            services = {c.service for c in calls}
            assert {*READS} <= services, "each was read"
            assert outside.writes == {}
            assert outside.seen["ssh reading"] > 0
            assert [d.status for d in world.estate.masters(STACK)] == ["active"] * 4
            assert len(world.estate.serving(STACK)) == 3

    asyncio.run(story())


async def observed(world: DemoWorld) -> None:
    """Add a window, type what would change the cluster, and wait for its evening and morning."""
    await world.slack.sockets.until(bool)
    ana, ben = world.slack.human("UANA"), world.slack.human("UBEN")
    closes = datetime.fromtimestamp(world.clock.now(), UTC) + timedelta(minutes=9)
    opens = closes + timedelta(minutes=28)
    words = f"nights daily {closes:%H:%M}-{opens:%H:%M} UTC"
    add = f"/openvidu window add {words}"
    await until_seen(ana, "Approve", lambda: ana.type_text(OPS, add))
    card = await sees(ana, "Add window nights to acme")
    await until_seen(ben, "acme has window nights", lambda: ben.press(card, "Approve"))
    for command in ("shutdown --now", "scale 2 --now", "backup create --now", "restart media-1"):
        await ana.type_text(OPS, f"/openvidu {command}")
        await sees(ana, "Not done: this bot only observes")
    await sees(ana, "acme would close now")
    await sees(ana, "acme would open now")
    await ana.type_text(OPS, "/openvidu observed")
    await sees(ana, "It would have closed 1 time")
