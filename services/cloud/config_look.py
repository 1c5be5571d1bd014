"""Reads what the scripts about configuration files print. Pure."""

import base64
import binascii
import hashlib
import re
from datetime import datetime, timedelta

from services.cloud.config_scripts import END
from services.cloud.node_report import masked
from services.cluster.configuration import KeptFile, NodeConfiguration
from services.common.errors import Refused, Unreachable
from services.common.text import strip_invisible
from services.config_files import LARGEST, ConfigFile, ConfigText, KnownKeys
from services.secrets_env.mask import MASK

# A container that was restarted and runs for less than this may crash again.
SETTLED = timedelta(seconds=45)
SHOWN_ERRORS = 5
LONGEST = 200
_STAMP = re.compile(r"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)[^\]]*\]")
# Parsers quote the value that they do not understand.
_QUOTED = re.compile(r"`[^`]*`?|\"[^\"]*\"?|(?<!\w)'[^']*'?|(?<=!!str )[^`\"'\s]\S*")
CRASHING = ("restarting", "dead")


def parse_configuration(text: str) -> NodeConfiguration | str:
    """Return what a look printed, or why nothing was seen."""
    lines = text.split("\n")[:-1]
    refused = next((line for line in lines if line.startswith("refused=")), "")
    if refused:
        return masked(strip_invisible(refused.partition("=")[2]))
    if not lines or lines[-1] != END:
        return "the node's answer was not complete"
    files: list[tuple[str, str]] = []
    kept: list[KeptFile] = []
    running: list[str] = []
    troubled: list[str] = []
    errors: list[str] = []
    values: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition("=")
        words = value.split()
        if key == "file" and len(words) == 2:
            files.append((words[0], words[1]))
        elif key == "kept" and len(words) >= 2:
            kept.append(KeptFile(words[0], words[1], words[2] if len(words) > 2 else ""))
        elif key == "container" and words:
            if _is_troubled(words, values.get("now", "")):
                troubled.append(words[0])
            elif words[1:2] == ["running"]:
                running.append(words[0])
        elif key == "error":
            errors.append(value)
        else:
            values[key] = value
    return NodeConfiguration(
        values.get("layout", ""),
        tuple(files),
        tuple(kept),
        values.get("start", ""),
        values.get("unit", ""),
        tuple(sorted(running)),
        tuple(sorted(troubled)),
        values.get("since", "")[:19],
        _entries(errors),
    )


def _is_troubled(words: list[str], now: str) -> bool:
    """Return whether a container restarts again and again.

    One that ended is none: OpenVidu has containers that end when their work is done.
    """
    _, status, restarts, started = [*words, "", "", "", ""][:4]
    if status != "running":
        return status in CRASHING
    if not restarts.isdigit() or restarts == "0":
        return False
    try:
        age = _moment(now) - _moment(started)
    except ValueError:
        return True
    return age < SETTLED


def _moment(stamp: str) -> datetime:
    """Return a moment as date or docker print it, to the second."""
    return datetime.fromisoformat(f"{stamp[:19]}+00:00")


def _entries(lines: list[str]) -> tuple[tuple[str, str], ...]:
    """Return the errors of nodes_errors.log with their times, masked and bounded.

    A line without a time belongs to the one before it.
    """
    entries: list[tuple[str, str]] = []
    for line in lines:
        text = _QUOTED.sub(MASK, masked(strip_invisible(line.strip())))
        stamp = _STAMP.match(line)
        if stamp is not None:
            entries.append((stamp[1], text[stamp.end() :].strip()))
        elif text and entries:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {text}")
        elif text:
            entries.append(("", text))
    return tuple((at, text[:LONGEST]) for at, text in entries[-SHOWN_ERRORS:])


def parse_content(file: ConfigFile, text: str) -> ConfigText:
    """Return the file that a node printed.

    Raises:
        Refused: it has no such file, or one that is too large or no text.
        Unreachable: the answer was not complete.
    """
    head, _, body = text.partition("\ncontent\n")
    lines = dict(line.partition("=")[::2] for line in head.splitlines())
    if "absent" in lines:
        raise Refused(f"this cluster has no {file.name}")
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        raise _incomplete(file) from None
    if len(data) > LARGEST:
        raise Refused(f"{file.name} is larger than {LARGEST} bytes, which no deployment writes")
    if hashlib.sha256(data).hexdigest() != lines.get("digest"):
        raise _incomplete(file)
    if not _is_text(data):
        # Written back, bytes that are no text would change in lines that no one sees.
        raise Refused(f"{file.name} is not a text file in UTF-8")
    names = (frozenset(lines.get(key, "").split()) for key in ("openvidu", "master_node"))
    return ConfigText(file, data, KnownKeys(*names))


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _incomplete(file: ConfigFile) -> Unreachable:
    return Unreachable(f"reading {file.name}: the node's answer was not complete", sent=False)
