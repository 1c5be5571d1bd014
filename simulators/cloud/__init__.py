"""The behaviour of the pretend cloud: droplets, pools, nodes and people in meetings. No I/O."""

from simulators.cloud.cloud import Cloud
from simulators.cloud.delays import Delays
from simulators.cloud.model import (
    Cluster,
    Container,
    Droplet,
    Loss,
    Meeting,
    NodeState,
    Pool,
    Refusal,
    SigquitBehaviour,
    Violation,
)
from simulators.cloud.terraform import Terraform, Variables
from simulators.cloud.timeline import EventCause

__all__ = [
    "Cloud",
    "Cluster",
    "Container",
    "Delays",
    "Droplet",
    "EventCause",
    "Loss",
    "Meeting",
    "NodeState",
    "Pool",
    "Refusal",
    "SigquitBehaviour",
    "Terraform",
    "Variables",
    "Violation",
]
