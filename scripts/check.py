"""`make test`, once .venv exists: installs tools of tests, then ruff, contracts, pytest and mypy.

mypy and a few measurements run beside pytest, and are shown after it. `--all` (`make test-all`)
runs campaign, mutants and chaos first; then the tests play all cases instead of samples. `--fast`
(`make test-fast`) plays what is near to a change, for half a minute, and checks nothing else. The
last line names the packages for lack of which tests were skipped.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
PYTEST = [str(BIN / "python"), "-m", "pytest"]
APT_SECONDS = 420

# One more than there are cores: tests over sockets often wait. More would collect more often.
WORKERS = min(6, 1 + (os.cpu_count() or 1))

# `make test-fast`: when the last test begins, in seconds after its start; some take a few more.
FAST_SECONDS = 20.0
FAST_FILES = 60


@dataclass(frozen=True)
class Tool:
    """A program that some tests run, and its package. The first installed of `names` counts."""

    names: tuple[str, ...]
    package: str
    distributions: tuple[str, ...]

    def path(self) -> str | None:
        """Return its path if it is installed."""
        return next(filter(None, map(shutil.which, self.names)), None)


# What the long install tests of --all need besides. There are daemons among them, so they are
# installed only on a machine for tests (OPENVIDU_BOT_CI); elsewhere a test names what is missing
# and is skipped.
CONTAINERS = [
    "mmdebstrap",
    "docker.io",
    "docker-compose",
    "buildah",
    "podman",
    "catatonit",
    "systemd-container",
    "openssh-server",
    "iproute2",
]
KUBECTL = "kubernetes-client"  # if there is no kubectl from elsewhere

# The same names as in tests/support/tools.py. Ubuntu's chromium package only fetches a snap, which
# does not work in a container.
TOOLS = (
    Tool(("redis-server", "valkey-server"), "redis-server", ("debian", "ubuntu")),
    Tool(("sshd", "/usr/sbin/sshd"), "openssh-server", ("debian", "ubuntu")),
    Tool(("chromium", "chromium-browser", "google-chrome"), "chromium", ("debian",)),
)


def main() -> int:
    os.chdir(ROOT)
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the tests start the bot again and again
    if "--fast" in sys.argv:
        return fast([word for word in sys.argv[1:] if word != "--fast"])
    everything = "--all" in sys.argv
    get_tools(everything=everything)
    before = tree()
    failed = results(started(QUICK_CHECKS))
    if everything:
        failed += long_stories()
    beside = started(CHECKS_BESIDE)
    failed += tests({"OPENVIDU_BOT_FULL" if everything else "OPENVIDU_BOT_QUICK": "1"})
    failed += results(beside)
    if before is not None and (changed := tree()) != before:
        print(f"the tests left something behind in the repository:\n{changed}", flush=True)
        failed.append("a clean tree")
    missing = [tool.package for tool in TOOLS if tool.path() is None]
    print(last_line(failed, missing), flush=True)
    return 1 if failed else 0


def get_tools(*, everything: bool) -> None:
    """Install what is missing, as root and on a distribution that has the package."""
    wanted = [
        tool.package
        for tool in TOOLS
        if tool.path() is None and distribution() in tool.distributions
    ]
    if everything and os.environ.get("OPENVIDU_BOT_CI") and distribution() in ("debian", "ubuntu"):
        wanted += [package for package in containers() if not is_installed(package)]
    if not wanted or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    print(f"installing {' and '.join(wanted)} for the tests that drive them", flush=True)
    deadline = time.monotonic() + APT_SECONDS
    apt(["update"], deadline)
    for package in wanted:  # one by one: a package that is not available must not stop the others
        apt(["install", "-y", "--no-install-recommends", package], deadline)


def containers() -> list[str]:
    if shutil.which("kubectl"):
        return CONTAINERS
    return [*CONTAINERS, KUBECTL]


def is_installed(package: str) -> bool:
    query = subprocess.run(["dpkg", "--status", package], check=False, capture_output=True)
    return query.returncode == 0


def apt(words: list[str], deadline: float) -> bool:
    """Run apt-get; return whether it succeeded in time. Its output is shown only if it failed."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=60", *words]
    try:
        left = max(1, deadline - time.monotonic())
        done = subprocess.run(
            command,
            check=False,
            env=env,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=left,
        )
    except subprocess.TimeoutExpired:
        print(f"apt-get {words[0]} took too long")
        return False
    if done.returncode:
        reasons = done.stderr.strip().splitlines() or ["no reason given"]
        print(f"apt-get {words[0]}: {reasons[-1]}")
    return done.returncode == 0


