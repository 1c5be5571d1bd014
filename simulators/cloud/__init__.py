"""The behaviour of the pretend cloud: droplets, pools, nodes and people in meetings. No I/O."""

from simulators.cloud.cloud import Cloud
from simulators.cloud.delays import Delays
from simulators.cloud.model import (
    Loss,
    NodeState,
    Refusal,
    SigquitBehaviour,
    SimulatedCluster,
    SimulatedContainer,
    SimulatedDroplet,
    SimulatedMeeting,
    SimulatedPool,
    Violation,
)
from simulators.cloud.terraform import PlannedChange, Terraform, Variables, variables_text
from simulators.cloud.timeline import EventCause

__all__ = [
    "Cloud",
    "Delays",
    "EventCause",
    "Loss",
    "NodeState",
    "PlannedChange",
    "Refusal",
    "SigquitBehaviour",
    "SimulatedCluster",
    "SimulatedContainer",
    "SimulatedDroplet",
    "SimulatedMeeting",
    "SimulatedPool",
    "Terraform",
    "Variables",
    "Violation",
    "variables_text",
]
