"""The installed command: whose code it runs, and that it stops whenever it is asked to."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot.command_line import build_parser, load_command
from bot.demo.world import DemoWorld
from bot.version import VERSION
from simulators.clock import ScaledClock
from tests.support.patience import HANG

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ROOT / ".venv" / "bin" / "openvidu-bot"
NAMES = (
    "bot",
    "config",
    "handlers",
    "services",
    "simulators",
    "openvidu_bot",
    "argparse",
    "asyncio",
    "json",
    "sitecustomize",
)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder that any user may have written to, with modules named like the bot's imports."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("import os\nos.write(2, b'EVIL')\nos._exit(66)\n")
    return tmp_path


def said(command: Path, *words: str, cwd: Path, **env: str) -> tuple[int, str, str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), **env}
    done = subprocess.run(
        [command, *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


needs_clone = pytest.mark.skipif(
    not COMMAND.is_file(), reason="the command is made by scripts/env.py"
)


@needs_clone
@pytest.mark.parametrize("path", [None, "", ".", ":/nowhere"])
def test_code_of_the_current_folder_is_never_run(hostile: Path, path: str | None) -> None:
    env = {} if path is None else {"PYTHONPATH": path}
    assert said(COMMAND, "--version", cwd=hostile, **env) == (0, f"openvidu-bot {VERSION}\n", "")


@needs_clone
def test_a_link_to_the_command_is_as_good(hostile: Path) -> None:
    """install.sh makes one in /usr/local/bin."""
    link = hostile / "openvidu-bot"
    link.symlink_to(COMMAND)
    assert said(link, "--version", cwd=hostile) == (0, f"openvidu-bot {VERSION}\n", "")


def test_the_demo_starts_its_bot_without_the_current_folder(tmp_path: Path) -> None:
    command = DemoWorld(tmp_path, ScaledClock(1.0)).bot_command()
    assert command[:4] == [sys.executable, "-P", "-m", "bot"]


# Subcommands

# Prints the modules of ours that are there once all options are known.
LIGHT = """
import sys
from bot.command_line import build_parser
build_parser().format_help()
print(*(name for name in sys.modules if name.split(".")[0] in sys.argv[1:]))
"""
HEAVY = ("aiohttp", "slack_bolt", "slack_sdk", "redis", "boto3", "pydo", "asyncssh", "simulators")


@pytest.mark.parametrize(
    "words",
    [
        ("serve",),
        ("demo",),
        ("manifest",),
        ("init",),
        ("doctor",),
        ("status",),
        ("audit", "verify"),
        ("audit", "export"),
    ],
)
def test_every_subcommand_names_a_function_that_is_there(words: tuple[str, ...]) -> None:
    entry = build_parser().parse_args(words).entry
    assert callable(load_command(entry)), entry


def test_help_waits_for_no_library_that_only_a_command_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *HEAVY], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


# Signals

# Starts the bot's command line and stops in the middle of its imports, to be sent a signal there.
MIDWAY = """
import importlib.abc, os, signal, sys

class Gate(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "config.settings":
            os.write(1, b"importing\\n")
            signal.pause()  # returns after a handler ran, if the process still is
            os._exit(99)
        return None

sys.meta_path.insert(0, Gate())
from bot.__main__ import main
sys.argv = ["openvidu-bot", *sys.argv[1:]]
sys.exit(main())
"""


@pytest.mark.parametrize(("words", "code"), [(("serve",), 0), (("doctor",), 128 + signal.SIGTERM)])
def test_sigterm_while_it_is_being_loaded_ends_it(words: tuple[str, ...], code: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", MIDWAY, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "importing\n"
    child.send_signal(signal.SIGTERM)
    assert child.wait(HANG) == code
    child.stdout.close()


# As a container's first process, with the image's ENTRYPOINT. $0: a named pipe to wait for.
FIRST = """
exec env --block-signal=TERM --block-signal=INT \\
    sh -c 'echo started; read -r _ < "$0"; exec "$@"' "$@"
"""
can_be_first = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="needs root and unshare, to be process 1",
)


@needs_clone
@can_be_first
def test_a_first_process_loses_no_sigterm_however_early_it_comes(tmp_path: Path) -> None:
    """Sent before Python runs: the kernel keeps the blocked signal until a handler is set."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    command = [str(gate), str(COMMAND), "serve", "--config", "/none"]
    outer = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", FIRST, "first", *command],
        stdout=subprocess.PIPE,
    )
    assert outer.stdout is not None
    assert outer.stdout.readline() == b"started\n"
    first = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0])
    status = Path(f"/proc/{first}/status").read_text()
    assert status.partition("NSpid:")[2].splitlines()[0].split()[-1] == "1"
    os.kill(first, signal.SIGTERM)
    gate.write_text("go\n")
    assert outer.wait(HANG) == 0, "settings that are not there would be 2"
    outer.stdout.close()


def test_the_image_starts_it_so() -> None:
    entry = next(
        line
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("ENTRYPOINT")
    )
    assert (
        entry == 'ENTRYPOINT ["env", "--block-signal=TERM", "--block-signal=INT", "openvidu-bot"]'
    )
