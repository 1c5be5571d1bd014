"""What people request of the cluster: the commands of one story."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from simulators.cloud import Cloud
from simulators.cloud.model import Deployment, Kind, SimulatedSnapshot
from tests.campaign import goals
from tests.campaign.goals import BIG, KEY, Goal
from tests.support.scene import Scene


@dataclass(frozen=True)
class CampaignRequest:
    """One command, and the check of the world when its run says that it is done."""

    words: str
    goal: Goal
    prepare: Callable[[Scene], None] = lambda _: None
    stays: float = (
        0.0  # Seconds that the story goes on afterwards: a window closes and opens by itself.
    )

    @property
    def procedure(self) -> str:
        """The procedure's name in the state."""
        fitting = [words for words in PROCEDURES if self.words.startswith(words)]
        return PROCEDURES[max(fitting, key=len)]


PROCEDURES = {
    "shutdown": "Shutdown", "startup": "Startup", "scale": "Scale", "drain": "DrainNodes",
    "restart": "Restart", "park": "Park", "unpark": "Unpark", "freeze": "Freeze",
    "unfreeze": "Unfreeze", "roll": "Roll", "resize media": "ResizeMedia",
    "resize masters": "ResizeMasters", "backup create": "BackupCreate",
    "backup prune": "BackupPrune", "config": "Configure", "config file": "ChangeConfigFile", "window add": "AddWindow",
    "upgrade": "Upgrade", "stop": "Stop", "start": "Start", "module": "SwitchModule",
}  # fmt: skip


@dataclass(frozen=True)
class Ingredients:
    """The ingredients of a plot: dice, the deployment, and which media nodes it has."""

    dice: random.Random
    kind: Kind
    media: int
    deployment: Deployment = "high availability"

    def master(self) -> str:
        """Return one of the masters, as people name it."""
        n = self.dice.randint(1, 4)
        return {"elastic": "master", "single node": "node"}.get(self.deployment, f"master-{n}")

    def name(self) -> str:
        """Return one of the media nodes, as people name it."""
        n = self.dice.randint(1, self.media)
        if self.kind == "co-located":
            return "node"
        if self.kind == "autoscaler":
            n += 1000
        return f"media-{n}"


Plot = Callable[[Ingredients], CampaignRequest]


def wishes_of(stage: Ingredients) -> list[CampaignRequest]:
    """Return the commands of one story, in order."""
    dice, plots = stage.dice, PLOTS[stage.kind]
    first = dice.choice(plots)(stage)
    for word, then, chance in SEQUELS:
        if first.words.startswith(word) and dice.random() < chance:
            return [first, then]
    return [first, dice.choice(plots)(stage)] if dice.random() < 0.12 else [first]


def nodes_and_files(stage: Ingredients) -> list[CampaignRequest]:
    """Return the commands of a story about single nodes, configuration files or modules."""
    first = stage.dice.choice((_stop, _stop, _config_file, _module))(stage)
    if first.words.startswith("stop") and stage.dice.random() < 0.6:
        start = first.words.replace("stop", "start", 1)
        return [first, CampaignRequest(start, goals.nothing)]
    return [first]


def wish_of_beta(dice: random.Random, media: int) -> CampaignRequest:
    """Return a short request for the other cluster at the same time."""
    stage = Ingredients(dice, "pool", media)
    return dice.choice((_scale, _scale, _drain, _restart, _shutdown))(stage)


SEQUELS = (
    ("shutdown", CampaignRequest("startup", goals.serves), 0.6),
    ("config", CampaignRequest("config rollback", goals.healthy), 0.4),
    ("park", CampaignRequest("unpark", goals.unparked), 0.6),
    ("freeze", CampaignRequest("unfreeze", goals.unfrozen), 0.6),
)


def _shutdown(on: Ingredients) -> CampaignRequest:
    how = on.dice.choice(("", "", "", " --no-drain", " --media-only"))
    if on.kind == "co-located" and "media" in how:
        how = ""  # It has no media nodes of their own.
    return CampaignRequest("shutdown" + how, goals.without_media if "media" in how else goals.down)


def _upgrade(_on: Ingredients) -> CampaignRequest:
    return CampaignRequest("upgrade 3.7.0", goals.upgraded)


def _scale(on: Ingredients) -> CampaignRequest:
    number = on.dice.choice([n for n in range(1, 5) if n != on.media])
    how = " --no-drain" if number < on.media and on.dice.random() < 0.3 else ""
    return CampaignRequest(f"scale {number}{how}", goals.scaled(number))


