"""The bot's scripts about configuration files on a pretend node."""

import base64
import binascii
import hashlib
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime

from simulators.evidence import Source, rests_on
from simulators.node.docker import Docker, DockerError
from simulators.node.session import Session

Answer = Callable[[Session], int]
ROOT = "/opt/openvidu/config"
KEPT = "/opt/openvidu/openvidu-bot"
ERRORS_LOG = "/var/log/openvidu/nodes_errors.log"
MOST, LONGEST = 40, 300
QUOTED = r"('[^'\n]*'|[^'\s]+)"
_FILES = re.compile(r"\nfor file in ([^\n]*); do\n")
_READ = re.compile(rf"\n  file={QUOTED}\n.*\n  file={QUOTED}\n", re.DOTALL)
_CHANGE = re.compile(
    rf"\nfile={QUOTED}\nkept={QUOTED}\n.*?(?:!= {QUOTED} \].*?)?"
    rf'if \[ "\$digest" = {QUOTED} \].*?elif \[ "\$digest" = {QUOTED} \]',
    re.DOTALL,
)
_FORGET = re.compile(rf"rm -rf {QUOTED}")


def recognised(script: str) -> Answer | None:
    """Return what a script about configuration files does; None for another script."""
    if parts := _FORGET.fullmatch(script):
        return lambda session: _forget(session, _plain(parts[1]))
    for pattern, answers in ((_FILES, LOOKS), (_READ, READS), (_CHANGE, CHANGES)):
        found = pattern.search(script)
        answer = answers.get(_blank(script, found)) if found is not None else None
        if found is not None and answer is not None:
            words = [_plain(g) for g in found.groups() if g is not None]
            return lambda session: answer(session, words)
    return None


def reads_stdin(script: str) -> bool:
    """Return whether a script reads its standard input."""
    return "base64 -d" in script and _CHANGE.search(script) is not None


def _plain(word: str) -> str:
    if word.startswith("'"):
        return shlex.split(word)[0] if word != "''" else ""
    return word


def _blank(script: str, found: re.Match[str]) -> str:
    """Return the digest of a script without its parameters."""
    for group in range(len(found.groups()), 0, -1):
        begin, end = found.span(group)
        if begin >= 0:
            script = script[:begin] + script[end:]
    return hashlib.sha256(script.encode()).hexdigest()[:16]


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def look(session: Session, words: list[str]) -> int:
    """Print digests of the files, what is kept, the unit, containers and errors."""
    files, node = session.files, session.droplet.node
    session.step()  # export LC_ALL
    session.step()  # [ -d cluster ]
    layout = "cluster"
    if not files.is_directory(f"{ROOT}/cluster"):
        session.step()
        layout = "flat" if files.is_directory(ROOT) else ""
    session.echo(f"layout={layout}")
    for name in words[0].split():
        session.step()  # [ -f ... ]
        data = files.stored.get(f"{ROOT}/{name}")
        if data is not None:
            session.substitute()
            session.echo(f"file={name} {_sha(data)}")
    session.substitute()
    for change in _kept(session):
        session.step()
        old = files.stored.get(f"{KEPT}/{change}/old")
        if old is not None:
            session.substitute()
            start = files.stored.get(f"{KEPT}/{change}/start", b"").decode().strip()
            session.echo(f"kept={change} {_sha(old)} {start}")
    session.substitute()
    session.echo(f"start={node.invocation if node.installed else ''}")
    session.substitute()
    session.echo(f"unit={node.unit}")
    session.substitute()
    session.echo(f"now={_iso(session.estate.now)}")
    return _containers(session)


def _kept(session: Session) -> list[str]:
    """Return what `ls` shows of the directory of kept files."""
    prefix = f"{KEPT}/"
    paths = [p[len(prefix) :] for p in session.files.stored if p.startswith(prefix)]
    return sorted({path.partition("/")[0] for path in paths if path})


def _containers(session: Session) -> int:
    docker, node = Docker(session), session.droplet.node
    try:
        names = [c.name for c in docker.ps()]
        for name in names:
            container = docker.inspect(name)
            state = f"{container.status} {container.restarts} {container.started_at}"
            session.echo(f"container={name} {state}")
    except DockerError as error:
        session.echo(f"refused=docker: {error}")
        return session.end()
    session.substitute()
    session.substitute()
    session.echo(f"since={_iso(node.unit_since) if node.unit == 'active' else ''}")
    with session.subshell():
        lines = (session.files.read(ERRORS_LOG) or "").splitlines()[-MOST:]
        for line in lines:
            session.echo(f"error={line[:LONGEST]}")
    session.echo("end")
    return session.end()


