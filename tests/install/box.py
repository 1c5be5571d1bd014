"""Root file systems of Debian packages, with their own network, for the long install tests."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "install"
INSIDE = "OPENVIDU_BOT_TEST_INSIDE"


class Missing(Exception):
    """What this machine lacks for a test, in words."""


class Report:
    """Prints each thing that was found, and counts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.passed = 0
        self.failed = 0

    def check(self, text: str, found: object, wanted: object = True) -> None:
        """One line, and what was found instead."""
        if found == wanted:
            self.passed += 1
            print(f"  ok    {text}", flush=True)
        else:
            self.failed += 1
            print(
                f"  FAIL  {text}\n        found:  {found!r}\n        wanted: {wanted!r}", flush=True
            )

    def end(self) -> int:
        """The closing line, and the exit code."""
        print(f"{self.name}: {self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def run(
    *words: str, env: Mapping[str, str] | None = None, seconds: float = 600, must: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run a program; return its output. RuntimeError with the output if it fails and must not."""
    full = {**os.environ, **(env or {})}
    done = subprocess.run(
        words, capture_output=True, text=True, env=full, timeout=seconds, check=False
    )
    if must and done.returncode:
        raise RuntimeError(
            f"{' '.join(words)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
    return done


def needs(*programs: str) -> None:
    """Root, Linux, and these programs."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Missing("root, on Linux")
    lacking = [
        name
        for name in programs
        if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None
    ]
    if lacking:
        raise Missing(", ".join(lacking))


def base(kind: str, suite: str = "") -> Path:
    """Return the root file system of that kind, created once; of a Debian release or SUITE."""
    suite = suite or os.environ.get("SUITE", "")
    tar = CACHE / f"{kind}{'-' if suite else ''}{suite}.tar"
    if not tar.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = tar.with_suffix(".part.tar")
        print(f"making {tar.name} from Debian's packages (two minutes, once)", flush=True)
        try:
            run(
                "sh",
                str(ROOT / "scripts" / "base_image.sh"),
                kind,
                str(part),
                env={"SUITE": suite} if suite else None,
                seconds=3600,
            )
        except RuntimeError as error:
            raise Missing(f"Debian's packages: {str(error).splitlines()[-1]}") from None
        part.rename(tar)
    return tar


def python_in(tar: Path) -> str:
    """The Python that it has, as 3.11."""
    with tarfile.open(tar) as archive:
        found = next(
            match
            for name in archive
            if (match := re.fullmatch(r"\./usr/bin/python(3\.\d+)", name.name))
        )
    return found[1]


def alone(
    module: str,
    words: Sequence[str],
    inside: Callable[[], int],
    env: Mapping[str, str] | None = None,
) -> int:
    """Run `inside` in its own network namespace: nothing is reachable, every port is free."""
    if os.environ.get(INSIDE):
        return inside()
    command = [
        "unshare",
        "--net",
        "sh",
        "-c",
        'ip link set lo up && exec "$@"',
        "alone",
        sys.executable,
        "-m",
        module,
        *words,
    ]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(env or {}), INSIDE: "1"}, check=False
    ).returncode
