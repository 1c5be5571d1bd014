"""The packages of the image: half of what pip installs, and a bot that works with them."""

import asyncio
import base64
import csv
import hashlib
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bot.demo.bot_process import BotProcess
from services.common.serialize import read, write
from services.operations.rehearsal import CLASSES
from tests.rehearsal.test_estate import busy, scenario_of
from tests.support.patience import HANG
from tests.support.real_people import shut_down_media
from tests.support.real_sockets import running_world, stopped_at_the_end
from tests.support.runtime import ROOT, install, our_requirements, size_of, slim

# What the bot loads only when it is used.
LATE = """
import datetime, socket, sys
from handlers.views.month_drawing import draw_month
assert draw_month([], []).startswith(b"\\x89PNG")
import asyncssh, cryptography.x509, icalendar, jwt, services.store.redis, bot.rehearsal.play
print(*sorted({m.__file__ for m in list(sys.modules.values()) if "site-packages" in str(m)}))
"""


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("slim") / "site"
    install(our_requirements(), site)
    whole = size_of(site)
    slim(site)
    assert size_of(site) < whole / 2
    return site


@pytest.mark.thorough
def test_each_distribution_tells_what_is_there(site: Path) -> None:
    distributions = list(metadata.distributions(path=[str(site)]))
    assert len(distributions) > 30
    for distribution in distributions:
        rows = list(csv.reader((distribution.read_text("RECORD") or "").splitlines()))
        for name, digest, size in rows:
            content = (site / name).read_bytes()
            if digest:
                found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
                assert digest == f"sha256={found.rstrip('=')}", name
                assert int(size) == len(content), name


@pytest.mark.thorough
def test_every_requirement_is_satisfied(site: Path) -> None:
    there = {
        str(each.name).lower().replace("_", "-"): each.version
        for each in metadata.distributions(path=[str(site)])
    }
    for distribution in metadata.distributions(path=[str(site)]):
        for line in distribution.requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert there[needed.name.lower().replace("_", "-")] in needed.specifier, line


def test_what_is_not_there_any_more_stops_it(tmp_path: Path) -> None:
    """A new version of a package may have what is removed elsewhere: the build fails then."""
    command = [sys.executable, str(ROOT / "scripts" / "slim.py"), str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "PIL/_avif.* is not there" in done.stderr


@pytest.mark.thorough
def test_what_is_loaded_later_is_there(site: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", LATE],
        env={"PYTHONPATH": f"{site}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == ""


@pytest.mark.thorough
def test_a_change_is_rehearsed_with_them(site: Path) -> None:
    scenario = replace(scenario_of(busy, media=2), runs=1)
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-m", "bot.rehearsal", "120"],
        input=write(scenario, CLASSES),
        env={"PYTHONPATH": f"{site}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(read(done.stdout, CLASSES, "the result").runs) == 1


def maps_of(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.thorough
def test_a_bot_works_with_them(site: Path) -> None:
    """Over real sockets: DigitalOcean with pydo, the nodes with asyncssh, the bucket with S3."""

    async def story(folder: Path) -> None:
        async with running_world(folder, 20.0) as world:
            bot = BotProcess(folder / "bot.log")
            command = world.bot_command()
            # -S: nothing of this environment's packages.
            environment = {**world.bot_environment(), "PYTHONPATH": f"{site}:{ROOT}"}
            await bot.start([command[0], "-S", *command[1:]], environment)
            async with stopped_at_the_end(bot):
                await asyncio.wait_for(world.slack.sockets.until(bool), HANG)
                assert "site-packages" not in maps_of(bot.pid)
                await shut_down_media(world, ("/openvidu config list", "secrets.env"))
                assert await bot.stop() == 0
            assert "another shape" not in bot.log_tail()
            assert "Traceback" not in bot.log_tail()

    with tempfile.TemporaryDirectory(prefix="slim-") as folder:
        asyncio.run(story(Path(folder)))
