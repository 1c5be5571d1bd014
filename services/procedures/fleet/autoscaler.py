"""A function that adds and drains media nodes every four minutes. The bot pauses and resumes it, and sends its nodes away by their tag."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from services.billing.prices import per_hour, summed
from services.cluster.model import Autoscaler, Cluster, MediaNode, NodeLook
from services.common.errors import Refused
from services.common.observed import NotSeen
from services.common.text import count, duration, listed
from services.procedures.fleet.base import PLAN_FIRST, Alarm, Fleet, Way, masters_must_serve
from services.steps import Arrived, Autoscaling, Deleted, FleetGone, Left, RunsOver, Step, Uncounted
from services.steps.autoscaler import paused_words

LONG = 86400.0  # a pause that lasts longer is told, once a day
YOUNG = 1800.0  # a node that does not serve after this long never will
AN_APPLY = "That apply replaces the function only, and starts it: a pause is over then, and running nodes stay as they are."
LIMITS = "`minNumberOfMediaNodes` and `maxNumberOfMediaNodes`"


class AutoscalerFleet(Fleet):
    """Nodes that come and go by themselves."""

    name = "an autoscaler"
    fewer = "[[command drain 1]] lets one finish and go, and [[command freeze]] keeps others from coming"

    @property
    def scaler(self) -> Autoscaler:
        assert self.cluster.autoscaler is not None, "it is what makes the kind"
        return self.cluster.autoscaler

    @property
    def floor(self) -> int:
        """How many it keeps at least, as far as anybody has said: it does not tell itself."""
        return max(1, self.cluster.declared or 1)

    @property
    def staying(self) -> tuple[MediaNode, ...]:
        return tuple(n for n in self.cluster.media if n.member_status == "active")

    # The way down and up

    def let_go(
        self,
        *,
        drain: bool = True,
        alone: bool = False,  # noqa: ARG002
        limit: float | None = None,
        gives_up: float = 0.0,
    ) -> Iterator[Step]:
        # Paused first: it would replace the nodes as fast as they leave.
        yield Autoscaling(on=False)
        yield RunsOver()
        floor = self.until_final(gives_up)
        yield (
            Left(limit=limit, gives_up=gives_up, floor=floor, ends=bool(gives_up))
            if drain
            else Deleted()
        )
        yield FleetGone(harsh=not drain)

    def bring_back(self, number: int) -> Iterator[Step]:
        yield self._resumed(number)
        if any(n.member_status == "deleting" and n.counted for n in self.cluster.media):
            yield Uncounted()
        yield Arrived(number)

    def _resumed(self, number: int) -> Autoscaling:
        """What people have paused, in the console or by a freeze, is theirs to resume."""
        return Autoscaling(
            on=True, asks=not self.scaler.enabled and not self.scaler.ours, number=number
        )

    @property
    def before(self) -> int:
        if self.cluster.up and not self.cluster.media and not self.scaler.enabled:
            return 0  # closed by itself, and to be left so
        return self.floor

    def check_round(self) -> None:
        if not self.scaler.enabled and not self.scaler.ours:
            raise Refused(
                f"{paused_words(self.cluster)} Nothing would bring media nodes back afterwards: [[command unfreeze]] first, "
                "or do it one master at a time where that is possible"
            )

    def startup_number(self, said: int | None) -> int | None:
        return self.floor if said is None else said

    @property
    def most(self) -> int | None:
        return 0

    def check_startup(self, said: int | None) -> None:
        if said is not None:
            raise Refused(
                f"{by_terraform(self.cluster, said)} Say [[command startup]] without a number"
            )
        if not self.scaler.trigger:
            raise Refused(paused_words(self.cluster))

    def check_opening(self, number: int) -> None:
        raise Refused(f"{by_terraform(self.cluster, number)} Leave `--number` out")

    def down_notes(self) -> tuple[str, ...]:
        return (
            "The autoscaler is paused, not removed: starting again needs no `terraform apply`. OpenVidu's own page has it destroyed by "
            "`terraform destroy -target` instead",
            "Nodes are told to leave by a tag and delete themselves, so the number of now does not come back: the autoscaler starts "
            "again with its minimum and adds by load",
        )

    def up_notes(self) -> tuple[str, ...]:
        return (
            "The autoscaler starts with its minimum, one node in 4 min or all at once, and adds by load; the last number is not kept",
        )

    def down_next(self) -> str:
        return "start again with [[command startup]]; the autoscaler then brings its minimum back, and is paused until then"

    def unmoved(self, steps: Iterable[Step]) -> Iterator[Step]:
        # A node that comes up in the middle would install itself with what is not known to work yet.
        if not self.scaler.enabled:
            yield from steps
            return
        yield Autoscaling(on=False)
        yield RunsOver()
        yield from steps
        yield Autoscaling(on=True)

    def moved(self) -> Iterator[Step]:
        if self.scaler.ours:
            yield Autoscaling(on=True)

    # Numbers and sizes

    def scale(self, number: int, *, harsh: bool) -> Way:  # noqa: ARG002
        fewer = len(self.staying) - number
        instead = (
            f"[[command drain {fewer}]] lets {count(fewer, 'node')} finish and go, and "
            if fewer > 0
            else ""
        )
        raise Refused(
            f"{by_terraform(self.cluster, number)} Here, {instead}[[command freeze]] keeps the number from changing"
        )

    def resize(self, size: str, *, harsh: bool) -> Way:  # noqa: ARG002
        if all(n.droplet.size == size for n in self.staying) and self.staying:
            return Way()
        raise Refused(
            f'the autoscaler makes nodes of the size that Terraform wrote into it: `mediaNodeInstanceType = "{size}"`, and {PLAN_FIRST}. '
            f"{AN_APPLY} Then [[command roll {size}]] replaces the nodes of the old size, one after the other"
        )

    def roll(self, size: str) -> Way:
        cluster = self.cluster
        if not self.scaler.enabled:
            raise Refused(
                f"{paused_words(cluster)} Nothing would come in the place of the old nodes: [[command unfreeze]] first"
            )
        old = tuple(n for n in self.staying if n.droplet.size != size)
        if not old:
            return Way()
        masters_must_serve(cluster)
        serving = len(
            [n for n in self.staying if n.serving or not n.seen]
        )  # what no one sees may serve, and is waited for
        steps: list[Step] = []
        for gone, node in enumerate(old):
            others = max(serving - gone, min(serving, self.floor)) - 1
            steps.append(
                Left(
                    (node.id,),
                    uncount=True,
                    who=self.short((node,)),
                    floor=max(0, min(cluster.min_serving, others)),
                )
            )
            # Another comes only where fewer than its minimum are left: what was there beyond it was for a load that may be over.
            if serving:
                steps.append(Arrived(min(serving, self.floor)))
        notes = (
            f"A new node is of the size that Terraform wrote into the autoscaler, whatever is said here: if that is not {size}, apply "
            f'`mediaNodeInstanceType = "{size}"` first',
            "[[strong One after the other]]: each finishes its meetings and deletes itself; "
            "another comes while there are fewer than the minimum",
        )
        return Way(tuple(steps), notes)

    # Single nodes

    def pick(self, said: str) -> tuple[MediaNode, ...]:
        """A number means that many, those first on which fewest meet."""
        if not re.fullmatch(r"\d{1,3}", said):
            return super().pick(said)
        number, there = int(said), sorted(self.staying, key=_busy)
        if not 1 <= number <= len(there):
            raise Refused(
                f"{self.cluster.name} has {count(len(there), 'media node')}; {number} is not among 1 to {len(there)}"
            )
        stay = len(there) - number
        if (
            self.cluster.declared is not None
            and stay < self.cluster.declared
            and self.scaler.enabled
        ):
            raise Refused(
                f"{count(stay, 'node')} would stay and the autoscaler keeps {self.cluster.declared}: it would bring others at once. "
                f"[[command freeze]] first; for good, {LIMITS} ({PLAN_FIRST})"
            )
        self.must_leave(stay)
        return tuple(there[:number])

    def drain(self, chosen: tuple[MediaNode, ...], said: str) -> Way:
        cluster = self.cluster
        going = [n for n in chosen if n.member_status == "deleting"]
        if going:
            raise Refused(
                f"{self.short(going)} {'is' if len(going) == 1 else 'are'} on the way out already"
            )
        if said.lower() == "all" and self.scaler.enabled:
            raise Refused(
                "the autoscaler would bring new nodes as fast as these leave: [[command shutdown --media-only]] pauses it, lets all of "
                "them finish and leaves the masters on"
            )
        mine = tuple(n for n in chosen if n.member_status is not None)
        if not mine:
            raise Refused(
                f"{self.short(chosen)} was not made by the autoscaler of {cluster.name}: no tag sends it away"
            )
        by_itself = "another comes when fewer than its minimum are left, or by load"
        comes = by_itself if self.scaler.enabled else "no other comes while it is paused"
        notes = (
            f"They finish, delete themselves and are billed no more; {comes}",
            *self._open_to_the_world(),
        )
        uncount = self.scaler.enabled
        floor, who = self.floor_without(mine), self.who(mine)
        step = Left(
            tuple(n.id for n in mine), number=len(mine), uncount=uncount, who=who, floor=floor
        )
        return Way((step,), notes)

    def _open_to_the_world(self) -> tuple[str, ...]:
        if not self.scaler.enabled:
            return ()
        return (
            "A node that the autoscaler is not to count loses its media tag, and with it its cloud firewalls, until it is gone",
        )

    def check_restart(self, node: MediaNode, said: str) -> None:  # noqa: ARG002
        raise Refused(
            f"{said} was made by the autoscaler: restarted it would read as idle and be sent away in the middle of its meetings. "
            f"[[command drain {said}]] lets it finish and go, and another comes"
        )

    # Holding it still

    def freeze(self) -> Way:
        if not self.scaler.trigger:
            raise Refused(f"{paused_words(self.cluster)} Nothing scales until then")
        notes = (
            "[[strong Nothing is added, drained or replaced]] while it is frozen: not by load, and not when a node dies",
            "A node that was told to leave already leaves all the same; an apply that changes the autoscaler's numbers ends the freeze",
        )
        return Way(
            (Autoscaling(on=False, frozen=True), RunsOver()),
            notes,
            next="[[command unfreeze]] ends it",
        )

    def unfreeze(self) -> Way:
        if not self.scaler.trigger:
            raise Refused(paused_words(self.cluster))
        if not self.cluster.up:
            raise Refused(
                f"not every master of {self.cluster.name} is on, and new nodes would wait for them: [[command startup]]"
            )
        words = paused_words(self.cluster)
        return Way((Autoscaling(on=True),), (words.rstrip("."),) if words else ())

    # What is told

    def words(self) -> str:
        state = "on" if self.scaler.enabled else paused_words(self.cluster).rstrip(".")
        at_least = (
            f", at least {self.cluster.declared} by the settings" if self.cluster.declared else ""
        )
        return f"autoscaler {state}{at_least}; {count(len(self.cluster.media), 'droplet')}."

    def means(self) -> str:
        return "it adds and drains nodes by load; the bot can freeze it and send nodes away, numbers and sizes are Terraform's"

    def warnings(self) -> tuple[str, ...]:
        return tuple(
            filter(None, (self._orphans(), self._zombies(), self._duds(), self._forgotten()))
        )

    def alarms(self) -> tuple[Alarm, ...]:
        if self.cluster.down:
            return tuple(filter(None, (self._appeared(), self._on_while_down())))
        return tuple(filter(None, (self._paused_for_long(),)))

    def _appeared(self) -> Alarm | None:
        there = self.cluster.media
        if not there:
            return None
        ages = listed(
            f"{self.short((n,))}, {duration(max(0.0, self.cluster.seen_at - _born(n)))} old"
            for n in there
        )
        price = per_hour(summed(n.droplet.hourly for n in there))
        verb = "is" if len(there) == 1 else "are"
        nodes = f"{count(len(there), 'media node')} of {self.cluster.name}"
        head = f"[[strong {nodes} {verb} there while it is down]]"
        ways = "[[command startup]], or [[command shutdown]] again to let it finish and go"
        return Alarm(
            f"lookout/there/{max(n.id for n in there)}",
            f"{head} · {ages} · {price}, and nobody can meet there · {ways}",
        )

    def _on_while_down(self) -> Alarm | None:
        if not self.scaler.enabled:
            return None
        head = f"[[strong The autoscaler of {self.cluster.name} is on while its masters are off]]"
        text = f"{head} · somebody resumed it, or an apply did; it brings media nodes that serve nobody · [[command freeze]] pauses it"
        return Alarm(f"lookout/on/{self.scaler.namespace}/{self._day}", text)

    def _paused_for_long(self) -> Alarm | None:
        since = self.scaler.paused_at or self.scaler.last_run
        if self.scaler.enabled or self.cluster.seen_at - since < LONG:
            return None
        head = f"[[strong {paused_words(self.cluster).rstrip('.')}]]"
        text = f"{head} · no node is added and none that dies is replaced · [[command unfreeze]] resumes it"
        return Alarm(f"lookout/paused/{self.scaler.namespace}/{self._day}", text)

    @property
    def _day(self) -> int:
        return int(self.cluster.seen_at // 86400)

    def _orphans(self) -> str:
        found = [n for n in self.cluster.media if not n.counted and n.member_status == "active"]
        said = "has neither the media tag nor the draining tag: it is counted by nobody, and outside its firewalls"
        return (
            f"{self.short(found)} {said}; [[command drain {self.short(found[:1])}]] sends it away"
            if found
            else ""
        )

    def _zombies(self) -> str:
        found = [n for n in self.cluster.media if n.member_status == "deleting" and n.restartable]
        return (
            f"{self.short(found)} has finished and is still there; if it stays, it cannot delete itself"
            if found
            else ""
        )

    def _duds(self) -> str:
        now = self.cluster.seen_at
        blank = [
            n
            for n in self.staying
            if n.droplet.active and isinstance(n.look, NodeLook) and not n.look.start
        ]
        found = [n for n in blank if now - _born(n) > YOUNG]
        return (
            f"{self.short(found)} never came up, and counts as capacity: [[command status {self.short(found[:1])}]]"
            if found
            else ""
        )

    def _forgotten(self) -> str:
        if self.scaler.enabled or not self.cluster.up:
            return ""
        return f"{paused_words(self.cluster)} A node that dies is not replaced; [[command unfreeze]] resumes it"


def by_terraform(cluster: Cluster, number: int) -> str:
    """Whose the number is, by which variables, and what else that apply does."""
    return (
        f"how many media nodes {cluster.name} has is its autoscaler's to say: {LIMITS} bound it (both {number} for exactly {number}, with "
        f"dead nodes replaced); {PLAN_FIRST}. {AN_APPLY}"
    )


def _busy(node: MediaNode) -> tuple[int, int, str]:
    look = node.look
    if node.drained:
        return 0, 0, node.droplet.created_at
    if isinstance(look, NotSeen) or not (
        isinstance(look.rooms, int)
        and isinstance(look.people, int)
        and isinstance(look.recordings, int)
    ):
        return 10**6, 0, node.droplet.created_at
    return look.rooms + look.recordings, look.people, node.droplet.created_at


def _born(node: MediaNode) -> float:
    try:
        return datetime.fromisoformat(node.droplet.created_at).timestamp()
    except ValueError:
        return float("inf")
