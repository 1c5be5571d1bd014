"""An autoscale pool of fixed size, as OpenVidu 3.6 is deployed.

The bot edits the pool's target number, and DigitalOcean creates and deletes nodes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from services.cluster.fact_text import seen_text, with_source
from services.cluster.model import Cluster, MediaNode, Pool
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.common.text import count_of
from services.procedures import sizes, terraform_hints
from services.procedures.fleet.base import Fleet, FleetChange, check_masters_healthy
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
from services.steps.media_nodes import pool_cooldown
from services.steps.pool import keep_one, may_be_removed

# DigitalOcean's limit for a pool.
LARGEST_POOL = 1000
EXTRA = "the added media nodes"
# Where others than the newest members were seen to be removed.
REORDERED = ("oldest", "other")


def _check_droplet_limit(cluster: Cluster, more: int, why: str) -> None:
    """Refuse what would exceed the account's droplet limit, with the numbers."""
    limit, now = cluster.droplet_limit, cluster.droplets_in_account
    if limit is not None and now is not None and now + more > limit:
        raise Refused(
            f"{why} would make {now + more} droplets. The account has {now} now, and its limit is "
            f"{limit}. Ask DigitalOcean to raise it, or delete some first"
        )


def _not_in_service(nodes: tuple[MediaNode, ...]) -> tuple[int, ...]:
    """Return the nodes that need a restart of OpenVidu to be in service."""
    return tuple(n.id for n in nodes if n.restartable or n.draining or n.busy_with)


