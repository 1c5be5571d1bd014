"""What holds for the repository: what it may contain, and that its parts are consistent."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bot.version import VERSION
from scripts.subject import check as commit_problems

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-docs.txt")
PACKAGES = ("bot", "config", "handlers", "services", "simulators")
# Whole rooms; elsewhere the docstring of a module says that it is pure.
PURE = ("cluster", "steps", "windows", "billing", "procedures", "config_files", "secrets_env")
SKIPPED = {
    ".git",
    ".venv",
    ".cache",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    ".import_linter_cache",
    "node_modules",
}

# Written in two halves, so that this file does not hold what it looks for.
INDEX_HOSTS = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry.npm" + "js.org",
    "deb.deb" + "ian.org",
    "/simp" + "le/",
]
MACHINE_PATHS = [
    "/work" + "/main",
    "/opt/wh" + "eels",
    "/opt/py" + "pi",
    "/root" + "/.",
    "/home/run" + "ner",
]
SECRETS = re.compile(
    r"dop_v1_[0-9a-f]{64}|xox[bpas]-\d{6,}-\d|xapp-\d-[A-Z0-9]+-\d+-[0-9a-f]{32}|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]{40}"
)


def files() -> Iterator[Path]:
    """Every text file that is or would be committed."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split("\0")
        paths = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive
        paths = list(ROOT.rglob("*"))
    for path in paths:
        if (
            path.is_file()
            and not path.is_symlink()
            and not SKIPPED & set(path.relative_to(ROOT).parts)
        ):
            yield path


def texts() -> Iterator[tuple[str, str]]:
    for path in files():
        try:
            yield str(path.relative_to(ROOT)), path.read_text()
        except UnicodeDecodeError:
            continue


def modules(*words: str) -> Iterator[tuple[Path, ast.Module]]:
    """Yield our modules; with words, those in whose text one of them stands."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            if not words or any(word in text for word in words):
                yield path, ast.parse(text)


# The locks


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(
        r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host|-e|--editable|@ )",
        text,
        re.MULTILINE,
    )
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[A-Za-z0-9._\[\]-]+==[^\s;]+( ; [^\\]+)? \\\n", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]


def locked(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_the_locks_agree_and_hold_what_the_project_asks_for() -> None:
    run, dev, docs = (locked(lock) for lock in LOCKS)
    assert run.items() <= dev.items()
    groups = PROJECT["dependency-groups"]
    wanted = PROJECT["project"]["dependencies"], groups["dev"], groups["docs"]
    for names, lock in zip(wanted, (run, dev, docs), strict=True):
        for line in names:
            name = re.split(r"[<>=\[ ]", line)[0]
            assert name in lock, f"{name} is not locked: make lock"


def test_what_is_imported_is_asked_for() -> None:
    """A package installed only because of another one may be missing tomorrow."""
    provided = {
        re.split(r"[<>=\[ ]", line)[0].lower().replace("-", "_")
        for line in PROJECT["project"]["dependencies"]
    }
    provided |= {
        "jwt",
        "yaml",
        "azure",
        "dateutil",
        "PIL",
    }  # of pyjwt, pyyaml, azure-core, python-dateutil, pillow
    provided |= {"botocore", "multidict"}  # boto3 and aiohttp are written in terms of these
    known = provided | set(PACKAGES) | set(sys.stdlib_module_names)
    strangers = {
        f"{path.relative_to(ROOT)}: {name}"
        for path, tree in modules()
        for node in ast.walk(tree)
        for name in imported(node)
        if name.partition(".")[0] not in known
    }
    assert not strangers


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


# What no file may hold


def test_no_file_names_a_package_index_or_a_machine() -> None:
    found = [
        f"{name}: {word}"
        for name, text in texts()
        for word in (*INDEX_HOSTS, *MACHINE_PATHS)
        if word in text
    ]
    assert not found


def test_no_file_holds_a_secret() -> None:
    assert not [name for name, text in texts() if SECRETS.search(text)]


def test_every_file_has_a_name_that_somebody_gave_it() -> None:
    """A file with other characters was created by a value in a test: sed's `w` makes `x|`."""
    strange = [
        str(path.relative_to(ROOT))
        for path in files()
        if not re.fullmatch(r"[\w./-]+", str(path.relative_to(ROOT)), re.ASCII)
    ]
    assert strange == []


CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def reads_a_clock(node: ast.AST, *, virtual: bool) -> bool:
    """Whether it reads a monotonic clock. A loop in virtual time has simulated seconds."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    of = node.func.value
    loop = (
        isinstance(of, ast.Call)
        and isinstance(of.func, ast.Attribute)
        and of.func.attr in ("get_running_loop", "get_event_loop")
    )
    return node.func.attr in CLOCKS or (node.func.attr == "time" and loop and not virtual)


def clocks_in(text: str) -> list[int]:
    """Return the lines at which a test asserts something about the machine's clock."""
    if not any(word in text for word in (*CLOCKS, "_loop()")):
        return []
    tree, found = ast.parse(text), set()
    virtual = "virtual" in {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for function in [node for node in ast.walk(tree) if isinstance(node, Function)]:
        measured: set[str] = set()

        def is_about_time(node: ast.AST, names: set[str] = measured) -> bool:
            parts = list(ast.walk(node))
            return any(
                reads_a_clock(part, virtual=virtual)
                or (isinstance(part, ast.Name) and part.id in names)
                for part in parts
            )

        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and is_about_time(node.value):
                measured |= {
                    part.id
                    for target in node.targets
                    for part in ast.walk(target)
                    if isinstance(part, ast.Name)
                }
        found |= {
            node.lineno
            for node in ast.walk(function)
            if isinstance(node, ast.Assert) and is_about_time(node.test)
        }
    return sorted(found)


def test_no_test_is_about_the_machine_s_speed() -> None:
    places = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / "tests").rglob("*.py")
        for line in clocks_in(path.read_text())
    ]
    assert places == []


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("began = time.monotonic()\n    assert time.monotonic() - began < 10", True),
        (
            "began = time.perf_counter()\n"
            "    took = time.perf_counter() - began\n"
            "    assert took < 10",
            True,
        ),
        (
            "loop = asyncio.get_running_loop().time()\n"
            "    assert asyncio.get_running_loop().time() - loop < 10",
            True,
        ),
        ("now = time.time()\n    assert cert.ends > now", False),
        (
            "end = time.monotonic() + 9\n"
            "    while time.monotonic() < end:\n        pass\n"
            "    assert done",
            False,
        ),
    ],
)
def test_a_limit_on_the_machine_s_clock_is_seen(body: str, wrong: bool) -> None:
    assert bool(clocks_in(f"def test() -> None:\n    {body}\n")) is wrong
    assert (
        not clocks_in(f"from tests.support import virtual\n\n\ndef test() -> None:\n    {body}\n")
        or "get_running_loop" not in body
    )


def test_host_keys_are_always_checked() -> None:
    """asyncssh takes None as "let anybody be the host"."""
    for path, tree in modules("known_hosts"):
        for node in ast.walk(tree):
            pairs = []
            if isinstance(node, ast.Call):
                pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
            elif isinstance(node, ast.Dict):
                pairs = [
                    (getattr(key, "value", None), value)
                    for key, value in zip(node.keys, node.values, strict=True)
                ]
            off = [
                1
                for name, value in pairs
                if name == "known_hosts" and isinstance(value, ast.Constant) and value.value is None
            ]
            if path.parts[-2] == "clients" or "asyncssh" in path.read_text():
                assert not off, f"{path}:{getattr(node, 'lineno', '')}"


def test_certificates_are_always_checked() -> None:
    unsafe = ("ssl", "verify", "verify_ssl", "connection_verify")
    for path, tree in modules(*unsafe):
        for node in ast.walk(tree):
            for keyword in node.keywords if isinstance(node, ast.Call) else []:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                assert not (off and keyword.arg in unsafe), str(path)


# Parts that have to agree


