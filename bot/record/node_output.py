"""What a recording keeps of the output of the bot's scripts on nodes. Pure.

Each line is taken apart as `services.cloud.node_look` and `node_report` do. What is not of a known
form is only counted: messages of docker, log lines, and whatever else was printed.
"""

import re
from typing import Any

from bot.record.redaction import Redaction
from services.cloud import node_scripts as scripts

Json = dict[str, Any]
SCRIPTS = {
    scripts.LOOK: "look",
    scripts.INSPECT: "inspect",
    scripts.RESTART: "restart openvidu",
    scripts.STOP: "stop openvidu",
    scripts.START_UNIT: "begin openvidu",
    scripts.UNIT: "state of openvidu",
    scripts.START: "start of openvidu",
    scripts.HEALTH: "health on the node",
    scripts.READ_SECRETS: "read secrets.env",
    scripts.WRITE_SECRETS: "write secrets.env",
    "date +%s": "date",
    "id -u": "user id",
}
DRAIN = re.compile(r"\nwant=[^\n]*\ntoken=[^\n]*\nif .*nohup setsid sh -c ", re.DOTALL)
# Containers of OpenVidu, and first processes of containers, by their published names.
_CONTAINERS = """
openvidu ingress egress caddy dashboard grafana loki mimir minio mongo promtail prometheus redis
redis-server redis-sentinel openvidu-meet operator setup ready-check v2compatibility
openvidu-v2compatibility redis-node openvidu-operator
"""
CONTAINERS = frozenset(_CONTAINERS.split())
_PROCESSES = "docker-init tini dumb-init python python3 node java livekit-server sh"
PROCESSES = frozenset(_PROCESSES.split())
_STATES = "created running paused restarting removing exited dead unknown"
STATES = frozenset(_STATES.split())
_UNITS = "active inactive failed activating deactivating reloading unknown"
UNITS = frozenset(_UNITS.split())
GAUGES = frozenset({"livekit_room_total", "livekit_participant_total"})
SIGNALS = frozenset({"begin", "sent", "refused"})
# Of a file only whether it is there, and what became of a write: never its content or its digest.
SECRETS_WORDS = frozenset({"absent", "written", "changed", "failed"})
DRAIN_WORDS = frozenset({"begun", "already", "other-start", "unmarked", "refused"})
MOST_LINES = 200


def script_of(command: str) -> str:
    """Return the name of a script; of any other command only that it is one."""
    if command in SCRIPTS:
        return SCRIPTS[command]
    return "drain" if DRAIN.search(command) else "another command"


def read_output(script: str, text: str, redaction: Redaction) -> list[Json]:
    """Return what is kept of the lines that a script printed."""
    lines = text.splitlines()
    kept: list[Json] = []
    others = max(0, len(lines) - MOST_LINES)
    for line in lines[:MOST_LINES]:
        found = _read(script, line, redaction)
        if found is None:
            others += 1
        else:
            kept.append(found)
    if others:
        kept.append({"line": "other", "count": others})
    return kept


def _read(script: str, line: str, redaction: Redaction) -> Json | None:
    match script:
        case "look":
            return _look(line, redaction)
        case "inspect":
            return _inspect(line, redaction)
        case "drain":
            word = line.partition(" ")[0]
            return {"line": "drain", "result": word} if word in DRAIN_WORDS else None
        case "start of openvidu" if re.fullmatch(r"[0-9a-f]{32}", line):
            return {"line": "start", "id": redaction.value("id:start", line)}
        case "state of openvidu" if line in UNITS:
            return {"line": "unit", "state": line}
        case "health on the node" if re.fullmatch(r"\d{3}", line):
            return {"line": "health", "number": int(line)}
        case "read secrets.env" if re.fullmatch(r"[0-9a-f]{64} [A-Za-z0-9+/=]*", line):
            return {"line": "secrets", "result": "read"}
        case "read secrets.env" | "write secrets.env" if line in SECRETS_WORDS:
            return {"line": "secrets", "result": line}
        case "user id" if re.fullmatch(r"\d{1,5}", line):
            return {"line": "user", "root": line == "0"}
        case "date" if re.fullmatch(r"\d{9,11}", line):
            return {"line": "date", "at": redaction.value("epoch", line)}
    return None


def _look(line: str, redaction: Redaction) -> Json | None:
    if line == "end":
        return {"line": "end"}
    if line.startswith("livekit_"):
        return _gauge(line)
    key, _, value = line.partition("=")
    match key:
        case "container":
            return _container(value, redaction)
        case "process":
            return _process(value, redaction)
        case "signal":
            word, _, rest = value.partition(" ")
            name = _name(rest.partition(" ")[0], redaction)
            return {"line": "signal", "result": word, "name": name} if word in SIGNALS else None
        case "marked" if value in {"yes", "by-hand"}:
            return {"line": "marked", "by": value}
        case "installed" if value == "no":
            return {"line": "installed", "docker": False}
        case "recordings" | "livekit" if re.fullmatch(r"\d{1,6}", value):
            return {"line": key, "number": int(value)}
        case "refused" | "unmarked":
            return {"line": key}
    return None


def _container(value: str, redaction: Redaction) -> Json | None:
    """Read `NAME=LABEL STATE PID RESTARTS START`."""
    parts = value.split()
    if len(parts) != 5 or parts[1] not in STATES or not parts[3].isdigit():
        return None
    name, _, label = parts[0].partition("=")
    return {
        "line": "container",
        "name": _name(name, redaction),
        "agent": label == "true",
        "state": parts[1],
        "running pid": parts[2].isdigit() and int(parts[2]) > 0,
        "restarts": min(int(parts[3]), 10**6),
        "start": redaction.moment(parts[4]),
    }


def _process(value: str, redaction: Redaction) -> Json | None:
    container, _, process = value.partition(" ")
    name, _, mask = process.strip().rpartition(" ")
    if not re.fullmatch(r"[0-9a-f]{16}", mask):
        return None
    return {
        "line": "process",
        "container": _name(container, redaction),
        "process": name if name in PROCESSES else redaction.pseudonyms.name("process", name),
        "hears SIGQUIT": bool(int(mask, 16) & 4),
    }


def _gauge(line: str) -> Json | None:
    name, number = re.split(r"[{ ]", line, maxsplit=1)[0], line.rsplit(" ", 1)[-1]
    if name not in GAUGES or not re.fullmatch(r"\d{1,6}(?:\.\d{1,3})?(?:e\+?\d{1,2})?", number):
        return None
    return {"line": "gauge", "name": name, "number": float(number)}


def _inspect(line: str, redaction: Redaction) -> Json | None:
    key, _, value = line.partition("=")
    if key == "unit" and value in UNITS:
        return {"line": "unit", "state": value}
    if key == "container":
        name, state, restarts = [*value.split(), "", "", ""][:3]
        if state in STATES and re.fullmatch(r"\d{1,6}", restarts):
            return {"line": "container", "name": _name(name, redaction), "state": state,
                "restarts": int(restarts)}  # fmt: skip
    if line == scripts.ERRORS:
        return {"line": "errors"}
    if line == scripts.LOG:
        return {"line": "log"}
    if key == "refused":
        return {"line": "refused"}
    return None


def _name(name: str, redaction: Redaction) -> str:
    return name if name in CONTAINERS else redaction.pseudonyms.name("container", name)
