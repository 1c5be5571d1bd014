"""What is secret never gets into a recording, wherever it stands and however it is written."""

import base64
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.record import recorder as recorder_module
from bot.record.lines import line_of
from bot.record.pseudonyms import Pseudonyms
from bot.record.recorder import Recorder, Recording
from bot.record.redaction import Redaction
from bot.record.tables import digitalocean
from services.cloud import node_scripts as scripts
from services.cloud.clients.exchanges import Exchange
from tests.support.exercise import exercise

KEY = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUQyNTUx"
PEM = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}\n-----END OPENSSH PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJBUElrZXkifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
# One of each kind. None of them is real.
SECRETS = [
    # tokens
    "dop_v1_" + HEX, "doo_v1_" + HEX, "dor_v1_" + HEX, "xoxb-123456789012-abcdefGHIJKL",
    "xoxp-" + "2345678901-3456789012-zyxwv", "xoxa-2-45678", "xoxe.xoxp-1-Mi0yLTk",
    "xapp-1-A0B1-2-ff00",
    "xoxs-legacy-99", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "gho_16C7e42F292c6912E7710c",
    "github_pat_11ABCDE_abcdef", "glpat-abcdefGHIJ1234567890", "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "rk_live_51HqLyjWDarjt", "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "DO00ABCDEFGHIJKLMNOP", "APIacmeKEYxyz",
    "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "ya29.a0AfH6SMBx", "1//0gdfZ-refresh-xyz",
    "npm_abcdefghijklmnopqrstuvwxyz012345", "pypi-AgEIcHlwaS5vcmc", "hvs.CAESIJlU02Fz",
    "s.9Zx8Cv7Bn6Mm",
    "SG.ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf", "key-3ax6xnjp29jd6fds4gc373sgvjxteol0",
    "PRIVATE-4f3c2b1a", "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "u+pagerduty-r0ut1ng",
    "Bearer abc.def-ghi_jkl", "Basic YWxhZGRpbjpvcGVuc2VzYW1l", JWT, HEX, "0x" + HEX[:40],
    "5df3e3004a17e242b7c20ca6c9fc25b7", "550e8400-e29b-41d4-a716-446655440000",
    # passwords and keys
    "hunter2", "Tr0ub4dor&3", "correct horse battery staple", "P@ssw0rd!", "letmein", "s3cr3t",
    "pässwörd-ünïcode", "пароль-секрет", "密码1234", "パスワード", "🔑secret🔑", "' OR 1=1 --",
    "pass\tword\nsecond line", "a" * 300, PEM, PEM.replace("OPENSSH", "RSA"),
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIU\n-----END CERTIFICATE-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBe1 ana@laptop", "AAAAB3NzaC1yc2EAAAADAQABAAABgQC7",
    "SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDgnRRrtK5nYx", "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoe",
    "$argon2id$v=19$m=65536", "MEET_INITIAL_ADMIN_PASSWORD=Zz9Zz9Zz9", "REDIS_PASSWORD: q1w2e3r4",
    "LIVEKIT_API_SECRET=Qq1Ww2Ee3", "export DIGITALOCEAN_TOKEN=abc", "--password=swordfish",
    "mongodb://root:toor@10.1.2.3:27017/", "redis://:p4ss@cache.internal:6379/0",
    "postgres://ana:geheim@db.corp/app", "https://user:pw@git.corp.example/repo.git",
    # addresses
    "203.0.113.77", "10.116.0.9", "192.168.178.21", "2001:db8:85a3::8a2e:370:7334",
    "fe80::1ff:fe23",
    "::ffff:198.51.100.4", "198.51.100.0/24", "203.0.113.77:7880", "meet.secret-corp.example",
    "db-1.internal.corp", "bot.fly.example", "ip-10-0-0-5.ec2.internal", "ana.perez@corp.example",
    "ops+alerts@corp.example", "mailto:ben@corp.example",
    "https://hooks.slack.com/services/T0/B0/x1y2",
    "https://events.pagerduty.com/x?routing_key=abc",
    "https://meet.secret-corp.example/room/42?t=1",
    "wss://meet.secret-corp.example", "acme-space.ams3.digitaloceanspaces.com", "00:1B:44:11:3A:B7",
    # people and free text
    "Ana Pérez", "Ben O'Neill", "UANA12345", "Dr. Carla Gómez", "+34 600 123 456", "12345678Z",
    "ES91 2100 0418 4502 0005 1332", "4111 1111 1111 1111", "Calle Mayor 5, Madrid",
    "project nightingale", "do not tell anyone", "board meeting about layoffs", "customer Initech",
    "<@UANA> said so", "panic: runtime error at /home/ana/x.go:17",
    "Traceback (most recent call last)",
    "#!/bin/bash\necho nachtigall42 $TOKEN", "#cloud-config\nwrite_files: [{content: x}]",
    "=cmd|'/C calc'!A0", "../../etc/passwd", "%2e%2e%2f", "\\u0061na", "{\"token\": \"abc\"}",
    "<Error><Message>hidden</Message></Error>", "T+1secret", "<string>secret", "T-5.0; drop",
    "s-1vcpu-1gb-hunter2", "ams3-secret", "page=2&token=abc", "acme-master-node-1-secret",
    "acme-hunter2", "ubuntu-22-04-hunter2", "* * * * * curl evil", "active; hunter2",
]  # fmt: skip


