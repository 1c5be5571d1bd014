"""The keys of `secrets.env`: use, secrecy, whether each may be changed, and the consequences."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from services.secrets_env import formats as forms
from services.secrets_env.formats import ValueFormat

CLUSTER = "config/cluster/openvidu.env"
MEET = "config/cluster/master_node/meet.env"
NODE = "config/node/master_node.env"
INSTALL = "read by new nodes while they install"
INFORMATION = "for information only"


class ChangePolicy(StrEnum):
    """Whether a key may be changed."""

    ALLOW = "allow"
    # It may; `breaks` says what stops working until a person acts.
    GUARDED = "guarded"
    # It may not; `why` says the reason, and what to do instead.
    REFUSED = "refused"


@dataclass(frozen=True)
class SecretsKey:
    """A key. One that may be changed has a format, one that may not has the reason.

    `todo`: what people have to do after a change.
    """

    name: str
    goes_to: str
    policy: ChangePolicy
    secret: bool = False
    form: ValueFormat | None = None
    breaks: str = ""
    todo: str = ""
    why: str = ""


_MEET_ONCE = "used only at first start. Change it in OpenVidu Meet"
_MONGO_USER = (
    "the database stored it at first start; a change here would lock OpenVidu out of its database"
)
_MONGO_KEY = "the database keeps the key of its first start; no master with another one can join it"
_REDIS = (
    "each master keeps its own copy; after a restart with another one it reaches no other master. "
    "To change it, stop OpenVidu on all nodes and edit it manually"
)
_MINIO = "not used: recordings and data are in Spaces, not in MinIO"
_VERSION = (
    "new media nodes install this version, which must equal the masters' version. "
    "It changes with an OpenVidu upgrade"
)
_ADDRESS = "new nodes find the masters by this address; it is set by the droplets"
_GATE = "new media nodes wait for it; without it their installation fails after 30 min"
_URL = "derived from DOMAIN_NAME: change that instead"
_CLIENTS = (
    "every app and every server that creates tokens is refused until it has the new value, "
    "including this bot"
)
_MEETINGS = (
    "OpenVidu also applies it to the media nodes; "
    "whether running meetings continue is not documented"
)
_APPS = "set the new value in every app, and in this bot's settings"
_DASHBOARD = "give the new value to the dashboard's users"
_GRAFANA = (
    "Grafana may keep the first value in its own database: "
    "then the old one still works, and the new one does not"
)
_GRAFANA_LOGIN = "log in to Grafana to verify"


def _refused(name: str, goes_to: str, why: str, *, secret: bool = False) -> SecretsKey:
    return SecretsKey(name, goes_to, ChangePolicy.REFUSED, secret, why=why)


_TABLE = (
    SecretsKey(
        "DOMAIN_NAME",
        CLUSTER,
        ChangePolicy.GUARDED,
        form=forms.DOMAIN,
        breaks=(
            "the old address stops working for everyone; a new certificate must be issued; "
            "the 5 URLs in the file are outdated"
        ),
        todo=(
            "point the new name's DNS at the load balancer before the restart, "
            "and change the address in the apps"
        ),
    ),
    _refused("MEET_INITIAL_ADMIN_USER", MEET, _MEET_ONCE),
    _refused("MEET_INITIAL_ADMIN_PASSWORD", MEET, _MEET_ONCE, secret=True),
    _refused("MEET_INITIAL_API_KEY", MEET, _MEET_ONCE, secret=True),
    _refused("REDIS_PASSWORD", NODE, _REDIS, secret=True),
    _refused("MONGO_ADMIN_USERNAME", CLUSTER, _MONGO_USER),
    _refused("MONGO_ADMIN_PASSWORD", CLUSTER, _MONGO_USER, secret=True),
    _refused("MONGO_REPLICA_SET_KEY", CLUSTER, _MONGO_KEY, secret=True),
    _refused("MINIO_ACCESS_KEY", CLUSTER, _MINIO),
    _refused("MINIO_SECRET_KEY", CLUSTER, _MINIO, secret=True),
    SecretsKey(
        "DASHBOARD_ADMIN_USERNAME",
        CLUSTER,
        ChangePolicy.ALLOW,
        form=forms.USERNAME,
        todo=_DASHBOARD,
    ),
    SecretsKey(
        "DASHBOARD_ADMIN_PASSWORD",
        CLUSTER,
        ChangePolicy.ALLOW,
        secret=True,
        form=forms.PASSWORD,
        todo=_DASHBOARD,
    ),
    SecretsKey(
        "GRAFANA_ADMIN_USERNAME",
        CLUSTER,
        ChangePolicy.GUARDED,
        form=forms.USERNAME,
        breaks=_GRAFANA,
        todo=_GRAFANA_LOGIN,
    ),
    SecretsKey(
        "GRAFANA_ADMIN_PASSWORD",
        CLUSTER,
        ChangePolicy.GUARDED,
        secret=True,
        form=forms.PASSWORD,
        breaks=_GRAFANA,
        todo=_GRAFANA_LOGIN,
    ),
    SecretsKey(
        "ENABLED_MODULES",
        CLUSTER,
        ChangePolicy.ALLOW,
        form=forms.MODULE_LIST,
        todo=(
            "a new module also needs its webhook in livekit.yaml "
            "(OpenVidu's page on enabling and disabling modules)"
        ),
    ),
    SecretsKey(
        "LIVEKIT_API_KEY",
        CLUSTER,
        ChangePolicy.GUARDED,
        secret=True,
        form=forms.API_KEY,
        breaks=f"{_CLIENTS}; {_MEETINGS}",
        todo=_APPS,
    ),
    SecretsKey(
        "LIVEKIT_API_SECRET",
        CLUSTER,
        ChangePolicy.GUARDED,
        secret=True,
        form=forms.API_SECRET,
        breaks=f"{_CLIENTS}; {_MEETINGS}",
        todo=_APPS,
    ),
    SecretsKey(
        "OPENVIDU_PRO_LICENSE", CLUSTER, ChangePolicy.ALLOW, secret=True, form=forms.LICENSE
    ),
    SecretsKey(
        "OPENVIDU_RTC_ENGINE", CLUSTER, ChangePolicy.ALLOW, form=forms.ENGINE, breaks=_MEETINGS
    ),
    _refused("OPENVIDU_VERSION", INSTALL, _VERSION),
    *(_refused(f"MASTER_NODE_PRIVATE_IP_{n}", INSTALL, _ADDRESS) for n in (1, 2, 3, 4)),
    _refused("MASTER_NODE_PRIVATE_IP", INSTALL, _ADDRESS),
    _refused("ALL_SECRETS_GENERATED", INSTALL, _GATE),
    *(
        _refused(f"{name}_URL", INFORMATION, _URL)
        for name in ("OPENVIDU", "LIVEKIT", "DASHBOARD", "GRAFANA", "MINIO")
    ),
)

KEYS: Mapping[str, SecretsKey] = MappingProxyType({key.name: key for key in _TABLE})

# Derived from DOMAIN_NAME by the first master at installation. Nothing updates them afterwards.
URLS: Mapping[str, str] = MappingProxyType(
    {
        "OPENVIDU_URL": "https://{}/",
        "LIVEKIT_URL": "wss://{}/",
        "DASHBOARD_URL": "https://{}/dashboard/",
        "GRAFANA_URL": "https://{}/grafana/",
        "MINIO_URL": "https://{}/minio-console/",
    }
)


# What a media node reads from the file while it installs. Up to OpenVidu 3.7 the addresses are in
# the file, later in bucket objects of their own.
ENGINE = "OPENVIDU_RTC_ENGINE"
READY_KEY = "ALL_SECRETS_GENERATED"
ADDRESSES = tuple(f"MASTER_NODE_PRIVATE_IP_{n}" for n in (1, 2, 3, 4))
# Of Elastic, which has one master.
ONLY_ADDRESS = "MASTER_NODE_PRIVATE_IP"
# Of these, what it puts into a command line, unquoted.
IN_A_COMMAND = frozenset({"REDIS_PASSWORD", "OPENVIDU_VERSION", ONLY_ADDRESS, *ADDRESSES})
# Credentials that databases and nodes were set up with: a master that boots with another value
# cannot log in.
LOGIN_KEYS = frozenset(
    {"REDIS_PASSWORD", "MONGO_ADMIN_USERNAME", "MONGO_ADMIN_PASSWORD", "MONGO_REPLICA_SET_KEY"}
)
# Written by every installation. The other keys are optional, informational, or unused after the
# first start.
INSTALLED_KEYS = tuple(
    key.name
    for key in _TABLE
    if key.goes_to not in {MEET, INFORMATION}
    and not key.name.startswith("MINIO_")
    and key.name not in {ONLY_ADDRESS, *ADDRESSES}
)


def nearest(name: str) -> str:
    """Return the key that was probably meant; "" if none is similar."""
    matches = difflib.get_close_matches(name.strip().upper().replace("-", "_"), KEYS, n=1)
    return next(iter(matches), "")
