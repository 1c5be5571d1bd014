"""Configuration files: what is hidden, what changes, and what nodes would refuse."""

import base64
import hashlib
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cloud.config_look import parse_configuration, parse_content
from services.cluster.model import NodeStatus, StoppedNode
from services.common.errors import Refused
from services.config_files import (
    FILES,
    ConfigText,
    KnownKeys,
    difference,
    file_named,
    is_shown,
    problems,
    shown_text,
    shown_url,
)
from services.config_files.masking import shown_lines
from services.config_files.modules import MODULES, switched
from services.config_files.schema import TYPES
from services.config_files.values import with_value
from services.config_files.webhooks import added, removed, url_problem, webhooks
from services.operations.staged_secrets import file_procedure
from services.steps import ConfigAccepted
from tests.support.clusters import configured, ready
from tests.support.coverage_level import LAW

SECRET = "Zq7vXk9Wm2"
LIVEKIT = file_named("livekit.yaml")
KEYS = st.sampled_from(
    (*(path.rpartition(".")[2] for path in TYPES), "password", "token", "x-y", "DASHBOARD")
)
VALUES = st.sampled_from(
    (
        SECRET,
        f'"{SECRET}"',
        f"[{SECRET}]",
        f"{{a: {SECRET}}}",
        f"|\n      {SECRET}",
        f"5 # {SECRET}",
        f"${{openvidu.X:-{SECRET}}}",
        f"https://u:{SECRET}@h.example/{SECRET}?t={SECRET}",
        f"\n    - {SECRET}\n    - name: {SECRET}",
        f"\n    {SECRET}: {SECRET}",
    )
)
LINES = st.tuples(st.sampled_from(("", "  ", "    ", "- ", "  - ")), KEYS, VALUES).map(
    lambda parts: f"{parts[0]}{parts[1]}: {parts[2]}"
)
YAML = st.lists(LINES | st.just(f"# {SECRET}") | st.just(SECRET), max_size=6).map("\n".join)
ENV = st.lists(
    st.sampled_from(("LIVEKIT_API_SECRET", "X", "DASHBOARD_ADMIN_PASSWORD", "S3_KEY"))
    .map(lambda key: f"{key}={SECRET}")
    .filter(bool)
    | st.just(f"# {SECRET}")
    | st.just(SECRET),
    max_size=4,
).map("\n".join)


def _hides(text: str) -> bool:
    """Return whether a secret stands only where a value may be shown."""
    return SECRET not in text


def _is_only_at_shown_keys(text: str, name: str) -> bool:
    """Return whether each line with the secret is of a key whose value may be shown."""
    file = file_named(name)
    for line in text.split("\n"):
        if SECRET in line:
            key = line.strip().lstrip("- ").partition(":")[0]
            shown = any(is_shown(file, path) and path.rpartition(".")[2] == key for path in TYPES)
            if not shown and line.strip().lstrip("- ") not in (SECRET, f"{SECRET}"):
                return False
    return True


@LAW
@given(YAML)
def test_only_values_of_shown_keys_are_in_a_form_and_it_restores_the_rest(text: str) -> None:
    shown = shown_text(LIVEKIT, text)
    assert shown.restored(shown.text) == text
    assert _is_only_at_shown_keys(shown.text, "livekit.yaml")
    assert not shown.surfaced(LIVEKIT, shown.text)
    card = "\n".join([*shown_lines(LIVEKIT, text), *difference(LIVEKIT, "", text)])
    assert _is_only_at_shown_keys(card.replace("+ ", "  "), "livekit.yaml")


@LAW
@given(ENV)
def test_values_of_env_files_are_hidden(text: str) -> None:
    for name in ("openvidu.env", "meet.env", "dashboard.env", "v2compatibility.env"):
        file = file_named(name)
        shown = shown_text(file, text)
        assert shown.restored(shown.text) == text
        assert _hides(shown.text)
        assert _hides("\n".join(difference(file, text, f"{text}\nA={SECRET}")))


def test_a_mark_that_stands_for_nothing_is_refused() -> None:
    shown = shown_text(LIVEKIT, "redis:\n  password: x\n")
    with pytest.raises(Refused, match="stands for nothing"):
        shown.restored("redis:\n  password: <kept 2>\n")


