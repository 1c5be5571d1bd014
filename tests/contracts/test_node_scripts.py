"""Every script of the bot on a pretend node, against a real shell with stub programs."""

import base64
import hashlib
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.cloud import node_scripts as scripts
from services.cloud.condition import CONDITION
from simulators.cloud import SimulatedContainer, SimulatedDroplet
from simulators.cloud.model import docker_stamp
from simulators.faults import WorldFaults
from simulators.node import NodeShell, UnknownScript
from simulators.node.condition import DISK_KIB
from simulators.node.docker import NO_ANSWER, NOT_SENT, REFUSALS, short_id
from tests.contracts.small_world import World
from tests.support.patience import HANG

needs_shell = pytest.mark.skipif(
    shutil.which("sh") is None or shutil.which("setsid") is None,
    reason="there is no sh or no setsid to compare with",
)
TOOLS = (
    *("sh", "cat", "grep", "cut", "tr", "head", "tail", "mkdir", "nohup", "setsid", "sed"),
    *("sha256sum", "base64", "mv", "rm", "timeout", "wc"),
)
SINCE = 1800
TARGETS = ("openvidu", "ingress", "egress", "agent-speech-processing")
STATE = "{{.State.Status}} {{.State.Pid}} {{.RestartCount}} {{.State.StartedAt}}"
CONDITION_STATE = "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}} {{.State.StartedAt}}"
NAMES_AND_LABELS = '{{.Names}}={{.Label "openvidu-agent"}}'
PATHS = re.compile(r"(?<![\w:/])/(var/run|run|proc|var/log|usr/local|opt/openvidu)(?=[/ \"'\n])")
"""The node's own paths in a script: in the real shell they lie in a box."""
NOT_FOUND = re.compile(r"(docker: )\S*sh: .*not found")
SIGNALS = 0x4006
AGENT_STATUS = {
    "drains": [("python", SIGNALS)],
    "deaf": [("python", 0x4002)],
    "dies": [("docker-init", 0), ("python", 0x4002)],
}
Answers = dict[str, tuple[int, str, str]]
Change = Callable[["Node"], object]


class Node:
    """A simulated media node, and the same node as a directory for a real shell."""

    def __init__(self, change: Change) -> None:
        self.world = World(media=1)
        self.estate, self.faults = self.world.estate, WorldFaults()
        self.estate.allow_disconnects = True
        self.estate.node_faults = self.faults.lasting_faults
        self.shell = NodeShell(self.estate, self.faults)
        self.droplet: SimulatedDroplet = self.estate.media("acme")[0]
        change(self)
        self.estate.settle()

    @property
    def containers(self) -> dict[str, SimulatedContainer]:
        return self.droplet.node.containers

    @property
    def start(self) -> str:
        server = self.containers.get("openvidu")
        return server.started_at if server else "2027-01-15T08:00:00.000000084Z"

    def ail(self, kind: str, **detail: object) -> None:
        self.faults.make_ill(self.droplet.name, kind, **detail)

    def pretend(self, script: str, stdin: str = "") -> tuple[int | None, str]:
        """Run a script on the simulated node; return exit status and output."""
        output = self.shell.execute(self.droplet.id, script, stdin)
        return output.exit_status, NOT_FOUND.sub(r"\1not found", output.stdout)

    def has(self, *kinds: str) -> bool:
        return any(kind in self.faults.lasting_faults(self.droplet.name) for kind in kinds)


