"""docs/how-to/trust-it.md shows what the commands print, and its tables name what is there."""

import pytest

from scripts import trust_it
from scripts.trust_it import MEASURED, PAGE, blocks_of, different, filled

PAGE_TEXT = PAGE.read_text("utf-8")
SHOWN = blocks_of(PAGE_TEXT)


def test_the_first_night_is_what_the_channel_reads() -> None:
    assert different(SHOWN, {"night": trust_it.observed_night()}) == [], "make trust"


@pytest.mark.thorough
def test_the_whole_page_is_what_the_code_gives() -> None:
    made = trust_it.blocks()
    assert made.keys() == SHOWN.keys()
    assert different(SHOWN, made) == [], "make trust"


@pytest.mark.parametrize("name", SHOWN)
def test_another_output_is_found(name: str) -> None:
    made = {name: f"surprise\n{SHOWN[name]}"}
    assert different(SHOWN, made) == [name]
    assert different(blocks_of(filled(PAGE_TEXT, made)), made) == []


def test_digits_differ_only_where_a_machine_decides_them() -> None:
    for name, text in SHOWN.items():
        other = {name: text.translate(str.maketrans("0123456789", "1234567890"))}
        assert different(SHOWN, other) == ([] if name in MEASURED else [name])
