"""Laws of every `secrets.env`: no loss, an edit changes one line, and no value is ever shown."""

import base64
import json
import urllib.parse

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.common.errors import Refused
from services.secrets_env import (
    HIGH_AVAILABILITY,
    KEYS,
    ChangeKind,
    ChangePolicy,
    Consequences,
    Danger,
    Harm,
    Masker,
    Reader,
    SecretsFile,
    SecretsLayout,
    changes,
    consequences,
    damaged_keys,
    findings,
    findings_text,
    lint,
    mask,
    may_change,
    nearest,
    remedy,
    worst_consequence,
)
from services.secrets_env.keys import URLS
from services.secrets_env.layout import ELASTIC, SINGLE_NODE
from simulators.cloud import boot_script
from simulators.cloud.model import Deployment, Edition
from tests.support.calls import calls_of

R44 = "Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9Qq"
EDITABLE = {
    "DOMAIN_NAME": "meet.example.com",
    "DASHBOARD_ADMIN_USERNAME": "ana",
    "DASHBOARD_ADMIN_PASSWORD": "correct-horse_battery@staple",
    "GRAFANA_ADMIN_USERNAME": "ana@example.com",
    "GRAFANA_ADMIN_PASSWORD": R44,
    "ENABLED_MODULES": "openviduMeet,observability,v2compatibility",
    "LIVEKIT_API_KEY": "APIdummydummy1",
    "LIVEKIT_API_SECRET": R44,
    "OPENVIDU_PRO_LICENSE": "DUMMY-LICENSE-0000",
    "OPENVIDU_RTC_ENGINE": "mediasoup",
}
GATE = b"ALL_SECRETS_GENERATED=true\n"

line_ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"])
key_names = st.sampled_from([*KEYS, "MASTER_NODE_1_PRIVATE_IP", "SOMETHING_ELSE"])
key_lines = st.tuples(key_names, st.text(max_size=12)).map(
    lambda kv: f"{kv[0]}={kv[1]}".encode(errors="surrogatepass").replace(b"\n", b"|")
)
other_lines = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [b"", b"# a comment", b"export DOMAIN_NAME=x", b"no equals", b" DOMAIN_NAME=x"]
    ),
)
lines = st.one_of(key_lines, key_lines, other_lines)
files = st.builds(
    lambda body, last: b"".join(line + end for line, end in body) + last,
    st.lists(st.tuples(lines, line_ends), max_size=12),
    st.one_of(st.just(b""), st.just(b""), lines),
)
edits = st.sampled_from(sorted(EDITABLE.items()))


def known(file: SecretsFile, name: str) -> str:
    value = file.value(name)
    assert value is not None, f"{name} is missing"
    return value


# The table


def test_thirty_one_keys_each_with_its_form_or_its_reason() -> None:
    assert len(KEYS) == 31
    for key in KEYS.values():
        assert key.goes_to
        assert (key.form is None) == (key.policy is ChangePolicy.REFUSED) == bool(key.why)
        assert bool(key.breaks) or key.policy is not ChangePolicy.GUARDED


def test_the_secret_ones() -> None:
    plain = {
        "DOMAIN_NAME",
        "ENABLED_MODULES",
        "OPENVIDU_RTC_ENGINE",
        "OPENVIDU_VERSION",
        "ALL_SECRETS_GENERATED",
        *URLS,
    }
    for name, key in KEYS.items():
        never = (
            name in plain
            or "USER" in name
            or name.startswith("MASTER_NODE")
            or name == "MINIO_ACCESS_KEY"
        )
        assert key.secret is not never, name


def test_what_may_change_is_exactly_this() -> None:
    assert {name for name in KEYS if may_change(name).ok} == set(EDITABLE)
    for name, value in EDITABLE.items():
        assert lint(name, value).ok, name


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("LIVEKIT_SECRET", "LIVEKIT_API_SECRET"),
        ("domain-name", "DOMAIN_NAME"),
        ("OPENVIDU_LICENSE", "OPENVIDU_PRO_LICENSE"),
        ("q", ""),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(typed: str, meant: str) -> None:
    assert nearest(typed) == meant
    verdict = lint(typed, "anything-at-all")
    assert not verdict.ok
    assert meant in verdict.reason


