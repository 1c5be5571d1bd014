"""Build the clusters of the settings: their DigitalOcean account, SSH, HTTP, LiveKit, bucket.

Used by the bot (bot/app.py) and by every command that works without one: `doctor`, `audit verify`,
and the terminal commands.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from config.values import (
    AccountFactsSettings,
    ClusterSettings,
    MeetingMessagesSettings,
    Roles,
    Settings,
)
from services.access.clusters import ManagedCluster
from services.access.policy import EVERYONE, ClusterPolicy, DecisionKind, PolicyImpact
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.clients.exchanges import Listener
from services.cloud.clients.github import GitHubFile
from services.cloud.clients.heard import HeardBucket, HeardHttp, HeardShell
from services.cloud.clients.http import HttpClient
from services.cloud.clients.livekit import LivekitClient
from services.cloud.clients.read_only import ReadingBucket, ReadingHttp, ReadingShell
from services.cloud.clients.spaces import SpacesClient
from services.cloud.clients.ssh import HostKeyPins as Pins
from services.cloud.clients.ssh import SshClient
from services.cloud.listings import SharedAccount
from services.cloud.node_access import Shell
from services.cloud.secrets_bucket import ObjectStore
from services.cloud.tfvars_file import LocalFile
from services.cloud.world import ClusterConfig, ClusterWorld, MeetingSource
from services.cluster.account_facts import AccountFact, AccountFacts
from services.cluster.meeting_messages import MeetingMessages
from services.cluster.model import Timings
from services.common.clock import Clock
from services.common.command import CommandClass
from services.common.errors import Refused
from services.operations.rehearsal import RehearsalStage
from services.schedule.calendar_sync import Calendar
from services.store import Store
from services.terraform.port import TerraformSource
from services.windows import Window, parse_hours, parse_window
from services.windows.sources import CalendarKind


@dataclass(frozen=True)
class ClusterAdapters:
    """What clusters are reached with. Tests bring their own clients; nothing else differs."""

    clock: Clock
    http: HttpClient
    transport: Any = None  # of pydo
    shell: Callable[[ClusterSettings, Pins], Shell] | None = None
    bucket: Callable[[ClusterSettings], ObjectStore | None] | None = None
    listener: Listener | None = None  # hears every exchange
    # All of them refuse what would change something: `guarded` sees to it.
    reads_only: bool = False


@dataclass(frozen=True)
class Adapters(ClusterAdapters):
    """Everything that reaches out of the process: the clusters and the state store."""

    store: Store = field(kw_only=True)
    # Where changes are rehearsed; None: nowhere.
    stage: RehearsalStage | None = None


@dataclass(frozen=True)
class ConnectedClusters:
    """All clusters of the settings, with the clients that have to be closed."""

    clusters: dict[str, ManagedCluster]
    accounts: list[SharedAccount]
    shells: list[Shell]

    async def aclose(self) -> None:
        """Close SSH, worlds and DigitalOcean clients."""
        for shell in self.shells:
            if isinstance(shell, SshClient | HeardShell | ReadingShell):
                await shell.aclose()
        for cluster in self.clusters.values():
            if isinstance(cluster.world, ClusterWorld):
                await cluster.world.aclose()
        for account in self.accounts:
            await account.api.aclose()


Ways = TypeVar("Ways", bound=ClusterAdapters)


def guarded(settings: Settings, ways: Ways) -> Ways:
    """Return the ways out as the settings allow them: a bot that observes gets those that read."""
    if not settings.observes or ways.reads_only:
        return ways
    shell, bucket = ways.shell or ssh_of, ways.bucket

    def reading_shell(cluster: ClusterSettings, keys: Pins) -> Shell:
        return ReadingShell(shell(cluster, keys))

    def reading_bucket(cluster: ClusterSettings) -> ObjectStore | None:
        found = (
            bucket(cluster)
            if bucket is not None
            else spaces_of(cluster, ways.listener, reads_only=True)
        )
        return ReadingBucket(found) if found is not None else None

    return replace(
        ways,
        http=ReadingHttp(ways.http),
        shell=reading_shell,
        bucket=reading_bucket,
        reads_only=True,
    )


def connect(settings: Settings, adapters: ClusterAdapters, keys: Pins) -> ConnectedClusters:
    """Build all clusters of the settings. Nothing connects before the first request."""
    adapters = guarded(settings, adapters)
    accounts: dict[str, SharedAccount] = {}
    shells: list[Shell] = []
    clusters = {
        name: cluster_of(name, cluster, settings, adapters, keys, accounts, shells)
        for name, cluster in settings.clusters.items()
    }
    return ConnectedClusters(clusters, list(accounts.values()), shells)


def cluster_of(
    name: str,
    cluster: ClusterSettings,
    settings: Settings,
    adapters: ClusterAdapters,
    keys: Pins,
    accounts: dict[str, SharedAccount],
    shells: list[Shell],
) -> ManagedCluster:
    """Build one cluster.

    Clusters with the same token share an account in `accounts`; a new shell is added to `shells`.
    """
    secrets = cluster.secrets
    token = secrets.digitalocean_token.get_secret_value() if secrets.digitalocean_token else ""
    if token not in accounts:
        api = DigitalOceanClient(
            token,
            endpoint=settings.digitalocean.api_url,
            ca_file=_text(settings.digitalocean.ca_file),
            transport=adapters.transport,
            clock=adapters.clock,
            share=settings.digitalocean.request_share,
            listener=adapters.listener,
            reads_only=adapters.reads_only,
        )
        accounts[token] = SharedAccount(api, adapters.clock)
    shell = (adapters.shell or ssh_of)(cluster, keys)
    if adapters.listener is not None:
        shell = HeardShell(shell, adapters.listener)
    if shell is not None:
        shells.append(shell)
    http = http_of(name, cluster, adapters)
    people, bucket = people_of(cluster, adapters, http), bucket_of(cluster, adapters)
    world = ClusterWorld(
        _place(name, cluster), accounts[token], shell, http, people, adapters.clock, bucket
    )
    owner = accounts[token].owner
    return ManagedCluster(
        name,
        world,
        _rules(name, cluster),
        partial(http.certificate_of, cluster.public_url),
        owner,
        variables_of(cluster, adapters),
        cluster.labels,
    )


def variables_of(cluster: ClusterSettings, adapters: ClusterAdapters) -> TerraformSource | None:
    """Return where a cluster's Terraform variables are kept; None where the settings name none.

    What is read there holds tokens, so a listener does not hear it.
    """
    place, token = cluster.terraform, cluster.secrets.github_token
    if place is None:
        return None
    if place.repository is None:
        return None if place.file is None else LocalFile(place.file)
    secret = "" if token is None else token.get_secret_value()
    return GitHubFile(
        adapters.http,
        secret,
        place.api_url,
        place.repository,
        place.path,
        place.branch,
        place.template or "",
    )


def http_of(name: str, cluster: ClusterSettings, adapters: ClusterAdapters) -> HttpClient:
    """Return HTTP to a cluster's addresses, trusting the certificates that its settings name."""
    http = adapters.http
    if adapters.listener is not None and not isinstance(http, HeardHttp):
        http = HeardHttp(http, adapters.listener)
    return http.trusting(_text(cluster.ca_file), f"clusters.{name}.ca_file")


