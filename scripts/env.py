#!/usr/bin/env python3
"""Creates .venv: `env.py run` with the bot's packages, `env.py dev` with those of its checks too.

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
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = {"run": "requirements.txt", "dev": "requirements-dev.txt"}
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
    if stamped("dev") or stamped(kind):
        return 0
    started = time.time()
    if not usable():
        python = find_python()
        if python is None:
            return 1
        print(f"making .venv with {python}", flush=True)
        shutil.rmtree(str(VENV), ignore_errors=True)
        if run([python, "-m", "venv", str(VENV)]):
            return say("the virtual environment could not be made; what python3 said stands above")
    print(
        "installing the packages of {} (half a minute or so, once)".format(LOCKS[kind]), flush=True
    )
    # --require-hashes: exactly the locked files. pip also compiles them: an uncompiled pydo costs
    # 2 s and 318 MB at each start.
    pip = [
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--require-hashes",
    ]
    if run([*pip, "--requirement", str(ROOT / LOCKS[kind])]):
        return say("the packages could not be installed; what pip said stands above")
    link()
    stamp(kind).write_text(fingerprint(kind))
    print("ready after %d s" % round(time.time() - started), flush=True)
    return 0


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
    """Return whether .venv exists, with a supported Python and pip, and was not moved."""
    probe = "import sys, pip; print(sys.prefix); print('%d %d' % sys.version_info[:2])"
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
    site = subprocess.run(
        [str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    Path(site, "openvidu-bot.pth").write_text(f"{ROOT}\n")
    command = VENV / "bin" / "openvidu-bot"
    # The whole path: /usr/local/bin may have a link to the command. -I: ignore PYTHONPATH and the
    # current folder, where a bot.py would be run in place of ours, perhaps by root.
    command.write_text('#!/bin/sh\nexec {} -I -m bot "$@"\n'.format(shlex.quote(str(PYTHON))))
    command.chmod(0o755)


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


def run(command: list[str]) -> int:
    # PYTHONDONTWRITEBYTECODE would leave pydo uncompiled; PYTHONPATH and PYTHONHOME would add
    # packages from elsewhere.
    dropped = (
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH",
        "PYTHONHOME",
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_NO_COMPILE",
    )
    return subprocess.run(
        command,
        check=False,
        env={k: v for k, v in os.environ.items() if k not in dropped},
        cwd=str(ROOT),
    ).returncode


def say(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
