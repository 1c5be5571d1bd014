"""The write operations of a run: what leaves the bot, under which lease, and in which order."""

import ast
import asyncio
import inspect
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.audit.chain import AuditChain
from services.cloud import config_scripts, update_scripts
from services.cloud import node_scripts as scripts
from services.cloud.clients.digitalocean import DigitalOceanWrites
from services.cloud.clients.pace import MINUTE, WRITE_WAITS, RequestPace
from services.cloud.clients.ssh import Host, Output
from services.cloud.clients.throwaway import ThrowawayWrites
from services.cloud.drill_seal import sealing_user_data
from services.cloud.drills import NO_DROPLET, firewall_body
from services.cloud.node_access import NodeAccess
from services.cloud.parse import Action, pool_of
from services.cloud.writer import ClusterWriter
from services.cluster.drills import DrillDroplet, DrillPart, DrillSeen
from services.cluster.leftovers import Leftover, LeftoversSeen
from services.cluster.model import Cluster, NodeStatus
from services.common.clock import Clock, loop_clock
from services.common.errors import Refused, Rejected, Superseded
from services.common.observed import Observed
from services.memory.cluster import ClusterMemory
from services.runs.drain_ledger import TAGGED, DrainLedger
from services.runs.fence import RunFence
from services.runs.locks import TTL, Lease, Locks
from services.steps import WriteOperations
from services.store import Commit
from tests.support import virtual
from tests.support.clusters import (
    DRAINING,
    HELD,
    IDLE,
    INSTALLING,
    SILENT,
    START,
    autoscaled,
    configured,
    ready,
)
from tests.support.memory_store import MemoryStore

Operation = Callable[[WriteOperations], Awaitable[object]]
SCHEDULE = "weekly Sun 03:00 UTC --drill"
WINDOW = "nights Mon-Fri 20:00-07:00 Europe/Madrid"
ROOT = Path(__file__).parents[2]
RAW_POOL: dict[str, Any] = {
    "id": "pool-1",
    "name": "acme-media",
    "status": "active",
    "active_resources_count": 3,
    "config": {"target_number_instances": 3},
    "droplet_template": {"name": "acme-media", "size": "c-8", "user_data": "#!/bin/sh", "tags": []},
}


class Slow(MemoryStore):
    """A state store that may be slow to answer."""

    takes = 0.0

    async def commit(self, commit: Commit) -> bool:
        done = await super().commit(commit)
        await asyncio.sleep(self.takes)
        return done


class Outside:
    """Records everything that changes something outside, and the state store at that moment."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.calls: list[tuple[Any, ...]] = []
        self.seen: dict[str, str | None] = {}
        self.watched = ""
        self.error: Exception | None = None
        self.after: Callable[[], Awaitable[None]] | None = None
        self.pool = RAW_POOL

    def arrives(self, name: str, *args: object) -> None:
        if self.watched:
            self.seen[name] = self.store.text(self.watched)
        self.calls.append((name, *args))
        if self.error is not None:
            raise self.error


class OperationGroup:
    """`client.droplets` and its like."""

    def __init__(self, outside: Outside, name: str) -> None:
        self.outside, self.name = outside, name

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        async def ask(*args: object, body: Any = None) -> Any:
            bodies = () if body is None else (body,)
            self.outside.arrives(f"{self.name}.{verb}", *args, *bodies)
            if verb == "update":
                self.outside.pool = {**self.outside.pool, **body}
            if self.outside.after is not None:
                await self.outside.after()
            return {"action": {}, "autoscale_pool": {}, "droplet": {}, "trigger": {}}

        return ask


class Requests:
    """In the place of `ApiRequests`: the client behind it is the recorder."""

    def __init__(self, outside: Outside, pace: RequestPace) -> None:
        self.outside = outside
        self.pace = pace

    async def send(self, _what: str, _scope: str, ask: Callable[[Any], Any], _hide: object) -> Any:
        return await ask(self)

    async def list(self, key: str, *_: object) -> list[dict[str, Any]]:
        """Answer a read: the account has one SSH key."""
        assert key == "ssh_keys"
        return [{"id": 7}]

    async def one(self, key: str, *_: object) -> dict[str, Any]:
        """Answer a read: the volume that nothing uses."""
        assert key == "volume"
        return {
            "id": OLD_VOLUME.id,
            "name": OLD_VOLUME.name,
            "created_at": OLD_VOLUME.created_at,
            "size_gigabytes": 10,
            "droplet_ids": [],
        }

    def __getattr__(self, group: str) -> OperationGroup:
        return OperationGroup(self.outside, group)


class FencedAccount:
    """One token's account: reads answer at once, and are not recorded."""

    def __init__(self, outside: Outside, clock: Clock) -> None:
        self.api = self
        self.outside = outside
        self.pace = RequestPace(clock)
        self.known: list[Action] = []

    @property
    def requests(self) -> Any:
        return Requests(self.outside, self.pace)

    def writes(self, check: Callable[[], None]) -> DigitalOceanWrites:
        return DigitalOceanWrites(self.requests, check)

    async def droplets(self) -> list[dict[str, Any]]:
        return []

    async def pool(self, _pool: str) -> dict[str, Any]:
        return self.outside.pool

    async def actions(self, _droplet: int, _kind: str = "") -> list[Action]:
        return self.known


