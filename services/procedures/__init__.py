"""Procedures: the operations that can be requested.

A new one is a dataclass, its name in this tuple, and a test file.
"""

from services.procedures.backup import BackupCreate, BackupPrune
from services.procedures.base import Procedure
from services.procedures.configure import Configure
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
from services.procedures.power import Shutdown, Startup
from services.procedures.resize import ResizeMasters
from services.procedures.restart import Restart
from services.procedures.windows import AddWindow

PROCEDURES: tuple[type[Procedure], ...] = (
    *(Shutdown, Startup, Scale, DrainNodes, Restart),
    *(ResizeMedia, ResizeMasters, BackupCreate, BackupPrune),
    *(AddWindow, Configure),
    *(Freeze, Unfreeze, Roll, Park, Unpark),
)

__all__ = [
    "PROCEDURES",
    "AddWindow",
    "BackupCreate",
    "BackupPrune",
    "Configure",
    "DrainNodes",
    "Freeze",
    "Park",
    "Procedure",
    "ResizeMasters",
    "ResizeMedia",
    "Restart",
    "Roll",
    "Scale",
    "Shutdown",
    "Startup",
    "Unfreeze",
    "Unpark",
]
