"""Words that every card needs: people, reasons, what is left when the marks of formatting go."""

import re
from collections.abc import Container, Iterable

from handlers.slack.blocks import Card, clock, cut, day, escape, section
from handlers.slack.markup import markup
from services.access.policy import Actor
from services.cluster.model import Droplet, Load
from services.common.observed import NotSeen, Observed
from services.common.text import count, listed
from services.runs.run import Run

REASON = 300  # characters of a reason that a card shows


def people(load: Observed[Load]) -> str:
    """`3 meetings, 14 people, 1 recording now`."""
    if isinstance(load, NotSeen):
        return f"how many meetings are running is unknown ({escape(load.reason)})"
    if not (load.rooms or load.recordings or load.ingresses):
        return "no meetings now"
    said = [count(load.rooms, "meeting"), count(load.people, "person")]
    if load.recordings:
        said.append(count(load.recordings, "recording"))
    if load.ingresses:
        said.append(count(load.ingresses, "ingress").replace("ingresss", "ingresses"))
    return ", ".join(said) + " now"


HEALTH = {True: "healthy", False: "not healthy"}


def health(master: Droplet) -> str:
    """`healthy`, `not healthy`, or that its health page was not seen and why."""
    if isinstance(master.healthy, NotSeen):
        return "health unknown" + (
            f": {escape(master.healthy.reason)}" if master.healthy.since else ""
        )
    return HEALTH[master.healthy]


def asked(who: Actor, reason: str) -> str:
    """`asked by @ana · power work in ams3`."""
    return f"asked by {who.mention}{why(reason)}"


def why(reason: str) -> str:
    """The reason as one line of italics, short enough to leave room for the rest."""
    line = " ".join(reason.split())
    return f" · _{escape(cut(line, REASON))}_" if line else ""


def behind(run: Run) -> str:
    """`asked by @ana, approved by @ben 18:13 · power work in ams3`."""
    approved = f", approved by {with_remarks(run.approvers, run.remarks)}" if run.approvers else ""
    if (
        run.standing and run.renewed is None
    ):  # pressed then; nobody approved anything when the window came to act on it
        given = f"standing approval by {listed(a.mention for a in run.approvers)} of {day(run.standing)}"
        return f"asked by {run.requester.mention}, {given}, began {clock(run.opened_at)}{why(run.reason)}"
    if run.glass:
        approved = f", :warning: *no approval: break-glass by {run.requester.mention}*,"
    return f"asked by {run.requester.mention}{approved} {clock(run.agreed or run.approved_at or run.opened_at)}{why(run.reason)}"


def with_remarks(people: Iterable[Actor], remarks: Iterable[tuple[str, str]]) -> str:
    """`@ben (“only until noon”) and @carla`."""
    said = dict(remarks)
    return listed(
        f"{a.mention} (“{escape(cut(said[a.key], REASON))}”)" if a.key in said else a.mention
        for a in people
    )


def plain(text: str) -> str:
    """The words of a card for its `text`: without the marks of formatting; mentions and dates stay whole."""
    parts = re.split(r"(<[^>]*>)", markup(text).replace(":warning: ", ""))
    marks = r"[*`]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9\u200b])"  # an underscore inside of a name is part of it, escaped or not
    return "".join(part if part.startswith("<") else re.sub(marks, "", part) for part in parts)


def words_card(text: str) -> Card:
    """A plain sentence."""
    return Card(text, (section(text),))


def sentence(text: str, names: Container[str] = ()) -> str:
    """Lower-case words of an error as a sentence. What begins with a name (one of `names`, or `s-4vcpu-8gb`) stays as it is."""
    text = markup(text)
    word = text.split(" ", 1)[0]
    named = (
        word in names or text.startswith(("<", "`")) or any(c.isdigit() or c == "-" for c in word)
    )
    first = text if named else text[:1].upper() + text[1:]
    return first if first.endswith((".", "?", "!")) else f"{first}."
