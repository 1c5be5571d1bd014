"""OpenVidu's configuration files: how a master's start checks, copies and applies them."""

import hashlib
import re

import yaml

from simulators.cloud import boot_script
from simulators.cloud.containers import Containers
from simulators.cloud.crashes import Crashes
from simulators.cloud.model import SimulatedContainer, SimulatedDroplet, stamp
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

ROOT = "/opt/openvidu/config"
CLUSTER = f"{ROOT}/cluster"
ERRORS_LOG = "/var/log/openvidu/nodes_errors.log"
INIT = "openvidu-init"
PORTS = {"MEET_INTERNAL_PORT": "9080", "OPENVIDU_V2COMPAT_INTERNAL_PORT": "4443"}
# The containers of each module on a master.
MODULES = {
    "openviduMeet": ("openvidu-meet",),
    "observability": ("grafana", "loki", "mimir"),
    "v2compatibility": ("openvidu-v2compatibility",),
}
SELECTORS = ("any", "cpuload", "sysload", "regionaware", "random")
LIVEKIT = """# OpenVidu Server
port: 7880
bind_addresses:
  - ""
rtc:
  tcp_port: 7881
  port_range_start: 50000
  port_range_end: 60000
  use_external_ip: false
  turn_servers:
    - host: turn.example.com
      port: 443
      protocol: tls
      username: openvidu
      credential: @SECRET@
redis:
  sentinel_master_name: openvidu
  sentinel_password: ${openvidu.REDIS_PASSWORD:-}
keys:
  ${openvidu.LIVEKIT_API_KEY:?mandatory}: ${openvidu.LIVEKIT_API_SECRET:?mandatory}
room:
  auto_create: true
  max_participants: 0
  empty_timeout: 300
webhook:
  api_key: ${openvidu.LIVEKIT_API_KEY:?mandatory}
  urls:
    - http://@HOST@:${openvidu.MEET_INTERNAL_PORT:?mandatory}/livekit/webhook
logging:
  level: info
openvidu:
  cluster_id: ${openvidu.DOMAIN_NAME:?mandatory}
  analytics:
    enabled: true
    interval: 10s
    mongo_url: mongodb://mongoadmin:@SECRET@@127.0.0.1:20000/
"""
OTHERS = {
    "media_node/egress.yaml": "log_level: info\nws_url: ws://127.0.0.1:7880\n",
    "media_node/ingress.yaml": "log_level: info\nrtmp_port: 1935\n",
    "media_node/caddy.yaml": "admin:\n  disabled: true\n",
    "media_node/prometheus.yaml": "global:\n  scrape_interval: 15s\n",
    "master_node/caddy.yaml": "admin:\n  disabled: true\n",
    "master_node/dashboard.env": "LOG_LEVEL=info\nADMIN_PASSWORD=@SECRET@\n",
    "master_node/loki.yaml": "auth_enabled: false\n",
    "master_node/mimir.yaml": "multitenancy_enabled: false\n",
    "master_node/operator.env": "MODE=cluster\n",
    "master_node/v2compatibility.env": "V2COMPAT_OPENVIDU_WEBHOOK=false\n",
}
# The containers of a media node that read a file of its own.
READERS = {
    f"{CLUSTER}/media_node/livekit.yaml": "openvidu",
    f"{CLUSTER}/media_node/egress.yaml": "egress",
    f"{CLUSTER}/media_node/ingress.yaml": "ingress",
    f"{CLUSTER}/media_node/caddy.yaml": "caddy",
    f"{CLUSTER}/media_node/prometheus.yaml": "prometheus",
}
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_KEY = re.compile(r"openvidu\.(\w+)(:\?.*)?")


def secret_of(stack: str) -> str:
    """Return the secret that some of a stack's files hold."""
    return f"turn_{hashlib.sha1(stack.encode()).hexdigest()}"  # noqa: S324 - of no importance


