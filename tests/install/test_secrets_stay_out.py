"""Files that `init` and the how-to pages create never get into a commit or an image."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bot.init.repository import could_be_committed
from tests.e2e.test_connect import init

ROOT = Path(__file__).resolve().parents[2]
needs_git = pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs git, and a clone"
)

# As in docs/how-to: beside compose.yaml and kustomization.yaml, and for a private package index.
SECRETS = (
    "bot.env",
    "settings.yaml",
    "openvidu-bot.pem",
    "pip.conf",
    "deploy/kubernetes/bot.env",
    "deploy/kubernetes/settings.yaml",
    "deploy/kubernetes/id",
    "staging.env",
    "state.sqlite3",
)


def git(*words: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, check=False)


@needs_git
@pytest.mark.parametrize("name", SECRETS)
def test_git_ignores(name: str) -> None:
    assert git("check-ignore", "--no-index", name).returncode == 0


@needs_git
def test_nothing_that_is_committed_is_ignored() -> None:
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard").stdout == ""


@pytest.mark.parametrize("name", SECRETS)
def test_no_image_holds(name: str) -> None:
    """Only pip.conf may be read by a build, and only by its first stage."""
    allowed = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    assert name.split("/", 1)[0] not in allowed or name == "pip.conf"
    last = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    copied = [line for line in last.splitlines() if line.startswith("COPY")]
    assert copied == ["COPY --from=packages /venv /venv", "COPY --from=packages /app /app"]


def test_init_warns_in_a_git_tree(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    made = init(tmp_path)
    assert made.returncode == 0, made.stderr
    assert (
        f"WARNING: bot.env is inside the git repository {tmp_path}, which does not ignore it"
        in made.stderr
    )


def test_init_is_quiet_where_git_ignores_the_file(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*.env\n")
    assert "WARNING" not in init(tmp_path).stderr


@needs_git
@pytest.mark.parametrize(
    ("ignored", "place"),
    [
        ("", "bot.env"),
        ("bot.env\n", "bot.env"),
        ("*.env\n", "deep/down/bot.env"),
        ("/bot.env\n", "bot.env"),
        ("/bot.env\n", "deep/bot.env"),
        ("# bot.env\n", "bot.env"),
        ("*.env\n!bot.env\n", "bot.env"),
        ("other\n", "bot.env"),
    ],
)
def test_as_git_itself_says(tmp_path: Path, ignored: str, place: str) -> None:
    git("init", "-q", cwd=tmp_path)
    (tmp_path / ".gitignore").write_text(ignored)
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("SECRET=1\n")
    git("add", "--all", cwd=tmp_path)
    taken = place in git("ls-files", cwd=tmp_path).stdout.splitlines()
    assert could_be_committed(file) == (tmp_path if taken else None)


def test_no_tree_no_warning(tmp_path: Path) -> None:
    assert could_be_committed(tmp_path / "bot.env") is None
