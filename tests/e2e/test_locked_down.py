"""The bot as the image runs it: without rights, on a read-only file system except for state."""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from bot.demo.bot_process import BotProcess
from bot.demo.world import DemoWorld
from tests.support.patience import HANG
from tests.support.real_people import shut_down_media
from tests.support.real_sockets import running_world, stopped_at_the_end

ROOT = Path(__file__).parents[2]
UID = 10001
PROGRAMS = ("unshare", "setpriv", "mount")
pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0,
        reason="needs root, to become somebody without rights",
    ),
    pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason=f"needs {', '.join(PROGRAMS)}"),
]

# $1: the state, the only writable place. $2, $3: the folder of Python, and a closed folder that may
# contain it (such as root's home). $4: this repository, which may be in such a folder too and is
# mounted beside the state.
LOCKED = """
set -e
mount --make-rprivate /
if [ -n "$3" ]; then
    mount --bind "$2" "$1/python"
    mount -t tmpfs -o mode=755 tmpfs "$3"
    mkdir -p "$2"
    mount --bind "$1/python" "$2"
    mount -o remount,bind,ro "$2"
    mount -o remount,ro "$3"
fi
mount --bind "$4" "$1/project"
mount -o remount,bind,ro "$1/project"
mount --bind "$1/state" "$1/state"
mount -o remount,bind,ro /
for place in /tmp /var/tmp /dev/shm /run; do
    [ "$(stat -c %m "$place")" = / ] || mount -o remount,bind,ro "$(stat -c %m "$place")" || true
done
shift 4
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \\
    --bounding-set=-all --inh-caps=-all "$@"
"""


def closed_above(path: Path) -> str:
    """The folder on the way there that others may not enter."""
    return next((str(p) for p in reversed(path.parents) if not p.stat().st_mode & 0o001), "")


def prepared(world: DemoWorld, place: Path) -> list[str]:
    """The command that starts the bot in there."""
    state = place / "state"
    for folder in (place, place / "python", place / "project", state):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    settings = yaml.safe_load(
        world.settings_file.read_text().replace(str(world.folder), str(state))
    )
    (state / "settings.yaml").write_text(yaml.safe_dump(settings))
    shutil.copy(world.key_file, state / world.key_file.name)
    for file in (state, *state.iterdir()):
        os.chown(file, UID, UID)
    python = Path(sys.base_prefix)
    program = sys.executable.replace(str(ROOT), str(place / "project"))
    seen = {str(world.settings_file): str(state / "settings.yaml"), sys.executable: program}
    command = [seen.get(word, word) for word in world.bot_command()]
    return [
        "unshare",
        "--mount",
        "sh",
        "-c",
        LOCKED,
        "locked",
        str(place),
        str(python),
        closed_above(python),
        str(ROOT),
        *command,
    ]


def told_of(bot: BotProcess, what: str) -> str:
    return Path(f"/proc/{bot.pid}/{what}").read_text()


def test_without_rights_on_a_read_only_file_system() -> None:
    async def story(folder: Path, place: Path) -> None:
        async with running_world(folder, 30.0) as world:
            bot = BotProcess(folder / "bot.log")
            # asyncssh finds libraries with a temporary file: compose.yaml has a /tmp in memory.
            home = {
                "HOME": str(place / "state"),
                "TMPDIR": str(place / "state"),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            home["PYTHONPATH"] = str(place / "project")
            await bot.start(prepared(world, place), {**world.bot_environment(), **home})
            async with stopped_at_the_end(bot):
                await asyncio.wait_for(world.slack.sockets.until(bool), HANG)
                status = told_of(bot, "status")
                assert f"Uid:\t{UID}\t{UID}\t{UID}\t{UID}" in status
                assert "CapEff:\t0000000000000000" in status
                assert "NoNewPrivs:\t1" in status
                mounts = [line.split() for line in told_of(bot, "mountinfo").splitlines()]
                assert all("ro" in m[5].split(",") for m in mounts if m[4] == "/")
                await shut_down_media(world)
                assert (place / "state" / "state.sqlite3").stat().st_uid == UID
                assert await bot.stop() == 0
            assert "Read-only" not in bot.log_tail()
            assert "Permission denied" not in bot.log_tail()

    with (
        tempfile.TemporaryDirectory(prefix="locked-") as folder,
        tempfile.TemporaryDirectory(prefix="place-") as place,
    ):
        asyncio.run(story(Path(folder), Path(place)))
