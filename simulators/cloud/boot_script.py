"""How a master's boot script reads `secrets.env`: with sed and grep, and their hazards."""

import re

from simulators.cloud.model import Deployment, Edition
from simulators.evidence import Source, rests_on

SECRETS = "/opt/openvidu/secrets.env"
CLUSTER_ENV = "/opt/openvidu/config/cluster/openvidu.env"
MEET_ENV = "/opt/openvidu/config/cluster/master_node/meet.env"
NODE_ENV = "/opt/openvidu/config/node/master_node.env"
SINGLE_ENV = "/opt/openvidu/config/openvidu.env"
SINGLE_MEET_ENV = "/opt/openvidu/config/meet.env"
"""On Single Node, which has no files of a cluster."""
PRO_ONLY = ("OPENVIDU_PRO_LICENSE", "OPENVIDU_RTC_ENGINE")
ENGINES = ("pion", "mediasoup")
RANDOM44 = "Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Qq"
_DERIVED = {"OPENVIDU_URL": "https://{}/", "LIVEKIT_URL": "wss://{}/",
    "DASHBOARD_URL": "https://{}/dashboard/",
            "GRAFANA_URL": "https://{}/grafana/",
            "MINIO_URL": "https://{}/minio-console/"}  # fmt: skip


# What GNU sed takes for commands of its own behind a pipe that ends the replacement: `x|;e reboot
# #` runs a program, `x|w FILE` writes one.
COMMANDS = re.compile(r"(?:[^|\\]|\\.)*\|[egiImMp0-9\s]*[w;#]")


class SedError(Exception):
    """The boot script died on this line, so OpenVidu does not start."""


def seed(
    domain: str,
    secret: str,
    private_ips: list[str],
    key: str,
    api_secret: str,
    deployment: Deployment = "high availability",
    edition: Edition = "pro",
) -> dict[str, str]:
    """Return the values of a fresh deployment, in the order they were written.

    `secret` is one of them.
    """
    values = {
        "DOMAIN_NAME": domain, "MEET_INITIAL_ADMIN_USER": "admin",
        "MEET_INITIAL_ADMIN_PASSWORD": RANDOM44, "MEET_INITIAL_API_KEY": "meet-api-key-dummy",
        "REDIS_PASSWORD": RANDOM44, "MONGO_ADMIN_USERNAME": "mongoadmin",
        "MONGO_ADMIN_PASSWORD": RANDOM44, "MONGO_REPLICA_SET_KEY": RANDOM44,
        "MINIO_ACCESS_KEY": "minioadmin", "MINIO_SECRET_KEY": RANDOM44,
        "DASHBOARD_ADMIN_USERNAME": "dashboardadmin", "DASHBOARD_ADMIN_PASSWORD": secret,
        "GRAFANA_ADMIN_USERNAME": "grafanaadmin", "GRAFANA_ADMIN_PASSWORD": RANDOM44,
        "ENABLED_MODULES": "observability,openviduMeet", "LIVEKIT_API_KEY": key,
        "LIVEKIT_API_SECRET": api_secret, "OPENVIDU_PRO_LICENSE": "DUMMY-LICENSE-0000",
        "OPENVIDU_RTC_ENGINE": "pion", "OPENVIDU_VERSION": "3.6.1",
    }  # fmt: skip
    match deployment:
        case "high availability":
            values |= {f"MASTER_NODE_PRIVATE_IP_{n}": ip for n, ip in enumerate(private_ips, 1)}
        case "elastic":
            values["MASTER_NODE_PRIVATE_IP"] = private_ips[0]
        case "single node":
            values["ENABLED_MODULES"] += ",v2compatibility"
            del values["OPENVIDU_VERSION"]
    if edition == "community":
        values = {name: value for name, value in values.items() if name not in PRO_ONLY}
        values["ENABLED_MODULES"] = "observability,openviduMeet"
    if deployment != "single node":
        values["ALL_SECRETS_GENERATED"] = "true"
    return values | {name: form.format(domain) for name, form in _DERIVED.items()}


def text(values: dict[str, str]) -> bytes:
    """Return the content of a file with these values."""
    return "".join(f"{key}={value}\n" for key, value in values.items()).encode()


def home(key: str, *, single: bool = False) -> str:
    """Return the configuration file of a master, or of Single Node, that holds this key."""
    if single:
        return SINGLE_MEET_ENV if key.startswith("MEET_INITIAL_") else SINGLE_ENV
    if key.startswith("MEET_INITIAL_"):
        return MEET_ENV
    return NODE_ENV if key == "REDIS_PASSWORD" else CLUSTER_ENV


def first_files(values: dict[str, str], *, single: bool = False) -> dict[str, bytes]:
    """Return the configuration files as the installer wrote them."""
    files: dict[str, dict[str, str]] = {}
    for path in (SINGLE_ENV, SINGLE_MEET_ENV) if single else (CLUSTER_ENV, MEET_ENV, NODE_ENV):
        files[path] = {}
    for key, value in values.items():
        if not key.startswith(
            ("MASTER_NODE_PRIVATE_IP", "OPENVIDU_VERSION", "ALL_SECRETS")
        ) and not key.endswith("_URL"):
            files[home(key, single=single)][key] = value
    return {path: text(pairs) for path, pairs in files.items()}


def copy_into(files: dict[str, bytes], source: bytes) -> list[str]:
    """Copy every key of `source` into the configuration files that have it, as at boot.

    Returns the keys whose values ran as commands on the way.

    Raises:
        SedError: on the values on which sed dies.
    """
    ran = []
    for line in source.decode(errors="replace").split("\n")[
        :-1
    ]:  # `while read` drops a last line without newline.
        key, _, value = line.partition("=")
        if (
            value.endswith("=") and value.count("=") == 1
        ):  # `read` with IFS== drops one trailing separator.
            value = value[:-1]
        path = home(key, single=SINGLE_ENV in files)
        old = files.get(path, b"").decode()
        was = re.search(rf"^{re.escape(key)}=(.*)$", old, re.MULTILINE)
        if not value or was is None:
            continue
        if COMMANDS.match(value):
            ran.append(key)
            value = value.partition("|")[0]
        files[path] = old.replace(was[0], f"{key}={_replacement(value, was[0])}", 1).encode()
    return ran


def _replacement(value: str, matched: str) -> str:
    if "|" in value or re.search(r"\\[1-9]", value):
        raise SedError("sed: -e expression #1, char 30: unknown option to `s'")
    return value.replace("&", matched)


def engine_is_known(files: dict[str, bytes]) -> bool:
    """Return whether OpenVidu's own check of its configuration passes."""
    config = files.get(SINGLE_ENV, files.get(CLUSTER_ENV, b""))
    line = re.search(rb"^OPENVIDU_RTC_ENGINE=(.*)$", config, re.MULTILINE)
    return line is None or line[1].decode(errors="replace") in ENGINES


rests_on(
    "masters",
    Source.EXECUTED,
    "the vendor's expression with GNU sed",
    "a value of secrets.env may run as a command of sed",
)
