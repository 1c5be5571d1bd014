"""Steps: goals that can say whether they are reached, what the cluster looks like afterwards, and how to ask for it."""

from services.steps.backup import DropBackups, KeepSecrets, Snapshots
from services.steps.base import Choice, Effects, Question, Step, World
from services.steps.hours import SaveWindow
from services.steps.masters import FrontAnswers, Healthy, PowerOff, PowerOn, RestartService
from services.steps.media import Drain, MediaGone, MediaServing, OldGone, Revive, Shrunk, StopService
from services.steps.pool import PoolTarget, TemplateSize
from services.steps.resize import Resize, Settled
from services.steps.secrets import BreakLock, DropStaged, PromoteSecrets, RestoreSecrets

STEPS: tuple[type[Step], ...] = (
    *(SaveWindow, PromoteSecrets, BreakLock, RestoreSecrets, DropStaged),
    *(Drain, PoolTarget, MediaGone, MediaServing, Revive, PowerOff, PowerOn, Healthy, FrontAnswers),
    *(TemplateSize, Shrunk, OldGone, StopService, RestartService),
    *(Resize, Settled, Snapshots, KeepSecrets, DropBackups),
)

__all__ = [
    "STEPS",
    "BreakLock",
    "Choice",
    "Drain",
    "DropBackups",
    "DropStaged",
    "Effects",
    "FrontAnswers",
    "Healthy",
    "KeepSecrets",
    "MediaGone",
    "MediaServing",
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
    "SaveWindow",
    "Settled",
    "Shrunk",
    "Snapshots",
    "Step",
    "StopService",
    "TemplateSize",
    "World",
]
