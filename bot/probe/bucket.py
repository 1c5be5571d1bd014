"""Whether a bucket honours conditions on a PUT, one after the other and at once."""

import asyncio

from bot.probe.session import OBJECTS, NotKnown, ProbeAnswer, ProbeRun
from services.cloud.secrets_bucket import ObjectStore
from services.common.errors import BotError, Rejected

FACTS = ("if_match", "if_none_match")
FAILED = 412
SETTLE = 2.0  # seconds between two writes that must see each other
ROUNDS, WRITERS = 5, 4
WITHIN = 120.0


async def bucket_answers(run: ProbeRun) -> list[ProbeAnswer]:
    """Write objects of the probe's own, with conditions that hold and that do not."""
    if run.bucket is None:
        why = "it needs a bucket: name the cluster whose bucket it may write to with --bucket"
        return [ProbeAnswer(fact, "", why) for fact in FACTS]
    probe = _BucketProbe(run, run.bucket)
    answers = []
    for fact, act in (("if_match", probe.if_match), ("if_none_match", probe.if_none_match)):
        try:
            async with run.clock.timeout(WITHIN):
                answer, text = await act()
        except TimeoutError:
            answer, text = "", f"no answer within {WITHIN:.0f} s"
        except (NotKnown, BotError) as error:
            answer, text = "", str(error)
        answers.append(ProbeAnswer(fact, answer, text))
    return answers


class _BucketProbe:
    def __init__(self, run: ProbeRun, bucket: ObjectStore) -> None:
        self._run = run
        self._bucket = bucket

    def _key(self, name: str) -> str:
        return f"{OBJECTS}{self._run.tag}/{name}"

    async def _put(
        self, key: str, content: bytes, *, match: str = "", fresh: bool = False
    ) -> str | None:
        """Store an object; return its etag, None if the condition was refused."""
        try:
            return await self._bucket.put(key, content, if_match=match or None, if_none_match=fresh)
        except Rejected as error:
            if error.status == FAILED:
                return None
            raise

    async def if_match(self) -> tuple[str, str]:
        key = self._key("match")
        first = await self._put(key, b"first")
        await self._settle()
        second = await self._put(key, b"second")
        await self._settle()
        if first is None or second is None:
            raise NotKnown("a write without a condition was refused")
        if await self._put(key, b"third", match=first) is not None:
            await self._must_be(key, b"third")
            return "ignored", "a PUT with an If-Match that does not hold is carried out"
        await self._must_be(key, b"second")
        if await self._put(key, b"fourth", match=second) is None:
            return "refused", "a PUT with If-Match is refused also when it holds"
        await self._must_be(key, b"fourth")
        for number in range(ROUNDS):
            current = await self._put(key, f"round {number}".encode())
            await self._settle()
            if await self._winners(key, current or "", fresh=False) > 1:
                return "ignored", "of several writers with the same If-Match, more than one wins"
        return "honoured", "a PUT with If-Match is refused where it does not hold, also at once"

    async def if_none_match(self) -> tuple[str, str]:
        key = self._key("none")
        if await self._put(key, b"first", fresh=True) is None:
            return "refused", "a PUT with If-None-Match is refused also where there is no object"
        await self._must_be(key, b"first")
        await self._settle()
        if await self._put(key, b"second", fresh=True) is not None:
            return "ignored", "a PUT with If-None-Match overwrites an object"
        await self._must_be(key, b"first")
        for number in range(ROUNDS):
            if await self._winners(self._key(f"race-{number}"), "", fresh=True) > 1:
                text = "of several writers with If-None-Match, more than one wins"
                return "ignored", text
        return "honoured", "a PUT with If-None-Match never overwrites an object, also at once"

    async def _winners(self, key: str, match: str, *, fresh: bool) -> int:
        """Let several write at once; return how many were accepted."""
        results = await asyncio.gather(
            *(
                self._put(key, f"writer {number}".encode(), match=match, fresh=fresh)
                for number in range(WRITERS)
            )
        )
        return sum(result is not None for result in results)

    async def _must_be(self, key: str, content: bytes) -> None:
        """Verify what the object is. NotKnown if it is something else: an answer misled."""
        await self._settle()
        if (await self._bucket.get(key))[0] != content:
            raise NotKnown("an object does not read back as the answer to its PUT says")

    async def _settle(self) -> None:
        await self._run.clock.sleep(SETTLE)
