"""Hypothesis strategies for clusters, steps, procedures and runs.

Everything that a look could show, and more.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import MISSING, fields, replace
from decimal import Decimal
from functools import cache, partial
from typing import Any, get_args, get_type_hints

from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from services import config_files
from services.access.policy import Actor
from services.access.reasons import safe_reason
from services.cluster.account_facts import (
    ANSWERS,
    NO_FACTS,
    SECONDS,
    AccountFact,
    AccountFacts,
)
from services.cluster.backups import backups
from services.cluster.configuration import NodeConfiguration
from services.cluster.installation import Installation, UpdateRecord, UpdateState
from services.cluster.model import (
    EVERYTHING,
    Agent,
    Autoscaler,
    Cluster,
    Deployment,
    Droplet,
    FleetKind,
    Load,
    MediaNode,
    NodeStatus,
    Pool,
    SecretsState,
    Signal,
    SignalResult,
    SigquitEffect,
    Size,
    Snapshot,
    StoppedNode,
)
from services.common.errors import Refused
from services.common.observed import NOT_OBSERVED, Observed, Unobserved
from services.procedures import (
    PROCEDURES,
    ChangeConfigFile,
    Configure,
    Procedure,
    Shutdown,
    Start,
    Stop,
    SwitchModule,
)
from services.procedures.plan import Plan, make_plan
from services.runs.request import Request, RequestState
from services.runs.run import (
    OVER,
    Answered,
    Asked,
    CancelAsked,
    Ended,
    Event,
    Noted,
    Opened,
    Questioned,
    Reached,
    Recovering,
    Resumed,
    Stopped,
    Taken,
)
from services.secrets_env import SecretsFile, SecretsFindings, SecretsUnread, findings
from services.steps import (
    STEPS,
    Choice,
    Healthy,
    HealthyHost,
    PowerOff,
    PowerOffHost,
    Question,
    RestartHost,
    RestartService,
    Step,
)
from services.steps.pool import PoolTarget, TemplateSize
from tests.support.coverage_level import LAW

NOW = 1_800_000_000.0
BAD_FILES = tuple(
    SecretsFindings(findings(SecretsFile(data)))
    for data in (
        b"",
        b"DASHBOARD_ADMIN_PASSWORD=a|b\n",
        b"# x=a|;e touch x #\nREDIS_PASSWORD=x\nOPENVIDU_VERSION=3.6.1\n",
    )
)
"""Problems in files with which nodes cannot start."""
FILES: tuple[SecretsFindings | SecretsUnread, ...] = (
    *(SecretsFindings(),) * 8,
    SecretsUnread("no answer within 10 s"),
    *BAD_FILES,
)
"""Usually no problem."""
law = LAW
FINDING = settings(law, phases=[phase for phase in Phase if phase is not Phase.explain])
"""For `find`: to explain what is found traces every line, at half of the cost of finding it."""
EXAMPLES = law.max_examples

SIZES = ("s-4vcpu-8gb", "s-8vcpu-16gb", "c-4")
SOLD = (
    Size(SIZES[0], 4, 8192, 160, Decimal("0.07143"), Decimal(48), ("ams3", "fra1")),
    Size(SIZES[1], 8, 16384, 320, Decimal("0.14286"), Decimal(96), ("ams3",)),
    Size(SIZES[2], 4, 8192, 50, Decimal("0.12500"), Decimal(84), ("ams3",)),
)
HOSTILE = (
    "<!channel> <@U666> *bold* _it_ `code` ~no~ & <https://evil.example|click>",
    "'; drop table runs; --",
    "a" * 900,
    "ñ 🎥 \n line",
)
START = "2027-01-15T08:00:00.000000000Z"
SERVING = NodeStatus(
    start=START,
    running=("openvidu", "ingress", "egress"),
    livekit=200,
    rooms=1,
    people=4,
    recordings=0,
)
DRAINING = replace(SERVING, drain_marked=True)
IDLE = NodeStatus(start=START, running=(), drain_marked=True, livekit=0, recordings=0)
INSTALLING = NodeStatus(livekit=0, recordings=0)
DEAF = (Agent("agent-captions", SigquitEffect.DEAF),)
HELD = replace(IDLE, running=("egress",), recordings=1)
HELD_BY_AGENT = replace(
    IDLE, running=("agent-speech",), agents=(Agent("agent-speech", SigquitEffect.DRAINS),)
)
DRAINED_BUT_DEAF = replace(IDLE, running=("agent-captions",), agents=DEAF)
STARTING = replace(SERVING, livekit=406, rooms=0, people=0)
LOOPING = replace(STARTING, restarting=("openvidu",), restarts=7, livekit=0)
UNTOLD = replace(
    SERVING,
    drain_marked=True,
    signals=(Signal("openvidu", SignalResult.REFUSED, "Cannot connect to the Docker daemon"),),
)
LYING = replace(IDLE, livekit=200)  # docker says that it has ended, LiveKit answers.
OLD = Installation("3.6.1", "active", 80_000)
"""OpenVidu as it is on a node before an upgrade."""
UPDATED = replace(
    OLD,
    version="3.7.0",
    unit="inactive",
    updates=(UpdateRecord("3.7.0", UpdateState.ENDED, 0, ("2027_3.6.1",)),),
)
BROKEN = replace(OLD, updates=(UpdateRecord("3.7.0", UpdateState.INTERRUPTED),))
UNSEEN_VERSION = Unobserved("ssh does not answer")
INSTALLED: tuple[tuple[Observed[Installation], ...], ...] = (
    *((OLD,),) * 4,
    (OLD, UNSEEN_VERSION),
    (UPDATED, OLD),
    (BROKEN, OLD),
)
"""What the nodes of a cluster show of their versions, in turn."""
STARTS: tuple[Observed[str], ...] = (Unobserved("ssh does not answer"), "a1", "a1")
FRONTS: tuple[Observed[bool], ...] = (True, False, Unobserved("no such host", since=NOW - 30.0))
NO_LIVEKIT = Unobserved("LiveKit does not answer", since=NOW - 30.0)
SILENT = Unobserved("ssh does not answer", since=NOW - 30.0)


def price(size: Size) -> Decimal:
    """Return the hourly price of a known size."""
    assert size.hourly is not None
    return size.hourly


def names(stack: str = "acme") -> tuple[str, ...]:
    return tuple(f"{stack}-master-node-{n}" for n in range(1, 5))


# --- clusters


def _unit(status: str) -> Observed[str]:
    return "active" if status == "active" else NOT_OBSERVED


@st.composite
def masters(draw: st.DrawFn) -> tuple[Droplet, ...]:
    """Four masters: mostly all up or all down, sometimes in between."""
    way = draw(st.sampled_from(("up", "up", "down", "mixed")))
    nodes = []
    for number, name in enumerate(names(), 1):
        status = {"up": "active", "down": "off"}.get(way) or draw(
            st.sampled_from(("active", "off", "active", "new"))
        )
        locked = way == "mixed" and draw(st.booleans())
        healthy: Observed[bool] = status == "active" and (way == "up" or draw(st.booleans()))
        if status == "active" and draw(st.integers(0, 9)) == 9:
            healthy = Unobserved("no answer within 5 s", since=NOW - 30.0)
        size = draw(st.sampled_from(SIZES)) if way == "mixed" else SIZES[0]
        disk, hourly = 160, Decimal("0.07143")
        reached = draw(st.sampled_from(STARTS))
        start: Observed[str] = reached if status == "active" else NOT_OBSERVED
        nodes.append(
            Droplet(
                number,
                name,
                status,
                locked,
                size,
                f"127.0.0.{number}",
                "",
                disk,
                8192,
                4,
                hourly,
                Decimal(48),
                healthy=healthy,
                start=start,
                unit=_unit(status),
            )
        )
    return tuple(nodes)


def configured(
    masters: tuple[Droplet, ...],
) -> tuple[tuple[int, Observed[NodeConfiguration]], ...]:
    """Return the configuration of these masters as it should be."""
    look = NodeConfiguration(
        "cluster",
        tuple((file.path, "d1") for file in config_files.FILES),
        start="s1",
        unit="active",
        running=("caddy", "grafana", "loki", "mimir", "openvidu-meet"),
        since="2027-01-15T08:00:00",
    )
    return tuple((m.id, look) for m in masters if m.active)


@st.composite
def media_node(draw: st.DrawFn, number: int) -> MediaNode:
    """A pool member in any state, or a stray with the media tag."""
    member = draw(
        st.sampled_from(("active", "active", "active", "provisioning", "deleting", "off", None))
    )
    status = {"provisioning": "new", "off": "off"}.get(member or "") or "active"
    odd = (HELD, HELD_BY_AGENT, DRAINED_BUT_DEAF, STARTING, LOOPING, UNTOLD, LYING)
    usual: tuple[Observed[NodeStatus], ...] = (
        SERVING,
        SERVING,
        SERVING,
        DRAINING,
        DRAINING,
        IDLE,
        IDLE,
        INSTALLING,
        SILENT,
    )
    look: Observed[NodeStatus] = (
        draw(st.sampled_from((*usual, draw(st.sampled_from(odd)))))
        if status == "active"
        else NOT_OBSERVED
    )
    if look in (SERVING, DRAINING):
        assert isinstance(look, NodeStatus), "one of these two"
        rooms = draw(st.integers(0, 3))
        look = replace(look, rooms=rooms, people=rooms * 3, recordings=draw(st.integers(0, rooms)))
    created = f"2027-01-{10 + number:02d}T08:00:00Z"
    name = f"acme-media-node-pool-0a1b2c3d-{number:03d}"
    droplet = Droplet(
        100 + number,
        name,
        status,
        False,
        SIZES[0],
        f"127.0.1.{number}",
        hourly=Decimal("0.07143"),
        created_at=created,
        unit=_unit(status),
    )
    return MediaNode(droplet, member, look)


@st.composite
def loads(draw: st.DrawFn) -> Observed[Load]:
    """The load, or an unknown load."""
    if not draw(st.booleans()):
        return NO_LIVEKIT
    rooms = draw(st.integers(0, 20))
    return Load(
        rooms,
        rooms * draw(st.integers(1, 6)),
        draw(st.integers(0, rooms)),
        draw(st.integers(0, 2)),
        rooms * 60.0,
    )


@st.composite
def snapshots(draw: st.DrawFn) -> tuple[Snapshot, ...] | None:
    """The bot's backups, complete and incomplete, and another's snapshot; or unknown."""
    if draw(st.integers(0, 5)) == 0:
        return None
    taken_by_bot = (
        [Snapshot("other", "before the upgrade", 1, size=Decimal(9))] if draw(st.booleans()) else []
    )
    for day in range(1, draw(st.sampled_from((0, 1, 3, 6, 6))) + 1):
        kind, off = (
            draw(st.sampled_from(("backup", "backup", "backup", "resize"))),
            draw(st.sampled_from(("", "-off"))),
        )
        of = draw(st.sampled_from((4, 4, 4, 4, 2)))
        taken_by_bot += [
            Snapshot(
                f"{day}-{n}",
                f"acme-{kind}-202701{day:02d}T000000Z-master-{n}{off}",
                n,
                size=Decimal("5.20"),
            )
            for n in range(1, of + 1)
        ]
    return tuple(taken_by_bot)


@st.composite
def single_nodes(draw: st.DrawFn) -> Cluster:
    """A Single Node in any state: its droplet, and what runs on it."""
    cluster = draw(pooled())
    node = replace(draw(media_node(1)), member_status="active", has_media_tag=False)
    status = draw(st.sampled_from(("active", "active", "active", "off", "new")))
    host = replace(
        cluster.masters[0],
        name=draw(st.sampled_from(("acme-vm-ce-pro", "acme-vm-ce"))),
        status=status,
        locked=False,
        healthy=status == "active" and draw(st.sampled_from((True, True, False))),
        start=draw(st.sampled_from(STARTS)) if status == "active" else NOT_OBSERVED,
    )
    look = node.look if status == "active" else NOT_OBSERVED
    return replace(
        cluster,
        deployment=Deployment.SINGLE_NODE,
        kind=FleetKind.CO_LOCATED,
        pool=None,
        masters=(host,),
        media=(replace(node, droplet=host, look=look),),
        snapshots=None if cluster.snapshots is None else (),
        nodes_before_shutdown=None,
        zero_refused=False,
    )


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """A cluster in any state of going up or down, with any kind of media fleet.

    High Availability, Elastic, or Single Node.
    """
    if draw(st.integers(0, 7)) == 7:
        return draw(single_nodes())
    cluster = draw(pooled())
    kind = draw(
        st.sampled_from(
            (FleetKind.POOL, FleetKind.POOL, FleetKind.FIXED, FleetKind.AUTOSCALER, FleetKind.NONE)
        )
    )
    if kind is FleetKind.POOL:
        return _with_a_stopped_node(draw, cluster)
    media = (
        ()
        if kind is FleetKind.NONE
        else tuple(_of_kind(draw, n, i, kind) for i, n in enumerate(cluster.media, 1))
    )
    autoscaler = draw(autoscalers()) if kind is FleetKind.AUTOSCALER else None
    parked = tuple(n.id for n in media if draw(st.booleans())) if kind is FleetKind.FIXED else ()
    declared = draw(st.sampled_from((None, 1, 2)))
    made = replace(
        cluster,
        kind=kind,
        pool=None,
        media=media,
        autoscaler=autoscaler,
        node_ids_before_shutdown=parked,
        autoscaler_minimum=declared,
        zero_refused=False,
    )
    return _with_a_stopped_node(draw, made)


def _with_a_stopped_node(draw: st.DrawFn, cluster: Cluster) -> Cluster:
    """Return the cluster, sometimes with one node on which people stopped OpenVidu."""
    if draw(st.integers(0, 4)):
        return cluster
    nodes = [d.id for d in (*cluster.masters, *(n.droplet for n in cluster.media)) if d.active]
    return with_stopped(cluster, draw(st.sampled_from(nodes))) if nodes else cluster


def with_stopped(cluster: Cluster, droplet_id: int) -> Cluster:
    """Return the cluster with OpenVidu stopped by request on that node."""
    masters_now = {
        m.name: replace(m, unit="inactive", healthy=False)
        for m in cluster.masters
        if m.id == droplet_id
    }
    media = {
        n.id: replace(n, droplet=replace(n.droplet, unit="inactive"), look=IDLE)
        for n in cluster.media
        if n.id == droplet_id
    }
    stop = StoppedNode(droplet_id, "Ana", NOW - 900.0, "acme-3")
    return replace(cluster.with_masters(masters_now).with_media(media), stopped=(stop,))


def _of_kind(draw: st.DrawFn, node: MediaNode, number: int, kind: FleetKind) -> MediaNode:
    """Return the node as Terraform or the autoscaler makes it."""
    if kind is FleetKind.FIXED:
        off = node.member_status == "off"
        droplet = replace(
            node.droplet, name=f"acme-media-node-{number}", status="off" if off else "active"
        )
        return replace(
            node, droplet=droplet, member_status="active", look=NOT_OBSERVED if off else node.look
        )
    standing = "deleting" if node.member_status == "deleting" else "active"
    droplet = replace(node.droplet, name=f"acme-media-17999{number:05d}-{1000 + number}")
    return replace(
        node,
        droplet=droplet,
        member_status=standing,
        has_media_tag=draw(st.sampled_from((True, True, False))),
    )


@st.composite
def autoscalers(draw: st.DrawFn) -> Autoscaler:
    """An autoscaler: on, paused by an administrator or by the bot, or frozen; long ago or just now.

    Rarely without its trigger.
    """
    by = draw(st.sampled_from(("", "acme-3")))
    ago = draw(st.sampled_from((20.0, 5000.0)))
    enabled = draw(st.booleans())
    trigger = draw(st.sampled_from(("acme-autoscale-cron",) * 5 + ("",)))
    if enabled and trigger:
        return Autoscaler("fn-1", trigger, enabled=True, last_run=NOW - 100, next_run=NOW + 140)
    following = draw(st.sampled_from((None, NOW + 100)))
    return Autoscaler(
        "fn-1",
        trigger,
        False,
        NOW - ago,
        following,
        by,
        NOW - ago if by else 0.0,
        bool(by) and draw(st.booleans()),
    )


def account_facts() -> st.SearchStrategy[AccountFacts]:
    """Return what was seen of an account: most often nothing."""
    answers = {
        name: st.sampled_from(tuple("600" if a == SECONDS else a for a in allowed))
        for name, allowed in ANSWERS.items()
    }
    seen = st.fixed_dictionaries({}, optional=answers).map(
        lambda known: AccountFacts(tuple(AccountFact(n, a, NOW - 60.0) for n, a in known.items()))
    )
    return st.one_of(st.just(NO_FACTS), st.just(NO_FACTS), seen)


def _showing(
    droplets: Iterable[Droplet], installed: tuple[Observed[Installation], ...]
) -> tuple[Droplet, ...]:
    """Return the droplets that are on with what they show of their versions."""
    shown = zip(droplets, itertools.cycle(installed))
    return tuple(replace(d, installation=i) if d.active else d for d, i in shown)


@st.composite
def pooled(draw: st.DrawFn) -> Cluster:
    """A cluster with a pool."""
    media = tuple(draw(media_node(n)) for n in range(1, draw(st.integers(0, 5)) + 1))
    here = len([n for n in media if n.member_status not in (None, "deleting")])
    target = draw(st.sampled_from((here, here, here, 0, here + 1)))
    installed = draw(st.sampled_from(INSTALLED))
    droplets = draw(masters())
    return Cluster(
        name="acme",
        stack="acme",
        seen_at=NOW,
        region="ams3",
        known=EVERYTHING,
        masters=_showing(droplets, installed),
        media=tuple(
            replace(n, droplet=d)
            for n, d in zip(media, _showing([n.droplet for n in media], installed), strict=True)
        ),
        configuration=draw(st.sampled_from((configured(droplets), ()))),
        pool=Pool("pool-1", "acme-media-node-pool", target, size=SIZES[0], template="t-1"),
        load=draw(loads()),
        front=draw(st.sampled_from(FRONTS)),
        has_front=draw(st.booleans()),
        nodes_before_shutdown=draw(st.sampled_from((None, 1, 3, 6))),
        zero_refused=draw(st.booleans()),
        account=draw(account_facts()),
        zero_policy=draw(st.sampled_from(("ask", "keep_one"))),
        media_price=Decimal("0.07143"),
        droplet_limit=draw(st.sampled_from((None, 25, 8))),
        droplets_in_account=4 + len(media),
        sizes=draw(st.sampled_from((SOLD, SOLD, SOLD, ()))),
        snapshots=draw(snapshots()),
        secrets_copies=draw(st.sampled_from((None, (), ("acme-backup-20270101T000000Z",)))),
        has_bucket=draw(st.booleans()),
        lint=draw(st.sampled_from(FILES)),
        secrets=draw(
            st.sampled_from(
                (
                    None,
                    SecretsState("d1", version="3.6.1"),
                    SecretsState("d1", 60.0, staged=("0a1b2c3d4e5f6071",), version="3.6.1"),
                    SecretsState("d2"),
                )
            )
        ),
        keep_backups=draw(st.integers(1, 3)),
    )


def ready(media: int = 3, rooms: int = 1, **more: Any) -> Cluster:
    """Return a plain cluster that serves, for examples."""
    nodes = tuple(
        MediaNode(
            Droplet(
                100 + n,
                f"acme-media-node-pool-0a1b2c3d-{n:03d}",
                "active",
                False,
                SIZES[0],
                hourly=Decimal("0.07143"),
                created_at=f"2027-01-{10 + n}",
                unit="active",
            ),
            "active",
            replace(SERVING, rooms=rooms if n == 1 else 0, people=5 * rooms if n == 1 else 0),
        )
        for n in range(1, media + 1)
    )
    made = tuple(
        Droplet(
            i,
            name,
            "active",
            False,
            SIZES[0],
            f"127.0.0.{i}",
            hourly=Decimal("0.07143"),
            healthy=True,
            unit="active",
        )
        for i, name in enumerate(names(), 1)
    )
    return replace(
        Cluster(
            name="acme", stack="acme", seen_at=NOW, region="ams3", known=EVERYTHING, masters=made,
                media=nodes, pool=Pool("pool-1", "acme-media-node-pool", media, size=SIZES[0],
                template="t-1"), load=Load(rooms, 5 * rooms, 0, 0, 720.0), front=True,
                has_front=True, media_price=Decimal("0.07143"),
        ),
        **more,
    )  # fmt: skip


def with_one_master(cluster: Cluster) -> Cluster:
    """Return the same cluster as an Elastic deployment, with the first of its masters."""
    master = replace(cluster.masters[0], name=f"{cluster.stack}-master-node")
    taken = cluster.snapshots
    if taken is not None:
        firsts = [s for s in taken if not re.search(r"-master-[2-4](-off)?$", s.name)]
        taken = tuple(
            replace(s, name=re.sub(r"-master-1(?=$|-off)", "-master", s.name)) for s in firsts
        )
    return replace(cluster, deployment=Deployment.ELASTIC, masters=(master,), snapshots=taken)


def elastic(cluster: Cluster | None = None, **more: Any) -> Cluster:
    """Return an Elastic deployment with the media fleet of a cluster, by default a pool of 3."""
    return replace(with_one_master(cluster or ready(3)), **more)


def fixed(media: int = 3, rooms: int = 1, **more: Any) -> Cluster:
    """Return one with media nodes that Terraform made one by one."""
    cluster = ready(media, rooms)
    nodes = tuple(
        replace(n, droplet=replace(n.droplet, name=f"acme-media-node-{i}", disk=160))
        for i, n in enumerate(cluster.media, 1)
    )
    return replace(cluster, kind=FleetKind.FIXED, pool=None, media=nodes, **more)


def autoscaled(media: int = 3, rooms: int = 1, **more: Any) -> Cluster:
    """Return one with a function that adds and drains media nodes."""
    cluster = ready(media, rooms)
    nodes = tuple(
        replace(n, droplet=replace(n.droplet, name=f"acme-media-17999{i:05d}-{1000 + i}"))
        for i, n in enumerate(cluster.media, 1)
    )
    running = Autoscaler(
        "fn-1", "acme-autoscale-cron", enabled=True, last_run=NOW - 100, next_run=NOW + 140
    )
    return replace(
        replace(cluster, kind=FleetKind.AUTOSCALER, pool=None, media=nodes, autoscaler=running),
        **more,
    )


def single(rooms: int = 1, name: str = "acme-vm-ce-pro", **more: Any) -> Cluster:
    """Return a Single Node that serves: its droplet is master and media node at once."""
    cluster = ready(1, rooms)
    droplet = replace(cluster.masters[0], id=501, name=name, disk=160, memory=8192, start="a1")
    return replace(
        replace(
            cluster,
            deployment=Deployment.SINGLE_NODE,
            kind=FleetKind.CO_LOCATED,
            pool=None,
            masters=(droplet,),
            media=(replace(cluster.media[0], droplet=droplet, has_media_tag=False),),
        ),
        **more,
    )


def down(cluster: Cluster) -> Cluster:
    """Return the same cluster after a shutdown."""
    if cluster.kind is FleetKind.CO_LOCATED:
        (node,) = cluster.masters
        stopped = cluster.with_masters({node.name: replace(node, status="off", healthy=False)})
        return replace(stopped, load=NO_LIVEKIT, front=False)
    off = tuple(replace(m, status="off", healthy=False) for m in cluster.masters)
    resting = replace(
        cluster, masters=off, load=NO_LIVEKIT, front=False, nodes_before_shutdown=len(cluster.media)
    )
    if cluster.kind is FleetKind.FIXED:
        media = tuple(
            replace(n, droplet=replace(n.droplet, status="off"), look=NOT_OBSERVED)
            for n in cluster.media
        )
        return replace(resting, media=media, node_ids_before_shutdown=tuple(n.id for n in media))
    if cluster.autoscaler is not None:
        paused = replace(
            cluster.autoscaler,
            enabled=False,
            next_run=None,
            paused_by="acme-1",
            paused_at=NOW - 5000,
        )
        return replace(resting, media=(), autoscaler=paused, nodes_before_shutdown=None)
    assert cluster.pool is not None, "it has one"
    return replace(resting, media=(), pool=replace(cluster.pool, target=0))


# --- procedures

ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "window": st.sampled_from(
        (
            "nights Mon-Fri 20:00-07:30 Europe/Madrid",
            "weekend Sat,Sun 00:00-24:00 UTC --media-only --meetings skip",
        )
    ),
    "times": st.sampled_from(("weekly Sun 03:00", "nightly daily 23:30 Asia/Tokyo --drill")),
    "things": st.sampled_from(("volume:v1", "ip:203.0.113.9 volume:v1", "droplet:103")),
    "thing": st.sampled_from(("volume:v1", "backups")),
    "media": st.integers(1, 8),
    "nodes": st.sampled_from(("1-3", "2-5")),
    "dollars": st.sampled_from(("5", "$20", "12.50")),
    "changes": st.sampled_from(("2", "6")),
    "days": st.sampled_from(("7", "30")),
    "size": st.sampled_from(SIZES),
    "version": st.sampled_from(("3.6.1", "3.7.0")),
    "node": st.sampled_from(
        (
            "master-2",
            "master",
            "media-1",
            "MEDIA-2",
            "103",
            "acme-master-node-4",
            "all",
            "nobody",
            "1",
            "2",
        )
    ),
}
"""Values of a procedure's argument by name; by its type when the name is not here."""


