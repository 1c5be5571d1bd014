"""Checks DigitalOcean: the token, the scopes that reading shows, and the shape of each stack."""

import difflib
from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, CheckFinding, fine, skipped, unknown, wrong
from bot.doctor.context import DoctorContext, Target
from services.cloud.clients.digitalocean import SCOPES_SEEN_BY_READING
from services.cloud.listings import SharedAccount
from services.cluster.model import Cluster, Fact
from services.common.errors import Forbidden, Rejected, Unreachable
from services.common.text import join_words
from services.procedures import fleet

PURPOSE = {
    "droplet:read": "looking at anything",
    "account:read": "the droplet limit",
    "actions:read": "what was asked of droplets",
    "image:read": "switching droplets",
    "project:read": "editing the media pool",
    "regions:read": "prices",
    "sizes:read": "prices and resizing",
    "snapshot:read": "backups",
    "ssh_key:read": "editing the media pool",
    "tag:read": "telling media droplets from others",
    "vpc:read": "editing the media pool",
}
CREDENTIAL_REMEDY = (
    "put a valid token into the variable that holds it "
    "(DIGITALOCEAN_TOKEN unless the settings name another)"
)
UNSEEN = "only using it would show, and that changes something; the how-to names what it is for"
LOW = 500  # requests


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield the checks of the tokens, then of each stack."""
    for number, account in enumerate(context.accounts, 1):
        name = "DigitalOcean"
        if len(context.accounts) > 1:
            name += f" {number}"
        yield Check(f"{name}: token", partial(_token, account, name), seconds=60.0)
    for target in context.targets:
        yield Check(f"{target.name}: stack", partial(_stack, target), seconds=60.0)


async def _token(account: SharedAccount, name: str) -> Sequence[CheckFinding]:
    try:
        await account.api.require_scope("droplet:read")
    except Forbidden as error:
        if error.status == 401:
            return [wrong(f"{name}: token", "the token was refused (401)", CREDENTIAL_REMEDY)]
    except Unreachable as error:
        return [
            unknown(
                f"{name}: token",
                str(error),
                error.remedy
                or "see whether this machine reaches DigitalOcean (proxy, firewall, DNS)",
            )
        ]
    findings = [fine(f"{name}: token", "is taken")]
    findings += [
        await _scope(account, f"{name}: {scope}", scope) for scope in SCOPES_SEEN_BY_READING
    ]
    for scope in ("droplet:update", "droplet:create", "image:create"):
        findings.append(skipped(f"{name}: {scope}", UNSEEN))
    findings.append(
        skipped(
            f"{name}: droplet:delete",
            "only deleting would show that it is granted; it should not be",
        )
    )
    return [*findings, *_budget(account, name)]


async def _scope(account: SharedAccount, name: str, scope: str) -> CheckFinding:
    try:
        await account.api.require_scope(scope)
    except Forbidden:
        return wrong(
            name,
            f"is not granted; it is for {PURPOSE[scope]}",
            f"make a token that has {scope} too",
        )
    except Rejected as error:
        return unknown(name, str(error), "look whether the address is DigitalOcean's API")
    except Unreachable as error:
        return unknown(name, str(error), error.remedy or "try again")
    return fine(name, "granted")


def _budget(account: SharedAccount, name: str) -> list[CheckFinding]:
    budget = account.api.budget
    if budget.remaining is None:
        return []
    left = f"{budget.remaining} of {budget.limit} requests are left this hour"
    if budget.remaining < LOW:
        return [
            wrong(
                f"{name}: requests",
                left,
                "find who else uses this token, and give the bot one of its own",
            )
        ]
    return [fine(f"{name}: requests", left)]


async def _stack(target: Target) -> Sequence[CheckFinding]:
    name = f"{target.name}: stack"
    cluster = await target.world.observe(frozenset({Fact.POOL}))
    region = await _region(target, cluster)
    if cluster.problem:
        remedy = (
            "correct clusters.NAME.stack, or use a token of the right account; reading works, "
            "nothing is changed until then"
        )
        return [wrong(name, cluster.problem, remedy), *region]
    return [fine(name, shape(cluster)), *region]


async def _region(target: Target, cluster: Cluster) -> list[CheckFinding]:
    """Check that the region exists and holds the droplets.

    Sizes and prices are looked up by the settings' region.
    """
    name, region = f"{target.name}: region", target.settings.region
    try:
        known = {str(r.get("slug")): r for r in await target.world.account.api.regions()}
    except Rejected:
        known = {}  # the token lacks regions:read, which the check of its scopes reports
    droplets = (*cluster.masters, *(n.droplet for n in cluster.media))
    actual = sorted({droplet.region for droplet in droplets if droplet.region})
    place = actual[0] if len(actual) == 1 else "where its droplets are"
    remedy = f"set clusters.{target.name}.region to {place}"
    if known and region not in known:
        problem = f"DigitalOcean has no region {region}"
        similar = difflib.get_close_matches(region, known, n=1, cutoff=0.5)
        if similar and not actual:
            problem += f"; did you mean {similar[0]}?"
        return [wrong(name, problem, remedy)]
    if not actual:
        return [skipped(name, "no droplet of it was seen")]
    if actual != [region]:
        problem = f"its droplets are in {join_words(actual)}, and the settings say {region}"
        return [wrong(name, problem, remedy)]
    return [fine(name, f"every droplet is in {region}")]


def shape(cluster: Cluster) -> str:
    """Return the kind of deployment in one line."""
    on = sum(m.active for m in cluster.masters)
    masters = f"4 masters ({on} on) in {cluster.region}"
    return f"{masters}, {_fleet(cluster)}, {len(cluster.media)} media droplets now"


def _fleet(cluster: Cluster) -> str:
    if cluster.pool:
        return f"media pool {cluster.pool.name} at {cluster.pool.target}"
    return fleet.status_of(cluster).summary().rstrip(".")