def ssh_of(cluster: ClusterSettings, keys: Pins) -> Shell:
    """Return SSH to a cluster's nodes."""
    ssh = cluster.ssh
    return SshClient(ssh.user, ssh.port, _text(ssh.key_file), _text(ssh.known_hosts), keys)


def bucket_of(cluster: ClusterSettings, adapters: ClusterAdapters) -> ObjectStore | None:
    """Return a cluster's bucket; None when none is configured."""
    if cluster.spaces is None:
        return None
    if adapters.bucket is not None:
        return adapters.bucket(cluster)
    return spaces_of(cluster, adapters.listener)


def spaces_of(
    cluster: ClusterSettings, listener: Listener | None, *, reads_only: bool = False
) -> ObjectStore | None:
    """Return a cluster's bucket at Spaces; None without its keys."""
    if cluster.spaces is None:
        return None
    key, secret = cluster.secrets.spaces_access_key_id, cluster.secrets.spaces_secret_access_key
    if not (key and secret):
        return None
    spaces = cluster.spaces
    # botocore has its own list of authorities and does not read OpenSSL's variable.
    ca_file = os.environ.get("SSL_CERT_FILE") or None
    return SpacesClient(
        spaces.endpoint,
        spaces.bucket,
        key.get_secret_value(),
        secret.get_secret_value(),
        spaces.region,
        ca_file=ca_file,
        on_client=None if listener is None else partial(HeardBucket, listener=listener),
        reads_only=reads_only,
    )


def people_of(
    cluster: ClusterSettings, adapters: ClusterAdapters, http: HttpClient
) -> MeetingSource | None:
    """Return a cluster's LiveKit; None when none is configured."""
    key, secret = cluster.secrets.livekit_api_key, cluster.secrets.livekit_api_secret
    if not (cluster.livekit_url and key and secret):
        return None
    return LivekitClient(
        cluster.livekit_url, key.get_secret_value(), secret.get_secret_value(), http, adapters.clock
    )


def calendars_of(settings: Settings) -> dict[str, tuple[Calendar, ...]]:
    """Return the calendar files of each cluster. An unreadable file is reported when it is read."""
    calendars: dict[str, tuple[Calendar, ...]] = {}
    for name, cluster in settings.clusters.items():
        files: dict[CalendarKind, Path | None] = {
            "holidays": cluster.holidays,
            "freezes": cluster.freezes,
            "meetings": cluster.meetings,
        }
        calendars[name] = tuple(
            Calendar(kind, file, cluster.timezone)
            for kind, file in files.items()
            if file is not None
        )
    return calendars