def first_files(secret: str, host: str, *, single: bool) -> dict[str, bytes]:
    """Return the services' files as the installer wrote them. `secret` is in some of them."""
    texts = {"media_node/livekit.yaml": LIVEKIT.replace("@HOST@", host)} | OTHERS
    place = CLUSTER
    if single:
        texts = {
            name.rpartition("/")[2]: text
            for name, text in texts.items()
            if "mimir" not in name and "operator" not in name
        }
        place = ROOT
    return {f"{place}/{n}": t.replace("@SECRET@", secret).encode() for n, t in texts.items()}


def ports() -> bytes:
    """Return the lines of openvidu.env that are in no secrets.env."""
    return boot_script.text(PORTS)


class Configuration:
    """Applies the configuration of a master that starts, as OpenVidu's operator does.

    `rejecting`: media droplets that refuse any new livekit.yaml. `poison`: a text; a master whose
    files have it does not come back from a restart.
    """

    def __init__(self, state: CloudState, containers: Containers, crashes: Crashes) -> None:
        self.state, self.containers, self.crashes = state, containers, crashes
        self.rejecting: set[int] = set()
        self.poison: bytes | None = None
        self._applied: dict[str, dict[str, bytes]] = {}
        self._refused: set[int] = set()

    def comes_back(self, master: SimulatedDroplet) -> bool:
        """Return whether the unit of a master starts at all."""
        files = master.node.files
        poisoned = self.poison is not None and any(
            self.poison in data for path, data in files.items() if path.startswith(ROOT)
        )
        return not poisoned

    def started(self, master: SimulatedDroplet) -> bool:
        """Apply the files of a master whose unit has started.

        Returns False when openvidu-init refuses them, so that nothing else starts.
        """
        init = master.node.containers.pop(INIT, None)
        if problem := _problem(master):
            self._init_restarts(master, init, problem)
            return False
        stack, files = master.stack, _configuration(master)
        before = self._applied.get(stack)
        self._applied[stack] = files
        for other in self.state.masters(stack):
            if other is not master:
                other.node.files |= {p: d for p, d in files.items() if p.startswith(CLUSTER)}
            if other.node.unit == "active":
                self._modules(other)
        if master.role == "single":
            self._start_server(master, _refusal(files.get(f"{ROOT}/livekit.yaml", b"")))
        elif before is not None:
            changed = {path for path in files if files[path] != before.get(path)}
            delay = self.state.delays.configuration
            self.state.timeline.after(delay, lambda: self._reach_media(stack, changed))
        return True

    def _init_restarts(
        self, master: SimulatedDroplet, init: SimulatedContainer | None, problem: str
    ) -> None:
        self.containers.stop_all(master)
        container = init or SimulatedContainer(INIT, f"docker.io/openvidu/{INIT}:3.6.1")
        container.running, container.restarting = True, True
        container.restarts += 3
        master.node.containers[INIT] = container
        master.node.journal.append(f"{INIT}: {problem}")

    def _modules(self, master: SimulatedDroplet) -> None:
        """Start and remove the containers of the modules."""
        enabled = _modules_of(master)
        if enabled is None:
            return
        for module, names in MODULES.items():
            for name in names:
                there = name in master.node.containers
                if module in enabled and not there:
                    self.containers.start_one(master, name)
                elif module not in enabled and there:
                    del master.node.containers[name]

    def _reach_media(self, stack: str, changed: set[str]) -> None:
        """Restart the services of the media nodes whose files have changed."""
        applied = self._applied.get(stack, {})
        for path in sorted(changed & set(READERS)):
            name = READERS[path]
            for node in self.state.media(stack):
                if not node.on or node.node.unit != "active":
                    continue
                container = node.node.containers.get(name)
                if container is None or not container.running:
                    continue
                self._restart(node, name)
                reason = _refusal(applied.get(path, b"")) if name == "openvidu" else ""
                if node.id in self.rejecting and _differs(path, applied):
                    reason = "no space left on device"
                if name == "openvidu":
                    self._start_server(node, reason)

    def _start_server(self, node: SimulatedDroplet, reason: str) -> None:
        """Let the media server of a node crash for this reason, or no longer."""
        if reason:
            self._refused.add(node.id)
            self.crashes.begin(node, "openvidu")
            self._report(node.stack, node, "openvidu", reason)
        elif node.id in self._refused:
            self._refused.discard(node.id)
            self.crashes.end(node, "openvidu")

    def _restart(self, node: SimulatedDroplet, name: str) -> None:
        if name == "openvidu":
            self.containers.lose_meetings(node, "its configuration changed")
        node.node.crash_loops.pop(name, None)
        self.containers.start_one(node, name)

    def _report(self, stack: str, node: SimulatedDroplet, name: str, reason: str) -> None:
        lines = (
            f"[{stamp(self.state.now)}] [ERROR] Error in Media Node - {node.private_ip}: "
            f"Container '{name}' error:\n{reason}\n\n"
        )
        for master in self.state.masters(stack):
            if master.on:
                log = master.node.files.get(ERRORS_LOG, b"")
                master.node.files[ERRORS_LOG] = log + lines.encode()


