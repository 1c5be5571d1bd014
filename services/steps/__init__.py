"""Steps: goals that can say whether they are reached, what the cluster looks like afterwards, and how to ask for it."""

from services.steps.base import Choice, Effects, Question, Step, World
from services.steps.masters import FrontAnswers, Healthy, PowerOff, PowerOn
from services.steps.media import Drain, MediaGone, MediaServing, Revive
from services.steps.pool import PoolTarget

STEPS: tuple[type[Step], ...] = (Drain, PoolTarget, MediaGone, MediaServing, Revive, PowerOff, PowerOn, Healthy, FrontAnswers)

__all__ = [
    "STEPS",
    "Choice",
    "Drain",
    "Effects",
    "FrontAnswers",
    "Healthy",
    "MediaGone",
    "MediaServing",
    "PoolTarget",
    "PowerOff",
    "PowerOn",
    "Question",
    "Revive",
    "Step",
    "World",
]
