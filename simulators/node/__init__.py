"""What runs inside the droplets, as SSH shows it."""

from simulators.node.shellface import KeyRefused, NodeShell, Output
from simulators.node.ssh import SshFace

__all__ = ["KeyRefused", "NodeShell", "Output", "SshFace"]
