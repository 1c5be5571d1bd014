"""`openvidu-bot audit`: reads the state store directly, without Slack, also while a bot runs."""

import argparse
import asyncio
import contextlib
import difflib
import json
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from bot.clusters import ClusterAdapters, bucket_of, guarded
from bot.options import read_settings, say_files
from bot.state import Unusable, open_store
from config.values import Settings
from services.audit.anchors import anchored_heads
from services.audit.chain import AuditChain
from services.audit.entries import SHORTEST, Head, read_entry
from services.audit.verify import Verification, verify
from services.cloud.clients.http import HttpClient
from services.cloud.clients.read_only import ReadingBucket
from services.cloud.clients.spaces import SpacesClient
from services.cloud.secrets_bucket import SecretsBucket
from services.common.clock import Clock
from services.common.errors import BotError
from services.store import Store
from services.store.keys import run_log_key
from services.timeline import check_export, read_export, runs_in, unproven

WHOLE, CANNOT, WRONGLY_ASKED, NOT_WHOLE = 0, 1, 2, 3  # exit codes
MAX_FLAWS = 50  # listed for each cluster
SECONDS_A_DAY = 86400.0
NO_KEYS = (
    "its keys are not set (SPACES_ACCESS_KEY_ID, SPACES_SECRET_ACCESS_KEY); --no-bucket skips this"
)
Command = Callable[[Settings, Store, argparse.Namespace, list[str]], Awaitable[int]]


class WrongArguments(Exception):
    """The command's arguments are wrong; the message says how."""


def run_verify(options: argparse.Namespace) -> int:
    """Run `openvidu-bot audit verify`; return the exit code."""
    return _run(options, verify_all)


def run_export(options: argparse.Namespace) -> int:
    """Run `openvidu-bot audit export`; return the exit code."""
    return _run(options, export)


def _run(options: argparse.Namespace, command: Command) -> int:
    settings = read_settings(options, secrets=False)
    say_files(options)
    try:
        names = _clusters(settings, options.cluster)
        return asyncio.run(_with_store(command, settings, options, names))
    except WrongArguments as error:
        return _report(str(error), WRONGLY_ASKED)
    except (Unusable, BotError) as error:
        return _report(str(error), CANNOT)
    except BrokenPipeError:
        return CANNOT


def _clusters(settings: Settings, name: str | None) -> list[str]:
    """Return the cluster that was named, or all of them."""
    if name is None:
        return sorted(settings.clusters)
    if name not in settings.clusters:
        names = sorted(settings.clusters)
        similar = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
        hint = f"Did you mean {similar[0]}?" if similar else f"Clusters: {', '.join(names)}."
        raise WrongArguments(f"There is no cluster {name}. {hint}")
    return [name]


async def _with_store(
    command: Command, settings: Settings, options: argparse.Namespace, names: list[str]
) -> int:
    store = open_store(settings.state, options.clock, reading=True)
    try:
        return await command(settings, store, options, names)
    finally:
        await store.aclose()


async def verify_all(
    settings: Settings, store: Store, options: argparse.Namespace, names: list[str]
) -> int:
    """Verify clusters against the heads in their buckets and those given; print what is wrong."""
    if options.timeline:
        return await verify_timeline(store, options, sorted(settings.clusters))
    given = [head for text in options.head for head in _heads(text, names)]
    code = WHOLE
    for name in names:
        anchored: list[Head] = []
        problem = ""
        if not options.no_bucket:
            anchored, problem = await _anchored_heads(settings, options.clock, name)
        heads = [*anchored, *(head for head in given if head.cluster in ("", name))]
        finding = await verify(store, AuditChain(store, options.clock), name, heads)
        if finding.flaws:
            code = NOT_WHOLE
        elif problem:
            code = max(code, CANNOT)
        _print_finding(finding, len(anchored), problem)
    return code


async def _anchored_heads(settings: Settings, clock: Clock, name: str) -> tuple[list[Head], str]:
    """Return the heads in the cluster's bucket, and why they could not be read ("": they could)."""
    cluster = settings.clusters[name]
    if cluster.spaces is None:
        return [], ""
    bucket = bucket_of(cluster, guarded(settings, ClusterAdapters(clock, HttpClient())))
    if bucket is None:
        return [], NO_KEYS
    try:
        return await anchored_heads(SecretsBucket(bucket, clock), name), ""
    except BotError as error:
        return [], f"{error}; --no-bucket skips this"
    finally:
        if isinstance(bucket, SpacesClient | ReadingBucket):
            await bucket.aclose()


