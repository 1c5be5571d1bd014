"""moto's S3 on real HTTP, in a process of its own: an implementation that is not ours.

It checks signatures and policies, as S3 does.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Key = tuple[str, str]


@dataclass(frozen=True)
class MotoServer:
    """A running server. `key` may do everything in S3; `ungranted` is a key without any right."""

    url: str
    key: Key
    ungranted: Key


@contextlib.contextmanager
def running_moto() -> Iterator[MotoServer]:
    """Start it, and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.moto_process"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        started = json.loads(process.stdout.readline())
        url = f"http://127.0.0.1:{started['port']}"
        yield MotoServer(url, tuple(started["key"]), tuple(started["ungranted"]))
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()
