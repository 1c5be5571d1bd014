"""`openvidu-bot record` and `serve --record` over real sockets, and what `replay` says to it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bot.demo.world import OPS, STACK, DemoWorld
from bot.record.command import chosen, record, summary
from bot.record.recorder import Recorder, stacks_of
from bot.replay.command import replay, report
from config.settings import SettingsError, load
from tests.e2e.test_doctor import clock_of
from tests.support.patience import HANG
from tests.support.real_sockets import bot_of, running_world

SPEED = 4.0


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in file.read_text().splitlines()]


def secrets_of(world: DemoWorld) -> list[str]:
    """What must not be in a recording: keys, tokens, addresses, names, user_data."""
    estate = world.environment.estate
    livekit = world.environment.livekit[STACK]
    found = [livekit.api_key, livekit.api_secret, "dop_v1_sim", "xoxb-sim", "sim-spaces-secret"]
    found += [d.public_ip for d in estate.droplets.values()]
    found += [d.name for d in estate.droplets.values()]
    found += [str(d.id) for d in estate.droplets.values()]
    found += [m.name for m in estate.meetings_of(STACK)] + ["127.0.0.1", "user_data: "]
    found += [estate.clusters[STACK].domain, estate.clusters[STACK].bucket, "acme", "UANA", "ops@"]
    return found


def test_a_look_is_recorded_and_is_no_different(tmp_path: Path) -> None:
    file = tmp_path / "look.jsonl"

    async def story() -> None:
        async with running_world(tmp_path / "world", SPEED) as world:
            settings, clock = load(world.settings_file, world.bot_environment()), clock_of(world)
            assert list(chosen(settings, STACK).clusters) == [STACK]
            with pytest.raises(SettingsError, match="allowed: acme"):
                chosen(settings, "other")
            requests = world.environment.estate.requests
            began = len(requests)
            recorder = Recorder(file, "0.0", stacks_of(settings), clock.now)
            await record(settings, clock, recorder, 8.0)
            await asyncio.to_thread(recorder.close)
            assert recorder.missed == 0
            assert {method for method, *_ in requests[began:]} == {"GET"}, "it changes nothing"
            text = file.read_text()
            assert not [secret for secret in secrets_of(world) if secret in text]
            said = summary(recorder, file)
            assert said.endswith("Read it before you send it.\n")
            assert f"{len(lines_of(file)) - 1} exchanges" in said

    asyncio.run(story())
    header, *lines = lines_of(file)
    assert header["kind"] == "pool"
    parties = {line["party"] for line in lines}
    assert parties == {"digitalocean", "livekit", "http", "spaces", "ssh", "slack"}
    assert {"look", "inspect", "start of openvidu"} <= {line["ask"] for line in lines}
    assert {"auth.test", "conversations.info"} <= {line["ask"] for line in lines}
    names = [d["name"] for line in lines if line["ask"] == "GET /v2/droplets"
        for d in line["answer"]["droplets"]]  # fmt: skip
    assert {"master-1", "master-4", "media-1"} <= set(names)
    assert lines[-1]["t"] >= 8, "it kept looking"
    result = replay(file, {})
    assert not result.differences, report([result])


@pytest.mark.parametrize(
    "full",
    [
        pytest.param(False, id="file"),
        pytest.param(True, id="full disk", marks=pytest.mark.thorough),
    ],
)
def test_a_bot_records_while_it_serves(full: bool, tmp_path: Path) -> None:
    """A disk that is full ends the recording with one line, and nothing else."""
    file = tmp_path / "bot.jsonl"
    if full:
        file = Path("/dev/full")

    async def story() -> str:
        async with running_world(tmp_path / "world", SPEED) as world:
            command = world.bot_command()
            world.bot_command = lambda: [*command, "--record", str(file)]  # type: ignore[method-assign]
            async with bot_of(world):
                await world.slack.sockets.until(bool)
                ana = world.slack.slack.user("UANA")
                await ana.type_text(OPS, "/openvidu status")
                await ana.wait_for_message(OPS, "Cost now", HANG)
            return (world.folder / "bot.log").read_text()

    log = asyncio.run(story())
    assert log.count("the recording ends") == int(full)
    if not full:
        header, *lines = lines_of(file)
        assert header["format"] == 1
        assert {"digitalocean", "slack"} <= {line["party"] for line in lines}
        assert "GET /v2/droplets" in {line["ask"] for line in lines}
        assert "UANA" not in file.read_text()
