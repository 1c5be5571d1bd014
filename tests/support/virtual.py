"""The event loop in virtual time, which rehearsals use too: `simulators/virtual.py`."""

from simulators.virtual import LONGEST_JUMP, MANY, RESOLUTION, Deadlock, VirtualLoop, run

__all__ = ["LONGEST_JUMP", "MANY", "RESOLUTION", "Deadlock", "VirtualLoop", "run"]
