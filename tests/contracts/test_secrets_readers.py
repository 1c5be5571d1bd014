"""The linter of `secrets.env` against programs that really read it: bash, sed, grep and cut.

The readers are written from the facts, not from the linter. First they are shown to be right (they
do what the vendor's table of hazards says), then the linter is compared with them.
"""

import random
import shutil
import string
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from services.secrets_env import KEYS, ChangePolicy, Danger, Harm, SecretsFile, findings, lint
from services.secrets_env import Reader as ReadBy
from services.secrets_env.keys import CLUSTER, MEET, NODE
from tests.support.coverage_level import by_level

READERS = Path(__file__).parent.parent / "support" / "secrets_readers"
PROGRAMS = ("bash", "sh", "sed", "grep", "cut", "cp", "touch")
# No locale, as under cron, where a master's boot script runs; PATH is the sandbox's.
ENVIRONMENT = {"PATH": "", "LC_ALL": "C"}
EDITABLE = [key.name for key in KEYS.values() if key.policy is not ChangePolicy.REFUSED]
BATCHES = 8
EACH = 1300
CHUNK = 200
DRAWN = by_level(EACH // 4, EACH, EACH)
SHELLS = by_level(50, 150, 150)
"""Values for each of which a shell or two are started."""


def raw(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


@pytest.fixture(autouse=True)
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values with commands are run here.

    They find no program but these, and write only beside the test's own files.
    """
    programs, work = tmp_path / "programs", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found, f"{name} is not installed"
        (programs / name).symlink_to(found)
    monkeypatch.setitem(ENVIRONMENT, "PATH", str(programs))
    monkeypatch.chdir(work)


def run(script: str, *words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [f"{ENVIRONMENT['PATH']}/bash", READERS / script, *words]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, env=ENVIRONMENT)


def left_behind() -> list[str]:
    """Return what commands in values have written."""
    return sorted(path.name for path in Path().iterdir())


class Master:
    """A directory that looks like a master to the boot script."""

    def __init__(self, root: Path, config: bytes, where: str = CLUSTER) -> None:
        self.root = root
        self.config = root / where
        for name in (CLUSTER, MEET, NODE, "bucket/secrets.env"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
        self.config.write_bytes(config)

    def boot(self, secrets: bytes | None) -> bytes:
        """Return the configuration file after a boot."""
        if secrets is not None:
            (self.root / "bucket/secrets.env").write_bytes(secrets)
        self.code = run("boot.sh", self.root).returncode
        return self.config.read_bytes()

    @property
    def started(self) -> bool:
        return (self.root / "openvidu").read_text() == "started\n"


def install(tmp_path: Path, secrets: bytes, key: str) -> bytes:
    """Return what a program that installs a node reads for the key."""
    file = tmp_path / "installed.env"
    file.write_bytes(secrets)
    return run("install.sh", file, key).stdout.removesuffix(b"\0")


# The readers are honest


@pytest.mark.parametrize(
    ("secrets", "config", "code"),
    [
        pytest.param(
            b"A=1\nB=2",
            b"A=1\nB=old\n",
            "no-final-newline",
            id="the last line has no newline: ignored",
        ),
        pytest.param(
            b"A=1\r\nB=2\r\n",
            b"A=1\r\nB=2\r\n",
            "crlf",
            id="CR LF: the CR becomes part of the value",
        ),
        pytest.param(
            b"A='1'\nB=\"2\"\n", b"A='1'\nB=\"2\"\n", "quoted", id="quotes become part of the value"
        ),
        pytest.param(
            b"A=p&q\nB=2\n",
            b"A=pA=oldq\nB=2\n",
            "ampersand",
            id="& is replaced by what stood there",
        ),
        pytest.param(
            b"A=abc=\nB=2\n",
            b"A=abc\nB=2\n",
            "trailing-equals",
            id="the only =, at the end: dropped",
        ),
        pytest.param(
            b"A=abc==\nB=a=b=\n", b"A=abc==\nB=a=b=\n", "equals", id="other = are kept at boot"
        ),
        pytest.param(b"A=\nB=2\n", b"A=old\nB=2\n", "empty", id="empty: ignored"),
        pytest.param(b"export A=1\nB=2\n", b"A=old\nB=2\n", "export", id="export: ignored"),
        pytest.param(b"C=1\nB=2\n", b"A=old\nB=2\n", "unknown", id="unknown key: ignored"),
        pytest.param(b"A=1\nA=2\nB=2\n", b"A=2\nB=2\n", "duplicate", id="twice: the last wins"),
        pytest.param(b"# A=1\n#\nB=2\n", b"A=old\nB=2\n", "", id="comment: ignored"),
        pytest.param(
            b"A=x\\ny\nB=2\n", b"A=x\ny\nB=2\n", "lines", id="a backslash means something to sed"
        ),
        pytest.param(
            b".*=x\n", b".*=x\n.*=x\n", "pattern", id="a key is a pattern, and every line goes"
        ),
    ],
)
def test_boot_reads_as_the_facts_say(
    tmp_path: Path, secrets: bytes, config: bytes, code: str
) -> None:
    master = Master(tmp_path, b"A=old\nB=old\n")
    assert master.boot(secrets) == config
    assert master.started
    assert not code or code in {problem.code for problem in SecretsFile(secrets).problems()}


@pytest.mark.parametrize("value", [b"a|b", rb"a\1b", b"a\\", b"|", rb"\9"])
def test_a_fatal_value_leaves_openvidu_stopped(tmp_path: Path, value: bytes) -> None:
    master = Master(tmp_path, b"A=old\nB=old\n")
    secrets = b"A=" + value + b"\nB=2\n"
    assert master.boot(secrets) == b"A=old\nB=old\n"
    assert master.code != 0
    assert not master.started
    assert Harm.STOPS in {problem.harm for problem in SecretsFile(secrets).problems()}


def test_without_the_object_openvidu_stays_stopped(tmp_path: Path) -> None:
    master = Master(tmp_path, b"A=old\n")
    assert master.boot(None) == b"A=old\n"
    assert not master.started


def test_keys_go_where_they_are_already(tmp_path: Path) -> None:
    meet = Master(tmp_path / "1", b"MEET_INITIAL_API_KEY=old\n", MEET)
    node = Master(tmp_path / "2", b"REDIS_PASSWORD=old\n", NODE)
    assert meet.boot(b"MEET_INITIAL_API_KEY=1\n") == b"MEET_INITIAL_API_KEY=1\n"
    assert node.boot(b"REDIS_PASSWORD=1\n") == b"REDIS_PASSWORD=1\n"


RUNNING = ("x|;e touch ran #", "x|e;e touch ran #", "x|w ran", "x|gw ran", "x|;w ran",
           "x|;1e touch ran #", "x|;W ran", "x|p;e touch ran #",
           "x| ;e touch ran #", "x;touch ran;|e#", "x|;s/^/touch ran;/e#", "x|;e touch ran #=",
           "x|2e;e touch ran #")  # fmt: skip


@pytest.mark.parametrize("value", RUNNING)
def test_a_value_can_run_as_root_and_is_reported(tmp_path: Path, value: str) -> None:
    secrets = f"DASHBOARD_ADMIN_USERNAME={value}\n".encode()
    Master(tmp_path / "master", b"DASHBOARD_ADMIN_USERNAME=old\n").boot(secrets)
    assert any(name.startswith("ran") for name in left_behind()), "the value bites"
    assert Danger.RUNS in {
        f.danger
        for f in findings(SecretsFile(secrets))
        if f.line == 1 and f.key == "DASHBOARD_ADMIN_USERNAME"
    }


@pytest.mark.parametrize(
    "line",
    [
        "DASHBOARD_ADMIN_USERNAME\\|x|y|;e touch ran #=z",
        "#DASHBOARD=x|;e touch ran #",
        "lower=x|w ran",
    ],
)
def test_a_line_without_a_proper_key_can_run_too(tmp_path: Path, line: str) -> None:
    config = b"DASHBOARD_ADMIN_USERNAME=old\n#DASHBOARD=old\nlower=old\n"
    Master(tmp_path / "master", config).boot(f"{line}\n".encode())
    assert any(name.startswith("ran") for name in left_behind()), "the line bites"
    assert Danger.RUNS in {f.danger for f in findings(SecretsFile(f"{line}\n".encode()))}


@pytest.mark.parametrize(
    "value",
    [
        "x;touch ran #",
        "x&touch ran #",
        "x|touch ran #",
        "$(touch ran)",
        "`touch ran`",
        "x>ran",
        "x<(touch ran)",
        "${x:-$(touch ran)}",
        "x\nREDIS_PASSWORD=touch ran #",
    ],
)
def test_what_a_new_media_node_would_run_is_reported(tmp_path: Path, value: str) -> None:
    secrets = f"REDIS_PASSWORD={value}\n"
    file = tmp_path / "node.env"
    file.write_text(secrets)
    run("node.sh", file)
    assert left_behind() == ["ran"], "the value bites"
    assert (Danger.RUNS, ReadBy.NODES) in {
        (f.danger, f.reader) for f in findings(SecretsFile(secrets.encode()))
    }


@pytest.mark.parametrize(
    ("secrets", "value"),
    [
        (b"A=ab=cd==\n", b"ab"),
        (b"A=1\nA=2\n", b"1\n2"),
        (b"A=p&q|r\n", b"p&q|r"),
        (b"A=1\r\n", b"1\r"),
        (b"A=1", b"1"),
        (b"A=abc=\n", b"abc"),
    ],
)
def test_installers_read_as_the_facts_say(tmp_path: Path, secrets: bytes, value: bytes) -> None:
    assert install(tmp_path, secrets, "A") == value


def test_save_replaces_or_appends_and_has_the_hazards_of_sed(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_bytes(b"A=old\nB=2\n")
    assert run("store.sh", file, stdin=b"A\0p&q\0C\0new\0").stdout == b"p&q\nnew\n"
    assert file.read_bytes() == b"A=pA=oldq\nB=2\nC=new\n"
    assert run("store.sh", file, stdin=b"B\0x|y\0").returncode != 0
    assert run("store.sh", file, stdin=b"D\0-n\0").stdout == b""  # echo reads it as an option


# The values

ALNUM = string.ascii_letters + string.digits
NAMES = [
    "ana",
    "bruno",
    "carla",
    "dmitri",
    "eva",
    "farid",
    "grace",
    "hugo",
    "ines",
    "jonas",
    "kira",
    "luis",
    "mei",
    "nadia",
    "omar",
    "rosa",
]
HOSTS = ["meet", "video", "openvidu", "rtc", "calls"]
LANDS = ["com", "org", "net", "io", "dev", "es", "de", "co.uk", "example", "education", "cloud"]
HOSTILE = "|&\\='\"`$#!%^*(){}[]<>;~? \t\r\n\x00\x0b\x1b\x7f\u00a0\u00e9\u4e2d\u2028\U0001f511"
TRAPS = [
    "", " ", "=", "==", "abc=", "ab=cd==", "a=b=", "p&q", "&", "a|b", "|", "\\", "\\1", "\\0",
    "a\\1b", "\\n", "a\\", "-n", "-e", "-E",
    "--help", "-neE", "none", "NONE", "$(reboot)", "`id`", "$HOME", "${X}", "'quoted'", '"quoted"',
    "x\ny", "x\nREDIS_PASSWORD=y", "x\r",
    "x\r\n", " x", "x ", "x\t", "#x", "x #y", ".*", "[", "~", "*", "a b", "|e touch x", "|w x",
    "x\\\ny", "https://a.example/?b=c&d=e",
    "https://h.example/#x", "%41", "\u00e9" * 8, "\udcff\udcfe", "a" * 5000, "a" * 129, "@x", "+x",
    "-----BEGIN KEY-----", "true", "0",
    "a:", "a,",
]  # fmt: skip


def some(rng: random.Random, letters: str, shortest: int, longest: int) -> str:
    return "".join(rng.choices(letters, k=rng.randint(shortest, longest)))


def password(rng: random.Random) -> tuple[str, str]:
    """Values as generators make them.

    Letters and digits; some with harmless punctuation, some with any, some base64.
    """
    key = rng.choice(["DASHBOARD_ADMIN_PASSWORD", "GRAFANA_ADMIN_PASSWORD", "LIVEKIT_API_SECRET"])
    size = rng.randint(32, 44) if key == "LIVEKIT_API_SECRET" else rng.randint(10, 24)
    letters = rng.choice(
        [
            ALNUM,
            ALNUM,
            ALNUM + "._-@+",
            ALNUM + "._-@+",
            ALNUM + "._-@+",
            ALNUM + "+/",
            ALNUM + "!#$%&*=?",
        ]
    )
    return key, some(rng, letters, size, size)


def name(rng: random.Random) -> tuple[str, str]:
    first, last = rng.choice(NAMES), rng.choice(NAMES)
    forms = [first, f"{first}.{last}", f"{first}-{last}", f"{first}_{rng.randint(1, 99)}",
             f"{first}@{last}.{rng.choice(LANDS)}",
             f"{first}+ops@{last}.io", f"{first} {last}",
             f"{first.title()}{last.title()}"]  # fmt: skip
    return rng.choice(["DASHBOARD_ADMIN_USERNAME", "GRAFANA_ADMIN_USERNAME"]), rng.choice(forms)


def domain(rng: random.Random) -> tuple[str, str]:
    prefix, infix = rng.choice(HOSTS), rng.choice(["", "-", "2", ".eu"])
    host = f"{prefix}{infix}{rng.choice(NAMES)}.{rng.choice(LANDS)}"
    address = ".".join(str(rng.randint(1, 254)) for _ in range(4))
    choices = (
        f"openvidu-{some(rng, string.ascii_lowercase, 8, 8)}-{address.replace('.', '-')}.sslip.io"
    )
    return "DOMAIN_NAME", rng.choice(
        [host, host, host, address, choices, f"https://{host}/", host.upper(), host + "."]
    )


def url(rng: random.Random) -> tuple[str, str]:
    """No key that may be changed is a URL today; keys with free text are tried with URLs."""
    _, host = domain(rng)
    path = "/".join(rng.choice(NAMES) for _ in range(rng.randint(0, 3)))
    query = rng.choice(["", "", "", "", f"?{rng.choice(NAMES)}={rng.randint(1, 99)}"])
    scheme, name = rng.choice(["https", "wss", "rtmp"]), host.removeprefix("https://").strip("/")
    text = f"{scheme}://{name}{rng.choice(['', ':8443'])}/{path}{query}"
    return rng.choice(["DASHBOARD_ADMIN_PASSWORD", "OPENVIDU_PRO_LICENSE"]), text


def licence(rng: random.Random) -> tuple[str, str]:
    groups = "-".join(
        some(rng, string.ascii_uppercase + string.digits, 4, 8) for _ in range(rng.randint(2, 6))
    )
    uuid = "-".join(some(rng, "0123456789abcdef", n, n) for n in (8, 4, 4, 4, 12))
    token = ".".join(some(rng, ALNUM + "_-", 16, 40) for _ in range(3))
    return "OPENVIDU_PRO_LICENSE", rng.choice(
        [groups, uuid, token, some(rng, ALNUM + "+/", 20, 60), some(rng, ALNUM, 20, 40) + "=="]
    )


def choice(rng: random.Random) -> tuple[str, str]:
    modules = ["observability", "openviduMeet", "v2compatibility"]
    picked = rng.sample(modules, rng.randint(1, 3))
    forms = [("ENABLED_MODULES", ",".join(picked)),
             ("OPENVIDU_RTC_ENGINE", rng.choice(["pion", "mediasoup"])),
             ("LIVEKIT_API_KEY", "API" + some(rng, ALNUM, 12, 12)),
             ("ENABLED_MODULES", ", ".join(picked))]  # fmt: skip
    return rng.choice(forms)


ORDINARY: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    f.__name__: f for f in (password, name, domain, url, licence, choice)
}


def hostile(rng: random.Random) -> tuple[str, str]:
    """A trap, noise, or an ordinary value with a few hostile characters, under any key."""
    key, value = rng.choice(list(ORDINARY.values()))(rng)
    kind = rng.random()
    if kind < 0.15:
        value = rng.choice(TRAPS)
    elif kind < 0.3:
        value = some(rng, ALNUM + HOSTILE, 1, 40)
    elif kind < 0.4:
        value = some(
            rng, "-+.,:/@_" + ALNUM[:4], 1, 40
        )  # only what the allow list has, in an order that no one would type
    else:
        letters = list(value)
        for _ in range(rng.randint(1, 3)):
            letters.insert(rng.randint(0, len(letters)), rng.choice(HOSTILE))
        value = "".join(letters)
    if "|" in value:
        value = value.replace("/", "-")  # `w` writes to any path
    return (rng.choice(EDITABLE) if rng.random() < 0.3 else key), value


# The linter is held to the readers


def by_boot(tmp_path: Path, values: Sequence[str]) -> bool:
    """Whether a master's boot keeps every one of them unchanged."""
    file = b"".join(b"K%d=%s\n" % (n, raw(v)) for n, v in enumerate(values))
    master = Master(tmp_path, b"".join(b"K%d=old%d\n" % (n, n) for n in range(len(values))))
    return master.boot(file) == file and master.started


def by_installers(tmp_path: Path, values: Sequence[str]) -> bool:
    file = tmp_path / "installed.env"
    file.write_bytes(b"".join(b"K%d=%s\n" % (n, raw(v)) for n, v in enumerate(values)))
    done = run("install.sh", file)
    return done.returncode == 0 and done.stdout == b"".join(raw(v) + b"\n" for v in values)


def by_save(tmp_path: Path, values: Sequence[str]) -> bool:
    """Every second key exists already (replaced, by sed), the others are appended (by echo)."""
    file = tmp_path / "saved.env"
    file.write_bytes(b"".join(b"K%d=old\n" % n for n in range(0, len(values), 2)))
    done = run(
        "store.sh", file, stdin=b"".join(b"K%d\0%s\0" % (n, raw(v)) for n, v in enumerate(values))
    )
    order = [*range(0, len(values), 2), *range(1, len(values), 2)]
    saved = b"".join(b"K%d=%s\n" % (n, raw(values[n])) for n in order)
    return (
        done.returncode == 0
        and file.read_bytes() == saved
        and done.stdout == b"".join(raw(v) + b"\n" for v in values)
    )


Read = Callable[[Path, Sequence[str]], bool]
ALL_READERS: tuple[Read, ...] = (by_boot, by_installers, by_save)


def harmed(reader: Read, tmp_path: Path, values: Sequence[str]) -> list[str]:
    """Return those that the reader changes, truncates or fails on.

    Found by halving, so that a fatal one does not hide the others.
    """
    if not values or reader(tmp_path, values):
        return []
    if len(values) == 1:
        return list(values)
    half = len(values) // 2
    harmed_values = harmed(reader, tmp_path, values[:half]) + harmed(
        reader, tmp_path, values[half:]
    )
    return harmed_values or [f"only together: {values!r}"]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(BATCHES))
def test_nothing_let_through_is_changed_cut_or_fatal(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    makers = list(ORDINARY.values())
    drawn = [rng.choice(makers)(rng) if n % 2 else hostile(rng) for n in range(DRAWN)]
    let_through = list(dict.fromkeys(value for key, value in drawn if lint(key, value).ok))
    assert len(let_through) > DRAWN / 4
    for start in range(0, len(let_through), CHUNK):
        for reader in ALL_READERS:
            assert harmed(reader, tmp_path, let_through[start : start + CHUNK]) == []


def test_ten_thousand_values_are_tried() -> None:
    assert BATCHES * EACH >= 10_000


@pytest.mark.parametrize("kind", ORDINARY)
def test_most_ordinary_values_are_let_through(kind: str) -> None:
    rng = random.Random(kind)
    drawn = [ORDINARY[kind](rng) for _ in range(1000)]
    assert sum(lint(key, value).ok for key, value in drawn) >= 500


def test_the_readers_bite(tmp_path: Path) -> None:
    """Each reader harms many of the values that the linter refuses.

    So the accepted ones are not unharmed by chance.
    """
    rng = random.Random(99)
    refused = [
        value
        for key, value in (hostile(rng) for _ in range(400))
        if not lint(key, value).ok and "\0" not in value
    ][:40]
    for reader in ALL_READERS:
        assert sum(not reader(tmp_path, [value]) for value in refused) >= 5


def test_every_key_that_may_change_arrives_on_the_master(tmp_path: Path) -> None:
    rng = random.Random(7)
    names = [key.name for key in KEYS.values() if key.goes_to == CLUSTER]
    file = SecretsFile("".join(f"{n}=first\n" for n in names).encode())
    makers = list(ORDINARY.values())
    for _ in range(200):
        key, value = rng.choice(makers)(rng)
        if lint(key, value).ok:
            file = file.set(key, value)
    left = {n for n in EDITABLE if file.value(n) == "first"}
    assert not left
    assert (
        Master(tmp_path, "".join(f"{n}=running\n" for n in names).encode()).boot(file.data)
        == file.data
    )


SED_LETTERS = "|||\\\\\\&&;;#nepwgmMiI012390dox cJj{}sy,ab :AB=\t\x0b"


def sed_value(rng: random.Random) -> str:
    """Text of what has a meaning to sed, and of what has none."""
    value = some(rng, SED_LETTERS, 1, 9)
    if rng.random() < 0.3:
        value = f"z|{value}"
    return f"{value};e touch ran #" if rng.random() < 0.1 else value


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(4))
def test_what_the_linter_predicts_of_a_value_is_what_sed_does(tmp_path: Path, seed: int) -> None:
    """Both ways: nothing is missed, and nothing harmless is reported as ending the boot script."""
    rng = random.Random(f"sed {seed}")
    for n in range(SHELLS):
        value = sed_value(rng)
        file = SecretsFile(b"DOMAIN_NAME=%s\n" % raw(value))
        told = {
            p.harm
            for p in file.problems()
            if p.key == "DOMAIN_NAME" and p.harm in {Harm.RUNS, Harm.STOPS, Harm.CHANGES}
        }
        master = Master(tmp_path / f"m{n}", b"DOMAIN_NAME=old\nENABLED_MODULES=kept\n")
        config = master.boot(file.data)
        if value and not told:
            assert config == file.data + b"ENABLED_MODULES=kept\n", value
        if (
            left_behind()
            or config.count(b"\n") > 2
            or not config.endswith(b"ENABLED_MODULES=kept\n")
        ):
            assert Harm.RUNS in told, value
        if not master.started:
            assert told & {Harm.STOPS, Harm.RUNS}, value
        if Harm.STOPS in told and Harm.RUNS not in told:
            assert not master.started, value
        for path in Path().iterdir():
            path.unlink()


def test_each_character_that_a_new_media_nodes_shell_interprets_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "node.env"
    for character in HOSTILE.replace("\x00", "").replace("\n", "") + "=/:,@+.-_":
        password = f"aa{character}bb,cc}}dd"
        secrets = raw(f"REDIS_PASSWORD={password}\nOPENVIDU_VERSION=3.6.1\n")
        file.write_bytes(secrets)
        is_unchanged = run("node.sh", file).stdout == raw(
            f"--redis-password={password}\n--version=3.6.1\n--no-tty\n"
        )
        problems = [
            f
            for f in findings(SecretsFile(secrets))
            if f.key == "REDIS_PASSWORD" and f.reader is ReadBy.NODES
        ]
        assert is_unchanged == (not problems), repr(character)
        for path in Path().iterdir():
            path.unlink()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(2))
