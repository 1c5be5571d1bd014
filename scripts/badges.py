"""Writes the badges of README.md from what they are about; `--check` only compares.

Pictures of our own: a badge server would learn who reads the page, and may stop tomorrow.
"""

import argparse
import re
import sys
import tomllib
from html import escape
from pathlib import Path

from scripts.env import SUPPORTED

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
# Pixels for one character, at 11 px: wide enough for the fonts that browsers have.
PER_CHARACTER, PADDING = 6.6, 8
GREY, BLUE, GREEN = "#454d56", "#1264a3", "#18794e"


def main() -> int:
    arguments = argparse.ArgumentParser(prog="badges", description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing; 1 if any differs")
    check = arguments.parse_args().check
    different = [name for name, svg in badges().items() if not up_to_date(name, svg, check=check)]
    for name in different:
        print(f"docs/pictures/{name} is not what its source says: make docs")
    return int(bool(different))


def badges() -> dict[str, str]:
    """Return each badge's file name and picture."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=").split(",")[0]
    newest = max(version for _, version in SUPPORTED)
    return {
        "badge-licence.svg": draw("licence", project["license"], BLUE),
        "badge-python.svg": draw("python", f"{oldest} to 3.{newest}", BLUE),
        "badge-reliability.svg": draw("simulated year of nights", reliability(), GREEN),
    }


def reliability() -> str:
    """Return what docs/reliability.md says of the people in meetings."""
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    row = re.search(r"^\| \*\*all\*\* (?:\|[^|\n]*){3}\| (\d+) \|", text, re.MULTILINE)
    if row is None:
        raise SystemExit("docs/reliability.md has no line for all nights")
    return f"{row[1]} people disconnected"


def draw(label: str, value: str, color: str) -> str:
    """Return a badge: a label and its value."""
    left = len(label) * PER_CHARACTER + 2 * PADDING
    right = len(value) * PER_CHARACTER + 2 * PADDING
    texts = "".join(
        f'<text x="{x:.1f}" y="14" text-anchor="middle">{escape(text)}</text>'
        for x, text in ((left / 2, label), (left + right / 2, value))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right:.0f}" height="20" '
        f'role="img" aria-label="{escape(label)}: {escape(value)}">'
        f'<rect width="{left:.1f}" height="20" fill="{GREY}"/>'
        f'<rect x="{left:.1f}" width="{right:.1f}" height="20" fill="{color}"/>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )


def up_to_date(name: str, svg: str, *, check: bool) -> bool:
    """Write the picture unless only checking; return whether the file was right (or is now)."""
    path = PICTURES / name
    if not check:
        path.write_text(svg, "utf-8")
        return True
    return path.is_file() and path.read_text("utf-8") == svg


if __name__ == "__main__":
    sys.exit(main())