UPDATES = {
    update_scripts.START: "start",
    update_scripts.fetch("3.7.0"): "fetch",
    update_scripts.update("3.6.1", "3.7.0"): "update",
    update_scripts.restore("3.6.1", "3.7.0"): "undo",
}


class RecordedShell:
    """Every node's shell. `drain` is recorded with its method."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        names = {
            scripts.RESTART: "restart",
            scripts.STOP: "stop",
            config_scripts.write("s", PATH, "b", "a"): "write",
            config_scripts.restore("s", PATH, "b", "a"): "put back",
            config_scripts.forget("s"): "forget",
            scripts.START_UNIT: "start",
            scripts.DRILL_PROVE: "prove",
            **UPDATES,
        }
        method = ("script" if scripts.VENDOR in command else "signal",)
        name = names.get(command, "drain")
        if command in scripts.READING:
            return Output(0, "count=openvidu.rooms=12\nend")
        self.outside.arrives(name, host.droplet_id, *(method if name == "drain" else ()))
        done = {
            "fetch": "fetched",
            "undo": "restored",
            "write": "written",
            "put back": "written",
        }
        return Output(0, done.get(name, "begun"))


class Bucket:
    """In the place of `SecretsBucket`: records its calls, and calls the check before each."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Callable[..., Awaitable[bytes | None]]:
        async def call(*args: Any, conditional: bool = True) -> bytes | None:
            assert conditional, "nothing is known of this account"
            if self.meanwhile is not None:
                await self.meanwhile()
            for check in (a for a in args if callable(a)):
                check()
            self.outside.arrives(name, *(a for a in args if not callable(a)))
            return b"content" if name == "staged_content" else None

        return call


class Setup:
    """A run's writer with all that is behind it."""

    def __init__(
        self,
        clock: Clock,
        store: Slow,
        lease: Lease,
        cluster: Cluster,
        method: str = "signal",
        bucket: bool = True,
    ) -> None:
        self.store, self.lease = store, lease
        self.outside = Outside(store)
        self.drains = DrainLedger(store, clock)
        self.memory = ClusterMemory(store, AuditChain(store, clock))
        account: Any = FencedAccount(self.outside, clock)
        self.account: FencedAccount = account
        self.nodes = NodeAccess(RecordedShell(self.outside), clock)
        copies = cluster.drill.droplets if cluster.drill else ()
        known = [d.id for d in (*cluster.masters, *(n.droplet for n in cluster.media))]
        known += [copy.id for copy in copies]
        self.nodes.note_addresses(dict.fromkeys(known, "192.0.2.1"))
        self.bucket = Bucket(self.outside)
        secrets: Any = self.bucket if bucket else None
        fence = RunFence(cluster, lease, self.drains, self.memory)
        self.world = ClusterWriter(cluster, account, self.nodes, secrets, method, fence, 5.0)

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        return self.outside.calls


def with_pool(number: int = 3) -> Cluster:
    """A cluster whose pool is RAW_POOL."""
    pool = pool_of(RAW_POOL, "")
    assert pool is not None
    return replace(ready(number), pool=pool)


def play(
    story: Callable[[Setup], Awaitable[None]], cluster: Cluster | None = None, **more: Any
) -> None:
    async def played() -> None:
        clock = loop_clock(0.0)
        store = Slow(clock)
        lease = await Locks(store, clock, "w1").take("acme-1")
        assert lease is not None
        await story(Setup(clock, store, lease, cluster or with_pool(), **more))

    virtual.run(played())


SCALES = autoscaled(2)
POOL = with_pool()
NODE = SCALES.media[0].id
MASTER = POOL.masters[0].id
assert SCALES.autoscaler is not None
SPACE, TRIGGER = SCALES.autoscaler.namespace, SCALES.autoscaler.trigger
DRAIN_TAG, MEDIA_TAG = "acme-draining", "acme-media-node-tag"
TAGS = {"resources": [{"resource_id": str(NODE), "resource_type": "droplet"}]}


