"""Media droplets that Terraform made one by one. Only an apply adds or removes one; the bot drains, parks, resizes and starts them."""

import re
from collections.abc import Iterator

from services.cluster.model import MediaNode
from services.common.errors import Refused
from services.common.text import count
from services.procedures import sizes
from services.procedures import terraform_hints as reminders
from services.procedures.fleet.base import PLAN_FIRST, Fleet, Way, masters_must_serve
from services.steps import Drain, NodeSize, NodesOff, NodesOn, NodesServe, Revive, Step

NOTHING = "Saves nothing: DigitalOcean bills a droplet in full while it is off, and these stay"


class FixedFleet(Fleet):
    """Numbered droplets that stay."""

    name = "fixed media nodes"
    fewer = "[[command park]] switches some off"
    saves = False
    installs = False

    @property
    def nodes(self) -> tuple[MediaNode, ...]:
        """Those that Terraform numbered, lowest first."""
        return tuple(
            sorted((n for n in self.cluster.media if n.member_status is not None), key=_number)
        )

    @property
    def on(self) -> tuple[MediaNode, ...]:
        return tuple(n for n in self.nodes if not n.droplet.off)

    # The way down and up

    def let_go(
        self,
        *,
        drain: bool = True,
        alone: bool = False,  # noqa: ARG002
        limit: float | None = None,
        gives_up: float = 0.0,
    ) -> Iterator[Step]:
        on = tuple(n for n in self.cluster.media if not n.droplet.off)
        ids = tuple(n.id for n in on)
        if drain and on:
            yield Drain(
                number=len(on),
                limit=limit,
                gives_up=gives_up,
                floor=self.until_final(gives_up),
                ends=bool(gives_up),
            )
        yield NodesOff(ids, remember=True, harsh=not drain, who=self.who(on), keep_ids=self.keeps)

    @property
    def keeps(self) -> tuple[int, ...]:
        """Which of them the next start-up starts after a shutdown from here."""
        on = tuple(n.id for n in self.on)
        if not all(n.parked for n in self.on):
            return on
        # None of them could serve: an earlier shutdown came as far as that, and knew which had been on.
        return tuple(n.id for n in self.nodes if n.id in (*on, *self.cluster.remembered_ids))

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(n.id for n in self.cluster.media)

    def bring_back(self, number: int) -> Iterator[Step]:
        yield from self._start(self._chosen(number))

    def _start(self, chosen: tuple[MediaNode, ...]) -> Iterator[Step]:
        ids, said = tuple(n.id for n in chosen), self.who(chosen)
        if any(not n.droplet.active for n in chosen):
            yield NodesOn(ids, who=said)
        resting = tuple(
            n.id for n in chosen if n.droplet.active and (n.restartable or n.draining or n.held)
        )
        if resting:
            yield Revive(resting)
        yield NodesServe(ids, who=said)

    def _chosen(self, number: int) -> tuple[MediaNode, ...]:
        """Which of them: those that are on, then those that were on before the shutdown, then the lowest numbers."""
        before = self.cluster.remembered_ids
        wanted = sorted(
            self.nodes,
            key=lambda n: (n.droplet.off, bool(before) and n.id not in before, _number(n)),
        )
        return tuple(sorted(wanted[:number], key=_number))

    @property
    def before(self) -> int:
        if self.cluster.up:
            return len(self.on)
        return len(self.on) or self.startup_number(None) or 0

    def startup_number(self, said: int | None) -> int | None:
        if said is not None:
            return said
        known = [n for n in self.nodes if n.id in self.cluster.remembered_ids]
        if self.cluster.down or not self.on:
            return len(known) or len(self.nodes) or None
        return len(self.on)

    @property
    def most(self) -> int | None:
        return len(self.nodes)

    def check_startup(self, said: int | None) -> None:
        have = len(self.nodes)
        number = self.startup_number(said)
        if number is None or not 1 <= number <= have:
            raise Refused(
                f"{self.cluster.name} has {count(have, 'fixed media node')}, so a start-up starts 1 to {have}; more come only by an apply. "
                f"{more(self.cluster.name, number or have)}"
            )
        if number < len(self.on) and any(not n.drained for n in self.on):
            raise Refused(
                f"{count(len(self.on), 'media node')} of {self.cluster.name} are on and a start-up stops none; to: {self.fewer}"
            )

    def check_opening(self, number: int) -> None:
        if number > len(self.nodes):
            raise Refused(more(self.cluster.name, number))

    def down_notes(self) -> tuple[str, ...]:
        return (NOTHING,)

    def down_next(self) -> str:
        again = f" ({count(len(self.keeps), 'media node')}, as before)" if self.keeps else ""
        return f"start again with [[command startup]]{again}; nothing was saved meanwhile, droplets that are off are billed in full"

    # Numbers and sizes

    def scale(self, number: int, *, harsh: bool) -> Way:  # noqa: ARG002
        parking = len(self.on) - number
        instead = (
            f"to run fewer for now: [[command park {parking}]]"
            if parking > 0
            else "to run fewer for now: [[command park]]"
        )
        off = len(self.nodes) - len(self.on)
        if number > len(self.on) and off:
            instead = f"{count(off, 'node')} {'is' if off == 1 else 'are'} switched off: [[command unpark]]"
        raise Refused(f"{more(self.cluster.name, number)} Here, {instead} (saves nothing)")

    def resize(self, size: str, *, harsh: bool) -> Way:
        cluster = self.cluster
        wrong = tuple(n for n in self.nodes if n.droplet.size != size)
        if not wrong:
            return Way()
        sizes.must_be_sold(cluster, size)
        sizes.must_fit(cluster, tuple(n.droplet for n in wrong), size)
        if any(n in self.on for n in wrong):
            masters_must_serve(cluster)
        notes = (
            "[[strong One media node at a time]]: the others serve meanwhile. Its disk stays as it is, so that the size can be taken back",
            "[[strong Nothing is added or removed]]: the droplets keep their names, addresses and numbers",
        )
        return Way(
            tuple(self._resizing(wrong, size, harsh=harsh)), notes, (reminders.fixed_size(size),)
        )

    def _resizing(self, wrong: tuple[MediaNode, ...], size: str, *, harsh: bool) -> Iterator[Step]:
        for node in wrong:
            ids, name = (node.id,), self.short((node,))
            on = not node.droplet.off
            if on:
                if not harsh:
                    yield Drain(ids, number=1, who=name, floor=self.floor_without((node,)))
                yield NodesOff(ids, harsh=harsh, who=name)
            yield NodeSize(node.id, size, who=name)
            if on:
                yield NodesOn(ids, who=name)
                yield NodesServe(ids, who=name)

    def resize_back(self, step: Step) -> Iterator[Step]:
        if isinstance(step, NodeSize):
            ids = (step.id,)
            yield NodesOn(ids, who=step.who)
            yield NodesServe(ids, who=step.who)

    # Single nodes

    def pick(self, said: str) -> tuple[MediaNode, ...]:
        """A number means that many, highest numbers first."""
        if re.fullmatch(r"\d{1,3}", said):
            serving = [n for n in self.on if not n.drained]
            return _so_many(tuple(reversed(serving)), int(said), self.cluster.name)
        if said.lower() == "all":
            return self.on
        return super().pick(said)

    def drain(self, chosen: tuple[MediaNode, ...], said: str) -> Way:
        off = [n for n in chosen if n.droplet.off]
        if off:
            raise Refused(
                f"{self.short(off)} {'is' if len(off) == 1 else 'are'} off: nobody meets there"
            )
        back = (
            "[[command startup]]"
            if len(chosen) > 1
            else f"[[command restart {self.short(chosen)}]]"
        )
        if re.fullmatch(r"\d{1,3}", said):
            self.must_leave(len(self.on) - len(chosen))
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
        return Way(
            (step,), (note,), next=f"bring {'them' if len(chosen) > 1 else 'it'} back with {back}"
        )

    def check_restart(self, node: MediaNode, said: str) -> None:
        if node.droplet.off:
            raise Refused(f"{said} is switched off: [[command unpark {said}]] starts it")

    def park(self, said: str, *, harsh: bool) -> Way:
        chosen = tuple(n for n in self._picked(said) if not n.droplet.off)
        if self.cluster.down:
            raise Refused(f"{self.cluster.name} is down, and its media nodes with it")
        left = [n for n in self.on if n not in chosen and n.serving]
        if chosen and not left:
            raise Refused(
                f"that would leave no media node that is seen to serve; [[command shutdown]] closes {self.cluster.name}"
            )
        if not chosen:
            return Way()
        self.must_leave(len(left))
        ids, who = tuple(n.id for n in chosen), self.who(chosen)
        drain = (
            ()
            if harsh
            else (Drain(ids, number=len(ids), who=who, floor=self.floor_without(chosen)),)
        )
        back = f"[[command unpark {self.short(chosen) if len(chosen) == 1 else len(chosen)}]]"
        note = f"{NOTHING}. They stay parked through shutdowns and start-ups, until {back}"
        following = f"bring {'it' if len(ids) == 1 else 'them'} back with {back}"
        return Way((*drain, NodesOff(ids, harsh=harsh, who=who)), (note,), next=following)

    def _picked(self, said: str) -> tuple[MediaNode, ...]:
        if re.fullmatch(r"\d{1,3}", said):
            return _so_many(tuple(reversed(self.on)), int(said), self.cluster.name)
        return Fleet.pick(self, said)

    def unpark(self, said: str) -> Way:
        if self.cluster.down:
            raise Refused(
                f"{self.cluster.name} is down; [[command startup {len(self.nodes)}]] starts all of it"
            )
        off = tuple(n for n in self.nodes if n.droplet.off)
        if re.fullmatch(r"\d{1,3}", said):
            off = _so_many(off, int(said), self.cluster.name)
        elif said.lower() != "all":
            off = tuple(n for n in super().pick(said) if n.droplet.off)
        if not off:
            return Way()
        masters_must_serve(self.cluster)
        return Way(tuple(self._start(off)))

    # What is told

    def words(self) -> str:
        off = len(self.nodes) - len(self.on)
        parked = f", {off} of them off" if off else ""
        slugs = sorted({n.droplet.size for n in self.nodes})
        return f"{count(len(self.nodes), 'fixed droplet')}{f' of {slugs[0]}' if len(slugs) == 1 else ''}{parked}."

    def means(self) -> str:
        return "Terraform made them: more or fewer only by an apply, which replaces all of them; a shutdown saves nothing"

    def warnings(self) -> tuple[str, ...]:
        strays = [n for n in self.cluster.media if n.member_status is None]
        return (
            (
                f"{self.short(strays)} carries the media tag and is not among those that Terraform numbers",
            )
            if strays
            else ()
        )


def more(name: str, number: int) -> str:
    """Why another number is Terraform's alone, and what that apply does."""
    return (
        f"{name} has fixed media nodes, whose number only Terraform changes: "
        f"`fixedNumberOfMediaNodes = {number}`. [[strong That apply replaces every media node]], "
        f"not only the difference, and ends what runs there: drain them all first, and {PLAN_FIRST}."
    )


def _number(node: MediaNode) -> int:
    last = node.name.rsplit("-", 1)[-1]
    return int(last) if last.isdigit() else 0


def _so_many(there: tuple[MediaNode, ...], number: int, name: str) -> tuple[MediaNode, ...]:
    if not 1 <= number <= len(there):
        raise Refused(
            f"{name} has {count(len(there), 'media node')} that this could be about; {number} is not among 1 to {len(there)}"
        )
    return there[:number]
