"""Copies of masters: droplets created from a snapshot, and what keeps them from the original."""

from simulators.cloud.events import CopyReachesProduction, Emit
from simulators.cloud.model import SimulatedDroplet
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

SEALED = "/run/openvidu-bot/drill-sealed"
STARTED = "/run/simulated/started-by-itself"
UNITS = b"openvidu.service docker.service containerd.service cron.service"
OPENS_IN = 25.0
"""Seconds until a database has opened."""


def boot_copy(state: CloudState, droplet: SimulatedDroplet, emit: Emit) -> None:
    """Boot the copy of a disk. What its first boot seals does not start by itself."""
    is_sealed = _seals(droplet) and "seal-ignored" not in state.node_faults(droplet.name)
    if is_sealed:
        droplet.node.files[SEALED] = b""
    else:
        droplet.node.files[STARTED] = UNITS
    if why := _ways_out(state, droplet, is_sealed=is_sealed):
        emit(CopyReachesProduction(droplet, why))


def _seals(droplet: SimulatedDroplet) -> bool:
    """Whether its user_data keeps the services of the original from starting, first of all."""
    text = droplet.user_data
    wanted = ("bootcmd:", "openvidu.service", "docker.service", "cron.service", "OUTPUT DROP")
    return text.startswith("#cloud-config") and all(part in text for part in wanted)


def _ways_out(state: CloudState, droplet: SimulatedDroplet, *, is_sealed: bool) -> str:
    """Return how it can reach the original; "" when it cannot."""
    originals = [d for d in state.droplets.values() if d.is_master or d.is_media]
    if any(d.vpc_uuid == droplet.vpc_uuid for d in originals):
        return "it is in the network of a cluster"
    if any(tag in d.tags for d in originals for tag in droplet.tags):
        return "it carries a tag of a cluster"
    walls = [w for w in state.firewalls.values() if set(w.tags) & set(droplet.tags)]
    if not any(w.lets_nothing_out for w in walls) and not is_sealed:
        return "neither a firewall nor its first boot keeps it from the internet"
    if not walls:
        return "no firewall is in front of it"
    return ""


rests_on(
    "copies of masters",
    Source.DOCUMENT,
    "DigitalOcean's page on VPC networks: resources reach each other only inside one; on cloud "
    "firewalls: what no rule allows is dropped, and answers to what is allowed pass",
    "a network of its own has no way to the private addresses of another",
    "a firewall without outbound rules lets nothing out but answers",
)
rests_on(
    "copies of masters",
    Source.DOCUMENT,
    "cloud-init's page on boot stages: bootcmd runs at each boot, before cron and Docker start",
    "user_data of a droplet made from a snapshot runs at its first boot",
)
rests_on(
    "copies of masters",
    Source.NOTHING,
    "which user the database has in its container, under which name its image is, and whether a "
    "firewall by tag is in force before the first boot: a drill checks each and says what is wrong",
    "the documents of the database are counted by its own shell",
    "a database on the copied disk opens by itself",
)