def documented(package: str) -> Iterator[tuple[str, str]]:
    """Each module's dotted name, and what it says of itself."""
    for path in sorted((ROOT / package).rglob("*.py")):
        yield (
            ".".join(path.relative_to(ROOT).with_suffix("").parts),
            ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "",
        )


def test_every_pure_module_stands_in_the_contract() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    pure = next(
        contract
        for contract in contracts
        if contract["name"].startswith("what can be thought through")
    )
    rooms = tuple(f"services.{room}" for room in PURE)
    told = {
        name
        for name, text in documented("services")
        if "Pure." in text and not name.startswith(rooms)
    }
    assert set(rooms) | told <= set(pure["source_modules"])


def test_ci_runs_the_test_command_of_the_readme() -> None:
    lines = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines == [
        "set -eu",
        'cd "$(dirname "$0")/.."',
        "export OPENVIDU_BOT_CI=1",
        "exec make test",
    ]


def test_make_help_tells_of_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert targets == set(re.findall(r"^([a-z-]+):.*## .", text, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)", text, re.MULTILINE)
    assert phony
    assert targets == set(phony[1].split())


def test_the_python_versions_agree() -> None:
    spec = PROJECT["project"]["requires-python"]
    supported = re.search(r"SUPPORTED = (\(\(.*\)\))", (ROOT / "scripts" / "env.py").read_text())
    assert supported
    versions = ast.literal_eval(supported[1])
    assert spec == f">={versions[0][0]}.{versions[0][1]},<{versions[-1][0]}.{versions[-1][1] + 1}"
    image = re.search(
        r"^ARG BASE=python:(\d+)\.(\d+)-", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    assert image
    assert (int(image[1]), int(image[2])) in versions
    assert (
        f"{versions[0][0]}.{versions[0][1]}-{versions[-1][0]}.{versions[-1][1]}"
        in (ROOT / "Makefile").read_text().partition("\n")[0]
    )


def test_the_version_stands_in_one_place_and_every_file_to_run_it_with_names_it() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "bot/version.py"
    assert f'image.version="{VERSION}"' in (ROOT / "Dockerfile").read_text()
    assert (
        yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["bot"]["image"]
        == f"openvidu-bot:{VERSION}"
    )
    kustomization = yaml.safe_load(
        (ROOT / "deploy" / "kubernetes" / "kustomization.yaml").read_text()
    )
    assert [image["newTag"] for image in kustomization["images"]] == [VERSION]


def test_compose_keeps_the_state_and_gives_away_no_rights() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.get("ports"), "nothing of it is for the network"
    redis = " ".join(services["redis"]["command"])
    assert "--appendonly yes" in redis
    assert "--maxmemory-policy noeviction" in redis


def test_the_tools_that_tests_drive_have_the_same_names_in_both_places() -> None:
    ours, theirs = (
        (ROOT / name).read_text() for name in ("scripts/check.py", "tests/support/tools.py")
    )
    for name in ("redis-server", "valkey-server", "chromium", "chromium-browser", "google-chrome"):
        assert f'"{name}"' in ours
        assert f'"{name}"' in theirs


# Before a commit


def test_hooks_run_only_what_is_here() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local", "nothing is downloaded"
    for hook in repo["hooks"]:
        program, *words = hook["entry"].split()
        assert hook["language"] == "system"
        assert program.startswith(".venv/bin/")
        for module in (word for word in words if word.startswith("scripts.")):
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


@pytest.mark.parametrize(
    ("message", "problems"),
    [
        ("Say why\n\nBecause.\n", 0),
        (f"{'x' * 72}\n# a comment of git's\n", 0),
        ("Merge branch 'a' into b, which has a long name that is git's own and nobody's choice", 0),
        (f"{'x' * 73}\n", 1),
        ("Ends with a full stop.\n", 1),
        ("No line between\nsubject and body\n", 1),
        ("", 1),
    ],
)
def test_a_commit_message_is_held_to_its_form(message: str, problems: int) -> None:
    assert len(commit_problems(message)) == problems
