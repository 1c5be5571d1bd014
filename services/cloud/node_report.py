"""A node's report of itself, safe to display: bounded, and masked where it looks secret. Pure."""

import re
from dataclasses import dataclass

from services.cloud import node_scripts as scripts
from services.cluster.model import Cluster, Droplet, MediaNode
from services.cluster.node_condition import NodeCondition
from services.common.text import strip_invisible
from services.secrets_env import KEYS
from services.secrets_env.mask import MASK

LINES = 12
LONGEST = 180
# Parts of the names of secrets.
_SENSITIVE = (
    r"pass(?:word|wd|phrase)?|secret|token|credential|licen[sc]e|auth"
    r"|signature|(?:api|access|private|set|stream)[_ -]?key"
)
_NAMES = "|".join(re.escape(key) for key, known in KEYS.items() if known.secret)
_VALUE = r"(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&]+)"
_ASSIGNED = re.compile(
    rf"((?:[\w.-]*(?:{_SENSITIVE})[\w.-]*|{_NAMES})[\"']?\s*[=:]\s*){_VALUE}", re.IGNORECASE
)
_OPTION = re.compile(rf"((?!--no-)--?[\w-]*(?:{_SENSITIVE})[\w-]*\s+){_VALUE}", re.IGNORECASE)
_HEADER = re.compile(r"((?:bearer|basic)\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
# What a browser sends back to be known again, to the end of the line: there may be several.
_COOKIE = re.compile(r"((?:set-)?cookie2?[\"']?\s*[:=]\s*)\S.*", re.IGNORECASE)
# A key of LiveKit before its secret, and the stream key at the end of an RTMP address.
_PAIR = re.compile(rf"(\bAPI[A-Za-z0-9]{{5,}}[\"']?\s*[:=]\s*){_VALUE}")
_STREAM = re.compile(r"(\brtmps?://[^\s/]+/[^\s/]+/)[^\s\"',;]+", re.IGNORECASE)
# Of programs whose options have one letter: redis-cli, mongosh and mysql, curl.
_SHORT_OPTION = re.compile(
    rf"(\b(?:redis-cli|redis-benchmark|valkey-cli)\b[^|;&]*?\s-a\s*"
    rf"|\b(?:mongo(?:sh|dump|restore|export|import)?|mysql|mysqldump)\b[^|;&]*?\s-p\s*"
    rf"|\b(?:curl|wget)\b[^|;&]*?\s(?:-u|--user|--proxy-user)[\s=]*){_VALUE}"
)
# Names too short to look for everywhere, where they begin a parameter of a URL.
_PARAMETER = re.compile(r"([?&](?:pw|pwd|pass|key|sig|sign|code)=)[^\s&\"']+", re.IGNORECASE)
_IN_URL = re.compile(r"(\w+://[^\s/:@]*:)[^\s@]+(?=@)")
# The short options first: the words before them could be taken for a longer one's value.
FORMS = (
    _ASSIGNED,
    _SHORT_OPTION,
    _OPTION,
    _HEADER,
    _COOKIE,
    _PAIR,
    _STREAM,
    _PARAMETER,
    _IN_URL,
)
_SHAPES = re.compile(
    r"\bdo[opr]_v1_\w+"  # DigitalOcean's tokens
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JWT
    r"|\bxox[a-z]-[\w-]+|\bxapp-[\w-]+"
    r"|\b(?:AKIA|DO00)[A-Z0-9]{12,}"
    r"|-----BEGIN[^-]*-----.*"
    # A password as the installer makes it: long, with letters and digits.
    r"|(?<![\w/.-])(?=[\w+/=-]*[A-Za-z])(?=[\w+/=-]*\d)[\w+/=-]{32,}"
)


@dataclass(frozen=True)
class NodeInside:
    """What was seen on the node. Lines are masked and bounded.

    `unit`: systemd's state (active, inactive, failed), "" when there is no unit.
    `containers`: name, state and restarts of each.
    `errors`: the end of nodes_errors.log; empty is good. `log`: the end of the unit's journal.
    `refused`: why docker did not list its containers; "" when it did.
    """

    unit: str
    containers: tuple[tuple[str, str, int], ...]
    errors: tuple[str, ...]
    log: tuple[str, ...]
    refused: str = ""

    @property
    def troubled(self) -> tuple[tuple[str, str, int], ...]:
        """The containers that do not run, or that were restarted."""
        return tuple(c for c in self.containers if c[1] != "running" or c[2])


@dataclass(frozen=True)
class NodeReport:
    """One node, from outside and inside. `inside`: None if not reached; `trouble` is the reason.

    `conditions`: what the node reports of its disks, databases and clock; empty: not asked.
    """

    cluster: Cluster
    node: Droplet | MediaNode
    inside: NodeInside | None
    trouble: str = ""
    conditions: tuple[NodeCondition, ...] = ()


def read_inspection(text: str) -> NodeInside:
    """Parse what `node_scripts.INSPECT` prints."""
    head, _, rest = text.partition(f"{scripts.ERRORS}\n")
    errors, _, log = rest.rpartition(f"{scripts.LOG}\n")
    unit, refused, containers = "", "", []
    for line in head.splitlines():
        key, _, value = line.partition("=")
        if key == "unit":
            unit = value
        elif key == "refused":
            refused = masked(strip_invisible(value))
        elif key == "container":
            containers.append(_container(value))
    return NodeInside(unit, tuple(containers), _last_lines(errors), _last_lines(log), refused)


def masked(line: str) -> str:
    """Return the line without anything that looks like a secret."""
    for form in FORMS:
        line = form.sub(rf"\g<1>{MASK}", line)
    return _SHAPES.sub(MASK, line)


def _container(value: str) -> tuple[str, str, int]:
    """Parse `NAME STATE RESTARTS`, of which the last two may be missing."""
    name, state, restarts = [*value.split(), "", "", ""][:3]
    return name, state or "unknown", int(restarts) if restarts.isdigit() else 0


def _last_lines(text: str) -> tuple[str, ...]:
    # Masked before it is cut: half a secret has no name before it.
    lines = [masked(line.rstrip()) for line in text.splitlines() if line.strip()]
    return tuple(_cut(line) for line in lines[-LINES:])


def _cut(line: str) -> str:
    if len(line) <= LONGEST:
        return line
    return line[: LONGEST - 1] + "…"
