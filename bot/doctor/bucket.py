"""Checks the bucket of secrets.env: list, read, and with --write-probe also write an object."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, CheckFinding, failed, fine, skipped, wrong
from bot.doctor.context import DoctorContext, Target
from services.cloud.node_access import NodeAccess
from services.cloud.node_secrets import SecretsOnNode
from services.cloud.secrets_bucket import ObjectStore
from services.cluster.deployment import ControlPlane, control_plane_of
from services.cluster.model import Droplet
from services.common.clock import Clock
from services.common.errors import BotError, NotFound
from services.secrets_env import Harm, SecretsFile, layout, remedy, worst_consequence
from services.secrets_env import findings as fatal_problems
from services.store.port import new_id

SECRETS = "secrets.env"
SHOWN = 5
# Seconds to look which deployment it is: a slow DigitalOcean does not keep the bucket unchecked.
LOOK_SECONDS = 3.0
PROBE = "openvidu-bot/doctor/"


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield one check for each cluster."""
    for target in context.targets:
        yield Check(
            f"{target.name}: bucket",
            partial(
                _bucket,
                target,
                context.clock,
                write=context.write_probe,
                observes=context.settings.observes,
            ),
            seconds=60.0,
        )


async def _bucket(
    target: Target, clock: Clock, *, write: bool, observes: bool
) -> Sequence[CheckFinding]:
    name = f"{target.name}: bucket"
    if target.bucket is None:
        return [skipped(name, _why_no_bucket(target))]
    plane, host = await _host(target)
    try:
        await target.bucket.list("openvidu-bot/")
        if plane is None:
            why = "which deployment it is, and so which file its nodes read, is not known now"
            file = f"{target.name}: {SECRETS}"
            findings = [fine(name, "can be listed"), skipped(file, why)]
        elif host is None:
            findings = await _in_bucket(name, target, target.bucket, plane)
        else:
            findings = await _of_host(name, target, host, clock)
    except NotFound as error:
        return [_missing(name, error)]
    writing = f"{name}: writing"
    if observes:
        needs = "this bot only observes; to operate, the Spaces key needs readwrite on this bucket"
        return [*findings, skipped(writing, needs)]
    if write:
        return [*findings, await _write(writing, target.bucket)]
    return [*findings, skipped(writing, "only doctor --write-probe writes")]


async def _host(target: Target) -> tuple[ControlPlane | None, Droplet | None]:
    """Return the deployment (None: not known), and the droplet that reads its own secrets.env.

    No droplet: the bucket's is read.
    """
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            cluster = await target.world.observe(frozenset())
    except (BotError, TimeoutError):
        return None, None  # The check of the stack says why; the bucket can be checked.
    plane = control_plane_of(cluster)
    return plane, cluster.masters[0] if plane.own_secrets else None


async def _in_bucket(
    name: str, target: Target, bucket: ObjectStore, plane: ControlPlane
) -> list[CheckFinding]:
    content, _ = await bucket.get(SECRETS)
    readable = fine(name, f"can be listed and read; {SECRETS} has {len(content)} bytes")
    return [readable, *_file(f"{target.name}: {SECRETS}", SecretsFile(content, plane.secrets))]


async def _of_host(name: str, target: Target, host: Droplet, clock: Clock) -> list[CheckFinding]:
    """Check the file on the node's own disk: its boot script never reads the bucket's."""
    assert target.bucket is not None, "it is configured"
    listed, file = fine(name, "can be listed"), f"{target.name}: {SECRETS}"
    if not host.active:
        return [listed, skipped(file, f"it is on the disk of the node, which is {host.status}")]
    nodes = NodeAccess(target.shell, clock)
    nodes.note_addresses({host.id: target.address_of(host)})

    async def located() -> int:
        return host.id

    try:
        content, _ = await SecretsOnNode(target.bucket, nodes, located).get(SECRETS)
    except NotFound as error:
        return [listed, wrong(file, str(error), "restore it: `/openvidu config history`")]
    except BotError as error:
        return [listed, failed(file, error)]
    return [listed, *_file(file, SecretsFile(content, layout.SINGLE_NODE))]


def _why_no_bucket(target: Target) -> str:
    if target.settings.spaces is None:
        return f"clusters.{target.name}.spaces is not set: no secrets.env from Slack"
    return "SPACES_ACCESS_KEY_ID or SPACES_SECRET_ACCESS_KEY is not set"


def _missing(name: str, error: NotFound) -> CheckFinding:
    problem = f"it contains no {SECRETS}"
    if error.cause:
        problem = f"{error.cause}, so no {SECRETS}"
    usual = (
        "use the deployment's cluster-data bucket (<STACK>-space-clusterdata-...; "
        "<STACK>-space-... of Elastic and Single Node)"
    )
    return wrong(name, problem, error.remedy or usual)


def _file(name: str, file: SecretsFile) -> Sequence[CheckFinding]:
    """Check whether nodes can start with the file; findings name lines and keys, never values."""
    fatal = fatal_problems(file)
    if fatal:
        return [wrong(name, f"{worst_consequence([f])}: {f}", remedy(fatal)) for f in fatal[:SHOWN]]
    text = f"nodes can start with it ({len(file.names())} keys)"
    lesser = len([p for p in file.problems() if p.harm is not Harm.IGNORED])
    if lesser:
        text += f"; {lesser} values are read differently than written: `/openvidu config list`"
    return [fine(name, text)]


async def _write(name: str, bucket: ObjectStore) -> CheckFinding:
    key = f"{PROBE}{new_id()}"
    try:
        await bucket.put(key, b"written by openvidu-bot doctor --write-probe\n")
        await bucket.get(key)
        await bucket.delete(key)
    except BotError as error:
        return failed(name, error)
    return fine(name, "a test object was written, read and deleted")