def _put(config: dict[str, Any], template: dict[str, Any]) -> tuple[Any, ...]:
    return (
        "autoscalepools.update",
        "pool-1",
        {
            "name": "acme-media",
            "config": {**RAW_POOL["config"], **config},
            "droplet_template": {**RAW_POOL["droplet_template"], **template},
        },
    )


TAGGED_FOR_DRAINING = ("tags.assign_resources", DRAIN_TAG, TAGS)
UPDATE = "functions.update_trigger"
PATH = "cluster/media_node/livekit.yaml"
DRILL = "openvidu-bot-drill-acme-20261103t030000z"
LABEL = "acme-backup-20261101T030000Z"
SHUT = firewall_body(DRILL)
WALL, NETWORK, DRILL_TAG = (
    DrillPart("firewall", "w1", DRILL, shut=True),
    DrillPart("network", "v1", DRILL),
    DrillPart("tag", DRILL, DRILL),
)
PARTS = (NETWORK, WALL, DRILL_TAG)
COPY = DrillDroplet(901, DRILL, "active", created_at="2026-11-03T03:00:00Z", shut=True)
DRILLED = replace(POOL, drill=DrillSeen(PARTS, (COPY,)))
OLD_VOLUME = Leftover("volume", "v1", "acme-old", "2026-01-01T00:00:00Z", "10 GB")
NOWHERE = str(uuid.UUID(int=0))
CONFIGURED = replace(POOL, configuration=configured(POOL.masters))
OPERATIONS: dict[str, tuple[Cluster, Operation, list[tuple[Any, ...]]]] = {
    "request_droplet_action": (
        POOL,
        lambda w: w.request_droplet_action(1, "resize", size="c-4"),
        [("droplet_actions.post", 1, {"type": "resize", "size": "c-4"})],
    ),
    "set_pool_target": (
        POOL,
        lambda w: w.set_pool_target(2, remember=2),
        [_put({"target_number_instances": 2}, {})],
    ),
    "set_template_size": (
        POOL,
        lambda w: w.set_template_size("c-4"),
        [_put({}, {"size": "c-4"})],
    ),
    "drain": (
        POOL,
        lambda w: w.drain(POOL.media[0].id, stays=True),
        [("drain", POOL.media[0].id, "signal")],
    ),
    "pause_autoscaler": (
        SCALES,
        lambda w: w.pause_autoscaler(frozen=True),
        [(UPDATE, SPACE, TRIGGER, {"is_enabled": False})],
    ),
    "resume_autoscaler": (
        SCALES,
        lambda w: w.resume_autoscaler(),
        [(UPDATE, SPACE, TRIGGER, {"is_enabled": True})],
    ),
    "tag_for_draining": (
        SCALES,
        lambda w: w.tag_for_draining(NODE, uncount=True),
        [
            TAGGED_FOR_DRAINING,
            ("tags.unassign_resources", MEDIA_TAG, TAGS),
        ],
    ),
    "remove_from_autoscaler": (
        SCALES,
        lambda w: w.remove_from_autoscaler(NODE),
        [("tags.unassign_resources", MEDIA_TAG, TAGS)],
    ),
    "delete_node": (SCALES, lambda w: w.delete_node(NODE), [("droplets.destroy", NODE)]),
    "promote_secrets": (
        POOL,
        lambda w: w.promote_secrets("s", "b", "a"),
        [("promote", "s", "b", "a")],
    ),
    "restore_secrets": (POOL, lambda w: w.restore_secrets("s", "a"), [("restore", "s", "a")]),
    "delete_staged": (POOL, lambda w: w.delete_staged("s"), [("delete_staged", "s")]),
    "break_secrets_lock": (POOL, lambda w: w.break_secrets_lock("l"), [("break_lock", "l")]),
    "write_config": (
        CONFIGURED,
        lambda w: w.write_config(MASTER, "livekit.yaml", "s", "b", "a"),
        [("staged_content", "s", "a"), ("write", MASTER)],
    ),
    "restore_config": (
        CONFIGURED,
        lambda w: w.restore_config(MASTER, "livekit.yaml", "s", "b", "a"),
        [("put back", MASTER)],
    ),
    "forget_config": (POOL, lambda w: w.forget_config(MASTER, "s"), [("forget", MASTER)]),
    "restart_service": (POOL, lambda w: w.restart_service(MASTER), [("restart", MASTER)]),
    "stop_service": (POOL, lambda w: w.stop_service(MASTER), [("stop", MASTER)]),
    "stop_node": (POOL, lambda w: w.stop_node(MASTER), [("stop", MASTER)]),
    "start_node": (POOL, lambda w: w.start_node(MASTER), [("start", MASTER)]),
    "start_services": (POOL, lambda w: w.start_services(MASTER), [("start", MASTER)]),
    "fetch_updater": (POOL, lambda w: w.fetch_updater(MASTER, "3.7.0"), [("fetch", MASTER)]),
    "update_openvidu": (
        POOL,
        lambda w: w.update_openvidu(MASTER, "3.6.1", "3.7.0"),
        [("update", MASTER)],
    ),
    "restore_openvidu": (
        POOL,
        lambda w: w.restore_openvidu(MASTER, "3.6.1", "3.7.0"),
        [("undo", MASTER)],
    ),
    "record_version": (
        POOL,
        lambda w: w.record_version("3.6.1", "3.7.0"),
        [("record_version", "3.6.1", "3.7.0")],
    ),
    "delete_snapshot": (POOL, lambda w: w.delete_snapshot("9"), [("snapshots.delete", "9")]),
    "delete_leftover": (
        replace(POOL, leftovers=LeftoversSeen((OLD_VOLUME,))),
        lambda w: w.delete_leftover(OLD_VOLUME.ref, OLD_VOLUME.text),
        [("volumes.delete", "v1")],
    ),
    "copy_secrets": (POOL, lambda w: w.copy_secrets("l"), [("copy_to_backup", "l")]),
    "delete_secrets_copy": (
        POOL,
        lambda w: w.delete_secrets_copy("l"),
        [("drop_from_backup", "l")],
    ),
    "note_counts": (POOL, lambda w: w.note_counts(LABEL), []),
    "create_drill_network": (
        POOL,
        lambda w: w.create_drill_network(DRILL, "ams3"),
        [
            # What is not there is deleted first: the token has to be able to.
            ("droplets.destroy", NO_DROPLET),
            ("vpcs.delete", NOWHERE),
            ("firewalls.delete", NOWHERE),
            ("tags.delete", DRILL),
            ("tags.create", {"name": DRILL}),
            ("firewalls.create", SHUT),
            (
                "vpcs.create",
                {"name": DRILL, "region": "ams3", "description": "restore drill: may be deleted"},
            ),
        ],
    ),
    "create_drill_droplet": (
        replace(POOL, drill=DrillSeen(PARTS)),
        lambda w: w.create_drill_droplet(DRILL, "9", "s-2vcpu-4gb", "ams3"),
        [
            (
                "droplets.create",
                {
                    "name": DRILL,
                    "region": "ams3",
                    "size": "s-2vcpu-4gb",
                    "image": 9,
                    "ssh_keys": ["7"],
                    "tags": [DRILL],
                    "vpc_uuid": "v1",
                    "user_data": sealing_user_data(),
                    "backups": False,
                    "monitoring": False,
                    "with_droplet_agent": False,
                },
            )
        ],
    ),
    "open_drill_database": (
        DRILLED,
        lambda w: w.open_drill_database(COPY.id, LABEL),
        [("check_backup", LABEL), ("prove", COPY.id)],
    ),
    "record_drill": (
        DRILLED,
        lambda w: w.record_drill("20261103t030000z", LABEL, "", proven=True, compared=False),
        [],
    ),
    "delete_drills": (
        replace(POOL, drill=DrillSeen(PARTS)),
        lambda w: w.delete_drills(DrillSeen(PARTS)),
        [("vpcs.delete", "v1"), ("firewalls.delete", "w1"), ("tags.delete", DRILL)],
    ),
    "save_backup_schedule": (POOL, lambda w: w.save_backup_schedule(SCHEDULE), []),
    "save_scaling": (POOL, lambda w: w.save_scaling("2-5 $20 6 30"), []),
    "record_powered_on": (POOL, lambda w: w.record_powered_on((101,)), []),
    "save_window": (POOL, lambda w: w.save_window(WINDOW), []),
}
"""By name: the cluster, the operation, and what arrives outside (none: only the state store)."""
LOOKS = {"action_failed"}  # changes nothing
every_operation = pytest.mark.parametrize("name", OPERATIONS)


