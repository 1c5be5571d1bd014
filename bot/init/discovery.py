"""Looks up what `init` offers: stacks, regions, buckets, Slack's members and channels. Reads only.

A lookup that fails is no error of `init`: the question is asked without a list.
"""

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cluster.deployment import CONTROL_PLANES, detect_deployment
from services.cluster.fleet_kind import ResourceNames
from services.cluster.model import Deployment
from services.common.causes import cause_of
from services.common.clock import Clock
from services.common.errors import Forbidden, Refused, Unreachable
from services.common.text import count_of

# The masters of each deployment, or its only droplet.
MASTER = re.compile(r"(?P<stack>.+)-(?:master-node(?:-[1-4])?|vm-ce(?:-pro)?)")
DIGITALOCEAN = "https://api.digitalocean.com"
SLACK = "https://slack.com/api"
PAGES, PAGE_SIZE = 5, "200"
LOOKUP_SECONDS = 20.0
# Members that cannot be operators.
NOT_FULL = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")
SLACKBOT = "USLACKBOT"


@dataclass(frozen=True)
class Suggestion:
    """An answer to pick. `label` follows the value; `names`: other ways to type it.

    `suggested`: a likely answer, such as a channel that the bot was invited to.
    """

    value: str
    label: str = ""
    names: tuple[str, ...] = ()
    suggested: bool = False


@dataclass(frozen=True)
class FoundStack:
    """A stack with all masters of its deployment."""

    stack: str
    region: str
    media: int
    deployment: Deployment = Deployment.HIGH_AVAILABILITY

    def words(self) -> str:
        """Return `ams3 · Elastic: 1 master, 3 media droplets`, or `ams3 · Single Node`."""
        plane = CONTROL_PLANES[self.deployment]
        if plane.hosts_meetings:
            return f"{self.region} · {plane.title}"
        nodes = f"{count_of(plane.masters or 0, 'master')}, {count_of(self.media, 'media droplet')}"
        return f"{self.region} · {plane.title}: {nodes}"


@dataclass(frozen=True)
class Account:
    """What a DigitalOcean token shows: stacks, and the regions by name."""

    stacks: tuple[FoundStack, ...] = ()
    regions: tuple[Suggestion, ...] = ()


@dataclass(frozen=True)
class Workspace:
    """What a Slack token shows: full members and channels."""

    people: tuple[Suggestion, ...] = ()
    channels: tuple[Suggestion, ...] = ()


def stacks(droplets: Sequence[dict[str, Any]]) -> list[FoundStack]:
    """Return every stack that has all masters of one deployment."""
    names = [str(droplet.get("name")) for droplet in droplets]
    matches = [match for name in names if (match := MASTER.fullmatch(name))]
    found = []
    for stack in sorted({match["stack"] for match in matches}):
        of_stack = ResourceNames(stack)
        deployment, problem = detect_deployment(of_stack, names)
        if problem:
            continue
        media = sum(of_stack.media_tag in (d.get("tags") or ()) for d in droplets)
        master = next(d for d in droplets if of_stack.is_master(str(d.get("name"))))
        region = str((master.get("region") or {}).get("slug", ""))
        found.append(FoundStack(stack, region, media, deployment))
    return found


async def look_up_account(token: str, endpoint: str) -> Account:
    """List droplets and regions once. Raises what the client raises for the droplets."""
    api = DigitalOceanClient(token, endpoint=endpoint or DIGITALOCEAN, clock=Clock())
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            found = tuple(stacks(await api.droplets()))
            return Account(found, await _regions(api))
    except TimeoutError:
        raise Unreachable(f"no answer within {LOOKUP_SECONDS:.0f} s") from None
    finally:
        await api.aclose()


async def _regions(api: DigitalOceanClient) -> tuple[Suggestion, ...]:
    try:
        regions = await api.regions()
    except (Forbidden, Unreachable):
        return ()  # a token without regions:read
    return tuple(
        Suggestion(str(r["slug"]), str(r.get("name") or ""))
        for r in regions
        if r.get("available", True)
    )


async def look_up_buckets(endpoint: str, key: str, secret: str, stack: str) -> list[Suggestion]:
    """Return the buckets that the key lists, those of the stack first. Raises what S3 raises."""
    # In a thread and only here: boto3 takes long to import.
    names = await asyncio.to_thread(_bucket_names, endpoint, key, secret)

    def rank(name: str) -> tuple[bool, bool, str]:
        return (not name.startswith(f"{stack}-"), "clusterdata" not in name, name)

    return [Suggestion(name) for name in sorted(names, key=rank)]


def _bucket_names(endpoint: str, key: str, secret: str) -> list[str]:
    from services.cloud.clients import s3  # noqa: PLC0415

    def names() -> list[str]:
        ca_file = os.environ.get("SSL_CERT_FILE") or None
        client = s3.make_client(endpoint, (key, secret), "us-east-1", ca_file, 1)
        try:
            return [str(bucket["Name"]) for bucket in client.list_buckets().get("Buckets") or ()]
        finally:
            client.close()

    return s3.call("listing the buckets", names)


async def look_up_workspace(token: str, api_url: str) -> Workspace:
    """List members and channels. Refused when Slack refuses the token; Unreachable without it."""
    # Only here: the SDK takes long to import.
    import aiohttp  # noqa: PLC0415
    from slack_sdk.errors import SlackApiError, SlackClientError  # noqa: PLC0415
    from slack_sdk.web.async_client import AsyncWebClient  # noqa: PLC0415

    client = AsyncWebClient(token=token, base_url=f"{api_url or SLACK}/")
    if api_url:
        client.proxy = None  # an address of this machine
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            members = await _pages(client, "users.list", "members")
            channels = await _pages(
                client,
                "conversations.list",
                "channels",
                types="public_channel,private_channel",
                exclude_archived="true",
            )
    except SlackApiError as error:
        raise Refused(f"Slack answered {error.response.get('error')}") from None
    except (aiohttp.ClientError, SlackClientError, OSError, TimeoutError, ValueError) as error:
        raise Unreachable(f"Slack does not answer: {cause_of(error).text}") from None
    return Workspace(tuple(_people(members)), tuple(_channels(channels)))


async def _pages(client: Any, method: str, key: str, **arguments: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(PAGES):
        sent = {**arguments, "limit": PAGE_SIZE}
        if cursor:
            sent["cursor"] = cursor
        answer = await client.api_call(method, data=sent)
        entries += answer[key]
        cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            break
    return entries


def _people(members: Sequence[dict[str, Any]]) -> list[Suggestion]:
    offers = []
    for member in members:
        if member.get("id") == SLACKBOT or any(member.get(flag) for flag in NOT_FULL):
            continue
        name, real = str(member.get("name") or ""), str(member.get("real_name") or "")
        offers.append(Suggestion(str(member["id"]), real or name, (name, real)))
    return sorted(offers, key=lambda offer: offer.label.casefold())


def _channels(channels: Sequence[dict[str, Any]]) -> list[Suggestion]:
    """Return the channels, those with the bot first."""
    offers = []
    for channel in sorted(channels, key=lambda c: (not c.get("is_member"), str(c.get("name")))):
        label = f"#{channel.get('name')}"
        if not channel.get("is_member"):
            label += " (the bot is not a member yet)"
        invited = bool(channel.get("is_member")) and not channel.get("is_general")
        offers.append(Suggestion(str(channel["id"]), label, (str(channel.get("name")),), invited))
    return offers
