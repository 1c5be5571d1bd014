"""What only a real account answers: asked first, done, put back, and answered in a line."""

import asyncio
from pathlib import Path

import pytest

from bot.demo.world import STACK
from bot.doctor.context import open_context
from bot.doctor.live_checks import LIVE_CHECKS, live_checks, of_kind
from config.settings import load
from services.cluster.model import FleetKind
from services.store import Commit
from services.store.sqlite import SqliteStore
from tests.e2e.test_doctor import clock_of
from tests.support.real_sockets import running_world

Played = tuple[str, list[str], int, list[tuple[str, str]]]


async def _played(tmp_path: Path, kind: str, answer: bool, *, busy: bool = False) -> Played:
    """The output, the questions, the number of failures, and what was changed."""
    said: list[str] = []
    questions: list[str] = []
    async with running_world(tmp_path, 1.0, kind=kind) as world:
        settings = load(world.settings_file, world.bot_environment())
        if busy:
            store = SqliteStore(settings.state.path, clock_of(world))
            await store.commit(Commit(puts={f"claim:{STACK}": "acme-7"}))
            await store.aclose()

        async def asks(words: str) -> bool:
            questions.append(words)
            return answer

        before = len(world.estate.requests)
        async with open_context(settings, clock_of(world)) as context:
            failed = await live_checks(context, asks, said.append)
        changed = [
            (method, path) for method, path, *_ in world.estate.requests[before:] if method != "GET"
        ]
        assert world.estate.functions.scales(STACK) == (kind == "autoscaler"), "as it was"
        assert world.estate.violations == []
        text = "\n".join(said)
        assert not [canary for canary in world.estate.canaries if canary in text]
    return text, questions, failed, changed


def played(tmp_path: Path, kind: str, *, answer: bool, busy: bool = False) -> Played:
    return asyncio.run(_played(tmp_path, kind, answer, busy=busy))


@pytest.mark.parametrize("kind", ["pool", "fixed", "autoscaler"])
def test_nothing_is_done_without_a_yes(kind: str, tmp_path: Path) -> None:
    text, questions, failed, changed = played(tmp_path, kind, answer=False)
    assert questions
    assert "Answer, to paste" not in text
    assert (failed, changed) == (0, [])


def test_an_autoscaler_is_asked_and_left_as_it_was(tmp_path: Path) -> None:
    text, _, failed, changed = played(tmp_path, "autoscaler", answer=True)
    for answer in (
        "[namespaces] 1 functions namespaces are visible to this token, 1 of them of acme",
        "[put-trigger] PUT is_enabled was taken with this token's scopes",
        "[next-run] next_run_at of a paused trigger is null",
        "[enabled-at-boot] the unit openvidu is enabled at boot on a media node",
        "[doctl] doctl is neither in /usr/bin nor in /bin, where cron looks",
        "[version] OPENVIDU_VERSION is 3.6.1 in the bucket and 3.6.1 on master 1: the same",
    ):
        assert answer in text
    assert failed == 0
    assert {method for method, _ in changed} == {"PUT"}


def test_fixed_nodes_are_asked_by_reading_alone(tmp_path: Path) -> None:
    text, _, failed, changed = played(tmp_path, "fixed", answer=True)
    assert "[enabled-at-boot]" in text
    assert (failed, changed) == (0, [])


def test_a_cluster_that_a_run_has_is_left_alone(tmp_path: Path) -> None:
    text, questions, _, changed = played(tmp_path, "autoscaler", answer=True, busy=True)
    assert "acme is locked by run acme-7" in text
    assert (questions, changed) == ([], [])


@pytest.mark.parametrize("kind", [FleetKind.POOL, FleetKind.FIXED, FleetKind.AUTOSCALER])
def test_each_says_what_it_does_and_costs(kind: FleetKind) -> None:
    for each in of_kind(kind):
        assert each.question.endswith("?")
        assert each.costs
        assert (each.act is None) == each.does.startswith("manually")
    assert len({c.name for c in LIVE_CHECKS}) == len(LIVE_CHECKS)
