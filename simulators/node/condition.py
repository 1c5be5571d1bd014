"""The script that asks a node for its condition: disks, containers, databases, clock."""

from simulators.cloud import SimulatedDroplet
from simulators.cloud.model import SimulatedContainer
from simulators.evidence import Source, rests_on
from simulators.node.docker import Docker, DockerError
from simulators.node.session import Session

DISK_KIB = 160 * 1024 * 1024
USED, FULL = 34, 97
"""Percent of a node's disk that are used, and of one that is full."""
CLOCK_OFF = 40
"""Seconds by which a wrong clock is ahead."""
REDIS_PORT, MONGO_PORT = 7000, 20000


def clock(session: Session) -> int:
    """Return the node's time, in epoch seconds."""
    ahead = CLOCK_OFF if "clock-off" in session.faults else 0
    return int(session.estate.now) + ahead


def condition(session: Session) -> int:
    """Print everything that the script asks for, in its order."""
    session.step()  # export LC_ALL
    session.substitute()
    session.echo(f"clock={clock(session)}")
    _disk(session)
    session.substitute()
    session.echo(f"routes={_routes(session)}")
    docker = Docker(session)
    try:
        everything = docker.ps()
        session.step()  # true
    except DockerError:
        return _refused(session, docker)
    for name in [c.name for c in everything]:
        container = docker.inspect(name)
        state = f"{container.status} {container.restarts} {container.exit_code}"
        session.echo(f"container={name} {state} {container.started_at}")
    names = {c.name: c for c in everything}
    if "redis-server" in names:
        _redis(session, names["redis-server"])
    if "mongo" in names:
        _mongo(session, names["mongo"])
    if "minio" in names:
        session.substitute()
        status = 200 if names["minio"].up else 0
        session.echo(f"minio={status:03d}")
    session.echo("end")
    return session.end()


def _disk(session: Session) -> None:
    percent = FULL if "disk-full" in session.faults else USED
    free = DISK_KIB * (100 - percent) // 100
    with session.subshell():
        # One file system holds all three directories, and df names it for each.
        directories = 3 if session.droplet.node.installed else 1
        for _ in range(directories):
            session.echo(f"disk={percent} {free} /")


def _routes(session: Session) -> int:
    """Return how many addresses of the load balancer the node accepts."""
    if session.droplet.role != "master" or "route-missing" in session.faults:
        return 0
    return 1


def _refused(session: Session, docker: Docker) -> int:
    try:
        docker.ps()
    except DockerError as error:
        session.echo(f"refused=docker: {error}")
    session.echo("end")
    return session.end()


def _redis(session: Session, container: SimulatedContainer) -> None:
    session.echo("redis=asked")
    if not container.up or "redis-silent" in session.faults:
        return
    connected = [m for m in _masters(session) if _runs(session, m, "redis-server")]
    joined = [m for m in connected if "replica-down" not in session.estate.node_faults(m.name)]
    primary = joined[0] if joined else None
    if session.droplet is not primary:
        session.echo("redis=role:slave")
        is_up = primary is not None and session.droplet in joined
        session.echo(f"redis=master_link_status:{'up' if is_up else 'down'}")
        session.echo("redis=connected_slaves:0")
        return
    session.echo("redis=role:master")
    replicas = joined[1:]
    session.echo(f"redis=connected_slaves:{len(replicas)}")
    for number, replica in enumerate(replicas):
        address = f"ip={replica.private_ip},port={REDIS_PORT}"
        session.echo(f"redis=slave{number}:{address},state=online,offset=1184,lag=0")


def _mongo(session: Session, container: SimulatedContainer) -> None:
    session.echo("mongo=asked")
    if not container.up:
        return
    has_primary = False
    for master in _masters(session):
        down = "replica-down" in session.estate.node_faults(master.name)
        if down or not _runs(session, master, "mongo"):
            state = "notreachablehealthy 0"
        elif has_primary:
            state = "SECONDARY 1"
        else:
            state, has_primary = "PRIMARY 1", True
        session.echo(f"mongo={master.private_ip}:{MONGO_PORT} {state} 0")


def _masters(session: Session) -> list[SimulatedDroplet]:
    return session.estate.masters(session.droplet.stack)


def _runs(session: Session, master: SimulatedDroplet, name: str) -> bool:
    return session.estate.up(master) and master.node.running(name)


rests_on(
    "scripts",
    Source.EXECUTED,
    "run in sh beside stand-ins for docker, df, ip and curl",
    "condition",
)
rests_on(
    "scripts",
    Source.SOURCE,
    "openvidu-digitalocean 3.6.1: configure-nlb.service adds a local route for the load balancer",
    "the load balancer's route",
)
rests_on(
    "scripts",
    Source.NOTHING,
    "the images are closed: names of containers are published, ports and programs in them not seen",
    "redis-cli in redis-server",
    "mongosh in mongo",
    "MinIO's health page",
)
