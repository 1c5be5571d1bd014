"""Writes the outputs in docs/how-to/trust-it.md: `make trust`. `--check` only compares.

A simulated account is played in virtual time: the bot observes for a fortnight, its cluster is
rehearsed, and with the same windows it operates for another fortnight. `openvidu-bot record` looks
at the simulated world over real sockets, and its file is replayed.
"""

import asyncio
import json
import logging
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.record.command import record, summary
from bot.record.recorder import Recorder, stacks_of
from bot.replay.command import replay, report
from bot.terminal.local import terminal_context
from config.settings import load
from handlers.slack.blocks import Card
from handlers.terminal.plaintext import TerminalReader, render_card
from handlers.terminal.session import TerminalCommand, TerminalSession
from services.access.policy import Actor
from services.common.clock import Clock
from services.schedule.observed_night import DAY
from tests.rehearsal.test_command import Here
from tests.runs.test_observe import BEGINS, NIGHTS, people_meet, with_mode, world
from tests.support import virtual
from tests.support.outside import listen
from tests.support.real_sockets import running_world
from tests.support.scene import Scene

PAGE = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "trust-it.md"
FORTNIGHT = 14
FIRST = 46  # of the nights that people meet in: 2 March, so that a month holds both fortnights
RUNS = 20  # with bad luck; the bot plays as many as fit into its 20 s
SHOWN_NIGHTS = 3  # of a list with a line for each night
EXCERPT = 400  # characters of a recorded line
READER = TerminalReader(names={"UANA": "ana", "UBEN": "ben", "UCARLA": "carla"})
BLOCK = re.compile(r"(<!-- made: (\w+) -->\n```text\n).*?(```\n)", re.DOTALL)
# What a machine's speed decides: sizes and durations of a recording over real sockets.
MEASURED = ("record", "line")


def observed_night() -> str:
    """Return what the channel reads of the first night of a bot that observes."""

    async def story() -> str:
        async with account("observe") as scene:
            await scene.start_bot()
            await people_meet(scene, FIRST + 1, FIRST)
            return posted(scene)

    return virtual.run(story())


def virtual_blocks(nights: int = FORTNIGHT) -> dict[str, str]:
    """Return what the commands print in a fortnight of observing and one of operating."""

    async def story() -> dict[str, str]:
        found = {}
        async with account("observe", stage=Here(RUNS)) as scene:
            outside = listen(scene.environment)
            await scene.start_bot()
            await people_meet(scene, FIRST + 1, FIRST)
            found["night"] = posted(scene)
            await people_meet(scene, FIRST + nights, FIRST + 1)
            found["observed"] = shortened(await typed(scene, "say", f"observed --days {nights}"))
            scene.estate.open_meeting(people=5, minutes=25, recordings=0)
            found["refused"] = (await typed(scene, "run", "shutdown")).split("─")[0].rstrip()
            found["rehearse"] = await typed(scene, "rehearse", "shutdown")
            assert outside.writes == {}, "a bot that observes only reads"
            scene.kill()
            with_mode(scene, "operate")
            await scene.start_bot()
            await people_meet(scene, FIRST + 2 * nights, FIRST + nights)
            found["runs"] = "\n".join((await typed(scene, "runs")).splitlines()[:7])
            found["cost"] = await typed(scene, "say", "cost")
            assert outside.writes, "a bot that operates changes the cluster"
        return found

    return virtual.run(story())


def account(mode: str, **more: Any) -> Any:
    """Return a scene that is the same whether the tests are quick or thorough."""
    site = {"windows": [NIGHTS], "timings": {"look": 15}}
    origin = BEGINS + FIRST * DAY
    return world(mode, origin=origin, media=3, seed=11, every_round=False, site=site, **more)


