"""The scripts that a pretend node knows, and what each does there.

A node runs no shell. It recognises a script and answers as `sh` with docker, systemctl and curl
would: tests/contracts/test_node_scripts.py compares looks, reports and drains with a real shell, in
every state of a node. A script that has changed by one character is not recognised, and fails.

Every simple command of a script takes a `step()`, in its order, so that a connection can be lost
between any two.
"""

import base64
import binascii
import hashlib
import re
import shlex
from collections.abc import Callable

from simulators.cloud import boot_script
from simulators.evidence import Source, rests_on
from simulators.node import config_scripts, drill, scripts_0_1_0, updates
from simulators.node.condition import clock, condition
from simulators.node.docker import Docker, DockerError, processes
from simulators.node.logs import logs_of
from simulators.node.metrics import gauges
from simulators.node.session import Hang, Session

Answer = Callable[[Session], int]
MARKERS = "/run/openvidu-bot"
LINES, LONGEST_LINE = 20, 300
"""How much of a log is shown: `tail -n 20`, `cut -c1-300`."""
LONGEST_NAME = 80
BAD_GATEWAY = 502
VENDOR = "/usr/local/bin/graceful_shutdown.sh"
RIGHTS = "Interactive authentication required."
ERRORS_LOG = "/var/log/openvidu/nodes_errors.log"
VERSION_FILE = "/opt/openvidu/deployment-info.yaml"
LIVEKIT_CONFIG = "/opt/openvidu/config/livekit.yaml"


class UnknownScript(AssertionError):
    """A script that no pretend node knows was sent to one."""

    def __init__(self, script: str) -> None:
        super().__init__(
            f"no pretend node knows this script ({digest(script)}): "
            "teach simulators/node/scripts.py what it does, and let"
            f" tests/contracts/test_node_scripts.py compare it with a real shell\n{script}"
        )


def digest(script: str) -> str:
    """Return what identifies a script."""
    return hashlib.sha256(script.encode()).hexdigest()[:16]


def recognised(script: str) -> Answer:
    """Return what a script does.

    Raises:
        UnknownScript: when it is none of those below.
    """
    answer = COMMANDS.get(script) or SCRIPTS.get(digest(script)) or _drain_of(script)
    answer = answer or logs_of(script, digest) or _update_of(script)
    answer = answer or config_scripts.recognised(script) or scripts_0_1_0.recognised(script)
    if answer is None:
        raise UnknownScript(script)
    return answer


def script_name(script: str) -> str:
    """Return a short name of a script: the command itself, or what the script is for."""
    if script in COMMANDS:
        return script if len(script) < LONGEST_NAME else COMMANDS[script].__name__
    answer = SCRIPTS.get(digest(script))
    if answer is not None:
        return answer.__name__
    if logs_of(script, digest) is not None:
        return "logs"
    if DRAIN.search(script):
        return "drain"
    update = UPDATES.get(digest(updates.parameters_of(script)[0]))
    return update.__name__ if update is not None else "script"


# --- the look at a media node


def look(session: Session) -> int:
    """Print containers, agents' processes, recordings, marker, LiveKit's status and metrics."""
    session.step()  # export LC_ALL
    docker = Docker(session)
    try:
        start = _containers(session, docker)
    except DockerError as error:
        session.echo(f"refused=docker: {error}")
        return session.end()
    _marker(session, docker, start)
    session.substitute()
    session.substitute()
    session.echo(f"livekit={_livekit(session):03d}")
    for line in gauges(session):
        session.out.append(line)
    session.echo("end")
    return session.end()


def _containers(session: Session, docker: Docker) -> str:
    """Print a line for each container that matters.

    Returns the start of the media server; "" when it is not there.
    """
    try:
        everything = docker.ps()
        session.step()  # true
    except DockerError:
        session.step()  # command -v
        if session.droplet.node.installed:
            docker.ps()  # once more, for its complaint
        session.step()  # [ ! -e /run/docker.sock ]
        session.step()
        session.echo("installed=no")
        everything = []
    session.substitute()  # the words of the loop
    servers = [c for c in everything if c.name in ("openvidu", "ingress", "egress")]
    agents = [c for c in everything if c.labels]
    start = ""
    for name, is_agent in [(c.name, False) for c in servers] + [(c.name, True) for c in agents]:
        shown = _container(session, docker, name, is_agent=is_agent)
        if name == "openvidu":
            start = shown
    return start


