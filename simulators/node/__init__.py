"""What runs inside the droplets, as SSH shows it."""

from simulators.node.scripts import UnknownScript
from simulators.node.shell import KeyRefused, NodeShell, Output
from simulators.node.ssh import SshFace

__all__ = ["KeyRefused", "NodeShell", "Output", "SshFace", "UnknownScript"]
