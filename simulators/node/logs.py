"""The scripts that print a log of a node: of a container, or of OpenVidu's unit."""

import re
from collections.abc import Callable

from simulators.cloud.model import docker_stamp
from simulators.evidence import Source, rests_on
from simulators.node.docker import Docker, DockerError
from simulators.node.session import Session

PARAMETERS = re.compile(r"\n(?:name=([\w.-]+)\n)?since=(\d+)\n")
LINES, BYTES, LONGEST = 3000, 200_000, 1000
COUNTED, READ = 8.0, 15.0
"""Seconds after which `timeout` ends docker or journalctl: for the count, and for the lines."""
UNIT, CONTAINER = "5c44576136689b68", "1f4a69218f4dbcf7"
"""Digests of the two scripts without their parameters."""


def logs_of(script: str, digest: Callable[[str], str]) -> Callable[[Session], int] | None:
    """Return what a log script with these parameters does; None when it is none."""
    found = PARAMETERS.search(script)
    if found is None:
        return None
    name, since = found[1], float(found[2])
    blank = digest(script[: found.start()] + script[found.end() :])
    if name is None and blank == UNIT:
        return _unit_log
    if name is not None and blank == CONTAINER:
        return lambda session: _container_log(session, name, since)
    return None


def _unit_log(session: Session) -> int:
    """Print the journal of the unit. The simulated journal has no times: all of it is recent."""
    session.step()  # export LC_ALL
    lines = session.droplet.node.journal
    session.substitute()
    session.echo(f"lines={len(lines)}")
    session.echo("--- printed")
    session.substitute()
    _print(session, lines[-LINES:])
    return session.end()


def _container_log(session: Session, name: str, since: float) -> int:
    session.step()  # export LC_ALL
    docker = Docker(session)
    try:
        everything = docker.ps()
        session.step()  # true
    except DockerError:
        return _refused(session, docker)
    session.substitute()  # grep
    if all(c.name != name for c in everything):
        session.echo(f"missing={name}")
        for container in everything:
            session.echo(f"exists={container.name}")
        return session.end()
    session.substitute()
    container = docker.inspect(name)
    oldest = session.estate.now - since
    lines = [f"{docker_stamp(at, 0)} {text}" for at, text in container.printed if at >= oldest]
    if "logs-endless" in session.faults:
        # Faster than it is read: `timeout` ends both.
        lines = _endless(session)
        session.spend(COUNTED)
    session.echo(f"lines={len(lines)}")
    session.echo("--- printed")
    session.substitute()
    if "logs-endless" in session.faults:
        session.spend(READ)
    _print(session, lines[-LINES:])
    return session.end()


def _endless(session: Session) -> list[str]:
    stamp = docker_stamp(session.estate.now, 0)
    return [f"{stamp} retrying, attempt {number}" for number in range(20_000)]


def _refused(session: Session, docker: Docker) -> int:
    try:
        docker.ps()
    except DockerError as error:
        session.echo(f"refused=docker: {error}")
    return session.end()


def _print(session: Session, lines: list[str]) -> None:
    text = "".join(f"{line[:LONGEST]}\n" for line in lines)
    kept = text.encode()[-BYTES:].decode(errors="replace")
    session.out += kept.removesuffix("\n").split("\n") if kept else []


rests_on(
    "scripts",
    Source.EXECUTED,
    "run in sh beside a stand-in for docker and journalctl",
    "logs of a container",
    "logs of the unit",
)
rests_on(
    "scripts",
    Source.DOCUMENT,
    "docker container logs: --since, --tail and --timestamps; coreutils timeout",
    "a log that grows faster than it is read",
)