# The linter


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (
            "DASHBOARD_ADMIN_PASSWORD",
            "Passw0rd|x",
            "character 9 is '|': masters run what follows it as a command, as root",
        ),
        (
            "DASHBOARD_ADMIN_PASSWORD",
            "Passw0rd&x",
            "character 9 is '&': the boot script replaces it by the old value",
        ),
        ("DASHBOARD_ADMIN_PASSWORD", "Passw0rd\\1", "character 9 is '\\'"),
        ("DASHBOARD_ADMIN_PASSWORD", "Passw0rdx=", "character 10 is '='"),
        ("DASHBOARD_ADMIN_PASSWORD", "Passw0rd x", "character 9 is a space"),
        ("DASHBOARD_ADMIN_PASSWORD", "Passw0rd\n", "character 9 is a line break"),
        ("DASHBOARD_ADMIN_PASSWORD", "Passw0rd\x00", "character 9 is a control character"),
        ("DASHBOARD_ADMIN_PASSWORD", "Passw0rdé", "character 9 is not plain ASCII"),
        ("DASHBOARD_ADMIN_PASSWORD", "", "cannot be empty"),
        ("DASHBOARD_ADMIN_PASSWORD", "short", "8 to 128 characters, this has 5"),
        ("DASHBOARD_ADMIN_PASSWORD", "-Passw0rd", "begins with a letter or a digit"),
        ("DASHBOARD_ADMIN_PASSWORD", "Passw0rd:", "does not end with"),
        ("GRAFANA_ADMIN_USERNAME", "none", "as no value"),
        ("GRAFANA_ADMIN_USERNAME", "a:b", "character 2 is ':'"),
        ("DOMAIN_NAME", "https://meet.example.com/", "without https://"),
        ("DOMAIN_NAME", "meet.example.com:443", "without https://, port"),
        ("DOMAIN_NAME", "localhost", "two parts"),
        ("DOMAIN_NAME", "Meet.example.com", "lower case"),
        ("DOMAIN_NAME", "meet..example.com", "part 2"),
        ("DOMAIN_NAME", "10.0.0.256", "four numbers"),
        ("ENABLED_MODULES", "observability, openviduMeet", "a space"),
        ("ENABLED_MODULES", "observability,meet", "item 2 is not a module"),
        ("ENABLED_MODULES", "observability,observability", "twice"),
        ("ENABLED_MODULES", "observability,", "item 2"),
        ("OPENVIDU_RTC_ENGINE", "Pion", "pion or mediasoup"),
        ("LIVEKIT_API_SECRET", "only-thirty-one-characters-long", "32 to 128"),
        ("LIVEKIT_API_SECRET", "1" * 40, "at least one letter"),
        ("LIVEKIT_API_KEY", "12345678", "begins with a letter"),
        ("REDIS_PASSWORD", R44, "reaches no other master"),
        ("MEET_INITIAL_ADMIN_PASSWORD", R44, "used only at first start"),
        ("MINIO_SECRET_KEY", R44, "not in MinIO"),
        ("OPENVIDU_URL", "https://meet.example.com/", "derived from DOMAIN_NAME"),
        ("ALL_SECRETS_GENERATED", "false", "wait for it"),
    ],
)
def test_what_is_refused_and_why(key: str, value: str, why: str) -> None:
    verdict = lint(key, value)
    assert not verdict.ok
    assert why in verdict.reason
    with pytest.raises(Refused) as refused:
        SecretsFile(GATE).set(key, value)
    assert str(refused.value) == verdict.reason