def configured_windows(settings: Settings) -> dict[str, tuple[Window, ...]]:
    """Return the off-hours windows of each cluster that names any. Refused names the cluster."""
    windows = {}
    for name, cluster in settings.clusters.items():
        try:
            windows[name] = tuple(parse_window(text, cluster.timezone) for text in cluster.windows)
        except Refused as error:
            raise Refused(f"clusters.{name}.windows: {error}") from None
    return {name: found for name, found in windows.items() if found}


def news_channels(settings: Settings) -> dict[str, str]:
    """Return the channel of each cluster for messages that answer no one.

    It is the cluster's own channel, else the first channel that has the cluster as its default.
    """
    defaults = {name: channel for channel, name in reversed(settings.channels.items())}
    return defaults | {name: c.channel for name, c in settings.clusters.items() if c.channel}


def _place(name: str, cluster: ClusterSettings) -> ClusterConfig:
    timings = Timings(
        **cluster.timings.model_dump(),
        drain_deadline=cluster.drain.deadline_minutes * 60,
        drain_reminder=cluster.drain.reminder_minutes * 60,
    )
    return ClusterConfig(
        name=name,
        stack=cluster.stack,
        region=cluster.region,
        health_url=cluster.health_url,
        public_url=cluster.public_url,
        private_addresses=cluster.ssh.use_private_address,
        zero_policy=cluster.policy.zero_refused,
        drain_method=cluster.drain.method,
        min_serving=cluster.drain.min_serving,
        keep_backups=cluster.policy.keep_backups,
        people_per_node=cluster.people_per_node,
        bucket=cluster.spaces.bucket if cluster.spaces is not None else "",
        bucket_endpoint=cluster.spaces.endpoint if cluster.spaces is not None else "",
        zone=cluster.timezone,
        declared=cluster.autoscaler.minimum,
        timings=timings,
        account=_stated_facts(cluster.account_facts),
        messages=_messages(cluster.meeting_messages),
    )


def _messages(settings: MeetingMessagesSettings | None) -> MeetingMessages | None:
    """Return the messages to people in meetings; None where there are none."""
    if settings is None:
        return None
    texts = tuple((occasion, settings.text(occasion)) for occasion in settings.occasions)
    return MeetingMessages(texts, settings.topic, settings.payload, settings.deadline_minutes * 60)


def _stated_facts(stated: AccountFactsSettings) -> AccountFacts:
    """Return what the settings say about the account; without a date it counts as seen now."""
    at = float("inf")
    if stated.seen is not None:
        at = datetime.combine(stated.seen, time(12), UTC).timestamp()
    answers = stated.model_dump(exclude={"seen"}, exclude_none=True)
    return AccountFacts(
        tuple(AccountFact(name, str(answer), at, stated=True) for name, answer in answers.items())
    )


def _approval_hours(name: str, cluster: ClusterSettings) -> tuple[Window, ...]:
    """Return the hours in which approvals count. Refused names the cluster."""
    try:
        return tuple(parse_hours(text, cluster.timezone) for text in cluster.policy.approvals_when)
    except Refused as error:
        raise Refused(f"clusters.{name}.policy.approvals_when: {error}") from None


def _rules(name: str, cluster: ClusterSettings) -> ClusterPolicy:
    roles, policy = cluster.roles, cluster.policy
    return ClusterPolicy(
        operators=frozenset(roles.operators),
        approvers=frozenset(cluster.who_approves),
        viewers=_viewers(roles),
        break_glass_users=frozenset(roles.break_glass),
        wake_users=frozenset(roles.wakers),
        wake_seconds=cluster.wake.hours * 3600,
        wakes_each=cluster.wake.per_person,
        wakes_all=cluster.wake.per_cluster,
        users_by_class=tuple(
            (CommandClass(name), frozenset(people)) for name, people in roles.classes.items()
        ),
        approvals=policy.approvals,
        approvals_for=tuple(
            (PolicyImpact(name), needed) for name, needed in policy.approvals_for.items()
        ),
        approvals_from=policy.approvals_from,
        single_operator=policy.single_operator,
        scale_up_to=policy.scale_up_without_approval_to,
        approvals_when=_approval_hours(name, cluster),
        approval_seconds=policy.approval_minutes * 60,
        confirm_seconds=policy.confirm_windows_days * 86400.0,
        growth=policy.growth,
        reasons_for=frozenset(map(DecisionKind, policy.reasons_for)),
    )


def _viewers(roles: Roles) -> frozenset[str]:
    if roles.viewers == "everyone":
        return frozenset({EVERYONE})
    return frozenset(roles.viewers)


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
