"""The night Slack is down: the same desk from a terminal, over real sockets and a real Redis."""

import asyncio
import contextlib
import os
import pwd
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.demo.world import STACK, DemoWorld
from bot.terminal.identity import Peer, actor_of
from bot.terminal.socket import Control, NoBot, ask
from config.settings import load
from handlers.terminal.follow import OutputLine
from handlers.terminal.session import TerminalCommand
from services.access.policy import Actor
from simulators.environment import find_free_port
from tests.e2e.test_story import keeps_promises
from tests.support import fork_server
from tests.support.patience import HANG, LOOKS
from tests.support.real_people import sees
from tests.support.real_sockets import bot_of, running_world
from tests.support.redis import running_redis
from tests.support.tools import redis_server

SPEED = 60.0


class TerminalMember:
    """One Slack member with settings of their own: this machine has a single user."""

    def __init__(self, world: DemoWorld, member: str) -> None:
        self.world = world
        settings = yaml.safe_load(world.settings_file.read_text())
        if member:
            settings["terminal"] = {"users": {_me(): member}}
        self.file = world.folder / f"settings-of-{member or 'nobody'}.yaml"
        self.file.write_text(yaml.safe_dump(settings))

    async def starts(self, verb: str, *words: str) -> fork_server.Talking:
        clock = self.world.bot_command()[-1]
        command = [verb, "--config", str(self.file), "--clock", clock, *words]
        env = self.world.bot_environment() | {"COLUMNS": "140"}
        return await fork_server.talking(command, env, self.world.folder)

    async def types(self, verb: str, *words: str) -> tuple[int, str]:
        """Its exit code, and everything it said."""
        return await asyncio.wait_for((await self.starts(verb, *words)).to_the_end(), HANG)


def _me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


@contextlib.asynccontextmanager
async def evening(folder: Path, **more: Any) -> AsyncIterator[DemoWorld]:
    """A cluster with two meetings, and no one in Slack."""
    async with running_world(folder, SPEED, **more) as world:
        world.estate.delays = replace(world.estate.delays, media_install=60.0)
        world.estate.open_meeting(people=5, minutes=4, recordings=1)
        world.estate.open_meeting(people=2, minutes=2)
        yield world


def test_no_bot_runs_and_two_people_shut_it_down(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_redis(redis_server()) as url, evening(tmp_path, redis_url=url) as world:
            ana, ben, dora = (
                TerminalMember(world, "UANA"),
                TerminalMember(world, "UBEN"),
                TerminalMember(world, ""),
            )
            code, said = await dora.types("status")
            assert (
                code,
                "acme is in service" in said,
                "master-1 to master-4 · on, healthy" in said,
            ) == (0, True, True)
            code, said = await dora.types("run", "shutdown")
            assert (code, "terminal.users" in said) == (1, True)
            code, said = await ana.types("plan", "scale", "4", "--cluster", "acme")
            assert (code, "Nothing was changed." in said) == (0, True), said
            assert "Scale acme to 4 media nodes: dry run" in said, said

            asking = await ana.starts("run", "shutdown", "--reason", "power work in ams3")
            request = await until_said(asking, r"openvidu-bot approve ([0-9a-f]{8})")
            code, said = await ana.types("approve", "--yes", request)
            assert (code, "someone else must approve" in said) == (1, True)
            code, said = await ben.types("approve", request)
            assert (code, "Shut down acme" in said, "--yes" in said) == (1, True, True)
            code, said = await ben.types("approve", "--yes", request)
            assert code == 0, said
            assert "acme is shut down" in said
            assert re.search(r"reached: Power off masters 1-4", said)
            code, said = await asyncio.wait_for(asking.to_the_end(), HANG)
            assert (code, "acme is shut down" in said) == (0, True), (
                "whoever asked sees it to its end"
            )

            assert [d.status for d in world.estate.masters(STACK)] == ["off"] * 4
            keeps_promises(world)
            code, said = await dora.types("runs", "acme-1")
            assert "opened by" in said
            async with bot_of(world):
                # Slack is there again: the message that was owed is posted, and true.
                told = await sees(world.slack.human("UDORA"), "acme is shut down")
                assert "<@UBEN>" in told.text
            world.slack.slack.journal.assert_clean()

    asyncio.run(story())


def test_a_bot_runs_without_slack_and_is_asked_through_its_socket(tmp_path: Path) -> None:
    """A state file allows one writer, so the bot is asked; the kernel names the user."""

    async def story() -> None:
        nobody = {"api_url": f"http://127.0.0.1:{find_free_port()}/api"}
        me = {"users": {_me(): "UANA"}}
        async with evening(tmp_path, slack=nobody, terminal=me) as world:
            ana = TerminalMember(world, "UANA")
            async with bot_of(world) as bot:
                await until_there(tmp_path / "control.sock")
                assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o660
                code, said = await ana.types("run", "scale", "4", "--now")
                assert (code, "acme has 4 media nodes" in said) == (0, True), said
                watching = await ana.starts("run", "shutdown", "--no-drain")
                request = await until_said(watching, r"approve ([0-9a-f]{8})")
                watching.process.terminate()
                code, _ = await asyncio.wait_for(watching.to_the_end(), HANG)
                assert code == 130, "leaving is harmless"
                code, said = await ana.types("reject", request)
                assert (code, "ejected by @" in said) == (0, True), said
                assert await bot.stop() == 0
            assert not (tmp_path / "control.sock").exists()
            assert world.estate.people_disconnected == 0
            code, said = await ana.types("runs")
            assert (code, "acme-1" in said) == (0, True), "with the bot gone its file can be opened"

    asyncio.run(story())


def test_a_file_that_a_bot_holds_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            evening(tmp_path, terminal={"socket": str(tmp_path / "other.sock")}) as world,
            bot_of(world),
        ):
            await world.slack.sockets.until(bool)
            shell = TerminalMember(world, "UANA")  # its settings name another socket, without a bot
            code, said = await shell.types("status")
            assert code == 1
            assert "another bot uses" in said
            assert "Use that bot in Slack, or stop it first." in said

    asyncio.run(story())