def test_what_no_finding_names_reaches_a_new_media_node_as_it_stands(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(f"node {seed}")
    file, passed = tmp_path / "node.env", 0
    for _ in range(SHELLS):
        password = some(
            rng,
            ALNUM + rng.choice(["", "", "._-@+/:,", HOSTILE.replace("\x00", "").replace("\n", "")]),
            8,
            44,
        ).replace("/", "-")
        secrets = raw(f"REDIS_PASSWORD={password}\nOPENVIDU_VERSION=3.6.1\n")
        file.write_bytes(secrets)
        reported = [f for f in findings(SecretsFile(secrets)) if f.key == "REDIS_PASSWORD"]
        done = run("node.sh", file)
        if not reported:
            passed += 1
            assert done.stdout == raw(
                f"--redis-password={password}\n--version=3.6.1\n--no-tty\n"
            ), password
        if left_behind():
            assert Danger.RUNS in {f.danger for f in reported}, password
        for path in Path().iterdir():
            path.unlink()
    assert passed > SHELLS / 3


@pytest.mark.sampled(15)
@pytest.mark.parametrize("seed", range(120))
def test_a_file_without_problems_is_read_as_it_stands(tmp_path: Path, seed: int) -> None:
    """`problems` misses nothing: everything that a boot changes, or fails on, was reported."""
    rng = random.Random(seed)
    names = rng.sample([key.name for key in KEYS.values() if key.goes_to == CLUSTER], 6)
    values = [
        rng.choice(list(ORDINARY.values()))(rng)[1]
        if rng.random() < 0.9
        else rng.choice([hostile(rng)[1], rng.choice(TRAPS)])
        for _ in names
    ]
    file = SecretsFile(rng.choice(["\n", "\n", "\n", "\r\n"]).join(f"{n}={v}" for n,
                                                                          v in zip(names, values,
                                                                          strict=True)).encode(
        errors="surrogateescape") + rng.choice([b"\n", b"\n", b""]))  # fmt: skip
    harms = {problem.harm for problem in file.problems() if problem.code != "gate"}
    master = Master(tmp_path, "".join(f"{n}=running\n" for n in names).encode())
    config = master.boot(file.data)
    if not harms - {Harm.INSTALL}:
        assert config == b"".join(raw(f"{n}={file.value(n)}\n") for n in names)
    if not master.started:
        assert Harm.STOPS in harms