class PoolFleet(Fleet):
    """The pool's target number is the number of media nodes."""

    name = "an autoscale pool"
    fewer = "Change their number with [[command scale]]"

    @property
    def pool(self) -> Pool:
        """The pool, which every cluster of this kind has."""
        assert self.cluster.pool is not None, "a cluster without a pool is of another kind"
        return self.cluster.pool

    # What was seen of the account

    def shutdown_notes(self) -> tuple[str, ...]:
        zero = {
            "accepted": "This account accepts a pool of 0 nodes",
            "refused": "This account refuses a pool of 0 nodes",
            "ignored": "This account accepts 0 for a pool, and keeps its nodes",
        }
        return tuple(filter(None, (self._seen(zero, "zero"), self._cooldown_note())))

    def _seen(self, texts: Mapping[str, str], name: str) -> str:
        """Return the text of a fact's answer, with where it comes from; "" if it is not known."""
        account = self.cluster.account
        text = texts.get(account.answer(name), "")
        return text and with_source(text, account, name, self.cluster.seen_at)

    @property
    def _cooldown(self) -> str:
        return f"{pool_cooldown(self.cluster) / 60:.0f} min"

    def _cooldown_note(self) -> str:
        account, seconds = self.cluster.account, self.cluster.account.seconds("cooldown")
        if not seconds:
            return ""
        text = f"A pool is changed no sooner than {seconds:.0f} s after its last change"
        return with_source(text, account, "cooldown", self.cluster.seen_at)

    def _removal_notes(self) -> tuple[str, ...]:
        """Return which nodes are removed when the number is lowered."""
        seen = self._seen(
            {
                "newest": "DigitalOcean removes the newest nodes; the run verifies and reports it",
                "oldest": "DigitalOcean removes the oldest nodes here. The newest are drained too, "
                "in case it does not; those that stay return to service",
            },
            "removal",
        )
        if seen:
            return (seen,)
        return (
            "DigitalOcean chooses which nodes are removed (documented: the newest); the run "
            "verifies and reports which were",
        )

    def _check_removal(self, number: int) -> None:
        """Refuse to drain some nodes where others may be removed, with people on them."""
        going = may_be_removed(self.cluster, number)
        order = self.cluster.account.answer("removal")
        if order in ("", "newest") or not going:
            return
        staying = len(self.cluster.members) - len(going)
        if order == "oldest" and staying >= min(self.cluster.min_serving, number):
            return
        fact = self.cluster.account.get("removal")
        source = f" ({seen_text(fact, self.cluster.seen_at)})" if fact else ""
        raise Refused(
            f"DigitalOcean may remove any of {count_of(len(going), 'media node')} here{source}, so "
            f"all of them would have to be drained first. Use [[command shutdown]], or "
            f"[[command scale {number} --no-drain]] if people may be disconnected"
        )

    # Shutdown and start-up

    def startup_notes(self) -> tuple[str, ...]:
        return tuple(filter(None, (self._cooldown_note(),)))

    def shutdown_steps(
        self,
        *,
        drain: bool = True,
        alone: bool = False,
        limit: float | None = None,
        gives_up: float = 0.0,
    ) -> Iterator[Step]:
        was, harsh = self.pool.target, not drain
        restore = self.next_startup_number
        if drain:
            yield self._drain_all(limit, gives_up)
        if self.allowed_to_stay:
            yield from keep_one(self.cluster, (), was, harsh=harsh, keeps=restore)
            return
        yield PoolTarget(0, remember=True, was=was, harsh=harsh, alone=alone, keeps=restore)
        yield MediaGone()

    def _drain_all(self, limit: float | None, gives_up: float) -> Drain:
        # If 0 is refused, the oldest node stays: it must not have a signal to delete itself. One
        # that is not seen now may be the oldest: a plan must not depend on one SSH timeout.
        oldest = tuple(
            n.id for n in self.cluster.members[:1] if isinstance(n.look, Unobserved) or n.look.start
        )
        drain = Drain(
            number=len(self.cluster.media),
            limit=limit,
            gives_up=gives_up,
            stay=self.allowed_to_stay[:1] or oldest,
        )
        if not gives_up:
            return drain
        floor, back = self.shutdown_floor(gives_up), self._restore_capacity()
        return replace(drain, floor=floor, ends=True, back=back)

    def _restore_capacity(self) -> tuple[Step, ...]:
        """Return the steps when a closing is given up.

        Nodes are added at once for those still draining, and removed when these serve again.
        """
        members, number = self.cluster.members, self.pool.target
        ids = tuple(n.id for n in members)
        if not number or len(ids) != number or self.cluster.account.answer("removal") in REORDERED:
            return ()  # where the nodes in use would be removed again, none is added
        doubled = number + len(ids)
        longest = 4 * self.cluster.timings.drain_deadline
        return (
            PoolTarget(doubled, was=number, instead_of=ids),
            Revive(ids, enough=number),
            Revive(ids, who="the drained media nodes", enough=doubled),
            Drain(beyond=number, who=EXTRA, limit=longest),
            PoolTarget(number, was=doubled),
            Shrunk(number, (), stay=tuple((n.id, n.name) for n in members), who=EXTRA),
        )

    @property
    def allowed_to_stay(self) -> tuple[int, ...]:
        # They stay, drained, where DigitalOcean refuses 0 and the cluster's policy keeps one.
        if self.cluster.zero_refused and self.cluster.zero_policy == "keep_one":
            return tuple(n.id for n in self.cluster.members)
        return ()

    @property
    def next_startup_number(self) -> int:
        """How many media nodes the next start-up brings back after a shutdown from here."""
        target, members = self.pool.target, self.cluster.members
        if target and not (members and all(n.parked for n in members)):
            return target
        # None can serve: an earlier shutdown came this far, and recorded how many there were.
        return max(self.cluster.nodes_before_shutdown or 0, target)

    def startup_steps(self, number: int) -> Iterator[Step]:
        yield PoolTarget(number, was=self.pool.target)
        drained = _not_in_service(self.cluster.members[:number])
        if drained:
            yield Revive(drained)
        yield MediaServing(number)

    @property
    def number_to_restore(self) -> int:
        target = self.pool.target
        if self.cluster.is_up or target > 1 or (target and not self.cluster.zero_refused):
            return target
        return self.cluster.nodes_before_shutdown or target

    def startup_number(self, requested: int | None) -> int | None:
        if requested is not None:
            return requested
        target = self.pool.target
        if self.cluster.nodes_before_shutdown is not None:
            # The pool may have been grown by hand since: a start-up removes nothing.
            return max(self.cluster.nodes_before_shutdown, target)
        if target > 0 and not self.cluster.is_down:
            return target
        return None

    def check_startup(self, requested: int | None) -> None:
        number = self.startup_number(requested)
        if number is None:
            raise Refused(
                "how many media nodes? No number is recorded from an earlier shutdown. "
                "Run [[command startup N]]"
            )
        if number < 1:
            raise Refused(
                "a start-up needs at least 1 media node. To run the masters alone, use "
                "[[command shutdown --media-only]]"
            )
        self._check_pool_limit(number)
        members = self.cluster.members
        if number < len(members) and any(not n.drained for n in members):
            raise Refused(
                f"{self.cluster.name} has {count_of(len(members), 'media node')}, and a start-up "
                f"removes none. Omit the number, or use {len(members)}"
            )
        self._check_startup_limit(number)

    def _check_pool_limit(self, number: int) -> None:
        if number > LARGEST_POOL:
            raise Refused(f"a DigitalOcean pool has at most {LARGEST_POOL} droplets, not {number}")

    def _check_startup_limit(self, number: int) -> None:
        limit, in_account = self.cluster.droplet_limit, self.cluster.droplets_in_account
        members = len(self.cluster.members)
        if limit is None or in_account is None or number <= members:
            return
        total = in_account - members + number
        if total > limit:
            raise Refused(
                f"{number} media nodes would make {total} droplets; the account's limit is {limit}"
            )

    def startup_follow_up(self, requested: int | None) -> tuple[str, ...]:
        if requested is None or requested == self.cluster.nodes_before_shutdown:
            return ()
        return (terraform_hints.number(requested),)

    def shutdown_next_step(self) -> str:
        if not self.next_startup_number:
            return ""
        nodes = count_of(self.next_startup_number, "media node")
        return f"[[command startup]] starts it again ({nodes}, as before)"

    # Number and size

    def scale(self, number: int, *, harsh: bool) -> FleetChange:
        cluster, target, members = self.cluster, self.pool.target, len(self.cluster.members)
        nodes = count_of(number, "media node")
        self._check_pool_limit(number)
        if cluster.is_down:
            raise Refused(
                f"{cluster.name} is shut down. Start it with {nodes}: [[command startup {number}]]"
            )
        if number < members and not harsh:
            self.check_min_serving(number)
            self._check_removal(number)
        if number > max(target, members):
            _check_droplet_limit(cluster, number - members, nodes)
        if number > target:
            check_masters_healthy(cluster)
        notes: tuple[str, ...] = ()
        if members > number:
            notes = self._removal_notes()
        if number != target and self._cooldown_note():
            notes += (self._cooldown_note(),)
        follow_up: tuple[str, ...] = ()
        if number != target:
            follow_up = (terraform_hints.number(number),)
        return FleetChange(tuple(self._scale_steps(number, harsh=harsh)), notes, follow_up)

    def _scale_steps(self, number: int, *, harsh: bool) -> Iterator[Step]:
        members = self.cluster.members
        # Documented: the pool removes the most recently created members first.
        leaving = members[number:] if harsh else may_be_removed(self.cluster, number)
        staying = tuple(n for n in members if n not in leaving)
        drained = _not_in_service(staying)
        if drained:
            yield Revive(drained)
        if leaving:
            yield from self._scale_down(number, staying, leaving, harsh=harsh)
        else:
            yield PoolTarget(number, was=self.pool.target)
        yield MediaServing(number)

    def _scale_down(
        self,
        number: int,
        staying: tuple[MediaNode, ...],
        leaving: tuple[MediaNode, ...],
        *,
        harsh: bool,
    ) -> Iterator[Step]:
        ids, who = tuple(n.id for n in leaving), self.few_names(leaving)
        deleted = who if len(leaving) + number == len(self.cluster.members) else ""
        if not harsh:
            floor = min(self.cluster.min_serving, number)
            yield Drain(ids, number=len(ids), who=who, floor=floor)
        yield PoolTarget(number, was=self.pool.target, harsh=harsh)
        yield Shrunk(number, ids, stay=tuple((n.id, n.name) for n in staying), who=deleted)

    def resize(self, size: str, *, harsh: bool) -> FleetChange:
        cluster = self.cluster
        if self.pool.size != size:
            sizes.check_sold(cluster, size)
            if cluster.members:
                check_masters_healthy(cluster)
                number = len(cluster.members)
                _check_droplet_limit(
                    cluster,
                    number,
                    f"DigitalOcean doubles the pool for about {self._cooldown} to replace it: "
                    f"{number} more nodes",
                )
        return FleetChange(
            tuple(self._resize_steps(size, harsh=harsh)),
            self._resize_notes(size),
            (terraform_hints.media_size(size),),
        )

    def _resize_steps(self, size: str, *, harsh: bool) -> Iterator[Step]:
        pool, cluster = self.pool, self.cluster
        changes = pool.size != size
        old = tuple(
            n
            for n in cluster.media
            if n.member_status is not None and (changes or n.droplet.size != size)
        )
        if changes:
            if not harsh:
                # Drained by the bot and kept: the vendor's script would delete them, and the pool
                # would add nodes of the old size, in service until it removes them ten minutes
                # after the edit. Nodes in service at the edit are removed ten minutes later, so the
                # last ones serve until they are empty.
                yield Drain(
                    number=len(cluster.media),
                    pool_follows=False,
                    floor=cluster.min_serving,
                    ends=True,
                )
            yield TemplateSize(size, was=pool.size, harsh=harsh)
        if old or (changes and pool.target):
            yield MediaServing(pool.target, size=size)
            yield OldGone(size, tuple(n.id for n in old))

    def _resize_notes(self, slug: str) -> tuple[str, ...]:
        number, size = len(self.cluster.members), self.cluster.size(slug)
        if not number or size is None:
            return ()
        cost = "its price is unknown"
        if size.hourly is not None:
            seconds = int(pool_cooldown(self.cluster))
            cost = f"about ${size.hourly * number * seconds / 3600:.2f}, once"
        return (
            f"DigitalOcean doubles the pool to {2 * number} nodes for about {self._cooldown}, "
            f"then removes the old ones: {cost}",
        )

    def recover_resize(self, step: Step) -> Iterator[Step]:
        # DigitalOcean did not accept the size: what was drained for it serves again.
        members = self.cluster.members
        drained = _not_in_service(members)
        if isinstance(step, TemplateSize) and not step.is_done(self.cluster) and drained:
            yield Revive(drained)
            yield MediaServing(len(members))

    def check_upgrade(self) -> None:
        refused = self.cluster.account.answer("zero") in ("refused", "ignored")
        if self.cluster.zero_refused or refused:
            raise Refused(
                "DigitalOcean does not accept a pool of 0 here, so one media node would stay with "
                "the old version. Upgrade by a new deployment, as OpenVidu recommends"
            )

    # Single nodes

    def drain(self, selected: tuple[MediaNode, ...], target: str) -> FleetChange:
        leaving = [n for n in selected if n.member_status == "deleting"]
        if leaving:
            raise Refused(
                f"DigitalOcean is already removing {self.names(leaving)}. "
                "[[command status]] shows what stays"
            )
        them, back = "it", f"[[command restart {target}]]"
        if target.lower() == "all":
            them, back = "them", "[[command startup]]"
        step = Drain(
            tuple(n.id for n in selected),
            number=len(selected),
            pool_follows=False,
            alone=True,
            who=self.few_names(selected),
            floor=self.drain_floor(selected),
        )
        note = (
            "Nothing is removed, so nothing is saved: drained nodes stay and are billed. "
            f"They return to service with {back}"
        )
        return FleetChange((step,), (note,), next_step=f"Return {them} to service with {back}")