def test_every_operation_is_here() -> None:
    there = {
        n
        for n, f in inspect.getmembers(ClusterWriter, inspect.iscoroutinefunction)
        if not n.startswith("_")
    }
    assert there == OPERATIONS.keys() | LOOKS


@every_operation
def test_with_the_lease_it_is_done_once(name: str) -> None:
    cluster, operation, arrives = OPERATIONS[name]

    async def story(setup: Setup) -> None:
        before = setup.store.values()
        await operation(setup.world)
        assert setup.calls == arrives
        assert arrives or setup.store.values() != before

    play(story, cluster)


async def changes_nothing(setup: Setup, operation: Operation) -> None:
    before = setup.store.values()
    with pytest.raises(Superseded):
        await operation(setup.world)
    assert setup.calls == []
    assert setup.store.values() == before


@every_operation
@pytest.mark.parametrize("lost", ["released", "for its last seconds it is not trusted"])
def test_without_the_lease_nothing_leaves_the_bot_and_nothing_is_noted(
    name: str, lost: str
) -> None:
    cluster, operation, _ = OPERATIONS[name]

    async def story(setup: Setup) -> None:
        if lost == "released":
            await setup.lease.release()
        else:
            await asyncio.sleep(TTL - 1)
            assert setup.store.text(setup.lease.key), "the state still has it"
        await changes_nothing(setup, operation)

    play(story, cluster)


