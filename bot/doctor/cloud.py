"""Checks DigitalOcean: the token, the scopes that reading shows, and the shape of each stack."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from bot.doctor.check import Check, CheckFinding, fine, skipped, unknown, wrong
from bot.doctor.context import DoctorContext, Target
from bot.init.discovery import stacks
from services.cloud.clients.digitalocean import SCOPES_SEEN_BY_READING
from services.cloud.listings import SharedAccount
from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, Fact
from services.common.errors import Forbidden, Rejected, Unreachable
from services.common.text import count_of, join_words
from services.procedures import fleet

PURPOSE = {
    "droplet:read": "reading anything",
    "account:read": "the droplet limit",
    "actions:read": "power actions",
    "image:read": "power actions",
    "project:read": "editing the media pool",
    "regions:read": "prices",
    "sizes:read": "prices and resizing",
    "snapshot:read": "backups",
    "ssh_key:read": "editing the media pool",
    "tag:read": "finding media droplets",
    "vpc:read": "editing the media pool",
}
CREDENTIAL_REMEDY = (
    "put a valid token into DIGITALOCEAN_TOKEN (or the variable of clusters.NAME.secrets)"
)
UNSEEN = "only using them would show"
UNSEEN_SCOPES = ("droplet:update", "droplet:create", "image:create")
# Without these the bot cannot see what it reports on.
TO_OBSERVE = frozenset(
    {"droplet:read", "account:read", "regions:read", "sizes:read", "snapshot:read", "tag:read"}
)
TO_OPERATE = {
    "droplet:update": "power",
    "droplet:create": "resizing and the media pool",
    "image:create": "backups",
    "snapshot:delete": "pruning backups",
    "tag:create and tag:delete": "draining by an autoscaler",
    "function:update": "pausing an autoscaler",
}
DRILL_SCOPES = (
    "they also need vpc:create, vpc:delete, firewall:read, firewall:create, firewall:delete, "
    "tag:create, tag:delete and droplet:delete; without one, a drill is refused and names it"
)
OF_SECRETS = "secrets: DIGITALOCEAN_TOKEN"
LOW = 500  # requests


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield the checks of the tokens, then of each stack."""
    for account in context.accounts:
        name = account_name(context, account)
        observes = context.settings.observes
        look = partial(_token, account, name, observes=observes)
        yield Check(f"{name}: token", look, 60.0, (OF_SECRETS,))
    for target in context.targets:
        needs = account_needs(context, target)
        yield Check(f"{target.name}: stack", partial(_stack, target), 60.0, needs)


def account_name(context: DoctorContext, account: SharedAccount) -> str:
    """Return `DigitalOcean`, with a number if there are several accounts."""
    if len(context.accounts) == 1:
        return "DigitalOcean"
    return f"DigitalOcean {context.accounts.index(account) + 1}"


def account_needs(context: DoctorContext, target: Target) -> tuple[str, ...]:
    """Return the findings without which nothing of a cluster can be read at DigitalOcean."""
    return OF_SECRETS, f"{account_name(context, target.world.account)}: token"


async def _token(account: SharedAccount, name: str, *, observes: bool) -> Sequence[CheckFinding]:
    try:
        await account.api.require_scope("droplet:read")
    except Forbidden as error:
        if error.status == 401:
            problem = "DigitalOcean refused the token (401)"
            finding = wrong(f"{name}: token", problem, CREDENTIAL_REMEDY)
            return [replace(finding, no_access=True)]
    except Unreachable as error:
        return [
            unknown(
                f"{name}: token",
                str(error),
                error.remedy
                or "check whether this machine reaches DigitalOcean (proxy, firewall, DNS)",
            )
        ]
    if observes:
        token = fine(f"{name}: token", "accepted")
        return [token, *await _observing(account, name), *_budget(account, name)]
    return [
        fine(f"{name}: token", "accepted"),
        await _scopes(account, f"{name}: scopes"),
        skipped(f"{name}: {', '.join(UNSEEN_SCOPES)}", UNSEEN),
        skipped(f"{name}: droplet:delete", "only restore drills and autoscalers need it"),
        skipped(f"{name}: restore drills", DRILL_SCOPES),
        *_budget(account, name),
    ]


async def _scopes(account: SharedAccount, name: str) -> CheckFinding:
    """Check the scopes that reading shows; one finding names all that are missing."""
    missing = await _missing(account, name)
    if isinstance(missing, CheckFinding):
        return missing
    if not missing:
        return fine(name, f"{len(SCOPES_SEEN_BY_READING)} scopes for reading are granted")
    remedy = f"create a token that also has {', '.join(missing)}"
    return wrong(name, f"the token lacks {_with_purposes(missing)}", remedy)