def read(session: Session, words: list[str]) -> int:
    """Print one file, and the names of the keys that it can refer to."""
    path, single = words
    files = session.files
    session.step()  # export LC_ALL
    session.step()  # [ -d ... ]
    name, glob = path, f"{ROOT}/cluster/openvidu.env"
    if not files.is_directory(f"{ROOT}/cluster"):
        name, glob = single, f"{ROOT}/openvidu.env"
    session.step()  # [ -z ... ]
    data = files.stored.get(f"{ROOT}/{name}") if name else None
    if data is None:
        session.echo("absent")
        return session.end()
    session.substitute()
    session.echo(f"openvidu={_keys(session, glob)}")
    session.substitute()
    session.echo(f"master_node={_keys(session, f'{ROOT}/node/master_node.env')}")
    session.substitute()
    session.echo(f"digest={_sha(data)}")
    session.echo("content")
    session.step()
    encoded = base64.b64encode(data[:70_000]).decode()
    session.out += [encoded[at : at + 76] for at in range(0, len(encoded), 76)]
    return session.end()


def _keys(session: Session, path: str) -> str:
    lines = (session.files.read(path) or "").splitlines()
    keys = [line.partition("=")[0] for line in lines if re.match(r"[A-Za-z_][A-Za-z0-9_]*=", line)]
    return "".join(f"{key} " for key in keys)


def write(session: Session, words: list[str]) -> int:
    """Put the input in the place of a file, and keep the old one."""
    path, kept, after, before, _ = words
    files = session.files
    session.step()  # export LC_ALL
    session.step()  # umask
    session.substitute()
    if complaint := files.make_directories(kept):
        session.echo(f"failed {complaint[:200]}")
        return session.end()
    session.substitute()
    try:
        content = base64.b64decode("".join(session.stdin.split()), validate=True)
    except binascii.Error:
        session.echo("failed base64: invalid input")
        return session.end()
    files.stored[f"{kept}/new"] = content
    session.step()
    if _sha(content) != after:
        files.stored.pop(f"{kept}/new")
        session.echo("failed the content did not arrive whole")
        return session.end()
    old = files.stored.get(path, b"")
    if _sha(old) == before:
        session.substitute()
        files.stored[f"{kept}/old"] = old
        session.step()
        files.stored[f"{kept}/start"] = f"{session.droplet.node.invocation}\n".encode()
        session.substitute()
        files.stored[f"{kept}/next"] = content
        files.stored.pop(f"{kept}/new")
        session.step()  # sync
        files.stored[path] = files.stored.pop(f"{kept}/next")
        session.step()  # sync
        session.echo("written")
    elif _sha(old) == after and f"{kept}/old" in files.stored:
        files.stored.pop(f"{kept}/new")
        session.echo("written")
    else:
        files.stored.pop(f"{kept}/new")
        session.echo("changed")
    return session.end()


def restore(session: Session, words: list[str]) -> int:
    """Put the kept file back."""
    path, kept, before, after = words
    files = session.files
    session.step()  # export LC_ALL
    session.step()  # umask
    present = _sha(files.stored.get(path, b""))
    if present == before:
        session.echo("written")
    elif present == after and f"{kept}/old" in files.stored:
        session.substitute()
        files.stored[f"{kept}/next"] = files.stored[f"{kept}/old"]
        session.step()
        files.stored[f"{kept}/start"] = f"{session.droplet.node.invocation}\n".encode()
        session.step()  # sync
        files.stored[path] = files.stored.pop(f"{kept}/next")
        session.step()
        session.echo("written")
    else:
        session.echo("changed")
    return session.end()


def _forget(session: Session, kept: str) -> int:
    session.step()
    stored = session.files.stored
    for path in [p for p in stored if p.startswith(f"{kept}/")]:
        del stored[path]
    return 0


LOOKS: dict[str, Callable[[Session, list[str]], int]] = {"f4191f0e26142c2b": look}
READS: dict[str, Callable[[Session, list[str]], int]] = {"b123eebcc85ee212": read}
CHANGES: dict[str, Callable[[Session, list[str]], int]] = {
    "089d28b2234778e9": write,
    "82c0418c414d6b2a": restore,
}
"""By the digests of the scripts without their parameters."""

rests_on(
    "scripts",
    Source.EXECUTED,
    "run in sh beside stand-ins for docker and systemctl",
    "look at the configuration",
    "read a configuration file",
    "write a configuration file",
    "restore a configuration file",
    "forget a kept configuration file",
)