NOTES = (
    "set_pool_target",
    "pause_autoscaler",
    "resume_autoscaler",
    "record_powered_on",
    "save_window",
    "stop_node",
    "drain",
    "tag_for_draining",
    "note_counts",
    "record_drill",
    "save_backup_schedule",
    "save_scaling",
)
ONLY_NOTES = {name for name in NOTES if not OPERATIONS[name][2]}
"""Of these nothing follows the note."""


@pytest.mark.parametrize("name", NOTES)
def test_a_note_is_fenced_by_the_state_itself(name: str) -> None:
    """By the bot's own clock the lease still holds; the state store has another owner."""
    cluster, operation, _ = OPERATIONS[name]

    async def story(setup: Setup) -> None:
        await setup.store.commit(Commit(puts={setup.lease.key: "2:w2"}))
        await changes_nothing(setup, operation)

    play(story, cluster)


@pytest.mark.parametrize("name", sorted({*NOTES} - ONLY_NOTES))
def test_a_note_that_took_too_long_is_not_acted_on(name: str) -> None:
    cluster, operation, _ = OPERATIONS[name]

    async def story(setup: Setup) -> None:
        setup.store.takes = TTL - 1
        with pytest.raises(Superseded):
            await operation(setup.world)
        assert setup.calls == []

    play(story, cluster)


# Signals


@pytest.mark.parametrize(("stays", "used"), [(True, "signal"), (False, "script")])
def test_a_droplet_that_stays_is_not_drained_by_the_script_that_deletes_it(
    stays: bool, used: str
) -> None:
    async def story(setup: Setup) -> None:
        node = POOL.media[0].id
        await setup.world.drain(node, stays=stays)
        assert setup.calls == [("drain", node, used)]

    play(story, method="script")


def first_looks(cluster: Cluster, look: Observed[NodeStatus]) -> Cluster:
    first, *others = cluster.media
    return replace(cluster, media=(replace(first, look=look), *others))


def test_the_ledger_knows_before_the_node_is_signalled() -> None:
    async def story(setup: Setup) -> None:
        node = ready().media[0]
        setup.outside.watched = f"drain:{node.id}:{START}"
        await setup.world.drain(node.id, stays=False)
        assert json.loads(setup.outside.seen["drain"] or "{}")["run"] == "acme-1"
        assert setup.calls == [("drain", node.id, "signal")]

    play(story)


@pytest.mark.parametrize("look", [SILENT, DRAINING, IDLE, INSTALLING, HELD])
def test_what_is_not_seen_to_serve_is_not_signalled(look: Observed[NodeStatus]) -> None:
    async def story(setup: Setup) -> None:
        await setup.world.drain(ready().media[0].id, stays=False)
        assert setup.calls == []

    play(story, first_looks(ready(), look))


def test_a_node_tagged_for_draining_gets_no_signal() -> None:
    async def story(setup: Setup) -> None:
        node = ready().media[0]
        await setup.drains.enter(node.id, TAGGED, setup.lease)
        with pytest.raises(Refused, match=f"{node.name} is already draining by its tag"):
            await setup.world.drain(node.id, stays=False)
        assert setup.calls == []

    play(story)


def test_the_ledger_knows_before_the_tags_change() -> None:
    async def story(setup: Setup) -> None:
        setup.outside.watched = f"drain:{NODE}:{TAGGED}"
        await setup.world.tag_for_draining(NODE, uncount=False)
        assert json.loads(setup.outside.seen["tags.assign_resources"] or "{}")["run"] == "acme-1"
        assert setup.calls == [TAGGED_FOR_DRAINING]

    play(story, SCALES)


@pytest.mark.parametrize(("look", "sent"), [(DRAINING, False), (IDLE, True), (SILENT, True)])
def test_a_node_that_drains_after_a_signal_gets_no_tag(
    look: Observed[NodeStatus], sent: bool
) -> None:
    async def story(setup: Setup) -> None:
        await setup.world.tag_for_draining(NODE, uncount=True)
        assert bool(setup.calls) is sent

    play(story, first_looks(SCALES, look))


# The autoscaler's nodes


