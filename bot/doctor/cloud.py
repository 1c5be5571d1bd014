"""DigitalOcean: the token, its scopes as far as reading shows them, and the shape of each stack."""

import difflib
from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, Finding, fine, skipped, unknown, wrong
from bot.doctor.context import Case, Patient
from services.cloud.clients.digitalocean import SCOPES_SEEN_BY_READING
from services.cloud.listings import Account
from services.cluster.model import Cluster, Fact
from services.common.errors import Forbidden, Rejected, Unreachable
from services.common.text import listed
from services.procedures import fleet

FOR = {
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
UNSEEN = "only using it would show, and that changes something; the how-to names what it is for"
LOW = 500


def checks(case: Case) -> Iterator[Check]:
    """The tokens first, then each stack."""
    for number, account in enumerate(case.accounts, 1):
        which = f" {number}" if len(case.accounts) > 1 else ""
        yield Check(
            f"DigitalOcean{which}: token",
            partial(_token, account, f"DigitalOcean{which}"),
            seconds=60.0,
        )
    for patient in case.patients:
        yield Check(f"{patient.name}: stack", partial(_stack, patient), seconds=60.0)


async def _token(account: Account, name: str) -> Sequence[Finding]:
    try:
        await account.api.may("droplet:read")
    except Forbidden as error:
        if error.status == 401:
            remedy = "put a valid token into the variable that holds it (DIGITALOCEAN_TOKEN unless the settings name another)"
            return [wrong(f"{name}: token", "the token was refused (401)", remedy)]
    except Unreachable as error:
        return [
            unknown(
                f"{name}: token",
                str(error),
                error.remedy
                or "see whether this machine reaches DigitalOcean (proxy, firewall, DNS)",
            )
        ]
    found = [fine(f"{name}: token", "is taken")]
    found += [await _scope(account, f"{name}: {scope}", scope) for scope in SCOPES_SEEN_BY_READING]
    for scope in ("droplet:update", "droplet:create", "image:create"):
        found.append(skipped(f"{name}: {scope}", UNSEEN))
    found.append(
        skipped(
            f"{name}: droplet:delete",
            "only deleting would show that it is granted; it should not be",
        )
    )
    return [*found, *_budget(account, name)]


async def _scope(account: Account, name: str, scope: str) -> Finding:
    try:
        await account.api.may(scope)
    except Forbidden:
        return wrong(
            name, f"is not granted; it is for {FOR[scope]}", f"make a token that has {scope} too"
        )
    except Rejected as error:
        return unknown(name, str(error), "look whether the address is DigitalOcean's API")
    except Unreachable as error:
        return unknown(name, str(error), error.remedy or "try again")
    return fine(name, "granted")


def _budget(account: Account, name: str) -> list[Finding]:
    budget = account.api.budget
    if budget.remaining is None:
        return []
    said = f"{budget.remaining} of {budget.limit} requests are left this hour"
    if budget.remaining < LOW:
        return [
            wrong(
                f"{name}: requests",
                said,
                "find who else uses this token, and give the bot one of its own",
            )
        ]
    return [fine(f"{name}: requests", said)]


async def _stack(patient: Patient) -> Sequence[Finding]:
    name = f"{patient.name}: stack"
    cluster = await patient.world.observe(frozenset({Fact.POOL}))
    found = await _region(patient, cluster)
    if cluster.problem:
        remedy = "correct clusters.NAME.stack, or use a token of the right account; reading works, nothing is changed until then"
        return [wrong(name, cluster.problem, remedy), *found]
    return [fine(name, shape(cluster)), *found]


async def _region(patient: Patient, cluster: Cluster) -> list[Finding]:
    """Check that the region exists and holds the droplets: sizes and prices are looked up by the settings' region."""
    name, said = f"{patient.name}: region", patient.settings.region
    try:
        known = {str(r.get("slug")): r for r in await patient.world.account.api.regions()}
    except Rejected:
        known = {}  # without regions:read, which the scopes above tell
    where = sorted(
        {d.region for d in (*cluster.masters, *(n.droplet for n in cluster.media)) if d.region}
    )
    remedy = f"set clusters.{patient.name}.region to {where[0] if len(where) == 1 else 'where its droplets are'}"
    if known and said not in known:
        near = difflib.get_close_matches(said, known, n=1, cutoff=0.5)
        meant = f"; did you mean {near[0]}?" if near and not where else ""
        return [wrong(name, f"DigitalOcean has no region {said}{meant}", remedy)]
    if where and where != [said]:
        return [
            wrong(name, f"its droplets are in {listed(where)}, and the settings say {said}", remedy)
        ]
    if not where:
        return [skipped(name, "no droplet of it was seen")]
    return [fine(name, f"every droplet is in {said}")]


def shape(cluster: Cluster) -> str:
    """What kind of deployment it is, in a line."""
    on = sum(m.active for m in cluster.masters)
    media = (
        f"media pool {cluster.pool.name} at {cluster.pool.target}"
        if cluster.pool
        else fleet.status_of(cluster).words().rstrip(".")
    )
    return (
        f"4 masters ({on} on) in {cluster.region}, {media}, {len(cluster.media)} media droplets now"
    )
