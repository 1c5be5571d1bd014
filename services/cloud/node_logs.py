"""The log of one container or of OpenVidu's unit on a node: bounded, and masked. Pure."""

import asyncio
import re
from dataclasses import dataclass

from services.cloud import node_scripts as scripts
from services.cloud.node_report import masked
from services.common.text import strip_invisible

# What programs print to colour their lines in a terminal.
COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# Lines that are masked without a pause for others.
SLICE = 100


@dataclass(frozen=True)
class NodeLogs:
    """What a node printed. Lines are masked, the oldest first.

    `service`: the container; "" for OpenVidu's unit. `seconds`: how far back was asked for.
    `left_out`: how many older lines are not here, at least. `refused`: why docker did not answer.
    `missing`: no container has that name; `existing` are those that there are.
    """

    cluster: str
    node: str
    service: str
    seconds: int
    lines: tuple[str, ...] = ()
    left_out: int = 0
    refused: str = ""
    missing: bool = False
    existing: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Return what printed it: `caddy on master-2`."""
        return f"{self.service or 'OpenVidu'} on {self.node}"


@dataclass(frozen=True)
class PrintedLog:
    """The output of `node_scripts.logs`, taken apart. Nothing of it is masked."""

    lines: tuple[str, ...]
    left_out: int
    refused: str = ""
    missing: bool = False
    existing: tuple[str, ...] = ()


def read_logs(text: str) -> PrintedLog:
    """Parse what `node_scripts.logs` prints."""
    head, _, printed = text.partition(f"{scripts.PRINTED}\n")
    total, refused, missing = 0, "", False
    existing: list[str] = []
    for line in head.splitlines():
        key, _, value = line.partition("=")
        if key == "lines" and value.strip().isdigit():
            total = int(value)
        elif key == "refused":
            refused = masked(strip_invisible(value))
        elif key == "missing":
            missing = True
        elif key == "exists" and scripts.SERVICE.fullmatch(value):
            existing.append(value)
    # Nothing but a line feed parts lines: a name and its value stay together.
    lines = printed.removesuffix("\n").split("\n") if printed else []
    if len(printed.encode(errors="replace")) >= scripts.LOG_BYTES - scripts.LOG_LINE:
        # Its beginning was truncated: half a secret has no name before it.
        lines = lines[1:]
    left_out = max(0, total - len(lines))
    return PrintedLog(tuple(lines), left_out, refused, missing, tuple(sorted(existing)))


async def masked_lines(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Return the lines without anything that looks like a secret; lets others run meanwhile."""
    safe: list[str] = []
    for first in range(0, len(lines), SLICE):
        safe += [_safe(line) for line in lines[first : first + SLICE]]
        await asyncio.sleep(0)
    return tuple(safe)


def _safe(line: str) -> str:
    # Colours and invisible characters could hide a name from the mask, and text from the reader.
    return masked(strip_invisible(COLOUR.sub("", line).rstrip()))
