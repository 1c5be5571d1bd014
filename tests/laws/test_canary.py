"""Planted secrets: only the bucket has them; nothing sent, logged, stored or raised does."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.logs import OURS, QUIET
from bot.terminal.identity import Peer
from bot.terminal.socket import Control
from handlers.commands.targets import HandlerContext
from handlers.terminal.follow import TerminalContext
from handlers.terminal.session import TerminalCommand, TerminalSession
from services.access.policy import Actor
from services.runs.run import State
from services.store.sqlite import SqliteStore
from tests.procedures.test_config import NEW, ask, bucket, secrets
from tests.support import scene as scenes
from tests.support import virtual
from tests.support.bucket import BotoBucket
from tests.support.scene import Scene

AGAIN = "Another-Horse-Battery-7"


class Ears(logging.Handler):
    """Collects all log records, of every level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("hypothesis"):
            self.heard.append(f"{record.name}: {self.format(record)}")


def planted(scene: Scene) -> set[str]:
    """Return typed values, tokens, Spaces keys, secrets of secrets.env, and those in user_data."""
    lines = secrets(scene).decode().splitlines()
    words = ("PASSWORD", "SECRET", "LICENSE", "REPLICA_SET_KEY", "API_KEY")
    from_file = {
        v
        for k, _, v in (line.partition("=") for line in lines)
        if any(w in k for w in words) and len(v) > 6
    }
    return {
        NEW,
        AGAIN,
        "dop_v1_sim",
        BotoBucket.KEY,
        BotoBucket.SECRET,
        *from_file,
        *scene.estate.canaries,
    }


def stored(scene: Scene) -> str:
    """Return the whole state store as text."""
    assert isinstance(scene.store, SqliteStore)
    database: sqlite3.Connection = scene.store._db
    return "\n".join(database.iterdump())


async def there_and_back(scene: Scene) -> None:
    """Roll back to the old file; then set the new value, with which a master does not start."""
    version = next(
        k for k in scene.environment.spaces.buckets[bucket(scene)].objects if "/versions/" in k
    ).rsplit("/", 1)[-1]
    await scene.ben.type_text("COPS", f"/openvidu config rollback {version}")
    await scene.ana.press(await scene.card("back to version"), "Approve")
    await scene.run_is("acme-2", State.DONE)
    read, broken = scene.estate.read_secrets, True
    assert read is not None
    scene.estate.read_secrets = lambda stack: (
        None if broken and AGAIN.encode() in secrets(scene) else read(stack)
    )
    await scene.ben.press(await ask(scene, value=AGAIN), "Approve")
    await scene.run_is("acme-3", State.ROLLED_BACK)
    broken = False
    await scene.ben.press(await ask(scene), "Approve")
    await scene.run_is("acme-4", State.DONE)
    for words in ("runs acme-3", "config history", "status master-1"):
        await scene.ana.type_text("COPS", f"/openvidu {words}")
        await scene.wait(20)


async def one_evening(scene: Scene) -> None:
    for words in (
        "status",
        "shutdown --dry-run",
        "config list",
        "config history",
        "backup list",
        "help",
        "status master-1",
    ):
        await scene.ana.type_text("COPS", f"/openvidu {words}")
        await scene.wait(20)
    card = await ask(scene)
    await scene.ben.press(card, "Approve")
    await scene.card("acme has its new configuration")
    await there_and_back(scene)
    await scene.ana.type_text("COPS", "/openvidu config set DASHBOARD_ADMIN_PASSWORD")
    view = await scene.ana.wait_for(scene.ana.modal)
    await scene.ana.fill_and_submit(view, {"New value": f"{NEW}|x"})
    await scene.ana.close(scene.ana.modal())
    scene.environment.faults.add("digitalocean", "500-before", times=3)
    scene.environment.faults.add("spaces", "503", times=2)
    await scene.ana.type_text("COPS", "/openvidu config list")
    await typed_where_it_does_not_belong(scene)