async def verify_timeline(store: Store, options: argparse.Namespace, names: list[str]) -> int:
    """Verify an exported timeline against the audit and the journals; print what is wrong."""
    path = Path(options.timeline)
    try:
        found = read_export(await asyncio.to_thread(path.read_text, "utf-8"))
    except (OSError, ValueError) as error:
        raise WrongArguments(f"--timeline {path}: {error}") from None
    name = str(found.head["cluster"])
    if name not in names:
        raise WrongArguments(f"--timeline {path}: there is no cluster {name} in the settings")
    chain = AuditChain(store, options.clock)
    audit = await verify(store, chain, name)
    if audit.flaws:
        _print_finding(audit, 0, "")
    entries = [e for e in map(read_entry, await chain.texts(name)) if e is not None]
    journals = {run: await store.read(run_log_key(run)) for run in sorted(runs_in(found))}
    flaws = check_export(found, entries, journals)
    verdict = "NOT INTACT" if flaws else "intact, and the audit vouches for it"
    sys.stdout.write(f"timeline of {found.head['subject']}: {len(found.lines)} lines, {verdict}\n")
    for flaw in flaws[:MAX_FLAWS]:
        sys.stdout.write(f"  line {flaw.line} {flaw.problem}\n")
    if others := unproven(found):
        sys.stdout.write(
            f"  {others} lines are as DigitalOcean and Slack reported them then: "
            "whether that was true cannot be verified\n"
        )
    return NOT_WHOLE if flaws or audit.flaws else WHOLE


async def export(
    _settings: Settings, store: Store, options: argparse.Namespace, names: list[str]
) -> int:
    """Print every entry as one line of JSON, oldest first; an unreadable entry is printed too."""
    since = _since(options.since, options.clock)
    for name in names:
        for text in await AuditChain(store, options.clock).texts(name):
            entry = read_entry(text)
            if entry is None or entry.at >= since:
                sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return WHOLE


def _print_finding(finding: Verification, anchored: int, problem: str) -> None:
    parts = [f"{finding.cluster}: {finding.entries} decisions, {_verdict(finding, anchored)}"]
    if finding.head:
        parts.append(f"head {finding.head.text}")
    sys.stdout.write("; ".join(parts) + "\n")
    for flaw in finding.flaws[:MAX_FLAWS]:
        if flaw.number:
            sys.stdout.write(f"  entry {flaw.number} {flaw.problem}\n")
        else:
            sys.stdout.write(f"  {flaw.problem}\n")
    if len(finding.flaws) > MAX_FLAWS:
        sys.stdout.write(f"  and {len(finding.flaws) - MAX_FLAWS} more\n")
    sys.stdout.flush()
    if problem:
        _report(f"{finding.cluster}: the heads in the bucket could not be read: {problem}", CANNOT)


def _verdict(finding: Verification, anchored: int) -> str:
    if finding.flaws:
        return "NOT INTACT"
    if anchored:
        return f"intact, and matches {anchored} heads from the bucket"
    return "intact"


def _heads(text: str, names: Iterable[str]) -> list[Head]:
    """Return the heads of one `--head`: the content of a file, NUMBER:HASH, or a hash."""
    path = Path(text)
    with contextlib.suppress(OSError, ValueError):
        if path.is_file():
            lines = path.read_text("utf-8").splitlines()
            return [_head_in_file(line, path) for line in lines if line.strip()]
    head = _parse_head(text)
    if head is None:
        raise WrongArguments(
            f"--head {text}: found neither a file, NUMBER:HASH, nor a hash of at least {SHORTEST} "
            "hex digits"
        )
    if len(list(names)) > 1:
        raise WrongArguments(f"--head {text}: name its cluster with --cluster")
    return [head]


def _head_in_file(line: str, path: Path) -> Head:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        raw = json.loads(line)
        head = _parse_head(f"{int(raw['number'])}:{raw['hash']}")
        if head is not None:
            return Head(head.hash, head.number, str(raw.get("cluster", "")))
    if (head := _parse_head(line)) is not None:
        return head
    raise WrongArguments(
        f"--head {path}: holds no head; allowed: a file of the bucket under "
        "openvidu-bot/audit/, or lines of NUMBER:HASH"
    )


def _parse_head(text: str) -> Head | None:
    match = re.fullmatch(rf"(?:(\d+):)?([0-9a-f]{{{SHORTEST},64}})", text.strip().lower())
    if match is None:
        return None
    if match[1] is None:
        return Head(match[2], None)
    return Head(match[2], int(match[1]))


def _since(text: str, clock: Clock) -> float:
    """Return the moment of `--since`: a date, or a number of days before now."""
    if not text:
        return 0.0
    if match := re.fullmatch(r"(\d{1,5})d", text):
        return clock.now() - int(match[1]) * SECONDS_A_DAY
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise WrongArguments(
            f"--since {text}: allowed: a date such as 2026-11-01, or a number of days such as 30d"
        ) from None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return date.timestamp()


def _report(text: str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"{text}\n")
    return code
