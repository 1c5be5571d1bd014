#!/usr/bin/env python3
"""Builds the image of the Dockerfile, with docker, buildah or podman, on a base that is pinned by its digest.

The base is a tag unless `--base NAME@sha256:...` names a digest. A tag moves: so it is pulled first, and the build is given the digest that
it has now, which is printed and stands in the image's label org.opencontainers.image.base.name. To build the same again, pass it.

`--offline FOLDER` fetches the packages into that folder with this machine's pip (its indexes, proxies and certificates), unless they are
there already, and lets the build fetch nothing.
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
)


class CannotBuild(Exception):
    """A sentence for whoever builds."""


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
    asked = parser.parse_args()
    try:
        engine = asked.engine or first_engine()
        base = pinned(engine, asked.base)
        with tempfile.TemporaryDirectory(prefix="openvidu-bot-image-") as folder:
            context = ROOT
            more = list(asked.more)
            if asked.offline:
                fetch(asked.offline, python_of(asked.base))
                context = offline_context(Path(folder), asked.offline)
                more += ["--network", "none"]
            build(engine, base, asked.tag, context, more)
    except CannotBuild as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(f"built {asked.tag} with {engine} on {base}", flush=True)
    return 0


def default_base() -> str:
    """What the Dockerfile begins with."""
    return found(r"^ARG BASE=(\S+)", ROOT / "Dockerfile")


def version() -> str:
    return found(r'^VERSION = "([^"]+)"', ROOT / "bot" / "version.py")


def found(pattern: str, file: Path) -> str:
    match = re.search(pattern, file.read_text(), re.MULTILINE)
    if match is None:
        raise CannotBuild(f"{file} has no line like {pattern}")
    return match[1]


def first_engine() -> str:
    """Docker only where its daemon answers: its client alone builds nothing."""
    for engine in ENGINES:
        words = [engine, "info"]
        if (
            shutil.which(engine)
            and subprocess.run(words, check=False, capture_output=True).returncode == 0
        ):
            return engine
    raise CannotBuild(
        "nothing here can build an image: needs docker (with its daemon), buildah or podman; apt-get install buildah"
    )


def pinned(engine: str, base: str) -> str:
    """The base with the digest that its tag has now. An image that came from no registry has none, and is taken as it is."""
    if "@sha256:" in base:
        return base
    if subprocess.run(
        [engine, "pull", base], check=False, capture_output=True
    ).returncode and not answer(*inspect(engine, base, "ID")):
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
    middle = ["inspect", "--type", "image"] if engine == "buildah" else ["image", "inspect"]
    return [engine, *middle, "--format", fields[what], base]


def answer(*command: str) -> str:
    """The digest in what a command says; empty when it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    lines = [line.rpartition("@")[2].strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[0] if done.returncode == 0 and lines else ""


def python_of(base: str) -> str:
    """The Python that wheels are fetched for: the one that the base's name tells, else this one."""
    match = re.search(r"python:?(3\.\d+)", base)
    return match[1] if match else f"{sys.version_info[0]}.{sys.version_info[1]}"


def fetch(wheels: Path, python: str) -> None:
    """All packages for that Python. Lines of the lock that count only for some versions of Python count here too."""
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
        there = [*pip, "--no-index", "--find-links", str(wheels)]
        if (
            wheels.is_dir()
            and subprocess.run(there, check=False, capture_output=True).returncode == 0
        ):
            return
        if subprocess.run(pip, check=False).returncode:
            raise CannotBuild("the packages could not be fetched; what pip said stands above")


def offline_context(folder: Path, wheels: Path) -> Path:
    """What is built from, with all packages."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
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
