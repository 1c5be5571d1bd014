"""Who lost their meeting, compared with the messages that people had approved.

The cloud's losses, and the texts as read.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from simulators.cloud import Loss
from simulators.slack.model import Press
from tests.campaign.cards import Named, agrees, ends_something, named
from tests.campaign.cast import ClusterCast
from tests.campaign.ledger import RunRecord, StackHistory
from tests.support.scene import Scene

RACE = 45.0
"""Seconds before a request in which people who join a meeting can be missed."""
SLACK = 60.0
"""Seconds that an approval may be older than the policy allows.

The last look, the way to the cloud.
"""
ALONE = "Run without approval"
"""The button of a break-glass message: only its requester can press it, alone."""
AFTER = 120.0
"""Seconds after a run's end in which its requests may still be under way."""


@dataclass(frozen=True)
class CoveringApproval:
    """The newest message that an approver has pressed for a run, and who pressed the same on it."""

    press: Press
    voters: frozenset[str]
    named: Named
    ends: bool


@dataclass
class Lost:
    """What was lost under one message."""

    people: int = 0
    recordings: int = 0
    whys: list[str] = field(default_factory=list)


class LossAccount:
    """The account of one cluster."""

    def __init__(
        self,
        scene: Scene,
        ledger: StackHistory,
        cast: ClusterCast,
        shaken: Callable[[float], bool] = lambda _: False,
    ) -> None:
        self._scene, self._ledger, self._cast = scene, ledger, cast
        # Whether there was trouble at that moment, in which a message may say that it does not
        # know.
        self._shaken = shaken

    def cover(self, tale: RunRecord, at: float) -> CoveringApproval | None:
        """Return what people had agreed to for this run at that moment.

        An answer to its question adds to its plan.
        """
        answer: CoveringApproval | None = None
        for press in reversed(self._scene.slack.workspace.presses):
            if (
                press.at <= at
                and self._is_about(press, tale)
                and agrees(press.label, press.confirm)
                and self._counts(press, tale, at)
            ):
                text = f"{press.confirm}\n{press.text}"
                newest = CoveringApproval(
                    press, self._voters(tale, press, at), named(text), ends_something(text)
                )
                if answer is not None and "|" not in press.value:
                    young = at - press.at <= self._cast.minutes * 60 + SLACK
                    return (
                        replace(answer, named=answer.named.plus(newest.named)) if young else answer
                    )
                if "|" not in press.value:
                    return newest
                answer = answer or newest
        return answer

    def _counts(self, press: Press, tale: RunRecord, at: float) -> bool:
        glass = bool(tale.opened.get("glass")) and press.user == tale.opened["requester"]["user"]
        return glass or (
            self._may_approve(tale, press.user, press.at)
            and self._may_approve(tale, press.user, min(at, press.at + 1))
        )

    def _may_approve(self, tale: RunRecord, user: str, at: float) -> bool:
        """Requesters cannot approve their own request.

        A window's run can be approved by everyone else.
        """
        cast = self._cast
        if str(tale.opened["requester"]["user"]).startswith("window:"):
            cast = replace(cast, asks="")
        return cast.may_approve(user, at)

    def _is_about(self, press: Press, tale: RunRecord) -> bool:
        """Return whether a press is about a run.

        By the button's value in the state, or by the run's name in the message.
        """
        what = press.value.split("|")[0]
        return (
            what in (tale.name, tale.opened.get("request"))
            or f"`{tale.name}`" in press.text
            or f"{tale.name} needs" in press.text
        )

    def _voters(self, tale: RunRecord, last: Press, at: float) -> frozenset[str]:
        """Return whose newest press there says the same, and who was an approver to the end."""
        questions = (
            [
                float(e["at"])
                for e in tale.events
                if e["is"] == "Questioned" and float(e["at"]) <= last.at
            ]
            if "|" in last.value
            else []
        )
        since = max(
            questions, default=-math.inf
        )  # A vote is about the question that was open then.
        newest: dict[str, Press] = {}
        for press in self._scene.slack.workspace.presses:
            if (
                since <= press.at <= at
                and (press.ts, press.channel) == (last.ts, last.channel)
                and press.label != "Details"
            ):
                newest[press.user] = press
        same = [p for p in newest.values() if (p.label, p.value) == (last.label, last.value)]
        return frozenset(
            p.user for p in same if self._may_approve(tale, p.user, max(p.at, last.at))
        )

    # --- what is wrong

    def faults(self) -> Iterator[str]:
        """Return losses that no message named, and runs with too few approvals."""
        yield from self._losses()
        for tale in self._ledger.tales():
            window = str(tale.opened["requester"]["user"]) if tale.events else ""
            if tale.events and tale.heavy and not window.startswith("window:"):
                yield from self._approval(tale)
            if tale.events and window.startswith("window:"):
                yield from self._standing(tale, window.removeprefix("window:"))
            if tale.events:
                yield from self._named_approvers(tale)
            if tale.events and self._ledger.held(float(tale.opened["at"])):
                yield f"held: {tale.name} began while {tale.stack} was on hold"

    def _named_approvers(self, tale: RunRecord) -> Iterator[str]:
        """Check that a run's recorded approvers had pressed, on someone else's request."""
        at, requester = float(tale.opened["at"]), str(tale.opened["requester"]["user"])
        if requester.startswith("window:"):
            added = self._added(tale, requester.removeprefix("window:"))
            requester = str(added.opened["requester"]["user"]) if added is not None else requester
        agreed = {
            p.user
            for p in self._scene.slack.workspace.presses
            if p.at <= at + 1 and agrees(p.label, p.confirm)
        } - {requester}
        for user in sorted({str(a["user"]) for a in tale.opened.get("approvers", ())} - agreed):
            yield (
                f"false-approver: {tale.name} is said to be approved by {user}, who has asked for "
                "it or pressed nothing"
            )

    def _added(self, tale: RunRecord, window: str) -> RunRecord | None:
        """Return the run that had added a window, when this one of the window began."""
        before = [
            t
            for t in self._ledger.tales()
            if t.procedure == "AddWindow" and t.opened["at"] <= tale.opened["at"]
        ]
        return next(
            (
                t
                for t in reversed(before)
                if str(t.plan["procedure"]["window"]).startswith(f"{window} ")
            ),
            None,
        )

    def _losses(self) -> Iterator[str]:
        under: defaultdict[tuple[str, CoveringApproval | None], Lost] = defaultdict(Lost)
        for loss in self._scene.estate.losses:
            cause = loss.cause
            if loss.stack != self._cast.stack or cause is None or cause.who != "operator":
                continue
            tale = self._ledger.tale_at(cause.at)
            if tale is None or tale.ended_at + AFTER < cause.at:
                yield f"thrown-out: {_said(loss)} by {cause.what}, and no run had {loss.stack}"
                continue
            cover = self.cover(tale, cause.at)
            under[tale.name, cover].whys.append(f"{cause.what}: {loss.why}")
            if cause.at - loss.opened_at > RACE:
                under[tale.name, cover].people += loss.people
                under[tale.name, cover].recordings += loss.recordings
            if cover is not None and (loss.people or loss.recordings):
                yield from self._too_old(tale, cover, cause.at)
                if self._ledger.held(cover.press.at):
                    yield (
                        f"held: {tale.name} ended meetings because {cover.press.user} pressed "
                        f"{cover.press.label} during a hold"
                    )
        for (name, cover), lost in under.items():
            yield from self._too_many(name, cover, lost)

    def _too_old(self, tale: RunRecord, cover: CoveringApproval, at: float) -> Iterator[str]:
        age = at - cover.press.at
        if age > self._cast.minutes * 60 + SLACK:
            yield (
                f"old-approval: {tale.name} ended meetings {age / 60:.0f} min after "
                f"{cover.press.user} pressed {cover.press.label}"
            )

    def _too_many(self, name: str, cover: CoveringApproval | None, lost: Lost) -> Iterator[str]:
        if not (lost.people or lost.recordings):
            return
        what = (
            f"{name} cut off {lost.people} people and {lost.recordings} recordings ({lost.whys[0]})"
        )
        if cover is None:
            yield f"not-on-a-card: {what}, and nobody who may approve had pressed anything"
            return
        card, allowed = cover.named, cover.named.people * (1 + self._cast.growth)
        unknown = card.unknown and self._shaken(cover.press.at)
        if (lost.people > math.ceil(allowed) or lost.recordings > card.recordings) and not unknown:
            pressed = f"the card that {cover.press.user} pressed ({cover.press.label}) named"
            yield (
                f"not-on-a-card: {what}; {pressed} {card.people} people and {card.recordings} "
                "recordings"
            )
        if len(cover.voters) < self._cast.needs and cover.press.label != ALONE:
            yield (
                f"too-few-approvals: {what}; {sorted(cover.voters)} pressed {cover.press.label}, "
                f"and it takes {self._cast.needs}"
            )

    def _standing(self, tale: RunRecord, window: str) -> Iterator[str]:
        """Check a window's run against the approval of its adding, media nodes included."""
        added = self._added(tale, window)
        if added is None:
            yield f"unapproved: {tale.name} is of window {window}, which no run has added"
            return
        if added.opened.get("glass"):
            yield (
                f"standing-glass: {tale.name} is of window {window}, which was added by break-glass"
            )
            return
        cover = self.cover(added, float(added.opened["at"]) + 1)
        voters = cover.voters & self._recorded(added) if cover is not None else frozenset()
        effects = tale.plan["effects"]
        comes_to = tale.plan["media"] + effects["adds"]
        needs = self._cast.needs
        if effects["adds"] > 0 and comes_to > self._cast.most:
            needs = self._cast.needs_more
        if len(voters) < needs:
            yield (
                f"too-few-approvals: {tale.name} comes to {comes_to} media nodes by window "
                f"{window}, and {sorted(voters)} approved it"
            )

    def _recorded(self, tale: RunRecord) -> frozenset[str]:
        """Return who approved a run by its own record, and was an approver at the last press."""
        at = float(tale.opened["at"])
        return frozenset(
            u for a in tale.opened["approvers"] if self._may_approve(tale, u := str(a["user"]), at)
        )

    def _money(self, tale: RunRecord, asked: CoveringApproval) -> Iterator[str]:
        """Check what a window is said to save, by what it starts again."""
        window = str(tale.plan.get("procedure", {}).get("window", ""))
        match = re.search(r"(\d\d):(\d\d)-(\d\d):(\d\d) .*--number (\d+)", window)
        if match is None:
            return
        hour, minute, till, until, number = map(int, match.groups())
        shut = ((till * 60 + until) - (hour * 60 + minute)) % (24 * 60) / (24 * 60)
        if number * (1 - shut) > tale.plan["media"] and "saves about" in asked.press.text:
            yield (
                f"false-word: a card said that {window} saves money, and it starts {number} media "
                "nodes"
            )

    def _approval(self, tale: RunRecord) -> Iterator[str]:
        """Check a run that needs approval.

        By enough approvers, recently, on a message that stood in its channel.
        """
        if tale.opened.get("glass"):
            return
        at, recorded = float(tale.opened["at"]), self._recorded(tale)
        if len(recorded) < self._cast.needs:
            yield (
                f"too-few-approvals: {tale.name} began with those of {sorted(recorded)} in its "
                f"own record; it takes {self._cast.needs}"
            )
        cover = self.cover(tale, at + 1)
        if cover is None:
            yield (
                f"unapproved: {tale.name} {' and '.join(tale.heavy)}, and nobody who may approve "
                "had pressed anything"
            )
            return
        if len(cover.voters) < self._cast.needs:
            yield (
                f"too-few-approvals: {tale.name} began with those of {sorted(cover.voters)}, and "
                f"it takes {self._cast.needs}"
            )
        if at - cover.press.at > self._cast.minutes * 60 + SLACK:
            yield (
                f"old-approval: {tale.name} began {(at - cover.press.at) / 60:.0f} min after "
                f"{cover.press.user} had approved it"
            )
        yield from self._money(tale, cover)
        if cover.press.channel != self._cast.channel:
            yield (
                f"elsewhere: what {tale.name} does was approved in {cover.press.channel}, not in "
                f"{self._cast.channel}"
            )


def _said(loss: Loss) -> str:
    return f"{loss.people} people and {loss.recordings} recordings"
