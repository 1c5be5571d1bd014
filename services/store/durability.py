"""What a Redis says of itself: whether it can be the state store at all, and whether it keeps what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
)

CLUSTER = "REDIS_URL names a node of a Redis Cluster, which has no transactions over all keys; name a Redis or Valkey without cluster mode"
REPLICA = "REDIS_URL names a replica, which takes no writes; name the primary, or the Sentinels with redis+sentinel://"
SENTINEL = "REDIS_URL names a Sentinel as if it were Redis; write redis+sentinel://HOST:26379,HOST:26379/SERVICE"


@dataclass(frozen=True)
class Durability:
    """`weak`: what it may forget. `unknown`: what it does not let be seen. `notes`: worth a line in the log. `unfit`: why it can never be
    the state store. All are sentences.
    """

    weak: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unfit: str = ""

    @property
    def cautions(self) -> tuple[str, ...]:
        """What people should know who rely on it."""
        return (*self.weak, *self.unknown)


def unfit(error: BaseException) -> str:
    """What this error shows that it is, and can never be; "" for any other error."""
    if isinstance(error, MovedError | AskError | ClusterDownError | ClusterCrossSlotError):
        return CLUSTER
    return REPLICA if isinstance(error, ReadOnlyError) else ""


def _what_it_is(info: Mapping[str, Any]) -> str:
    if str(info.get("redis_mode", "")) == "sentinel" or info.get("role") == "sentinel":
        return SENTINEL
    if str(info.get("cluster_enabled", "0")) == "1" or info.get("redis_mode") == "cluster":
        return CLUSTER
    return REPLICA if info.get("role") == "slave" else ""


def judge(
    info: Mapping[str, Any],
    config: Mapping[str, str] | None,
    why_not: str = "",
    replicas: int = 0,
    no_info: str = "",
) -> Durability:
    """From INFO and CONFIG GET. `config` None: CONFIG is refused, as `why_not` says. `replicas`: how many must have each write.

    `no_info`: why INFO is refused; then most of it is not known, which is no reason not to work.
    """
    said = config or {}
    kept = (
        str(info["aof_enabled"]) == "1"
        if "aof_enabled" in info
        else {"yes": True, "no": False}.get(said.get("appendonly", ""))
    )
    policy = info.get("maxmemory_policy") or said.get("maxmemory-policy")
    sync = said.get("appendfsync", "")
    does_not_say = f"INFO is refused ({no_info})" if no_info else "INFO does not say"
    because = (
        f"because {does_not_say} and CONFIG is refused ({why_not})"
        if config is None
        else "because it does not say"
    )
    weak, unknown, notes = [], [], []
    if kept is False:
        weak.append(
            "Redis keeps no append-only file: after a crash it may have forgotten who changes what (set appendonly yes)"
        )
    elif kept is None:
        unknown.append(f"whether Redis keeps an append-only file was not checked, {because}")
    elif sync == "no":
        weak.append(
            "Redis leaves writing to the disk to the system: a power cut may lose half a minute (set appendfsync always)"
        )
    elif sync == "everysec":
        notes.append(
            "Redis writes once a second: a power cut, or a kill on a slow disk, may lose two (appendfsync always loses none)"
        )
    elif not sync:
        notes.append(
            f"how often Redis writes to the disk was not checked, because CONFIG is refused ({why_not})"
        )
    if policy is None:
        unknown.append(
            f"whether Redis throws state away when it is full was not checked, {because}"
        )
    elif policy != "noeviction":
        weak.append(
            f"Redis may throw state away when it is full (maxmemory-policy {policy}; set noeviction)"
        )
    there = int(info["connected_slaves"]) if "connected_slaves" in info else None
    if there is None and replicas:
        unknown.append(f"how many replicas Redis has was not checked, because {does_not_say}")
    elif there is not None and there < replicas:
        weak.append(
            f"Redis has {there} of the {replicas} replicas that must have each write: no change can be made until it has them"
        )
    return Durability(tuple(weak), tuple(unknown), tuple(notes), _what_it_is(info))