@given(st.sampled_from(sorted(KEYS)), st.text())
def test_what_is_let_through_is_plain(key: str, value: str) -> None:
    if lint(key, value).ok:
        assert value.isascii()
        assert value.isprintable()
        assert not set(value) & set("=|\\&'\" #$`")


# The file


@given(files)
def test_reading_loses_nothing(data: bytes) -> None:
    file = SecretsFile(data)
    assert b"".join(line.raw for line in file.lines) == bytes(file) == data
    assert all(file.value(name) is not None for name in file.names())


FIXED_BY_AN_EDIT = {"crlf", "no-final-newline"}


@given(files, edits)
@example(b"DOMAIN_NAME=a\r", ("DOMAIN_NAME", "meet.example.com"))
def test_an_edit_changes_one_line(data: bytes, edit: tuple[str, str]) -> None:
    name, value = edit
    before = SecretsFile(data)
    after = before.set(name, value)
    there = name in before.names()
    assert after.value(name) == value
    assert after.data.endswith(b"\n")
    assert b"\r\n" not in after.data
    assert len(after.lines) == len(before.lines) + (not there)
    differ = [
        new.number
        for old, new in zip(before.lines, after.lines, strict=False)
        if old.text != new.text
    ]
    assert all(after.lines[number - 1].name == name for number in differ)
    assert len(differ) <= 1
    if not any(problem.code in FIXED_BY_AN_EDIT for problem in before.problems()):
        # Everything else is the same byte for byte.
        old, new = data.split(b"\n"), after.data.split(b"\n")
        assert sum(a != b for a, b in zip(old, new, strict=False)) <= 1 + (not there)
    assert {change.name for change in changes(before, after)} <= {name, ""}


@given(files, edits)
@example(b"\r\r\n", ("DOMAIN_NAME", "meet.example.com"))
def test_an_edit_fixes_line_ends_and_makes_no_new_problem(
    data: bytes, edit: tuple[str, str]
) -> None:
    before = SecretsFile(data)
    after = before.set(*edit)
    assert not any(problem.code in FIXED_BY_AN_EDIT for problem in after.problems())
    assert {(p.code, p.key) for p in after.problems()} <= {
        (p.code, p.key) for p in before.problems()
    }


@given(files, edits)
def test_an_edit_done_twice_is_done_once(data: bytes, edit: tuple[str, str]) -> None:
    once = SecretsFile(data).set(*edit)
    assert once.set(*edit) == once


def test_the_last_of_two_counts_and_is_the_one_replaced() -> None:
    file = SecretsFile(
        b"DOMAIN_NAME=a.example.com\nREDIS_PASSWORD=x\nDOMAIN_NAME=b.example.com\n" + GATE
    )
    assert file.value("DOMAIN_NAME") == "b.example.com"
    assert file.set("DOMAIN_NAME", "c.example.com").data == file.data.replace(
        b"b.example", b"c.example"
    )
    (problem,) = file.problems()
    assert (problem.code, problem.line, problem.key) == ("duplicate", 3, "DOMAIN_NAME")
    assert "line 1 too; masters take the last" in str(problem)


def test_a_key_that_is_not_there_is_added_at_the_end() -> None:
    file = SecretsFile(GATE).set("OPENVIDU_PRO_LICENSE", "DUMMY-LICENSE-0000")
    assert file.data == GATE + b"OPENVIDU_PRO_LICENSE=DUMMY-LICENSE-0000\n"


def test_the_urls_follow_the_domain_where_the_file_has_them() -> None:
    urls = "".join(
        f"{name}={form.format('old.example.com')}\n"
        for name, form in URLS.items()
        if name != "MINIO_URL"
    ).encode()
    before = SecretsFile(b"DOMAIN_NAME=old.example.com\n" + urls + GATE)
    assert before.with_fresh_urls() == before
    after = before.set("DOMAIN_NAME", "new.example.com").with_fresh_urls()
    assert after.data == before.data.replace(b"old.example", b"new.example")


