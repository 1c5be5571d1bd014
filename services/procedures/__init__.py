"""Procedures: the operations that can be requested.

To add one:

1. a frozen dataclass that subclasses `Procedure` (`services/procedures/base.py`). Its fields are
   the command's arguments and flags, the first line of its docstring is the help (or `help_text`,
   where users need other words), `steps` yields the steps. A short example: `restart.py`;
2. its name in `PROCEDURES` below;
3. a test file in `tests/procedures/`. The laws in `tests/laws/` draw its arguments by their type;
   an argument with a format of its own needs examples in `ARGUMENTS` of
   `tests/support/clusters.py`.

What depends on the kind of media fleet is a method of `Fleet` (`services/procedures/fleet/`): take
nodes from `fleet_of(cluster).select(...)`, never from `cluster.media`, and call the fleet's
`check_...` before acting on one. How to add a step, and which there are, is in
`services/steps/__init__.py`.

When someone changes the cluster during a run, `check` and then `replan(cluster, left)` are called
on the changed cluster, where a node may be half restarted or still installing. A `repeatable`
procedure overrides `replan` and uses `left`, or it repeats what is done; `resize_masters.py` is an
example.

By hand, where it applies: a button in `handlers/views/offers.py`, a case in `STORIES` of
`tests/laws/test_undone.py`, a request in `tests/campaign/requests.py`, a line in the README's table
and in CHANGELOG.md. An override that ignores an argument has `@override`.
"""

from services.procedures.backup import AddBackupSchedule, BackupCreate, BackupPrune
from services.procedures.base import Procedure
from services.procedures.config_file import ChangeConfigFile
from services.procedures.configure import Configure
from services.procedures.drill import Drill
from services.procedures.leftovers import DeleteWaste
from services.procedures.media_nodes import (
    DrainNodes,
    Freeze,
    Park,
    ResizeMedia,
    Roll,
    Scale,
    Unfreeze,
    Unpark,
)
from services.procedures.node_service import Start, Stop
from services.procedures.power import Shutdown, Startup
from services.procedures.resize_masters import ResizeMasters
from services.procedures.restart import Restart
from services.procedures.scaling import AllowScaling
from services.procedures.switch_module import SwitchModule
from services.procedures.upgrade import Upgrade
from services.procedures.windows import AddWindow

PROCEDURES: tuple[type[Procedure], ...] = (
    *(Shutdown, Startup, Scale, DrainNodes, Restart, Stop, Start),
    *(ResizeMedia, ResizeMasters, BackupCreate, BackupPrune, Drill, AddBackupSchedule),
    DeleteWaste,
    *(AddWindow, Configure, ChangeConfigFile, SwitchModule),
    *(Freeze, Unfreeze, Roll, Park, Unpark),
    *(Upgrade, AllowScaling),
)

__all__ = [
    "PROCEDURES",
    "AddBackupSchedule",
    "AddWindow",
    "AllowScaling",
    "BackupCreate",
    "BackupPrune",
    "ChangeConfigFile",
    "Configure",
    "DeleteWaste",
    "DrainNodes",
    "Drill",
    "Freeze",
    "Park",
    "Procedure",
    "ResizeMasters",
    "ResizeMedia",
    "Restart",
    "Roll",
    "Scale",
    "Shutdown",
    "Start",
    "Startup",
    "Stop",
    "SwitchModule",
    "Unfreeze",
    "Unpark",
    "Upgrade",
]
