#!/usr/bin/env python3
"""Removes from an environment what a bot never uses: `slim.py SITE-PACKAGES APP`.

For the image only, in which nothing is installed later (docs/adr/0014-a-slim-image.md). What is
removed is on the list below, each with its reason. pydo's two modules of operations keep the
operations that APP names, without their documentation; libraries lose their debug symbols. Every
distribution stays, so that all requirements are satisfied, and the RECORD of each one tells what is
there afterwards.
"""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import json
import re
import shutil
import struct
import sys
from pathlib import Path

# What is removed, below site-packages.
REMOVED = (
    # Pictures in other formats, and colour profiles: the charts are PNG.
    "PIL/_avif.*",
    "PIL/_imagingcms.*",
    "PIL/_webp.*",
    "pillow.libs/libavif-*",
    "pillow.libs/liblcms2-*",
    "pillow.libs/libsharpyuv-*",
    "pillow.libs/libwebp*",
    # The C parser: PyYAML reads with its own, which is what `yaml.safe_load` uses.
    "yaml/_yaml.*",
    # The previous pydantic, and tests.
    "pydantic/v1",
    "icalendar/tests",
    "multidict/_testcapi.*",
    # Slack's clients from before `WebClient`, and for administrators of organisations.
    "slack_sdk/audit_logs",
    "slack_sdk/rtm",
    "slack_sdk/scim",
    "slack_sdk/web/legacy_*.py",
)
# The service of botocore that is used; its data has a folder for each of 300.
SERVICE = "s3"
OPERATIONS = "pydo/aio/operations/_operations.py"
BUILDERS = "pydo/operations/_operations.py"
# Where APP names pydo's operations, as `api.droplets.list`, and where pydo names their classes.
CALLS = "services/cloud/clients/digitalocean.py"
CLIENT = "pydo/aio/_client.py"
PART = re.compile(r"^(?:class|def) (\w+)", re.MULTILINE)
LEFT_OUT = '''class {}:
    """Left out of this environment by openvidu-bot's scripts/slim.py."""

    def __init__(self, *args, **kwargs):
        pass


'''


def main() -> int:
    if len(sys.argv) != 3:
        sys.stderr.write("usage: slim.py SITE-PACKAGES APP\n")
        return 2
    site, app = Path(sys.argv[1]), Path(sys.argv[2])
    before = size_of(site)
    for pattern in REMOVED:
        found = list(site.glob(pattern))
        if not found:
            sys.stderr.write(f"slim.py: {pattern} is not there: what replaced it?\n")
            return 1
        for path in found:
            remove(path)
    for path in (site / "botocore" / "data").iterdir():
        if path.is_dir() and path.name != SERVICE:
            remove(path)
    reduce_endpoints(site / "botocore" / "data" / "endpoints.json")
    reduce_pydo(site, app)
    for path in site.rglob("*.so*"):
        drop_symbols(path)
    for record in site.glob("*.dist-info/RECORD"):
        correct(record, site)
    megabyte = 1024 * 1024
    print(f"slim.py: {before / megabyte:.0f} MB before, {size_of(site) / megabyte:.0f} MB now")
    return 0


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def reduce_endpoints(file: Path) -> None:
    """Keep the endpoints of the one service."""
    content = json.loads(file.read_text("utf-8"))
    for partition in content["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in services if name == SERVICE}
    file.write_text(json.dumps(content), "utf-8")


def drop_symbols(file: Path) -> None:
    """Drop what is never loaded of a library: what follows its last segment is for debuggers."""
    content = bytearray(file.read_bytes())
    if content[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian
        return
    (table,) = struct.unpack_from("<Q", content, 32)
    size, number = struct.unpack_from("<HH", content, 54)
    segments = (struct.unpack_from("<8xQ16xQ", content, table + n * size) for n in range(number))
    del content[max(offset + length for offset, length in segments) :]
    # No table of sections any more: its place, and in how many entries.
    struct.pack_into("<Q", content, 40, 0)
    struct.pack_into("<HHH", content, 58, 0, 0, 0)
    file.write_bytes(content)


def reduce_pydo(site: Path, app: Path) -> None:
    """Keep the classes of operations that APP uses, and what these build their requests with."""
    groups = set(re.findall(r"\bapi\.(\w+)\.\w+", (app / CALLS).read_text("utf-8")))
    names = dict(re.findall(r"self\.(\w+) = (\w+)\(", (site / CLIENT).read_text("utf-8")))
    kept = reduced((site / OPERATIONS).read_text("utf-8"), {names[group] for group in groups})
    builders = set(re.findall(r"\bbuild_\w+", kept[kept.index("\nclass ") :]))
    (site / OPERATIONS).write_text(with_imports(kept, builders), "utf-8")
    source = (site / BUILDERS).read_text("utf-8")
    (site / BUILDERS).write_text(reduced(source, builders), "utf-8")


def reduced(source: str, wanted: set[str]) -> str:
    """Return a module with these classes and functions; other classes are empty."""
    parts = list(PART.finditer(source))
    if missing := wanted - {part[1] for part in parts}:
        raise SystemExit(f"slim.py: pydo lacks {', '.join(sorted(missing))}")
    ends = [part.start() for part in parts[1:]] + [len(source)]
    text = [source[: parts[0].start()]]
    for part, end in zip(parts, ends, strict=True):
        if part[1] in wanted:
            text.append(without_documentation(source[part.start() : end]))
        elif part[0].startswith("class "):
            text.append(LEFT_OUT.format(part[1]))
    return "".join(text)


def without_documentation(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree) + "\n\n\n"


def with_imports(source: str, builders: set[str]) -> str:
    """Return the module with imports of these builders only."""
    begin = source.index("\nclass ")
    head = ast.parse(source[:begin])
    for node in head.body:
        if isinstance(node, ast.ImportFrom) and node.level == 3:
            node.names = [alias for alias in node.names if alias.name in builders]
    return ast.unparse(head) + "\n\n" + source[begin:]


def correct(record: Path, site: Path) -> None:
    """Let a distribution's RECORD tell what is there."""
    rows = []
    for row in csv.reader(record.read_text("utf-8").splitlines()):
        file = site / row[0]
        if not file.is_file():
            continue
        if row[1]:
            content = file.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
            row[1:] = [f"sha256={digest.rstrip('=')}", str(len(content))]
        rows.append(row)
    with record.open("w", encoding="utf-8", newline="") as corrected:
        csv.writer(corrected, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
