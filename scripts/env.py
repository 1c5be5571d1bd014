#!/usr/bin/env python3
"""Creates .venv: `env.py run` with the bot's packages, `env.py dev` with those of its checks too.

`env.py demo` is the fast one: the packages of `run`, neither compiled nor with a pip beside them.
Python compiles what it imports, and a later `run` or `dev` adds the rest.

It runs on any python3, before anything is installed: standard library only, and syntax that an
older Python can parse until it reports that it is too old. pip decides where packages come from:
PIP_* variables, pip.conf and proxies apply, nothing is set here. Running it again is cheap: a stamp
records what is installed.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = {
    "demo": "requirements.txt",
    "run": "requirements.txt",
    "dev": "requirements-dev.txt",
}
# Which installations will do for each.
ENOUGH = {"demo": ("demo", "run", "dev"), "run": ("run", "dev"), "dev": ("dev",)}
# What comes next takes seconds the first time: Python compiles what it imports.
DONE = {"demo": "installed after %d s; starting the demo, the first time a few seconds more"}
# pip can install into another environment, and into a new one several can at the same time.
ABROAD = (22, 3)
MOST_AT_ONCE = 4
EVERY = 5  # seconds between two lines about the progress, where a line cannot be written over
# --require-hashes: exactly the locked files, which are complete: nothing is left to resolve.
PIP = (
    "install",
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--no-compile",
    "--no-deps",
    "--require-hashes",
)
SUPPORTED = ((3, 11), (3, 12), (3, 13), (3, 14))

# Prints the version, and whether this Python can create a virtual environment with pip.
PROBE = """
import sys
try:
    import ensurepip, venv
    able = 1
except ImportError:
    able = 0
print("%d %d %d" % (sys.version_info[:2] + (able,)))
"""


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) > 1 else "dev"
    if kind not in LOCKS:
        return say("env.py: found {}; allowed: {}".format(kind, " or ".join(sorted(LOCKS))))
    if any(stamped(enough) for enough in ENOUGH[kind]):
        return 0
    started = time.time()
    pip = None
    if not usable():
        python = find_python()
        if python is None:
            return 1
        pip = pip_of(python)
        if make_venv(python, with_pip=pip is None):
            return say("the virtual environment could not be made; what python3 said stands above")
    if not is_there(kind) and not (pip and install_together(pip, kind)) and install(kind):
        return say("the packages could not be installed; what pip said stands above")
    if kind != "demo":
        finish()
    link()
    stamp(kind).write_text(fingerprint(kind))
    seconds = round(time.time() - started)
    print(DONE.get(kind, "ready after %d s") % seconds, flush=True)
    return 0


def make_venv(python: str, *, with_pip: bool) -> int:
    """Make .venv anew. The pip of another Python spares one of its own, which takes seconds."""
    print(f"making .venv with {python}; nothing is installed outside of it", flush=True)
    shutil.rmtree(str(VENV), ignore_errors=True)
    without = [] if with_pip else ["--without-pip"]
    return run([python, "-m", "venv", *without, str(VENV)])


def is_there(kind: str) -> bool:
    """Return whether the packages are installed, and lack only what `finish` adds."""
    return kind == "run" and stamped("demo")


def pip_of(python: str) -> list[str] | None:
    """Return that Python's pip if it can install into another environment."""
    try:
        out = subprocess.run(
            [python, "-m", "pip", "--version"], check=True, capture_output=True, text=True
        ).stdout.split()
        version = tuple(int(part) for part in out[1].split(".")[:2])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    if version < ABROAD:
        return None
    return [python, "-m", "pip", "--python", str(PYTHON)]


def install(kind: str) -> int:
    """Install the packages with .venv's own pip."""
    ensure_pip()
    print(f"installing the packages of {LOCKS[kind]}", flush=True)
    command = [str(PYTHON), "-m", "pip", "--quiet", *PIP, "--requirement", str(ROOT / LOCKS[kind])]
    return run(command)


def install_together(pip: list[str], kind: str) -> bool:
    """Install into a new environment with several pips at once; return whether all succeeded.

    Most of pip's time is for reading the lists of what there is of each package, one after another.
    """
    packages = requirements((ROOT / LOCKS[kind]).read_text())
    shares = max(1, min(MOST_AT_ONCE, os.cpu_count() or 1))
    progress = Progress(len(packages))
    with tempfile.TemporaryDirectory() as folder:
        threads = []
        for number in range(shares):
            part = Path(folder, f"requirements-{number}.txt")
            part.write_text("".join(packages[number::shares]))
            # Nothing is there yet, so that no pip has to look at what another one is writing.
            command = [*pip, *PIP, "--ignore-installed", "--requirement", str(part)]
            threads.append(threading.Thread(target=progress.follow, args=(command,)))
        for thread in threads:
            thread.start()
        progress.show(threads)
    if progress.failed:
        sys.stderr.write("".join(progress.failed[-40:]))
        say("once more, one package after the other")
    return not progress.failed


def requirements(lock: str) -> list[str]:
    """Return each package of a lock file, with its hashes."""
    found: list[str] = []
    for line in lock.splitlines(keepends=True):
        if line[:1].isspace() or line.startswith("#"):
            if found:
                found[-1] += line
        elif line.strip():
            found.append(line)
    return found


