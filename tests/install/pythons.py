"""Installs the wheel with its dependencies for each supported Python on this machine, and runs it.

`python -m tests.install.pythons`. pip installs it into a new environment, from its configured
indexes. Then the command is run from another folder and has to serve the simulated world.
Pythons that are missing are named, and the exit code is 0 nevertheless.
"""

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bot.version import VERSION
from tests.e2e.test_connect import BOT, answers_to, bare, exports_of, first_word, introduced
from tests.install.box import ROOT, Report, run

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
report = Report("install-test")


def main() -> int:
    """Each Python in turn."""
    with tempfile.TemporaryDirectory(prefix="install-test-") as name:
        folder = Path(name)
        run(
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "-t",
            "wheel",
            "-d",
            str(folder),
            seconds=120,
        )
        (wheel,) = folder.glob("*.whl")
        here = {version: found for version in VERSIONS if (found := python(version))}
        for version, program in here.items():
            installed(version, program, wheel, folder / version)
        if missing := [version for version in VERSIONS if version not in here]:
            print(f"  left out: Python {', '.join(missing)} (not on this machine)")
    return report.end()


def python(version: str) -> str:
    """One that is on PATH, or that pyenv has, and can make environments."""
    places = [
        shutil.which(f"python{version}") or "",
        *map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))),
    ]
    probe = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    for place in filter(None, places):
        done = subprocess.run([place, "-c", probe], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return place
    return ""


def installed(version: str, program: str, wheel: Path, venv: Path) -> None:
    print(f"Python {version} ({program})", flush=True)
    run(program, "-m", "venv", str(venv))
    before = {path.name for path in site(venv).iterdir()}
    run(str(venv / "bin" / "pip"), "install", "--quiet", str(wheel), seconds=1800)
    ours = {path.name for path in site(venv).iterdir()} - before - others(venv)
    report.check(
        "one name of ours in site-packages",
        ours,
        {"openvidu_bot", f"openvidu_bot-{VERSION}.dist-info"},
    )
    with tempfile.TemporaryDirectory() as other:
        for name in ("bot", "config", "services", "json"):
            Path(other, f"{name}.py").write_text("import os\nos._exit(66)\n")
        command = str(venv / "bin" / "openvidu-bot")
        told = subprocess.run(
            [command, "--version"],
            cwd=other,
            env=bare(PYTHONPATH=""),
            capture_output=True,
            text=True,
            check=False,
        )
        report.check(
            "--version, from a folder with another bot.py", told.stdout, f"openvidu-bot {VERSION}\n"
        )
        serves(command, other)


def site(venv: Path) -> Path:
    (found,) = venv.glob("lib/python3*/site-packages")
    return found


def others(venv: Path) -> set[str]:
    """Return the dependencies that the packages installed, by their own lists of files."""
    records = [
        record
        for record in site(venv).glob("*.dist-info/RECORD")
        if not record.parent.name.startswith("openvidu_bot-")
    ]
    files = [
        line.partition(",")[0] for record in records for line in record.read_text().splitlines()
    ]
    return (
        {file.partition("/")[0] for file in files}
        | {record.parent.name for record in records}
        | {"__pycache__"}
    )


def serves(command: str, folder: str) -> None:
    world = subprocess.Popen(
        [*BOT, "demo", "--world-only", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=bare(),
        cwd=ROOT,
    )
    try:
        assert world.stdout is not None
        told = introduced(world.stdout)
        url = re.search(r"Slack's page: (\S+)", told)
        assert url is not None
        env, answers = bare(**exports_of(told)) | {"PYTHONPATH": ""}, answers_to(told)
        words = [
            "init",
            "--no-questions",
            "--stack",
            "acme",
            "--region",
            "ams3",
            "--public-url",
            answers["Public address"],
        ]
        words += [
            "--operators",
            answers["Operators"].replace(" ", ""),
            "--channel",
            "COPS",
            "--timezone",
            "UTC",
            "--key-file",
            answers["Private SSH key of the nodes"],
            "--me",
            "none",
        ]
        made = subprocess.run(
            [command, *words], cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        report.check(
            "init", (made.returncode, "" if made.returncode == 0 else made.stderr), (0, "")
        )
        with Path(folder, "bot.log").open("w") as log:
            bot = subprocess.Popen([command, "serve"], cwd=folder, env=env, stderr=log)
        try:
            asyncio.run(first_word(url[1]))
            report.check("serve answers in Slack", True)
        except AssertionError:
            report.check(
                "serve answers in Slack", Path(folder, "bot.log").read_text()[-2000:], True
            )
        finally:
            bot.terminate()
            report.check("and stops in order", bot.wait(30), 0)
    finally:
        world.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            world.wait(60)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