def _argument(name: str, hint: Any, metadata: Any) -> st.SearchStrategy[Any]:
    if metadata["kind"] == "flag":
        return st.booleans()
    if metadata.get("choices"):
        return st.sampled_from(metadata["choices"])
    kinds = get_args(hint) or (hint,)
    strategy = ARGUMENTS.get(name)
    if strategy is None:
        if int in kinds:
            strategy = st.integers(1, 8)
        elif str in kinds:
            strategy = st.from_regex(r"[a-z][a-z0-9-]{1,12}", fullmatch=True)
        else:
            raise NotImplementedError(
                f"say in tests/support/clusters.py what the argument {name} may be"
            )
    return st.none() | strategy if type(None) in kinds else strategy


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """Return the types of the fields. Each draw of a step asks for those of all kinds."""
    return get_type_hints(kind)


def procedures(*kinds: type[Procedure]) -> st.SearchStrategy[Procedure]:
    """Any procedure, with any arguments."""

    def of(kind: type[Procedure]) -> st.SearchStrategy[Procedure]:
        hints = hints_of(kind)
        values = {f.name: _argument(f.name, hints[f.name], f.metadata) for f in kind.parameters()}
        if kind in (Stop, Start):  # `start 3` is about the number of media nodes
            values["node"] = values["node"].filter(lambda node: not node.isdigit())
        made = {  # By the operations service, not from a command.
            Configure: ("keys", "staged", "before", "after_digest"),
            SwitchModule: ("keys", "staged", "before", "after_digest", "module", "on"),
            ChangeConfigFile: ("file", "staged", "before", "after_digest", "difference"),
        }
        values |= {
            name: FIELDS[name](ready(secrets=SecretsState("d1"))) for name in made.get(kind, ())
        }
        return st.builds(kind, **values)

    return st.one_of([of(k) for k in kinds or PROCEDURES])