def scaler(**more: Any) -> Cluster:
    assert SCALES.autoscaler is not None
    return replace(SCALES, autoscaler=replace(SCALES.autoscaler, **more))


def test_of_a_paused_autoscaler_no_node_loses_the_tag_that_its_firewalls_hang_on() -> None:
    async def story(setup: Setup) -> None:
        await setup.world.tag_for_draining(NODE, uncount=True)
        assert setup.calls == [TAGGED_FOR_DRAINING]
        with pytest.raises(Refused, match="would only lose its firewalls"):
            await setup.world.remove_from_autoscaler(NODE)
        assert len(setup.calls) == 1

    play(story, scaler(enabled=False))


@pytest.mark.parametrize("cluster", [scaler(trigger=""), replace(SCALES, autoscaler=None)])
def test_without_a_trigger_there_is_nothing_to_switch(cluster: Cluster) -> None:
    async def story(setup: Setup) -> None:
        for operation in (
            setup.world.pause_autoscaler(frozen=False),
            setup.world.resume_autoscaler(),
            setup.world.remove_from_autoscaler(NODE),
        ):
            with pytest.raises(Refused, match="only Terraform can create it again"):
                await operation
        assert setup.calls == []

    play(story, cluster)


def test_only_the_autoscalers_own_nodes_are_tagged_or_deleted() -> None:
    first, *others = SCALES.media
    stray = replace(SCALES, media=(replace(first, member_status=None), *others))

    async def story(setup: Setup) -> None:
        for operation in (setup.world.tag_for_draining, setup.world.delete_node):
            more = {"uncount": True} if operation == setup.world.tag_for_draining else {}
            with pytest.raises(Refused, match="was not created by the autoscaler"):
                await operation(NODE, **more)
            with pytest.raises(Refused, match="droplet 1 was not created by the autoscaler"):
                await operation(1, **more)
        assert setup.calls == []

    play(story, stray)
    play(story, replace(SCALES, kind=ready().kind))


def test_a_node_of_the_autoscaler_is_never_powered_and_a_master_is() -> None:
    async def story(setup: Setup) -> None:
        with pytest.raises(Refused, match="it is drained, never powered off, on or resized"):
            await setup.world.request_droplet_action(NODE, "power_off")
        await setup.world.request_droplet_action(1, "power_off")
        assert setup.calls == [("droplet_actions.post", 1, {"type": "power_off"})]

    play(story, SCALES)


def test_a_node_of_a_pool_may_be_powered() -> None:
    async def story(setup: Setup) -> None:
        await setup.world.request_droplet_action(ready().media[0].id, "reboot")
        assert len(setup.calls) == 1

    play(story)


# What is remembered


def test_the_number_is_kept_before_the_pool_is_lowered() -> None:
    async def story(setup: Setup) -> None:
        setup.outside.watched = "media:acme"
        await setup.world.set_pool_target(0, remember=3)
        assert json.loads(setup.outside.seen["autoscalepools.update"] or "{}") == {
            "number": 3,
            "down": True,
        }

    play(story)


def test_the_number_of_the_plan_is_kept_whatever_an_earlier_shutdown_kept() -> None:
    async def story(setup: Setup) -> None:
        await setup.store.commit(
            Commit(puts={"media:acme": json.dumps({"number": 2, "down": True})})
        )
        for _ in range(2):
            await setup.world.set_pool_target(0, remember=7)
            assert json.loads(setup.store.text("media:acme") or "") == {"number": 7, "down": True}
        assert [c[2]["config"]["target_number_instances"] for c in setup.calls] == [0], (
            "it is 0 now"
        )
        setup.outside.pool = RAW_POOL
        await setup.world.set_pool_target(4, remember=4)
        assert json.loads(setup.store.text("media:acme") or "") == {"number": 4, "down": False}

    play(story)


@pytest.mark.parametrize(
    ("number", "status", "noted"),
    [
        (0, 400, True),
        (0, 422, True),
        (1, 422, False),
        (0, 500, False),
        (0, 401, False),
        (0, 423, False),
    ],
)
def test_a_refused_zero_is_remembered_and_nothing_else(
    number: int, status: int, noted: bool
) -> None:
    async def story(setup: Setup) -> None:
        setup.outside.error = Rejected("no", status=status)
        with pytest.raises(Rejected):
            await setup.world.set_pool_target(number, remember=3)
        assert setup.store.text("zero:pool-1") == ("refused" if noted else None)

    play(story)


