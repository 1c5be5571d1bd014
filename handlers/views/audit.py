"""The audit as people read it."""

from datetime import UTC, datetime

from handlers.slack.blocks import Block, Card, context, cut, escape, section
from handlers.views.text import plain
from services.access.policy import Actor
from services.audit.anchors import Digest
from services.audit.entries import Entry, Head
from services.common.text import count

LINES = 8  # entries in a block
LONGEST = 300


def audit_card(name: str, entries: list[Entry], head: Head | None) -> Card:
    """The newest decisions, newest first."""
    if head is None:
        return Card(
            f"Nothing was decided about {name} yet.",
            (section(f"Nothing was decided about *{name}* yet."),),
        )
    lines = [_line(e) for e in entries]
    parts = [section("\n".join(lines[n : n + LINES])) for n in range(0, len(lines), LINES)]
    foot = f"{count(head.number or 0, 'decision')} in all · head `{head.short}` · `openvidu-bot audit verify` checks them"
    text = f"Decisions about {name}: {plain('; '.join(lines))}. {plain(foot)}"
    return Card(text, (section(f"*Decisions about {name}*"), *parts, context(foot)))


def _line(entry: Entry) -> str:
    who = Actor(entry.user).mention if entry.user else "nobody"
    change = " → ".join(escape(_short(part)) for part in (entry.before, entry.after) if part)
    why = f" · _{escape(_short(entry.reason))}_" if entry.reason else ""
    about = f" {escape(cut(entry.about, 40))}" if entry.about else ""
    at = datetime.fromtimestamp(entry.at, UTC)
    said = f"{entry.number}. <!date^{int(entry.at)}^{{date_short_pretty}} {{time}}|{at:%d %b %H:%M UTC}> *{entry.what}*{about} by {who}"
    return f"{said}{why}{f' · {change}' if change else ''}"


def _short(text: str) -> str:
    return cut(" ".join(text.split()), LONGEST // 2)


def seal(head: Head) -> Block:
    """Below a run that is over: what the audit's end was at that moment."""
    return context(f"audit `{head.short}`")


def digest_card(name: str, digest: Digest) -> Card:
    """Once a day, if something was decided: the head, in a place that the state store has no say in."""
    said = f"audit of {name}: {count(digest.fresh, 'new decision')}, {digest.head.number} in all · head `{digest.head.text}`"
    return Card(plain(said), (context(said),))
