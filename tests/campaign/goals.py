"""Whether the world shows that people got what they requested: "" when it does."""

import re
from collections import Counter
from collections.abc import Callable

from simulators.cloud.boot_script import SECRETS
from simulators.cloud.invariants import is_drained
from simulators.cloud.model import Kind, SimulatedDroplet
from simulators.cloud.nodes import version_of
from tests.campaign.ledger import RunRecord
from tests.support.scene import Scene

Goal = Callable[[Scene, RunRecord], str]
BIG, KEY, VALUE = "s-8vcpu-16gb", "DASHBOARD_ADMIN_PASSWORD", "Correct-Horse-Battery-9"
KEPT = 3


def nothing(_: Scene, __: RunRecord) -> str:
    """The world cannot show it."""
    return ""


def _is(met: object, otherwise: str) -> str:
    return "" if met else otherwise


def _kind(scene: Scene, tale: RunRecord) -> Kind:
    return scene.estate.clusters[tale.stack].kind


# --- masters


def healthy(scene: Scene, tale: RunRecord) -> str:
    """Every master is up and healthy."""
    sick = [m.name for m in scene.estate.masters(tale.stack) if not scene.estate.healthy(m)]
    return _is(not sick, f"not healthy: {sick}")


def serves(scene: Scene, tale: RunRecord) -> str:
    """People can meet, on as many nodes as belong there."""
    serving, number = len(scene.estate.serving(tale.stack)), _belong(scene, tale)
    scales = _kind(scene, tale) != "autoscaler" or scene.estate.functions.scales(tale.stack)
    enough = _is(serving >= number, f"{serving} media nodes serve, of {number}")
    return healthy(scene, tale) or enough or _is(scales, "it does not scale again")


def _belong(scene: Scene, tale: RunRecord) -> int:
    if _kind(scene, tale) == "pool":
        return max(scene.estate.pool(tale.stack).target, 1)
    return len(scene.estate.media(tale.stack)) if _kind(scene, tale) == "fixed" else 1


def upgraded(scene: Scene, tale: RunRecord) -> str:
    """Every node has the new version, and people can meet."""
    nodes = (*scene.estate.masters(tale.stack), *scene.estate.media(tale.stack))
    old = [d.name for d in nodes if d.node.installed and version_of(d) != "3.7.0"]
    return serves(scene, tale) or _is(not old, f"without 3.7.0: {old}")


def down(scene: Scene, tale: RunRecord) -> str:
    """Masters and media nodes are powered off."""
    on = [m.name for m in scene.estate.masters(tale.stack) if m.on]
    return _is(not on, f"still on: {on}") or without_media(scene, tale)


def without_media(scene: Scene, tale: RunRecord) -> str:
    """No media node is on, except one that a pool keeps; and none will come."""
    kind = _kind(scene, tale)
    left = [d for d in scene.estate.media(tale.stack) if d.on or kind == "pool"]
    fewest = 1 if kind == "pool" else 0
    still = kind == "autoscaler" and scene.estate.functions.scales(tale.stack)
    present = _is(
        len(left) <= fewest and all(is_drained(d) for d in left),
        f"still there: {[d.name for d in left]}",
    )
    return present or _is(not still, "and more may come by themselves")


def _up_again(scene: Scene, tale: RunRecord) -> str:
    """For procedures that power masters off: they are on again, unless they were off before."""
    return healthy(scene, tale) if any(s["is"] == "PowerOn" for s in tale.steps) else ""


def sized(scene: Scene, tale: RunRecord) -> str:
    """The masters have the other size."""
    sizes = [m.size for m in scene.estate.masters(tale.stack)]
    return _is(set(sizes) == {BIG}, f"sizes: {sizes}") or _up_again(scene, tale)


def backed_up(scene: Scene, tale: RunRecord) -> str:
    """There is a snapshot of each master under one label."""
    backups = Counter(_label(s.name) for s in scene.estate.snapshots.values())
    masters = len(scene.estate.masters(tale.stack))
    whole = masters in backups.values()
    return _is(whole, f"no backup is whole: {backups}") or _up_again(scene, tale)