def plan_of(cluster: Cluster, procedure: Procedure) -> Plan | None:
    """Return the plan, or None where the procedure refuses."""
    try:
        return make_plan(cluster, procedure)
    except Refused:
        return None


def folded(cluster: Cluster, steps: tuple[Step, ...]) -> Iterator[tuple[Step, Cluster, Cluster]]:
    """Return each step with the cluster before and after it."""
    for step in steps:
        after = step.after(cluster)
        yield step, cluster, after
        cluster = after


def end_of(cluster: Cluster, steps: tuple[Step, ...]) -> Cluster:
    """Return the cluster once all steps are reached."""
    for step in steps:
        cluster = step.after(cluster)
    return cluster


# --- steps

FIELDS: dict[str, Callable[[Cluster], st.SearchStrategy[Any]]] = {
    "names": lambda c: st.sampled_from(
        [
            tuple(m.name for m in c.masters[some]) or (c.masters[0].name,)
            for some in (slice(None), slice(1), slice(1, 3), slice(None))
        ]
    ),
    "refs": lambda _: st.sampled_from([("volume:v1",), ("ip:203.0.113.9", "droplet:103")]),
    "shown": lambda _: st.sampled_from([("volume a (10 GB, id v1)",)]),
    "name": lambda c: st.sampled_from([m.name for m in c.masters]),
    "ids": lambda c: st.sampled_from(
        [tuple(n.id for n in c.media), tuple(n.id for n in c.media[:1])]
    ),
    "id": lambda c: st.sampled_from([n.id for n in c.media] or [0]),
    "kept": lambda c: st.sampled_from(
        [(), tuple(n.id for n in c.media[:1]), tuple(n.id for n in c.media)]
    ),
    "keep": lambda _: st.integers(0, 1),
    "keep_ids": lambda c: st.sampled_from([(), tuple(n.id for n in c.media)]),
    "number": lambda _: st.integers(0, 5),
    "was": lambda _: st.integers(0, 5),
    "size": lambda _: st.sampled_from(SIZES),
    "who": lambda _: st.sampled_from(("", "media-2", "media-2 and media-3")),
    "stay": lambda c: st.sampled_from(
        [
            (),
            tuple((n.id, n.name) for n in c.media[:2]),
            ((99, "acme-media-node-pool-0a1b2c3d-009"),),
        ]
    ),
    "disk": lambda _: st.sampled_from((0, 320)),
    "kind": lambda _: st.sampled_from(("backup", "resize")),
    "stamp": lambda _: st.sampled_from(("", "20270115T080000Z")),
    "stack": lambda c: st.just(c.stack),
    "labels": lambda c: st.sampled_from(
        [("acme-backup-20270101T000000Z",), tuple(sorted({b.label for b in backups(c)})) or ("x",)]
    ),
    "keys": lambda _: st.just(("DASHBOARD_ADMIN_PASSWORD",)),
    "staged": lambda _: st.sampled_from(("0a1b2c3d4e5f6071", "")),
    "before": lambda c: st.just(c.secrets.digest if c.secrets else "d1"),
    "after_digest": lambda _: st.just("d2"),
    "times": lambda _: st.just("weekly Sun 03:00 UTC --drill"),
    "file": lambda _: st.sampled_from(("livekit.yaml", "dashboard.env", "openvidu.env")),
    "digest": lambda _: st.sampled_from(("d1", "d2")),
    "present": lambda _: st.sampled_from(((), ("observability",))),
    "absent": lambda _: st.sampled_from(((), ("v2compatibility",))),
    "module": lambda _: st.sampled_from(("observability", "openviduMeet", "v2compatibility")),
    "on": lambda _: st.booleans(),
    "difference": lambda _: st.just(("- level: info", "+ level: debug", "  json: true")),
    "words": lambda _: st.just("nights Mon-Fri 20:00-07:30 Europe/Madrid"),
    "title_words": lambda _: st.just("*nights* 20:00-07:30 (Mon-Fri, Europe/Madrid)"),
    "limit": lambda _: st.sampled_from((None, 3600.0)),
    "floor": lambda _: st.sampled_from((0, 1, 2)),
    "beyond": lambda _: st.sampled_from((0, 0, 1)),
    "enough": lambda _: st.sampled_from((0, 0, 2)),
    "instead_of": lambda c: st.sampled_from([(), tuple(n.id for n in c.media[:2])]),
    "back": lambda _: st.just(()),
    "region": lambda _: st.just("ams3"),
    "master": lambda _: st.just("master-1"),
    "label": lambda _: st.just("acme-backup-20270101T000000Z"),
    "hourly": lambda _: st.sampled_from((None, Decimal("0.07143"))),
    "expected": lambda _: st.sampled_from(((), (("openvidu.rooms", 12),))),
    "reason": lambda _: st.sampled_from(("", "the database does not open")),
    "gives_up": lambda _: st.sampled_from((0.0, 1800.0)),
    "version": lambda _: st.sampled_from(("3.6.1", "3.7.0")),
    "old": lambda _: st.just("3.6.1"),
    "snapshots": lambda c: st.just(tuple(s.id for s in c.snapshots or ())[:4]),
}
"""Values of a step's field by name, in that cluster; by its type when the name is not here."""


