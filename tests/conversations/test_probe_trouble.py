"""Trouble during a probe: silence is no answer, and what was created is deleted all the same."""

import asyncio
import os
import re
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from bot.probe.journal import NAME
from bot.probe.run import STOPPED, cancelled_by_signals
from tests.conversations.test_probe import WITHOUT_CREATE, scopes
from tests.support import virtual
from tests.support.probed_account import TRIED_TOKEN, Probed, ProbedAccount


def play(story: Coroutine[Any, Any, None]) -> None:
    virtual.run(story)


async def _silent(account: ProbedAccount, when: str, seconds: float, *names: str) -> Probed:
    """Probe while DigitalOcean does not answer for a while, from a request on."""
    switch, handle = account.environment.faults.switch, account.environment.digitalocean.handle
    begun = asyncio.Event()

    def watched(method: str, path: str, *more: Any) -> Any:
        if re.match(when, f"{method} {path}"):
            begun.set()
        return handle(method, path, *more)

    account.environment.digitalocean.handle = watched  # type: ignore[assignment,method-assign]

    async def silence() -> None:
        await begun.wait()
        await account.clock.sleep(5.0)
        switch("api_down")
        await account.clock.sleep(seconds)
        switch("api_down", value=False)

    silent = asyncio.create_task(silence())
    result = await account.probe(*names)
    await silent
    assert begun.is_set()
    return result


@pytest.mark.parametrize(
    ("question", "when", "seconds", "fact"),
    [
        ("refill", r"DELETE /v2/droplets/\d+$", 1300.0, "refill_deleted"),
        ("refill", r"DELETE /v2/droplets/\d+$", 400.0, "refill_deleted"),
        ("cooldown", "PUT /v2/droplets/autoscale/", 800.0, "cooldown"),
    ],
)
def test_silence_is_no_answer(
    question: str, when: str, seconds: float, fact: str, tmp_path: Path
) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path, cooldown_gates_edits=question == "cooldown")
        result = await _silent(account, when, seconds, question)
        assert fact not in result.stored, result.stored
        assert "did not answer" in " ".join(result.text.split())
        assert account.left() == []

    play(story())


def test_a_bucket_that_does_not_answer_leaves_no_droplet(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        probe = asyncio.create_task(account.probe("zero", "conditional-writes"))
        while not account.environment.estate.pools or not account.left():
            await account.clock.sleep(5.0)
        await account.clock.sleep(60.0)
        account.environment.faults.switch("spaces_down")
        result = await probe
        assert result.code == 2
        assert [name for name in account.left() if not name.startswith("openvidu-bot/")] == []
        # The objects are known to be left: the next probe deletes them.
        assert account.journal.read().sessions
        account.environment.faults.switch("spaces_down", value=False)
        assert (await account.probe("zero", clean=True)).code == 0
        assert account.left() == []

    play(story())


def test_a_closed_terminal_does_not_keep_the_droplets(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)

        def say(_text: str) -> None:
            if account.left():
                raise BrokenPipeError

        result = await account.probe("zero", say=say)
        assert account.left() == []
        assert account.journal.read().sessions == ()
        assert result.stored == {"zero": "accepted"}

    play(story())


def test_a_full_disk_does_not_lose_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)

        unlink = Path.unlink

        def full(path: Path, *, missing_ok: bool = False) -> None:
            if path.name == NAME:
                raise OSError(28, "No space left on device")
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(Path, "unlink", full)
        result = await account.probe("zero")
        assert result.stored == {"zero": "accepted"}
        assert account.left() == []
        assert "No space left" in result.text

    play(story())


@pytest.mark.parametrize("clean", [False, True])
def test_the_leftovers_of_another_account_are_not_forgotten(clean: bool, tmp_path: Path) -> None:
    async def story() -> None:
        here, there = tmp_path / "here", tmp_path / "there"
        here.mkdir()
        there.mkdir()
        account, other = ProbedAccount(here), ProbedAccount(there)
        other.environment.estate.seed += 1
        other.settings = account.settings
        await account.probe("zero", kill_at=12, after=True)
        assert account.left()
        sessions = account.journal.read().sessions
        result = await other.probe("trigger-scope", clean=clean)
        assert account.journal.read().sessions == sessions
        assert sessions[0].tag in result.text
        assert "Nothing is left of any probe" not in result.text
        assert (await account.probe("trigger-scope")).code == 0
        assert account.left() == []
        assert account.journal.read().sessions == ()

    play(story())