def _differs(path: str, applied: dict[str, bytes]) -> bool:
    return b"max_participants: 0\n" not in applied.get(path, b"")


def _configuration(master: SimulatedDroplet) -> dict[str, bytes]:
    return {p: d for p, d in master.node.files.items() if p.startswith(f"{ROOT}/")}


def _modules_of(master: SimulatedDroplet) -> list[str] | None:
    files = master.node.files
    text = files.get(boot_script.SINGLE_ENV, files.get(boot_script.CLUSTER_ENV, b"")).decode()
    line = re.search(r"^ENABLED_MODULES=(.*)$", text, re.MULTILINE)
    return line[1].split(",") if line else None


def _problem(master: SimulatedDroplet) -> str:
    """Return why openvidu-init cannot process a file; "" when it can."""
    files = master.node.files
    text = files.get(boot_script.SINGLE_ENV, files.get(boot_script.CLUSTER_ENV, b"")).decode()
    known = {line.partition("=")[0] for line in text.splitlines()} | {"REDIS_PASSWORD"}
    for path, data in _configuration(master).items():
        if not path.endswith(".yaml"):
            continue
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            if "${" in _REFERENCE.sub("", line):
                return f"Failed to process config file '{path}': line {number}: Unmatched brace"
            for inside in _REFERENCE.findall(line):
                key = _KEY.fullmatch(inside)
                if key is not None and key[2] and key[1] not in known:
                    return f"Failed to process config file '{path}': {key[1]} is mandatory"
    return ""


def _refusal(data: bytes) -> str:
    """Return why LiveKit does not start with a configuration; "" when it does."""
    prefix = "could not parse config: yaml: "
    try:
        tree = yaml.safe_load(_REFERENCE.sub("x", data.decode(errors="replace")))
    except yaml.YAMLError:
        return f"{prefix}did not find expected key"
    room = tree.get("room") or {}
    if not isinstance(room.get("max_participants", 0), int):
        return f"{prefix}unmarshal errors: cannot unmarshal !!str into uint32"
    kind = (tree.get("node_selector") or {}).get("kind", "any")
    return "" if kind in SELECTORS else "could not create node selector: unsupported kind"


rests_on(
    "configuration",
    Source.DOCUMENT,
    "OpenVidu's page on changing the configuration",
    "openvidu-init restarts for ever on a file with a wrong syntax",
    "a restart of OpenVidu on one master applies its files to all nodes",
    "nodes_errors.log names the media nodes that refuse a file",
)
rests_on(
    "configuration",
    Source.DOCUMENT,
    "OpenVidu's pages on webhooks and on modules",
    "services whose files have changed are restarted on every node",
    "ENABLED_MODULES decides which containers run on the masters",
)
rests_on(
    "configuration",
    Source.NOTHING,
    "how long the operator takes to reach the media nodes, and whether meetings survive it",
    "a changed livekit.yaml ends the meetings of every media node",
    "the other masters get the same bytes, and nodes_errors.log is on each of them",
)