def test_a_sound_file_has_no_problems() -> None:
    text = "".join(f"{name}={EDITABLE.get(name, 'true')}\n" for name in KEYS)
    assert SecretsFile(text.encode()).problems() == []


@pytest.mark.parametrize(
    ("data", "code", "harm", "says"),
    [
        (b"DOMAIN_NAME=a|b\n", "pipe", Harm.STOPS, "line 1, DOMAIN_NAME: has a pipe"),
        (b"\nDOMAIN_NAME=a\\1\n", "backslash", Harm.STOPS, "line 2, DOMAIN_NAME: has a backslash"),
        (b"DOMAIN_NAME=a&b\n", "ampersand", Harm.CHANGES, "DOMAIN_NAME"),
        (b'DOMAIN_NAME="a"\n', "quoted", Harm.CHANGES, "DOMAIN_NAME"),
        (b"DOMAIN_NAME=a=\n", "trailing-equals", Harm.CHANGES, "removes"),
        (b"DOMAIN_NAME=a=b\n", "equals", Harm.INSTALL, "stop reading"),
        (b"DOMAIN_NAME=\n", "empty", Harm.IGNORED, "keep the value they have"),
        (b"DOMAIN_NAME=none\n", "nothing", Harm.CHANGES, "no value"),
        (b"DOMAIN_NAME=a \n", "blank", Harm.CHANGES, "blank"),
        (b"DOMAIN_NAME=\xff\n", "foreign", Harm.CHANGES, "ASCII"),
        (b"DOMAIN_NAME=a\x07b\n", "control", Harm.CHANGES, "control"),
        (b"DOMAIN_NAME=a\r\n", "crlf", Harm.CHANGES, "CR LF"),
        (
            b"export DOMAIN_NAME=a\n",
            "export",
            Harm.IGNORED,
            "line 1, DOMAIN_NAME: has `export` before it",
        ),
        (b"MASTER_NODE_1_PRIVATE_IP=a\n", "unknown", Harm.IGNORED, "MASTER_NODE_1_PRIVATE_IP"),
        (b"somebodysPassw0rd\n", "stray", Harm.IGNORED, "line 1: is not KEY=VALUE"),
        (b".*=a\n", "pattern", Harm.STOPS, "search pattern"),
        (
            b"DOMAIN_NAME=a|;e id #\n",
            "command",
            Harm.RUNS,
            "line 1, DOMAIN_NAME: what follows its pipe character would run as a command",
        ),
        (b"DOMAIN_NAME=a|w x\n", "command", Harm.RUNS, "as root"),
        (b"DOMAIN_NAME=a\\nX=b\n", "lines", Harm.RUNS, "would add lines"),
        (b"DOMAIN_NAME=a\\tb\n", "backslash", Harm.CHANGES, "which the boot script changes"),
        (b"# DOMAIN_NAME=a|;e id #\n", "command", Harm.RUNS, "line 1: may run as a command"),
        (b"export DOMAIN_NAME=a|;e id #\n", "command", Harm.RUNS, "line 1, DOMAIN_NAME: may run"),
        (b"REDIS_PASSWORD=a;id\n", "shell", Harm.RUNS, "on each new media node"),
        (b"REDIS_PASSWORD=a b\n", "word", Harm.INSTALL, "splits it"),
        (
            b"REDIS_PASSWORD=a\nREDIS_PASSWORD=b\n",
            "duplicate",
            Harm.RUNS,
            "run the second value as a command",
        ),
        (b"OPENVIDU_RTC_ENGINE=Pion\n", "engine", Harm.STOPS, "is not pion or mediasoup"),
    ],
)
def test_problems_are_told_by_line_and_key(data: bytes, code: str, harm: Harm, says: str) -> None:
    found = {problem.code: problem for problem in SecretsFile(data + GATE).problems()}
    assert found[code].harm is harm
    assert says in str(found[code])


