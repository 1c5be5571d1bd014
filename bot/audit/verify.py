"""The audit from a terminal: reads the state store that the settings name, without Slack and without disturbing a bot."""

import argparse
import asyncio
import contextlib
import json
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from bot.options import read_settings
from bot.state import Unusable, open_store
from config.values import Settings
from services.audit.anchors import kept_heads
from services.audit.chain import Chain
from services.audit.entries import SHORTEST, Head, read_entry
from services.audit.verify import Finding, verify
from services.cloud.clients.http import Http
from services.cloud.clients.spaces import Spaces
from services.cloud.secrets_bucket import SecretsBucket
from services.common.clock import Clock
from services.common.errors import BotError
from services.store import Store

WHOLE, CANNOT, WRONGLY_ASKED, NOT_WHOLE = 0, 1, 2, 3
MOST = 50  # flaws that are listed
Command = Callable[[Settings, Store, argparse.Namespace, list[str]], Awaitable[int]]


class Wrong(Exception):
    """It was asked for wrongly, in a sentence."""


def run(asked: argparse.Namespace, command: Command) -> int:
    """One command on an open store; returns the exit code."""
    settings = read_settings(asked, secrets=False)
    try:
        if asked.cluster is not None and asked.cluster not in settings.clusters:
            raise Wrong(
                f"there is no cluster {asked.cluster}; there are: {', '.join(sorted(settings.clusters))}"
            )
        names = [asked.cluster] if asked.cluster is not None else sorted(settings.clusters)
        return asyncio.run(_with_store(command, settings, asked, names))
    except Wrong as error:
        return _say(str(error), WRONGLY_ASKED)
    except (Unusable, BotError) as error:
        return _say(str(error), CANNOT)
    except BrokenPipeError:
        return CANNOT


async def _with_store(
    command: Command, settings: Settings, asked: argparse.Namespace, names: list[str]
) -> int:
    store = open_store(settings.state, asked.clock, reading=True)
    try:
        return await command(settings, store, asked, names)
    finally:
        await store.aclose()


async def verify_all(
    settings: Settings, store: Store, asked: argparse.Namespace, names: list[str]
) -> int:
    """Check these clusters, against the heads in their buckets and those handed in, and say what is wrong."""
    given = [h for said in asked.head for h in _heads(said, names)]
    code = WHOLE
    for name in names:
        kept, trouble = (
            ([], "") if asked.no_bucket else await _kept(settings, store, asked.clock, name)
        )
        finding = await verify(
            store,
            Chain(store, asked.clock),
            name,
            [*kept, *(h for h in given if h.cluster in ("", name))],
        )
        code = max(code, NOT_WHOLE if finding.flaws else WHOLE, CANNOT if trouble else WHOLE)
        _tell(finding, len(kept), trouble)
    return code


async def _kept(
    settings: Settings, store: Store, clock: Clock, name: str
) -> tuple[list[Head], str]:
    """The heads in the cluster's bucket, or why they cannot be read."""
    from bot.app import Adapters, bucket_of  # noqa: PLC0415 - all of the bot, which a check without a bucket does not need

    cluster = settings.clusters[name]
    if cluster.spaces is None:
        return [], ""
    bucket = bucket_of(cluster, Adapters(clock, store, Http()))
    if bucket is None:
        return (
            [],
            "the keys of its bucket are not set (SPACES_ACCESS_KEY_ID, SPACES_SECRET_ACCESS_KEY; --no-bucket does without)",
        )
    try:
        return await kept_heads(SecretsBucket(bucket, clock), name), ""
    except BotError as error:
        return [], f"{error} (--no-bucket does without)"
    finally:
        if isinstance(bucket, Spaces):
            await bucket.aclose()


async def export(
    _settings: Settings, store: Store, asked: argparse.Namespace, names: list[str]
) -> int:
    """Write every decision out, one line of JSON each, oldest first."""
    since = _since(asked.since, asked.clock)
    for name in names:
        for text in await Chain(store, asked.clock).texts(name):
            entry = read_entry(text)
            if (
                entry is None or entry.at >= since
            ):  # what cannot be read is not for this command to judge
                sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return WHOLE


def _tell(finding: Finding, kept: int, trouble: str) -> None:
    against = f", and fits {kept} heads from the bucket" if kept and not finding.flaws else ""
    head = f"; head {finding.head.text}" if finding.head else ""
    whole = "NOT WHOLE" if finding.flaws else "whole"
    sys.stdout.write(f"{finding.cluster}: {finding.entries} decisions, {whole}{against}{head}\n")
    for flaw in finding.flaws[:MOST]:
        sys.stdout.write(
            f"  entry {flaw.number} {flaw.problem}\n" if flaw.number else f"  {flaw.problem}\n"
        )
    if len(finding.flaws) > MOST:
        sys.stdout.write(f"  and {len(finding.flaws) - MOST} more\n")
    sys.stdout.flush()
    if trouble:
        _say(f"{finding.cluster}: the heads in the bucket could not be read: {trouble}", CANNOT)


def _heads(said: str, names: Iterable[str]) -> list[Head]:
    """The heads that somebody hands in: the content of a file, or one of their own words."""
    path = Path(said)
    with contextlib.suppress(OSError, ValueError):
        if path.is_file():
            return [
                _in_file(line, path)
                for line in path.read_text("utf-8").splitlines()
                if line.strip()
            ]
    head = _said(said)
    if head is None:
        raise Wrong(
            f"--head {said}: neither a file nor NUMBER:HASH nor a hash of at least {SHORTEST} hex digits"
        )
    if len(list(names)) > 1:
        raise Wrong(f"--head {said}: say whose it is with --cluster")
    return [head]


def _in_file(line: str, path: Path) -> Head:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        raw = json.loads(line)
        head = _said(f"{int(raw['number'])}:{raw['hash']}")
        if head is not None:
            return Head(head.hash, head.number, str(raw.get("cluster", "")))
    if (head := _said(line)) is not None:
        return head
    raise Wrong(
        f"--head {path}: holds no head; allowed: what lies in the bucket under openvidu-bot/audit/, or lines of NUMBER:HASH"
    )


def _said(text: str) -> Head | None:
    match = re.fullmatch(rf"(?:(\d+):)?([0-9a-f]{{{SHORTEST},64}})", text.strip().lower())
    return Head(match[2], int(match[1]) if match[1] else None) if match else None


def _since(text: str, clock: Clock) -> float:
    if not text:
        return 0.0
    if match := re.fullmatch(r"(\d{1,5})d", text):
        return clock.now() - int(match[1]) * 86400.0
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Wrong(
            f"--since {text}: neither a date such as 2026-11-01 nor a number of days such as 30d"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _say(text: str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"{text}\n")
    return code
