"""What nodes report of themselves, in words: what is wrong with its remedy, and what is unknown."""

from collections.abc import Sequence

from handlers.slack.blocks import escape
from handlers.slack.markup import markup
from services.cluster.model import Cluster, short_name
from services.cluster.node_condition import (
    ConditionFinding,
    DiskFill,
    MongoMember,
    NodeCondition,
    RedisState,
    findings,
    idle_nodes,
    unseen_text,
)
from services.common.observed import Observed, Unobserved
from services.common.text import count_of, duration

MOST = 6  # findings that a card shows


def condition_lines(cluster: Cluster, nodes: Sequence[NodeCondition]) -> list[str]:
    """Return what is wrong with these nodes, most urgent first, then what is unknown."""
    off = {short_name(m.name, cluster.stack) for m in cluster.masters if not m.active}
    found = findings(nodes, idle_nodes(cluster), off)
    lines = [finding_line(f) for f in found[:MOST]]
    if len(found) > MOST:
        lines.append(f"And {len(found) - MOST} more findings; `/openvidu status NODE` shows them.")
    lines += [f"Unknown: {escape(what)} ({escape(reason)})." for what, reason in unseen_text(nodes)]
    return lines


def finding_line(finding: ConditionFinding) -> str:
    """Return a finding and its remedy as two sentences."""
    return f"{escape(finding.text)}. {markup(finding.remedy)}."


def node_facts(cluster: Cluster, node: NodeCondition) -> list[str]:
    """Return one line for each part that a node reports, with its mark, as its status shows it."""
    wrong = {f.kind.partition(" ")[0] for f in findings((node,), idle_nodes(cluster))}
    facts: list[tuple[str, str, object, str]] = [
        ("disk", "Disk", node.disks, _disk(node.disks)),
    ]
    facts.append(("clock", "Clock", node.offset, _clock(node.offset)))
    if node.redis is not None:
        facts.append(("redis", "Redis", node.redis, _redis(node.redis)))
    if node.mongo is not None:
        facts.append(("mongo", "MongoDB", node.mongo, _mongo(node.mongo)))
    if node.minio is not None:
        facts.append(("minio", "MinIO", node.minio, _minio(node.minio)))
    return [
        f"{_mark(seen, bad=kind in wrong)} {label}: {words}" for kind, label, seen, words in facts
    ]


def _mark(seen: object, *, bad: bool) -> str:
    if isinstance(seen, Unobserved):
        return "–"
    return "✗" if bad else "✓"


def _unknown(seen: Unobserved) -> str:
    return f"unknown ({escape(seen.reason)})"


def _disk(disks: Observed[tuple[DiskFill, ...]]) -> str:
    if isinstance(disks, Unobserved):
        return _unknown(disks)
    fullest = max(disks, key=lambda d: d.percent)
    return f"{fullest.percent} % full, {fullest.free / 1024**2:.1f} GB free"


def _clock(offset: Observed[float]) -> str:
    if isinstance(offset, Unobserved):
        return _unknown(offset)
    if abs(offset) < 1:
        return "as the bot's"
    return f"{duration(abs(offset))} {'ahead of' if offset > 0 else 'behind'} the bot's"


def _redis(redis: Observed[RedisState]) -> str:
    if isinstance(redis, Unobserved):
        return _unknown(redis)
    if redis.primary:
        return f"primary with {count_of(redis.replicas, 'replica')}"
    return "replica, connected" if redis.link else "replica without its primary"


def _mongo(members: Observed[tuple[MongoMember, ...]]) -> str:
    if isinstance(members, Unobserved):
        return _unknown(members)
    well = len([m for m in members if m.healthy])
    primary = next((m.name for m in members if m.state == "PRIMARY"), "none")
    return f"{well} of {count_of(len(members), 'member')} healthy, primary {escape(primary)}"


def _minio(status: Observed[int]) -> str:
    if isinstance(status, Unobserved):
        return _unknown(status)
    return "has its quorum" if status == 200 else f"answers {status}"
