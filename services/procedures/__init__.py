"""Procedures: what an operator can ask for. A new one is a dataclass, its name in this tuple, and a test file."""

from services.procedures.base import Procedure
from services.procedures.power import Shutdown, Startup

PROCEDURES: tuple[type[Procedure], ...] = (Shutdown, Startup)

__all__ = ["PROCEDURES", "Procedure", "Shutdown", "Startup"]
