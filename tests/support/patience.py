"""How long tests wait for real processes: until it happens.

Nothing that goes well takes nearly as long, on however slow a machine: these bounds only end what
would never end. What is to be quick is shown by what came first, or in virtual time.
"""

HANG = 600.0
"""Seconds."""

LOOKS = 12_000
"""Looks that are a twentieth of a second or more apart."""
