#!/bin/sh
# Writes requirements.txt, requirements-dev.txt and requirements-docs.txt from pyproject.toml: every file's hash, for Python 3.11-3.14 on any platform, and
# no address of a package index, so that everybody installs from the one that they use.
set -eu
cd "$(dirname "$0")/.."
UV_PYTHON_DOWNLOADS=never
export UV_PYTHON_DOWNLOADS
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links "$@"
}
compile pyproject.toml --output-file requirements.txt
# pip itself is not locked: it is what installs the rest.
compile pyproject.toml --group dev --constraint requirements.txt --output-file requirements-dev.txt
compile --group docs --output-file requirements-docs.txt