def _drain(on: Ingredients) -> CampaignRequest:
    several = (
        "1" if on.kind == "autoscaler" else "all"
    )  # All of them leave only when nothing brings new ones.
    return CampaignRequest(f"drain {on.dice.choice([several, on.name()])}", goals.nothing)


def _restart(on: Ingredients) -> CampaignRequest:
    master = on.master()
    nodes = [
        master,
        f"{master} --service",
        *([on.name()] if on.kind != "autoscaler" else []),
    ]
    return CampaignRequest(f"restart {on.dice.choice(nodes)}", goals.healthy)


def _stop(on: Ingredients) -> CampaignRequest:
    nodes = [on.master(), *([on.name()] if on.kind != "autoscaler" else [])]
    return CampaignRequest(f"stop {on.dice.choice(nodes)}", goals.nothing)


def _config_file(_: Ingredients) -> CampaignRequest:
    words = "config file set livekit.yaml room.max_participants 50"
    return CampaignRequest(words, goals.healthy)


def _module(_: Ingredients) -> CampaignRequest:
    return CampaignRequest("module off observability", goals.healthy)


def _resize_media(on: Ingredients) -> CampaignRequest:
    size = (
        "c-8" if on.kind == "pool" else BIG
    )  # The other one is of another family, which only a new droplet can have.
    return CampaignRequest(f"resize media {size}", goals.media_sized(size))


def _resize_masters(on: Ingredients) -> CampaignRequest:
    how = [f for f in ("--rolling", "--snapshot", "--grow-disk") if on.dice.random() < 0.4]
    if on.deployment != "high availability" and "--rolling" in how:
        how.remove("--rolling")  # There is only one master.
    return CampaignRequest(" ".join(["resize masters", BIG, *how]), goals.sized)


def _park(on: Ingredients) -> CampaignRequest:
    number = on.dice.randint(1, max(1, on.media - 1))
    return CampaignRequest(f"park {number}", goals.parked(number))


def _freeze(_: Ingredients) -> CampaignRequest:
    return CampaignRequest("freeze", goals.frozen)


def _roll(_: Ingredients) -> CampaignRequest:
    return CampaignRequest(f"roll {BIG}", goals.rolled, prepare=_applied)


def _applied(scene: Scene) -> None:
    """Terraform has written the other size into the autoscaler."""
    scene.estate.functions.code["acme"].size = BIG


def _backup(on: Ingredients) -> CampaignRequest:
    return CampaignRequest(
        "backup create" + on.dice.choice(("", "", " --offline")), goals.backed_up
    )


def _prune(_: Ingredients) -> CampaignRequest:
    return CampaignRequest("backup prune", goals.pruned, prepare=_old_backups)


def _old_backups(scene: Scene) -> None:
    estate: Cloud = scene.estate
    if estate.snapshots:
        return  # They exist since the story's first prune.
    for day in range(1, 6):
        for n, m in enumerate(estate.masters("acme"), 1):
            master = {"acme-master-node": "master"}.get(m.name, f"master-{n}")
            name = f"acme-backup-202701{day:02d}T020000Z-{'node' if m.is_media else master}"
            snapshot = SimulatedSnapshot(
                estate.number(), name, m.id, m.region, m.disk, scene.clock.now()
            )
            estate.snapshots[snapshot.id] = snapshot
            m.snapshot_ids.append(snapshot.id)


def _config(_: Ingredients) -> CampaignRequest:
    return CampaignRequest(f"config set {KEY}", goals.configured)


def _window(on: Ingredients) -> CampaignRequest:
    meetings = on.dice.choice(("wait:2", "wait:30"))
    anyway = " --saves-nothing" if on.kind in ("fixed", "co-located") else ""
    return CampaignRequest(
        f"window add nights Mon-Sun 20:10-20:30 Europe/Madrid --meetings {meetings}{anyway}",
        goals.nothing,
        stays=50 * 60.0,
    )


_EVERYWHERE: tuple[Plot, ...] = (
    _shutdown,
    _shutdown,
    _drain,
    _restart,
    _resize_masters,
    _resize_masters,
    _backup,
    _config,
    _window,
)
PLOTS: dict[Kind, tuple[Plot, ...]] = {
    "pool": (
        *_EVERYWHERE,
        _shutdown,
        _restart,
        _resize_masters,
        _scale,
        _scale,
        _resize_media,
        _prune,
        _upgrade,
    ),
    "fixed": (*_EVERYWHERE, _park, _park, _park, _resize_media, _resize_media),
    "autoscaler": (*_EVERYWHERE, _freeze, _freeze, _roll, _roll, _upgrade),
    "co-located": (*_EVERYWHERE, _shutdown, _restart, _prune),
}
