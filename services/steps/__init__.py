"""Steps: goals that know whether they are reached, what they change, and what to request.

To add one:

1. a frozen dataclass that subclasses `Step` (`services/steps/base.py`). Its fields are stored with
   the run, so that a later release must still read them; class variables are not stored. Required
   are `timing`, `title`, `is_done`, `after`, and `ask` unless it only waits;
2. its name in `STEPS` below: a run of a step that is not listed cannot be read back;
3. example values for new fields in `FIELDS` of `tests/support/clusters.py`. The laws in
   `tests/laws/test_steps.py` then cover it.

A new write operation is a method of `WriteOperations` in `services/steps/base.py`.
"""

from services.steps.autoscaler import Arrived, Autoscaling, RunsOver
from services.steps.autoscaler_drain import Deleted, FleetGone, Left, Uncounted
from services.steps.backup import DropBackups, KeepSecrets, Snapshots
from services.steps.base import Choice, Effects, Question, Step, StepTiming, WriteOperations
from services.steps.drain import Drain
from services.steps.fixed_nodes import NodeSize, NodesOff, NodesOn, NodesServe
from services.steps.masters import FrontAnswers, Healthy, PowerOff, PowerOn, RestartService
from services.steps.media_nodes import MediaServing, Revive, StopService
from services.steps.pool import PoolTarget, TemplateSize
from services.steps.removal import MediaGone, OldGone, Shrunk
from services.steps.resize import Resize, Settled
from services.steps.secrets import BreakLock, DropStaged, PromoteSecrets, RestoreSecrets
from services.steps.windows import SaveWindow

STEPS: tuple[type[Step], ...] = (
    *(SaveWindow, PromoteSecrets, BreakLock, RestoreSecrets, DropStaged),
    *(Drain, PoolTarget, MediaGone, MediaServing, Revive, PowerOff, PowerOn, Healthy, FrontAnswers),
    *(TemplateSize, Shrunk, OldGone, StopService, RestartService),
    *(Autoscaling, RunsOver, Left, Uncounted, Deleted, FleetGone, Arrived),
    *(NodesOff, NodesOn, NodesServe, NodeSize),
    *(Resize, Settled, Snapshots, KeepSecrets, DropBackups),
)

__all__ = [
    "STEPS",
    "Arrived",
    "Autoscaling",
    "BreakLock",
    "Choice",
    "Deleted",
    "Drain",
    "DropBackups",
    "DropStaged",
    "Effects",
    "FleetGone",
    "FrontAnswers",
    "Healthy",
    "KeepSecrets",
    "Left",
    "MediaGone",
    "MediaServing",
    "NodeSize",
    "NodesOff",
    "NodesOn",
    "NodesServe",
    "OldGone",
    "PoolTarget",
    "PowerOff",
    "PowerOn",
    "PromoteSecrets",
    "Question",
    "Resize",
    "RestartService",
    "RestoreSecrets",
    "Revive",
    "RunsOver",
    "SaveWindow",
    "Settled",
    "Shrunk",
    "Snapshots",
    "Step",
    "StepTiming",
    "StopService",
    "TemplateSize",
    "Uncounted",
    "WriteOperations",
]
