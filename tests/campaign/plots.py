"""What people want of the cluster, and how it can be seen in the world that they have got it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from simulators.estate import Estate
from simulators.estate.things import Snapshot
from simulators.estate.watch import drained
from tests.campaign.ledger import Tale
from tests.support.scene import Scene

Goal = Callable[[Scene, Tale], str]
BIG, KEY, VALUE = "s-8vcpu-16gb", "DASHBOARD_ADMIN_PASSWORD", "Correct-Horse-Battery-9"
KEPT = 3


@dataclass(frozen=True)
class Wish:
    """One command, and what is true of the world when its run says that it is done ("" when it is)."""

    words: str
    goal: Goal
    prepare: Callable[[Scene], None] = lambda _: None
    stays: float = 0.0  # seconds that the story goes on afterwards: a window closes and opens by itself


def wishes_of(dice: random.Random, media: int) -> list[Wish]:
    """The commands of one story, in order."""
    first = dice.choice(PLOTS)(dice, media)
    if first.words.startswith("shutdown") and dice.random() < 0.6:
        return [first, Wish("startup", _serves)]
    if first.words.startswith("config") and dice.random() < 0.4:
        return [first, Wish("config rollback", _healthy)]
    return [first, dice.choice(PLOTS)(dice, media)] if dice.random() < 0.12 else [first]


# What is true afterwards


def _is(met: object, otherwise: str) -> str:
    return "" if met else otherwise


def _healthy(scene: Scene, _: Tale | None = None) -> str:
    sick = [m.name for m in scene.estate.masters("acme") if not scene.estate.healthy(m)]
    return _is(not sick, f"not healthy: {sick}")


def _serves(scene: Scene, _: Tale) -> str:
    serving, target = len(scene.estate.serving("acme")), scene.estate.pool("acme").target
    return _healthy(scene) or _is(serving >= max(target, 1), f"{serving} media nodes serve, of {target}")


def _down(scene: Scene, _: Tale) -> str:
    left = scene.estate.media("acme")
    on = [m.name for m in scene.estate.masters("acme") if m.on]
    return _is(not on, f"still on: {on}") or _is(len(left) <= 1 and all(drained(d) for d in left), f"still there: {[d.name for d in left]}")


def _without_media(scene: Scene, _: Tale) -> str:
    left = scene.estate.media("acme")
    return _is(len(left) <= 1 and all(drained(d) for d in left), f"still there: {[d.name for d in left]}")


def _scaled(number: int) -> Goal:
    def goal(scene: Scene, _: Tale) -> str:
        # Whether people reach them is the masters' part: these may be on their way up or down for another reason.
        ready = [d for d in scene.estate.media("acme") if d.node.running("openvidu") and not d.node.containers["openvidu"].draining]
        serving, target = len(ready), scene.estate.pool("acme").target
        return _is(target == number and serving >= number, f"{serving} serve and the pool is at {target}, not {number}")

    return goal


def _up_again(scene: Scene, tale: Tale) -> str:
    """Of what is done while the masters are off: they are on again, unless they were off before."""
    return _healthy(scene) if any(s["is"] == "PowerOn" for s in tale.steps) else ""


def _sized(scene: Scene, tale: Tale) -> str:
    sizes = [m.size for m in scene.estate.masters("acme")]
    return _is(sizes == [BIG] * 4, f"sizes: {sizes}") or _up_again(scene, tale)


def _media_sized(scene: Scene, _: Tale) -> str:
    serving = [d for d in scene.estate.serving("acme") if d.size == "c-8"]
    return _is(len(serving) >= scene.estate.pool("acme").target, f"{len(serving)} of the new size serve")


def _backed_up(scene: Scene, tale: Tale) -> str:
    made = {s.name.partition("-master-")[0]: 0 for s in scene.estate.snapshots.values()}
    for s in scene.estate.snapshots.values():
        made[s.name.partition("-master-")[0]] += 1
    return _is(4 in made.values(), f"no backup is whole: {made}") or _up_again(scene, tale)


def _pruned(scene: Scene, _: Tale) -> str:
    labels = {s.name.partition("-master-")[0] for s in scene.estate.snapshots.values()}
    return _is(len(labels) == KEPT, f"left: {sorted(labels)}")


def _nothing(_: Scene, __: Tale) -> str:
    return ""


def _configured(scene: Scene, _: Tale) -> str:
    file = scene.town.spaces.read(scene.estate.clusters["acme"].bucket, "secrets.env") or b""
    return _is(f"{KEY}={VALUE}\n".encode() in file, "the value is not in the file") or _healthy(scene)


# What they say


def _shutdown(dice: random.Random, _: int) -> Wish:
    how = dice.choice(("", "", "", " --no-drain", " --media-only"))
    if "media" in how:
        return Wish("shutdown" + how, _without_media)
    return Wish("shutdown" + how, _down)


def _scale(dice: random.Random, media: int) -> Wish:
    number = dice.choice([n for n in range(1, 5) if n != media])
    how = " --no-drain" if number < media and dice.random() < 0.3 else ""
    return Wish(f"scale {number}{how}", _scaled(number))


def _drain(dice: random.Random, media: int) -> Wish:
    return Wish(f"drain {dice.choice(['all', f'media-{dice.randint(1, media)}'])}", _nothing)


def _restart(dice: random.Random, media: int) -> Wish:
    node = dice.choice((f"media-{dice.randint(1, media)}", f"master-{dice.randint(1, 4)}", f"master-{dice.randint(1, 4)} --service"))
    return Wish(f"restart {node}", _healthy)


def _resize_media(_: random.Random, __: int) -> Wish:
    return Wish("resize media c-8", _media_sized)


def _resize_masters(dice: random.Random, _: int) -> Wish:
    how = [f for f in ("--rolling", "--snapshot", "--grow-disk") if dice.random() < 0.4]
    return Wish(" ".join(["resize masters", BIG, *how]), _sized)


def _backup(dice: random.Random, _: int) -> Wish:
    how = dice.choice(("", "", " --offline"))
    return Wish("backup create" + how, _backed_up)


def _prune(_: random.Random, __: int) -> Wish:
    return Wish("backup prune", _pruned, prepare=_old_backups)


def _old_backups(scene: Scene) -> None:
    estate: Estate = scene.estate
    for day in range(1, 6):
        for n, m in enumerate(estate.masters("acme"), 1):
            name = f"acme-backup-202701{day:02d}T020000Z-master-{n}"
            made = Snapshot(estate.number(), name, m.id, m.region, m.disk, scene.clock.now())
            estate.snapshots[made.id] = made
            m.snapshot_ids.append(made.id)


def _config(_: random.Random, __: int) -> Wish:
    return Wish(f"config set {KEY}", _configured)


def _window(dice: random.Random, _: int) -> Wish:
    meetings = dice.choice(("wait:2", "wait:30"))
    return Wish(f"window add nights Mon-Sun 20:10-20:30 Europe/Madrid --meetings {meetings}", _nothing, stays=50 * 60.0)


PLOTS = (
    _shutdown, _shutdown, _shutdown, _scale, _scale, _drain, _restart, _restart, _resize_media, _resize_masters, _resize_masters,
    _resize_masters, _backup, _prune, _config, _window,
)  # fmt: skip