@pytest.mark.parametrize("frozen", [True, False])
def test_who_paused_it_stands_there_before_it_is_paused_and_not_after_it_goes_on(
    frozen: bool,
) -> None:
    async def story(setup: Setup) -> None:
        setup.outside.watched = "pause:acme"
        await setup.world.pause_autoscaler(frozen=frozen)
        assert json.loads(setup.outside.seen[UPDATE] or "{}") == {
            "run": "acme-1",
            "at": SCALES.seen_at,
            "frozen": frozen,
        }
        await setup.world.resume_autoscaler()
        assert setup.outside.seen[UPDATE] is None

    play(story, SCALES)


def test_which_nodes_were_on_is_kept() -> None:
    async def story(setup: Setup) -> None:
        await setup.world.record_powered_on((101, 102))
        assert json.loads(setup.store.text("media:acme") or "") == {
            "number": 2,
            "down": True,
            "ids": [101, 102],
        }
        await setup.world.record_powered_on(())
        assert json.loads(setup.store.text("media:acme") or "")["down"] is False

    play(story)


def test_a_window_is_saved_as_this_runs() -> None:
    async def story(setup: Setup) -> None:
        await setup.world.save_window(WINDOW)
        book = (await setup.memory.books.read("acme"))[1]
        assert [w.to_text() for w in book.windows] == [WINDOW]
        assert ("nights", "acme-1") in book.runs

    play(story)


# Secrets


@pytest.mark.parametrize("name", ["promote_secrets", "restore_secrets", "break_secrets_lock"])
def test_the_lease_is_looked_at_once_more_inside(name: str) -> None:
    """The bucket is read and compared before it is written; the lease can be lost meanwhile."""
    _, operation, _ = OPERATIONS[name]

    async def story(setup: Setup) -> None:
        setup.bucket.meanwhile = setup.lease.release
        with pytest.raises(Superseded):
            await operation(setup.world)
        assert setup.calls == []

    play(story)


@pytest.mark.parametrize(
    ("name", "read"), [("write_config", "staged_content"), ("open_drill_database", "check_backup")]
)
def test_the_lease_is_looked_at_between_the_bucket_and_the_node(name: str, read: str) -> None:
    cluster, operation, _ = OPERATIONS[name]

    async def story(setup: Setup) -> None:
        setup.bucket.meanwhile = setup.lease.release
        with pytest.raises(Superseded):
            await operation(setup.world)
        assert [call[0] for call in setup.calls] == [read]

    play(story, cluster)


@pytest.mark.parametrize(
    "name", ["promote_secrets", "restore_secrets", "delete_staged", "break_secrets_lock"]
)
def test_without_a_bucket_it_is_refused(name: str) -> None:
    _, operation, _ = OPERATIONS[name]

    async def story(setup: Setup) -> None:
        with pytest.raises(Refused, match=r"no bucket is configured for this cluster"):
            await operation(setup.world)

    play(story, bucket=False)


def test_a_look_needs_no_lease() -> None:
    async def story(setup: Setup) -> None:
        await setup.lease.release()
        assert await setup.world.action_failed(1, "resize") is False
        setup.account.known = [Action(1, "resize", "errored", 1.0)]
        assert await setup.world.action_failed(1, "resize") is True
        assert setup.calls == []

    play(story)


# Restore drills

ORDERED = ("create_drill_network", "delete_drills")
OTHERS = (
    "openvidu-bot-drill-globex-20261103t030000z",
    "openvidu-bot-drill-acme-planned",
    "acme-master-1",
    "acme-vpc",
)


@pytest.mark.parametrize("name", ORDERED)
def test_the_lease_is_looked_at_before_each_request_of_a_drill(name: str) -> None:
    cluster, operation, arrives = OPERATIONS[name]

    async def story(setup: Setup) -> None:
        setup.outside.after = setup.lease.release
        with pytest.raises(Superseded):
            await operation(setup.world)
        assert setup.calls == arrives[:1]

    play(story, cluster)


@pytest.mark.parametrize("other", OTHERS)
def test_a_drill_touches_nothing_but_what_drills_of_its_stack_made(other: str) -> None:
    parts = tuple(replace(part, name=other) for part in PARTS)
    stray = replace(COPY, name=other)
    operations: tuple[Operation, ...] = (
        lambda w: w.create_drill_network(other, "ams3"),
        lambda w: w.create_drill_droplet(other, "9", "s-2vcpu-4gb", "ams3"),
        lambda w: w.delete_drills(DrillSeen(parts)),
        lambda w: w.delete_drills(DrillSeen((), (stray,))),
    )

    async def story(setup: Setup) -> None:
        for operation in operations:
            with pytest.raises(Refused, match=f"{other} was not created by a drill of acme"):
                await operation(setup.world)
        assert setup.calls == []

    play(story, replace(POOL, drill=DrillSeen(parts, (stray,))))


