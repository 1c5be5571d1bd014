"""The behaviour of the pretend cloud: droplets, pools, nodes and people in meetings. No I/O."""

from simulators.estate.delays import Delays
from simulators.estate.estate import Estate
from simulators.estate.terraform import Terraform, Variables
from simulators.estate.things import (
    Cluster,
    Container,
    Droplet,
    Loss,
    Meeting,
    Node,
    Pool,
    Quits,
    Refusal,
    Violation,
)
from simulators.estate.timeline import Cause

__all__ = [
    "Cause",
    "Cluster",
    "Container",
    "Delays",
    "Droplet",
    "Estate",
    "Loss",
    "Meeting",
    "Node",
    "Pool",
    "Quits",
    "Refusal",
    "Terraform",
    "Variables",
    "Violation",
]