def _container(session: Session, docker: Docker, name: str, *, is_agent: bool) -> str:
    """Print the lines of one container. Returns its start."""
    try:
        container = docker.inspect(name)
    except DockerError:
        container = docker.inspect(name)  # once more, for its complaint
    pid = container.pid
    if not container.up:
        pid = 0
    label = ""
    if is_agent:
        label = "true"
    state = f"{container.status} {pid} {container.restarts} {container.started_at}"
    session.echo(f"container={name}={label} {state}")
    session.step()  # set --
    session.step()  # [ "$name" = openvidu ]
    session.step()  # [ "${item#*=}" = true ]
    running = container.status == "running"
    if is_agent:
        session.step()  # [ "$1" = running ]
        if running:
            session.substitute()  # the words of the loop
            for process, caught in processes(container):
                session.substitute()
                session.echo(f"process={name} {process} {caught:016x} ")
    session.step()  # [ "$name" = egress ]
    if name == "egress":
        session.step()  # [ "$1" = running ]
        if running:
            _recordings(session, docker)
    return container.started_at


def _recordings(session: Session, docker: Docker) -> None:
    try:
        jobs = docker.jobs("egress")
    except DockerError:
        return
    session.substitute()
    session.echo(f"recordings={jobs}")


def _marker(session: Session, docker: Docker, start: str) -> None:
    """Print whether this start is marked as drained, and what became of its signals."""
    files, marker = session.files, f"{MARKERS}/drain-{start}"
    session.step()  # [ -d ... ]
    if files.is_directory(marker):
        session.echo("marked=yes")
        with session.subshell():
            for line in (files.read(f"{marker}/signals") or "").splitlines():
                session.step()  # read
                session.echo(f"signal={line}")
            session.step()  # read, at the end of the file
        return
    if docker.logs_say_draining("openvidu"):
        session.echo("marked=by-hand")
        return
    session.step()  # [ ! -w /run ]
    if files.writable("/run"):
        return
    session.step()  # [ ! -w MARKERS ]
    if not files.writable(MARKERS):
        session.echo("unmarked=/run cannot be written by this user")


def _livekit(session: Session) -> int:
    """Return the status that curl sees at LiveKit's port, which is 7880 unless a file names it."""
    estate, droplet = session.estate, session.droplet
    if droplet.role == "master" and estate.up(droplet):
        return _health_page(session)
    status = estate.livekit_status(droplet)
    if not status or "livekit-silent" in session.faults:
        # Single Node's caddy listens there, too, and answers for whom it does not reach.
        own = re.search(r"^port:\s*\d", session.files.read(LIVEKIT_CONFIG) or "", re.MULTILINE)
        proxied = droplet.role == "single" and droplet.node.running("caddy") and not own
        return BAD_GATEWAY if proxied else 0
    if "livekit-starting" in session.faults:
        return 406
    return status


def _health_page(session: Session) -> int:
    if session.estate.healthy(session.droplet):
        return 200
    return 503


# --- the drain


def _drain_of(script: str) -> Answer | None:
    """Return what a drain script with these parameters does; None when it is no drain script."""
    parameters = DRAIN.search(script)
    if parameters is None:
        return None
    want, token, inner = (shlex.split(text)[0] for text in parameters.groups())
    settings = WORK.fullmatch(inner)
    if settings is None:
        return None
    blank = script
    for group in (3, 2, 1):
        blank = blank[: parameters.start(group)] + blank[parameters.end(group) :]
    work = DRAINS.get((digest(blank), digest(settings[3])))
    if work is None:
        return None
    out, targets = shlex.split(settings[1])[0], shlex.split(settings[2])[0].split()
    return lambda session: _drain(session, want, token, lambda s: work(s, out, targets))


def _drain(session: Session, want: str, token: str, work: Callable[[Session], None]) -> int:
    """Mark this start of the media server and run `work` detached, unless it is marked already."""
    session.step()  # export LC_ALL
    docker, files = Docker(session), session.files
    try:
        container = docker.inspect("openvidu")
    except DockerError:
        return _refused(session, docker)
    session.step()  # [ "$now" != "$want" ]
    if container.started_at != want:
        session.echo("other-start")
        return session.end()
    session.substitute()
    complaint = files.make_directories(MARKERS)
    if not complaint:
        session.substitute()
        complaint = files.make_directory(token)
    if not complaint:
        _run_detached(session, work)
        session.echo("begun")
        return session.end()
    session.step()  # [ -d "$token" ]
    if files.is_directory(token):
        session.echo("already")
        return session.end()
    session.substitute()
    session.echo(f"unmarked {complaint[:200]}")
    return session.end()


def _refused(session: Session, docker: Docker) -> int:
    try:
        docker.inspect("openvidu")
    except DockerError as error:
        session.echo(f"refused docker: {error}")
    return session.end()


def _run_detached(session: Session, work: Callable[[Session], None]) -> None:
    """Run what outlives the connection: neither its loss nor its slowness concerns the session."""
    try:
        work(session.detached())
    except Hang:
        return


