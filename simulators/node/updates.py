"""What the scripts that update OpenVidu do on a pretend node."""

import re
import shlex
from collections.abc import Callable

from simulators.cloud.nodes import version_of
from simulators.cloud.updates import BACKUPS, BOT
from simulators.node.session import Session

Answer = Callable[[Session], int]
ERRORS_LOG = "/var/log/openvidu/nodes_errors.log"
DENIED = "mkdir: cannot create directory '{}': Permission denied"
PARAMETERS = re.compile(r"^(file|named|source|want|marker|script|undone)=(.*)$", re.MULTILINE)
TABLE = re.compile(r'"([0-9.]+)"\) echo "([0-9.]+)"')
NAMED = re.compile(r"OPENVIDU_VERSION:-[0-9.]*")


def parameters_of(script: str) -> tuple[str, dict[str, str]]:
    """Return the script without its parameters, and them."""
    values = {name: shlex.split(value)[0] for name, value in PARAMETERS.findall(script) if value}
    return PARAMETERS.sub(r"\1=", script), values


def installed(session: Session) -> int:
    """Print version, unit, free disk, and what updates left on the node."""
    session.step()  # export LC_ALL
    droplet, node = session.droplet, session.droplet.node
    session.echo(f"version={version_of(droplet)}")
    session.echo(f"unit={node.unit}")
    session.echo(f"free={session.estate.updates.free_mb(droplet)}")
    for marker in _folders(session):
        session.step()  # [ -d "$marker" ]
        version = marker.rpartition("/update-")[2]
        session.echo(f"update={version} {_state(session, marker, version)}")
        session.echo(f"backups={' '.join(_new_backups(session, marker))}")
        if f"{marker}/started" in node.files:
            session.echo("started=yes")
        before = (session.files.read(f"{marker}/errors") or "").strip()
        session.echo(f"errors={before} {(session.files.read(ERRORS_LOG) or '').count(chr(10))}")
    for path in sorted(
        p for p in node.files if p.startswith(f"{BOT}/scripts/") and p.endswith(".sh")
    ):
        text = session.files.read(path) or ""
        named = NAMED.search(text)
        name = path.rpartition("/")[2].removesuffix(".sh")
        session.echo(f"script={name} {named[0] if named else ''}")
        session.echo(f"paths={' '.join(f'{was}echo{new}' for was, new in TABLE.findall(text))}")
    session.echo("end")
    return session.end()


def _folders(session: Session) -> list[str]:
    begin = f"{BOT}/update-"
    return sorted(
        {
            begin + path.removeprefix(begin).partition("/")[0]
            for path in session.droplet.node.files
            if path.startswith(begin)
        }
    )


def _state(session: Session, marker: str, version: str) -> str:
    result = session.files.read(f"{marker}/result")
    if result is not None:
        return result.splitlines()[0]
    if session.files.read(f"{marker}/pid") is None:
        return "unstarted"
    if session.estate.updates.is_running(session.droplet, version):
        return "running"
    return "interrupted"


def _new_backups(session: Session, marker: str) -> list[str]:
    before = session.files.read(f"{marker}/before")
    if before is None:
        return []
    begin = BACKUPS + "/"
    now = {p.split("/")[4] for p in session.droplet.node.files if p.startswith(begin)}
    return sorted(now - set(before.splitlines()), reverse=True)


def fetch(session: Session, values: dict[str, str]) -> int:
    """Download `update.sh`, unless it is there."""
    session.step()  # export LC_ALL
    node, file = session.droplet.node, values["file"]
    session.step()  # [ -s "$file" ]
    if node.files.get(file):
        session.echo("there")
        return session.end()
    if "unprivileged" in session.faults:
        session.echo(f"refused {DENIED.format(BOT)}")
        return session.end()
    session.files.make_directories(f"{BOT}/scripts")
    session.substitute()  # curl
    text = session.estate.updates.script(values["source"].split("/")[4])
    if text is None:
        session.echo("refused curl: (22) The requested URL returned error: 404")
        return session.end()
    if values["named"] not in text:
        session.echo(f"refused {values['source']} gave no update.sh of that version")
        return session.end()
    node.files[file] = text.encode()
    session.echo("fetched")
    return session.end()


def update(session: Session, values: dict[str, str]) -> int:
    """Mark the update and run `update.sh` detached, unless it is marked already."""
    session.step()  # export LC_ALL
    session.substitute()
    now, marker = version_of(session.droplet), values["marker"]
    if now != values["want"]:
        session.echo(f"other-version {now}")
        return session.end()
    session.step()  # [ ! -s "$script" ]
    if not session.droplet.node.files.get(values["script"]):
        session.echo(f"unmarked {values['script']} is missing")
        return session.end()
    session.substitute()
    complaint = session.files.make_directory(marker)
    if not complaint:
        session.step()  # nohup
        session.estate.updates.begin(session.droplet, marker.rpartition("/update-")[2])
        session.echo("begun")
    elif session.files.is_directory(marker):
        session.echo("already")
    else:
        session.echo(f"unmarked {complaint[:200]}")
    return session.end()


def restore(session: Session, values: dict[str, str]) -> int:
    """Copy the backup folders of an update back, and move its marker away."""
    session.step()  # export LC_ALL
    marker, files = values["marker"], session.files
    if not files.is_directory(marker):
        session.echo("nothing")
        return session.end()
    node, version = session.droplet.node, marker.rpartition("/update-")[2]
    if _state(session, marker, version) == "running":
        session.echo("running")
        return session.end()
    session.substitute()
    changed = version_of(session.droplet) != values["want"]
    if f"{marker}/started" in node.files or (changed and node.unit == "active"):
        session.echo("started")
        return session.end()
    session.step()  # systemctl stop
    session.estate.nodes.stop_unit(session.droplet)
    for folder in _new_backups(session, marker):
        session.step()  # cp
        session.estate.updates.restore(session.droplet, folder)
    if version_of(session.droplet) != values["want"]:
        session.echo(f"refused deployment-info.yaml still names {version_of(session.droplet)}")
        return session.end()
    session.step()  # mv
    _move(session, marker, f"{values['undone']}-{int(session.estate.now)}")
    node.undone = version
    session.echo("restored")
    return session.end()


def _move(session: Session, source: str, target: str) -> None:
    files = session.droplet.node.files
    for path in [p for p in files if p.startswith(source + "/")]:
        files[target + path.removeprefix(source)] = files.pop(path)


def start(session: Session) -> int:
    """Note that updates have been started, and start OpenVidu."""
    for marker in _folders(session):
        session.step()
        session.droplet.node.files[f"{marker}/started"] = b""
    session.step()  # systemctl start
    node = session.droplet.node
    if not node.installed:
        return session.fail(5, "Failed to start openvidu.service: Unit openvidu.service not found.")
    if node.unit != "active":
        session.estate.nodes.start_unit(session.droplet)
    return 0
