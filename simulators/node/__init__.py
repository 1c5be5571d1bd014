"""What runs inside the droplets, as SSH shows it."""

from simulators.node.shellface import NodeShell, Output
from simulators.node.ssh import SshFace

__all__ = ["NodeShell", "Output", "SshFace"]