async def typed(scene: Scene, verb: str, words: str = "") -> str:
    """Return what `openvidu-bot VERB WORDS` prints for Ana, beside the running bot."""
    bot = scene.bot
    parts = bot.operations.service, bot.operations.sweep, bot.scheduler, scene.clock
    terminal = TerminalSession(*parts, terminal_context(scene.settings), drives=False)
    order = TerminalCommand(verb, words)
    lines = [line async for line in terminal.run(order, Actor("UANA", name="ana"))]
    return "\n".join(line.text for line in lines if not line.live and line.text)


def posted(scene: Scene) -> str:
    """Return the messages of the channel, oldest first."""
    cards = [
        render_card(Card(m.text, tuple(m.blocks)), READER)
        for m in scene.ana.visible_messages("COPS")
        if not m.ephemeral_to
    ]
    return "\n\n".join(cards)


def shortened(report: str) -> str:
    """Return a report with the newest of its nights."""
    lines = report.splitlines()
    nights = [n for n, line in enumerate(lines) if re.match(r"\w{3} \d+ \w{3} \d\d:\d\d: ", line)]
    if len(nights) <= SHOWN_NIGHTS:
        return report
    return "\n".join([*lines[: nights[SHOWN_NIGHTS]], "…", *lines[nights[-1] + 1 :]])


def recorded_blocks() -> dict[str, str]:
    """Return what `openvidu-bot record` and `replay` print, and one line of the recording."""

    async def story(folder: Path, file: Path) -> str:
        async with running_world(folder, 1.0) as town:
            settings = load(town.settings_file, town.bot_environment())
            at = town.clock
            clock = Clock(speed=at.speed, origin=at.origin, started=at.started)
            recorder = Recorder(file, "0.0", stacks_of(settings), clock.now)
            await record(settings, clock, recorder, 0.0)
            await asyncio.to_thread(recorder.close)
            return summary(recorder, Path(file.name))

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "acme.jsonl")
        said = asyncio.run(story(Path(folder, "world"), file))
        texts = file.read_text("utf-8").splitlines()
        line = next(text for text in texts if json.loads(text).get("ask") == "GET /v2/droplets")
        again = report([replay(file, {})]).replace(str(file), file.name)
    return {"record": said, "line": f"{line[:EXCERPT]}…", "replay": again}


def blocks() -> dict[str, str]:
    """Return every block of the page by its name."""
    return {**recorded_blocks(), **virtual_blocks()}


def filled(page: str, made: Mapping[str, str]) -> str:
    """Return the page with these blocks; others stay as they are."""

    def block(match: re.Match[str]) -> str:
        before, name, after = match.groups()
        if name not in made:
            return match[0]
        return f"{before}{made[name].rstrip()}\n{after}"

    return BLOCK.sub(block, page)


def blocks_of(page: str) -> dict[str, str]:
    """Return the blocks that a page shows, by name."""
    return {
        match[2]: match[0].removeprefix(match[1]).removesuffix(match[3])
        for match in BLOCK.finditer(page)
    }


def different(shown: Mapping[str, str], made: Mapping[str, str]) -> list[str]:
    """Return the names of blocks that are not what was made; digits of measured ones may differ."""
    return [
        name for name in made if _compared(name, shown.get(name, "")) != _compared(name, made[name])
    ]


def _compared(name: str, text: str) -> str:
    text = text.rstrip()
    if name in MEASURED:
        return re.sub(r" *\d+(\.\d+)?", "0", text).rstrip("…")[:200]
    return text


def main() -> int:
    logging.getLogger().addHandler(logging.NullHandler())
    page, made = PAGE.read_text("utf-8"), blocks()
    stale = different(blocks_of(page), made)
    if "--check" in sys.argv:
        if stale:
            print(f"docs/how-to/trust-it.md: {', '.join(stale)} would change; run: make trust")
        return int(bool(stale))
    if stale:
        # What a machine's speed decides stays as it is while nothing else of it has changed.
        PAGE.write_text(filled(page, {name: made[name] for name in stale}), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