def distribution() -> str:
    """Return `debian`, `ubuntu`, or the id of another distribution."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition("=")[2].strip('"') for line in lines if line.startswith("ID=")), "")


def tree() -> str | None:
    """Return uncommitted changes with their content; None without git."""
    words = (["git", "status", "--porcelain", "--untracked-files=all"], ["git", "diff", "HEAD"])
    try:
        done = [
            subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
            for command in words
        ]
    except OSError:
        return None
    if any(one.returncode for one in done):
        return None
    return "\n".join(one.stdout for one in done)


@dataclass(frozen=True)
class Check:
    """A command beside others. What it prints is shown if it fails, or if it `measures`."""

    name: str
    words: tuple[str, ...]
    measures: bool = False


QUICK_CHECKS = (
    Check("ruff", ("ruff", "check", "--quiet", ".")),
    Check("import contracts", ("lint-imports", "--no-logo")),
)
# A slow measurement is no failure; one that cannot be made is one.
CHECKS_BESIDE = (
    Check("mypy", ("mypy", "--no-error-summary")),
    Check("bench", ("python", "-m", "bench", "--short"), measures=True),
)


@dataclass(frozen=True)
class Started:
    """A check that runs, and the file with what it prints: a pipe could fill up meanwhile."""

    check: Check
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    began: float


def started(checks: tuple[Check, ...]) -> list[Started]:
    """Start all of them."""
    running = []
    for check in checks:
        output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        process = subprocess.Popen(
            [str(BIN / check.words[0]), *check.words[1:]],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MYPYPATH": ""},
        )
        running.append(Started(check, process, output, time.monotonic()))
    return running


def results(running: list[Started]) -> list[str]:
    """Wait for them, print what is to be shown, and return the names of failed ones."""
    failed, passed = [], []
    for one in running:
        code = one.process.wait()
        with one.output as output:
            output.seek(0)
            text = output.read().decode(errors="replace")
        if code:
            failed.append(one.check.name)
            print(f"{one.check.name}:\n{text}", flush=True)
        elif one.check.measures:
            print(f"\n{text}", flush=True)
        else:
            passed.append(one.check.name)
    if passed:
        print(f"{', '.join(passed)} passed", flush=True)
    return failed


def tests(level: Mapping[str, str]) -> list[str]:
    """Run pytest; return its name if it fails. No tests at all count as a failure."""
    command = [*PYTEST, "-n", str(WORKERS), "--dist", "worksteal"]
    before = new_files()
    failed = []
    if subprocess.run(command, check=False, env={**os.environ, **level}).returncode:
        failed.append("pytest")
    left = sorted(new_files() - before)
    if left:
        print(f"the tests left files behind: {', '.join(left)}", flush=True)
        failed.append("a clean tree")
    return failed


def fast(base: list[str]) -> int:
    """Play the tests of what changed, nearest first, until the time is over."""
    until = time.time() + FAST_SECONDS
    named = subprocess.run(
        [str(BIN / "python"), "-m", "scripts.changed", *base],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    if not named:
        print("nothing has changed that a test is about")
        return 0
    if len(named) > FAST_FILES:
        print(f"the nearest {FAST_FILES} of {len(named)} files of tests", flush=True)
    # In this order, a few at a time: what is near comes first on every worker.
    order = ["-n", str(os.cpu_count() or 1), "--dist", "load", "--maxschedchunk", "4"]
    command = [*PYTEST, *order, "--until", f"{until:.0f}", *named[:FAST_FILES]]
    env = {**os.environ, "OPENVIDU_BOT_QUICK": "1"}
    return subprocess.run(command, check=False, env=env).returncode


def new_files() -> frozenset[str]:
    """Return files that git neither tracks nor ignores; none outside a repository."""
    if shutil.which("git") is None:
        return frozenset()
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "-z"],
        check=False,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        return frozenset()
    return frozenset(filter(None, listed.stdout.split("\0")))


def long_stories() -> list[str]:
    """Run what is too long for pytest, one after the other; return the names of failed ones."""
    commands = {
        "campaign": ["-m", "scripts.campaign", "10000"],
        "mutants": ["scripts/mutants.py"],
        "chaos": ["-m", "tests.e2e.chaos", "--seconds", "600"],
        "redis-test": ["-m", "tests.install.servers"],
        "install-test": ["-m", "tests.install.pythons"],
        "image-test": ["-m", "tests.install.image"],
        "droplet-test": ["-m", "tests.install.droplet"],
    }
    if TOOLS[0].path() is None:
        del commands["chaos"]  # skipped like every test that needs Redis
    failed = []
    for name, words in commands.items():
        print(f"\n{name}: {' '.join(words)}", flush=True)
        started = time.monotonic()
        code = subprocess.run([str(BIN / "python"), *words], check=False).returncode
        result = "passed"
        if code:
            result = "failed"
            failed.append(name)
        print(f"{name} {result} ({time.monotonic() - started:.0f} s)", flush=True)
    return failed


def last_line(failed: list[str], missing: list[str]) -> str:
    """Return the summary for readers who see only the last line."""
    if failed:
        summary = f"not passed: {', '.join(failed)}"
        if missing:
            summary += f"; missing: {' '.join(missing)}"
        return summary
    if missing:
        command = f"apt-get install {' '.join(missing)}"
        return f"passed, with tests skipped that need more; install it with: {command}"
    return "all checks passed; nothing was skipped for want of a package"


if __name__ == "__main__":
    sys.exit(main())