def _label(snapshot: str) -> str:
    """Return the part of its name that a snapshot shares with those of the other masters."""
    return re.sub(r"-(?:master(?:-\d)?|node)(?:-off)?$", "", snapshot)


def pruned(scene: Scene, _: RunRecord) -> str:
    """As many backups are left as are kept."""
    labels = {_label(s.name) for s in scene.estate.snapshots.values()}
    return _is(len(labels) == KEPT, f"left: {sorted(labels)}")


def configured(scene: Scene, tale: RunRecord) -> str:
    """The value is in the file, and the masters came back with it."""
    cluster, (master, *_) = scene.estate.clusters[tale.stack], scene.estate.masters(tale.stack)
    file = scene.environment.spaces.read(cluster.bucket, "secrets.env") or b""
    if master.is_media:
        file = master.node.files[SECRETS]  # A Single Node reads its own.
    return _is(f"{KEY}={VALUE}\n".encode() in file, "the value is not in the file") or healthy(
        scene, tale
    )


# --- media nodes


def _ready(scene: Scene, tale: RunRecord) -> list[SimulatedDroplet]:
    """Return the nodes that are ready, whatever the masters do.

    One in a crash loop counts, and one that is on and that an administrator has drained: the world
    did it, and no procedure of these is about it.
    """
    estate, by_hand = scene.estate, scene.estate.invariants.touched_by_administrator
    return [
        d
        for d in estate.media(tale.stack)
        if estate.takes_meetings(d)
        or "openvidu" in d.node.crash_loops
        or (d.id in by_hand and d.on)
    ]


def unparked(scene: Scene, tale: RunRecord) -> str:
    """No node is off, and those that the world did not break take meetings."""
    off = [d.name for d in scene.estate.media(tale.stack) if not d.on]
    return _is(not off, f"off: {off}") or _is(
        len(_ready(scene, tale)) >= _belong(scene, tale), "not all take meetings"
    )


def scaled(number: int) -> Goal:
    """So many serve, and the pool has that target."""

    def goal(scene: Scene, tale: RunRecord) -> str:
        serving, target = len(_ready(scene, tale)), scene.estate.pool(tale.stack).target
        return _is(
            target == number and serving >= number,
            f"{serving} serve and the pool is at {target}, not {number}",
        )

    return goal


def media_sized(size: str) -> Goal:
    """As many as belong there are ready, all of that size.

    Fixed ones that are parked have it too, and stay parked.
    """

    def goal(scene: Scene, tale: RunRecord) -> str:
        ready = [d for d in _ready(scene, tale) if d.size == size]
        if _kind(scene, tale) == "fixed":
            media = scene.estate.media(tale.stack)
            other = [d.name for d in media if d.size != size]
            return _is(not other, f"of another size: {other}") or _is(
                len(ready) == sum(d.on for d in media), f"{len(ready)} are ready"
            )
        return _is(
            len(ready) >= scene.estate.pool(tale.stack).target,
            f"{len(ready)} of the new size serve",
        )

    return goal


def rolled(scene: Scene, tale: RunRecord) -> str:
    """No node of the old size is left, except those that the autoscaler itself drains.

    And it goes on scaling.
    """
    leaving = scene.estate.clusters[tale.stack].draining_tag
    old = [
        d.name for d in scene.estate.media(tale.stack) if d.size != BIG and leaving not in d.tags
    ]
    return _is(not old, f"still there: {old}") or _is(
        scene.estate.functions.scales(tale.stack), "it does not scale any more"
    )


def parked(number: int) -> Goal:
    """So many are off, and people can meet on another.

    Some may have been drained before, and not been parked.
    """

    def goal(scene: Scene, tale: RunRecord) -> str:
        media = scene.estate.media(tale.stack)
        off = [d.name for d in media if not d.on]
        return _is(len(off) == number, f"off: {off}") or _is(_ready(scene, tale), "nothing serves")

    return goal


def frozen(scene: Scene, tale: RunRecord) -> str:
    """No node will come or go by itself."""
    return _is(not scene.estate.functions.scales(tale.stack), "it still scales")


def unfrozen(scene: Scene, tale: RunRecord) -> str:
    """The autoscaler scales by itself."""
    return _is(scene.estate.functions.scales(tale.stack), "it does not scale")
