"""Live checks: what only the real cluster shows, each with the smallest action and its cost.

What is asked of the account, on throw-away resources, is `openvidu-bot probe`.

Each action is confirmed by the user first. One that changes something restores it before it returns
its answer.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.doctor.context import DoctorContext, Target
from services.cloud.clients.digitalocean import DigitalOceanWrites
from services.cloud.clients.ssh import Host
from services.cluster.model import Autoscaler, Cluster, Droplet, Fact, FleetKind
from services.common.errors import BotError, Forbidden, Refused
from services.secrets_env.file import SecretsFile
from services.store.keys import claim_key

FREE = "nothing"
SECONDS = 20.0
PLAIN = re.compile(r"[\w.-]{1,20}")
AUTOSCALER = (FleetKind.AUTOSCALER,)
WITHOUT_POOL = (FleetKind.FIXED, FleetKind.AUTOSCALER)
EVERY = (FleetKind.POOL, *WITHOUT_POOL)


@dataclass(frozen=True)
class Visit:
    """The cluster that a live check works on."""

    target: Target
    cluster: Cluster

    async def on(self, droplet: Droplet, command: str) -> str:
        """Run a command on a node; return what it prints."""
        host = Host(droplet.id, self.target.address_of(droplet))
        output = await self.target.shell.run(host, command, timeout=SECONDS)
        return output.stdout.strip()

    @property
    def scaler(self) -> Autoscaler:
        if self.cluster.autoscaler is None or not self.cluster.autoscaler.trigger:
            raise Refused("its autoscaler has no trigger")
        return self.cluster.autoscaler

    @property
    def media(self) -> Droplet:
        """Return a media node that is powered on."""
        active = [n.droplet for n in self.cluster.media if n.droplet.active]
        if not active:
            raise Refused("no media node of it is on")
        return active[0]


@dataclass(frozen=True)
class LiveCheck:
    """A question and the action that answers it. Without `act` a person acts, as `does` says."""

    name: str
    question: str
    does: str
    costs: str = FREE
    kinds: tuple[FleetKind, ...] = EVERY
    act: Callable[[Visit], Awaitable[str]] | None = None


async def _namespaces(at: Visit) -> str:
    namespaces = await at.target.world.account.api.namespaces()
    own = [n for n in namespaces if n["label"] == f"{at.cluster.stack}-autoscaler"]
    return (
        f"{len(namespaces)} functions namespaces are visible to this token, "
        f"{len(own)} of them of {at.cluster.stack}"
    )


async def _put_trigger(at: Visit) -> str:
    scaler = at.scaler
    try:
        await _writes(at).set_trigger(scaler.namespace, scaler.trigger, enabled=scaler.enabled)
    except Forbidden as error:
        return (
            f"PUT is_enabled was refused ({error.status}): function:update alone is not enough, "
            "function:admin is needed"
        )
    return "PUT is_enabled was taken with this token's scopes"


def _writes(at: Visit) -> DigitalOceanWrites:
    """Return requests that nothing is checked before: the operator agreed to each check."""
    return at.target.world.account.api.writes(lambda: None)


async def _next_run(at: Visit) -> str:
    scaler, api = at.scaler, at.target.world.account.api
    if not scaler.enabled:
        raw = await api.trigger(scaler.namespace, scaler.trigger)
    else:
        try:
            await _writes(at).set_trigger(scaler.namespace, scaler.trigger, enabled=False)
            raw = await api.trigger(scaler.namespace, scaler.trigger)
        finally:
            await _writes(at).set_trigger(scaler.namespace, scaler.trigger, enabled=True)
    next_run = (raw.get("scheduled_runs") or {}).get("next_run_at")
    if next_run is None:
        return "next_run_at of a paused trigger is null"
    return "next_run_at of a paused trigger still shows a time"


async def _enabled_at_boot(at: Visit) -> str:
    status = await at.on(at.media, "systemctl is-enabled openvidu") or "not known"
    return f"the unit openvidu is {status} at boot on a media node"


async def _doctl(at: Visit) -> str:
    folders = await at.on(
        at.media, "for d in /usr/bin /bin; do if [ -x $d/doctl ]; then echo $d; fi; done"
    )
    if not folders:
        return (
            "doctl is neither in /usr/bin nor in /bin, where cron looks: "
            "a drained node may not be able to delete itself"
        )
    folder = folders.split()[0]
    return f"doctl is in {folder}, where cron looks: a drained node can delete itself"


async def _version(at: Visit) -> str:
    bucket = at.target.bucket
    if bucket is None:
        raise Refused("no bucket is configured for it")
    content, _ = await bucket.get("secrets.env")
    stored = SecretsFile(content).value("OPENVIDU_VERSION") or "none"
    info = await at.on(at.cluster.masters[0], "cat /opt/openvidu/deployment-info.yaml")
    match = re.search(r"^\s*version:\s*[\"']?([\w.-]+)", info, re.MULTILINE)
    running = match[1] if match else "unknown"
    verdict = "the same" if stored == running else "new nodes would install the first"
    if not PLAIN.fullmatch(stored):
        stored = "no version"
    return f"OPENVIDU_VERSION is {stored} in the bucket and {running} on master 1: {verdict}"


LIVE_CHECKS: tuple[LiveCheck, ...] = (
    LiveCheck(
        "namespaces",
        "does this token see the functions namespaces that Terraform created?",
        "lists the functions namespaces",
        kinds=WITHOUT_POOL,
        act=_namespaces,
    ),
    LiveCheck(
        "put-trigger",
        "is function:update enough to pause the autoscaler, or is function:admin needed?",
        "sends the trigger the state that it already has",
        kinds=AUTOSCALER,
        act=_put_trigger,
    ),
    LiveCheck(
        "next-run",
        "does a paused trigger show no next run?",
        "pauses the autoscaler, reads, and resumes it a second later; if this machine fails in "
        "between, it stays paused (Functions console)",
        kinds=AUTOSCALER,
        act=_next_run,
    ),
    LiveCheck(
        "enabled-at-boot",
        "does OpenVidu start by itself when a media node is powered on?",
        "asks systemd on one media node",
        kinds=WITHOUT_POOL,
        act=_enabled_at_boot,
    ),
    LiveCheck(
        "doctl",
        "can a drained node delete itself from cron?",
        "looks for doctl on one media node",
        kinds=AUTOSCALER,
        act=_doctl,
    ),
    LiveCheck(
        "version",
        "did the last upgrade reach secrets.env, which new nodes install from?",
        "reads one key of secrets.env, and deployment-info.yaml on master 1",
        act=_version,
    ),
    LiveCheck(
        "last-run",
        "is a run that began before a pause really the last?",
        "manually: freeze a test stack some seconds after a minute divisible by 4; watch the "
        "trigger's last run and the droplets for 5 min",
        kinds=AUTOSCALER,
    ),
    LiveCheck(
        "tag-lag",
        "how long until a tag shows in a node's metadata and in the list by tag?",
        "manually: tag an idle node of a test stack with a new tag; read "
        "http://169.254.169.254/metadata/v1/tags on it, and the list",
        kinds=AUTOSCALER,
    ),
    LiveCheck(
        "firewall",
        "is a node that has lost its media tag open to the world?",
        "manually: drain an idle node of a test stack, and connect to its port 8080 from outside "
        "before it is deleted",
        kinds=AUTOSCALER,
    ),
    LiveCheck(
        "triggers",
        "how many scheduled triggers may an account have today?",
        "manually: the limits in the Functions console",
        kinds=AUTOSCALER,
    ),
)


async def live_checks(
    context: DoctorContext, asks: Callable[[str], Awaitable[bool]], says: Callable[[str], None]
) -> int:
    """Run the live checks of each cluster; return how many confirmed ones got no answer."""
    unanswered = 0
    for target in context.targets:
        try:
            cluster = await target.world.observe(frozenset({Fact.DROPLETS, Fact.POOL}))
            busy = (await context.store.get(claim_key(target.name)))[0]
        except BotError as error:
            remedy = f" ({error.remedy})" if error.remedy else ""
            says(f"{target.name}: {error}{remedy}")
            unanswered += 1
            continue
        says(f"{target.name}: {cluster.problem or cluster.kind}")
        if cluster.problem:
            continue
        if busy:
            says(f"{target.name} is locked by run {busy}: nothing is checked until it has ended")
            continue
        for each in of_kind(cluster.kind):
            if not await _run(each, Visit(target, cluster), asks, says):
                unanswered += 1
    return unanswered


def of_kind(kind: FleetKind) -> Sequence[LiveCheck]:
    """Return the live checks that a cluster of that kind can answer."""
    return [c for c in LIVE_CHECKS if kind in c.kinds]


async def _run(
    each: LiveCheck, at: Visit, asks: Callable[[str], Awaitable[bool]], says: Callable[[str], None]
) -> bool:
    """Run one live check if the user confirms it. False: it was confirmed and got no answer."""
    says(f"\n{each.name}: {each.question}\n  {each.does}\n  costs {each.costs}")
    if each.act is None or not await asks("  Do this?"):
        return True
    try:
        says(f"  Answer, to paste into an issue: [{each.name}] {await each.act(at)}")
    except BotError as error:
        says(f"  No answer: {error}")
        return False
    return True


async def ask_on_the_terminal(question: str) -> bool:
    """Ask for y or yes; anything else means no."""
    try:
        answer = await asyncio.to_thread(input, f"{question} [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")
