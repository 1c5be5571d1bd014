"""Checks each master's health page, the public address, its certificate, and LiveKit."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from bot.doctor.check import Check, CheckFinding, fine, skipped, unknown, wrong
from bot.doctor.cloud import account_needs
from bot.doctor.context import DoctorContext, Target
from bot.doctor.hours import windows_of
from services.cloud.health import HEALTH_SECONDS, health_page
from services.cloud.world import HEALTH_URL
from services.cluster.certificates import DAY, SOON, Certificate, NoCertificate, utc_text
from services.cluster.deployment import ControlPlane, control_plane_of
from services.cluster.model import Droplet, Fact, short_name
from services.common.causes import Cause
from services.common.errors import Rejected, Unreachable
from services.common.observed import Unobserved
from services.common.text import count_of, duration, join_words
from services.windows import closures

AHEAD = 40 * DAY  # in which windows are checked
HEALTH = "check clusters.NAME.health_url, and that port 7880 is open to this machine"
CERTIFICATE = "check clusters.NAME.public_url and DNS"
# Where a firewall hides the pages from others, which the bot then asks for on the node itself.
HIDDEN = (
    "remove clusters.NAME.health_url: its firewall hides the page, and the bot asks by SSH then"
)
UNHEALTHY = "wait if it is starting; otherwise read `journalctl -u openvidu` there"
FRONT = "check clusters.NAME.public_url, {} and DNS"


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield the checks of each cluster."""
    for target in context.targets:
        needs = (*account_needs(context, target), f"{target.name}: stack")
        yield Check(f"{target.name}: health", partial(_health, target), 60.0, needs)
        address = (f"{target.name}: public address",)
        yield Check(
            f"{target.name}: certificate", partial(_certificate, context, target), 30.0, address
        )
        yield Check(f"{target.name}: LiveKit", partial(_livekit, target), needs=address)


async def _health(target: Target) -> Sequence[CheckFinding]:
    cluster = await target.world.observe(frozenset())
    plane = control_plane_of(cluster)
    on = [m for m in cluster.masters if m.active]
    front = await _front(target, plane, all_off=not on)
    if plane.hides_health and target.settings.health_url == HEALTH_URL:
        pages = await _pages_by_ssh(target)
    else:
        causes = await asyncio.gather(*(_trouble_on(target, m) for m in on))
        off = len(cluster.masters) - len(on)
        remedy = HIDDEN if plane.hides_health else HEALTH
        pages = [*_pages(target, off, dict(zip(on, causes, strict=True)), remedy)]
    if not plane.hides_health:
        return [*pages, front]
    return [*pages, front, await _reserved_ip(target, plane, cluster.masters)]


async def _pages_by_ssh(target: Target) -> list[CheckFinding]:
    """Check the health pages as the bot does where a firewall hides them: on the node itself."""
    name = f"{target.name}: health pages"
    cluster = await target.world.observe(frozenset({Fact.HEALTH}))
    findings = []
    for master in cluster.masters:
        node = short_name(master.name, cluster.stack)
        if not master.active:
            findings.append(skipped(name, f"{node} is {master.status}"))
        elif isinstance(master.healthy, Unobserved):
            reason = f"whether {node} is healthy is unknown: {master.healthy.reason}"
            findings.append(unknown(name, reason, f"fix “{target.name}: SSH to {node}” first"))
        elif master.healthy:
            findings.append(fine(name, f"{node} answers 200, asked on the node itself"))
        else:
            findings.append(wrong(name, f"{node} does not answer 200", UNHEALTHY))
    return findings


async def _reserved_ip(
    target: Target, plane: ControlPlane, masters: Sequence[Droplet]
) -> CheckFinding:
    """Report the address that the public name should lead to: it outlives its droplet."""
    name, ids = f"{target.name}: reserved IP", {m.id for m in masters}
    listed = await target.world.account.api.droplets()
    public = [
        str(network.get("ip_address"))
        for droplet in listed
        if droplet.get("id") in ids
        for network in (droplet.get("networks") or {}).get("v4") or ()
        if network.get("type") == "public"
    ]
    if len(public) > 1:
        return fine(name, f"{public[1]} leads to {plane.all_masters}", notable=True)
    problem = f"{plane.all_masters} has none, so its address changes when it is replaced"
    return unknown(name, problem, f"assign a reserved IP to it (Terraform of {plane.title} does)")


async def _trouble_on(target: Target, master: Droplet) -> Cause | None:
    page = health_page(target.settings.health_url, master, target.address_of(master))
    return await target.http.why_down(page, timeout=HEALTH_SECONDS)


