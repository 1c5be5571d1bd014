"""The configuration files that may be edited: OpenVidu's own list, without what is one node's."""

from dataclasses import dataclass
from enum import StrEnum

from services.common.errors import Refused

LIVEKIT, GLOBAL, MEET = "livekit.yaml", "openvidu.env", "meet.env"
# Bytes; the largest file of a deployment has some 10,000.
LARGEST = 65_536


class Syntax(StrEnum):
    """How a file is written."""

    YAML = "YAML"
    ENV = "KEY=VALUE"


class Place(StrEnum):
    """The nodes whose services read a file."""

    EVERY = "every node"
    MASTERS = "the masters"
    MEDIA = "the media nodes"


@dataclass(frozen=True)
class ConfigFile:
    """A file below `/opt/openvidu/config`.

    `path`: with several nodes. `single`: where one node has everything; "" if there is none.
    `restarts`: the services that read it, and are restarted when it changes.
    """

    name: str
    path: str
    single: str
    syntax: Syntax
    place: Place
    restarts: tuple[str, ...] = ()

    @property
    def ends_meetings(self) -> bool:
        """Whether its change restarts the media servers of all nodes."""
        return "openvidu" in self.restarts

    def path_in(self, layout: str) -> str:
        """Return its path below the directory of the configuration."""
        return self.single if layout == "flat" else self.path


def _master(name: str, *restarts: str, single: str = "", alias: str = "") -> ConfigFile:
    syntax = Syntax.YAML if name.endswith(".yaml") else Syntax.ENV
    return ConfigFile(
        alias or name, f"cluster/master_node/{name}", single, syntax, Place.MASTERS, restarts
    )


def _media(name: str, *restarts: str, single: str = "", alias: str = "") -> ConfigFile:
    return ConfigFile(
        alias or name, f"cluster/media_node/{name}", single, Syntax.YAML, Place.MEDIA, restarts
    )


# openvidu.env is read by every service: which ones a change restarts depends on the key.
FILES: tuple[ConfigFile, ...] = (
    ConfigFile(
        GLOBAL,
        "cluster/openvidu.env",
        "openvidu.env",
        Syntax.ENV,
        Place.EVERY,
        ("openvidu", "the services that use the key"),
    ),
    _media(LIVEKIT, "openvidu", single=LIVEKIT),
    _media("egress.yaml", "egress", single="egress.yaml"),
    _media("ingress.yaml", "ingress", single="ingress.yaml"),
    _media("prometheus.yaml", "prometheus", single="prometheus.yaml"),
    _media(
        "agent-speech-processing.yaml",
        "agent-speech-processing",
        single="agent-speech-processing.yaml",
    ),
    _media("caddy.yaml", "caddy", alias="media_node/caddy.yaml"),
    _media("promtail.yaml", "promtail", alias="media_node/promtail.yaml"),
    _master("caddy.yaml", "caddy", single="caddy.yaml", alias="master_node/caddy.yaml"),
    _master("promtail.yaml", "promtail", single="promtail.yaml", alias="master_node/promtail.yaml"),
    _master(MEET, "openvidu-meet", single=MEET),
    _master("app.env", "openvidu-meet", single="app.env"),
    _master("dashboard.env", "dashboard", single="dashboard.env"),
    _master("loki.yaml", "loki", single="loki.yaml"),
    _master("mimir.yaml", "mimir"),
    _master("operator.env", "operator"),
    _master("v2compatibility.env", "openvidu-v2compatibility", single="v2compatibility.env"),
)
_BY_NAME = {file.name: file for file in FILES}

_ONE_NODE = (
    "each node has a file of its own, which OpenVidu does not copy to the others. "
    "Change it on the node over SSH"
)
_DATABASE = (
    "its change restarts a database on all masters at once. "
    "Change it over SSH, in a maintenance window"
)
_BUCKET = "it is in the bucket, not on the nodes: use [[command config set KEY]]"
# Files of OpenVidu's page that are refused, and why.
REFUSED = {
    "master_node.env": _ONE_NODE,
    "media_node.env": _ONE_NODE,
    "mongo.env": _DATABASE,
    "redis.env": _DATABASE,
    "minio.env": _DATABASE,
    "grafana": "it is a directory of dashboards: change them in Grafana",
    "secrets.env": _BUCKET,
}


def file_named(name: str) -> ConfigFile:
    """Return the file that is meant. Refused, with the reason, for what may not be edited."""
    typed = name.strip().strip("`").removeprefix("/opt/openvidu/config/").strip("/")
    for file in FILES:
        if typed in (file.name, file.path, file.path.removeprefix("cluster/")):
            return file
    same = [file.name for file in FILES if file.path.rpartition("/")[2] == typed]
    if len(same) == 1:
        return _BY_NAME[same[0]]
    if same:
        raise Refused(f"there are several: {' and '.join(f'`{n}`' for n in same)}. Name one")
    last = typed.rpartition("/")[2]
    if reason := REFUSED.get(last) or REFUSED.get(typed.partition("/")[0]):
        raise Refused(f"`{last}` is not edited here: {reason}")
    raise Refused(
        "that is no configuration file of OpenVidu. [[command config file list]] lists those "
        "that can be edited"
    )


def is_known(name: str) -> bool:
    """Return whether a stored name still is one of the list."""
    return name in _BY_NAME


def known_file(name: str) -> ConfigFile:
    """Return the file of a stored name. Refused if this version knows none."""
    if name not in _BY_NAME:
        raise Refused("this version of the bot does not edit that file. Nothing was changed")
    return _BY_NAME[name]
