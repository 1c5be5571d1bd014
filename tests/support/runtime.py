"""The packages that a bot needs, without those for its development."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def our_requirements() -> list[str]:
    """Return the names of what the bot depends on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [Requirement(line).name for line in project["dependencies"]]


def with_dependencies(names: Iterable[str]) -> Iterator[metadata.Distribution]:
    """Yield these distributions and all that they need here. PackageNotFoundError without one."""
    seen: set[str] = set()
    left = list(names)
    while left:
        name = left.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        distribution = metadata.distribution(name)
        yield distribution
        left += [
            each.name
            for line in distribution.requires or ()
            if (each := Requirement(line)).marker is None or each.marker.evaluate({"extra": ""})
        ]


def install(names: Iterable[str], site: Path) -> None:
    """Copy distributions and their dependencies, nothing compiled, from this environment."""
    for distribution in with_dependencies(names):
        for file in distribution.files or ():
            source = Path(str(file.locate()))
            if source.is_file() and ".." not in file.parts and source.suffix != ".pyc":
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, site / file)


def slim(site: Path) -> None:
    """Remove what the image leaves out."""
    command = [sys.executable, str(ROOT / "scripts" / "slim.py"), str(site), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)


def compile_all(site: Path) -> None:
    """Compile all modules, as the image does."""
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*command, str(site)], check=True, capture_output=True)


def size_of(folder: Path) -> int:
    """Return the bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