async def _missing(account: SharedAccount, name: str) -> list[str] | CheckFinding:
    """Return the scopes that reading shows to be missing, or why that is unknown."""
    missing = []
    for scope in SCOPES_SEEN_BY_READING:
        try:
            await account.api.require_scope(scope)
        except Forbidden:
            missing.append(scope)
        except Rejected as error:
            return unknown(name, str(error), "check that the address is DigitalOcean's API")
        except Unreachable as error:
            return unknown(name, str(error), error.remedy or "try again")
    return missing


def _with_purposes(scopes: Sequence[str]) -> str:
    return ", ".join(f"{scope} ({PURPOSE[scope]})" for scope in scopes)


async def _observing(account: SharedAccount, name: str) -> list[CheckFinding]:
    """Check what observing takes, and name what operating takes besides."""
    missing = await _missing(account, f"{name}: scopes")
    if isinstance(missing, CheckFinding):
        return [missing]
    lacks = [scope for scope in missing if scope in TO_OBSERVE]
    later = [scope for scope in missing if scope not in TO_OBSERVE]
    scopes = fine(
        f"{name}: scopes",
        "the token reads all that observing takes; a read-only token is enough",
        notable=True,
    )
    if lacks:
        remedy = f"create a token that also has {', '.join(lacks)}"
        scopes = wrong(f"{name}: scopes", f"the token lacks {_with_purposes(lacks)}", remedy)
    seen = "no scope for reading is missing"
    if later:
        seen = f"missing for that: {_with_purposes(later)}"
    written = ", ".join(f"{scope} ({purpose})" for scope, purpose in TO_OPERATE.items())
    unseen = f"reading cannot show whether the token has {written}"
    operating = skipped(f"{name}: to operate", f"this bot only observes; {seen}; {unseen}")
    return [scopes, operating]


def _budget(account: SharedAccount, name: str) -> list[CheckFinding]:
    budget = account.api.budget
    if budget.remaining is None:
        return []
    left = f"{budget.remaining} of {budget.limit} requests left this hour"
    if budget.remaining < LOW:
        return [
            wrong(
                f"{name}: requests",
                left,
                "create a token for the bot alone: something else uses this one",
            )
        ]
    return [fine(f"{name}: requests", left)]


async def _stack(target: Target) -> Sequence[CheckFinding]:
    name = f"{target.name}: stack"
    cluster = await target.world.observe(frozenset({Fact.POOL}))
    region = await _region(target, cluster)
    if cluster.problem:
        remedy = f"correct clusters.{target.name}.stack, or use a token of the right account"
        if similar := await _similar_stack(target):
            remedy = f"set clusters.{target.name}.stack to {similar} (did you mean {similar}?)"
        return [wrong(name, cluster.problem, remedy), *region]
    return [fine(name, shape(cluster), notable=True), *region]


async def _similar_stack(target: Target) -> str:
    """Return a stack of the account with a similar name; "" if there is none."""
    found = [stack.stack for stack in stacks(await target.world.account.api.droplets())]
    if target.settings.stack in found:
        return ""
    return next(iter(difflib.get_close_matches(target.settings.stack, found, n=1, cutoff=0.5)), "")


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
    place = "the region of its droplets"
    if len(actual) == 1:
        place = actual[0]
    remedy = f"set clusters.{target.name}.region to {place}"
    if known and region not in known:
        problem = f"DigitalOcean has no region {region}"
        similar = difflib.get_close_matches(region, known, n=1, cutoff=0.5)
        if similar and not actual:
            problem += f"; did you mean {similar[0]}?"
        return [wrong(name, problem, remedy)]
    if not actual:
        return [skipped(name, "no droplet was found")]
    if actual != [region]:
        problem = f"its droplets are in {join_words(actual)}, the settings have {region}"
        return [wrong(name, problem, remedy)]
    return [fine(name, f"every droplet is in {region}")]


def shape(cluster: Cluster) -> str:
    """Return the kind of deployment in one line."""
    plane, on = control_plane_of(cluster), sum(m.active for m in cluster.masters)
    if plane.hosts_meetings:
        state = "on" if on else "powered off"
        return f"{plane.title}: one droplet ({state}) in {cluster.region}; the meetings run on it"
    masters = f"{count_of(len(cluster.masters), 'master')} ({on} on) in {cluster.region}"
    media = count_of(len(cluster.media), "media droplet")
    return f"{plane.title}: {masters}, {_fleet(cluster)}, {media} now"


def _fleet(cluster: Cluster) -> str:
    if cluster.pool:
        return f"media pool {cluster.pool.name} at {cluster.pool.target}"
    return fleet.status_of(cluster).summary().rstrip(".")
