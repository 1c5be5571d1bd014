"""Every change of a cluster: the implementation of `WriteOperations`."""

from contextlib import suppress
from decimal import Decimal

from typing_extensions import override

from services.cloud import config_scripts, update_scripts
from services.cloud import node_scripts as scripts
from services.cloud.clients.digitalocean import DigitalOceanWrites
from services.cloud.drills import DrillWriter, counts_in
from services.cloud.droplet_actions import DropletActions
from services.cloud.leftovers import LeftoverWrites
from services.cloud.listings import SharedAccount
from services.cloud.node_access import NodeAccess
from services.cloud.pool_edit import PoolEditor
from services.cloud.port import WriteFence
from services.cloud.secrets_bucket import SecretsBucket
from services.cluster.backup_notes import CountsNoted, DrillResult
from services.cluster.configuration import NodeConfiguration
from services.cluster.drills import (
    NOTHING_LEFT,
    Counts,
    DrillReport,
    DrillSeen,
    began_at,
    drill_cost,
    drill_name,
)
from services.cluster.fleet_kind import ResourceNames
from services.cluster.model import Autoscaler, Cluster, FleetKind, MediaNode, NodeStatus, Pool
from services.common.errors import NotFound, Refused, Rejected
from services.common.text import strip_invisible
from services.config_files import ConfigFile, known_file
from services.steps import WriteOperations
from services.steps.leftovers import why_not

# Statuses by which DigitalOcean says that it does not accept 0 as a pool's number.
ZERO_REFUSED = (400, 422)
# Seconds from the end of a drill until its droplet is deleted, which its cost includes.
DELETION = 30.0