def test_a_token_that_sees_no_namespaces_does_not_end_a_session_that_created_one(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        await account.probe("trigger-scope", kill_at=_after_namespace(await _seen(tmp_path)))
        assert account.left()
        account.environment.digitalocean.scopes_of["dop_v1_probe"] = scopes(
            "function:read", "function:admin"
        )
        result = await account.probe("zero", clean=True)
        assert result.code != 0
        assert "function:read" in result.text
        assert account.journal.read().sessions

    play(story())


async def _seen(folder: Path) -> list[str]:
    folder = folder / "seen"
    folder.mkdir()
    return (await ProbedAccount(folder).probe("trigger-scope")).gate.seen


def _after_namespace(seen: list[str]) -> int:
    return 2 + next(n for n, line in enumerate(seen) if line == "POST /v2/functions/namespaces")


def test_a_tried_token_that_may_edit_nothing_decides_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path, tried_scopes=WITHOUT_CREATE - {"droplet:update"})
        result = await account.probe("pool-scope", tried=TRIED_TOKEN)
        assert "pool_scope" not in result.stored
        assert "droplet:update" in result.text

    play(story())


def test_a_droplet_of_someone_who_used_the_tag_is_not_deleted(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        probe = asyncio.create_task(account.probe("zero"))
        while not account.left():
            await account.clock.sleep(5.0)
        tag = account.journal.read().sessions[0].tag
        theirs = next(d for d in account.environment.estate.droplets.values() if d.role == "media")
        theirs.tags = [*theirs.tags, tag]
        await probe
        assert theirs.id in account.environment.estate.droplets
        assert theirs.on

    play(story())


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_or_a_kill_lets_it_delete_first(number: int) -> None:
    deleted: list[str] = []

    async def work() -> int:
        try:
            os.kill(os.getpid(), number)
            for _ in range(1000):
                await asyncio.sleep(0)
        finally:
            # A second one changes nothing.
            os.kill(os.getpid(), number)
            for _ in range(5):
                await asyncio.sleep(0)
            deleted.append("everything")
        return 0

    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert asyncio.run(cancelled_by_signals(work())) == STOPPED
    finally:
        signal.signal(number, before)
    assert deleted == ["everything"]


def test_what_a_lost_request_creates_late_is_deleted(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        api, faults = account.environment.digitalocean, account.environment.faults
        handle, loop, creation = (
            api.handle,
            asyncio.get_running_loop(),
            "POST /v2/droplets/autoscale",
        )
        faults.add("digitalocean", "reset-before", creation)
        late: list[object] = []

        def watched(method: str, path: str, *more: Any) -> Any:
            if f"{method} {path}" == creation and not late:
                late.append(loop.call_later(100.0, lambda: handle(method, path, *more)))
            return handle(method, path, *more)

        api.handle = watched  # type: ignore[assignment,method-assign]
        result = await account.probe("zero")
        assert result.stored == {}
        await account.clock.sleep(600.0)
        assert account.left() == []

    play(story())


def test_an_outage_while_it_deletes_is_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        switch = account.environment.faults.switch
        probe = asyncio.create_task(account.probe("all"))
        await account.clock.sleep(250.0)
        switch("api_down")
        await account.clock.sleep(1800.0)
        switch("api_down", value=False)
        assert (await probe).code == 2
        assert account.left() == []
        assert account.journal.read().sessions == ()

    play(story())


def test_a_pool_that_shows_its_old_number_for_a_while_did_not_ignore_0(tmp_path: Path) -> None:
    async def story() -> None:
        account = ProbedAccount(tmp_path)
        api, handle = account.environment.digitalocean, account.environment.digitalocean.handle
        old: dict[str, Any] = {}
        edited: list[float] = []

        def lagging(method: str, path: str, *more: Any) -> Any:
            reply = handle(method, path, *more)
            if re.fullmatch(r"/v2/droplets/autoscale/[^/]+", path):
                if method == "PUT":
                    edited.append(account.clock.now())
                elif edited and account.clock.now() < edited[-1] + 30.0:
                    return old[path]
                else:
                    old[path] = reply
            return reply

        api.handle = lagging  # type: ignore[assignment,method-assign]
        assert (await account.probe("zero")).stored == {"zero": "accepted"}

    play(story())
