"""The first door: everything the bot knows comes in through `observe`. And the plain hands that a fenced world uses to change things."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from services.cloud import node_scripts as scripts
from services.cloud.clients.http import Http
from services.cloud.clients.spaces import Spaces
from services.cloud.clients.ssh import Host, Output
from services.cloud.listings import Account
from services.cloud.node_look import parse_look
from services.cloud.parse import Action, pool_of, template_digest
from services.cloud.secrets_bucket import Objects, SecretsBucket
from services.cloud.survey import Survey
from services.cluster.fleet_kind import ResourceNames
from services.cluster.model import (
    Autoscaler,
    Cluster,
    Droplet,
    Fact,
    FleetKind,
    Load,
    MediaNode,
    NodeLook,
    Pool,
    Timings,
)
from services.common.causes import REFUSED
from services.common.clock import Clock
from services.common.errors import BotError, NotFound, Refused, Rejected, Unreachable
from services.common.observed import NOT_LOOKED, NotSeen, Observed, Silences
from services.common.text import printable
from services.secrets_env import Linted, Unread

Json = dict[str, Any]
T = TypeVar("T")
HEALTH_SECONDS = 5.0
SSH_SECONDS = 20.0
RESTART_SECONDS = 180.0
NODES_AT_ONCE = 16
CLOCKS_APART = 5.0
BACKUPS = "openvidu-bot/backups/"
SECRETS = "secrets.env"
LONG = (
    "resize",
    "snapshot",
)  # actions that must be this very one: another that is under way does not stand for it
DRAIN_WORDS = (
    "begun",
    "already",
    "other-start",
    "unmarked",
    "refused",
)  # what `scripts.drain` prints first
PENDING = ("already has a pending event", "blocking events processing")
ALREADY = (*PENDING, "already powered off", "already powered on")


class Shell(Protocol):
    """Runs a command on a node."""

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output: ...


class People(Protocol):
    """Knows the meetings."""

    async def load(self) -> Any: ...


@dataclass(frozen=True)
class Place:
    """What tells one cluster from another: names and addresses, handed over by the composition root."""

    name: str
    stack: str
    region: str = ""
    health_url: str = "http://{address}:7880/health/caddy"
    public_url: str = ""
    private_addresses: bool = False
    zero_policy: str = "ask"
    drain_method: str = "signal"
    min_serving: int = 1
    keep_backups: int = 3
    zone: str = "UTC"
    declared: int | None = None
    timings: Timings = field(default_factory=Timings)


class ClusterWorld:
    """One cluster at DigitalOcean, seen and touched through the clients."""

    def __init__(
        self,
        place: Place,
        account: Account,
        shell: Shell | None,
        http: Http,
        people: People | None,
        clock: Clock,
        bucket: Objects | None = None,
    ) -> None:
        self.place = place
        self.account = account
        self._shell = shell
        self._http = http
        self._people = people
        self._clock = clock
        self._bucket = bucket
        self.vault = SecretsBucket(bucket, clock) if bucket is not None else None
        self._names = ResourceNames(place.stack)
        self._where: dict[int, str] = {}
        self._fixed: frozenset[int] = frozenset()
        self._survey = Survey(self._names, account, clock)
        self._silences = Silences()
        self._unmarked: dict[
            int, tuple[str, str]
        ] = {}  # by droplet: the start that could not be marked, and why
        self._at_once = asyncio.Semaphore(NODES_AT_ONCE)

    async def aclose(self) -> None:
        """Let go of the bucket's threads."""
        if isinstance(self._bucket, Spaces):
            await self._bucket.aclose()

    def pace(self, interval: float) -> float:
        """Seconds until the next look."""
        return self.account.pace(interval, self.place.name)

    async def observe(
        self,
        needs: frozenset[Fact],
        since: float | None = None,
        *,
        tolerates: frozenset[Fact] = frozenset(),
    ) -> Cluster:
        """Look now. `since`: nothing older than that moment will do (a look after an ask). Unreachable when a needed fact is not seen.

        Of the facts that are to be seen at DigitalOcean, those in `tolerates` may be missing: `Cluster.unseen` says which are, and why.
        """
        now = self._clock.now()
        fresh = now - self.account.together()
        fresh = fresh if since is None else max(since, fresh)
        seen = await self._survey.look(needs, fresh, since or float("-inf"), tolerates)
        masters, media = seen.masters, seen.media
        self._where = {d.id: self._address(d) for d in (*masters, *(n.droplet for n in media))}
        self._fixed = frozenset(n.id for n in media if self._names.is_fixed(n.name))
        healthy, looks, load, front = await asyncio.gather(
            self._health(masters, needs),
            self._looks(media, needs),
            self._load(needs),
            self._front(needs),
        )
        starts = await self._starts(masters, needs)
        return Cluster(
            name=self.place.name,
            stack=self.place.stack,
            seen_at=now,
            region=self.place.region or (masters[0].region if masters else ""),
            known=needs - {fact for fact, _ in seen.unseen},
            unseen=seen.unseen,
            masters=tuple(
                replace(
                    m, healthy=healthy.get(m.id, NOT_LOOKED), start=starts.get(m.id, NOT_LOOKED)
                )
                for m in masters
            ),
            media=tuple(replace(n, look=looks.get(n.id, NOT_LOOKED)) for n in media),
            pool=seen.pool,
            kind=seen.kind,
            autoscaler=seen.autoscaler,
            declared=self.place.declared,
            load=load,
            front=front,
            has_front=bool(self.place.public_url),
            problem=seen.problem,
            zero_policy=self.place.zero_policy,
            drain_method=self.place.drain_method,
            min_serving=self.place.min_serving,
            media_price=seen.media_price,
            droplet_limit=seen.droplet_limit,
            droplets_in_account=seen.droplets_in_account,
            sizes=seen.sizes,
            snapshots=seen.snapshots,
            copies=await self._copies(needs),
            secrets=await self.vault.look()
            if Fact.SECRETS in needs and self.vault is not None
            else None,
            lint=await self._lint(needs, seen.kind),
            has_bucket=self._bucket is not None,
            keep_backups=self.place.keep_backups,
            zone=self.place.zone,
            timings=self.place.timings,
        )

    async def _copies(self, needs: frozenset[Fact]) -> tuple[str, ...] | None:
        if Fact.SNAPSHOTS not in needs or self._bucket is None:
            return None
        try:
            stored = await self._bucket.list(BACKUPS)
        except BotError:
            return None
        return tuple(
            s.key.removeprefix(BACKUPS).partition("/")[0]
            for s in stored
            if s.key.endswith(f"/{SECRETS}")
        )

    async def _lint(self, needs: frozenset[Fact], kind: FleetKind) -> Linted | Unread:
        if Fact.LINT not in needs or self.vault is None:
            return Unread()
        return await self.vault.lint(pool=kind is FleetKind.POOL)

    # How it is

    async def _health(
        self, masters: tuple[Droplet, ...], needs: frozenset[Fact]
    ) -> dict[int, Observed[bool]]:
        if Fact.HEALTH not in needs:
            return {}
        on = [m for m in masters if m.active]
        answers = await asyncio.gather(
            *(self._answers(health_page(self.place.health_url, m, self._address(m))) for m in on)
        )
        return {m.id: False for m in masters} | {
            m.id: ok for m, ok in zip(on, answers, strict=True)
        }

    async def _front(self, needs: frozenset[Fact]) -> Observed[bool]:
        if Fact.FRONT not in needs or not self.place.public_url:
            return NOT_LOOKED
        return await self._answers(
            self.place.public_url, below=400
        )  # Meet may redirect to its own page

    async def _answers(self, url: str, *, below: int = 201) -> Observed[bool]:
        """Whether that page answers as it should; a host that refuses the connection is seen not to.

        Silence may be the network between here and there: not seen, with its cause.
        """
        try:
            answered = 200 <= (await self._http.get(url, timeout=HEALTH_SECONDS)).status < below
        except Unreachable as error:
            if error.cause != REFUSED:
                return self._silences.note(url, error.cause or str(error), self._clock.now())
            answered = False
        self._silences.over(url)
        return answered

    async def _load(self, needs: frozenset[Fact]) -> Observed[Load]:
        if Fact.LOAD not in needs:
            return NOT_LOOKED
        if self._people is None:
            return NotSeen("LiveKit is not configured here")
        try:
            raw = await self._people.load()
        except BotError as error:
            return self._silences.note(Fact.LOAD, str(error), self._clock.now())
        self._silences.over(Fact.LOAD)
        return Load(
            rooms=raw["rooms"],
            people=raw["participants"],
            recordings=raw["egress"],
            ingresses=raw["ingress"],
            longest=float(raw["longest_seconds"]),
        )

    async def _looks(
        self, media: tuple[MediaNode, ...], needs: frozenset[Fact]
    ) -> dict[int, Observed[NodeLook]]:
        if Fact.NODES not in needs:
            return {}
        on = [n for n in media if n.droplet.status == "active" and n.droplet.id > 0]
        looks = await asyncio.gather(*(self._look(n.droplet) for n in on))
        return {n.id: look for n, look in zip(on, looks, strict=True)}

    async def _look(self, droplet: Droplet) -> Observed[NodeLook]:
        """What runs on that node. Whatever goes wrong there says something about this node alone."""
        if self._shell is None:
            return NotSeen("SSH is not configured for this cluster")
        try:
            async with self._at_once:
                output = await self._ssh(droplet.id, scripts.LOOK, SSH_SECONDS)
        except (Unreachable, Refused, Rejected) as error:
            return self._silences.note(droplet.id, error.cause or str(error), self._clock.now())
        look = (
            parse_look(output.stdout)
            if output.exit_status == 0
            else f"its shell ended with status {output.exit_status}"
        )
        if isinstance(look, str):
            return self._silences.note(droplet.id, look, self._clock.now())
        self._silences.over(droplet.id)
        start, why = self._unmarked.get(droplet.id, ("", ""))
        return (
            replace(look, unmarked=why) if why and start == look.start and not look.marked else look
        )

    async def _starts(
        self, masters: tuple[Droplet, ...], needs: frozenset[Fact]
    ) -> dict[int, Observed[str]]:
        """Which start of OpenVidu runs on each master that is on and can be reached."""
        if Fact.SERVICES not in needs:
            return {}
        on = [m for m in masters if m.active]
        return dict(
            zip(
                [m.id for m in on], await asyncio.gather(*(self._start(m) for m in on)), strict=True
            )
        )

    async def _start(self, master: Droplet) -> Observed[str]:
        if self._shell is None:
            return NotSeen("SSH is not configured for this cluster")
        try:
            async with self._at_once:
                output = await self._ssh(master.id, scripts.START, SSH_SECONDS)
        except (Unreachable, Refused, Rejected) as error:
            return NotSeen(error.cause or str(error))
        return (
            output.stdout.strip()
            if output.exit_status == 0
            else NotSeen(f"systemctl ended with status {output.exit_status}")
        )

    # What can be done

    async def act(
        self, droplet_id: int, action: str, since: float | None = None, **extra: str | bool
    ) -> None:
        """Ask for a droplet action. "Already so" and "already being done" are states, not failures.

        `since`: an earlier ask at or after that moment may have taken effect though nobody heard; such an action is adopted, not repeated.
        """
        if since is not None and await self._asked_already(droplet_id, action, since):
            return
        try:
            await self.account.api.act(droplet_id, action, **extra)
        except Rejected as error:
            if (
                error.status == 422
                and action in LONG
                and any(text in error.message.lower() for text in PENDING)
            ):
                await self._must_be_ours(droplet_id, action)
                return
            if error.status == 422 and any(text in error.message.lower() for text in ALREADY):
                return
            raise

    async def _asked_already(self, droplet_id: int, action: str, since: float) -> bool:
        earliest = since - CLOCKS_APART
        return any(
            a.status != "errored" and a.started_at >= earliest
            for a in await self.account.actions(droplet_id, action)
        )

    async def _must_be_ours(self, droplet_id: int, action: str) -> None:
        """Something is under way there: adopted if it is what was asked for; otherwise to be asked again later."""
        newest = await self._newest(droplet_id)
        if newest is None or newest.type != action or newest.status != "in-progress":
            raise Unreachable(
                f"asking for {action} of droplet {droplet_id}: another action is under way there",
                again_in=10.0,
                sent=False,
            )

    async def _newest(self, droplet_id: int, action: str = "") -> Action | None:
        return max(
            await self.account.actions(droplet_id, action),
            key=lambda a: (a.started_at, a.id),
            default=None,
        )

    async def failed(self, droplet_id: int, action: str) -> bool:
        """Whether the newest action of that kind there ended in an error. DigitalOcean does not say why."""
        newest = await self._newest(droplet_id, action)
        return newest is not None and newest.status == "errored"

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot for good; one that is gone is deleted already."""
        try:
            await self.account.api.delete_snapshot(snapshot_id)
        except NotFound:
            return

    async def keep_secrets(self, label: str) -> None:
        """Copy the bucket's secrets.env to where the backup of that label keeps it, private."""
        await self._the_bucket().copy(SECRETS, f"{BACKUPS}{label}/{SECRETS}")

    async def drop_secrets(self, label: str) -> None:
        """Delete the copy of secrets.env that belongs to the backup of that label."""
        await self._the_bucket().delete(f"{BACKUPS}{label}/{SECRETS}")

    def _the_bucket(self) -> Objects:
        if self._bucket is None:
            raise Refused("no bucket is configured for this cluster, and secrets.env lies in it")
        return self._bucket

    async def set_target(self, cluster: Cluster, number: int) -> None:
        """GET, change one field, PUT the rest back as it was read; read again and compare.

        Refused when the pool is not what the look saw: somebody else is editing it. Unreachable while it is not active.
        """
        assert cluster.pool is not None, "only a pool that was seen is edited"
        before = await self.account.pool(cluster.pool.id)
        if _read(cluster.pool, before).target == number:
            return  # an earlier ask took effect though nobody heard, or somebody else did the same
        await self._put_pool(cluster.pool, before, {"target_number_instances": number}, {})

    async def set_template_size(self, cluster: Cluster, size: str) -> None:
        """The same for the droplet size in the template: the one key that is changed."""
        assert cluster.pool is not None, "only a pool that was seen is edited"
        before = await self.account.pool(cluster.pool.id)
        if _read(cluster.pool, before).size == size:
            return
        await self._put_pool(cluster.pool, before, {}, {"size": size})

    async def _put_pool(self, seen: Pool, before: Json, config: Json, changes: Json) -> None:
        now, template = _read(seen, before), before["droplet_template"]
        if now.template != seen.template:
            raise Refused(
                f"the template of {seen.name} was changed by somebody else a moment ago; look again before editing it"
            )
        if now.target != seen.target:
            raise Refused(
                f"somebody else just set {seen.name} to {now.target}; look again before editing it"
            )
        if now.state:
            raise Unreachable(f"{seen.name} is not edited: {now.state}", again_in=10.0, sent=False)
        if not template.get("user_data"):
            raise Refused(
                f"DigitalOcean did not return the user_data of {seen.name}; without it new nodes would be blank"
            )
        wanted = {**template, **changes}
        await self.account.api.put_pool(
            seen.id,
            {
                "name": before["name"],
                "config": {**(before.get("config") or {}), **config},
                "droplet_template": wanted,
            },
        )
        after = await self.account.pool(seen.id)
        if _read(seen, after).template != template_digest(wanted):
            raise Rejected(
                f"after editing {seen.name} its template reads back changed; check it before anything else"
            )

    async def pause(self, autoscaler: Autoscaler) -> None:
        """Nothing is added, drained or replaced from now on, but for what a run under way still does."""
        await self.account.api.set_trigger(autoscaler.namespace, autoscaler.trigger, enabled=False)

    async def resume(self, autoscaler: Autoscaler) -> None:
        """The autoscaler runs by its clock again."""
        await self.account.api.set_trigger(autoscaler.namespace, autoscaler.trigger, enabled=True)

    async def send_away(self, droplet_id: int, *, uncount: bool) -> None:
        """Tag a node so that it finishes and deletes itself. `uncount`: then take it out of the autoscaler's count, in this order."""
        try:
            await self.account.api.give_tag(droplet_id, self._names.draining_tag)
            if uncount:
                await self.account.api.take_tag(droplet_id, self._names.media_tag)
        except NotFound:
            return  # it has gone meanwhile

    async def uncount(self, droplet_id: int) -> None:
        """Take a node that leaves out of the autoscaler's count, so that another comes for it. It loses its firewalls by that."""
        with suppress(NotFound):
            await self.account.api.take_tag(droplet_id, self._names.media_tag)

    async def delete(self, droplet_id: int) -> None:
        """Delete a media droplet; one that is gone is deleted already."""
        with suppress(NotFound):
            await self.account.api.delete_droplet(droplet_id)

    async def signal(self, droplet_id: int, look: NodeLook, *, stays: bool) -> None:
        """Run the guarded drain script. Only the ledger calls this. `stays`: the droplet is kept, drained.

        Where the node says that nothing was signalled, the next looks carry its reason, and it is sent again later.
        """
        # The vendor's script deletes its own droplet, and of a fixed one only an apply makes another.
        method = "signal" if stays or droplet_id in self._fixed else self.place.drain_method
        command = scripts.drain(look.start, method, look.to_signal, look.attempts)
        output = await self._ssh(droplet_id, command, SSH_SECONDS)
        word, _, reason = output.stdout.strip().partition(" ")
        self._unmarked.pop(droplet_id, None)
        if output.exit_status != 0 or word not in DRAIN_WORDS:
            raise Unreachable(
                f"telling droplet {droplet_id} to finish: its shell ended with status {output.exit_status}"
            )
        if word in ("unmarked", "refused"):
            self._unmarked[droplet_id] = (look.start, printable(reason) or word)

    async def restart_service(self, droplet_id: int) -> None:
        """`systemctl restart openvidu` there."""
        output = await self._ssh(droplet_id, scripts.RESTART, RESTART_SECONDS)
        if output.exit_status != 0:
            raise Rejected(
                f"restarting openvidu on droplet {droplet_id}: systemctl said {output.exit_status}"
            )

    async def stop_service(self, droplet_id: int) -> None:
        """`systemctl stop openvidu` there."""
        output = await self._ssh(droplet_id, scripts.STOP, RESTART_SECONDS)
        if output.exit_status != 0:
            raise Rejected(
                f"stopping openvidu on droplet {droplet_id}: systemctl said {output.exit_status}"
            )

    async def inspect(self, droplet_id: int) -> str:
        """What `scripts.INSPECT` prints there. It holds log lines: nobody may be shown them before they are masked."""
        return (await self._ssh(droplet_id, scripts.INSPECT, SSH_SECONDS)).stdout

    async def _ssh(self, droplet_id: int, command: str, seconds: float) -> Output:
        if self._shell is None:
            raise Refused(
                "SSH is not configured for this cluster, and this cannot be done without it"
            )
        address = self._where.get(droplet_id, "")
        if not address:
            raise Unreachable(f"droplet {droplet_id} has no address yet", sent=False)
        return await self._shell.run(Host(droplet_id, address), command, timeout=seconds)

    def _address(self, droplet: Droplet) -> str:
        return droplet.private_address if self.place.private_addresses else droplet.address


def _read(seen: Pool, raw: Json) -> Pool:
    """What a pool says now that was seen before."""
    now = pool_of(raw, f"reading autoscale pool {seen.id}")
    if now is None:
        raise Refused(f"{seen.name} is not of fixed size any more; look again before editing it")
    return now


def health_page(pattern: str, master: Droplet, address: str) -> str:
    """A master's own health page. `address`: the one that the bot reaches it at."""
    return pattern.format(address=address, private_address=master.private_address)
