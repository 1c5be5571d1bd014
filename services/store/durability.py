"""What a Redis says of itself that decides whether it keeps what it was told. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Durability:
    """`weak`: what it may forget. `unknown`: what it does not let be seen. `notes`: worth a line in the log. All are sentences."""

    weak: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def cautions(self) -> tuple[str, ...]:
        """What people should know who rely on it."""
        return (*self.weak, *self.unknown)


def judge(info: Mapping[str, Any], config: Mapping[str, str] | None, why_not: str = "", replicas: int = 0) -> Durability:
    """From INFO and CONFIG GET. `config` None: CONFIG is refused, as `why_not` says. `replicas`: how many must have each write."""
    said = config or {}
    kept = str(info["aof_enabled"]) == "1" if "aof_enabled" in info else {"yes": True, "no": False}.get(said.get("appendonly", ""))
    policy = info.get("maxmemory_policy") or said.get("maxmemory-policy")
    sync = said.get("appendfsync", "")
    because = f"because INFO does not say and CONFIG is refused ({why_not})" if config is None else "because it does not say"
    weak, unknown, notes = [], [], []
    if kept is False:
        weak.append("Redis keeps no append-only file: after a crash it may have forgotten who changes what (set appendonly yes)")
    elif kept is None:
        unknown.append(f"whether Redis keeps an append-only file was not checked, {because}")
    elif sync == "no":
        weak.append("Redis leaves writing to the disk to the system: a power cut may lose half a minute (set appendfsync always)")
    elif sync == "everysec":
        notes.append("Redis writes once a second: a power cut, or a kill on a slow disk, may lose two (appendfsync always loses none)")
    elif not sync:
        notes.append(f"how often Redis writes to the disk was not checked, because CONFIG is refused ({why_not})")
    if policy is None:
        unknown.append(f"whether Redis throws state away when it is full was not checked, {because}")
    elif policy != "noeviction":
        weak.append(f"Redis may throw state away when it is full (maxmemory-policy {policy}; set noeviction)")
    there = int(info.get("connected_slaves", 0))
    if there < replicas:
        weak.append(f"Redis has {there} of the {replicas} replicas that must have each write: no change can be made until it has them")
    return Durability(tuple(weak), tuple(unknown), tuple(notes))
