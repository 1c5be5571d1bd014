"""The physics of the pretend world: droplets, pools, nodes and the people in meetings. No I/O."""

from simulators.estate.delays import Delays
from simulators.estate.estate import Estate
from simulators.estate.terraform import Terraform, Variables
from simulators.estate.things import Cluster, Container, Droplet, Meeting, Node, Pool, Refusal, Violation

__all__ = [
    "Cluster",
    "Container",
    "Delays",
    "Droplet",
    "Estate",
    "Meeting",
    "Node",
    "Pool",
    "Refusal",
    "Terraform",
    "Variables",
    "Violation",
]
