"""Which decisions a change of a book of hours holds. Pure; what the bot itself notes in a book is none."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

from services.access.policy import Actor
from services.audit.entries import Deed, What
from services.windows import Exceptions, Window


class Pages(Protocol):
    """As much of a book as people decide about."""

    @property
    def windows(self) -> tuple[Window, ...]: ...
    @property
    def exceptions(self) -> Exceptions: ...
    @property
    def answers(self) -> tuple[tuple[str, Actor], ...]: ...
    @property
    def runs(self) -> tuple[tuple[str, str], ...]: ...


def book_deeds(before: Pages, after: Pages, by: Actor | None) -> tuple[Deed, ...]:
    """What was decided, when this book takes that one's place."""
    return (
        *_windows(before, after, by),
        *_exceptions(before.exceptions, after.exceptions, by),
        *_answers(before, after),
    )


def _windows(before: Pages, after: Pages, by: Actor | None) -> Iterator[Deed]:
    old, new, runs = (
        {w.name: w for w in before.windows},
        {w.name: w for w in after.windows},
        dict(after.runs),
    )
    for name in sorted({*old, *new}):
        was, now = (side[name].words() if name in side else "" for side in (old, new))
        if was == now:
            continue
        what = What.WINDOW_ADDED if not was else What.WINDOW_CHANGED if now else What.WINDOW_REMOVED
        why = (
            (f"run {runs[name]}" if runs.get(name) else "from the settings file")
            if now and by is None
            else ""
        )
        yield Deed(what, by, name, why, was, now)


def _exceptions(before: Exceptions, after: Exceptions, by: Actor | None) -> Iterator[Deed]:
    ends = {h.since: h.until for h in before.holds}
    for hold in after.holds:
        if hold.since not in ends:
            yield Deed(What.HELD, by, "hold", hold.reason, "", f"until {_moment(hold.until)}")
        elif hold.until < ends[hold.since]:
            yield Deed(
                What.UNHELD, by, "hold", "", f"until {_moment(ends[hold.since])}: {hold.reason}", ""
            )
    for kept in after.keep_ups:
        if kept not in before.keep_ups:
            yield Deed(What.KEPT, by, "hours", kept.reason, "", f"until {_moment(kept.until)}")
    if days := [d for d in after.off if d not in before.off]:
        yield Deed(What.SKIPPED, by, "hours", "", "", ", ".join(days))


def _answers(before: Pages, after: Pages) -> Iterator[Deed]:
    for name, who in after.answers:
        if (name, who) not in before.answers:
            yield Deed(What.CLOSING, who, name.removesuffix("/ask"), "", "asked", "close now")


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M UTC}"
