"""Phrases that every card needs: people, reasons, and text without Slack's formatting marks."""

import re
from collections.abc import Container, Iterable

from handlers.slack.blocks import Block, Card, escape, section, truncate
from handlers.slack.markup import date, markup, time_of_day
from services.access.policy import Actor
from services.cluster.model import Droplet, Load
from services.common.observed import Observed, Unobserved
from services.common.text import count_of, join_words, plural
from services.runs.run import Run

REASON = 300  # characters of a reason that a card shows
SHORT_REASON = 80  # and where it stands beside what decides
LOST = {True: " (lost)", False: ""}
HEALTH = {True: "healthy", False: "not healthy"}
# An underscore inside a name is part of the name, escaped or not.
TOKEN = re.compile(r"<[^<>]*>")
MOST_WORDS, MOST_IN_TEXT = 80, 60  # on a first screen, and in a text that stands alone
NAMELIKE = re.compile(r"[\d._-]")  # in a word that is a node, a size or a file
FORMATTING = re.compile(r"[*`]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9\u200b])")


def people(load: Observed[Load]) -> str:
    """Return `3 meetings, 14 people, 1 recording now`, or why the load is unknown."""
    if isinstance(load, Unobserved):
        return f"how many meetings are running is unknown ({escape(load.reason)})"
    if not (load.rooms or load.recordings or load.ingresses):
        return "no meetings now"
    return f"{count_of(load.rooms, 'meeting')}, {in_meetings(load)} now"


def load_words(load: Observed[Load]) -> str:
    """Return `3 (14 people, 1 recording)`, `none`, or why that is unknown."""
    if isinstance(load, Unobserved):
        return f"unknown ({escape(load.reason)})"
    if load.idle:
        return "none"
    return f"{load.rooms} ({in_meetings(load)})"


def in_meetings(load: Load, *, lost: bool = False) -> str:
    """Return `14 people, 1 recording`: who and what is in the meetings.

    `lost`: these meetings are ended, and their recordings are lost.
    """
    counts = []
    if not load.without_people:
        counts.append(count_of(load.people, "person"))
    if load.recordings:
        counts.append(f"{count_of(load.recordings, 'recording')}{LOST[lost]}")
    if load.ingresses:
        counts.append(f"{load.ingresses} {plural(load.ingresses, 'ingress', 'ingresses')}")
    return ", ".join(counts)


def health(master: Droplet) -> str:
    """Return `healthy`, `not healthy`, or that the health page was not seen, and why."""
    seen = master.healthy
    if not isinstance(seen, Unobserved):
        return HEALTH[seen]
    if seen.since:
        return f"health unknown: {escape(seen.reason)}"
    return "health unknown"


def current_step(run: Run) -> str:
    """Return the title of the step a run is at; `finishing` after the last one."""
    if run.step is None:
        return "finishing"
    return run.step.title()


def run_place(run: Run) -> str:
    """Return `step 2 of 4`; `finishing` after the last one."""
    if run.step is None:
        return "finishing"
    at, of = run.place
    return f"step {at} of {of}"


def requested_by(who: Actor, reason: str) -> str:
    """Return `requested by @ana · power work in ams3`."""
    return f"requested by {who.mention}{italic_reason(reason)}"


def short_reason(reason: str) -> str:
    """Return `: power work in ams3`, cut to what a first screen has room for; "" for none."""
    line = " ".join(reason.split())
    if not line:
        return ""
    return f": {escape(truncate(line, SHORT_REASON))}"


def italic_reason(reason: str) -> str:
    """Return the reason as one line of italics, cut to leave room for the rest; "" for none."""
    line = " ".join(reason.split())
    if not line:
        return ""
    return f" · _{escape(truncate(line, REASON))}_"


def attribution(run: Run) -> str:
    """Return `Requested by @ana, approved by @ben 18:13 · power work in ams3`."""
    requester, reason = run.requester.mention, italic_reason(run.reason)
    if run.standing and run.renewed is None:
        # The approval was given when the window was added, not when the run began.
        given = f"approved {date(run.standing)}"
        if run.approvers:
            approvers = join_words(a.mention for a in run.approvers)
            given = f"approved by {approvers}, {date(run.standing)}"
        return f"Scheduled by {requester} ({given}), started {time_of_day(run.opened_at)}{reason}"
    approved = ""
    if run.glass:
        approved = f", :warning: *no approval: break-glass by {requester}*,"
    elif run.approvers:
        approved = f", approved by {with_remarks(run.approvers, run.remarks)}"
    at = time_of_day(run.agreed or run.approved_at or run.opened_at)
    return f"Requested by {requester}{approved} {at}{reason}"


def with_remarks(people: Iterable[Actor], remarks: Iterable[tuple[str, str]]) -> str:
    """Return `@ben (“only until noon”) and @carla`. `remarks` holds pairs of actor key, text."""
    by_key = dict(remarks)
    return join_words(_with_remark(actor, by_key.get(actor.key)) for actor in people)


def _with_remark(actor: Actor, remark: str | None) -> str:
    if remark is None:
        return actor.mention
    return f"{actor.mention} (“{escape(truncate(remark, REASON))}”)"


def without_formatting(text: str) -> str:
    """Remove formatting marks for a card's `text`; mentions and dates stay whole."""
    parts = re.split(r"(<[^>]*>)", markup(text).replace(":warning: ", ""))
    return "".join(map(_without_marks, parts))


def _without_marks(part: str) -> str:
    if part.startswith("<"):
        return part
    return FORMATTING.sub("", part)


def word_count(text: str) -> int:
    """Count the words that a person reads; a mention and a time are one each."""
    read = TOKEN.sub("token", markup(text)).split()
    return len([word for word in read if any(letter.isalnum() for letter in word)])


def words_on(blocks: Iterable[Block]) -> int:
    """Count the words of blocks, without those on buttons."""
    return sum(word_count(text) for block in blocks for text in _texts(block))


def _texts(block: Block) -> list[str]:
    if block["type"] == "actions":
        return []
    parts = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
    return [str(part["text"]) for part in parts if part is not None]


def text_card(text: str) -> Card:
    """Return a card of one paragraph."""
    return Card(text, (section(text),))


def sentence(text: str, names: Container[str]) -> str:
    """Turn the lower-case text of an error or a note into a sentence.

    A text that begins with a name (one of `names`, or one such as `s-4vcpu-8gb` or `secrets.env`)
    keeps its case. `names`: of clusters, which only the caller knows.
    """
    text = one_line(markup(text))
    if not _begins_with_name(text, names):
        text = f"{text[:1].upper()}{text[1:]}"
    return full_stop(text)


def one_line(text: str) -> str:
    """Return a text of another program without its line breaks."""
    return " ".join(text.split())


def full_stop(text: str) -> str:
    """End a text as a sentence. Unlike `sentence`, keep the case of its first word."""
    if text.endswith((".", "?", "!")):
        return text
    return f"{text}."


def _begins_with_name(text: str, names: Container[str]) -> bool:
    word = text.split(" ", 1)[0].rstrip(".,:;?!")
    return word in names or text.startswith(("<", "`")) or bool(NAMELIKE.search(word))