class Box:
    """The node in a directory: its files, and stubs of docker, systemctl, journalctl and curl."""

    def __init__(self, node: Node, path: Path) -> None:
        self.node, self.path = node, path
        (path / "bin").mkdir()
        for tool in TOOLS:
            (path / "bin" / tool).symlink_to(str(shutil.which(tool)))
        self._write_files()
        if node.droplet.node.installed:
            self._stub("docker", self._docker())
        self._stub("systemctl", {"is-active openvidu": (0, node.droplet.node.unit + "\n", "")})
        journal = "".join(f"{line}\n" for line in node.droplet.node.journal[-20:])
        whole = "".join(f"{line}\n" for line in node.droplet.node.journal)
        self._stub(
            "journalctl",
            {
                "-u openvidu -n 20 --no-pager": (0, journal, ""),
                f"-u openvidu --since -{SINCE}s --no-pager -q": (0, whole, ""),
                f"-u openvidu --since -{SINCE}s -n 3000 --no-pager -q -o short-iso": (0, whole, ""),
            },
        )
        self._stub("curl", self._curl())
        now = int(node.estate.now)
        self._stub("date", {"+%s": (0, f"{now}\n", "")})
        device = f"/dev/vda1 {DISK_KIB} 1 {DISK_KIB * 66 // 100} 34% /\n"
        # df names a file system once for each directory on it.
        rows = device * (3 if node.droplet.node.installed else 1)
        asked = f"-P -k / {path}/opt/openvidu /var/lib/docker"
        self._stub("df", {asked: (0, f"Filesystem\n{rows}", "")})
        local = "local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1\n"
        self._stub("ip", {"-4 route show table local": (0, local, "")})
        if node.has("run-denied", "unprivileged"):
            self._refuse_mkdir("Permission denied")
        elif node.has("run-full"):
            self._refuse_mkdir("No space left on device")

    def run(self, script: str, stdin: str = "") -> tuple[int, str]:
        """Run a script in a real shell; return exit status and output."""
        done = subprocess.run(
            ["sh", "-c", PATHS.sub(rf"{self.path}/\1", script)],
            cwd=self.path,
            env={"PATH": str(self.path / "bin"), "HOME": "/root"},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        out = done.stdout.replace(f"{self.path}/", "/")
        return done.returncode, NOT_FOUND.sub(r"\1not found", out)

    def signals(self, lines: int) -> list[str]:
        """Wait until the detached part of a drain has written so many lines, and return them."""
        file = self.path / f"run/openvidu-bot/drain-{self.node.start}/signals"
        for _ in range(500):
            if file.exists() and len(written := file.read_text().splitlines()) >= lines:
                return [line.replace(f"{self.path}/", "/") for line in written]
            time.sleep(0.02)
        raise AssertionError(f"{file} has not got {lines} lines")

    def _write_files(self) -> None:
        node = self.node
        if not node.has("run-denied", "unprivileged"):  # for root, every directory is writable
            (self.path / "run").mkdir()
        if node.droplet.node.installed:
            vendor = self.path / "usr/local/bin/graceful_shutdown.sh"
            vendor.parent.mkdir(parents=True)
            vendor.write_text("#!/bin/sh\nexit 0\n")
            vendor.chmod(0o755)
        for name, content in node.droplet.node.files.items():
            file = self.path / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                file.mkdir(exist_ok=True)
            else:
                file.write_bytes(content)
        for container in node.containers.values():
            if container.up:
                self._write_process(container)

    def _write_process(self, container: SimulatedContainer) -> None:
        pid = container.pid
        for number, (name, caught) in enumerate(AGENT_STATUS[container.on_sigquit]):
            folder = self.path / f"proc/{pid + number}"
            (folder / f"task/{pid + number}").mkdir(parents=True)
            (folder / "status").write_text(
                f"Name:\t{name}\nState:\tS (sleeping)\nSigBlk:\t{0:016x}\nSigCgt:\t{caught:016x}\n"
            )
            is_parent = number + 1 < len(AGENT_STATUS[container.on_sigquit])
            (folder / f"task/{pid + number}/children").write_text(f"{pid + 1} " * is_parent)

    def _docker(self) -> Answers:
        node = self.node
        listed = list(node.containers.values())
        if node.has("docker-empty"):
            listed = []
        answers: Answers = {
            "ps": (0, "", ""),
            "ps -a --format {{.Names}}": (0, "".join(f"{c.name}\n" for c in listed), ""),
            "ps --all --format {{.Names}}": (0, "".join(f"{c.name}\n" for c in listed), ""),
            f"ps --all --format {NAMES_AND_LABELS}": (
                0,
                "".join(f"{c.name}={c.labels.get('openvidu-agent', '')}\n" for c in listed),
                "",
            ),
        }
        for container in listed:
            answers |= self._of_container(container)
        for name in TARGETS:
            answers.setdefault(f"inspect {name}", (1, "[]\n", f"Error: No such object: {name}\n"))
            missing = f"Error response from daemon: No such container: {name}\n"
            answers.setdefault(f"container kill --signal=SIGQUIT {name}", (1, "", missing))
        for kind, text in REFUSALS.items():
            if node.has(kind):
                return dict.fromkeys(answers, (1, "", f"{text}\nSee 'docker run --help'.\n"))
        return answers

    def _of_container(self, c: SimulatedContainer) -> Answers:
        name, pid = c.name, c.pid * c.up
        work = self.node.estate.work(self.node.droplet, name)
        rows = "".join(f"root {1300 + n} {name} run-handler --x\n" for n in range(work))
        top = (0, f"UID PID CMD\nroot {c.pid} {name}\n{rows}", "")
        if not c.up:
            top = (1, "", f"Error response from daemon: container {name} is not running\n")
        log = "INFO\twaiting for participants to exit\n" * (c.draining and work > 0)
        cannot = f"Error response from daemon: cannot kill container: {name}"
        kill = (0, f"{name}\n", "")
        if not c.running:
            kill = (1, "", f"{cannot}: container {short_id(c)} is not running\n")
        if self.node.has("kill-refused"):
            kill = (1, "", f"{cannot}: {NOT_SENT}\n")
        elif self.node.has("kill-lost"):
            kill = (1, "", f"{cannot}: {NO_ANSWER}\n")
        state = f"{c.status} {pid} {c.restarts} {c.started_at}\n"
        lines = "".join(f"{text}\n" for _, text in c.printed)
        stamped = "".join(f"{docker_stamp(at, 0)} {text}\n" for at, text in c.printed)
        return {
            f"logs --since {SINCE}s {name}": (0, lines, ""),
            f"logs --timestamps --since {SINCE}s --tail 3000 {name}": (0, "", stamped),
            f"inspect {name}": (0, "[]\n", ""),
            f"inspect --format {CONDITION_STATE} {name}": (
                0,
                f"{c.status} {c.restarts} {c.exit_code} {c.started_at}\n",
                "",
            ),
            f"inspect --format {STATE} {name}": (0, state, ""),
            f"inspect --format {{{{.State.StartedAt}}}} {name}": (0, f"{c.started_at}\n", ""),
            f"inspect --format {{{{.State.Status}}}} {{{{.RestartCount}}}} {name}": (
                0,
                f"{c.status} {c.restarts}\n",
                "",
            ),
            f"top {name}": top,
            f"logs --since 30s {name}": (0, "", log),
            f"container kill --signal=SIGQUIT {name}": kill,
        }

    @property
    def port(self) -> str:
        """LiveKit's own port, by its configuration."""
        config = self.node.droplet.node.files.get(scripts.LIVEKIT_CONFIG, b"").decode()
        found = re.search(r"^port: (\d+)", config, re.MULTILINE)
        return found[1] if found else "7880"

    def _curl(self) -> Answers:
        node, droplet_id = self.node, self.node.droplet.id
        status = node.estate.livekit_status(node.droplet)
        answers: Answers = {
            f"-s -o /dev/null -m 2 -w %{{http_code}} http://127.0.0.1:{self.port}/": (
                7 * (not status),
                f"{status:03d}",
                "",
            )
        }
        if node.droplet.node.running("openvidu") and not node.has("metrics-silent"):
            meetings = [m for m in node.estate.meetings_on(droplet_id) if not m.roomless]
            if node.has("metrics-empty"):
                meetings = []
            people = sum(m.people + m.hidden for m in meetings)
            labels = f'node_id="ND_{droplet_id}",node_type="SERVER"'
            page = (
                f"# HELP livekit_room_total \nlivekit_room_total{{{labels}}} {len(meetings)}\n"
                f"livekit_participant_total{{{labels}}} {people}\ngo_threads 12\n"
            )
            answers["-s -m 2 http://127.0.0.1:6789/metrics"] = (0, page, "")
        return answers

    def _stub(self, name: str, answers: Answers) -> None:
        cases = "".join(
            f"{shlex.quote(arguments)}) printf %s {shlex.quote(out)}; "
            f"printf %s {shlex.quote(err)} >&2; exit {status};;\n"
            for arguments, (status, out, err) in answers.items()
        )
        self._program(name, f'case "$*" in\n{cases}*) exit 1;;\nesac\n')

    def _refuse_mkdir(self, why: str) -> None:
        complaint = f"""echo "mkdir: cannot create directory '$last': {why}" >&2\nexit 1\n"""
        self._program("mkdir", f"for last; do :; done\n{complaint}")

    def _program(self, name: str, text: str) -> None:
        file = self.path / "bin" / name
        file.unlink(missing_ok=True)
        file.write_text(f"#!/bin/sh\n{text}")
        file.chmod(0o755)


def meets(node: Node) -> None:
    node.estate.open_meeting(people=4, recordings=2, ingresses=1, hidden=1)


def drains_by_hand(node: Node) -> None:
    meets(node)
    node.estate.containers.signal(node.droplet, "openvidu", "SIGQUIT")


def drains(node: Node) -> None:
    meets(node)
    node.pretend(scripts.drain(node.start, "signal", TARGETS))


def drains_with_refusals(node: Node) -> None:
    node.ail("kill-refused", container="egress")
    drains(node)
    node.faults.heal()


def is_marked_without_signals(node: Node) -> None:
    marker = f"{scripts.MARKERS}/drain-{node.start}"
    node.droplet.node.files |= {f"{scripts.MARKERS}/": b"", f"{marker}/": b""}


def has_ended(node: Node) -> None:
    node.estate.containers.signal(node.droplet, "openvidu", "SIGKILL")


def has_no_recorder(node: Node) -> None:
    node.estate.containers.signal(node.droplet, "egress", "SIGKILL")


def crashes(node: Node) -> None:
    node.estate.crashes.begin(node.droplet, lives=3, waits=10)


def has_crashed_three_times(node: Node) -> None:
    crashes(node)
    node.world.wait(34)


def shows(status: str) -> Change:
    def change(node: Node) -> None:
        node.containers["openvidu"].shown_status = status
        node.containers["openvidu"].running = status == "paused"

    return change


def has_a_port_of_its_own(node: Node) -> None:
    """As LiveKit on a Single Node, where Caddy has 7880."""
    config = b"openvidu:\n    port: 1\nport: 7780  # its own\nrtc:\n    tcp_port: 7881\n"
    node.droplet.node.files[scripts.LIVEKIT_CONFIG] = config


def has_agents(**agents: str) -> Change:
    return lambda node: node.estate.containers.set_agents(node.droplet, **agents)  # type: ignore[arg-type]


def is_not_installed(node: Node) -> None:
    node.droplet.node.installed = False
    node.droplet.node.containers.clear()
    node.droplet.node.unit = "inactive"


def has_logs(node: Node) -> None:
    node.droplet.node.files["/var/log/openvidu/nodes_errors.log"] = b"".join(
        b"10.0.0.%d: connection refused%s\n" % (n, b"!" * 400) for n in range(30)
    )
    for n in range(30):
        node.droplet.node.journal.append(f"line {n} " + "x" * 400)


def ails(kind: str) -> Change:
    def change(node: Node) -> None:
        meets(node)
        node.ail(kind)

    return change


STATES: dict[str, Change] = {
    "idle": lambda _node: None,
    "meets": meets,
    "drains by hand": drains_by_hand,
    "drains": drains,
    "drains, one signal refused": drains_with_refusals,
    "marked without signals": is_marked_without_signals,
    "media server ended": has_ended,
    "no recorder": has_no_recorder,
    "crashes": crashes,
    "has crashed": has_crashed_three_times,
    **{status: shows(status) for status in ("created", "paused", "removing", "dead")},
    "no agent": has_agents(),
    "deaf agent": has_agents(one="deaf", two="drains"),
    "agent that dies": has_agents(one="dies"),
    "livekit's own port": has_a_port_of_its_own,
    "not installed": is_not_installed,
    "logs": has_logs,
    **{
        kind: ails(kind)
        for kind in (
            "docker-down", "docker-denied", "docker-empty", "unprivileged", "run-denied",
            "run-full", "kill-refused", "kill-lost",
            "metrics-silent", "metrics-empty", "livekit-silent", "livekit-starting",
        )
    },
}  # fmt: skip


def drain(method: str = "signal", start: str = "", attempt: int = 0) -> Callable[[Node], str]:
    return lambda node: scripts.drain(start or node.start, method, TARGETS, attempt)


SCRIPTS: dict[str, Callable[[Node], str]] = {
    "look": lambda _node: scripts.LOOK,
    "inspect": lambda _node: scripts.INSPECT,
    "drain": drain(),
    "drain of another start": drain(start="2027-01-15T09:00:00.000000001Z"),
    "second attempt": drain(attempt=1),
    "vendor's drain": drain("script"),
    "logs of a container": lambda _node: scripts.logs("caddy", SINCE),
    "logs of no container": lambda _node: scripts.logs("nginx", SINCE),
    "condition": lambda _node: CONDITION,
    "logs of the unit": lambda _node: scripts.logs("", SINCE),
}


@pytest.mark.sampled
@needs_shell
@pytest.mark.sampled(60)
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("state", STATES)
def test_a_script_answers_as_in_a_real_shell(state: str, script: str, tmp_path: Path) -> None:
    node = Node(STATES[state])
    text = SCRIPTS[script](node)
    before = dict(node.droplet.node.files)
    box = Box(node, tmp_path)
    real = box.run(text)
    assert node.pretend(text) == real
    assert real[1].strip() or script == "look"
    marker = f"{scripts.MARKERS}/drain-{node.start}/signals"
    written = node.droplet.node.files.get(marker, b"")
    if written != before.get(marker, b""):
        expected = written.decode().splitlines()
        assert box.signals(len(expected)) == expected


REDIS = """# Replication\r
role:master\r
connected_slaves:3\r
slave0:ip=10.10.10.3,port=7000,state=online,offset=1184,lag=0\r
slave1:ip=10.10.10.4,port=7000,state=online,offset=1184,lag=0\r
slave2:ip=10.10.10.5,port=7000,state=online,offset=1184,lag=0\r
master_failover_state:no-failover\r
master_replid:8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb\r
"""
MONGO = """10.10.10.2:20000 PRIMARY 1 0
10.10.10.3:20000 SECONDARY 1 0
10.10.10.4:20000 SECONDARY 1 0
10.10.10.5:20000 SECONDARY 1 0
Warning: a line of another kind
"""


@needs_shell
def test_the_condition_of_a_master_as_in_a_real_shell(tmp_path: Path) -> None:
    """The databases get their passwords by environment, from the node's own files."""
    node = Node(STATES["idle"])
    node.droplet = node.estate.masters("acme")[0]
    box = Box(node, tmp_path)
    for file, line in (
        ("node/master_node.env", "REDIS_PASSWORD=horse"),
        ("cluster/openvidu.env", "MONGO_ADMIN_USERNAME=admin\nMONGO_ADMIN_PASSWORD=battery"),
    ):
        path = tmp_path / "opt/openvidu/config" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{line}\nOTHER=x\n")
    docker = (tmp_path / "bin/docker").read_text()
    (tmp_path / "redis").write_text(REDIS)
    (tmp_path / "mongo").write_text(MONGO)
    (tmp_path / "bin/docker").write_text(
        'case "$1 $2 $3 $4 $5 $6" in\n'
        '"exec -e REDISCLI_AUTH redis-server redis-cli -p")'
        f' [ "$REDISCLI_AUTH" = horse ] && cat {tmp_path}/redis; exit;;\n'
        '"exec -e BOT_USER -e BOT_PASSWORD mongo")'
        ' [ "$BOT_USER/$BOT_PASSWORD" = admin/battery ] && [ -z "$REDISCLI_AUTH" ]'
        f" && cat {tmp_path}/mongo; exit;;\nesac\n{docker.removeprefix('#!/bin/sh')}"
    )
    (tmp_path / "bin/docker").write_text("#!/bin/sh\n" + (tmp_path / "bin/docker").read_text())
    (tmp_path / "bin/curl").write_text("#!/bin/sh\nprintf 200\n")
    route = "local 203.0.113.9 dev eth0 proto boot scope host\n"
    (tmp_path / "bin/ip").write_text(f"#!/bin/sh\nprintf %s '{route}'\n")
    real = box.run(CONDITION)
    assert node.pretend(CONDITION) == real
    assert "redis=connected_slaves:3" in real[1]
    assert "mongo=10.10.10.5:20000 SECONDARY 1 0" in real[1]
    assert "horse" not in real[1]
    assert "battery" not in real[1]


@pytest.mark.parametrize(
    "script",
    [
        scripts.RESTART,
        scripts.STOP,
        scripts.START,
        scripts.CLOCK,
        scripts.HEALTH,
        scripts.READ_SECRETS,
        "id -u",
        "systemctl is-enabled openvidu",
        "cat /opt/openvidu/deployment-info.yaml",
    ],
)
def test_every_other_script_of_the_bot_is_known(script: str) -> None:
    node = Node(STATES["idle"])
    assert node.shell.execute(node.estate.masters("acme")[0].id, script).exit_status == 0


SECRETS = "/opt/openvidu/secrets.env"
OLD, NEW = b"REDIS_PASSWORD=a\n", b"REDIS_PASSWORD='b c'\n\xc3\xb1\n"


def sent(before: str, after: bytes, content: bytes) -> str:
    encoded = base64.b64encode(content).decode()
    return f"{before}\n{hashlib.sha256(after).hexdigest()}\n{encoded}\n"


@needs_shell
@pytest.mark.parametrize("old", [OLD, None])
@pytest.mark.parametrize(
    ("before", "after", "content", "answer"),
    [
        ("any", NEW, NEW, "written"),
        (hashlib.sha256(OLD).hexdigest(), NEW, NEW, ""),
        ("absent", NEW, NEW, ""),
        ("0" * 64, NEW, NEW, "changed"),
        ("any", NEW, NEW[:-1], "incomplete"),
    ],
)
def test_a_secrets_file_is_replaced_as_in_a_real_shell(
    old: bytes | None, before: str, after: bytes, content: bytes, answer: str, tmp_path: Path
) -> None:
    """As a whole or not at all, and only where it is the file that was read before."""
    node = Node(STATES["idle"])
    files = node.droplet.node.files
    files.pop(SECRETS, None)
    if old is not None:
        files[SECRETS] = old
    box = Box(node, tmp_path)
    (tmp_path / "opt/openvidu").mkdir(parents=True, exist_ok=True)
    assert node.pretend(scripts.READ_SECRETS) == box.run(scripts.READ_SECRETS)
    stdin = sent(before, after, content)
    real = box.run(scripts.WRITE_SECRETS, stdin)
    assert node.pretend(scripts.WRITE_SECRETS, stdin) == real
    assert real[1].strip() == answer or not answer
    written = tmp_path / SECRETS.lstrip("/")
    assert (written.read_bytes() if written.exists() else None) == files.get(SECRETS)
    if real[1] == "written\n":
        assert files[SECRETS] == NEW
        assert written.stat().st_mode & 0o777 == 0o600, "no one else on the node reads it"
    assert [f.name for f in written.parent.iterdir() if "openvidu-bot" in f.name] == []
    assert node.pretend(scripts.READ_SECRETS) == box.run(scripts.READ_SECRETS)


def test_a_changed_script_fails_loudly() -> None:
    node = Node(STATES["idle"])
    known = scripts.drain(node.start, "signal", TARGETS)
    changed = (
        scripts.LOOK + "#\n",
        known.replace("echo begun", "echo begun!"),
        known.replace("SIGQUIT", "SIGTERM"),
        known.replace("[ -d", "[ -e"),
        "docker ps",
    )
    for script in changed:
        with pytest.raises(UnknownScript, match=r"simulators/node/scripts\.py"):
            node.shell.execute(node.droplet.id, script)
    assert node.shell.unknown == list(changed)


def test_what_a_drain_does_to_the_world() -> None:
    node = Node(meets)
    assert node.pretend(scripts.drain(node.start, "signal", TARGETS)) == (0, "begun\n")
    assert list(node.estate.signals) == [(node.droplet.id, node.start)]
    assert [node.containers[name].draining for name in TARGETS] == [True] * 4
    assert node.pretend(scripts.drain(node.start, "signal", TARGETS)) == (0, "already\n")
    assert list(node.estate.signals.values()) == [1]


def test_the_marker_is_wiped_by_a_boot() -> None:
    node = Node(drains)
    node.droplet.node.files["/root/kept"] = b"x"
    boot = node.droplet.node.boot_id
    node.estate.power.request(node.droplet.id, "reboot")
    node.world.wait(25)
    assert [f for f in node.droplet.node.files if f.startswith(("/run/", "/root/"))] == [
        "/root/kept"
    ]
    assert node.droplet.node.boot_id != boot


def test_a_node_without_power_refuses() -> None:
    world = World(media=0)
    master = world.estate.masters("acme")[0]
    shell = NodeShell(world.estate)
    assert shell.execute(master.id, "systemctl is-active openvidu").stdout == "active\n"
    world.estate.power.request(master.id, "power_off")
    world.wait(5)
    with pytest.raises(ConnectionRefusedError):
        shell.execute(master.id, "id -u")


def test_a_lost_connection_loses_what_was_not_begun() -> None:
    node = Node(STATES["idle"])
    text = scripts.drain(node.start, "signal", TARGETS)
    for kind, commands in (("cut-before", 0), ("cut-middle", 0), ("cut-middle", 2)):
        node.faults.add("ssh", kind, commands=commands)
        assert node.pretend(text) == (None, "")
    assert node.estate.signals == {}
    node.faults.add("ssh", "refuse")
    with pytest.raises(ConnectionRefusedError):
        node.pretend(text)
    node.faults.add("ssh", "cut-after")
    assert node.pretend(text) == (None, "")
    assert len(node.estate.signals) == 1


def test_what_is_detached_outlives_the_session() -> None:
    node = Node(meets)
    node.faults.add("ssh", "cut-middle", commands=3)
    assert node.pretend(scripts.drain(node.start, "signal", TARGETS))[0] is None
    assert [node.containers[name].draining for name in TARGETS] == [True] * 4


@pytest.mark.sampled(8)
@pytest.mark.parametrize("commands", range(40))
def test_a_look_that_is_cut_short_shows_its_beginning(commands: int) -> None:
    node = Node(drains)
    whole = node.pretend(scripts.LOOK)[1]
    node.faults.add("ssh", "ended-early", commands=commands)
    status, part = node.pretend(scripts.LOOK)
    assert status == 0
    assert whole.startswith(part)
    assert part.count("\n") <= commands
    assert (part == whole) == (part.endswith("end\n"))
