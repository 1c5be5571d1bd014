"""The first lines of `serve`: what it operates, with which files, where its state is."""

import asyncio
import sys
from pathlib import Path

import pytest
import yaml

from bot.packages import LATE, missing_packages
from bot.serve import CannotStart, introduction, serve, state_line
from bot.version import VERSION
from config.settings import Settings, load
from services.common.clock import Clock
from services.store.origin import Origin

CLUSTER = {"stack": "acme", "region": "ams3", "public_url": "https://meet.example.com"}
FULL = CLUSTER | {
    "channel": "C0123OPS",
    "livekit_url": "https://meet.example.com",
    "roles": {"operators": ["U0000ANA", "U0000BEN"]},
    "spaces": {"endpoint": "https://ams3.digitaloceanspaces.com", "bucket": "acme-data"},
}


def settings(folder: Path, env: dict[str, str] | None = None, **clusters: object) -> Settings:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump({"clusters": clusters}))
    return load(file, {"HOME": str(folder), **(env or {})})


def test_what_is_operated_and_what_is_missing(tmp_path: Path) -> None:
    some = settings(tmp_path, acme=FULL, beta=CLUSTER | {"stack": "b2"})
    assert list(introduction(some, "Settings: x.")) == [
        f"openvidu-bot {VERSION} operates acme (stack acme, ams3), beta (stack b2, ams3)",
        "Settings: x.",
        "beta is not fully configured: no channel: changes are refused; "
        "no operators: no one may change anything; no LiveKit: running meetings are unknown; "
        "no bucket: secrets.env cannot be changed from Slack",
    ]


def test_where_the_state_is_and_since_when(tmp_path: Path) -> None:
    one = settings(tmp_path, acme=FULL)
    path = tmp_path / ".local" / "state" / "openvidu-bot" / "state.sqlite3"
    origin = Origin("x", at=1_800_000_000.0)
    assert state_line(one, (origin, True)) == f"state: {path}; new; for one bot"
    assert state_line(one, (origin, False)) == (
        f"state: {path}; in use since 2027-01-15 08:00 UTC; for one bot"
    )
    shared = settings(tmp_path, {"REDIS_URL": "redis://:hunter2@h:6379/0"}, acme=FULL)
    assert state_line(shared, (origin, True)) == (
        "state: Redis (REDIS_URL); new; for any number of bots"
    )
    assert state_line(shared, None) == "state: Redis (REDIS_URL); it does not answer yet"


def test_a_missing_package_is_known_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing_packages() == []
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(CannotStart, match="not installed: boto3; install openvidu-bot again"):
        asyncio.run(serve(settings(tmp_path, acme=FULL), Clock()))


def test_the_packages_that_are_looked_for_are_not_imported_by_that() -> None:
    assert missing_packages([*LATE, "no_such_package"]) == ["no_such_package"]