async def until_said(process: fork_server.Talking, pattern: str) -> str:
    said = ""
    async with asyncio.timeout(HANG):
        while line := (await process.stdout.readline()).decode():
            said += line
            if found := re.search(pattern, line):
                return found[1]
    pytest.fail(f"never said {pattern}: {said}")


async def until_there(path: Path) -> None:
    for _ in range(LOOKS):
        if await asyncio.to_thread(path.exists):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{path} does not appear")


def test_the_kernel_says_who_asks_and_what_is_no_order_is_not_answered(tmp_path: Path) -> None:
    class Echo:
        async def run(
            self, order: TerminalCommand, actor: Actor, width: int = 100
        ) -> AsyncGenerator[OutputLine]:
            yield OutputLine(f"{order.verb} by {actor.user} at {width}", code=0)

    async def story() -> None:
        file = tmp_path / "settings.yaml"
        cluster = {"stack": "acme", "region": "ams3", "public_url": "https://meet.example.com"}
        file.write_text(
            yaml.safe_dump(
                {"clusters": {"acme": cluster}, "terminal": {"users": {_me(): "U0000ANA"}}}
            )
        )
        settings = load(file, {"HOME": "/"})
        path = tmp_path / "run" / "control.sock"
        control = Control(path, Echo(), lambda peer: actor_of(settings, peer))
        await control.start()
        try:
            for junk in (b"{}\n", b"x" * 100_000 + b"\n", b"", b'{"verb": "run"}\n', b"[1, 2]\n"):
                reader, writer = await asyncio.open_unix_connection(str(path))
                with contextlib.suppress(ConnectionError):
                    writer.write(junk)
                    writer.write_eof()
                    assert await asyncio.wait_for(reader.read(), HANG) == b""
                writer.close()
            assert [line.text async for line in ask(path, TerminalCommand("status"), 80)] == [
                "status by U0000ANA at 80"
            ]
            second = Control(path, Echo(), lambda peer: actor_of(settings, peer))
            await second.start()
            await second.close()
            assert path.exists(), "another bot's socket is left alone"
        finally:
            await control.close()
        assert actor_of(settings, Peer(4242421, 0)).user == "system:4242421", (
            "nobody whom the settings know"
        )
        with pytest.raises(NoBot):
            [line async for line in ask(path, TerminalCommand("status"), 80)]

    asyncio.run(story())
