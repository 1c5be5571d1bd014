"""The scripts of openvidu-bot 0.1.0, which may still run beside this version during an upgrade."""

import hashlib
import re
import shlex
from collections.abc import Callable
from contextlib import suppress

from simulators.node.docker import Docker, DockerError
from simulators.node.metrics import gauges
from simulators.node.session import Hang, Session

Answer = Callable[[Session], int]
MARKERS = "/run/openvidu-bot"
SERVERS = ("openvidu", "ingress", "egress")
LOOK = "2ae6141fd2566385"
"""The digest of the look at a media node."""
DRAIN = re.compile(
    r"\nwant=([^\n]*)\nnow=[^\n]*\n[^\n]*\n[^\n]*\nif mkdir ([^\n]*) 2>/dev/null; then\n"
    r"  nohup setsid sh -c (.*) >/run/openvidu-bot/drain\.log 2>&1 &\n.*",
    re.DOTALL,
)
DRAINS = ("f1090e360d6d0be8", "ef79d6d9e21c5b0e")
"""The digests of the drain without its parameters, and of what it runs detached."""


def recognised(script: str) -> Answer | None:
    """Return what a script does; None when it is none of 0.1.0's."""
    if _digest(script) == LOOK:
        return look
    drain = DRAIN.fullmatch(script)
    if drain is None:
        return None
    want, marker, work = (shlex.split(text)[0] for text in drain.groups())
    blank = script
    for group in (3, 2, 1):
        blank = blank[: drain.start(group)] + blank[drain.end(group) :]
    if (_digest(blank), _digest(work)) != DRAINS:
        return None
    return lambda session: _drain(session, want, marker)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def look(session: Session) -> int:
    """Print the media server's start, what runs, the marker, the recordings and the metrics."""
    docker = Docker(session)
    start = _start(docker)
    session.echo(f"start={start}")
    for name in [*SERVERS, *_agents(docker)]:
        if _is_running(docker, name):
            session.echo(f"running={name}")
    if session.files.is_directory(f"{MARKERS}/drain-{start}"):
        session.echo("marked=yes")
    session.echo(f"recordings={_recordings(docker)}")
    session.out += gauges(session)
    return session.end()


def _start(docker: Docker) -> str:
    try:
        return docker.inspect("openvidu").started_at
    except DockerError:
        return ""


def _is_running(docker: Docker, name: str) -> bool:
    try:
        return docker.inspect(name).status == "running"
    except DockerError:
        return False


def _agents(docker: Docker) -> list[str]:
    try:
        return [c.name for c in docker.ps() if c.labels and c.status == "running"]
    except DockerError:
        return []


def _recordings(docker: Docker) -> int:
    try:
        return docker.jobs("egress")
    except DockerError:
        return 0


def _drain(session: Session, want: str, marker: str) -> int:
    docker, files = Docker(session), session.files
    if _start(docker) != want:
        session.echo("other-start")
        return session.end()
    files.make_directories(MARKERS)
    if files.make_directory(marker):
        session.echo("already")
        return session.end()
    with suppress(Hang):
        _signal(session.detached())
    session.echo("signalled")
    return session.end()


def _signal(session: Session) -> None:
    docker = Docker(session)
    for name in [*SERVERS, *_agents(docker)]:
        try:
            docker.kill(name, "SIGQUIT")
        except DockerError:
            continue