def _signal(session: Session, out: str, targets: list[str]) -> None:
    """Send SIGQUIT to each container, and write down what became of it."""
    docker = Docker(session)
    for name in targets:
        session.files.append(out, f"begin {name}")
        try:
            docker.kill(name, "SIGQUIT")
        except DockerError as error:
            session.files.append(out, f"refused {name} {error}")
        else:
            session.files.append(out, f"sent {name}")


def _vendor(session: Session, out: str, _targets: list[str]) -> None:
    """Run the vendor's script, which deletes the droplet in the end."""
    session.files.append(out, "begin openvidu")
    if session.droplet.role != "media":
        session.files.append(out, f"refused openvidu {VENDOR} cannot be run (127)")
        return
    session.estate.graceful.run(session.droplet)
    session.files.append(out, "sent openvidu")


def _update_of(script: str) -> Answer | None:
    """Return what a script of an update does; None when it is none of them."""
    blank, values = updates.parameters_of(script)
    work = UPDATES.get(digest(blank))
    if work is None:
        return None
    return lambda session: work(session, values)


# --- the report on one node


def inspect(session: Session) -> int:
    """Print the unit, every container, and the ends of the two logs."""
    session.substitute()
    node, docker = session.droplet.node, Docker(session)
    session.echo(f"unit={node.unit}")
    try:
        everything = docker.ps()
    except DockerError:
        everything = []
        _inspect_refused(session, docker)
    for name in [c.name for c in everything]:
        container = docker.inspect(name)
        session.echo(f"container={name} {container.status} {container.restarts}")
    session.echo("--- nodes_errors.log")
    session.substitute()
    session.out += _tail((session.files.read(ERRORS_LOG) or "").splitlines())
    session.echo("--- journal")
    session.substitute()
    session.out += _tail(node.journal)
    return session.end()


def _inspect_refused(session: Session, docker: Docker) -> None:
    try:
        docker.ps()
    except DockerError as error:
        session.echo(f"refused=docker: {error}")


def _tail(lines: list[str]) -> list[str]:
    return [line[:LONGEST_LINE] for line in lines[-LINES:]]


# --- a Single Node's own secrets.env


def read_secrets(session: Session) -> int:
    """Print the digest and the content of the node's secrets.env."""
    session.step()  # [ -e ... ]
    content = session.files.stored.get(boot_script.SECRETS)
    if content is None:
        session.echo("absent")
        return session.end()
    session.substitute()
    session.substitute()
    session.echo(f"{_sha256(content)} {base64.b64encode(content).decode()}")
    return session.end()


def write_secrets(session: Session) -> int:
    """Replace the node's secrets.env as a whole, if it is the one that is to be replaced."""
    session.step()  # export LC_ALL
    session.step()  # umask
    before, after, encoded = (*session.stdin.split("\n"), "", "", "")[:3]
    for _ in ("before", "after", "base64"):
        session.step()
    stored = session.files.stored
    try:
        content = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        content = b""
    session.substitute()
    session.step()  # [ ... = "$after" ]
    if _sha256(content) != after:
        session.echo("incomplete")
    else:
        now = _sha256(stored[boot_script.SECRETS]) if boot_script.SECRETS in stored else "absent"
        session.step()  # [ -e ... ]
        session.step()  # [ "$before" != any ]
        if before not in ("any", now):
            session.echo("changed")
        else:
            session.step()  # mv
            stored[boot_script.SECRETS] = content
            session.echo("written")
    session.step()  # rm
    return session.end()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def reads_stdin(script: str) -> bool:
    """Return whether a script waits for what is sent to it."""
    return SCRIPTS.get(digest(script)) is write_secrets or config_scripts.reads_stdin(script)


# --- single commands


def _systemctl(verb: str) -> Answer:
    """`systemctl VERB openvidu`, for a verb that changes the unit."""

    def run(session: Session) -> int:
        session.step()
        node, nodes, droplet = session.droplet.node, session.estate.nodes, session.droplet
        if not node.installed:
            return _no_unit(session, verb)
        if "unprivileged" in session.faults:
            return session.fail(1, f"Failed to {verb} openvidu.service: {RIGHTS}")
        if verb != "start":
            nodes.stop_unit(droplet)
        if verb == "restart" or (verb == "start" and node.unit != "active"):
            nodes.start_unit(droplet)
        return 0

    return run


def _no_unit(session: Session, verb: str) -> int:
    return session.fail(5, f"Failed to {verb} openvidu.service: Unit openvidu.service not found.")


def invocation(session: Session) -> int:
    """Print the id of this start of the unit."""
    session.step()
    if not session.droplet.node.installed:
        return _no_unit(session, "show")
    session.out.append(session.droplet.node.invocation)
    return 0


def is_active(session: Session) -> int:
    """Print whether the unit runs."""
    session.step()
    unit = session.droplet.node.unit
    session.out.append(unit)
    return {"active": 0}.get(unit, 3)