OF_MASTERS: tuple[type[Step], ...] = (PowerOff, RestartService, Healthy)
OF_HOSTS: tuple[type[Step], ...] = (PowerOffHost, RestartHost, HealthyHost)


def steps(cluster: Cluster, *kinds: type[Step]) -> st.SearchStrategy[Step]:
    """Any step, about that cluster; a step about the pool only where there is one."""

    def value(name: str, hint: Any) -> st.SearchStrategy[Any]:
        if name in FIELDS:
            return FIELDS[name](cluster)
        if hint is bool:
            return st.booleans()
        if hint is int:
            return st.integers(0, 5)
        if hint is str:
            return st.sampled_from(("x", *HOSTILE[:2]))
        raise NotImplementedError(f"say in tests/support/clusters.py what the field {name} may be")

    def of(kind: type[Step]) -> st.SearchStrategy[Step]:
        hints = hints_of(kind)
        required = {f.name: value(f.name, hints[f.name]) for f in fields(kind)}
        optional = [f.name for f in fields(kind) if f.default is not MISSING]
        if "who" in required and "who" not in optional:
            required["who"] = required["who"].filter(
                bool
            )  # Without a name only for steps about all nodes.
        # Either every field is given, or only the required ones.
        least = {n: s for n, s in required.items() if n not in optional}
        return st.builds(kind, **required) | st.builds(kind, **least)

    there = [
        k for k in kinds or STEPS if cluster.pool is not None or k not in (PoolTarget, TemplateSize)
    ]
    if not kinds:
        # The master of a Single Node is stopped and restarted by steps of its own.
        others = OF_MASTERS if cluster.kind is FleetKind.CO_LOCATED else OF_HOSTS
        there = [k for k in there if k not in others]
    return st.one_of([of(k) for k in there])