def test_the_end_of_the_file_and_the_gate() -> None:
    found = {
        problem.code: str(problem) for problem in SecretsFile(GATE + b"DOMAIN_NAME=a").problems()
    }
    assert found == {
        "no-final-newline": (
            "line 2, DOMAIN_NAME: has no line end, so masters ignore it now, "
            "and read it after an edit"
        )
    }
    assert [problem.code for problem in SecretsFile(b"").problems()] == ["gate"]


@pytest.mark.parametrize(
    "line", [b"# a=b|c\n", b"# see 3.7.1. = [new]\n", b"#\n", b"# x=\n", b" \n", b"lower=\n"]
)
def test_what_a_person_writes_beside_it_is_no_danger(line: bytes) -> None:
    assert not [f for f in findings(SecretsFile(whole().data + line)) if f.line]


# Findings: what plans are refused for


def whole() -> SecretsFile:
    """Return a file with every key and valid values."""
    return SecretsFile("".join(f"{name}={EDITABLE.get(name, 'true')}\n" for name in KEYS).encode())


def test_a_whole_file_has_no_finding_and_nothing_is_damaged() -> None:
    assert findings(whole(), pool=True) == ()
    assert damaged_keys(whole()) == frozenset()


def changed(name: str, value: str | None) -> SecretsFile:
    lines = whole().data.splitlines(keepends=True)
    new = b"" if value is None else f"{name}={value}\n".encode()
    return SecretsFile(
        b"".join(new if line.startswith(f"{name}=".encode()) else line for line in lines)
    )


@pytest.mark.parametrize(
    ("name", "value", "danger", "reader", "settable"),
    [
        ("DOMAIN_NAME", "a|;w x", Danger.RUNS, Reader.MASTERS, True),
        ("MONGO_ADMIN_PASSWORD", "a|;w x", Danger.RUNS, Reader.MASTERS, False),
        ("DOMAIN_NAME", "a|b", Danger.STOPS, Reader.MASTERS, True),
        ("OPENVIDU_RTC_ENGINE", "Pion", Danger.STOPS, Reader.MASTERS, True),
        ("REDIS_PASSWORD", "a&b", Danger.RUNS, Reader.NODES, False),
        ("MONGO_ADMIN_PASSWORD", "a&b", Danger.STOPS, Reader.MASTERS, False),
        ("MONGO_ADMIN_PASSWORD", "ab=", Danger.STOPS, Reader.MASTERS, False),
        ("REDIS_PASSWORD", "ab==", Danger.STOPS, Reader.NODES, False),
        ("OPENVIDU_VERSION", "'3.6.1'", Danger.STOPS, Reader.NODES, False),
        ("OPENVIDU_VERSION", "", Danger.MISSING, Reader.NODES, False),
        ("OPENVIDU_VERSION", None, Danger.MISSING, Reader.NODES, False),
        ("MASTER_NODE_PRIVATE_IP_3", None, Danger.MISSING, Reader.NODES, False),
        ("ALL_SECRETS_GENERATED", "false", Danger.MISSING, Reader.NODES, False),
        ("ALL_SECRETS_GENERATED", None, Danger.MISSING, Reader.NODES, False),
        ("DASHBOARD_ADMIN_PASSWORD", None, Danger.MISSING, Reader.EDITS, True),
        ("LIVEKIT_API_SECRET", None, Danger.MISSING, Reader.EDITS, True),
        ("MONGO_REPLICA_SET_KEY", None, Danger.MISSING, Reader.EDITS, False),
    ],
)
def test_what_goes_wrong_is_found(
    name: str, value: str | None, danger: Danger, reader: Reader, settable: bool
) -> None:
    found = findings(changed(name, value))
    assert (danger, reader, name) in {(f.danger, f.reader, f.key) for f in found}
    assert all(f.key == name for f in found)
    assert all(f.settable == settable for f in found)
    assert name in findings_text(found)
    assert (f"config set {name}]]" in remedy(found)) == settable
    assert name in damaged_keys(changed(name, value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DASHBOARD_ADMIN_PASSWORD", "p&q"),
        ("OPENVIDU_PRO_LICENSE", "abc=="),
        ("MEET_INITIAL_API_KEY", None),
        ("MINIO_URL", None),
        ("GRAFANA_ADMIN_USERNAME", "'ana'"),
        ("REDIS_PASSWORD", "p!q%^*~"),
        ("ALL_SECRETS_GENERATED", "true "),
    ],
)
def test_what_is_only_untidy_is_no_finding(name: str, value: str | None) -> None:
    assert findings(changed(name, value)) == ()


