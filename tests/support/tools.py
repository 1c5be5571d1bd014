"""Programs that tests run: found, or the test is skipped.

With OPENVIDU_BOT_CI set, found or the test fails.
"""

import os
import shutil
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
