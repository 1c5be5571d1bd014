"""`openvidu-bot audit` as a script uses it: on the file of a running bot, and on a real Redis."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.__main__ import main
from services.access.policy import Actor
from services.audit.anchors import anchor_head
from services.audit.chain import AuditChain
from services.audit.entries import AuditAction, AuditRecord
from services.cloud.clients.spaces import SpacesClient
from services.cloud.secrets_bucket import SecretsBucket
from services.common.clock import Clock
from services.store import Commit, Store
from services.store.keys import head_key
from services.store.redis import RedisStore
from services.store.sqlite import SqliteStore
from tests.contracts.test_clients import Bucket, serving
from tests.support.redis import running_redis
from tests.support.tools import redis_server

ANA = Actor("UANA", "T0ACME")
CLUSTER = {"stack": "acme", "region": "ams3", "public_url": "https://meet.example.com"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("REDIS_URL", "SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "bot.yaml"
    clusters = {"acme": CLUSTER, "beta": CLUSTER | {"stack": "beta"}}
    path.write_text(yaml.safe_dump({"clusters": clusters, "state": {"path": "state.sqlite3"}}))
    return path


async def decide(
    store: Store, count: int, cluster: str = "acme", clock: Clock | None = None
) -> None:
    chain = AuditChain(store, clock or Clock())
    for number in range(count):
        assert await chain.commit(
            Commit(puts={"x": str(number)}),
            cluster,
            AuditRecord(AuditAction.HELD, ANA, "hold", f"reason {number}"),
        )


def with_file(tmp_path: Path, work: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    async def done() -> None:
        store = SqliteStore(tmp_path / "state.sqlite3", Clock())
        try:
            await work(store)
        finally:
            await store.aclose()

    asyncio.run(done())


def in_bucket(config: Path, url: str) -> None:
    raw = yaml.safe_load(config.read_text())
    raw["clusters"]["acme"]["spaces"] = {"endpoint": url, "bucket": "bucket"}
    config.write_text(yaml.safe_dump(raw))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def verify(config: Path, *words: str) -> int:
    return main(["audit", "verify", "--config", str(config), *words])


def test_a_whole_audit_is_said_to_be_whole_while_a_bot_is_at_work(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_file(tmp_path, lambda store: decide(store, 3))
    running = SqliteStore(
        tmp_path / "state.sqlite3", Clock()
    )  # holds the file's lock, as a bot does
    try:
        assert verify(config) == 0
    finally:
        asyncio.run(running.aclose())
    out = said(capsys)
    assert "acme: 3 decisions, intact; head 3:" in out
    assert "beta: 0 decisions, intact" in out


def test_what_was_done_to_it_is_named_and_the_exit_code_says_so(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_file(tmp_path, lambda store: decide(store, 5))
    with sqlite3.connect(tmp_path / "state.sqlite3") as database:
        head = database.execute(
            "select text from value where key = ?", (head_key("acme"),)
        ).fetchone()[0]
        database.execute(
            "update entry set text = replace(text, 'reason 1', 'reason 9') "
            "where log = 'audit:acme' and at = 1"
        )
        database.execute("delete from entry where log = 'audit:acme' and at = 3")
    assert verify(config, "--cluster", "acme") == 3
    out = said(capsys)
    assert "acme: 4 decisions, NOT INTACT" in out
    assert "  entry 2 was changed: its content does not match its hash" in out
    assert "  entry 4 is missing: it was removed" in out
    assert verify(config, "--cluster", "beta", "--head", head) == 3, (
        "another cluster's head does not fit"
    )
    assert "ends with entry 0" in said(capsys)


def test_a_cut_chain_is_found_by_a_head_that_was_kept(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_file(tmp_path, lambda store: decide(store, 4))
    with sqlite3.connect(tmp_path / "state.sqlite3") as database:
        head = database.execute(
            "select text from value where key = ?", (head_key("acme"),)
        ).fetchone()[0]
        rows = [
            json.loads(r[0])
            for r in database.execute("select text from entry where log = 'audit:acme' order by at")
        ]
        database.execute("delete from entry where log = 'audit:acme' and at >= 2")
        database.execute(
            "update value set text = ? where key = ?", (f"2:{rows[1]['hash']}", head_key("acme"))
        )
    kept = tmp_path / "head.json"
    kept.write_text(json.dumps({"cluster": "acme", "number": 4, "hash": rows[3]["hash"]}))
    assert verify(config, "--cluster", "acme") == 0, "from within nobody can tell"
    for given in (head, head.split(":")[1], head[:18], str(kept)):
        assert verify(config, "--cluster", "acme", "--head", given) == 3, given
    assert (
        "entry 4 is missing although its head was posted: "
        "the chain was shortened and ends with entry 2" in said(capsys)
    )
    assert verify(config, "--head", str(kept)) == 3, "a file says itself whose it is"


def test_what_was_asked_for_wrongly_and_what_cannot_be_read(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(config) == 1
    assert "state.sqlite3 cannot be used" in capsys.readouterr().err
    with_file(tmp_path, lambda store: decide(store, 1))
    for words, why in (
        (("--cluster", "gamma"), "There is no cluster gamma. Clusters: acme, beta."),
        (("--head", "abc"), "found neither a file, NUMBER:HASH, nor a hash of at least 16"),
        (("--head", "1:" + "a" * 64), "name its cluster with --cluster"),
        (("--head", str(config)), "holds no head"),
    ):
        assert verify(config, *words) == 2
        assert why in capsys.readouterr().err
    assert main(["audit", "export", "--config", str(config), "--since", "yesterday"]) == 2


def test_export_is_every_decision_in_a_line_of_its_own(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Clock(read=lambda: 1_700_000_000.0)

    async def work(store: Store) -> None:
        await decide(store, 2, clock=old)
        await decide(store, 1)
        await decide(store, 1, "beta")

    with_file(tmp_path, work)
    assert main(["audit", "export", "--config", str(config)]) == 0
    lines = [json.loads(line) for line in said(capsys).splitlines()]
    assert [(e["cluster"], e["number"], e["what"], e["user"]) for e in lines] == [
        ("acme", 1, "put on hold", "UANA"), ("acme", 2, "put on hold", "UANA"),
        ("acme", 3, "put on hold", "UANA"),
        ("beta", 1, "put on hold", "UANA"),
    ]  # fmt: skip
    for since in ("2023-11-15", "30d", "2026-01-01T00:00:00+01:00"):
        assert (
            main(
                ["audit", "export", "--config", str(config), "--cluster", "acme", "--since", since]
            )
            == 0
        )
        assert [json.loads(line)["number"] for line in said(capsys).splitlines()] == [3], since
    assert (
        main(
            [
                "audit",
                "export",
                "--config",
                str(config),
                "--cluster",
                "acme",
                "--since",
                "2023-11-14",
            ]
        )
        == 0
    )
    assert len(said(capsys).splitlines()) == 3


def test_the_heads_in_a_bucket_that_cannot_be_read_are_told_of(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_bucket(config, "http://127.0.0.1:9")
    with_file(tmp_path, lambda store: decide(store, 1))
    assert verify(config, "--cluster", "acme") == 1
    assert "SPACES_ACCESS_KEY_ID" in capsys.readouterr().err
    assert verify(config, "--cluster", "acme", "--no-bucket") == 0


def test_many_decide_at_once_on_a_real_redis(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story() -> None:
        async with running_redis(redis_server()) as url:
            stores = [RedisStore(url) for _ in range(3)]
            await asyncio.gather(*(decide(stores[n % 3], 4) for n in range(15)))
            monkeypatch.setenv("REDIS_URL", url)
            assert await asyncio.to_thread(verify, config, "--cluster", "acme") == 0
            assert "acme: 60 decisions, intact" in said(capsys)
            raw: Any = stores[0]._redis
            log = stores[0]._log("audit:acme")
            first, second = await raw.lindex(log, 6), await raw.lindex(log, 7)
            await raw.lset(log, 6, second)
            await raw.lset(log, 7, first)
            assert await asyncio.to_thread(verify, config, "--cluster", "acme") == 3
            assert "is in the wrong place: it was moved" in said(capsys)
            for store in stores:
                await store.aclose()

    asyncio.run(story())


def test_heads_in_a_real_bucket_tell_what_was_cut(
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Over HTTP and boto3: written once, private, and read again by a separate check."""
    bucket = Bucket()

    async def keep(url: str) -> None:
        store, spaces = (
            SqliteStore(tmp_path / "state.sqlite3", Clock()),
            SpacesClient(url, "bucket", "key", "secret-secret"),
        )
        for _ in range(2):
            await decide(store, 2)
            head = await AuditChain(store, Clock()).head("acme")
            assert head is not None
            for _ in range(2):  # a second bot, or the same one after a crash
                await anchor_head(SecretsBucket(spaces, Clock()), "acme", head)
        await spaces.aclose()
        await store.aclose()

    async def story() -> None:
        async with serving(bucket.serve) as url:
            await keep(url)
            in_bucket(config, url)
            for name in ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY"):
                monkeypatch.setenv(name, "secret-secret")
            assert await asyncio.to_thread(verify, config, "--cluster", "acme") == 0
            assert "4 decisions, intact, and matches 2 heads from the bucket" in said(capsys)
            assert len(bucket.objects) == 2
            assert set(bucket.acls.values()) == {"private"}
            content = json.loads(next(iter(bucket.objects.values())))
            assert (content["cluster"], content["number"], len(content["hash"])) == ("acme", 2, 64)
            with sqlite3.connect(tmp_path / "state.sqlite3") as database:
                second = database.execute(
                    "select text from entry where log = 'audit:acme' and at = 1"
                ).fetchone()[0]
                database.execute("delete from entry where log = 'audit:acme' and at > 1")
                database.execute(
                    "update value set text = ? where key = ?",
                    (f"2:{json.loads(second)['hash']}", head_key("acme")),
                )
            assert await asyncio.to_thread(verify, config, "--cluster", "acme") == 3
            assert (
                "entry 4 is missing although its head was posted: "
                "the chain was shortened and ends with entry 2" in said(capsys)
            )

    asyncio.run(story())
