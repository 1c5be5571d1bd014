"""A timeline as a card and as a file of Markdown. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from handlers.slack.blocks import Card, TextFile, context, escape, header, section, truncate
from handlers.slack.markup import date_time
from handlers.views.text import one_line, without_formatting
from services.common.text import count_of, duration
from services.operations.timelines import TimelineReport
from services.timeline import Moment, Source

# Lines on the card: of what people read first.
SHOWN = 8
LONGEST = 160
# How the lines begin that decide, or that went wrong.
TURNS = (
    *("begins", "asks people", "is answered", "is cancelled", "rolls back", "pauses"),
    *("is resumed", "ends", "taken over"),
)
VERIFY = "`openvidu-bot audit verify --timeline FILE` checks the file of `--form json`"


def timeline_card(report: TimelineReport, where: str = "") -> Card:
    """Return the answer to `timeline`. `where`: where its file is; "" for right here."""
    timeline = report.timeline
    title = f"Timeline of {report.subject}"
    lines = [f":warning: Not here: {escape(one_line(why))}" for why in timeline.missing[:3]]
    if left := len(timeline.missing[3:]):
        lines.append(f":warning: {count_of(left, 'more source')} did not answer.")
    if timeline.left_out:
        lines.append(f":warning: {count_of(timeline.left_out, 'earlier line')} had no room.")
    turns = [m for m in timeline.moments if m.source is Source.RUN and m.text.startswith(TURNS)]
    shown = turns[-SHOWN:] or list(timeline.moments[-SHOWN:])
    lines += [_line(moment) for moment in shown]
    if not timeline.moments:
        lines.append("Nothing is known of this time.")
    sources = len({m.source for m in timeline.moments})
    what = f"{count_of(len(timeline.moments), 'line')} from {count_of(sources, 'source')}"
    if timeline.moments:
        what += f" in {duration(timeline.moments[-1].at - timeline.moments[0].at)}"
    foot = [what, *(escape(clock.words.removesuffix(".")) for clock in timeline.clocks), VERIFY]
    if where:
        foot.insert(0, f"the file is in {where}")
    text = f"{title}: {'; '.join(without_formatting(line) for line in lines)}"
    return Card(
        truncate(text, 3000), (header(title), section("\n".join(lines)), context(" · ".join(foot)))
    )


def _line(moment: Moment) -> str:
    who = f" by <@{moment.user}>" if moment.user else ""
    about = f"`{escape(moment.about)}` " if moment.about else ""
    return f"{date_time(moment.at)} {about}{escape(truncate(one_line(moment.text), LONGEST))}{who}"


def markdown_file(report: TimelineReport) -> TextFile:
    """Return the timeline as Markdown."""
    export = report.export
    head = export.head
    lines = [
        f"# Timeline of {_plain(report.subject)}",
        "",
        f"{_plain(report.cluster)}, {head['begins']} to {head['ends']}. Times are UTC.",
        "",
        *(f"- {_plain(words)}" for words in head["clocks"]),
        *(f"- **Not here:** {_plain(why)}" for why in head["missing"]),
    ]
    if head["left_out"]:
        lines.append(f"- **{head['left_out']} earlier lines had no room.**")
    lines += [
        "",
        "| | time | ± s | source | about | who | what |",
        "|---|---|---|---|---|---|---|",
        *(_row(line) for line in export.lines),
        "",
        f"Covered by the hash `{export.last_hash}`, which the audit of "
        f"{_plain(report.cluster)} has.",
        "",
    ]
    return TextFile(_name(report, "md"), f"Timeline of {report.subject}", "\n".join(lines))


def json_file(report: TimelineReport) -> TextFile:
    """Return the timeline as lines of JSON, which `audit verify --export` checks."""
    title = f"Timeline of {report.subject}, as JSON"
    return TextFile(_name(report, "jsonl"), title, report.export.text)


def _row(line: Mapping[str, Any]) -> str:
    within = "?" if line["within"] is None else f"{line['within']:.0f}"
    cells = (line["number"], line["time"], within, line["source"], line["about"], line["user"])
    return "| " + " | ".join(_plain(str(cell)) for cell in (*cells, line["text"])) + " |"


def _plain(text: str) -> str:
    """Return a text such that Markdown neither formats it, links it, nor ends its cell."""
    return re.sub(r"([\\`*_{}\[\]<>|#!~$&])", r"\\\1", one_line(text))


def _name(report: TimelineReport, ending: str) -> str:
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", report.subject)
    begins = datetime.fromtimestamp(_begins(report), UTC)
    return f"timeline-{stem}-{begins:%Y%m%dT%H%M%SZ}.{ending}"


def _begins(report: TimelineReport) -> float:
    return report.timeline.moments[0].at if report.timeline.moments else 0.0
