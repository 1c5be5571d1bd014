"""An autoscale pool of fixed size, as OpenVidu 3.6 is deployed: the bot edits its number, and DigitalOcean makes and removes nodes."""

from collections.abc import Iterator
from dataclasses import replace

from services.cluster.model import MediaNode, Pool
from services.common.errors import Refused
from services.common.observed import NotSeen
from services.common.text import count
from services.procedures import sizes
from services.procedures import terraform_hints as reminders
from services.procedures.fleet.base import Fleet, Way, masters_must_serve
from services.steps import (
    Drain,
    MediaGone,
    MediaServing,
    OldGone,
    PoolTarget,
    Revive,
    Shrunk,
    Step,
    TemplateSize,
)
from services.steps.media_nodes import POOL_COOLDOWN
from services.steps.pool import keep_one

MOST = 1000
EXTRA = "the added media nodes"


class PoolFleet(Fleet):
    """The pool's number is the number of media nodes."""

    name = "an autoscale pool"
    fewer = "[[command scale]] sets their number"

    @property
    def pool(self) -> Pool:
        assert self.cluster.pool is not None, (
            "checked before: a cluster without a pool is of another kind"
        )
        return self.cluster.pool

    # The way down and up

    def let_go(
        self,
        *,
        drain: bool = True,
        alone: bool = False,
        limit: float | None = None,
        gives_up: float = 0.0,
    ) -> Iterator[Step]:
        was = self.pool.target
        if drain:
            # Should 0 be refused, the oldest stays: it must not have been told to delete itself. One that is not reached at this moment is
            # the oldest all the same: a plan must not become another one because SSH did not answer.
            oldest = tuple(
                n.id
                for n in self.cluster.members[:1]
                if isinstance(n.look, NotSeen) or n.look.start
            )
            step = Drain(
                number=len(self.cluster.media),
                limit=limit,
                gives_up=gives_up,
                stay=self.kept[:1] or oldest,
            )
            yield (
                replace(
                    step, floor=self.until_final(gives_up), ends=True, back=self._capacity_back()
                )
                if gives_up
                else step
            )
        if self.kept:
            yield from keep_one(self.cluster, (), was, harsh=not drain, keeps=self.keeps)
            return
        yield PoolTarget(0, remember=True, was=was, harsh=not drain, alone=alone, keeps=self.keeps)
        yield MediaGone()

    def _capacity_back(self) -> tuple[Step, ...]:
        """When a closing is given up: others come at once for those that still finish, and go when these serve again."""
        members, number = self.cluster.members, self.pool.target
        ids = tuple(n.id for n in members)
        if not number or len(ids) != number:
            return ()
        most = number + len(ids)
        longest = 4 * self.cluster.timings.drain_deadline
        return (
            PoolTarget(most, was=number, instead_of=ids),
            Revive(ids, enough=number),
            Revive(ids, who="the drained media nodes", enough=most),
            Drain(beyond=number, who=EXTRA, limit=longest),
            PoolTarget(number, was=most),
            Shrunk(number, (), stay=tuple((n.id, n.name) for n in members), who=EXTRA),
        )

    @property
    def kept(self) -> tuple[int, ...]:
        # They stay, drained, when DigitalOcean is known to refuse 0 and the cluster's policy is to keep one.
        if self.cluster.zero_refused and self.cluster.zero_policy == "keep_one":
            return tuple(n.id for n in self.cluster.members)
        return ()

    @property
    def keeps(self) -> int:
        """How many media nodes the next start-up brings back after a shutdown from here."""
        target, members = self.pool.target, self.cluster.members
        if target and not (members and all(n.parked for n in members)):
            return target
        # None of them could serve: an earlier shutdown came as far as that, and knew how many there had been.
        return max(self.cluster.remembered or 0, target)

    def bring_back(self, number: int) -> Iterator[Step]:
        yield PoolTarget(number, was=self.pool.target)
        drained = tuple(
            n.id for n in self.cluster.members[:number] if n.restartable or n.draining or n.held
        )
        if drained:
            yield Revive(drained)
        yield MediaServing(number)

    @property
    def before(self) -> int:
        target = self.pool.target
        if self.cluster.up or target > 1 or (target and not self.cluster.zero_refused):
            return target
        return self.cluster.remembered or target

    def startup_number(self, said: int | None) -> int | None:
        if said is not None:
            return said
        target = self.pool.target
        if self.cluster.remembered is not None:
            return max(
                self.cluster.remembered, target
            )  # it may have been grown by hand since; a start-up takes nothing away
        return target if target > 0 and not self.cluster.down else None

    def check_startup(self, said: int | None) -> None:
        cluster, number = self.cluster, self.startup_number(said)
        if number is None:
            raise Refused(
                "how many media nodes? nothing is remembered from an earlier shutdown: say [[command startup N]]"
            )
        if number < 1:
            raise Refused(
                "a start-up needs at least 1 media node; to run none, leave it down or use [[command shutdown --media-only]]"
            )
        if number > MOST:
            raise Refused(f"DigitalOcean's pools hold at most {MOST} droplets; {number} is more")
        if number < len(cluster.members) and any(not n.drained for n in cluster.members):
            have = count(len(cluster.members), "media node")
            raise Refused(
                f"{cluster.name} has {have} and a start-up takes none away; leave the number out, or say {len(cluster.members)}"
            )
        room = cluster.droplet_limit
        if room is not None and cluster.droplets_in_account is not None:
            after = cluster.droplets_in_account - len(cluster.members) + number
            if after > room and number > len(cluster.members):
                raise Refused(
                    f"{number} media nodes would make {after} droplets; the account's limit is {room}"
                )

    def up_afterwards(self, said: int | None) -> tuple[str, ...]:
        return (
            (reminders.number(said),)
            if said is not None and said != self.cluster.remembered
            else ()
        )

    def down_next(self) -> str:
        again = f" ({count(self.keeps, 'media node')}, as before)" if self.keeps else ""
        return f"start again with [[command startup]]{again}"

    # Numbers and sizes

    def scale(self, number: int, *, harsh: bool) -> Way:
        cluster, target = self.cluster, self.pool.target
        if number > MOST:
            raise Refused(f"DigitalOcean's pools hold at most {MOST} droplets; {number} is more")
        if cluster.down:
            raise Refused(
                f"{cluster.name} is down; [[command startup {number}]] starts it with {count(number, 'media node')}"
            )
        if number < len(cluster.members) and not harsh:
            self.must_leave(number)
        if number > max(target, len(cluster.members)):
            reminders.room_for(cluster, number - len(cluster.members), count(number, "media node"))
        if number > target:
            masters_must_serve(cluster)
        chooses = "DigitalOcean chooses which nodes go, by its word the newest; who really went is checked afterwards and told"
        return Way(
            tuple(self._scaling(number, harsh=harsh)),
            (chooses,) if cluster.members[number:] else (),
            (reminders.number(number),) if number != target else (),
        )

    def _scaling(self, number: int, *, harsh: bool) -> Iterator[Step]:
        members = self.cluster.members
        # Documented: the pool removes the most recently created ones first.
        stay, going = members[:number], members[number:]
        resting = tuple(n.id for n in stay if n.restartable or n.draining or n.held)
        if resting:
            yield Revive(resting)
        if going:
            yield from self._less(number, stay, going, harsh=harsh)
        else:
            yield PoolTarget(number, was=self.pool.target)
        yield MediaServing(number)

    def _less(
        self, number: int, stay: tuple[MediaNode, ...], going: tuple[MediaNode, ...], *, harsh: bool
    ) -> Iterator[Step]:
        ids, said = tuple(n.id for n in going), self.who(going)
        if not harsh:
            yield Drain(ids, number=len(ids), who=said, floor=min(self.cluster.min_serving, number))
        yield PoolTarget(number, was=self.pool.target, harsh=harsh)
        yield Shrunk(number, ids, stay=tuple((n.id, n.name) for n in stay), who=said)

    def resize(self, size: str, *, harsh: bool) -> Way:
        cluster = self.cluster
        if self.pool.size != size:
            sizes.must_be_sold(cluster, size)
            if cluster.members:
                masters_must_serve(cluster)
                minutes = f"{POOL_COOLDOWN / 60:.0f} min"
                doubled = f"DigitalOcean replaces a pool by doubling it for about {minutes}: {len(cluster.members)} nodes more"
                reminders.room_for(cluster, len(cluster.members), doubled)
        return Way(
            tuple(self._resizing(size, harsh=harsh)),
            self._resize_notes(size),
            (reminders.media_size(size),),
        )

    def _resizing(self, size: str, *, harsh: bool) -> Iterator[Step]:
        pool, cluster = self.pool, self.cluster
        old = tuple(
            n
            for n in cluster.media
            if n.member_status is not None and (pool.size != size or n.droplet.size != size)
        )
        if pool.size != size:
            if not harsh:
                # Kept by the bot, not deleted by the vendor's script: the pool would refill with the old size, and those would serve
                # people until it removes them ten minutes after the edit.
                # Those in service as the template changes go ten minutes later: the last ones serve until no one meets there.
                yield Drain(
                    number=len(cluster.media),
                    pool_follows=False,
                    floor=cluster.min_serving,
                    ends=True,
                )
            yield TemplateSize(size, was=pool.size, harsh=harsh)
        if old or (pool.size != size and pool.target):
            yield MediaServing(pool.target, size=size)
            yield OldGone(size, tuple(n.id for n in old))

    def _resize_notes(self, slug: str) -> tuple[str, ...]:
        number, size = len(self.cluster.members), self.cluster.size(slug)
        if not number or size is None:
            return ()
        cost = (
            "its price is unknown"
            if size.hourly is None
            else f"about ${size.hourly * number * int(POOL_COOLDOWN) / 3600:.2f}, once"
        )
        minutes = f"{POOL_COOLDOWN / 60:.0f} min"
        doubles = f"DigitalOcean doubles the pool to {2 * number} nodes for about {minutes}, then removes the old ones"
        return (f"{doubles}: {cost}",)

    def resize_back(self, step: Step) -> Iterator[Step]:
        # DigitalOcean would not take the size: what was drained for it serves again.
        members = self.cluster.members
        drained = tuple(n.id for n in members if n.restartable or n.draining or n.held)
        if isinstance(step, TemplateSize) and not step.is_done(self.cluster) and drained:
            yield Revive(drained)
            yield MediaServing(len(members))

    # Single nodes

    def drain(self, chosen: tuple[MediaNode, ...], said: str) -> Way:
        everybody = said.lower() == "all"
        back = "[[command startup]]" if everybody else f"[[command restart {said}]]"
        going = [n for n in chosen if n.member_status == "deleting"]
        if going:
            raise Refused(
                f"DigitalOcean is removing {self.short(going)} already; [[command status]] shows what stays"
            )
        floor, who = self.floor_without(chosen), self.who(chosen)
        step = Drain(
            tuple(n.id for n in chosen),
            number=len(chosen),
            pool_follows=False,
            alone=True,
            who=who,
            floor=floor,
        )
        note = f"Nothing is removed, so nothing is saved: drained nodes stay and are billed, and serve again after {back}"
        return Way((step,), (note,), next=f"bring {'them' if everybody else 'it'} back with {back}")

    def warnings(self) -> tuple[str, ...]:
        return tuple(said for said in (self.pool.state, self.pool.trouble) if said)

    def words(self) -> str:
        return f"pool at {self.pool.target}, {count(len(self.cluster.media), 'droplet')} of {self.pool.size}."
