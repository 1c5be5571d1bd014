"""Compare-and-set: what others write meanwhile is kept, and there is one rule for giving up."""

import asyncio

import pytest

from services.common.clock import loop_clock
from services.common.errors import Refused, Unreachable
from services.store import Commit
from services.store.edit import TRIES, edit, retried
from services.store.sqlite import SqliteStore
from tests.support import virtual

KEY = "numbers"


def store() -> SqliteStore:
    return SqliteStore(None, loop_clock(0.0), threaded=False)


def test_everyone_who_edits_at_once_gets_their_edit() -> None:
    async def story() -> None:
        kept = store()

        async def add(number: int) -> None:
            def change(text: str | None) -> str:
                return f"{text or ''} {number}".strip()

            await edit(kept, KEY, change, "the numbers")

        await asyncio.gather(*(add(n) for n in range(50)))
        (text,) = await kept.get(KEY)
        assert sorted(map(int, (text or "").split())) == list(range(50))

    virtual.run(story())


def test_an_edit_that_changes_nothing_writes_nothing() -> None:
    async def story() -> None:
        kept = store()
        assert await edit(kept, KEY, lambda text: text, "the numbers") is None
        await kept.commit(Commit(puts={KEY: "1"}))
        assert await edit(kept, KEY, lambda text: text, "the numbers") == "1"
        assert await edit(kept, KEY, lambda _: None, "the numbers") is None
        assert await kept.get(KEY) == [None]

    virtual.run(story())


def test_it_gives_up_with_one_error_and_nothing_written() -> None:
    async def story() -> None:
        kept, tries = store(), 0

        def overtaken(text: str | None) -> str:
            nonlocal tries
            tries += 1
            return f"{text}x"

        async def no(commit: Commit) -> bool:
            return False

        kept.commit = no  # type: ignore[method-assign]
        with pytest.raises(Unreachable, match="the numbers changes faster") as error:
            await edit(kept, KEY, overtaken, "the numbers")
        assert (tries, error.value.sent) == (TRIES, False)

    virtual.run(story())


def test_what_an_attempt_raises_ends_it() -> None:
    async def story() -> None:
        async def refused() -> None:
            raise Refused("who was first")

        with pytest.raises(Refused, match="who was first"):
            await retried(refused, Refused("never"))

    virtual.run(story())