def test_line_ends_that_become_part_of_passwords_are_found_and_fixed_by_any_edit() -> None:
    file = SecretsFile(whole().data.replace(b"\n", b"\r\n"))
    (found,) = findings(file)
    assert (found.danger, found.reader, found.line) == (Danger.STOPS, Reader.MASTERS, 1)
    assert "config set KEY]]" in remedy([found])
    assert findings(file.set("DOMAIN_NAME", "meet.example.org")) == ()


def test_the_masters_addresses_are_needed_where_the_file_has_any_or_a_pool_makes_the_nodes() -> (
    None
):
    none = SecretsFile(
        b"".join(
            line for line in whole().data.splitlines(keepends=True) if b"PRIVATE_IP" not in line
        )
    )
    assert findings(none) == ()
    assert {f.key for f in findings(none, pool=True)} == {
        f"MASTER_NODE_PRIVATE_IP_{n}" for n in (1, 2, 3, 4)
    }


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# moved\n", b"nothing\n", b"\x00"])
def test_an_emptied_file_is_called_so(data: bytes) -> None:
    found = findings(SecretsFile(data))
    assert Danger.EMPTIED in {f.danger for f in found}
    assert "it is empty" in findings_text(found)
    assert damaged_keys(SecretsFile(data)) == HIGH_AVAILABILITY.keys


LAYOUTS: list[tuple[Deployment, Edition, SecretsLayout]] = [
    ("high availability", "pro", HIGH_AVAILABILITY),
    ("elastic", "pro", ELASTIC),
    ("single node", "pro", SINGLE_NODE),
    ("single node", "community", SINGLE_NODE),
]


def installed(deployment: Deployment, edition: Edition, layout: SecretsLayout) -> SecretsFile:
    """The file as such an installation writes it."""
    ips = ["10.10.10.2", "10.10.10.3", "10.10.10.4", "10.10.10.5"]
    values = boot_script.seed("meet.example.org", "s", ips, "k" * 12, "x" * 44, deployment, edition)
    return SecretsFile(boot_script.text(values), layout)


@pytest.mark.parametrize(("deployment", "edition", "layout"), LAYOUTS)
def test_what_each_deployment_installs_is_whole(
    deployment: Deployment, edition: Edition, layout: SecretsLayout
) -> None:
    file = installed(deployment, edition, layout)
    assert findings(file, pool=deployment != "single node") == ()
    assert "unknown" not in {p.code for p in file.problems()}
    assert damaged_keys(file) <= {"OPENVIDU_PRO_LICENSE", "OPENVIDU_RTC_ENGINE"}
    fresh = file.set("DASHBOARD_ADMIN_USERNAME", "someone")
    assert fresh.layout is layout
    assert findings(fresh) == ()


@pytest.mark.parametrize(("deployment", "edition", "layout"), LAYOUTS)
def test_a_key_that_is_lost_is_missed_where_it_belongs(
    deployment: Deployment, edition: Edition, layout: SecretsLayout
) -> None:
    file = installed(deployment, edition, layout)
    for name in ("MONGO_ADMIN_PASSWORD", "MASTER_NODE_PRIVATE_IP", "ALL_SECRETS_GENERATED"):
        lines = [line.raw for line in file.lines if line.name != name]
        without = SecretsFile(b"".join(lines), layout)
        lost = name in layout.keys
        assert {f.key for f in findings(without)} == ({name} if lost else set())
        assert (name in damaged_keys(without)) is lost


