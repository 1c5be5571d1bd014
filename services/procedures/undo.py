"""Which command takes a change back. Pure."""

from collections.abc import Mapping

from services.cluster.model import Cluster
from services.procedures import (
    AddWindow,
    Freeze,
    Park,
    Procedure,
    ResizeMasters,
    ResizeMedia,
    Scale,
    Shutdown,
    Startup,
    Unfreeze,
    Unpark,
)
from services.procedures.backup import AddBackupSchedule
from services.procedures.configure import Configure
from services.procedures.scaling import AllowScaling
from services.procedures.switch_module import SwitchModule

OPPOSITES: Mapping[type[Procedure], str] = {
    Shutdown: Startup.command,
    Startup: Shutdown.command,
    Freeze: Unfreeze.command,
    Unfreeze: Freeze.command,
}


def undo_command(procedure: Procedure, cluster: Cluster) -> str:
    """Return the command that restores what was before; "" where none does.

    `cluster`: as it is before the change.
    """
    match procedure:
        case Scale():
            return _with_one_value(Scale.command, {len(cluster.members)} - {0})
        case ResizeMedia():
            return _with_one_value(ResizeMedia.command, {n.droplet.size for n in cluster.members})
        case ResizeMasters(grow_disk=False):
            return _with_one_value(ResizeMasters.command, {m.size for m in cluster.masters})
        case Park(node=node):
            return f"{Unpark.command} {node}"
        case Unpark(node=node):
            return f"{Park.command} {node}"
        case SwitchModule(module=module, on=on):
            return f"module {'off' if on else 'on'} {module}"
        case Configure(one_way=False, repairs=False):
            return "config rollback VERSION"
        case AddWindow():
            return _remove_window(procedure.parse(cluster).name, cluster)
        case AddBackupSchedule() if not _has_schedule(procedure, cluster):
            return f"backup unschedule {procedure.parse(cluster).name}"
        case AllowScaling() if cluster.scaling is None:
            return "forecast revoke"
        case _:
            return OPPOSITES.get(type(procedure), "")


def _has_schedule(procedure: AddBackupSchedule, cluster: Cluster) -> bool:
    return cluster.backup_notes.schedule(procedure.parse(cluster).name) is not None


def _remove_window(name: str, cluster: Cluster) -> str:
    if any(window.split(" ", 1)[0] == name for window in cluster.windows):
        # It replaces one of the same name, which its removal does not bring back.
        return ""
    return f"window remove {name}"


def _with_one_value(command: str, values: set[int] | set[str]) -> str:
    """Return the command with the value that all of them had; "" when they differed."""
    if len(values) != 1:
        return ""
    return f"{command} {values.copy().pop()}"
