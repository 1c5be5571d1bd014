"""What happens in worlds with hidden misfortunes is among what was rehearsed.

A few worlds always; `make test-all` compares sixty, and `python -m tests.rehearsal.proof` prints
the table.
"""

from bot.rehearsal.luck import TROUBLES
from tests.rehearsal.hidden import MISFORTUNES, hidden

CALM = (0,)


def test_the_hidden_worlds_are_of_all_kinds() -> None:
    worlds = [hidden(seed) for seed in range(60)]
    assert {w.kind for w in worlds} == {"pool", "fixed", "autoscaler"}
    assert {m for w in worlds for m in w.misfortunes} == {*MISFORTUNES}
    assert len({w.procedure.command_line() for w in worlds}) >= 6


def test_kinds_of_bad_luck_have_names_of_their_own() -> None:
    assert len({trouble.name for trouble in TROUBLES}) == len(TROUBLES)
    assert all(0 < trouble.chance < 1 for trouble in TROUBLES)