@pytest.fixture(scope="module")
def exchanges(tmp_path_factory: pytest.TempPathFactory) -> list[Exchange]:
    """One exchange of each kind: request and status."""
    heard: list[Exchange] = []
    patch = pytest.MonkeyPatch()
    honest = Recorder.hear

    def hear(self: Recorder, exchange: Exchange) -> None:
        heard.append(exchange)
        honest(self, exchange)

    patch.setattr(Recorder, "hear", hear)
    exercise(tmp_path_factory.mktemp("secrets") / "exercise.jsonl")
    patch.undo()
    kinds: dict[object, Exchange] = {}
    for exchange in heard:
        request = re.sub(r"\d{3,}|[0-9a-f-]{36}", "N", exchange.request)
        kinds.setdefault((exchange.party, request, exchange.status), _plain(exchange))
    return list(kinds.values())


def _plain(exchange: Exchange) -> Exchange:
    """Return an exchange whose bodies are values, of lists the first item."""

    def value(body: object) -> object:
        if isinstance(body, bytes | str):
            try:
                return _short(json.loads(body))
            except ValueError:
                return body
        return _short(body)

    return replace(exchange, sent=value(exchange.sent), answer=value(exchange.answer))


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _short(v) for k, v in value.items()}
    return [_short(v) for v in value[:1]] if isinstance(value, list) else value


def recorded(exchanges: list[Exchange]) -> str:
    """Return the file that these exchanges make."""
    lines: list[str] = []

    class File:
        def write(self, text: str, /) -> None:
            lines.append(text)

        def flush(self) -> None: ...
        def close(self) -> None: ...

    recording = Recording(File(), "0.0", {"acme": ""})
    for number, exchange in enumerate(exchanges):
        recording.add(exchange, 1_800_000_000.0 + number)
    return "".join(lines)


def written(secret: str) -> Iterator[str]:
    """Yield the ways in which a secret can be written."""
    raw = secret.encode()
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret)
    yield quote(secret, safe="")
    yield raw.hex()
    for start in range(3):
        text = base64.b64encode(b"\0" * start + raw).decode().rstrip("=")
        # What belongs to the secret alone.
        yield text[(0, 2, 3)[start] : len(text) - 1]
    yield secret[::-1]
    for part in re.split(r"[\s=:/@]+", secret):
        if len(part) >= 8:
            yield part


def betrayed(secret: str, text: str) -> list[str]:
    """Return in which ways a text holds a secret."""
    low = text.lower()
    return [way for way in written(secret) if len(way) > 5 and way.lower() in low]


def filled(value: Any, secret: str) -> Any:
    """Replace every text, and add a field of that name and value to every object."""
    if isinstance(value, dict):
        return {k: filled(v, secret) for k, v in value.items()} | {secret: secret, "x": secret}
    if isinstance(value, list):
        return [*(filled(v, secret) for v in value), secret]
    if isinstance(value, bool | int | float):
        return value
    return secret