def _pages(
    target: Target, off: int, causes: dict[Droplet, Cause | None], usual: str
) -> Iterator[CheckFinding]:
    """Yield one finding for each cause, naming all masters that share it."""
    name = f"{target.name}: health pages"
    healthy = [m for m, cause in causes.items() if cause is None]
    for cause in dict.fromkeys(c for c in causes.values() if c is not None):
        failing = [
            short_name(m.name, target.settings.stack) for m, c in causes.items() if c == cause
        ]
        do = "does" if len(failing) == 1 else "do"
        text = f"{join_words(failing)} {do} not answer 200: {cause.text}"
        yield wrong(name, text, _remedies(cause.remedy, usual))
    answer = (
        f"{count_of(len(healthy), 'master')} {'answers' if len(healthy) == 1 else 'answer'} 200"
    )
    if healthy and off:
        yield fine(name, f"{answer}, {off} are powered off")
    elif healthy:
        yield fine(name, answer)
    if not causes:
        yield skipped(name, "no master is powered on")


def _remedies(*remedies: str) -> str:
    return "; ".join(filter(None, remedies))


async def _front(target: Target, plane: ControlPlane, *, all_off: bool) -> CheckFinding:
    name, url = f"{target.name}: public address", target.settings.public_url
    cause = await target.http.why_down(url, below=400, timeout=HEALTH_SECONDS)
    if cause is None:
        return fine(name, f"{url} answers")
    if all_off:
        return skipped(name, f"no {plane.noun} is powered on")
    return wrong(
        name,
        f"{url} does not answer as expected: {cause.text}",
        _remedies(cause.remedy, FRONT.format(plane.front.removeprefix("the "))),
    )


async def _certificate(context: DoctorContext, target: Target) -> Sequence[CheckFinding]:
    name = f"{target.name}: certificate"
    certificate = await target.http.certificate_of(target.settings.public_url)
    if isinstance(certificate, NoCertificate):
        if not certificate.needed:
            return [fine(name, "none: plain http on this machine", notable=True)]
        if not target.settings.public_url.startswith("https://"):
            return [skipped(name, "the public address is not https://")]
        return [
            unknown(
                name, f"none was received: {certificate.reason}", certificate.remedy or CERTIFICATE
            )
        ]
    if not certificate.accepted:
        return [replace(wrong(name, certificate.trouble, certificate.remedy), no_access=True)]
    closed = await _longest_closure(context, target)
    return [expiry(name, certificate, context.wall(), closed)]


def expiry(name: str, certificate: Certificate, now: float, closed: float) -> CheckFinding:
    """Return the finding about the expiry of an accepted certificate.

    `closed` is the longest time in seconds that windows keep the cluster down: certificates are
    renewed only while it runs.
    """
    left = certificate.left(now)
    text = f"accepted; it ends {utc_text(certificate.ends)}, in {_days(left)}"
    if closed > left:
        return wrong(
            name,
            f"{text}; a window keeps the cluster closed for {_days(closed)}",
            "shorten the window: certificates are renewed only while the cluster runs",
        )
    # Short-lived ones (160 h for a bare IP address) are renewed every few days and always end soon.
    if left < min(SOON, (certificate.ends - certificate.begins) / 4):
        return wrong(
            name,
            f"{text}, and was not renewed",
            "read the log of caddy on the masters, or replace your own certificate",
        )
    return fine(name, text)


def _days(seconds: float) -> str:
    if seconds >= 3 * DAY:
        return f"{seconds / DAY:.0f} days"
    return duration(seconds)


async def _longest_closure(context: DoctorContext, target: Target) -> float:
    now = context.clock.now()
    coming, _ = closures(await windows_of(context, target), now, now + AHEAD)
    return max((c.open - max(c.close, now) for c in coming if c.kind == "shutdown"), default=0.0)


async def _livekit(target: Target) -> Sequence[CheckFinding]:
    name = f"{target.name}: LiveKit"
    if target.people is None:
        return [skipped(name, _why_no_livekit(target))]
    try:
        async with asyncio.timeout(15):
            load = await target.people.load()
    except Rejected as error:
        return [wrong(name, str(error), error.remedy)]
    except (Unreachable, TimeoutError) as error:
        remedy = error.remedy if isinstance(error, Unreachable) else ""
        usual = "normal while the cluster is down; otherwise check livekit_url"
        return [unknown(name, str(error) or "no answer within 15 s", _remedies(remedy, usual))]
    return [
        fine(name, f"{load['rooms']} meetings with {load['participants']} people", notable=True)
    ]


def _why_no_livekit(target: Target) -> str:
    if target.settings.livekit_url is None:
        return "livekit_url is not set: running meetings are unknown"
    return "LIVEKIT_API_KEY or LIVEKIT_API_SECRET is not set"
