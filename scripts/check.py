"""What `make test` does once .venv is there: the tools the tests drive, ruff, mypy, import contracts, pytest.

`--all`, for `make test-all`: campaign, mutants and chaos first; then the tests look at everything instead of a few of many.

The last line says what was skipped for want of a package, or that nothing was; pytest's own closing line stands just above it.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
APT_SECONDS = 420
WORKERS = 4


@dataclass(frozen=True)
class Tool:
    """A program that some tests drive, and the package that brings it. Several names: the first that is there."""

    names: tuple[str, ...]
    package: str
    distributions: tuple[str, ...]

    def path(self) -> str | None:
        """Where it is, if it is."""
        return next((found for name in self.names if (found := shutil.which(name))), None)


# What the long install tests drive besides, for --all. Daemons among them, so only a machine for tests (OPENVIDU_BOT_CI) gets them unasked;
# elsewhere each test says what it lacks, and is skipped.
CONTAINERS = ("mmdebstrap", "docker.io", "docker-compose", "buildah", "podman", "catatonit", "systemd-container", "openssh-server",
              "iproute2")  # fmt: skip
KUBECTL = "kubernetes-client"  # where there is no kubectl of another origin

# The same names stand in tests/support/tools.py. Ubuntu's chromium package only fetches a snap, which is nothing for a container.
TOOLS = (
    Tool(("redis-server", "valkey-server"), "redis-server", ("debian", "ubuntu")),
    Tool(("sshd", "/usr/sbin/sshd"), "openssh-server", ("debian", "ubuntu")),
    Tool(("chromium", "chromium-browser", "google-chrome"), "chromium", ("debian",)),
)


def main() -> int:
    os.chdir(ROOT)
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    everything = "--all" in sys.argv
    get_tools(everything=everything)
    before = tree()
    failed = check_code() + measured()
    if everything:
        failed += long_stories()
    failed += tests(full=everything)
    if before is not None and (changed := tree()) != before:
        print(f"the tests left something behind in the repository:\n{changed}", flush=True)
        failed.append("a clean tree")
    missing = [tool.package for tool in TOOLS if tool.path() is None]
    print(last_line(failed, missing), flush=True)
    return 1 if failed else 0


def get_tools(*, everything: bool) -> None:
    """Install what is missing where that is allowed: as root, on a system whose package manager has it."""
    wanted = [
        tool.package
        for tool in TOOLS
        if tool.path() is None and distribution() in tool.distributions
    ]
    if everything and os.environ.get("OPENVIDU_BOT_CI") and distribution() in ("debian", "ubuntu"):
        more = CONTAINERS if shutil.which("kubectl") else (*CONTAINERS, KUBECTL)
        wanted += [package for package in more if not package_is_there(package)]
    if not wanted or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    print(f"installing {' and '.join(wanted)} for the tests that drive them", flush=True)
    deadline = time.monotonic() + APT_SECONDS
    apt(["update"], deadline)
    for package in wanted:  # one by one: what is not to be had must not keep the others away
        apt(["install", "-y", "--no-install-recommends", package], deadline)


def package_is_there(package: str) -> bool:
    return (
        subprocess.run(["dpkg", "--status", package], check=False, capture_output=True).returncode
        == 0
    )


def apt(words: list[str], deadline: float) -> bool:
    """Whether apt-get did it in time. Quiet; its reasons are told only when it did not."""
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
        print(
            f"apt-get {words[0]}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
        )
    return done.returncode == 0


def distribution() -> str:
    """`debian`, `ubuntu`, or whatever it calls itself."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition("=")[2].strip('"') for line in lines if line.startswith("ID=")), "")


def tree() -> str | None:
    """What git sees that is not committed, with what stands in it; None where there is no git."""
    words = (["git", "status", "--porcelain", "--untracked-files=all"], ["git", "diff", "HEAD"])
    try:
        done = [
            subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
            for command in words
        ]
    except OSError:
        return None
    return None if any(one.returncode for one in done) else "\n".join(one.stdout for one in done)


def check_code() -> list[str]:
    """Run the checks that execute nothing, side by side; print those that complain; return their names."""
    commands = {
        "ruff": [str(BIN / "ruff"), "check", "--quiet", "."],
        "mypy": [str(BIN / "mypy"), "--no-error-summary"],
        "import contracts": [str(BIN / "lint-imports"), "--no-logo"],
    }
    started = time.monotonic()
    env = {**os.environ, "MYPYPATH": ""}
    running = {
        name: subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        )
        for name, command in commands.items()
    }
    failed = []
    for name, process in running.items():
        output, _ = process.communicate()
        if process.returncode:
            failed.append(name)
            print(f"{name}:\n{output}", flush=True)
    fine = [name for name in commands if name not in failed]
    print(f"{', '.join(fine) or 'nothing'} passed ({time.monotonic() - started:.0f} s)", flush=True)
    return failed


def measured() -> list[str]:
    """A few measurements, printed. Slowness is no failure; a measurement that cannot be made is one."""
    print("", flush=True)
    code = subprocess.run([str(BIN / "python"), "-m", "bench", "--short"], check=False).returncode
    print("", flush=True)
    return ["bench"] if code else []


def tests(*, full: bool) -> list[str]:
    """Run pytest; its name when it fails (no tests at all are a failure like any other)."""
    command = [str(BIN / "python"), "-m", "pytest"]
    if importlib.util.find_spec("xdist"):
        # More than there are cores: many of the tests over sockets wait. Stealing, so that no long one is left to the end.
        command += ["-n", str(min(WORKERS, 2 * (os.cpu_count() or 1))), "--dist", "worksteal"]
    env = {**os.environ, "OPENVIDU_BOT_FULL": "1"} if full else None
    before = new_files()
    failed = ["pytest"] if subprocess.run(command, check=False, env=env).returncode else []
    left = sorted(new_files() - before)
    if left:
        print(f"the tests left files behind: {', '.join(left)}", flush=True)
        failed.append("a clean tree")
    return failed


def new_files() -> frozenset[str]:
    """What git neither tracks nor ignores; nothing outside a repository."""
    if shutil.which("git") is None:
        return frozenset()
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "-z"],
        check=False,
        capture_output=True,
        text=True,
    )
    return (
        frozenset(filter(None, listed.stdout.split("\0")))
        if listed.returncode == 0
        else frozenset()
    )


def long_stories() -> list[str]:
    """Run what is too long for a test, one after the other; the names of those that found something."""
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
        print(
            f"{name} {'failed' if code else 'passed'} ({time.monotonic() - started:.0f} s)",
            flush=True,
        )
        failed += [name] if code else []
    return failed


def last_line(failed: list[str], missing: list[str]) -> str:
    """What a person who sees only this needs to know."""
    if failed:
        wanted = f"; missing: {' '.join(missing)}" if missing else ""
        return f"not passed: {', '.join(failed)}{wanted}"
    if missing:
        return f"passed, with tests skipped that need more; install it with: apt-get install {' '.join(missing)}"
    return "all checks passed; nothing was skipped for want of a package"


if __name__ == "__main__":
    sys.exit(main())
