"""The wheel as pip and pipx install it: one name in site-packages, a command that runs anywhere."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bot.version import VERSION
from tests.install.test_command import hostile, said
from tests.support.patience import HANG

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bot", "config", "handlers", "services", "simulators")
__all__ = ["hostile"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made


def test_it_holds_the_whole_program_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    sources = {
        f"openvidu_bot/packages/{p.relative_to(ROOT)}"
        for top in PACKAGES
        for p in (ROOT / top).rglob("*.py")
    }
    assert sources <= set(names)
    assert {name.split("/", 1)[0] for name in names} == {
        "openvidu_bot",
        f"openvidu_bot-{VERSION}.dist-info",
    }
    assert not [
        name for name in names if "tests/" in name or name.endswith((".env", ".pem", ".pyc"))
    ]
    assert f"openvidu_bot-{VERSION}.dist-info/licenses/LICENSE" in names


@pytest.mark.thorough
def test_installed_it_is_one_name_and_a_command_that_works_from_any_folder(
    wheel: Path, hostile: Path, tmp_path_factory: Any
) -> None:
    """The wheel alone, with this environment's dependencies; `make install-test` has its own."""
    venv: Path = tmp_path_factory.mktemp("venv")
    python, command = venv / "bin" / "python", venv / "bin" / "openvidu-bot"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-compile",
    ]
    subprocess.run([*pip, "--disable-pip-version-check", str(wheel)], check=True)
    (site,) = venv.glob("lib/python3*/site-packages")
    assert sorted(p.name for p in site.iterdir()) == [
        "openvidu_bot",
        f"openvidu_bot-{VERSION}.dist-info",
    ]
    commands = sorted(
        p.name
        for p in (venv / "bin").iterdir()
        if not p.name.lower().startswith(("python", "activate"))
    )
    assert commands == ["openvidu-bot"]
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")

    told = (0, f"openvidu-bot {VERSION}\n", "")
    assert said(command, "--version", cwd=hostile) == told
    for name in (
        "argparse",
        "asyncio",
        "json",
        "sitecustomize",
        "openvidu_bot",
    ):  # PYTHONPATH is read before any code of ours
        (hostile / f"{name}.py").unlink()
    assert said(command, "--version", cwd=hostile, PYTHONPATH=".") == told
    assert said(python, "-P", "-m", "openvidu_bot", "--version", cwd=hostile) == told
    the_demo_finds_it_all(command, hostile)


def the_demo_finds_it_all(command: Path, folder: Path) -> None:
    """It has pages, an example of settings and a process of its own to find."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    words = [str(command), "demo", "--world-only", "--port", "0"]
    world = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment)
    assert world.stdout is not None
    try:
        assert any("openvidu-bot serve" in line for line in iter(world.stdout.readline, ""))
    finally:
        world.terminate()
        assert world.wait(HANG) == 0
        world.stdout.close()
