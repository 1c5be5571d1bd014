"""An evening and a morning in a minute: a window added, announced, closed and opened by a bot."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.demo.world import OPS, STACK
from tests.support.real_people import sees, until_seen
from tests.support.real_sockets import bot_of, running_world

SPEED = 60.0


def test_a_window_closes_and_opens(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, SPEED) as world, bot_of(world):
            await world.slack.sockets.until(bool)
            ana, ben = world.slack.human("UANA"), world.slack.human("UBEN")
            now = datetime.fromtimestamp(world.clock.now(), UTC).astimezone(
                ZoneInfo("Europe/Madrid")
            )
            closes = now + timedelta(minutes=9)
            opens = closes + timedelta(minutes=28)
            words = f"nights daily {closes:%H:%M}-{opens:%H:%M} Europe/Madrid"
            await until_seen(
                ana, "Approve", lambda: ana.type_text(OPS, f"/openvidu window add {words}")
            )
            card = await sees(ana, "Add window nights to acme")
            await until_seen(ben, "acme has window nights", lambda: ben.press(card, "Approve"))
            notice = await sees(ana, f"acme closes at {closes:%H:%M}")
            buttons = {
                e["text"]["text"]
                for b in notice.blocks
                for e in b.get("elements", ())
                if "value" in e
            }
            assert {"Keep running 1 h", "Keep running tonight"} <= buttons
            await sees(ana, "acme is shut down")
            assert [d.status for d in world.estate.masters(STACK)] == ["off"] * 4
            told = await sees(ana, f"before {opens:%H:%M}")
            assert "acme is back in service" in told.text
            assert len(world.estate.serving(STACK)) == 3
            assert world.estate.violations == []

    asyncio.run(story())
