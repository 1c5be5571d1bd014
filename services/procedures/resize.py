"""Another droplet size for the masters: all together inside a shutdown, or one after the other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import ClassVar

from services.billing.prices import money, summed
from services.cluster.model import Basis, Cluster, Droplet, Size, short
from services.common.command import argument, flag
from services.common.errors import Refused
from services.common.text import count, listed
from services.procedures import fleet
from services.procedures import terraform_hints as reminders
from services.procedures.base import Procedure
from services.procedures.sizes import UNPRICED, by_price, must_be_whole
from services.steps import (
    FrontAnswers,
    Healthy,
    PowerOff,
    PowerOn,
    Resize,
    Settled,
    Snapshots,
    Step,
)
from services.steps.masters import said

NEW_PLANS = (
    "g5-",
    "s5-",
)  # DigitalOcean resizes these only among themselves, and all others only among themselves
OFFERED = 4


@dataclass(frozen=True)
class ResizeMasters(Procedure):
    """Change the droplet size of the masters: CPU and memory, and the disk only when asked to."""

    command: ClassVar[str] = "resize masters"
    verb: ClassVar[str] = "Resize the masters of"
    doing: ClassVar[str] = "Resizing the masters of"
    done: ClassVar[str] = "has its masters at the new size"

    size: str = argument("the new size, such as s-8vcpu-16gb")
    rolling: bool = flag("one master at a time, while the cluster serves")
    grow_disk: bool = flag("grow the disks too, which can never be taken back")
    snapshot: bool = flag("take a snapshot of each master first, while it is off")

    def about(self, name: str) -> str:
        return f"{name} to {self.size}"

    def ended(self, name: str) -> str:
        return f"{name} has its masters at {self.size}"

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        wrong = self._wrong(cluster)
        if not wrong:
            return
        if self.rolling:
            yield from self._one_by_one(cluster, wrong)
        elif cluster.down:
            yield from self._change(cluster, wrong, down=True)
        else:
            yield from round_trip(cluster, self._change(cluster, wrong))

    def onward(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        wrong = self._wrong(cluster)
        if self.rolling and not wrong:  # all have their size; none is left off for it
            yield from opened(cluster, 0)
        elif self.rolling or not on_the_way_up(left):
            yield from self.steps(cluster)
        else:  # it was up before, and is to be up again, whatever is left to change
            snapshots = tuple(s for s in left if isinstance(s, Snapshots))
            yield from rest_of_trip(
                cluster, tuple(self._change(cluster, wrong)) if wrong else snapshots, left
            )

    def _wrong(self, cluster: Cluster) -> list[Droplet]:
        return [m for m in cluster.masters if m.size != self.size]

    def _change(
        self, cluster: Cluster, wrong: list[Droplet], *, down: bool = False
    ) -> Iterator[Step]:
        names = tuple(m.name for m in wrong)
        if self.snapshot:
            kind = "resize" if self.rolling else "backup"
            yield Snapshots(
                names if self.rolling else tuple(m.name for m in cluster.masters),
                off=True,
                kind=kind,
                down=down,
            )
        yield Resize(names, self.size, disk=self._disk(cluster), down=down)

    def _one_by_one(self, cluster: Cluster, wrong: list[Droplet]) -> Iterator[Step]:
        everybody = tuple(m.name for m in cluster.masters)
        # Whichever is not well now goes first: the others may only be stopped while all are healthy.
        sick = [m for m in cluster.masters if not m.well]
        if sick and sick[0] not in wrong:
            yield PowerOn(sick[0].name)
        if not sick or sick[0] not in wrong:
            yield Healthy(everybody)
        for master in sorted(wrong, key=lambda m: (m not in sick, m.name)):
            yield PowerOff((master.name,), media_stays=True)
            yield from self._change(cluster, [master])
            yield PowerOn(master.name)
            yield Healthy(everybody)
            yield FrontAnswers()

    def _disk(self, cluster: Cluster) -> int:
        size = cluster.size(self.size)
        grows = (
            self.grow_disk
            and size is not None
            and any(m.disk < size.disk for m in self._wrong(cluster))
        )
        return size.disk if grows and size is not None else 0

    # What makes no sense

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        self._check_disks(cluster)
        if not self._wrong(cluster):
            return
        self._check_size(cluster)
        if self.rolling:
            self._check_health(cluster)
        elif not cluster.down:
            fleet.of(cluster).check_round()

    def _check_disks(self, cluster: Cluster) -> None:
        size = cluster.size(self.size)
        if not self.grow_disk or size is None:
            return
        small = [m for m in cluster.masters if m.size == self.size and m.disk < size.disk]
        if small:
            names = listed(short(m.name, cluster.stack) for m in small)
            who = "the masters" if len(small) == len(cluster.masters) else names
            raise Refused(
                f"{who} {'has' if len(small) == 1 else 'have'} {self.size} already, and DigitalOcean grows a disk only together with "
                f"a change of size: go to another size first, or to a larger one with `--grow-disk`; {_offer(cluster, self.size)}"
            )

    def _check_size(self, cluster: Cluster) -> None:
        if cluster.size(self.size) is None:
            must_be_whole(cluster)
        if not cluster.sizes:
            raise Refused(
                "DigitalOcean's list of sizes cannot be read (the token needs sizes:read), so no size can be checked"
            )
        size = cluster.size(self.size)
        if size is None:
            near = get_close_matches(self.size, [s.slug for s in legal(cluster)], 1, 0.7)
            meant = f"did you mean `{near[0]}`? " if near else ""
            raise Refused(
                f"DigitalOcean lists no size {self.size}; {meant}{_offer(cluster, self.size)}"
            )
        if not _sold(size, cluster.region):
            raise Refused(
                f"{self.size} is not to be had in {cluster.region} now; {_offer(cluster, self.size)}"
            )
        disk = max((m.disk for m in self._wrong(cluster)), default=0)
        if size.disk < disk:
            why = f"{self.size} has {size.disk} GB of disk and the masters have {disk} GB; a disk cannot shrink"
            raise Refused(f"{why}; {_offer(cluster, self.size)}")
        if any(_new_plan(m.size) != _new_plan(self.size) for m in self._wrong(cluster)):
            kind = "g5- and s5- sizes" if not _new_plan(self.size) else "other sizes"
            raise Refused(
                f"DigitalOcean does not resize {kind} to {self.size}: they do not mix; {_offer(cluster, self.size)}"
            )

    def _check_health(self, cluster: Cluster) -> None:
        sick = [m for m in cluster.masters if not m.well]
        if len(sick) > 1:
            names = listed(short(m.name, cluster.stack) for m in sick)
            raise Refused(
                f"{names} are not healthy, and a rolling resize stops one master only while the other three are; "
                "leave `--rolling` out to do all four inside a shutdown"
            )

    # The way back

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        if not isinstance(step, Resize | Snapshots):
            return
        yield Settled(step.names)
        if self.rolling:
            yield from (PowerOn(n) for n in step.names)
            yield Healthy(tuple(m.name for m in cluster.masters))
            yield FrontAnswers()
        elif not step.down:
            yield from opened(cluster, fleet.of(cluster).before)

    def left(self, was: Basis, cluster: Cluster) -> str:
        before = dict(was.sizes or ())
        changed = [m.name for m in cluster.masters if before.get(m.name, m.size) != m.size]
        same = [m for m in cluster.masters if m.name not in changed]
        if not changed:
            return ""
        rest = (
            f", {said(tuple(m.name for m in same))} still {listed(sorted({m.size for m in same}))}"
            if same
            else ""
        )
        have = f"{said(tuple(changed))} {'has' if len(changed) == 1 else 'have'} {self.size} now"
        return f"{have}{rest}: [[command {self.words()}]] does the rest"

    # What people are told

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        wrong = self._wrong(cluster)
        told = []
        if self.rolling:
            told.append(
                "[[strong One master at a time]]: the other three serve, and the next one goes only "
                "when all four are healthy. People who are connected through the one that goes may see "
                "“Reconnecting” for some seconds. OpenVidu recommends to stop the whole cluster"
            )
        old = sorted({m.size for m in wrong})
        if old and not self._disk(cluster):
            told.append(
                f"[[strong Can be taken back]]: only CPU and memory change; [[command resize masters {old[0]}]] goes back"
            )
        if not self.snapshot:
            told.append(
                "[[strong No snapshot is taken first]]; DigitalOcean recommends one: `--snapshot`, $0.06 for each GB and month until it is deleted"
            )
        else:
            told.append(
                "[[strong A snapshot of each master is taken]] while it is off; it costs $0.06 for each GB and month until it is deleted"
            )
        told.append(
            "DigitalOcean allows itself 1 min for each GB in use on a master's disk; usually it takes a few minutes"
        )
        return tuple(told)

    def money(self, cluster: Cluster) -> str:
        size, wrong = cluster.size(self.size), self._wrong(cluster)
        if size is None:
            return ""
        was, now = summed(m.monthly for m in wrong), summed((size.monthly,) * len(wrong))
        before = listed(
            f"{slug} at {price}"
            for slug, price in sorted({(m.size, money(m.monthly)) for m in wrong})
        )
        change = (
            "how much that changes is unknown" if was is None or now is None else _change(now - was)
        )
        return (
            f"{count(len(wrong), 'master')} from {before} to {self.size} at {money(size.monthly)} a month each: {change}, "
            "on or off: masters are billed while off too"
        )

    def afterwards(self, cluster: Cluster) -> tuple[str, ...]:
        down = (
            (f"{cluster.name} was down and stays down; [[command startup]] starts it",)
            if cluster.down
            else ()
        )
        return (reminders.masters_size(self.size), *down)


# A shutdown with something in the middle


def shut(cluster: Cluster) -> Iterator[Step]:
    """The whole way down, as a shutdown goes it."""
    media = fleet.of(cluster)
    yield from media.let_go()
    yield PowerOff(tuple(m.name for m in cluster.masters), kept=media.kept)


def round_trip(cluster: Cluster, middle: Iterator[Step], least: int = 0) -> Iterator[Step]:
    """All the way down, that, and all the way up to as many media nodes as before, and to `least` of them at least."""
    number, here = max(fleet.of(cluster).before, least), cluster
    for step in shut(cluster):
        yield step
        here = here if step.is_done(here) else step.after(here)
    yield from middle
    yield from opened(here, number)


def on_the_way_up(left: tuple[Step, ...]) -> bool:
    """Whether the cluster is to be up at the end of these steps, as it was before."""
    return fleet.promised(left) > 0 or any(
        isinstance(s, PowerOn | Healthy | FrontAnswers) for s in left
    )


def rest_of_trip(
    cluster: Cluster, middle: tuple[Step, ...], left: tuple[Step, ...]
) -> Iterator[Step]:
    """The same for one that is under way, with these steps `left`: nothing more is stopped when nothing is left to do in the middle."""
    least = fleet.promised(left)
    if middle:
        yield from round_trip(cluster, iter(middle), least)
    else:
        yield from opened(cluster, max(fleet.of(cluster).before, least))


def opened(cluster: Cluster, number: int) -> Iterator[Step]:
    """The whole way up, as a start-up goes it; no media nodes where there were none."""
    names = tuple(m.name for m in cluster.masters)
    for name in names:
        yield PowerOn(name)
    yield Healthy(names)
    yield FrontAnswers()
    if number:
        yield from fleet.of(cluster).bring_back(number)


# Sizes


def legal(cluster: Cluster) -> list[Size]:
    """The sizes that every master could have instead of its own, cheapest first."""
    now = {m.size for m in cluster.masters}
    disk = max((m.disk for m in cluster.masters), default=0)
    fits = [
        s
        for s in cluster.sizes
        if _sold(s, cluster.region) and s.disk >= disk and s.slug not in now
    ]
    return sorted(
        (s for s in fits if all(_new_plan(s.slug) == _new_plan(n) for n in now)), key=by_price
    )


def _change(monthly: Decimal) -> str:
    return f"{money(abs(monthly))} {'more' if monthly >= 0 else 'less'} a month"


def _sold(size: Size, region: str) -> bool:
    return size.available and (not region or region in size.regions)


def _new_plan(slug: str) -> bool:
    return slug.startswith(NEW_PLANS)


def _offer(cluster: Cluster, wanted: str) -> str:
    """A few sizes that are possible, those nearest to what was asked for first."""
    size = cluster.size(wanted)
    price = (
        size.monthly
        if size is not None
        else max((m.monthly for m in cluster.masters if m.monthly), default=None)
    )
    near = sorted(
        legal(cluster), key=lambda s: (abs((s.monthly or UNPRICED) - (price or 0)), s.slug)
    )[:OFFERED]
    return f"possible: {', '.join(_said(near))}" if near else "no other size fits these masters"


def _said(sizes: Iterable[Size]) -> Iterator[str]:
    for s in sizes:
        yield f"`{s.slug}` ({s.vcpus} vCPU, {s.memory / 1024:g} GB, {s.disk} GB disk, {money(s.monthly)}/month)"
