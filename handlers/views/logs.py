"""A log that was read on a node: the card about it, and the file. Pure."""

import re
from datetime import UTC, datetime

from handlers.slack.blocks import Card, TextFile, context, escape, section
from services.cloud.node_logs import NodeLogs
from services.common.text import count_of, duration, join_words

MASKED = "What looks like a secret is masked."


def logs_card(logs: NodeLogs, where: str = "") -> Card:
    """Return the answer to `logs`. `where`: where its file is; "" for right here."""
    lines = count_of(len(logs.lines), "line")
    what = f"{escape(logs.source)} of {logs.cluster}"
    sentences = [f"{what}: {lines} of the last {_length(logs)}."]
    if where:
        sentences.append(
            f"The file is in {where}: Slack shows no file in an answer that only you see."
        )
    if logs.left_out:
        older = f"At least {count_of(logs.left_out, 'older line')}"
        sentences.append(f"{older} did not fit. A shorter `--since` narrows it.")
    text = " ".join(sentences)
    return Card(f"{text} {MASKED}", (section(text), context(MASKED)))


def no_lines_card(logs: NodeLogs) -> Card:
    """Return the answer where nothing was printed in that time."""
    text = (
        f"{escape(logs.source)} of {logs.cluster} printed nothing in the last {_length(logs)}. "
        "A longer `--since` reaches further back."
    )
    return Card(text, (section(text),))


def no_such_service(logs: NodeLogs) -> str:
    """Return why there is no such log, with the names that there are."""
    if not logs.existing:
        return f"there is no container on {logs.node}: OpenVidu may be stopped there"
    return f"{logs.node} has no container {logs.service}. There are: {join_words(logs.existing)}"


def log_file(logs: NodeLogs, at: float) -> TextFile:
    """Return the lines as a file. `at`: now."""
    moment = datetime.fromtimestamp(at, UTC)
    stem = f"{logs.cluster}-{logs.node}-{logs.service or 'openvidu'}"
    name = f"{re.sub(r'[^A-Za-z0-9._-]', '-', stem)}-{moment:%Y%m%dT%H%M%SZ}.log"
    head = [f"# {logs.source} of {logs.cluster}, the last {_length(logs)}, {moment:%F %T} UTC"]
    if logs.left_out:
        head.append(f"# at least {count_of(logs.left_out, 'older line')} left out")
    head.append(f"# {MASKED}")
    return TextFile(name, f"{logs.source} of {logs.cluster}", "\n".join([*head, *logs.lines, ""]))


def _length(logs: NodeLogs) -> str:
    return duration(float(logs.seconds))