@pytest.mark.parametrize(
    "moved",
    ["region: <kept 1>", "rtc:\n  node_ip: <kept 1>", "room:\n  x: 1 # a\nregion: <kept 1>"],
)
def test_what_is_hidden_cannot_surface_under_another_key(moved: str) -> None:
    shown = shown_text(LIVEKIT, f"redis:\n  password: {SECRET}\n")
    assert shown.surfaced(LIVEKIT, moved)
    assert not shown.surfaced(LIVEKIT, "redis:\n  address: a:1\n  password: <kept 1>\n")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.example/hook", "https://x.example/hook"),
        ("https://x.example/hook/AbC", "https://x.example/hook/…"),
        ("https://u:p@x.example:8443/?q=1", "https://…@x.example:8443/?…"),
        ("https://x.example/a?b#c", "https://x.example/…?…"),
        (
            "http://h:${openvidu.PORT:?mandatory}/livekit/webhook",
            "http://h:${openvidu.PORT:?mandatory}/livekit/webhook",
        ),
        ("nonsense", "(hidden)"),
    ],
)
def test_urls_are_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert shown_url(url) == shown


SAMPLE = """port: 7880 # the port
room:
    # a comment
    max_participants: 0
webhook:
    urls:
        - http://127.0.0.1:${openvidu.P:?mandatory}/livekit/webhook
rtc: {}
"""


@LAW
@given(st.integers(1, 99), st.text(string.ascii_lowercase, min_size=1, max_size=8))
def test_a_webhook_that_is_added_and_removed_leaves_every_byte(number: int, word: str) -> None:
    url = f"https://{word}.example/{number}"
    assert not url_problem(url)
    more = added(SAMPLE, url)
    assert [hook.url for hook in webhooks(more)][1:] == [url]
    assert removed(more, 2) == SAMPLE
    assert added("port: 1\n", url).startswith("port: 1\nwebhook:\n")


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("port", "7881", "port: 7881 # the port"),
        ("room.max_participants", "9", "    max_participants: 9"),
        ("room.empty_timeout", "60", "    empty_timeout: 60"),
        ("audio.active_level", "30", "audio:\n  active_level: 30"),
    ],
)
def test_one_value_changes_one_line(path: str, value: str, line: str) -> None:
    new = with_value(LIVEKIT, SAMPLE, path, value)
    assert line in new
    assert set(SAMPLE.split("\n")) - set(new.split("\n")) <= {
        "port: 7880 # the port",
        "    max_participants: 0",
    }
    assert not problems(ConfigText(LIVEKIT, SAMPLE.encode(), KnownKeys(frozenset({"P"}))), new)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port: x\n", "`port` is a whole number"),
        ("prot: 1\n", "Did you mean `port`?"),
        ("port: 1\nport: 2\n", "line 2: a key that the file has twice"),
        ("port: [\n", "line"),
        ("region: ${openvidu.NOPE}\n", "there is no key NOPE in openvidu.env"),
        ("region: ${master_node.X}\n", "media nodes do not know"),
        ("region: ${openvidu.P\n", "is not closed"),
        ("region: ${P}\n", "is written `${openvidu.KEY}`"),
        ("room: &a {}\nrtc: *a\n", "aliases are not used"),
        ("- 1\n", "not a file of keys and values"),
        ("openvidu:\n  rtc:\n    engine: x\n", "is one of pion, mediasoup"),
        ("a: \0\n", "control characters"),
    ],
)
def test_what_nodes_refuse_is_refused_without_a_value(text: str, problem: str) -> None:
    before = ConfigText(LIVEKIT, SAMPLE.encode(), KnownKeys(frozenset({"P"})))
    assert problem in "; ".join(problems(before, text))


def test_what_was_there_before_is_not_counted() -> None:
    old = "unknown_key: 1\nregion: ${P}\n"
    before = ConfigText(LIVEKIT, old.encode(), KnownKeys(frozenset({"P"})))
    assert problems(before, f"{old}port: 1\n") == []


def test_every_file_can_be_named_and_modules_switch_both_ways() -> None:
    assert [file_named(file.name) for file in FILES] == list(FILES)
    assert [file_named(file.path) for file in FILES] == list(FILES)
    for module in MODULES:
        others = ",".join(m.name for m in MODULES if m is not module)
        on = switched(others, module, on=True)
        assert switched(on, module, on=False) == others
        with pytest.raises(Refused, match="only module"):
            switched(module.name, module, on=False)


KEPT_TEXT = f"""keys:
    APIabc: {SECRET}
rtc:
    node_ip: 10.0.0.1
webhook:
    api_key: {SECRET}
    urls:
        - http://a.example/hook
"""
TALKING = f"""{KEPT_TEXT}        - https://u:{SECRET}@hidden.example/hook?token={SECRET}
# a comment with the word hidden
"""


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("10.0.0.1", "<kept 2>"),
        ("10.0.0.1", "x<kept 2>"),
        ("10.0.0.1", "x.<kept 2>.y"),
        ("http://a.example/hook", "http://<kept 2>.example/hook"),
        ("http://a.example/hook", "http://<kept 2>.example/hook?a=b"),
        ("    <kept 1>", "rtc2:\n  - <kept 1>\nlogging:\n    level: a<kept 2>"),
    ],
)
def test_no_part_of_a_value_shows_what_is_kept_back(was: str, now: str) -> None:
    shown = shown_text(LIVEKIT, KEPT_TEXT)
    edited = shown.text.replace(was, now, 1)
    assert edited != shown.text
    assert shown.surfaced(LIVEKIT, edited)