# What the scripts print at times, and well-formed lines with a place for a secret.
KEYS = (
    "refused", "unmarked", "marked", "signal", "process", "container", "recordings", "livekit",
    "unit", "installed", "end", "begun", "already", "other-start",
)  # fmt: skip
SHAPED = (
    "container=SECRET=true running 12 0 2027-01-15T08:00:00.123456789Z",
    "container=openvidu=SECRET running 12 0 SECRET",
    "container=SECRET running 0",
    "process=SECRET SECRET 0000000000000004",
    "process=openvidu SECRET 0000000180004a07",
    "signal=refused openvidu SECRET",
    "signal=begin SECRET",
    'livekit_room_total{node_id="SECRET"} 2',
    "refused docker: SECRET",
    "unmarked SECRET",
)


def everywhere(exchange: Exchange, secret: str) -> list[Exchange]:
    """Return the exchange with the secret in each of its parts."""
    answer = exchange.answer
    lines = answer
    if exchange.party == "ssh" and isinstance(answer, dict):
        stdout = str(answer["stdout"]).splitlines()
        # As a line, behind each key, within each line, and as each word.
        lines = {
            "stdout": "\n".join(
                [secret]
                + [f"{line.partition('=')[0]}={secret}" for line in stdout]
                + [f"{line} {secret}" for line in stdout]
                + [re.sub(r"\S+$", lambda _: secret, line) for line in stdout]
                + [f"{line.partition(' ')[0]} {secret} 1" for line in stdout]
                + [f"{key}={secret}" for key in KEYS]
                + [line.replace("SECRET", secret) for line in SHAPED]
            ),
            "stderr": f"{secret}\n{secret}",
        }
    texts: dict[str, Any] = {
        "headers": dict.fromkeys(exchange.headers, secret)
        | {"Authorization": f"Bearer {secret}", secret: secret, "x-note": secret},
        "query": dict.fromkeys(exchange.query, secret) | {"token": secret, secret: "1"},
    }
    path = quote(secret, safe="")
    return [
        replace(
            exchange, answer=filled(answer, secret), sent=filled(exchange.sent, secret), **texts
        ),
        replace(exchange, answer=lines),
        replace(exchange, answer=secret, sent=secret),
        replace(exchange, answer=secret.encode(), sent=secret.encode()),
        replace(exchange, answer={"message": secret, "id": secret, "error": secret}, status=500),
        replace(exchange, status=0, answer=None, lost=secret),
        replace(exchange, request=f"{exchange.request}{secret}"),
        replace(exchange, request=re.sub(r"N|\d{3,}", path, exchange.request)),
        replace(exchange, where=f"/bucket/{secret}")
        if exchange.party == "spaces"
        else replace(exchange, where="7")
        if exchange.party == "ssh"
        else replace(exchange, where=f"https://{path}:{path}@{path}/{path}?{path}"),
    ]


def test_there_are_a_hundred_kinds() -> None:
    assert len(set(SECRETS)) >= 100


@pytest.mark.sampled(2)
@pytest.mark.parametrize("part", range(8))
def test_no_secret_in_any_field_header_or_output(part: int, exchanges: list[Exchange]) -> None:
    for secret in SECRETS[part::8]:
        text = recorded([e for exchange in exchanges for e in everywhere(exchange, secret)])
        assert not betrayed(secret, text), [
            line for line in text.splitlines() if betrayed(secret, line)
        ][:1]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where texts and objects are in a value."""
    if isinstance(value, dict):
        yield path
        for name, below in value.items():
            yield from paths(below, (*path, name))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from paths(below, (*path, number))
    else:
        yield path


def planted(value: Any, path: tuple[Any, ...], canary: Any) -> Any:
    """Return the value with the canary there, all else as it is."""
    if not path:
        return canary
    first, *rest = path
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[first] = planted(value[first], tuple(rest), canary)
    return copy


CANARY = "Xy7-canary-Qv9"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("canary", [CANARY, [CANARY], {CANARY: CANARY}], ids=type)
def test_no_single_field_lets_a_canary_through(canary: Any, exchanges: list[Exchange]) -> None:
    """Each field alone, all others true: no field opens another's door."""
    count = 0
    for exchange in exchanges:
        for body in ("answer", "sent"):
            value = getattr(exchange, body)
            for path in paths(value):
                count += 1
                bent = replace(exchange, **{body: planted(value, path, canary)})
                assert not betrayed(CANARY, recorded([bent])), (exchange.request, path)
    assert count > 500


