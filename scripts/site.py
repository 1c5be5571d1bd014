"""Builds the documentation site into dist/site: searchable, and readable from a file as well.

The pages keep the repository's layout, so that the same links work here, in an editor and on a
code host. Zensical is installed into a virtual environment of its own: it takes 90 MB, and nothing
else needs it.
"""

import argparse
import functools
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-docs.txt"
ENVIRONMENT = ROOT / "build" / "docs-venv"
PAGES, SITE = ROOT / "dist" / "pages", ROOT / "dist" / "site"
# What pages link to, beside the pages themselves.
LINKED = ("*.md", "docs", "config/example.yaml", "deploy", "Dockerfile", "compose.yaml", "LICENSE")
# Search runs in a worker. From a file, browsers refuse workers, and the generator would fetch a
# replacement from a server on the Internet: ours is part of the site.
FETCHED_WORKER = re.compile(r"https://[^\"\s]+/iframe-worker/shim")
OWN_WORKER = Path("docs/assets/file-worker.js")
PORT = 8320


def main() -> int:
    arguments = argparse.ArgumentParser(prog="site", description=__doc__)
    arguments.add_argument("--serve", action="store_true", help=f"show it on port {PORT}")
    options = arguments.parse_args()
    build()
    print(f"the site is in {SITE.relative_to(ROOT)}: open {SITE / 'index.html'}")
    if options.serve:
        serve()
    return 0


def build() -> None:
    """Build the site anew.

    Raises:
        subprocess.CalledProcessError: a page has a broken link, or the generator is not installable
    """
    install()
    stage()
    # Not with --clean: that would remove all of .cache, where other tools keep things as well.
    shutil.rmtree(SITE, ignore_errors=True)
    command = [str(ENVIRONMENT / "bin" / "zensical"), "build", "--strict"]
    subprocess.run(command, cwd=ROOT, check=True)
    pages = sorted(SITE.rglob("*.html"))
    if not sum(use_own_worker(page) for page in pages):
        raise SystemExit("no page loads a replacement of workers: does search from a file work?")


def install() -> None:
    """Install the locked generator, unless it is there."""
    stamp = ENVIRONMENT / ".installed"
    locked = hashlib.sha256(LOCK.read_bytes() + str(ROOT).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == locked:
        return
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-input", "--require-hashes", "-r", str(LOCK)], check=True
    )
    stamp.write_text(locked)


def stage() -> None:
    """Copy the pages, and what they link to, into a folder of their own."""
    shutil.rmtree(PAGES, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *LINKED], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if name.startswith(("tests/", "simulators/")):
            continue
        target = PAGES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)


def use_own_worker(page: Path) -> bool:
    """Make a page load our worker; return whether it would have fetched the other one."""
    text = page.read_text("utf-8")
    own = os.path.relpath(SITE / OWN_WORKER, page.parent)
    patched, found = FETCHED_WORKER.subn(own, text)
    page.write_text(patched, "utf-8")
    return found > 0


def serve() -> None:
    """Serve the site on this machine until interrupted."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", PORT), handler) as server:
        print(f"http://127.0.0.1:{PORT}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    sys.exit(main())
