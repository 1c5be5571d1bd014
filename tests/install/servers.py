"""Tests the state store on Redis 8 and Valkey of Debian 13, besides what this machine has.

`python -m tests.install.servers`. The servers are unpacked from Debian's packages and run in place
with their own libraries; nothing is installed. On each: the contract of a store, Sentinel and
failover, TLS, a managed server without INFO and CONFIG, a Cluster and a replica that are refused,
and several bots at once. If something is missing, it names it, reports that it was skipped, and
exits with 0.
"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.install.box import ROOT, Missing, Report, base, needs
from tests.support.tools import MORE, ONE, redis_servers, server_version

SUITE = "trixie"
PROGRAMS = ("redis-server", "valkey-server")
CONTRACTS = (
    "tests/contracts/test_store.py",
    "tests/contracts/test_redis_kept.py",
    "tests/contracts/test_state.py",
)
WHOLE = ("tests/e2e/test_replicas.py",)
START = """#!/bin/sh
exec {loader} --library-path {libraries} {program} "$@"
"""
report = Report("redis-test")


def main() -> int:
    """Bring them, then run the tests on each."""
    try:
        needs("mmdebstrap")
        tar = base("servers", SUITE)
    except Missing as missing:
        print(f"redis-test: skipped: needs {missing}")
        return 0
    with tempfile.TemporaryDirectory(prefix="redis-test-") as name:
        brought = taken_out(tar, Path(name))
        usual = redis_servers()
        for server in [*usual, *brought]:
            print(f"  {server_version(server)}", flush=True)
        env = {MORE: ":".join(brought), "OPENVIDU_BOT_CI": "1"}
        report.check("what a store promises, on each of them", tested(CONTRACTS, env), "passed")
        for server in brought:
            report.check(
                f"several bots on {server_version(server)}", tested(WHOLE, {ONE: server}), "passed"
            )
    return report.end()


def taken_out(tar: Path, folder: Path) -> list[str]:
    """The programs, each as a command that starts it with the libraries that came with it."""
    root = folder / "root"
    with tarfile.open(tar) as archive:
        wanted = [m for m in archive if re.match(r"\./usr/(bin|lib)/", m.name) and not m.isdev()]
        archive.extractall(root, wanted, filter="tar")
    (loader,) = root.glob("usr/lib/*/ld-linux-*.so.*")
    made = []
    for program in PROGRAMS:
        command = folder / f"{SUITE}-{program}"
        command.write_text(
            START.format(
                loader=loader, libraries=loader.parent, program=root / "usr" / "bin" / program
            )
        )
        command.chmod(0o755)
        made.append(str(command))
    return made


def tested(files: tuple[str, ...], env: dict[str, str]) -> str:
    """What pytest found; its own lines are printed."""
    words = [sys.executable, "-m", "pytest", "-n", "2", *files]
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **env}, check=False)
    return "passed" if done.returncode == 0 else f"pytest ended with {done.returncode}"


if __name__ == "__main__":
    sys.exit(main())
