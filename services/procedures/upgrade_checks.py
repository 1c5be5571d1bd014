"""What an upgrade of OpenVidu in place depends on, and why it is refused. Pure."""

import re

from services.cluster.installation import Installation, UpdateState, release
from services.cluster.model import Cluster, Droplet, FleetKind, MediaNode, short_name
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.common.text import duration, join_words, plural
from services.procedures import fleet
from services.steps.backup import SNAPSHOTS_UNREADABLE

# The table of the vendor's update.sh, as far as it was read (3.7.0). DigitalOcean begins with
# 3.6.0. Of later releases only the script itself knows.
PATHS = {"3.6.0": "3.6.1", "3.6.1": "3.7.0"}
FIRST, LAST_KNOWN = (3, 6, 0), (3, 7, 0)
WITHOUT_POOL = (3, 7, 0)
# New images beside the old ones. The vendor names no number.
FREE_MB = 10_240


def installed(droplet: Droplet) -> Installation | None:
    """Return what is installed on the node; None where it was not seen."""
    if isinstance(droplet.installation, Unobserved):
        return None
    return droplet.installation


def wrong_masters(cluster: Cluster, version: str) -> list[Droplet]:
    """Return the masters that are not proved to have this version, updated to the end."""
    return [m for m in cluster.masters if not _has(m, version)]


def wrong_media(cluster: Cluster, version: str) -> list[MediaNode]:
    """Return the media nodes, without those that leave, that are not seen with this version."""
    staying = (n for n in cluster.media if n.member_status != "deleting")
    return [n for n in staying if not _has(n.droplet, version)]


def is_under_way(cluster: Cluster, version: str) -> bool:
    """Return whether the bot has begun to update a master to this version."""
    return any(
        (here := installed(m)) is not None and here.update_to(version) is not None
        for m in cluster.masters
    )


def version_before(cluster: Cluster, version: str) -> str:
    """Return the version that masters have now, or had before the update that is under way."""
    others = [
        here.version
        for m in cluster.masters
        if (here := installed(m)) is not None and here.version != version
    ]
    if others:
        return others[0]
    return cluster.secrets.version if cluster.secrets is not None else version


def _has(droplet: Droplet, version: str) -> bool:
    here = installed(droplet)
    if here is None or here.version != version:
        return False
    record = here.update_to(version)
    return record is None or record.succeeded


def path_notes(cluster: Cluster, version: str) -> tuple[str, ...]:
    """Return what people should know about the way to this version."""
    numbers, lines = release(version), []
    if numbers is not None and numbers > LAST_KNOWN:
        lines.append(
            f"[[warning]] {version} is newer than what this bot knows. `update.sh` is read before "
            "anything is drained: it must lead there"
        )
    if numbers is not None and numbers >= WITHOUT_POOL and cluster.kind is FleetKind.POOL:
        lines.append(
            "The autoscale pool stays: OpenVidu's Terraform has none since 3.7, and its apply "
            "would replace the media nodes"
        )
    return tuple(lines)


# Refusals


def check(cluster: Cluster, version: str) -> None:
    """Refuse an upgrade that the vendor's page or script forbids, or that would harm people."""
    wanted = release(version)
    if wanted is None:
        whole = f"{version}.0" if re.fullmatch(r"\d{1,2}\.\d{1,2}", version) else "3.7.0"
        raise Refused(
            f"{_shown(version)} is no release of OpenVidu: use three numbers, like {whole}"
        )
    _check_up(cluster)
    fleet.fleet_of(cluster).check_upgrade()
    _check_seen(cluster)
    _check_path(cluster, version, wanted)
    _check_unlocked(cluster, version)
    if not wrong_masters(cluster, version):
        _check_media_seen(cluster)
        return
    _check_records(cluster, version)
    _check_disks(cluster)
    if is_under_way(cluster, version):
        return
    _check_healthy(cluster)
    if cluster.snapshots is None:
        raise Refused(SNAPSHOTS_UNREADABLE)


def _check_up(cluster: Cluster) -> None:
    if cluster.is_down:
        raise Refused(
            f"{cluster.name} is shut down, and its masters are updated over SSH. "
            "Run [[command startup]] first"
        )
    off = [m for m in cluster.masters if not m.active]
    if off:
        verb = plural(len(off), "is", "are")
        raise Refused(
            f"{_names(cluster, off)} {verb} not powered on, and every master is upgraded. "
            "Run [[command startup]] first"
        )


def _check_seen(cluster: Cluster) -> None:
    """Refuse while a version is unknown: an unknown version is never up to date."""
    for master in cluster.masters:
        if isinstance(master.installation, Unobserved):
            raise Refused(
                f"the version on {_names(cluster, [master])} is unknown: "
                f"{master.installation.reason}"
            )
    if not cluster.has_bucket:
        raise Refused(
            "no bucket is configured for this cluster. New media nodes install the version that "
            "secrets.env names there"
        )
    if cluster.secrets is None:
        raise Refused("the bucket with secrets.env cannot be read now. Nothing was changed")
    if not cluster.secrets.version:
        raise Refused("secrets.env names no OPENVIDU_VERSION, which new media nodes install")


def _check_unlocked(cluster: Cluster, version: str) -> None:
    """Refuse while another writer holds the file: seen after the updates, it would undo them."""
    secrets = cluster.secrets
    if secrets is None or secrets.lock_age is None or secrets.version == version:
        return
    if is_under_way(cluster, version):
        return
    raise Refused(
        f"lock.lock has been in the bucket for {duration(secrets.lock_age)}, so the new version "
        "could not be written to secrets.env. A master writes the file, or crashed while writing. "
        "Wait, or delete lock.lock in the bucket when no master boots"
    )


