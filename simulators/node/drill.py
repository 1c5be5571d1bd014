"""What a node does with the scripts of backups and restore drills."""

from simulators.cloud.copies import OPENS_IN, SEALED, STARTED
from simulators.node.session import Session

PROOF = "/run/openvidu-bot/drill-proof"
MOST_LINES = 200


def count_documents(session: Session) -> int:
    """Print how many documents each collection of the running database holds."""
    session.substitute()
    droplet, estate = session.droplet, session.estate
    runs = droplet.is_master and estate.up(droplet)
    if not runs:
        session.echo("refused=no container mongo runs here")
        return session.end()
    session.substitute()
    if "mongo-silent" in session.faults:
        session.echo("refused=the database did not answer")
        return session.end()
    _print_counts(session, estate.clusters[droplet.stack].documents)
    session.echo("end")
    return session.end()


def _print_counts(session: Session, documents: dict[str, int]) -> None:
    for name, number in sorted(documents.items())[:MOST_LINES]:
        session.out.append(f"count={name}={number}")


def drill_look(session: Session) -> int:
    """Print whether a copy is sealed, what started there, and how its database opened."""
    files = session.files
    session.step()  # [ -e ... ]
    session.echo("sealed=yes" if files.read(SEALED) is not None else "sealed=no")
    session.step()  # [ -d ... ]
    if files.is_directory(PROOF):
        session.echo("begun=yes")
        session.out += (files.read(f"{PROOF}/report") or "").splitlines()
    else:
        for unit in (files.read(STARTED) or "").split():
            session.echo(f"started={unit}")
    session.echo("end")
    return session.end()


def drill_prove(session: Session) -> int:
    """Begin to open the database of a copy, once."""
    files = session.files
    session.step()  # [ ! -e ... ]
    if files.read(SEALED) is None:
        session.echo("unsealed")
        return session.end()
    session.step()  # mkdir
    if files.is_directory(PROOF):
        session.echo("already")
        return session.end()
    files.make_directories(PROOF)
    session.estate.timeline.after(OPENS_IN, lambda: _report(session))
    session.echo("begun")
    return session.end()


def _report(session: Session) -> None:
    """Write down how the database opened, if the copy is still there."""
    droplet, copied = session.droplet, session.droplet.copy_of
    if copied is None or droplet.id not in session.estate.droplets or not droplet.on:
        return
    lines = [f"count={name}={n}" for name, n in sorted(copied.documents.items())]
    if copied.damage:
        lines = [f"failed={copied.damage}"]
    text = "".join(f"{line}\n" for line in (*lines, "ended=yes"))
    droplet.node.files[f"{PROOF}/report"] = text.encode()