class ClusterWriter(WriteOperations):
    """The write operations of one run, on the cluster as its last look showed it.

    The fence is checked right before everything that changes something: requests to DigitalOcean by
    `DigitalOceanWrites`, commands on nodes and writes to the bucket here. What must be recorded
    first, the fence records. `WriteOperations` has one method for each operation, and so has this
    class: more than 25 with its helpers.
    """

    def __init__(
        self,
        cluster: Cluster,
        account: SharedAccount,
        nodes: NodeAccess,
        secrets: SecretsBucket | None,
        drain_method: str,
        fence: WriteFence,
        since: float | None,
    ) -> None:
        self._cluster = cluster
        self._names = ResourceNames(cluster.stack)
        self._account = account
        self._nodes = nodes
        self._secrets = secrets
        self._drain_method = drain_method
        self._fence = fence
        self._since = since
        self._requests: DigitalOceanWrites = account.api.writes(fence.check)
        self._actions = DropletActions(account, self._requests)
        self._pools = PoolEditor(account, self._requests)

    # Droplets and snapshots

    @override
    async def request_droplet_action(
        self, droplet_id: int, action: str, **extra: str | bool
    ) -> None:
        is_media = any(n.id == droplet_id for n in self._cluster.media)
        if is_media and self._cluster.kind is FleetKind.AUTOSCALER:
            # Powered off it would still be counted, and the autoscaler may then drain the only node
            # in service.
            raise Refused(
                f"{action} of a node created by the autoscaler: "
                "it is drained, never powered off, on or resized"
            )
        await self._actions.request(droplet_id, action, self._since, **extra)

    @override
    async def action_failed(self, droplet_id: int, action: str) -> bool:
        return await self._actions.has_failed(droplet_id, action)

    @override
    async def delete_snapshot(self, snapshot_id: str) -> None:
        with suppress(NotFound):
            await self._requests.delete_snapshot(snapshot_id)

    @override
    async def delete_leftover(self, ref: str, shown: str) -> None:
        seen = self._cluster.leftovers
        thing = seen.find(ref) if seen is not None else None
        if thing is None or thing.text != shown:
            raise Refused(f"{shown} is not there as it was shown, so nothing of it was deleted")
        if why := why_not(self._cluster, thing):
            raise Refused(why)
        await LeftoverWrites(self._account.api, self._fence.check).delete(thing)

    # The autoscale pool

    @override
    async def set_pool_target(self, number: int, *, remember: int) -> None:
        await self._fence.before_target(number, remember=remember)
        try:
            await self._pools.set_target(self._pool(), number)
        except Rejected as error:
            if number == 0 and error.status in ZERO_REFUSED:
                await self._fence.zero_was_refused()
            raise

    @override
    async def set_template_size(self, size: str) -> None:
        await self._pools.set_size(self._pool(), size)

    # Media nodes

    @override
    async def drain(self, droplet_id: int, *, stays: bool) -> None:
        node = next(n for n in self._cluster.media if n.id == droplet_id)
        look = node.look
        if not isinstance(look, NodeStatus) or not look.start:
            return
        if look.drain_marked and not look.undelivered:
            return
        method = self._drain_method
        if stays or self._names.is_fixed(node.name) or self._names.is_single_node(node.name):
            # The vendor's script deletes its own droplet; only an apply makes another fixed one.
            # A Single Node has no such script.
            method = "signal"
        await self._fence.before_signal(node, look.start)
        self._fence.check()
        await self._nodes.signal_drain(droplet_id, look, method)

    @override
    async def record_powered_on(self, droplet_ids: tuple[int, ...]) -> None:
        await self._fence.record_powered_on(droplet_ids)

    # The autoscaler

    @override
    async def pause_autoscaler(self, *, frozen: bool) -> None:
        await self._fence.before_pause(frozen=frozen)
        await self._set_trigger(enabled=False)

    @override
    async def resume_autoscaler(self) -> None:
        # Recorded first: after a crash in between, another run's pause is not taken for this one's.
        await self._fence.before_resume()
        await self._set_trigger(enabled=True)

    @override
    async def tag_for_draining(self, droplet_id: int, *, uncount: bool) -> None:
        node = self._autoscaled(droplet_id)
        if node.draining:
            return  # it drains already after a signal: the tag would be a second one
        await self._fence.before_draining_tag(node)
        removes = uncount and self._autoscaler().enabled
        with suppress(NotFound):  # it was deleted meanwhile
            await self._requests.add_tag(droplet_id, self._names.draining_tag)
            if removes:
                await self._requests.remove_tag(droplet_id, self._names.media_tag)

    @override
    async def remove_from_autoscaler(self, droplet_id: int) -> None:
        if not self._autoscaler().enabled:
            raise Refused(
                "the autoscaler is paused: "
                "removed from its count, a node would only lose its firewalls"
            )
        with suppress(NotFound):
            await self._requests.remove_tag(droplet_id, self._names.media_tag)

    @override
    async def delete_node(self, droplet_id: int) -> None:
        self._autoscaled(droplet_id)
        with suppress(NotFound):
            await self._requests.delete_droplet(droplet_id)

    # Services on nodes

    @override
    async def restart_service(self, droplet_id: int) -> None:
        if self._cluster.stopped_by_request(droplet_id) is not None:
            await self._fence.before_start(droplet_id)
        self._fence.check()
        await self._nodes.systemctl(droplet_id, "restarting", scripts.RESTART)

    @override
    async def stop_service(self, droplet_id: int) -> None:
        self._fence.check()
        await self._nodes.systemctl(droplet_id, "stopping", scripts.STOP)

    @override
    async def stop_node(self, droplet_id: int) -> None:
        await self._fence.before_stop(droplet_id)
        self._fence.check()
        await self._nodes.systemctl(droplet_id, "stopping", scripts.STOP)

    @override
    async def start_node(self, droplet_id: int) -> None:
        await self._fence.before_start(droplet_id)
        self._fence.check()
        await self._nodes.systemctl(droplet_id, "starting", scripts.START_UNIT)

    async def start_services(self, droplet_id: int) -> None:
        self._fence.check()
        await self._nodes.systemctl(droplet_id, "starting", update_scripts.START)

    @override
    async def fetch_updater(self, droplet_id: int, version: str) -> None:
        self._fence.check()
        script, doing = update_scripts.fetch(version), f"downloading update.sh of {version}"
        await self._nodes.run_update(droplet_id, doing, script, ("there", "fetched"))

    @override
    async def update_openvidu(self, droplet_id: int, was: str, version: str) -> None:
        self._fence.check()
        script, doing = update_scripts.update(was, version), f"updating OpenVidu to {version}"
        await self._nodes.run_update(droplet_id, doing, script, ("begun", "already"))

    @override
    async def restore_openvidu(self, droplet_id: int, was: str, version: str) -> None:
        self._fence.check()
        script, doing = update_scripts.restore(was, version), f"restoring OpenVidu {was}"
        await self._nodes.run_update(droplet_id, doing, script, ("restored", "nothing", "running"))

    # Configuration files

    @override
    async def write_config(
        self, droplet_id: int, name: str, staged: str, before: str, after: str
    ) -> None:
        file, path = self._config_path(droplet_id, name)
        content = await self._bucket().staged_content(staged, after)
        script = config_scripts.write(staged, path, before, after)
        self._fence.check()
        await self._nodes.change_config(droplet_id, file, script, content)

    @override
    async def restore_config(
        self, droplet_id: int, name: str, staged: str, before: str, after: str
    ) -> None:
        file, path = self._config_path(droplet_id, name)
        script = config_scripts.restore(staged, path, before, after)
        self._fence.check()
        await self._nodes.change_config(droplet_id, file, script)

    @override
    async def forget_config(self, droplet_id: int, staged: str) -> None:
        self._fence.check()
        await self._nodes.forget_config(droplet_id, staged)

    def _config_path(self, droplet_id: int, name: str) -> tuple[ConfigFile, str]:
        """Return the file and its path on the node, as the last look showed its layout."""
        file = known_file(name)
        look = dict(self._cluster.configuration).get(droplet_id)
        if not isinstance(look, NodeConfiguration) or not look.layout:
            raise Refused("the node's configuration was not seen. Nothing was written")
        path = file.path_in(look.layout)
        if not path:
            raise Refused(f"this cluster has no {file.name}")
        return file, path

    # The bucket

    @override
    async def record_version(self, was: str, version: str) -> None:
        await self._bucket().record_version(
            was, version, self._fence.check, conditional=self._conditional
        )

    @override
    async def promote_secrets(self, staged: str, before: str, after: str) -> None:
        await self._bucket().promote(
            staged, before, after, self._fence.check, conditional=self._conditional
        )

    @override
    async def restore_secrets(self, staged: str, after: str) -> None:
        await self._bucket().restore(
            staged, after, self._fence.check, conditional=self._conditional
        )

    @property
    def _conditional(self) -> bool:
        """Whether a conditional write can succeed: some buckets refuse every one."""
        return self._cluster.account.answer("if_match") != "refused"

    @override
    async def delete_staged(self, staged: str) -> None:
        await self._bucket().delete_staged(staged)

    @override
    async def break_secrets_lock(self, lock: str) -> None:
        await self._bucket().break_lock(lock, self._fence.check)

    @override
    async def copy_secrets(self, label: str) -> None:
        await self._bucket().copy_to_backup(label)

    @override
    async def delete_secrets_copy(self, label: str) -> None:
        await self._bucket().drop_from_backup(label)

    # Backups and restore drills

    @override
    async def note_counts(self, label: str) -> None:
        counts, why = await self._counts()
        await self._fence.record_counts(CountsNoted(label, counts, why))

    async def _counts(self) -> tuple[Counts, str]:
        """Return the documents of the running database, by the first master that answers."""
        why = "no master is on"
        for master in self._cluster.masters:
            if not master.active:
                continue
            output = await self._nodes.read(master.id, scripts.COUNT)
            if isinstance(output, str):
                why = output
                continue
            if counts := counts_in(output.stdout):
                return counts, ""
            refusal = output.stdout.strip().partition("refused=")[2]
            why = strip_invisible(refusal)[:200] or "the database shows no documents"
        return (), why

    @override
    async def create_drill_network(self, name: str, region: str) -> None:
        await self._drills().create_network(name, region, self._drill_seen())

    @override
    async def create_drill_droplet(self, name: str, snapshot: str, size: str, region: str) -> None:
        await self._drills().create_droplet(name, snapshot, size, region, self._drill_seen())

    @override
    async def open_drill_database(self, droplet_id: int, label: str) -> None:
        if self._secrets is not None:
            await self._bucket().check_backup(label)
        self._fence.check()
        output = await self._nodes.run(droplet_id, scripts.DRILL_PROVE)
        if output.stdout.strip() == "unsealed":
            raise Rejected("opening the database of the copy: its first boot was not sealed")

    @override
    async def record_drill(
        self, stamp: str, label: str, reason: str, *, proven: bool, compared: bool
    ) -> None:
        began = began_at(stamp)
        droplet = self._drill_seen().droplet(drill_name(self._cluster.stack, stamp))
        seconds = max(0.0, self._cluster.seen_at - began) + DELETION
        cost = "0.00"
        counts: Counts = ()
        if droplet is not None:
            cost = str(drill_cost(droplet.hourly or Decimal(0), seconds))
            if isinstance(droplet.report, DrillReport):
                counts = droplet.report.counts
        await self._fence.record_drill(
            DrillResult(stamp, label, began, proven, reason, seconds, cost, compared, counts)
        )

    @override
    async def delete_drills(self, seen: DrillSeen) -> None:
        await self._drills().delete(seen)

    def _drills(self) -> DrillWriter:
        is_unsure = self._since is not None
        return DrillWriter(self._cluster.stack, self._account, self._fence.check, unsure=is_unsure)

    def _drill_seen(self) -> DrillSeen:
        return self._cluster.drill or NOTHING_LEFT

    # The schedule

    @override
    async def save_backup_schedule(self, words: str) -> None:
        await self._fence.save_backup_schedule(words)

    @override
    async def save_scaling(self, words: str) -> None:
        await self._fence.save_scaling(words)

    @override
    async def save_window(self, words: str) -> None:
        await self._fence.save_window(words)

    # Helpers

    def _pool(self) -> Pool:
        assert self._cluster.pool is not None, "only a pool that was seen is edited"
        return self._cluster.pool

    def _autoscaler(self) -> Autoscaler:
        if self._cluster.autoscaler is None or not self._cluster.autoscaler.trigger:
            raise Refused(
                "the autoscaler's trigger was deleted, and only Terraform can create it again"
            )
        return self._cluster.autoscaler

    def _autoscaled(self, droplet_id: int) -> MediaNode:
        """Return the node of that id, among those that the look saw as the autoscaler's."""
        node = next((n for n in self._cluster.media if n.id == droplet_id), None)
        is_theirs = self._cluster.kind is FleetKind.AUTOSCALER
        if node is None or not is_theirs or node.member_status is None:
            raise Refused(f"droplet {droplet_id} was not created by the autoscaler")
        return node

    async def _set_trigger(self, *, enabled: bool) -> None:
        """Let the autoscaler run on its schedule, or pause it; a run of it in progress goes on."""
        autoscaler = self._autoscaler()
        await self._requests.set_trigger(autoscaler.namespace, autoscaler.trigger, enabled=enabled)

    def _bucket(self) -> SecretsBucket:
        """Return the bucket. Each write to it begins here, with a check of the fence."""
        self._fence.check()
        if self._secrets is None:
            raise Refused(
                "no bucket is configured for this cluster, so its secrets.env cannot be changed"
            )
        return self._secrets