def _check_path(cluster: Cluster, version: str, wanted: tuple[int, int, int]) -> None:
    versions = {m.name: here.version for m in cluster.masters if (here := installed(m))}
    others = sorted({v for v in versions.values() if v != version})
    if len(others) > 1 or (others and _mixed_by_hand(cluster, version)):
        each = join_words(f"{short_name(n, cluster.stack)} {v}" for n, v in versions.items())
        raise Refused(
            f"the masters have different versions of OpenVidu ({each}). Bring them to one "
            "version manually first"
        )
    if not others:
        return
    now = others[0]
    before = release(now)
    if before is None:
        raise Refused(f"the masters have OpenVidu {_shown(now)}, which is no known release")
    _check_order(now, before, version, wanted)
    stored = cluster.secrets.version if cluster.secrets is not None else ""
    if stored not in (now, version):
        raise Refused(
            f"secrets.env names OpenVidu {stored}, and the masters have {now}. "
            f"Run [[command upgrade {now}]] first, which corrects the file and the media nodes"
        )


def _mixed_by_hand(cluster: Cluster, version: str) -> bool:
    """Return whether a master has the new version without an update by the bot."""
    return any(
        here.version == version and here.update_to(version) is None
        for m in cluster.masters
        if (here := installed(m)) is not None
    )


def _check_order(
    now: str, before: tuple[int, int, int], version: str, wanted: tuple[int, int, int]
) -> None:
    if wanted < before:
        raise Refused(
            f"{version} is older than the {now} that the masters have. OpenVidu is not "
            "downgraded; restore a backup instead: [[command backup list]]"
        )
    if before < FIRST:
        raise Refused(f"no update from OpenVidu {now} is known: DigitalOcean begins with 3.6.0")
    path = _path(now, version)
    if wanted <= LAST_KNOWN and not path:
        raise Refused(f"OpenVidu's update.sh has no path from {now} to {version}")
    if wanted <= LAST_KNOWN:
        _check_single(now, version, path)
        return
    same_minor = before[:2] == wanted[:2]
    next_minor = (before[0], before[1] + 1) == wanted[:2]
    if not (same_minor or next_minor):
        raise Refused(
            f"{now} to {version} skips releases. Upgrade to one minor version after the other"
        )


def _check_single(now: str, version: str, path: list[str]) -> None:
    """Refuse a jump: each version has a run, snapshots and a rollback of its own."""
    if len(path) > 1:
        raise Refused(
            f"{now} to {version} leads through {join_words(path[:-1])}. "
            f"Run [[command upgrade {path[0]}]] first: each version has its own rollback"
        )


def _path(now: str, version: str) -> list[str]:
    """Return the releases after `now` up to `version`; empty when the table has no such way."""
    path = []
    while now in PATHS:
        now = PATHS[now]
        path.append(now)
        if now == version:
            return path
    return []


def _check_media_seen(cluster: Cluster) -> None:
    for node in cluster.media:
        if node.member_status == "deleting" or node.droplet.off:
            continue
        if isinstance(node.droplet.installation, Unobserved):
            raise Refused(
                f"the version on {short_name(node.name, cluster.stack)} is unknown: "
                f"{node.droplet.installation.reason}"
            )


def _check_records(cluster: Cluster, version: str) -> None:
    """Refuse where an update of a master failed before: it is never repeated blindly."""
    for master in cluster.masters:
        here = installed(master)
        record = here.update_to(version) if here is not None else None
        if here is None or record is None:
            continue
        name = short_name(master.name, cluster.stack)
        if record.fault:
            raise Refused(
                f"{record.fault} on {name} and is not repeated. Read "
                f"/var/lib/openvidu-bot/update-{version}/log there, restore the master "
                "manually, and move that folder away"
            )
        if record.state is UpdateState.ENDED and here.version != version:
            raise Refused(
                f"an earlier update of {name} to {version} ended, and it has {here.version} now. "
                f"Move /var/lib/openvidu-bot/update-{version} there away, and try again"
            )


def _check_disks(cluster: Cluster) -> None:
    for master in cluster.masters:
        here, name = installed(master), short_name(master.name, cluster.stack)
        if here is None or here.free is None:
            raise Refused(f"how much disk is free on {name} is unknown")
        if here.free is not None and here.free < FREE_MB:
            raise Refused(
                f"{name} has {here.free / 1024:.1f} GB free, and an update needs "
                f"{FREE_MB // 1024} GB. Delete old images there: `docker image prune -a`"
            )


def _check_healthy(cluster: Cluster) -> None:
    unhealthy = [m for m in cluster.masters if not m.is_healthy]
    if unhealthy:
        first = short_name(unhealthy[0].name, cluster.stack)
        verb = plural(len(unhealthy), "is", "are")
        raise Refused(
            f"{_names(cluster, unhealthy)} {verb} not healthy, and only a healthy cluster is "
            f"upgraded. Check [[command status {first}]]"
        )


def _names(cluster: Cluster, masters: list[Droplet]) -> str:
    return join_words(short_name(m.name, cluster.stack) for m in masters)


def _shown(version: str) -> str:
    """Return a version as it may be shown anywhere."""
    kept = "".join(c for c in version if c.isalnum() or c in ".-+")[:24]
    return f"“{kept}”"