def is_enabled(session: Session) -> int:
    """Print whether the unit starts at boot."""
    session.step()
    if not session.droplet.node.installed:
        return _no_unit(session, "is-enabled")
    if not session.droplet.node.starts_at_boot:
        session.out.append("disabled")
        return 1
    session.out.append("enabled")
    return 0


def date(session: Session) -> int:
    """Print the node's time, in epoch seconds."""
    session.echo(str(clock(session)))
    return 0


def user_id(session: Session) -> int:
    """Print the user's id: root's, or that of a user without rights."""
    number = "0"
    if "unprivileged" in session.faults:
        number = "1000"
    session.echo(number)
    return 0


def deployed_version(session: Session) -> int:
    """Print what the installer noted about the deployment."""
    session.step()
    content = session.files.read(VERSION_FILE)
    if content is None:
        return session.fail(1, f"cat: {VERSION_FILE}: No such file or directory")
    session.out += content.splitlines()
    return 0


def find_doctl(session: Session) -> int:
    """Print where doctl is installed: nowhere."""
    session.step()
    session.step()
    return 0


def health_page(session: Session) -> int:
    """Print the status of the node's own health page."""
    session.step()
    status = 0
    if session.droplet.is_master and session.estate.up(session.droplet):
        status = _health_page(session)
    session.out.append(f"{status:03d}")
    if not status:
        session.step()  # true
    return session.end()


ASK_HEALTH = (
    "curl -s -o /dev/null -m 5 -w '%{http_code}' http://127.0.0.1:7880/health/caddy 2>/dev/null"
    " || true"
)
COMMANDS: dict[str, Answer] = {
    ASK_HEALTH: health_page,
    "systemctl restart openvidu": _systemctl("restart"),
    "systemctl stop openvidu": _systemctl("stop"),
    "systemctl start openvidu": _systemctl("start"),
    "systemctl show --property=InvocationID --value openvidu": invocation,
    "systemctl is-active openvidu": is_active,
    "systemctl is-enabled openvidu": is_enabled,
    "date +%s": date,
    "id -u": user_id,
    f"cat {VERSION_FILE}": deployed_version,
    "for d in /usr/bin /bin; do if [ -x $d/doctl ]; then echo $d; fi; done": find_doctl,
}
SCRIPTS: dict[str, Answer] = {
    "0e900cfabe717011": look,
    "08bd2815009ac598": inspect,
    "6ef0110d4bdee872": read_secrets,
    "ad0cc264d116fb79": write_secrets,
    "e6b24369ff86f0ca": drill.count_documents,
    "309bdaf301f6b959": drill.drill_look,
    "2a19a8c88a0e9266": drill.drill_prove,
    "6c4af7e28bd9e756": condition,
    "48b1d223df883fa6": updates.installed,
    "4d62f5aa3f4e8aaa": updates.start,
}
"""By their digests."""
DRAIN = re.compile(
    r"\nwant=([^\n]*)\ntoken=([^\n]*)\nif .*  nohup setsid sh -c (.*) >/dev/null 2>&1 &\n",
    re.DOTALL,
)
WORK = re.compile(r"out=([^\n]*)\ntargets=([^\n]*)\n(.*)", re.DOTALL)
"""What a drain runs detached: its parameters, and the rest."""
UPDATES: dict[str, Callable[[Session, dict[str, str]], int]] = {
    "bb90d5a8968525f2": updates.fetch,
    "75c9f975d6a34208": updates.update,
    "71106744f00877e6": updates.restore,
}
"""By the digests of the scripts without their parameters."""
DRAINS: dict[tuple[str, str], Callable[[Session, str, list[str]], None]] = {
    ("e5a2f0e9884e65c5", "6d22962b8f4144ab"): _signal,
    ("e5a2f0e9884e65c5", "18d59c7eab0d5d2d"): _vendor,
}
"""By the digests of the script without its parameters, and of what it runs detached."""

rests_on(
    "scripts",
    Source.EXECUTED,
    "run in sh beside a stand-in for docker, and behind OpenSSH's server",
    "look",
    "inspect",
    "drain",
    "installed",
    "start",
    "fetch",
    "update",
    "restore",
    "read_secrets",
    "write_secrets",
)
rests_on(
    "scripts",
    Source.EXECUTED,
    "run in sh beside a stand-in for docker and systemctl",
    "count_documents",
    "drill_look",
    "drill_prove",
)
rests_on(
    "scripts",
    Source.DOCUMENT,
    "the manual pages of systemctl, date, id and cat",
    *COMMANDS,
)
rests_on(
    "scripts",
    Source.NOTHING,
    "which of both listens at port 7880 of Single Node, where caddy's health page is, and whether"
    " livekit.yaml names a port of LiveKit's own",
    "caddy answers 502 at port 7880 of Single Node without a media server",
)
