"""Programs that tests drive: found, or the test is skipped; with OPENVIDU_BOT_CI set, found or the test fails."""

import os
import shutil

import pytest


def redis_server() -> str:
    """The path of a Redis (or Valkey) server."""
    return _find("redis-server", "valkey-server", package="redis-server")


def chromium() -> str:
    """The path of a browser for Playwright's `executable_path`."""
    return _find("chromium", "chromium-browser", "google-chrome", package="chromium")


def sshd() -> str:
    """The path of an OpenSSH server; it insists on being started by a whole path."""
    return _find("sshd", "/usr/sbin/sshd", package="openssh-server")


def _find(*names: str, package: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    if os.environ.get("OPENVIDU_BOT_CI"):
        pytest.fail(f"{package} is missing, and OPENVIDU_BOT_CI says that it must be there")
    pytest.skip(f"needs {package}: apt-get install {package}")