async def typed_where_it_does_not_belong(scene: Scene) -> None:
    """Post a value in the channel: Slack has seen it; the bot neither repeats nor stores it."""
    key = "DASHBOARD_ADMIN_PASSWORD"
    for words in (
        NEW,
        f"{key} {NEW}",
        f"{key}={NEW}",
        f"{key} --value={NEW}",
        f"{key} {NEW} --dry-run",
        f"{key} --dry-run",
    ):
        await scene.ana.type_text("COPS", f"/openvidu config set {words}")
        await scene.wait(20)
    await scene.ana.mention_bot("COPS", f"config set {key} {NEW}")
    await scene.wait(60)


async def typed_at_a_terminal(scene: Scene) -> str:
    """Do the same at a terminal, through the socket's own parser; return the answer."""
    bot, key, said = scene.bot, "DASHBOARD_ADMIN_PASSWORD", []
    terminal = TerminalSession(
        bot.operations.service,
        bot.operations.sweep,
        bot.scheduler,
        scene.clock,
        TerminalContext(HandlerContext()),
        drives=False,
    )
    control = Control(Path("unused"), terminal, lambda _: Actor("UANA"))
    for verb in ("say", "run", "plan"):
        for words in (
            f"config set {key} {NEW}",
            f"config set {key}={NEW}",
            f"config list {NEW}",
            f"{key}={NEW}",
            f"confg set {key} {NEW}",
        ):
            said += [
                line.text
                async for line in control.run_order(TerminalCommand(verb, words), Peer(1, 1), 100)
            ]
    assert len(said) >= 15
    return "\n".join(said)


@pytest.fixture
def ears() -> Iterator[Ears]:
    """Everything is logged, except for what the bot's own set-up always silences."""
    listening, root, disabled = Ears(), logging.getLogger(), logging.root.manager.disable
    wanted = {root: logging.DEBUG, logging.getLogger("botocore"): QUIET["botocore"]}
    # Whatever a test before this one left them at.
    wanted |= {logging.getLogger(name): logging.NOTSET for name in OURS}
    levels = {logger: logger.level for logger in wanted}
    logging.disable(logging.NOTSET)
    root.addHandler(listening)
    for logger, level in wanted.items():
        logger.setLevel(level)
    yield listening
    root.removeHandler(listening)
    for logger, level in levels.items():
        logger.setLevel(level)
    logging.disable(disabled)


def test_no_planted_value_is_found_anywhere(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "InProcessBucket", BotoBucket)

    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            scene.estate.allow_rolling = True
            secret = planted(scene)
            said = _listened_to(scene, monkeypatch)
            await one_evening(scene)
            terminal = await typed_at_a_terminal(scene)
            assert any("botocore" in name for name in logging.root.manager.loggerDict), (
                "it was the real client"
            )
            places: dict[str, Any] = {
                "the state": stored(scene),
                "the log": "\n".join(ears.heard),
                "Slack": "\n".join(said),
            }
            lengths = {place: len(text) for place, text in places.items()}
            assert min(lengths.values()) > 10_000, lengths
            places["the terminal"] = terminal
            for value in secret:
                for place, text in places.items():
                    assert value not in text, (
                        f"a secret of {len(value)} characters is in {place}: "
                        f"…{_around(text, value)}…"
                    )
            assert NEW.encode() in (
                scene.environment.spaces.read(bucket(scene), "secrets.env") or b""
            )

    virtual.run(story())


def _listened_to(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return every call as sent, before the fake Slack masks it, and every acknowledgement."""
    said: list[str] = []
    handle, write = scene.slack.webapi.handle, scene.slack.journal.write

    def handling(method: str, token: str, args: dict[str, Any]) -> Any:
        said.append(f"{method} {json.dumps(args, ensure_ascii=False)}")
        return handle(method, token, args)

    def writing(kind: str, name: str, **more: Any) -> Any:
        if kind != "envelope":  # what people typed themselves is theirs
            said.append(f"{kind} {more}")
        return write(kind, name, **more)

    monkeypatch.setattr(scene.slack.webapi, "handle", handling)
    monkeypatch.setattr(scene.slack.journal, "write", writing)
    return said


def _around(text: str, value: str) -> str:
    at = text.index(value)
    return text[max(0, at - 60) : at] + "•" + text[at + len(value) : at + len(value) + 20]
