#!/usr/bin/env python3
"""Builds the image with docker, buildah or podman, on a base that is pinned by its digest.

The base is a tag unless `--base NAME@sha256:...` names a digest. Tags move: the tag is pulled first
and the build uses its current digest, which is printed and stored in the image's label
org.opencontainers.image.base.name. Pass it to build the same image again.

`--offline FOLDER` downloads the packages into that folder with this machine's pip (its indexes,
proxies and certificates), unless they are there already; the build itself downloads nothing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("docker", "buildah", "podman")
PARTS = (
    "Dockerfile",
    ".dockerignore",
    "requirements.txt",
    "bot",
    "config",
    "handlers",
    "services",
    "simulators",
    "scripts/slim.py",
)


class CannotBuild(Exception):
    """The image cannot be built; the message says why."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="image.py", description="Build openvidu-bot's image.")
    parser.add_argument(
        "--engine", choices=ENGINES, help="default: the first of them that works here"
    )
    parser.add_argument(
        "--base",
        default=default_base(),
        metavar="NAME[:TAG|@sha256:DIGEST]",
        help="default: %(default)s, pinned",
    )
    parser.add_argument("--tag", default=f"openvidu-bot:{version()}", help="default: %(default)s")
    parser.add_argument(
        "--offline",
        type=Path,
        metavar="FOLDER",
        help="packages by this machine's pip; the build reaches no network",
    )
    parser.add_argument(
        "more",
        nargs="*",
        metavar="ARGUMENT",
        help="after --, for the engine: -- --build-arg PIP_INDEX_URL=...",
    )
    options = parser.parse_args()
    try:
        engine = options.engine or first_engine()
        base = pinned(engine, options.base)
        with tempfile.TemporaryDirectory(prefix="openvidu-bot-image-") as folder:
            context = ROOT
            more = list(options.more)
            if options.offline:
                fetch(options.offline, python_of(options.base))
                context = offline_context(Path(folder), options.offline)
                more += ["--network", "none"]
            build(engine, base, options.tag, context, more)
    except CannotBuild as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(f"built {options.tag} with {engine} on {base}", flush=True)
    return 0


def default_base() -> str:
    """Return the base of the Dockerfile."""
    return search(r"^ARG BASE=(\S+)", ROOT / "Dockerfile")


def version() -> str:
    return search(r'^VERSION = "([^"]+)"', ROOT / "bot" / "version.py")


def search(pattern: str, file: Path) -> str:
    match = re.search(pattern, file.read_text(), re.MULTILINE)
    if match is None:
        raise CannotBuild(f"{file} has no line like {pattern}")
    return match[1]


def first_engine() -> str:
    """Return the first engine that answers; docker needs its daemon."""
    for engine in ENGINES:
        if shutil.which(engine) and succeeds([engine, "info"]):
            return engine
    raise CannotBuild(
        "nothing here can build an image: needs docker (with its daemon), buildah or podman; "
        "apt-get install buildah"
    )


def succeeds(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def pinned(engine: str, base: str) -> str:
    """Return the base with the current digest of its tag; a local image has none and stays."""
    if "@sha256:" in base:
        return base
    is_local = not succeeds([engine, "pull", base])
    if is_local and not answer(*inspect(engine, base, "ID")):
        raise CannotBuild(
            f"{base} cannot be pulled with {engine}, and is not here; --base names another"
        )
    digest = answer(*inspect(engine, base, "digest"))
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        print(
            f"{base} came from no registry, so it has no digest there; it is taken as it is",
            flush=True,
        )
        return base
    return f"{re.sub(r':[^:/]*$', '', base)}@{digest}"


def inspect(engine: str, base: str, what: str) -> list[str]:
    fields = {
        "docker": {"ID": "{{.Id}}", "digest": "{{range .RepoDigests}}{{println .}}{{end}}"},
        "podman": {"ID": "{{.Id}}", "digest": "{{range .RepoDigests}}{{println .}}{{end}}"},
        "buildah": {"ID": "{{.FromImageID}}", "digest": "{{.FromImageDigest}}"},
    }[engine]
    words = ["image", "inspect"]
    if engine == "buildah":
        words = ["inspect", "--type", "image"]
    return [engine, *words, "--format", fields[what], base]


def answer(*command: str) -> str:
    """Return the digest in the output of a command; "" if it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    lines = [line.rpartition("@")[2].strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not lines:
        return ""
    return lines[0]


def python_of(base: str) -> str:
    """Return the Python version in the name of the base, else that of this process."""
    match = re.search(r"python:?(3\.\d+)", base)
    if match is None:
        return f"{sys.version_info[0]}.{sys.version_info[1]}"
    return match[1]


def fetch(wheels: Path, python: str) -> None:
    """Download all locked packages for that Python, ignoring environment markers of the lock."""
    with tempfile.TemporaryDirectory(prefix="openvidu-bot-lock-") as folder:
        every = Path(folder) / "every.txt"
        every.write_text(
            re.sub(
                r"^(\S+==\S+) ;[^\\]*\\",
                r"\1 \\",
                (ROOT / "requirements.txt").read_text(),
                flags=re.MULTILINE,
            )
        )
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--require-hashes",
        ]
        pip += [
            "--no-deps",
            "--only-binary",
            ":all:",
            "--python-version",
            python,
            "--requirement",
            str(every),
            "--dest",
            str(wheels),
        ]
        if wheels.is_dir() and succeeds([*pip, "--no-index", "--find-links", str(wheels)]):
            return
        if subprocess.run(pip, check=False).returncode:
            raise CannotBuild("the packages could not be fetched; what pip said stands above")


def offline_context(folder: Path, wheels: Path) -> Path:
    """Copy the sources and all packages into the folder of the build; return it."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / part).parent.mkdir(exist_ok=True)
            shutil.copy(source, folder / part)
    shutil.copytree(wheels, folder / "wheels")
    (folder / "pip.conf").write_text("[global]\nno-index = true\n")
    return folder


def build(engine: str, base: str, tag: str, context: Path, more: list[str]) -> None:
    # Buildah's own format has no health check.
    command = {
        "docker": ["build"],
        "buildah": ["bud", "--format", "docker"],
        "podman": ["build", "--format", "docker"],
    }[engine]
    words = [
        engine,
        *command,
        "--build-arg",
        f"BASE={base}",
        "--tag",
        tag,
        "--file",
        str(context / "Dockerfile"),
        *more,
        str(context),
    ]
    if subprocess.run(words, check=False).returncode:
        raise CannotBuild(f"{engine} could not build the image; its reason stands above")


if __name__ == "__main__":
    sys.exit(main())