def test_words_of_what_is_kept_back_do_not_stop_an_edit() -> None:
    shown = shown_text(LIVEKIT, TALKING)
    assert not shown.surfaced(LIVEKIT, shown.text)
    assert not shown.surfaced(LIVEKIT, shown.text.replace("10.0.0.1", "10.0.0.2"))


def _long(count: int, secret: str) -> ConfigText:
    comments = "".join(f"    # {n}\n" for n in range(count))
    return ConfigText(LIVEKIT, f"room:\n{comments}keys:\n    APIabc: {secret}\n".encode())


def test_more_than_an_approver_is_shown_is_refused() -> None:
    before, after = _long(60, "old"), _long(0, SECRET)
    with pytest.raises(Refused, match="an approver is shown"):
        file_procedure(before, after.text, "s", "", "")
    procedure = file_procedure(before, _long(60, SECRET).text, "s", "", "")
    assert procedure.hides
    assert len(procedure.difference) < 10


def test_what_is_behind_the_cut_of_a_long_line_counts_as_hidden() -> None:
    before = ConfigText(LIVEKIT, b"rtc:\n    stun_servers: [a.example:1]\n")
    after = f"rtc:\n    stun_servers: [{'a.example:1, ' * 13}b.example:1]\n"
    assert file_procedure(before, after, "s", "", "").hides


def test_a_file_that_is_no_utf_8_is_refused_because_a_change_would_alter_other_lines() -> None:
    data = b"# caf\xe9\nroom:\n    max_participants: 0\n"
    printed = (
        f"openvidu=\nmaster_node=\ndigest={hashlib.sha256(data).hexdigest()}\ncontent\n"
        f"{base64.b64encode(data).decode()}\n"
    )
    with pytest.raises(Refused, match="not a text file"):
        parse_content(LIVEKIT, printed)


@pytest.mark.parametrize("line", [f"{SECRET}=", f"{SECRET}==", f"a{SECRET}_-x=y"])
def test_the_last_line_of_a_long_value_is_no_key(line: str) -> None:
    file = file_named("openvidu.env")
    text = f"PRIVATE_KEY='begin\n{line}\n'\nLOG_LEVEL=info\n"
    assert SECRET not in shown_text(file, text).text
    assert SECRET not in "\n".join(difference(file, "", text))
    assert "LOG_LEVEL=info" in shown_text(file, text).text
    twice = problems(ConfigText(file, b""), f"{line}\n{line}\n")
    assert twice
    assert SECRET not in str(twice)


@pytest.mark.parametrize("quote", ["`{}`", '"{}"', "'{}'", "!!str {}"])
def test_an_error_of_a_node_does_not_quote_the_configuration(quote: str) -> None:
    said = f"line 3: cannot unmarshal {quote.format(SECRET)} into int"
    look = parse_configuration(
        f"layout=cluster\nerror=[2026-11-30T10:00:00Z] media-1: {said}\nend\n"
    )
    assert not isinstance(look, str)
    assert SECRET not in str(look.errors)
    assert "line 3: cannot unmarshal" in str(look.errors)


def test_a_small_change_of_a_large_file_costs_little_and_shows_the_same() -> None:
    blank = "\n" * 60_000
    file = file_named("prometheus.yaml")
    lines = difference(file, f"a: 1{blank}port: 2{blank}c: 3", f"a: 1{blank}port: 4{blank}c: 3")
    assert lines == ("  ", "  ", "- port: 2", "+ port: 4", "  ", "  ")
    assert difference(file, "port: 1\nlevel: a", "port: 1\nlevel: b\nport: 3") == (
        "  port: 1",
        "- level: a",
        "+ level: b",
        "+ port: 3",
    )


def test_a_media_node_without_a_media_server_has_not_accepted_anything() -> None:
    """Unless people stopped it: its container may have ended because of the new file."""
    cluster = ready(2)
    masters = tuple(replace(m, healthy=True) for m in cluster.masters)
    cluster = replace(cluster, masters=masters, configuration=configured(masters), front=True)
    verified = ConfigAccepted("livekit.yaml", "d1")
    assert verified.is_done(cluster)
    first, second = cluster.media
    gone = replace(second, look=NodeStatus(livekit=0))
    without = replace(cluster, media=(first, gone))
    assert not verified.is_done(without)
    assert "media server of media-" in verified.waits_for(without)
    stopped = StoppedNode(second.id, "UANA", 0.0)
    assert verified.is_done(replace(without, stopped=(stopped,)))
