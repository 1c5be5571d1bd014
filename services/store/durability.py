"""Whether a Redis can be the state store, and keeps what it acknowledged, by INFO and CONFIG."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

CLUSTER = (
    "REDIS_URL names a node of a Redis Cluster, which has no transactions over all keys; "
    "name a Redis or Valkey without cluster mode"
)
REPLICA = (
    "REDIS_URL names a replica, which takes no writes; "
    "name the primary, or the Sentinels with redis+sentinel://"
)
SENTINEL = (
    "REDIS_URL names a Sentinel as if it were Redis; "
    "write redis+sentinel://HOST:26379,HOST:26379/SERVICE"
)


@dataclass(frozen=True)
class Durability:
    """How durable a Redis is, in sentences.

    `weak`: what it may lose. `unknown`: what it does not show. `notes`: worth a line in the log.
    `unfit`: why it can never be the state store.
    """

    weak: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unfit: str = ""

    @property
    def cautions(self) -> tuple[str, ...]:
        """Return what its users should know."""
        return (*self.weak, *self.unknown)


@runtime_checkable
class WithDurability(Protocol):
    """A store that tells how durable it is: Redis."""

    async def durability(self) -> Durability:
        """Return how durable it is now."""
        ...


def _why_unfit(info: Mapping[str, Any]) -> str:
    if str(info.get("redis_mode", "")) == "sentinel" or info.get("role") == "sentinel":
        return SENTINEL
    if str(info.get("cluster_enabled", "0")) == "1" or info.get("redis_mode") == "cluster":
        return CLUSTER
    if info.get("role") == "slave":
        return REPLICA
    return ""


def judge_durability(
    info: Mapping[str, Any],
    config: Mapping[str, str] | None,
    why_not: str = "",
    replicas: int = 0,
    no_info: str = "",
) -> Durability:
    """Judge by the answers to INFO and CONFIG GET.

    `config` None: CONFIG is refused, as `why_not` says. `replicas`: how many must have each write.
    `no_info`: why INFO is refused; most is unknown then, which is no reason not to work.
    """
    settings = config or {}
    no_answer = f"INFO is refused ({no_info})" if no_info else "INFO does not say"
    because = "because it does not say"
    if config is None:
        because = f"because {no_answer} and CONFIG is refused ({why_not})"
    found = _Findings([], [], [])
    _append_only_file(found, info, settings, because, why_not)
    policy = info.get("maxmemory_policy") or settings.get("maxmemory-policy")
    if policy is None:
        found.unknown.append(
            f"whether Redis discards state when it is full was not checked, {because}"
        )
    elif policy != "noeviction":
        found.weak.append(
            f"Redis may discard state when it is full (maxmemory-policy {policy}; set noeviction)"
        )
    _replicas(found, info, replicas, no_answer)
    return Durability(tuple(found.weak), tuple(found.unknown), tuple(found.notes), _why_unfit(info))


@dataclass(frozen=True)
class _Findings:
    weak: list[str]
    unknown: list[str]
    notes: list[str]


def _append_only_file(
    found: _Findings,
    info: Mapping[str, Any],
    settings: Mapping[str, str],
    because: str,
    why_not: str,
) -> None:
    keeps_one = {"yes": True, "no": False}.get(settings.get("appendonly", ""))
    if "aof_enabled" in info:
        keeps_one = str(info["aof_enabled"]) == "1"
    sync = settings.get("appendfsync", "")
    if keeps_one is False:
        found.weak.append(
            "Redis keeps no append-only file: after a crash, locks and runs may be lost "
            "(set appendonly yes)"
        )
    elif keeps_one is None:
        found.unknown.append(f"whether Redis keeps an append-only file was not checked, {because}")
    elif sync == "no":
        found.weak.append(
            "Redis lets the system decide when to write to disk: "
            "a power failure may lose 30 s (set appendfsync always)"
        )
    elif sync == "everysec":
        found.notes.append(
            "Redis writes to disk once a second: a power failure, or a kill on a slow disk, "
            "may lose 2 s (appendfsync always loses none)"
        )
    elif not sync:
        found.notes.append(
            f"how often Redis writes to disk was not checked, because CONFIG is refused ({why_not})"
        )


def _replicas(found: _Findings, info: Mapping[str, Any], required: int, no_answer: str) -> None:
    if "connected_slaves" not in info:
        if required:
            found.unknown.append(
                f"how many replicas Redis has was not checked, because {no_answer}"
            )
        return
    connected = int(info["connected_slaves"])
    if connected < required:
        found.weak.append(
            f"Redis has {connected} of the {required} replicas that must have each write: "
            "no change can be made until it has them"
        )