def test_while_a_copy_of_a_master_is_there_its_firewall_stays() -> None:
    async def story(setup: Setup) -> None:
        await setup.world.delete_drills(DrillSeen(PARTS, (COPY,)))
        assert setup.calls == [("droplets.destroy", COPY.id)]

    play(story, DRILLED)


# Every way out


def test_the_lease_is_looked_at_before_each_of_two_requests() -> None:
    async def story(setup: Setup) -> None:
        setup.outside.after = setup.lease.release
        with pytest.raises(Superseded):
            await setup.world.tag_for_draining(NODE, uncount=True)
        assert setup.calls == [TAGGED_FOR_DRAINING]

    play(story, SCALES)


def test_the_lease_is_looked_at_after_a_request_waited_for_its_turn() -> None:
    """The bot's share of the token's requests was used up, and comes back within the wait."""

    async def story(setup: Setup) -> None:
        for _ in range(setup.account.pace.allowance.minute):
            await setup.account.pace.write("another request")
        for _ in range(4):
            await asyncio.sleep((MINUTE - WRITE_WAITS / 2) / 4)
            await setup.lease.renew()
        request = asyncio.create_task(setup.world.request_droplet_action(1, "power_off"))
        await asyncio.sleep(WRITE_WAITS / 4)
        assert not request.done(), "it waits"
        await setup.lease.release()
        with pytest.raises(Superseded):
            await request
        assert setup.calls == []

    play(story)


@pytest.mark.parametrize(("asked_at", "sent"), [(4.0, 0), (-1.0, 1)])
def test_a_request_whose_answer_was_lost_is_adopted(asked_at: float, sent: int) -> None:
    """The last ask was at 5.0, give or take five seconds between two clocks."""

    async def story(setup: Setup) -> None:
        setup.account.known = [Action(1, "shutdown", "in-progress", asked_at)]
        await setup.world.request_droplet_action(1, "shutdown")
        assert len(setup.calls) == sent

    play(story)


WRITES = {
    n
    for kind in (DigitalOceanWrites, ThrowawayWrites)
    for n, _ in inspect.getmembers(kind, inspect.iscoroutinefunction)
    if not n.startswith("_")
}
"""The requests that change something at DigitalOcean."""
NODE_WRITES = {"signal_drain", "systemctl", "run_update", "change_config"}
# A run and an operation of the writer have these names too.
OF_NODES = ("nodes.run", "nodes.forget_config")
MAY_WRITE = {
    "services/cloud/writer.py",
    "services/cloud/droplet_actions.py",
    "services/cloud/pool_edit.py",
    "services/cloud/leftovers.py",  # on what is named and unused, behind the run's fence
    "services/cloud/drills.py",  # on a drill's own resources, behind the run's fence
    "bot/doctor/live_checks.py",  # an operator confirms each
    # On throw-away resources, with a token for that alone, after a confirmation.
    "bot/probe/pool.py",
    "bot/probe/droplet.py",
    "bot/probe/trigger.py",
    "bot/probe/leftovers.py",
}


def test_nothing_else_reaches_a_write() -> None:
    """`writes` makes writing requests; the others change nodes."""
    doors = WRITES - {"delete_snapshot"} | NODE_WRITES | {"writes"}
    found = users(lambda node: node.attr in doors or ast.unparse(node).endswith(OF_NODES))
    clients = {f"services/cloud/clients/{name}.py" for name in ("digitalocean", "throwaway")}
    assert found - clients == MAY_WRITE


def test_only_a_probe_and_a_fenced_drill_create_or_delete_throw_away_resources() -> None:
    """A drill's requests are made by `DrillWriter`, which a run's writer alone makes."""
    makers = users(lambda node: node.id == "ThrowawayWrites", ast.Name)
    assert {u for u in makers if not u.startswith("bot/probe/")} == {"services/cloud/drills.py"}
    drills = users(lambda node: node.id == "DrillWriter", ast.Name)
    assert drills == {"services/cloud/writer.py"}
    assert users(lambda node: node.attr in ("ThrowawayWrites", "DrillWriter")) == set()


def users(
    uses: Callable[[Any], bool], kind: type[ast.Name | ast.Attribute] = ast.Attribute
) -> set[str]:
    """Return the modules of the product with an expression of that kind that is such a use."""
    return {
        name
        for name, names in named().items()
        if any(isinstance(n, kind) and uses(n) for n in names)
    }


@cache
def named() -> dict[str, list[ast.Name | ast.Attribute]]:
    """Return each name and attribute in the product, by its module."""
    return {
        path.relative_to(ROOT).as_posix(): [
            n
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Name | ast.Attribute)
        ]
        for folder in ("bot", "handlers", "services")
        for path in (ROOT / folder).rglob("*.py")
    }
