"""The hands of a run: nothing leaves the bot unless its lease surely holds, and no start of a media server is drained twice."""

from services.cloud.port import ClusterGateway
from services.cloud.secrets_bucket import SecretsBucket
from services.cluster.model import Autoscaler, Cluster, FleetKind, MediaNode, NodeLook
from services.common.errors import Refused, Rejected, Superseded, Unreachable
from services.memory.cluster import ClusterMemory
from services.runs.drain_ledger import SIGNALLED, TAGGED, DrainLedger
from services.runs.locks import Lease
from services.windows import parse_window


class FencedWorld:
    """The hands of one run: nothing leaves the bot unless the lease surely holds, and no start is drained twice."""

    def __init__(
        self,
        outside: ClusterGateway,
        cluster: Cluster,
        lease: Lease,
        drains: DrainLedger,
        memory: ClusterMemory,
        since: float | None,
    ) -> None:
        self._outside = outside
        self._cluster = cluster
        self._lease = lease
        self._drains = drains
        self._memory = memory
        self._since = since

    def _fence(self) -> dict[str, str]:
        """What a note of this run is written under: a bot that slept for an hour must not change what others remember by now."""
        self._lease.check()
        return {self._lease.key: self._lease.token}

    def _noted(self, kept: bool) -> None:
        if not kept:
            raise Superseded(f"{self._lease.run} is driven by somebody else")
        self._lease.check()

    async def act(self, droplet_id: int, action: str, **extra: str | bool) -> None:
        if self._cluster.kind is FleetKind.AUTOSCALER and any(
            n.id == droplet_id for n in self._cluster.media
        ):
            # Switched off it goes on being counted, and the autoscaler may then send the only live one away.
            raise Refused(
                f"{action} of a node that the autoscaler made: it is drained, never powered or resized"
            )
        self._lease.check()
        await self._outside.act(droplet_id, action, self._since, **extra)

    async def set_target(self, number: int, *, remember: int) -> None:
        self._noted(
            await self._memory.note_target(self._cluster, number, self._fence(), remember=remember)
        )
        try:
            await self._outside.set_target(self._cluster, number)
        except Rejected as error:
            if number == 0 and error.status in (400, 422):
                await self._memory.zero_was_refused(self._cluster)
            raise

    async def promote_secrets(self, staged: str, before: str, after: str) -> None:
        self._lease.check()
        await self._vault().promote(staged, before, after, self._lease.check)

    async def restore_secrets(self, staged: str, after: str) -> None:
        self._lease.check()
        await self._vault().restore(staged, after, self._lease.check)

    async def drop_staged(self, staged: str) -> None:
        self._lease.check()
        await self._vault().drop(staged)

    async def break_secrets_lock(self, lock: str) -> None:
        self._lease.check()
        await self._vault().break_lock(lock)

    def _vault(self) -> SecretsBucket:
        if self._outside.vault is None:
            raise Refused("no bucket is configured for this cluster, and secrets.env lies in it")
        return self._outside.vault

    async def save_window(self, words: str) -> None:
        window = parse_window(words)
        run, now = self._lease.run, self._cluster.seen_at
        await self._memory.books.edit(
            self._cluster.name, lambda book: book.with_window(window, run, now), self._fence()
        )

    async def drain(self, droplet_id: int, *, stays: bool) -> None:
        node = next(n for n in self._cluster.media if n.id == droplet_id)
        look = node.look
        if (
            not isinstance(look, NodeLook)
            or not look.start
            or (look.marked and not look.undelivered)
        ):
            return
        if await self._drains.entered(droplet_id, TAGGED):
            raise Refused(
                f"{node.name} was told to leave by its tag already: a signal on top would throw everybody out"
            )
        await self._drains.enter(droplet_id, look.start, self._lease)
        self._lease.check()
        await self._outside.signal(droplet_id, look, stays=stays)

    async def pause_autoscaler(self, *, frozen: bool) -> None:
        self._noted(
            await self._memory.note_pause(
                self._cluster, self._lease.run, self._fence(), frozen=frozen
            )
        )
        await self._outside.pause(self._autoscaler())

    async def resume_autoscaler(self) -> None:
        # Forgotten first: whoever goes on after a crash in between does not take another's pause for this one.
        self._noted(await self._memory.forget_pause(self._cluster, self._fence()))
        await self._outside.resume(self._autoscaler())

    async def send_away(self, droplet_id: int, *, uncount: bool) -> None:
        node = self._media(droplet_id)
        if not node.seen and await self._drains.entered(droplet_id, SIGNALLED):
            raise Unreachable(
                f"{node.name} is not seen, and may be finishing after a signal: its tag would be a second one",
                sent=False,
            )
        if node.draining:
            return  # it finishes already, told by a signal: the tag would be a second one
        await self._drains.enter(droplet_id, TAGGED, self._lease)
        self._lease.check()
        await self._outside.send_away(droplet_id, uncount=uncount and self._autoscaler().enabled)

    async def uncount(self, droplet_id: int) -> None:
        if not self._autoscaler().enabled:
            raise Refused(
                "the autoscaler is paused: a node that it does not count would only lose its firewalls"
            )
        self._lease.check()
        await self._outside.uncount(droplet_id)

    async def delete_node(self, droplet_id: int) -> None:
        self._media(droplet_id)
        self._lease.check()
        await self._outside.delete(droplet_id)

    async def remember_media(self, droplet_ids: tuple[int, ...]) -> None:
        self._noted(await self._memory.note_media(self._cluster, droplet_ids, self._fence()))

    def _autoscaler(self) -> Autoscaler:
        if self._cluster.autoscaler is None or not self._cluster.autoscaler.trigger:
            raise Refused(
                "the autoscaler has no trigger: it was deleted, and only Terraform makes another"
            )
        return self._cluster.autoscaler

    def _media(self, droplet_id: int) -> MediaNode:
        """The node of that id, among those that the look saw as the autoscaler's."""
        node = next((n for n in self._cluster.media if n.id == droplet_id), None)
        if (
            node is None
            or self._cluster.kind is not FleetKind.AUTOSCALER
            or node.member_status is None
        ):
            raise Refused(f"droplet {droplet_id} is none of the autoscaler's")
        return node

    async def restart_service(self, droplet_id: int) -> None:
        self._lease.check()
        await self._outside.restart_service(droplet_id)

    async def stop_service(self, droplet_id: int) -> None:
        self._lease.check()
        await self._outside.stop_service(droplet_id)

    async def set_template_size(self, size: str) -> None:
        self._lease.check()
        await self._outside.set_template_size(self._cluster, size)

    async def failed(self, droplet_id: int, action: str) -> bool:
        return await self._outside.failed(droplet_id, action)

    async def delete_snapshot(self, snapshot_id: str) -> None:
        self._lease.check()
        await self._outside.delete_snapshot(snapshot_id)

    async def keep_secrets(self, label: str) -> None:
        self._lease.check()
        await self._outside.keep_secrets(label)

    async def drop_secrets(self, label: str) -> None:
        self._lease.check()
        await self._outside.drop_secrets(label)
