"""`openvidu-bot record`: look at the clusters, read-only, and record what they answer."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.clusters import news_channels
from bot.doctor.context import DoctorContext, Target, open_context
from bot.options import found_files, read_settings, require_secrets, say_files
from bot.record.recorder import Recorder, stacks_of
from bot.version import own_version
from config.settings import SettingsError
from config.values import Settings
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.listings import SharedAccount
from services.cluster.model import EVERYTHING, Cluster, Fact
from services.common.clock import Clock
from services.common.errors import BotError

LOOK_SECONDS = 5.0
NEEDS = EVERYTHING | {Fact.SERVICES, Fact.SECRETS}
PARTIES = {
    "digitalocean": "DigitalOcean", "ssh": "scripts on nodes", "livekit": "LiveKit",
    "http": "health pages", "spaces": "bucket", "slack": "Slack",
}  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run `openvidu-bot record`; return the exit code."""
    settings = chosen(read_settings(options, secrets=False), options.cluster)
    require_secrets(settings, found_files(options), slack=False)
    say_files(options)
    clock: Clock = options.clock
    try:
        recorder = Recorder(options.file, own_version(), stacks_of(settings), clock.now)
    except OSError as error:
        sys.stderr.write(f"{options.file}: {error.strerror}\n")
        return 1
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(record(settings, clock, recorder, options.minutes * 60))
    recorder.close()
    sys.stdout.write(summary(recorder, options.file))
    return 1 if recorder.problem or not recorder.recording.kept else 0


def chosen(settings: Settings, cluster: str | None) -> Settings:
    """Return the settings of one cluster alone; of all of them when none is named."""
    if cluster is None:
        return settings
    if cluster not in settings.clusters:
        allowed = ", ".join(settings.clusters)
        raise SettingsError([f"--cluster {cluster}: not in the settings; allowed: {allowed}"])
    return settings.model_copy(update={"clusters": {cluster: settings.clusters[cluster]}})


async def record(settings: Settings, clock: Clock, recorder: Recorder, seconds: float) -> None:
    """Look at everything once, and then at the clusters for so many seconds."""
    async with open_context(settings, clock, listener=recorder.hear) as context:
        clusters = [await _first_look(target) for target in context.targets]
        recorder.begin(_kinds(clusters))
        for target, cluster in zip(context.targets, clusters, strict=True):
            if cluster is not None:
                await _look_closely(target, cluster)
        for account in context.accounts:
            await _look_at_account(account)
        await _look_at_slack(context)
        until = clock.now() + seconds
        while clock.now() < until and not recorder.problem:
            await clock.sleep(LOOK_SECONDS)
            for target in context.targets:
                await _first_look(target)


def _kinds(clusters: Sequence[Cluster | None]) -> str:
    kinds = {cluster.kind.value for cluster in clusters if cluster is not None}
    return ", ".join(sorted(kinds)) or "unknown"


async def _first_look(target: Target) -> Cluster | None:
    """Look as `status` does. What is not answered is recorded as not answered."""
    try:
        return await target.world.observe(NEEDS)
    except BotError as error:
        sys.stderr.write(f"{target.name}: {error}\n")
        return None


async def _look_closely(target: Target, cluster: Cluster) -> None:
    """Read what `status NODE` and `doctor` read: actions, history, the nodes' own reports."""
    for number in [*(m.id for m in cluster.masters), *(m.id for m in cluster.media)]:
        with contextlib.suppress(BotError):
            await target.world.inspect(number)
    if target.bucket is not None:
        with contextlib.suppress(BotError):
            await target.bucket.list()


async def _look_at_account(account: SharedAccount) -> None:
    api: DigitalOceanClient = account.api
    droplets = []
    with contextlib.suppress(BotError):
        droplets = await api.droplets()
    with contextlib.suppress(BotError):
        for pool in await api.pools():
            await api.pool(str(pool.get("id")))
            await api.history(str(pool.get("id")))
    for read in (api.account, api.regions, api.sizes, api.snapshots, api.namespaces):
        with contextlib.suppress(BotError):
            await read()
    for droplet in droplets[:20]:
        with contextlib.suppress(BotError, TypeError, ValueError):
            await api.actions(int(droplet["id"]))


async def _look_at_slack(context: DoctorContext) -> None:
    if context.settings.slack.bot_token is None:
        return
    channels = dict.fromkeys(news_channels(context.settings).values())
    calls: list[tuple[str, dict[str, str]]] = [
        ("auth.test", {}),
        *(("conversations.info", {"channel": channel}) for channel in channels),
    ]
    for method, arguments in calls:
        with contextlib.suppress(SlackApiError, aiohttp.ClientError, OSError, TimeoutError):
            await context.slack.api_call(method, json=arguments)


def summary(recorder: Recorder, file: Path) -> str:
    """Return what was kept."""
    recording = recorder.recording
    lines = [f"{file}: {sum(recording.kept.values())} exchanges, {recording.bytes // 1024} KiB"]
    lines += [f"  {recording.kept[party]:>6} {name}" for party, name in PARTIES.items()]
    if recorder.missed:
        lines.append(f"  {recorder.missed:>6} not recorded: too many at once, or not readable")
    if recorder.problem:
        lines.append(f"It {recorder.problem}: what came after that is missing.")
    lines += [
        "Kept: numbers, states, sizes and times of published fields. Names and ids are pseudonyms.",
        "Left out: secrets, user_data, addresses, names of people, free text.",
        "Read it before you send it.",
    ]
    return "\n".join(lines) + "\n"
