"""An autoscaler: a function that adds and drains media nodes every four minutes.

The bot pauses and resumes it, and removes its nodes by a tag.
"""

import re
from collections.abc import Iterable, Iterator

from typing_extensions import override

from services.cluster.deployment import control_plane_of
from services.cluster.fact_text import with_source
from services.cluster.model import Autoscaler, Cluster, MediaNode
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.common.text import count_of, plural
from services.procedures.fleet.base import (
    PLAN_FIRST,
    Fleet,
    FleetChange,
    check_masters_healthy,
)
from services.steps import Arrived, Autoscaling, Deleted, FleetGone, Left, RunsOver, Step, Uncounted
from services.steps.autoscaler import pause_text

AN_APPLY = "This redeploys (and unpauses) the autoscaler; running nodes are not touched."
LIMITS = "`minNumberOfMediaNodes` and `maxNumberOfMediaNodes`"


class AutoscalerFleet(Fleet):
    """Media nodes that an autoscaler adds and drains by itself."""

    name = "an autoscaler"
    fewer = (
        "To run fewer: [[command drain 1]] drains and removes one; "
        "[[command freeze]] stops new ones"
    )

    @property
    def scaler(self) -> Autoscaler:
        """The autoscaler, which every cluster of this kind has."""
        assert self.cluster.autoscaler is not None, "it is what makes the kind"
        return self.cluster.autoscaler

    @property
    def minimum(self) -> int:
        """Its minimum by the settings, else 1: the function's own number cannot be read."""
        return max(1, self.cluster.autoscaler_minimum or 1)

    @property
    def staying(self) -> tuple[MediaNode, ...]:
        """The nodes that are not being removed."""
        return tuple(n for n in self.cluster.media if n.member_status == "active")

    # Shutdown and start-up

    @override
    def shutdown_steps(
        self,
        *,
        drain: bool = True,
        alone: bool = False,
        limit: float | None = None,
        gives_up: float = 0.0,
    ) -> Iterator[Step]:
        # Paused first: it would replace the nodes as fast as they leave.
        yield Autoscaling(on=False)
        yield RunsOver()
        if drain:
            floor = self.shutdown_floor(gives_up)
            yield Left(limit=limit, gives_up=gives_up, floor=floor, ends=bool(gives_up))
        else:
            yield Deleted()
        yield FleetGone(harsh=not drain)

    def startup_steps(self, number: int) -> Iterator[Step]:
        # A pause by someone else, or a freeze, is resumed only by people.
        yield Autoscaling(on=True, asks=_paused_by_others(self.scaler), number=number)
        if any(n.member_status == "deleting" and n.has_media_tag for n in self.cluster.media):
            yield Uncounted()
        yield Arrived(number)

    @property
    def number_to_restore(self) -> int:
        if self.cluster.is_up and not self.cluster.media and not self.scaler.enabled:
            # Its media nodes were shut down alone, and stay down.
            return 0
        return self.minimum

    @override
    def check_upgrade(self) -> None:
        self.check_round_trip()

    def check_round_trip(self) -> None:
        if _paused_by_others(self.scaler):
            raise Refused(
                f"{pause_text(self.cluster)} No media nodes would be added afterwards. "
                "Run [[command unfreeze]] first, or change one master at a time where possible"
            )

    def startup_number(self, requested: int | None) -> int | None:
        if requested is None:
            return self.minimum
        return requested

    @property
    def max_startup_nodes(self) -> int | None:
        return 0

    def check_startup(self, requested: int | None) -> None:
        if requested is not None:
            raise Refused(
                f"{set_by_terraform(self.cluster, requested)} "
                "Run [[command startup]] without a number"
            )
        if not self.scaler.trigger:
            raise Refused(pause_text(self.cluster))

    def check_window_number(self, number: int) -> None:
        raise Refused(f"{set_by_terraform(self.cluster, number)} Omit `--number`")

    def shutdown_notes(self) -> tuple[str, ...]:
        return (
            "The autoscaler is paused, not removed: starting again needs no `terraform apply`. "
            "OpenVidu's documentation destroys it with `terraform destroy -target` instead",
            "Nodes drain and delete themselves, so the current number is not restored: "
            "the autoscaler starts again with its minimum and adds by load",
            *self._token_note(),
        )

    def _token_note(self) -> tuple[str, ...]:
        """Return that the token may not pause the autoscaler, where that was seen."""
        account = self.cluster.account
        if account.answer("trigger") != "denied":
            return ()
        text = "[[warning]] A token like the bot's was not allowed to pause an autoscaler"
        return (with_source(text, account, "trigger", self.cluster.seen_at),)

    def startup_notes(self) -> tuple[str, ...]:
        return (
            "The autoscaler starts with its minimum (one node in 4 min, or all at once) and adds "
            "by load; the last number is not kept",
        )

    def shutdown_next_step(self) -> str:
        return "The autoscaler is paused until [[command startup]], and starts with its minimum"

    def with_autoscaler_paused(self, steps: Iterable[Step]) -> Iterator[Step]:
        # A node added meanwhile would install itself from a file that is not verified yet.
        if not self.scaler.enabled:
            yield from steps
            return
        yield Autoscaling(on=False)
        yield RunsOver()
        yield from steps
        yield Autoscaling(on=True)

    def resume_autoscaler(self) -> Iterator[Step]:
        if self.scaler.paused_by_bot:
            yield Autoscaling(on=True)

    # Number and size

    @override
    def scale(self, number: int, *, harsh: bool) -> FleetChange:
        fewer = len(self.staying) - number
        instead = ""
        if fewer > 0:
            nodes = count_of(fewer, "node")
            instead = f"[[command drain {fewer}]] drains and removes {nodes}; "
        raise Refused(
            f"{set_by_terraform(self.cluster, number)} "
            f"Instead, {instead}[[command freeze]] keeps the number as it is"
        )

    @override
    def resize(self, size: str, *, harsh: bool) -> FleetChange:
        if all(n.droplet.size == size for n in self.staying) and self.staying:
            return FleetChange()
        raise Refused(
            "the size of new nodes is set by Terraform. Set "
            f'`mediaNodeInstanceType = "{size}"` and apply ({PLAN_FIRST}). {AN_APPLY} '
            f"Then replace the nodes of the old size one by one with [[command roll {size}]]"
        )

    def roll(self, size: str) -> FleetChange:
        if not self.scaler.enabled:
            raise Refused(
                f"{pause_text(self.cluster)} The old nodes would not be replaced. "
                "Run [[command unfreeze]] first"
            )
        old = tuple(n for n in self.staying if n.droplet.size != size)
        if not old:
            return FleetChange()
        check_masters_healthy(self.cluster)
        notes = (
            "New nodes have the size that Terraform set in the autoscaler. "
            f'If that is not {size}, apply `mediaNodeInstanceType = "{size}"` first',
            "[[strong One by one]]: each node drains and deletes itself; the autoscaler adds "
            "another when there are fewer than the minimum",
        )
        return FleetChange(tuple(self._roll_steps(old)), notes)

    def _roll_steps(self, old: tuple[MediaNode, ...]) -> Iterator[Step]:
        # An unseen node may be in service, and is waited for.
        serving = len([n for n in self.staying if n.serving or not n.is_observed])
        # Replacements come only below the minimum: nodes beyond it were added for earlier load.
        restored = min(serving, self.minimum)
        for removed, node in enumerate(old):
            others = max(serving - removed, restored) - 1
            yield Left(
                (node.id,),
                uncount=True,
                who=self.names((node,)),
                floor=max(0, min(self.cluster.min_serving, others)),
            )
            if serving:
                yield Arrived(restored)

    # Single nodes

    def select(self, target: str) -> tuple[MediaNode, ...]:
        """Return the nodes that the operator means. A number means so many, least busy first."""
        if not re.fullmatch(r"\d{1,3}", target):
            return super().select(target)
        number, nodes = int(target), sorted(self.staying, key=_load_order)
        if not 1 <= number <= len(nodes):
            raise Refused(
                f"{self.cluster.name} has {count_of(len(nodes), 'media node')}. "
                f"Choose a number from 1 to {len(nodes)}, not {number}"
            )
        staying, declared = len(nodes) - number, self.cluster.autoscaler_minimum
        if declared is not None and staying < declared and self.scaler.enabled:
            raise Refused(
                f"{count_of(staying, 'node')} would stay, and the autoscaler would immediately add "
                f"others: its minimum is {declared}. Run [[command freeze]] first. To change it "
                f"permanently, set {LIMITS} and apply ({PLAN_FIRST})"
            )
        self.check_min_serving(staying)
        return tuple(nodes[:number])

    def drain(self, selected: tuple[MediaNode, ...], target: str) -> FleetChange:
        leaving = [n for n in selected if n.member_status == "deleting"]
        if leaving:
            verb = plural(len(leaving), "is", "are")
            raise Refused(f"{self.names(leaving)} {verb} already draining")
        if target.lower() == "all" and self.scaler.enabled:
            raise Refused(
                "the autoscaler would replace these nodes as fast as they leave. "
                "[[command shutdown --media-only]] pauses it, drains all of them and leaves "
                "the masters powered on"
            )
        own = tuple(n for n in selected if n.member_status is not None)
        if not own:
            raise Refused(
                f"{self.names(selected)} was not created by the autoscaler of {self.cluster.name}: "
                "the draining tag has no effect on it"
            )
        step = Left(
            tuple(n.id for n in own),
            number=len(own),
            uncount=self.scaler.enabled,
            who=self.few_names(own),
            floor=self.drain_floor(own),
        )
        return FleetChange((step,), _drain_notes(self.scaler))

    @override
    def check_restart(self, node: MediaNode, target: str) -> None:
        raise Refused(
            f"{target} was created by the autoscaler: after a restart it would count as idle and "
            f"be removed during its meetings. Run [[command drain {target}]] instead: it drains, "
            "and the autoscaler replaces it"
        )

    @override
    def check_stop(self, node: MediaNode, target: str) -> None:
        raise Refused(
            f"{target} was created by the autoscaler: stopped it would still be counted, and no "
            f"other would be added for it. Run [[command drain {target}]] instead: it drains, "
            "deletes itself, and the autoscaler replaces it"
        )

    # Pausing by request

    def freeze(self) -> FleetChange:
        if not self.scaler.trigger:
            raise Refused(f"{pause_text(self.cluster)} Nothing scales until then")
        notes = (
            "[[strong No node is added, drained or replaced]] while it is frozen: not by load, and "
            "not when a node fails",
            "Nodes that are already draining are still removed. An apply that changes the "
            "autoscaler's numbers ends the freeze",
        )
        return FleetChange(
            (Autoscaling(on=False, frozen=True), RunsOver()),
            notes,
            next_step="No media node is added until [[command unfreeze]]",
        )

    def unfreeze(self) -> FleetChange:
        paused = pause_text(self.cluster)
        if not self.scaler.trigger:
            raise Refused(paused)
        if not self.cluster.is_up:
            raise Refused(
                f"{control_plane_of(self.cluster).not_all_on}, and new nodes of "
                f"{self.cluster.name} would wait. Run [[command startup]]"
            )
        notes: tuple[str, ...] = ()
        if paused:
            notes = (paused.rstrip("."),)
        return FleetChange((Autoscaling(on=True),), notes)


