#!/usr/bin/env python3
"""Writes the components of openvidu-bot: dist/sbom.cdx.json (CycloneDX 1.5), dist/licences.txt.

The components are the packages of requirements.txt, with the hashes from there and the licences of
the packages installed in .venv. A locked package for another Python or platform is listed as
optional. Two runs on the same lock write the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
UNKNOWN = "licence not stated"


def main() -> int:
    lock = (ROOT / "requirements.txt").read_text()
    version = re.search(
        r'^VERSION = "([^"]+)"', (ROOT / "bot" / "version.py").read_text(), re.MULTILINE
    )
    assert version is not None
    packages = [
        package(name, number, marker, hashes) for name, number, marker, hashes in locked(lock)
    ]
    DIST.mkdir(exist_ok=True)
    (DIST / "sbom.cdx.json").write_text(
        json.dumps(sbom(version[1], packages), indent=2, sort_keys=True) + "\n"
    )
    (DIST / "licences.txt").write_text(licences(version[1], packages))
    unknown = [p["name"] for p in packages if not p.get("licenses") and p["scope"] == "required"]
    if unknown:
        sys.stderr.write(f"no licence stands in the metadata of: {', '.join(unknown)}\n")
        return 1
    print(f"dist/sbom.cdx.json and dist/licences.txt: {len(packages)} packages")
    return 0


def locked(lock: str) -> list[tuple[str, str, str, list[str]]]:
    """Return name, version, marker and hashes of each package."""
    blocks = re.split(r"\n(?=\S)", lock.strip())
    heads = [
        (re.match(r"([A-Za-z0-9._-]+)==(\S+?)(?: ; ([^\\]+?))? \\", block), block)
        for block in blocks
    ]
    return [
        (head[1], head[2], head[3] or "", re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
        for head, block in heads
        if head
    ]


def package(name: str, number: str, marker: str, hashes: list[str]) -> dict[str, Any]:
    """Return one component.

    A version has several files (wheels for each platform, the source): one reference for each hash.
    """
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl(name, number),
        "name": name,
        "version": number,
        "purl": purl(name, number),
        "scope": "required",
        "externalReferences": [file_of(name, number, digest) for digest in sorted(hashes)],
    }
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return component | {
            "scope": "optional",
            "properties": [{"name": "marker", "value": marker}],
        }
    if installed.version != number:
        raise SystemExit(
            f"{name} is installed as {installed.version} and locked as {number}: "
            "run make sbom in a fresh .venv"
        )
    if stated := licences_of(installed):
        component["licenses"] = stated
    return component


def file_of(name: str, number: str, digest: str) -> dict[str, Any]:
    return {
        "type": "distribution",
        "url": purl(name, number),
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


def purl(name: str, number: str) -> str:
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{number}"


def licences_of(package: Distribution) -> list[dict[str, Any]]:
    """Return its SPDX expression, else its classifiers, else its License field if it is a name."""
    head: dict[str, str] = {
        str(key): str(package.metadata[key])
        for key in ("License-Expression", "License")
        if key in package.metadata
    }
    if expression := head.get("License-Expression"):
        return [{"expression": str(expression)}]
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in package.metadata.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    field = str(head.get("License") or "").strip()
    names = sorted(name for name in classifiers if name != "OSI Approved")
    is_name = field and "\n" not in field and len(field) < 80
    if not names and is_name:
        names = [field]
    return [{"license": {"name": name}} for name in names]


def sbom(version: str, packages: list[dict[str, Any]]) -> dict[str, Any]:
    own = purl("openvidu-bot", version)
    serial = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join([own, *(p["bom-ref"] for p in packages)]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "openvidu-bot",
                "version": version,
                "purl": own,
                "licenses": [{"expression": "Apache-2.0"}],
            }
        },
        "components": packages,
        "dependencies": [{"ref": own, "dependsOn": [p["bom-ref"] for p in packages]}],
    }


def licences(version: str, packages: list[dict[str, Any]]) -> str:
    """Return a table of licences, and the licence texts of the packages."""
    lines = [
        f"openvidu-bot {version} is licensed under Apache-2.0. It runs with these packages:",
        "",
    ]
    for one in packages:
        names = [
            entry.get("expression") or entry["license"]["name"] for entry in one.get("licenses", [])
        ]
        missing = UNKNOWN
        if one["scope"] == "optional":
            missing = "not installed on this platform"
        lines.append(f"{one['name']:<24} {one['version']:<18} {'; '.join(names) or missing}")
    for one in packages:
        for name, text in texts(one["name"]):
            lines += [
                "",
                "=" * 100,
                f"{one['name']} {one['version']}: {name}",
                "=" * 100,
                "",
                text.strip(),
            ]
    return "\n".join(lines) + "\n"


def texts(name: str) -> list[tuple[str, str]]:
    """Return the licence files of an installed package, with their text."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return []
    legal = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS)", re.IGNORECASE)
    wanted = [file for file in files if legal.match(file.name) and ".dist-info" in str(file)]
    return [
        (str(file.name), Path(str(file.locate())).read_text("utf-8", "replace"))
        for file in sorted(wanted, key=str)
    ]


if __name__ == "__main__":
    sys.exit(main())
