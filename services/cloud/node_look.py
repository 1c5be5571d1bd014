"""Reads what `scripts.LOOK` prints on a media node. Pure. Only a look that ran to its last line has seen anything."""

import re
from dataclasses import dataclass, field

from services.cluster.model import Agent, Delivery, NodeLook, Quit, Signal
from services.common.observed import NotSeen, Observed
from services.common.text import printable

NEVER_LEFT = (
    "cannot connect to the docker daemon",
    "permission denied",
    "no such container",
    "is not running",
    "cannot be run",
)
"""How docker, or the shell, says that a signal was not even begun. Any other refusal proves nothing."""
ENDED = (
    "created",
    "exited",
    "dead",
)  # docker's words for a container whose processes are gone, or never were
SIGQUIT = 1 << (3 - 1)  # its bit in SigCgt
INIT = (
    "docker-init",
    "tini",
    "dumb-init",
)  # process 1 of a container with `init: true`: it hands signals on to its child
NEVER = "0001-"  # docker's moment for what has not happened
CUT_OFF = "its answer was cut off before its end"


@dataclass
class _Lines:
    """What was printed, line by line."""

    containers: dict[str, tuple[str, int, str]] = field(
        default_factory=dict
    )  # state, restarts, start
    agents: dict[str, list[tuple[str, str]]] = field(
        default_factory=dict
    )  # of each its processes: name, and the signals they catch
    signals: list[Signal] = field(default_factory=list)
    gauges: dict[str, float] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


def parse_look(text: str) -> NodeLook | str:
    """What the node shows; or why nothing was seen there, in words."""
    lines = _Lines()
    for line in text.splitlines():
        if line == "end":
            return _look(lines)
        key, _, value = line.partition("=")
        if key == "refused":
            return printable(value) or "docker did not answer"
        if not _take(lines, key, value, line):
            return f"a line of its answer is not understood: {printable(line)[:80]}"
    return CUT_OFF


def _take(lines: _Lines, key: str, value: str, line: str) -> bool:
    """Whether that line could be read."""
    match key:
        case "container":
            return _container(lines, value)
        case "process":
            name, _, process = value.partition(" ")
            called, _, caught = process.strip().rpartition(" ")
            lines.agents.setdefault(name, []).append((called, caught))
        case "signal":
            _signal(lines.signals, value)
        case _ if line.startswith("livekit_"):
            _gauge(lines.gauges, line)
        case _:
            lines.words[key] = value
    return True


def _container(lines: _Lines, value: str) -> bool:
    """`NAME=LABEL STATE PID RESTARTS START`."""
    fields = value.split()
    if len(fields) != 5 or not fields[3].isdigit():
        return False
    name, _, label = fields[0].partition("=")
    lines.containers[name] = (fields[1], int(fields[3]), fields[4])
    if label == "true":
        lines.agents.setdefault(name, [])
    return True


def _signal(signals: list[Signal], value: str) -> None:
    """`begin NAME`, `sent NAME` or `refused NAME REASON`: the later word about one attempt counts."""
    word, _, rest = value.partition(" ")
    name, _, reason = rest.partition(" ")
    if word == "begin":
        signals.append(Signal(name, Delivery.UNSURE, "begun"))
        return
    delivery = Delivery.SENT
    if word == "refused":
        delivery = (
            Delivery.REFUSED
            if any(text in reason.lower() for text in NEVER_LEFT)
            else Delivery.UNSURE
        )
    for index in range(len(signals) - 1, -1, -1):
        if signals[index].container == name:
            signals[index] = Signal(name, delivery, printable(reason))
            return


def _gauge(gauges: dict[str, float], line: str) -> None:
    name, number = re.split(r"[{ ]", line, maxsplit=1)[0], line.rsplit(" ", 1)[-1]
    try:
        gauges[name] = gauges.get(name, 0.0) + float(number)
    except ValueError:
        return


def _look(lines: _Lines) -> NodeLook:
    state, restarts, start = lines.containers.get("openvidu", ("", 0, ""))
    running = tuple(n for n, (s, _, _) in lines.containers.items() if s not in ENDED)
    return NodeLook(
        start="" if start.startswith(NEVER) else start,
        running=running,
        restarting=tuple(n for n in running if lines.containers[n][0] == "restarting"),
        restarts=restarts if state else 0,
        agents=tuple(Agent(n, _quit(p)) for n, p in lines.agents.items() if n in running),
        livekit=_number(lines.words.get("livekit", ""), "LiveKit's port was not asked"),
        marked=lines.words.get("marked") in ("yes", "by-hand"),
        signals=tuple(lines.signals),
        unmarked=printable(lines.words.get("unmarked", "")),
        rooms=_metric(lines.gauges, "livekit_room_total"),
        people=_metric(lines.gauges, "livekit_participant_total"),
        recordings=_recordings(lines, running),
    )


def _quit(processes: list[tuple[str, str]]) -> Quit:
    """What the container's processes, its first one first, do with SIGQUIT."""
    try:
        caught = [(name, int(mask, 16) & SIGQUIT) for name, mask in processes]
    except ValueError:
        return Quit.UNKNOWN
    if not caught:
        return Quit.UNKNOWN
    first, hears = caught[0]
    if first not in INIT:
        return Quit.DRAINS if hears else Quit.DEAF
    children = caught[1:]
    if not children:
        return Quit.UNKNOWN
    return Quit.DRAINS if all(hears for _, hears in children) else Quit.DIES


def _number(text: str, otherwise: str) -> Observed[int]:
    return int(text) if text.isdigit() else NotSeen(otherwise)


def _metric(gauges: dict[str, float], name: str) -> Observed[int]:
    return int(gauges[name]) if name in gauges else NotSeen("its metrics do not answer")


def _recordings(lines: _Lines, running: tuple[str, ...]) -> Observed[int]:
    """An egress container that is seen not to run records nothing."""
    if "egress" not in running:
        return 0
    return _number(
        lines.words.get("recordings", ""), "docker did not list the egress container's jobs"
    )