@given(st.text(min_size=6), st.integers(0, 10_000))
def test_no_text_of_any_kind(exchanges: list[Exchange], secret: str, which: int) -> None:
    """Generated texts: what consists of published words alone is none."""
    if re.fullmatch(r"[a-z _-]*|\d*|[<>a-z ]*", secret, re.IGNORECASE):
        return
    exchange = exchanges[which % len(exchanges)]
    for bent in everywhere(exchange, secret):
        text = recorded([bent])
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text


def test_the_check_finds_what_gets_through(exchanges: list[Exchange]) -> None:
    """The proof above would notice a field that is kept as it is."""
    secret = "Ana Pérez"
    account = next(e for e in exchanges if e.request == "GET /v2/account")
    redaction = Redaction(Pseudonyms({}), digitalocean().objects, digitalocean().words)
    line = line_of(replace(account, answer={"account": {"email": secret}}), redaction)
    assert line["answer"] == {"account": {"email": "<string>"}}
    line["answer"]["account"]["email"] = secret
    assert betrayed(secret, json.dumps(line))
    for hidden in (base64.b64encode(b"ab" + secret.encode()).decode(), quote(secret)):
        assert betrayed(secret, hidden)


def test_a_story_stays_readable() -> None:
    """The same id is the same pseudonym; the parts of the cluster are named after their role."""
    redaction = Redaction(Pseudonyms({"acme": ""}), digitalocean().objects, digitalocean().words)

    def droplet(number: int, name: str) -> dict[str, Any]:
        return {"id": number, "name": name, "status": "active", "tags": ["acme-media-node-tag"]}

    exchange = Exchange(
        "digitalocean",
        "GET /v2/droplets",
        status=200,
        answer={"droplets": [droplet(3164444, "acme-master-node-1"), droplet(3164459, "shop")]},
    )
    first = line_of(exchange, redaction)["answer"]["droplets"]
    again = line_of(exchange, redaction)["answer"]["droplets"]
    assert first == again
    assert [d["name"] for d in first] == ["master-1", "droplet-1"]
    assert first[0] == {"id": 1001, "name": "master-1", "status": "active", "tags": ["media-tag"]}
    member = line_of(
        Exchange("digitalocean", "GET /v2/droplets/autoscale/x/members", status=200,
            answer={"droplets": [{"droplet_id": 3164444}]}),
        redaction,
    )  # fmt: skip
    assert member["answer"]["droplets"] == [{"droplet_id": 1001}]


def test_pseudonyms_cannot_be_tried_out() -> None:
    """What is remembered is keyed anew for each recording: the same name, another digest."""
    one, other = Pseudonyms({}), Pseudonyms({})
    assert one.name("droplet", "shop") == other.name("droplet", "shop") == "droplet-1"
    assert one._numbers.keys().isdisjoint(other._numbers.keys())


def test_what_is_left_out_is_there_with_its_type() -> None:
    redaction = Redaction(Pseudonyms({}), {}, frozenset({"new", "field"}))
    node = {"id": "out", "size": "number"}
    given_ = {"id": "x", "size": 3, "new_field": [1], "hunter2": 1.5, "gone": None}
    assert redaction.value(node, given_) == {
        "id": "<string>", "size": 3, "new_field": "<array>", "unknown field 1": "<number>",
        "unknown field 2": None,
    }  # fmt: skip


# --- the file


def hear_all(recorder: Recorder, count: int) -> None:
    for _ in range(count):
        recorder.hear(Exchange("slack", "auth.test", status=200, answer={"ok": True}))


