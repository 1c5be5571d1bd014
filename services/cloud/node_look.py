"""Parses what `node_scripts.LOOK` prints on a media node. Pure.

Only a look that ran to its last line has seen anything.
"""

import re
from dataclasses import dataclass, field

from services.cluster.model import Agent, NodeStatus, Signal, SignalResult, SigquitEffect
from services.common.observed import Observed, Unobserved
from services.common.text import strip_invisible

# Messages of docker, or the shell, that prove that no signal was sent. Any other refusal proves
# nothing.
NEVER_SENT = (
    "cannot connect to the docker daemon",
    "permission denied",
    "no such container",
    "is not running",
    "cannot be run",
)
# docker's states of a container without processes.
ENDED = ("created", "exited", "dead")
# The bit of SIGQUIT in SigCgt.
SIGQUIT = 1 << (3 - 1)
# Process 1 of a container with `init: true`: it passes signals on to its child.
INIT = ("docker-init", "tini", "dumb-init")
# How docker's time begins for what has not happened.
NEVER = "0001-"
MARKED = ("yes", "by-hand")
# What Caddy answers in front of a server that does not.
BAD_GATEWAY = (502, 503, 504)
CUT_OFF = "its answer was truncated"


@dataclass(frozen=True)
class _ContainerState:
    """A container as docker shows it. `start`: when it was started, by docker's clock."""

    state: str = ""
    restarts: int = 0
    start: str = ""


@dataclass
class _Lines:
    """What was printed, line by line.

    `agents`: the processes of each agent's container, as name and mask of the signals it catches.
    """

    containers: dict[str, _ContainerState] = field(default_factory=dict)
    agents: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    signals: list[Signal] = field(default_factory=list)
    gauges: dict[str, float] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


def parse_look(text: str) -> NodeStatus | str:
    """Return what the node shows, or why nothing was seen there."""
    lines = _Lines()
    for line in text.splitlines():
        if line == "end":
            return _look(lines)
        key, _, value = line.partition("=")
        if key == "refused":
            return strip_invisible(value) or "docker did not answer"
        if not _add(lines, key, value, line):
            return f"a line of its answer is not understood: {strip_invisible(line)[:80]}"
    return CUT_OFF


def _add(lines: _Lines, key: str, value: str, line: str) -> bool:
    """Add a line. False when it cannot be parsed."""
    match key:
        case "container":
            return _add_container(lines, value)
        case "process":
            container, _, process = value.partition(" ")
            name, _, mask = process.strip().rpartition(" ")
            lines.agents.setdefault(container, []).append((name, mask))
        case "signal":
            _add_signal(lines.signals, value)
        case _ if line.startswith("livekit_"):
            _add_gauge(lines.gauges, line)
        case _:
            lines.values[key] = value
    return True


def _add_container(lines: _Lines, value: str) -> bool:
    """Add `NAME=LABEL STATE PID RESTARTS START`. False when it has another shape."""
    fields = value.split()
    if len(fields) != 5 or not fields[3].isdigit():
        return False
    name, _, label = fields[0].partition("=")
    lines.containers[name] = _ContainerState(fields[1], int(fields[3]), fields[4])
    if label == "true":
        lines.agents.setdefault(name, [])
    return True


def _add_signal(signals: list[Signal], value: str) -> None:
    """Add `begin NAME`, `sent NAME` or `refused NAME REASON`; an attempt's last line counts."""
    event, _, rest = value.partition(" ")
    name, _, reason = rest.partition(" ")
    if event == "begin":
        signals.append(Signal(name, SignalResult.UNSURE, "begun"))
        return
    for index in range(len(signals) - 1, -1, -1):
        if signals[index].container == name:
            signals[index] = Signal(name, _delivery(event, reason), strip_invisible(reason))
            return


def _delivery(event: str, reason: str) -> SignalResult:
    if event != "refused":
        return SignalResult.SENT
    if any(text in reason.lower() for text in NEVER_SENT):
        return SignalResult.REFUSED
    return SignalResult.UNSURE


def _add_gauge(gauges: dict[str, float], line: str) -> None:
    name, number = re.split(r"[{ ]", line, maxsplit=1)[0], line.rsplit(" ", 1)[-1]
    try:
        gauges[name] = gauges.get(name, 0.0) + float(number)
    except ValueError:
        return


def _look(lines: _Lines) -> NodeStatus:
    server = lines.containers.get("openvidu", _ContainerState())
    running = tuple(name for name, c in lines.containers.items() if c.state not in ENDED)
    return NodeStatus(
        start=_start(server),
        running=running,
        restarting=tuple(n for n in running if lines.containers[n].state == "restarting"),
        restarts=server.restarts,
        agents=tuple(Agent(n, _quit(p)) for n, p in lines.agents.items() if n in running),
        livekit=_livekit(lines.values.get("livekit", "")),
        drain_marked=lines.values.get("marked") in MARKED,
        signals=tuple(lines.signals),
        marker_problem=strip_invisible(lines.values.get("unmarked", "")),
        rooms=_metric(lines.gauges, "livekit_room_total"),
        people=_metric(lines.gauges, "livekit_participant_total"),
        recordings=_recordings(lines, running),
    )


def _start(server: _ContainerState) -> str:
    return "" if server.start.startswith(NEVER) else server.start


def _quit(processes: list[tuple[str, str]]) -> SigquitEffect:
    """Return what the container's processes, its first one first, do with SIGQUIT."""
    try:
        handlers = [(name, bool(int(mask, 16) & SIGQUIT)) for name, mask in processes]
    except ValueError:
        return SigquitEffect.UNKNOWN
    match handlers:
        case []:
            return SigquitEffect.UNKNOWN
        case [(name, handles), *_] if name not in INIT:
            return SigquitEffect.DRAINS if handles else SigquitEffect.DEAF
        case [_]:
            return SigquitEffect.UNKNOWN
        case [_, *children]:
            all_handle = all(handles for _, handles in children)
            return SigquitEffect.DRAINS if all_handle else SigquitEffect.DIES
    raise AssertionError("every list is one of these")


def _number(text: str, otherwise: str) -> Observed[int]:
    return int(text) if text.isdigit() else Unobserved(otherwise)


def _livekit(text: str) -> Observed[int]:
    """Return LiveKit's status; 0 when nothing answers there, or only a proxy in front of it."""
    status = _number(text, "LiveKit's port was not asked")
    return 0 if status in BAD_GATEWAY else status


def _metric(gauges: dict[str, float], name: str) -> Observed[int]:
    return int(gauges[name]) if name in gauges else Unobserved("its metrics do not answer")


def _recordings(lines: _Lines, running: tuple[str, ...]) -> Observed[int]:
    """Return how many recordings run: none in an egress container that is seen not to run."""
    if "egress" not in running:
        return 0
    return _number(
        lines.values.get("recordings", ""), "docker did not list the egress container's jobs"
    )
