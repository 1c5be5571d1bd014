"""What runs inside the droplets, as SSH shows it."""

from simulators.node.scripts import UnknownScript
from simulators.node.shell import KeyRefused, NodeShell, ShellOutput
from simulators.node.ssh import SshServers

__all__ = ["KeyRefused", "NodeShell", "ShellOutput", "SshServers", "UnknownScript"]