def test_it_stops_at_its_limit_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "x.jsonl"
    recorder = Recorder(file, "0.0", {}, lambda: 0.0, most=2000)
    recorder.begin("pool")
    with caplog.at_level(logging.WARNING):
        hear_all(recorder, 200)
        recorder.close()
    assert file.stat().st_size <= 2000
    assert len(file.read_text().splitlines()) > 5
    assert [r.message for r in caplog.records if "the recording ends" in r.message].__len__() == 1
    assert file.stat().st_mode & 0o077 == 0, "only its owner may read it"


def test_a_failing_write_never_disturbs(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(Path("/dev/full"), "0.0", {}, lambda: 0.0, threaded=False)
    recorder.begin()
    with caplog.at_level(logging.WARNING):
        hear_all(recorder, 50)
        recorder.close()
    assert "No space left" in recorder.problem
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "answer", [object(), {"droplets": [object()]}, b"\xff\xfe{", "[" * 100_000]
)
def test_an_odd_answer_never_disturbs(answer: object, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "x", "0.0", {}, lambda: 0.0, threaded=False)
    recorder.begin()
    recorder.hear(Exchange("digitalocean", "GET /v2/droplets", status=200, answer=answer))
    hear_all(recorder, 1)
    recorder.close()
    assert recorder.recording.kept["slack"] == 1


def test_what_comes_too_fast_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MOST_WAITING", 10)
    recorder = Recorder(tmp_path / "x", "0.0", {}, lambda: 0.0)
    hear_all(recorder, 30)  # it has not begun: they wait
    assert recorder.missed == 20
    recorder.begin("pool")
    recorder.close()
    assert recorder.recording.kept.total() == 10


def test_what_was_heard_before_an_interruption_is_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "x", "0.0", {}, lambda: 0.0)
    hear_all(recorder, 3)
    recorder.close()
    assert recorder.recording.kept.total() == 3


def test_it_goes_on_in_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text('{"format": 1, "bot": "0.0", "kind": "pool"}\n{"n": 1, "cut')
    recorder = Recorder(file, "0.0", {}, lambda: 0.0, threaded=False)
    recorder.begin("fixed")
    hear_all(recorder, 1)
    recorder.close()
    lines = file.read_text().splitlines()
    assert json.loads(lines[-2]) == {"format": 1, "bot": "0.0", "kind": "fixed"}
    assert json.loads(lines[-1])["ask"] == "auth.test"


def test_each_script_of_the_bot_is_known_by_name() -> None:
    from bot.record.node_output import script_of  # noqa: PLC0415

    drain: Callable[..., str] = scripts.drain
    assert [script_of(s) for s in (scripts.LOOK, scripts.INSPECT, drain("x", "signal", ["a"]))] == [
        "look", "inspect", "drain",
    ]  # fmt: skip


def test_a_link_or_another_file_is_not_written_to(tmp_path: Path) -> None:
    settings = tmp_path / "config.yaml"
    settings.write_text("slack: {}\n")
    (tmp_path / "link").symlink_to(settings)
    os.mkfifo(tmp_path / "pipe")
    for name in ("config.yaml", "link", "pipe", "."):
        with pytest.raises(OSError) as raised:  # noqa: PT011 - each says something else
            Recorder(tmp_path / name, "0.0", {}, lambda: 0.0)
        assert raised.value.strerror
    assert settings.read_text() == "slack: {}\n"


def test_two_processes_do_not_record_in_one_file(tmp_path: Path) -> None:
    first = Recorder(tmp_path / "x", "0.0", {}, lambda: 0.0, threaded=False)
    with pytest.raises(OSError, match="another process is recording in it"):
        Recorder(tmp_path / "x", "0.0", {}, lambda: 0.0)
    first.close()
    Recorder(tmp_path / "x", "0.0", {}, lambda: 0.0, threaded=False).close()


def test_a_recording_that_others_may_read_becomes_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text('{"format": 1}\n')
    file.chmod(0o644)
    Recorder(file, "0.0", {}, lambda: 0.0, threaded=False).close()
    assert file.stat().st_mode & 0o077 == 0