# --- people, requests, runs

ANA, BEN = Actor("UANA", "T0ACME", name="Ana"), Actor("UBEN", "T0ACME", name="Ben")
texts = st.sampled_from(("power work in ams3", "", *HOSTILE))


@st.composite
def plans(draw: st.DrawFn) -> tuple[Cluster, Plan]:
    """A plan with something to do, and the cluster it was made for."""
    found = draw(
        st.tuples(clusters(), procedures())
        .map(lambda both: (both[0], plan_of(*both)))
        .filter(lambda both: both[1] and both[1].steps)
    )
    assert found[1] is not None, "filtered"
    return found[0], found[1]


def _has_work(cluster: Cluster, procedure: Procedure) -> bool:
    plan = plan_of(cluster, procedure)
    return plan is not None and not plan.is_empty


@cache
def prepared() -> tuple[Plan, ...]:
    """Return a plan of every procedure, on a cluster that is up and on one that is down.

    Enough where the plan is not what a test looks at.
    """
    plans_made = [
        make_plan(ready(3), Shutdown(no_drain=True)),
        make_plan(ready(3), Shutdown(media_only=True)),
    ]
    for cluster in (ready(3), down(ready(3))):
        for kind in PROCEDURES:
            with suppress(NoSuchExample):
                plans_made.append(
                    make_plan(
                        cluster,
                        find(procedures(kind), partial(_has_work, cluster), settings=FINDING),
                    )
                )
    return tuple(plans_made)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request in any state."""
    plan = draw(st.sampled_from(prepared()))
    state = draw(st.sampled_from(list(RequestState)))
    needs = draw(st.integers(1, 3))
    request = Request(
        "a" * 32,
        plan,
        ANA,
        draw(texts),
        NOW,
        NOW + 1800,
        needs,
        "it stops the masters",
        plan.effects.special,
        "COPS",
    )
    for n in range(draw(st.integers(0, needs - 1))):
        request = replace(
            request, approvals=(*request.approvals, Actor(f"UX{n}", "T0ACME", name=draw(texts)))
        )
    request = replace(
        request,
        lacks=draw(st.sampled_from(((), ("S0OPS",), ("S0OPS", "S0SEC")))),
        glass=draw(st.booleans()),
    )
    if not request.glass and draw(st.booleans()):
        request = replace(
            request,
            id="at." + request.id,
            later=NOW + draw(st.floats(60, 2e6)),
            zone="Europe/Madrid",
            waits=safe_reason(draw(texts)),
        )
        request = request.agreed(NOW + 60) if draw(st.booleans()) else replace(request, waits="")
    if state is RequestState.OPEN:
        return request
    by = None if state is RequestState.EXPIRED else BEN
    return request.closed(
        state, NOW + 60, by, run="acme-7" if state is RequestState.APPROVED else ""
    )


@st.composite
def question_of(draw: st.DrawFn) -> Question:
    """A question, with every kind of answer among its choices."""
    choices = (
        Choice("wait", "Wait 30 min more", wait=1800.0),
        Choice("force", "End these meetings", skip=True, loses=f"ends {draw(texts)}"),
        Choice("stop", "Stop here", ends=f"stopped: {draw(texts) or 'here'}"),
        Choice("other", "Another way", steps=(draw(steps(ready())),)),
    )
    return Question(
        draw(st.sampled_from(("drain-deadline", "zero-refused"))),
        f"What now? {draw(texts)}",
        choices,
        draw(st.booleans()),
    )


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    """A run's events: the first opens it, the others come in any order, sensible or not."""
    plan = draw(st.sampled_from(prepared()))
    at = itertools.count(int(NOW))
    approvers, glass = draw(st.sampled_from((((), False), ((), True), ((BEN,), False))))
    opened = Opened(next(at), "acme-7", plan, ANA, approvers, draw(texts), "COPS", "", glass=glass)
    entries: list[Event] = [opened]
    here = st.integers(0, len(plan.steps))
    question = draw(question_of())
    for _ in range(draw(st.integers(0, 12))):
        moment = float(next(at))
        entries.append(
            draw(
                st.one_of(
                    st.builds(
                        Taken,
                        at=st.just(moment),
                        worker=texts,
                        epoch=st.integers(1, 9),
                        again=st.booleans(),
                    ),
                    st.builds(Asked, at=st.just(moment), step=here, again=st.integers(0, 3)),
                    st.builds(
                        Reached,
                        at=st.just(moment),
                        step=st.integers(0, len(plan.steps) - 1),
                        basis=st.sampled_from((None, plan.basis)),
                    ),
                    st.builds(Noted, at=st.just(moment), text=texts),
                    st.builds(Questioned, at=st.just(moment), question=st.just(question)),
                    st.builds(
                        Answered,
                        at=st.just(moment),
                        question=st.sampled_from((question.id, "gone")),
                        choice=st.sampled_from(("", "wait", "force", "stop", "other", "nonsense")),
                        by=st.sampled_from((None, BEN)),
                    ),
                    st.builds(CancelAsked, at=st.just(moment), by=st.just(BEN)),
                    st.builds(
                        Recovering, at=st.just(moment), reason=texts, steps=st.just(plan.steps[:1])
                    ),
                    st.builds(Stopped, at=st.just(moment), reason=texts),
                    st.builds(Resumed, at=st.just(moment), by=st.just(BEN), step=here),
                    st.builds(
                        Ended,
                        at=st.just(moment),
                        how=st.sampled_from(sorted(OVER)),
                        text=texts,
                        by=st.sampled_from((None, BEN)),
                    ),
                )
            )
        )
    return entries