class Progress:
    """How far several pips are, in one line."""

    def __init__(self, packages: int) -> None:
        self.packages = packages
        self.found = 0
        self.writing = 0
        self.running = 0
        self.last = ""
        self.failed: list[str] = []
        self._lock = threading.Lock()

    def follow(self, command: list[str]) -> None:
        """Run one pip and count what it reports."""
        lines = []
        with self._lock:
            self.running += 1
        pip = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
            cwd=str(ROOT),
        )
        assert pip.stdout is not None
        for line in pip.stdout:
            lines.append(line)
            with self._lock:
                if line.startswith("Collecting "):
                    self.found += 1
                    self.last = line.split()[1].partition("==")[0]
                elif line.startswith("Installing collected"):
                    self.writing += 1
        if pip.wait():
            with self._lock:
                self.failed += lines

    def show(self, threads: list[threading.Thread]) -> None:
        """Say how far it is until all have ended: on one line, or one after the other."""
        began = spoke = time.monotonic()
        is_terminal = sys.stdout.isatty()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(0.1)
            now = time.monotonic()
            if is_terminal:
                print("\r%-70s" % self.line(now - began), end="", flush=True)
            elif now - spoke >= EVERY:
                spoke = now
                print(self.line(now - began), flush=True)
        if is_terminal:
            print("\r%-70s" % self.line(time.monotonic() - began), flush=True)

    def line(self, seconds: float) -> str:
        begins = f"installing {self.packages} packages, {seconds:.0f} s: "
        if self.writing and self.writing == self.running:
            return begins + "writing them"
        if not self.found:
            return begins + "looking for them"
        return begins + f"{self.found} found, now {self.last}"


def finish() -> None:
    """Compile everything and add pip.

    The packages may belong to another user than the one who runs the bot.
    """
    print("compiling the packages", flush=True)
    site = site_packages()
    # Templates in packages are no Python, and need not be. pydo's operations are compiled in parts,
    # by the bot (docs/adr/0013-pydo-in-parts.md): as a whole they take 42 MB.
    skipped = r"pydo/(aio/)?operations/_operations\.py$"
    run([str(PYTHON), "-m", "compileall", "-qq", "-j", "0", "-x", skipped, site])
    ensure_pip()


def ensure_pip() -> None:
    """Add pip to .venv if it has none."""
    probe = [str(PYTHON), "-c", "import pip"]
    if subprocess.run(probe, check=False, capture_output=True).returncode:
        run([str(PYTHON), "-m", "ensurepip"], quiet=True)


def find_python() -> str | None:
    """Return a Python for the virtual environment; else print what to install."""
    lacking = []
    for name in ("python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        path = shutil.which(name)
        try:
            out = subprocess.run(
                [path or name, "-c", PROBE], check=True, capture_output=True, text=True, timeout=60
            ).stdout.split()
        except (OSError, subprocess.SubprocessError):
            continue
        version = (int(out[0]), int(out[1]))
        if version in SUPPORTED and out[2] == "1":
            return path
        if version in SUPPORTED:
            lacking.append(version)
    if lacking:
        package = "python%d.%d-venv" % lacking[0]
        say(
            "this python3 cannot make virtual environments; "
            f"install it with: apt-get install {package}"
        )
    else:
        say(
            "no python 3.11, 3.12, 3.13 or 3.14 is on PATH; "
            "install one with: apt-get install python3 python3-venv"
        )
    return None


def usable() -> bool:
    """Return whether .venv exists, with a supported Python, and was not moved."""
    probe = "import sys; print(sys.prefix); print('%d %d' % sys.version_info[:2])"
    try:
        out = subprocess.run(
            [str(PYTHON), "-c", probe], check=True, capture_output=True, text=True, timeout=60
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return False
    major, minor = out[1].split()
    return Path(out[0]).resolve() == VENV.resolve() and (int(major), int(minor)) in SUPPORTED


def link() -> None:
    """Put the project on the path and its command into bin/, without a build."""
    Path(site_packages(), "openvidu-bot.pth").write_text(f"{ROOT}\n")
    command = VENV / "bin" / "openvidu-bot"
    # The whole path: /usr/local/bin may have a link to the command. -I: ignore PYTHONPATH and the
    # current folder, where a bot.py would be run in place of ours, perhaps by root.
    command.write_text('#!/bin/sh\nexec {} -I -m bot "$@"\n'.format(shlex.quote(str(PYTHON))))
    command.chmod(0o755)


def site_packages() -> str:
    """Return the folder for .venv's packages."""
    return subprocess.run(
        [str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def stamp(kind: str) -> Path:
    return VENV / f".installed-{kind}"


def stamped(kind: str) -> bool:
    try:
        return stamp(kind).read_text() == fingerprint(kind) and usable()
    except OSError:
        return False


def fingerprint(kind: str) -> str:
    """Return a digest of what .venv depends on: lock, this script, and path (written into bin/)."""
    digest = hashlib.sha256()
    for part in (
        (ROOT / LOCKS[kind]).read_bytes(),
        Path(__file__).read_bytes(),
        str(ROOT).encode(),
    ):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def run(command: list[str], *, quiet: bool = False) -> int:
    """Run a command; return its exit code."""
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(
        command, check=False, env=environment(), cwd=str(ROOT), stdout=output
    ).returncode


def environment() -> dict[str, str]:
    """Return this environment without what would put packages elsewhere or leave them uncompiled.

    PYTHONPATH and PYTHONHOME would add packages from elsewhere.
    """
    dropped = (
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH",
        "PYTHONHOME",
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_NO_COMPILE",
    )
    return {k: v for k, v in os.environ.items() if k not in dropped}


def say(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
