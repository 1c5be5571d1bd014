"""`make test`, once .venv exists: installs tools of tests, then ruff, mypy, contracts, pytest.

`--all` (`make test-all`) runs campaign, mutants and chaos first; then the tests check all cases
instead of samples. The last line names the packages for lack of which tests were skipped; pytest's
own last line is the one above it.
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


def check_code() -> list[str]:
    """Run the static checks concurrently; print the output of failed ones; return their names."""
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
    """Print a few measurements. A slow result is no failure; a measurement that fails is one."""
    print("", flush=True)
    code = subprocess.run([str(BIN / "python"), "-m", "bench", "--short"], check=False).returncode
    print("", flush=True)
    if code:
        return ["bench"]
    return []


def tests(*, full: bool) -> list[str]:
    """Run pytest; return its name if it fails. No tests at all count as a failure."""
    command = [str(BIN / "python"), "-m", "pytest"]
    if importlib.util.find_spec("xdist"):
        # More workers than cores: tests over sockets mostly wait. Work stealing keeps long tests
        # from running alone at the end.
        command += ["-n", str(min(WORKERS, 2 * (os.cpu_count() or 1))), "--dist", "worksteal"]
    env = dict(os.environ)
    if full:
        env["OPENVIDU_BOT_FULL"] = "1"
    before = new_files()
    failed = []
    if subprocess.run(command, check=False, env=env).returncode:
        failed.append("pytest")
    left = sorted(new_files() - before)
    if left:
        print(f"the tests left files behind: {', '.join(left)}", flush=True)
        failed.append("a clean tree")
    return failed


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