def test_the_addresses_of_four_masters_are_not_those_of_one() -> None:
    four = installed("high availability", "pro", ELASTIC)
    assert {f.key for f in findings(four)} == {"MASTER_NODE_PRIVATE_IP"}


def test_the_worst_comes_first_and_gives_the_name() -> None:
    found = findings(SecretsFile(b"X=a|b\nDOMAIN_NAME=c|;w d\n"))
    assert [f.danger for f in found[:2]] == [Danger.RUNS, Danger.STOPS]
    assert worst_consequence(found) == "a start with this secrets.env is not safe"


def test_of_a_file_full_of_faults_only_some_are_kept() -> None:
    assert len(findings(SecretsFile(b"A=b|c\n" * 10_000))) == 50


@given(files)
def test_findings_never_show_more_than_names(data: bytes) -> None:
    found = findings(SecretsFile(data))
    for finding in found:
        assert str(finding).isascii()
        assert str(finding).isprintable()
        assert not finding.key or finding.key in KEYS or finding.key.encode() in data
    assert findings_text(found).isprintable()


@given(files, edits)
def test_an_edit_makes_no_new_finding(data: bytes, edit: tuple[str, str]) -> None:
    """An edit also fixes line ends, so that it may reveal what a carriage return hid."""
    before, unix = (
        SecretsFile(data),
        SecretsFile(b"\n".join(line.rstrip(b"\r") for line in data.split(b"\n"))),
    )
    known = {(f.danger, f.key) for file in (before, unix) for f in findings(file)}
    new = {(f.danger, f.key) for f in findings(before.set(*edit))} - known
    assert not new or Danger.EMPTIED in {f.danger for f in findings(before)}


# Differences and what they mean


@given(files, files)
def test_changes_name_every_key_that_differs(one: bytes, two: bytes) -> None:
    before, after = SecretsFile(one), SecretsFile(two)
    found = changes(before, after)
    assert (found == ()) == (one == two)
    assert {c.name for c in found} - {""} == {
        n for n in (*before.names(), *after.names()) if before.value(n) != after.value(n)
    }


def test_kinds_of_change() -> None:
    before, after = (
        SecretsFile(b"DOMAIN_NAME=a\nMINIO_URL=b\n"),
        SecretsFile(b"DOMAIN_NAME=c\nGRAFANA_URL=d\n"),
    )
    kinds = {
        "DOMAIN_NAME": ChangeKind.CHANGED,
        "MINIO_URL": ChangeKind.REMOVED,
        "GRAFANA_URL": ChangeKind.ADDED,
    }
    assert {change.name: change.kind for change in changes(before, after)} == kinds
    assert [
        str(change) for change in changes(before, SecretsFile(b"DOMAIN_NAME=a\r\nMINIO_URL=b\n"))
    ] == ["only order, comments or line ends"]


def test_effects_tell_what_restarts_and_breaks() -> None:
    secret = consequences(["LIVEKIT_API_SECRET"])
    assert "every app and every server" in secret.breaks[0]
    assert "master 1" in secret.restarts[0]
    assert "5 URLs" in consequences(["DOMAIN_NAME"]).breaks[0]
    assert "certificate" in consequences(["DOMAIN_NAME"]).breaks[0]
    assert "DNS" in consequences(["DOMAIN_NAME"]).todo[0]
    assert consequences(["DOMAIN_NAME"]).refused == ()
    assert consequences(["REDIS_PASSWORD"]).refused[0].startswith("REDIS_PASSWORD: ")
    assert consequences(["MINIO_URL"]).restarts == ()
    assert consequences(["NOT_A_KEY"]) == Consequences()


# No value is ever shown

planted = st.text(
    "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789|&\\'\" =.-\n\x00é",
    min_size=9,
    max_size=30,
).map(lambda s: "Xq7" + s + "7qX")


