"""The procedure that changes the droplet size of the masters.

All together inside a shutdown, or one after the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import ClassVar

from services.billing.prices import money, total_price
from services.cluster.deployment import control_plane_of
from services.cluster.model import Basis, Cluster, Droplet, Size, short_name
from services.common.command import argument, flag
from services.common.errors import Refused
from services.common.text import count_of, join_words, plural
from services.procedures import fleet, terraform_hints
from services.procedures.base import Procedure
from services.procedures.round_trip import rest_of_trip, returns_to_service, round_trip, startup
from services.procedures.sizes import (
    UNPRICED,
    by_price,
    check_list_complete,
    is_new_plan,
    is_sold,
)
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
from services.steps.masters import master_names

OFFERED = 4


@dataclass(frozen=True)
class ResizeMasters(Procedure):
    """Change the droplet size of the masters: CPU and memory, and the disk only when asked to."""

    command: ClassVar[str] = "resize masters"
    help_text: ClassVar[str] = (
        "Change the droplet size of the masters: CPU and memory, and the disk only with "
        "`--grow-disk`."
    )
    verb: ClassVar[str] = "Resize the masters of"
    doing: ClassVar[str] = "Resizing the masters of"
    done: ClassVar[str] = "has masters of the new size"

    size: str = argument("the new size, such as s-8vcpu-16gb")
    rolling: bool = flag("one master at a time, while the cluster stays in service")
    grow_disk: bool = flag("grow the disks too; not reversible")
    snapshot: bool = flag("take a snapshot of each powered-off master first")

    def target_text(self, name: str) -> str:
        how = {
            "one at a time": self.rolling,
            "with larger disks": self.grow_disk,
            "with a snapshot of each": self.snapshot,
        }
        return ", ".join([f"{name} to {self.size}", *(words for words in how if how[words])])

    def outcome_text(self, name: str) -> str:
        return f"{name} has masters of {self.size}"

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        wrong = self._wrong(cluster)
        if not wrong:
            return
        if self.rolling:
            yield from self._one_by_one(cluster, wrong)
        elif cluster.is_down:
            yield from self._change(cluster, wrong, down=True)
        else:
            yield from round_trip(cluster, self._change(cluster, wrong))

    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        wrong = self._wrong(cluster)
        if self.rolling and not wrong:
            # All have their size; none is left powered off for it.
            yield from startup(cluster, 0)
        elif self.rolling or not returns_to_service(left):
            yield from self.steps(cluster)
        else:
            middle: tuple[Step, ...] = tuple(s for s in left if isinstance(s, Snapshots))
            if wrong:
                middle = tuple(self._change(cluster, wrong))
            yield from rest_of_trip(cluster, middle, left)

    def _wrong(self, cluster: Cluster) -> list[Droplet]:
        return [m for m in cluster.masters if m.size != self.size]

    def _change(
        self, cluster: Cluster, wrong: list[Droplet], *, down: bool = False
    ) -> Iterator[Step]:
        names = tuple(m.name for m in wrong)
        if self.snapshot:
            yield self._snapshots(cluster, names, down=down)
        yield Resize(names, self.size, disk=self._disk(cluster), down=down)

    def _snapshots(self, cluster: Cluster, names: tuple[str, ...], *, down: bool) -> Snapshots:
        if self.rolling:
            return Snapshots(names, off=True, kind="resize", down=down)
        # A set of all masters is a backup.
        everyone = tuple(m.name for m in cluster.masters)
        return Snapshots(everyone, off=True, kind="backup", down=down)

    def _one_by_one(self, cluster: Cluster, wrong: list[Droplet]) -> Iterator[Step]:
        everyone = tuple(m.name for m in cluster.masters)
        # An unhealthy master goes first: the others may only be stopped while all are healthy.
        unhealthy = [m for m in cluster.masters if not m.is_healthy]
        if unhealthy and unhealthy[0] not in wrong:
            yield PowerOn(unhealthy[0].name)
        if not unhealthy or unhealthy[0] not in wrong:
            yield Healthy(everyone)
        for master in sorted(wrong, key=lambda m: (m not in unhealthy, m.name)):
            yield PowerOff((master.name,), media_stays=True)
            yield from self._change(cluster, [master])
            yield PowerOn(master.name)
            yield Healthy(everyone)
            yield FrontAnswers()

    def _disk(self, cluster: Cluster) -> int:
        """Return what the disks grow to, in GB; 0 when they stay."""
        size = cluster.size(self.size)
        if not self.grow_disk or size is None:
            return 0
        if any(m.disk < size.disk for m in self._wrong(cluster)):
            return size.disk
        return 0

    # Checks

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        self._check_rolling(cluster)
        self._check_disks(cluster)
        if not self._wrong(cluster):
            return
        self._check_size(cluster)
        if self.rolling:
            self._check_health(cluster)
        elif not cluster.is_down:
            fleet.fleet_of(cluster).check_round_trip()

    def _check_rolling(self, cluster: Cluster) -> None:
        plane = control_plane_of(cluster)
        if self.rolling and not plane.can_roll:
            what = plane.all_masters if plane.hosts_meetings else "the media nodes"
            raise Refused(
                f"{cluster.name} cannot be resized with `--rolling`: {plane.why_no_rolling}. "
                f"Omit it: [[command resize masters {self.size}]] drains {what} first, so "
                "running meetings finish"
            )

    def _check_disks(self, cluster: Cluster) -> None:
        size = cluster.size(self.size)
        if not self.grow_disk or size is None:
            return
        small = [m for m in cluster.masters if m.size == self.size and m.disk < size.disk]
        if not small:
            return
        who = join_words(short_name(m.name, cluster.stack) for m in small)
        if len(small) == len(cluster.masters):
            who = "the masters"
        raise Refused(
            f"{who} already {plural(len(small), 'has', 'have')} {self.size}, and DigitalOcean "
            "grows a disk only together with a resize. Resize to another size first, or to a "
            f"larger one with `--grow-disk`. {_offer(cluster, self.size)}"
        )

    def _check_size(self, cluster: Cluster) -> None:
        size = cluster.size(self.size)
        if size is None:
            self._refuse_unlisted(cluster)
            return
        if not is_sold(size, cluster.region):
            raise Refused(
                f"DigitalOcean does not offer {self.size} in {cluster.region} now. "
                f"{_offer(cluster, self.size)}"
            )
        disk = max((m.disk for m in self._wrong(cluster)), default=0)
        if size.disk < disk:
            raise Refused(
                f"{self.size} has a {size.disk} GB disk and the masters have {disk} GB; "
                f"a disk cannot shrink. {_offer(cluster, self.size)}"
            )
        if any(is_new_plan(m.size) != is_new_plan(self.size) for m in self._wrong(cluster)):
            sizes = "other sizes" if is_new_plan(self.size) else "g5- and s5- sizes"
            raise Refused(
                f"DigitalOcean does not resize {sizes} to {self.size}. {_offer(cluster, self.size)}"
            )

    def _refuse_unlisted(self, cluster: Cluster) -> None:
        check_list_complete(cluster)
        if not cluster.sizes:
            raise Refused(
                "DigitalOcean's list of sizes cannot be read, so no size can be verified. "
                "Add sizes:read to the token"
            )
        suggestion = ""
        if similar := get_close_matches(
            self.size, [s.slug for s in allowed_sizes(cluster)], 1, 0.7
        ):
            suggestion = f"Did you mean `{similar[0]}`? "
        raise Refused(
            f"DigitalOcean has no size {self.size}. {suggestion}{_offer(cluster, self.size)}"
        )

    def _check_health(self, cluster: Cluster) -> None:
        unhealthy = [m for m in cluster.masters if not m.is_healthy]
        if len(unhealthy) > 1:
            names = join_words(short_name(m.name, cluster.stack) for m in unhealthy)
            raise Refused(
                f"{names} are not healthy, and a rolling resize needs "
                f"{control_plane_of(cluster).others} healthy. "
                "To resize them all during a shutdown, omit `--rolling`"
            )

    # Rollback

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        if not isinstance(step, Resize | Snapshots):
            return
        yield Settled(step.names)
        if self.rolling:
            yield from (PowerOn(n) for n in step.names)
            yield Healthy(tuple(m.name for m in cluster.masters))
            yield FrontAnswers()
        elif not step.down:
            yield from startup(cluster, fleet.fleet_of(cluster).number_to_restore)

    def remainder_after_rollback(self, was: Basis, cluster: Cluster) -> str:
        before = dict(was.sizes or ())
        changed = [m for m in cluster.masters if before.get(m.name, m.size) != m.size]
        if not changed:
            return ""
        names = master_names(tuple(m.name for m in changed))
        text = f"{names} now {plural(len(changed), 'has', 'have')} {self.size}"
        unchanged = [m for m in cluster.masters if m not in changed]
        if unchanged:
            sizes = join_words(sorted({m.size for m in unchanged}))
            text += f", {master_names(tuple(m.name for m in unchanged))} still {sizes}"
        return f"{text}. Resize the rest with [[command {self.command_line()}]]"

    # Notes

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        lines = []
        plane = control_plane_of(cluster)
        each = one = plane.all_masters
        if plane.masters != 1:
            each, one = "each master", "a master"
        if self.rolling:
            lines.append(
                "[[strong One master at a time]]: the others stay in service, and the next "
                "one stops only when all are healthy. People connected through a stopping "
                "master may see “Reconnecting” for some seconds. OpenVidu recommends stopping the "
                "whole cluster"
            )
        old = sorted({m.size for m in self._wrong(cluster)})
        if old and not self._disk(cluster):
            lines.append(
                "[[strong Reversible]]: only CPU and memory change. "
                f"[[command resize masters {old[0]}]] reverts it"
            )
        if self.snapshot:
            lines.append(
                f"[[strong A snapshot of {each} is taken]] while it is powered off. It costs "
                "$0.06 for each GB and month until it is deleted"
            )
        else:
            lines.append(
                "[[strong No snapshot is taken first]]. DigitalOcean recommends one: `--snapshot` "
                "($0.06 for each GB and month until it is deleted)"
            )
        lines.append(
            f"DigitalOcean states up to 1 min for each GB in use on {one}'s disk; usually it "
            "takes a few minutes"
        )
        return tuple(lines)

    def cost_note(self, cluster: Cluster) -> str:
        size, wrong = cluster.size(self.size), self._wrong(cluster)
        if size is None:
            return ""
        was, now = total_price(m.monthly for m in wrong), total_price((size.monthly,) * len(wrong))
        prices = sorted({(m.size, money(m.monthly)) for m in wrong})
        before = join_words(f"{slug} at {price}" for slug, price in prices)
        plane = control_plane_of(cluster)
        only = plane.masters == 1
        who = plane.all_masters if only else count_of(len(wrong), "master")
        each = "" if only else " each"
        change = "the change in cost is unknown"
        if was is not None and now is not None:
            change = _change_text(now - was)
        return (
            f"{who} from {before} to {self.size} at "
            f"{money(size.monthly)} a month{each}: {change} "
            f"(powered on or off: {'it is' if only else 'masters are'} always billed)"
        )

    def follow_up(self, cluster: Cluster) -> tuple[str, ...]:
        hint = terraform_hints.masters_size(self.size, control_plane_of(cluster))
        if not cluster.is_down:
            return (hint,)
        return (
            hint,
            f"{cluster.name} was shut down and stays shut down; [[command startup]] starts it",
        )


# Sizes


def allowed_sizes(cluster: Cluster) -> list[Size]:
    """Return the sizes that every master could be resized to, cheapest first."""
    now = {m.size for m in cluster.masters}
    disk = max((m.disk for m in cluster.masters), default=0)
    other = [s for s in cluster.sizes if s.slug not in now and is_sold(s, cluster.region)]
    fitting = [
        s
        for s in other
        if s.disk >= disk and all(is_new_plan(s.slug) == is_new_plan(n) for n in now)
    ]
    return sorted(fitting, key=by_price)


def _change_text(monthly: Decimal) -> str:
    direction = "less" if monthly < 0 else "more"
    return f"{money(abs(monthly))} {direction} a month"


def _offer(cluster: Cluster, wanted: str) -> str:
    """Return a few possible sizes, those nearest in price to the wanted one first."""
    price = _price_near(cluster, wanted) or Decimal(0)

    def distance(size: Size) -> tuple[Decimal, str]:
        return abs((size.monthly or UNPRICED) - price), size.slug

    nearest = sorted(allowed_sizes(cluster), key=distance)[:OFFERED]
    if not nearest:
        return "No other size fits these masters"
    return f"Possible sizes: {'; '.join(_size_text(s) for s in nearest)}"


def _price_near(cluster: Cluster, wanted: str) -> Decimal | None:
    """Return the monthly price of the wanted size, else of the most expensive master."""
    size = cluster.size(wanted)
    if size is not None:
        return size.monthly
    return max((m.monthly for m in cluster.masters if m.monthly), default=None)


def _size_text(size: Size) -> str:
    return (
        f"`{size.slug}` ({size.vcpus} vCPU, {size.memory / 1024:g} GB, {size.disk} GB disk, "
        f"{money(size.monthly)}/month)"
    )