def set_by_terraform(cluster: Cluster, number: int) -> str:
    """Return which Terraform variables bound the number, and what their apply also does."""
    return (
        f"{cluster.name} is sized by its autoscaler. Set {LIMITS} and apply ({PLAN_FIRST}); "
        f"both {number} means exactly {number}, with failed nodes replaced. {AN_APPLY}"
    )


def _paused_by_others(scaler: Autoscaler) -> bool:
    return not scaler.enabled and not scaler.paused_by_bot


def _drain_notes(scaler: Autoscaler) -> tuple[str, ...]:
    if not scaler.enabled:
        return (
            "They drain, delete themselves and are no longer billed; "
            "none is added while the autoscaler is paused",
        )
    return (
        "They drain, delete themselves and are no longer billed; "
        "the autoscaler adds others below its minimum, or by load",
        "A draining node loses its media tag, and with it its cloud firewalls, until it is deleted",
    )


def _load_order(node: MediaNode) -> tuple[int, int, str]:
    """Sort the least busy nodes first, then the oldest; nodes of unknown load last."""
    look, created = node.look, node.droplet.created_at
    if node.drained:
        return 0, 0, created
    if isinstance(look, Unobserved):
        return 10**6, 0, created
    rooms, people, recordings = look.rooms, look.people, look.recordings
    if isinstance(rooms, int) and isinstance(people, int) and isinstance(recordings, int):
        return rooms + recordings, people, created
    return 10**6, 0, created