@given(planted)
def test_no_value_is_told(value: str) -> None:
    one_line = value.replace("\n", "")
    file = SecretsFile(
        "".join(f"{name}={one_line}\n" for name in KEYS).encode()
        + f"{one_line}\nexport {one_line}=x\n{one_line}=y\n".encode()
    )
    shown = [
        repr(file),
        str(file),
        repr(file.lines),
        *map(repr, file.problems()),
        *map(str, file.problems()),
        repr(file.names()),
    ]
    shown += [repr(changes(file, SecretsFile(GATE))), repr(Masker(file.secrets()))]
    shown += [
        repr(findings(file)),
        findings_text(findings(file)),
        remedy(findings(file)),
        repr(damaged_keys(file)),
    ]
    for name in (*KEYS, value):
        shown += [repr(lint(name, value)), repr(may_change(name))]
    for name in KEYS:
        with pytest.raises(Refused) as refused:
            file.set(name, value + "|")
        shown += [repr(refused.value), str(refused.value)]
    assert not any("Xq7" in words or "7qX" in words for words in shown)


@given(files)
def test_problems_never_show_more_than_names(data: bytes) -> None:
    for problem in SecretsFile(data).problems():
        assert str(problem).isascii()
        assert str(problem).isprintable()
        assert not problem.key or problem.key.encode() in data or problem.code == "gate"


def test_secrets_are_values_of_secret_keys_and_all_that_is_not_known() -> None:
    file = SecretsFile(
        b"DOMAIN_NAME=meet.example.com\nREDIS_PASSWORD='one'\nREDIS_PASSWORD=two\n"
        b"FOO=three\nfour\n# five\n"
    )
    assert file.secrets() == {"one", "'one'", "two", "FOO=three", "three", "four"}


# The mask

hidden = st.text(
    st.characters(exclude_characters="•", exclude_categories=["Cs"]), min_size=6, max_size=20
)
WAYS = (
    lambda s: s,
    lambda s: urllib.parse.quote(s, safe=""),
    urllib.parse.quote_plus,
    lambda s: base64.b64encode(s.encode()).decode(),
    lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    json.dumps,
)


@given(
    st.lists(hidden, min_size=1, max_size=4),
    st.lists(st.text("ab c=&%", max_size=8), min_size=5, max_size=5),
    st.data(),
)
def test_nothing_is_left_of_a_secret(
    secrets: list[str], between: list[str], data: st.DataObject
) -> None:
    said = [data.draw(st.sampled_from(WAYS))(secret) for secret in secrets]
    text = "".join(
        piece for pair in zip(between, [*said, ""] + [""] * 4, strict=False) for piece in pair
    )
    masked = mask(text, secrets)
    assert not any(form.strip('"') in masked for form in said)


@given(st.text("xyz", max_size=7), hidden, st.text("xyz", max_size=7))
def test_of_a_secret_inside_longer_base64_a_few_bits_are_left(
    before: str, secret: str, after: str
) -> None:
    header = base64.b64encode(f"{before}{secret}{after}".encode()).decode()
    left = len(mask(header, [secret]).replace("•", ""))
    assert left <= len(header) - (len(secret.encode()) * 8 // 6 - 1)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_without_secrets_stays(text: str) -> None:
    assert mask(text, ["short", "a-secret-that-is-not-in-there"]) == text


def test_masking_reads_like_this() -> None:
    assert mask("password=hunter22&x", ["hunter22"]) == "password=•••&x"
    assert mask("hunter2222", ["hunter22", "ter2222"]) == "•••"
    assert mask("abc abc", ["abc"]) == "abc abc"


def test_masking_a_line_costs_as_many_calls_as_it_holds_secrets() -> None:
    """Fewer calls than secrets: each line of the log is masked."""
    line = f"2026-11-01 12:00:00 INFO something happened to {R44}7 and nobody noticed " * 3
    few, many = (Masker([f"{R44}{n}x" for n in range(count)] + [f"{R44}7"]) for count in (10, 400))
    assert calls_of(lambda: few(line)) == calls_of(lambda: many(line)) < 100
