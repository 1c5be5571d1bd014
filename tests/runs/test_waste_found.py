"""Months with planted waste: each is found once with its dollars. And months without any."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pytest

from simulators.cloud import Cloud
from simulators.cloud.model import SimulatedDroplet, SimulatedSnapshot, SimulatedVolume
from tests.procedures.test_other_hands import set_pool
from tests.support import virtual
from tests.support.scene import Scene

DAY = 86400.0
HOURLY = {"s-4vcpu-8gb": Decimal(48) * 12 / 365}

WEEKLY = {"waste": {"enabled": True}}


@dataclass
class Planted:
    """What was planted: the dollars a day by the button's value."""

    daily: dict[str, Decimal] = field(default_factory=dict)


def stray(estate: Cloud, name: str, tags: list[str]) -> SimulatedDroplet:
    """Create a droplet like a media node that nothing keeps."""
    model = estate.media("acme")[0]
    template = {"size": model.size, "region": model.region, "image": model.image, "tags": tags}
    return estate.create_droplet(name, template)


def old_backups(scene: Scene, number: int) -> Decimal:
    """Plant complete backups, of which the newest three stay; return the surplus in dollars."""
    estate = scene.estate
    for day in range(number):
        at = datetime.fromtimestamp(estate.now - (20 - day) * DAY, UTC)
        for n, master in enumerate(estate.masters("acme"), 1):
            name = f"acme-backup-{at:%Y%m%dT%H%M%SZ}-master-{n}"
            made = SimulatedSnapshot(
                estate.number(), name, master.id, master.region, master.disk, at.timestamp()
            )
            estate.snapshots[made.id] = made
            master.snapshot_ids.append(made.id)
    masters = len(estate.masters("acme"))
    return Decimal("5.2") * masters * (number - 3) * Decimal("0.06") * 12 / 365


def volume(scene: Scene, name: str, size: int, droplet: int = 0) -> SimulatedVolume:
    estate = scene.estate
    made = SimulatedVolume(estate.uuid(), name, size, "ams3", estate.now, droplet)
    estate.storage.volumes[made.id] = made
    return made


def reports(scene: Scene) -> list[list[tuple[str, str]]]:
    """Return of each posted report its findings: by the Keep button, and the text above it."""
    found = []
    for message in scene.ana.visible_messages("COPS"):
        if "unused thing" not in message.text:
            continue
        lines: list[tuple[str, str]] = []
        text = ""
        for block in message.blocks:
            if block["type"] == "section":
                text = block["text"]["text"]
            lines += [
                (element["value"].partition(" ")[2], text)
                for element in block.get("elements", ())
                if element.get("action_id") == "form:cost-keep"
            ]
        found.append(lines)
    return found


def assert_right(report: list[tuple[str, str]], planted: Planted) -> None:
    refs = sorted(ref for ref, _ in report)
    assert refs == sorted(planted.daily), "each is found, once, and nothing else"
    for ref, text in report:
        assert text.startswith(f"*${planted.daily[ref]:,.2f} a day*"), text


async def plant(scene: Scene, dice: Random) -> Planted:
    """Plant one of each kind, at any moment of some days."""
    estate, planted = scene.estate, Planted()
    master = estate.masters("acme")[0]
    master.reserved_ip = "203.0.113.77"
    size = dice.choice((50, 100, 250))
    used = volume(scene, "acme-shared", 500, droplet=master.id)
    assert used.droplet_id
    await scene.wait(1.5 * DAY)
    address, master.reserved_ip = master.reserved_ip, ""
    estate.storage.addresses[address] = "ams3"
    planted.daily[f"ip:{address}"] = Decimal(5) * 12 / 365
    made = volume(scene, f"acme-data-{dice.randrange(100)}", size)
    planted.daily[f"volume:{made.id}"] = size * Decimal("0.10") * 12 / 365
    await scene.wait(0.2 * DAY)
    left = stray(estate, "by-hand", ["acme-media-node-tag"])
    price = estate.droplets[left.id].size
    planted.daily[f"droplet:{left.id}"] = HOURLY[price]
    planted.daily["backups"] = old_backups(scene, 5)
    return planted


async def grow(scene: Scene) -> Decimal:
    """Double the pool by hand; return the dollars of what is too much."""
    pool = scene.estate.pool("acme")
    usual = pool.target
    set_pool(scene, usual * 2)
    return HOURLY[scene.estate.media("acme")[0].size] * usual


def play(seed: int, weeks: int) -> None:
    async def story() -> None:
        dice = Random(seed)
        async with Scene(media=2, seed=seed, site=WEEKLY) as scene:
            planted = await plant(scene, dice)
            await scene.wait(0.2 * DAY)
            planted.daily["pool"] = await grow(scene)
            await scene.wait((weeks * 7 - 5.5) * DAY)
            told = reports(scene)
            assert len(told) == weeks
            for report in told:
                assert_right(report, planted)

    virtual.run(story())


def test_a_week_with_waste_is_told() -> None:
    play(0, 1)


async def _others(scene: Scene) -> None:
    """What is in the same account and none of ours: other droplets, volumes and addresses."""
    estate = scene.estate
    template = {"size": "s-4vcpu-8gb", "region": "ams3", "image": "ubuntu", "tags": ["web"]}
    estate.create_droplet("web-1", template)
    estate.create_droplet("acmeto-media-node-9", template | {"tags": ["acmeto-media-node-tag"]})
    volume(scene, "web-data", 100)
    volume(scene, "acmeto-data", 100)
    estate.storage.addresses["203.0.113.5"] = "ams3"


def clean(seed: int, days: int) -> None:
    async def story() -> None:
        dice = Random(seed)
        async with Scene(media=2, seed=seed, site=WEEKLY) as scene:
            await _others(scene)
            window = "nights daily 20:00-06:00 UTC"
            await scene.ana.type_text("COPS", f"/openvidu window add {window} --now")
            for _ in range(days):
                line = dice.choice(
                    ("backup create --prune --now", "scale 3 --now", "scale 2 --now", "")
                )
                if line:
                    await scene.ana.type_text("COPS", f"/openvidu {line}")
                await scene.wait(DAY)
            await scene.wait(0.3 * DAY)  # past the time of a weekly report
            assert reports(scene) == []
            report = await scene.bot.scheduler.waste.report("acme")
            assert (report.findings, report.unknown) == ((), ())

    virtual.run(story())


def test_clean_days_are_silent() -> None:
    clean(0, 3)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(1, 4))
def test_months_with_waste(seed: int) -> None:
    play(seed, 3)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(1, 4))
def test_clean_months(seed: int) -> None:
    clean(seed, 30)
