"""What docker shows of a container: the fields of `--format`, filters, and its identity."""

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from simulators.estate import Container

FIELD = re.compile(r"\{\{\s*(json\s+)?\.([\w.]+)(?:\s+\"([^\"]*)\")?\s*\}\}")
INDEXED = re.compile(r"\{\{\s*index\s+\.Config\.Labels\s+\"([^\"]*)\"\s*\}\}")
EXITED = "0001-01-01T00:00:00Z"


def filled(form: str, container: Container) -> str:
    """The template with the container's values."""
    values = _values(container)

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return json.dumps(_whole(container).get(match[2], values.get(match[2])))
        return (
            container.labels.get(match[3], "")
            if match[2] == "Label"
            else values.get(match[2], "<no value>")
        )

    return FIELD.sub(value, INDEXED.sub(lambda m: container.labels.get(m[1], ""), form))


def _values(container: Container) -> Mapping[str, str]:
    state = {
        k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in _state(container).items()
    }
    return {
        "Names": container.name, "Name": f"/{container.name}", "ID": identity(container), "Id": identity(container),
        "Image": container.image, "State": container.status, "Status": _in_words(container), "RestartCount": str(container.restarts),
        "Labels": ",".join(f"{k}={v}" for k, v in container.labels.items()), **{f"State.{k}": v for k, v in state.items()},
    }  # fmt: skip


def _state(container: Container) -> dict[str, str | bool | int]:
    return {
        "Status": container.status, "Running": container.running, "Paused": container.status == "paused",
        "Restarting": container.restarting, "OOMKilled": False, "Dead": container.status == "dead",
        "Pid": container.pid if container.up else 0, "ExitCode": 0 if container.up else container.exit_code, "Error": "",
        "StartedAt": container.started_at, "FinishedAt": EXITED,
    }  # fmt: skip


def _whole(container: Container) -> dict[str, object]:
    return {
        "State": _state(container), "Name": f"/{container.name}", "Id": identity(container), "RestartCount": container.restarts,
        "Config.Labels": container.labels, "Image": container.image,
    }  # fmt: skip


def _in_words(container: Container) -> str:
    words = {"running": "Up 2 hours", "restarting": f"Restarting ({container.exit_code}) 5 seconds ago", "paused": "Up 2 hours (Paused)",
             "created": "Created", "dead": "Dead", "removing": "Removal In Progress"}  # fmt: skip
    return words.get(container.status, f"Exited ({container.exit_code}) 1 minute ago")


def passes(container: Container, condition: str) -> bool:
    """Whether a `--filter` lets it through."""
    key, _, value = condition.partition("=")
    if key == "label":
        name, has_value, wanted = value.partition("=")
        return name in container.labels and (not has_value or container.labels[name] == wanted)
    if key == "name":
        return bool(re.search(value, container.name))
    return fnmatchcase(container.status, value)


def identity(container: Container) -> str:
    """Its short id."""
    return _hash(container.name + container.started_at)


@lru_cache(maxsize=1024)
def _hash(text: str) -> str:
    return f"{abs(sum(ord(c) * 31**n for n, c in enumerate(text))) % 16**12:012x}"


def process_status(container: Container) -> str:
    """`/proc/PID/status` of its first process: which signals it catches."""
    names = {
        "drains": "python" if container.labels else container.name,
        "deaf": "python",
        "dies": "docker-init",
    }
    caught = {"drains": 0x4006, "deaf": 0x4002, "dies": 0}[
        container.quits
    ]  # INT and TERM, and QUIT with the first
    blocked = (
        0xFFFFFFFE7FFBFEFF if container.quits == "dies" else 0
    )  # a docker-init waits for every signal, and hands it on
    return (
        f"Name:\t{names[container.quits]}\nState:\tS (sleeping)\nPid:\t{container.pid}\nPPid:\t1180\nSigQ:\t0/31197\n"
        f"SigPnd:\t{0:016x}\nShdPnd:\t{0:016x}\nSigBlk:\t{blocked:016x}\nSigIgn:\t{0:016x}\nSigCgt:\t{caught:016x}\n"
    )


def children(container: Container) -> str:
    """`/proc/PID/task/PID/children`: an init process has the program itself as its child."""
    return f"{container.pid + 1} " if container.quits == "dies" else ""


def child_status(container: Container) -> str:
    """`/proc/PID/status` of that child: a python with handlers for INT and TERM only."""
    return f"Name:\tpython\nState:\tS (sleeping)\nPid:\t{container.pid + 1}\nSigBlk:\t{0:016x}\nSigCgt:\t{0x4002:016x}\n"
