"""What one node says of itself, made fit to be shown: bounded, and with everything that looks like a secret masked. Pure."""

import re
from dataclasses import dataclass

from services.cloud import node_scripts as scripts
from services.cluster.model import Cluster, Droplet, MediaNode
from services.common.text import printable
from services.secrets_env import KEYS
from services.secrets_env.mask import MASK

LINES = 12
LONGEST = 180
_SECRET = r"pass(?:word|wd|phrase)?|secret|token|credential|licen[sc]e|auth|(?:api|access|private|set)[_-]?key"  # noqa: S105 - their names
_NAMES = "|".join(re.escape(key) for key, known in KEYS.items() if known.secret)
_VALUE = r"(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&]+)"
_ASSIGNED = re.compile(
    rf"((?:[\w.-]*(?:{_SECRET})[\w.-]*|{_NAMES})[\"']?\s*[=:]\s*){_VALUE}", re.IGNORECASE
)
_OPTION = re.compile(rf"(--?[\w-]*(?:{_SECRET})[\w-]*\s+){_VALUE}", re.IGNORECASE)
_HEADER = re.compile(r"((?:bearer|basic)\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
_IN_URL = re.compile(r"(\w+://[^\s/:@]*:)[^\s@]+(?=@)")
_SHAPES = re.compile(
    r"\bdo[opr]_v1_\w+"  # DigitalOcean's tokens
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JWT
    r"|\bxox[a-z]-[\w-]+|\bxapp-[\w-]+"
    r"|\b(?:AKIA|DO00)[A-Z0-9]{12,}"
    r"|-----BEGIN[^-]*-----.*"
    r"|(?<![\w/.-])(?=[\w+/=-]*[A-Za-z])(?=[\w+/=-]*\d)[\w+/=-]{32,}"  # as the installer makes its passwords: long, and no word
)


@dataclass(frozen=True)
class Inside:
    """What was seen on the node. Lines are masked and bounded."""

    unit: str  # as systemd says it: active, inactive, failed; "" when there is none
    containers: tuple[tuple[str, str, int], ...]  # name, state, restarts
    errors: tuple[str, ...]  # the end of nodes_errors.log; nothing is good
    log: tuple[str, ...]  # the end of the unit's journal
    refused: str = ""  # why docker did not list its containers; "" when it did

    @property
    def troubled(self) -> tuple[tuple[str, str, int], ...]:
        """The containers that do not run, or did not run through."""
        return tuple(c for c in self.containers if c[1] != "running" or c[2])


@dataclass(frozen=True)
class NodeReport:
    """One node, from outside and from inside. `inside` is None when it could not be reached; `trouble` says why."""

    cluster: Cluster
    node: Droplet | MediaNode
    inside: Inside | None
    trouble: str = ""


def read_inspection(text: str) -> Inside:
    """Read what `scripts.INSPECT` prints."""
    head, _, rest = text.partition(f"{scripts.ERRORS}\n")
    errors, _, log = rest.rpartition(f"{scripts.LOG}\n")
    unit, refused, containers = "", "", []
    for line in head.splitlines():
        key, _, value = line.partition("=")
        if key == "unit":
            unit = value
        elif key == "refused":
            refused = masked(printable(value))
        elif key == "container":
            name, state, restarts = [*value.split(), "", "", ""][:3]
            containers.append(
                (name, state or "unknown", int(restarts) if restarts.isdigit() else 0)
            )
    return Inside(unit, tuple(containers), _shown(errors), _shown(log), refused)


def masked(line: str) -> str:
    """The line without anything that looks like a secret."""
    for form in (_ASSIGNED, _OPTION, _HEADER, _IN_URL):
        line = form.sub(rf"\g<1>{MASK}", line)
    return _SHAPES.sub(MASK, line)


def _shown(text: str) -> tuple[str, ...]:
    # Masked before it is cut: the end of a secret that was cut in half has no name before it.
    lines = [masked(line.rstrip()) for line in text.splitlines() if line.strip()]
    return tuple(
        line if len(line) <= LONGEST else line[: LONGEST - 1] + "…" for line in lines[-LINES:]
    )
