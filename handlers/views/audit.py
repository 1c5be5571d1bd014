"""Audit entries and heads as cards."""

from handlers.slack.blocks import Block, Card, context, escape, header, section, truncate
from handlers.slack.markup import date_time
from handlers.views.text import without_formatting
from services.access.policy import Actor
from services.audit.anchors import Digest
from services.audit.entries import Entry, Head, action_text
from services.common.text import count_of

LINES = 8  # entries in a block
LONGEST = 150  # characters of a reason, or of a value before or after a change


def audit_card(name: str, entries: list[Entry], head: Head | None) -> Card:
    """List the newest decisions about a cluster, newest first."""
    if head is None:
        text = f"Nothing was decided about {name} yet."
        return Card(text, (section(text),))
    lines = [_line(e) for e in entries]
    parts = [section("\n".join(lines[n : n + LINES])) for n in range(0, len(lines), LINES)]
    total = count_of(head.number or 0, "decision")
    foot = f"{total} in all · head `{head.short}` · `openvidu-bot audit verify` checks them"
    listed = without_formatting("; ".join(lines))
    text = f"Decisions about {name}: {listed}. {without_formatting(foot)}"
    return Card(text, (header(f"Decisions about {name}"), *parts, context(foot)))


def _line(entry: Entry) -> str:
    who = "the bot"
    if entry.user:
        who = Actor(entry.user).mention
    decision = f"*{action_text(_one_line(entry.what))}*"
    if entry.about:
        decision += f" {escape(truncate(_one_line(entry.about), 40))}"
    line = f"{entry.number}. {date_time(entry.at)} {decision} by {who}"
    if entry.reason:
        line += f" · _{escape(_short(entry.reason))}_"
    if change := " → ".join(escape(_short(v)) for v in (entry.before, entry.after) if v):
        line += f" · {change}"
    return line


def _short(text: str) -> str:
    return truncate(_one_line(text), LONGEST)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def seal(head: Head) -> Block:
    """Return the audit's head at the end of a run, to show below its card."""
    return context(f"Audit `{head.short}`")


def digest_card(name: str, digest: Digest) -> Card:
    """Return the head of a day with decisions, to post outside the state store."""
    new, head = count_of(digest.new_decisions, "new decision"), digest.head
    text = f"Audit of {name}: {new}, {head.number} in all · head `{head.text}`"
    return Card(without_formatting(text), (context(text),))
