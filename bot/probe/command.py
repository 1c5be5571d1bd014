"""One call of `openvidu-bot probe`, from leftovers to stored answers."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bot.clusters import ClusterAdapters, bucket_of
from bot.probe.bucket import bucket_answers
from bot.probe.droplet import resize_answer
from bot.probe.estimate import LONGEST, ProbeEstimate, choose_sizes, estimate
from bot.probe.journal import JournalFile, ProbeSession, store_waiting
from bot.probe.leftovers import Leftover, ProbeCleaner, cannot_clean, check_deletes
from bot.probe.pool import PoolProbe
from bot.probe.questions import QUESTION_OF, ProbeQuestion
from bot.probe.report import (
    account_line,
    announcement,
    answer_lines,
    elsewhere_lines,
    leftover_lines,
    settings_block,
)
from bot.probe.session import PREFIX, ProbeAnswer, ProbeRun
from bot.probe.trigger import trigger_answer
from bot.state import StateInUse, Unusable, must_be_usable, open_store
from bot.version import own_version
from config.values import Settings
from services.cloud.clients.digitalocean import DigitalOceanClient
from services.cloud.clients.spaces import SpacesClient
from services.cloud.clients.throwaway import ssh_keys
from services.cloud.parse import listed, owner_of, size_of
from services.cloud.secrets_bucket import ObjectStore
from services.cluster.account_facts import AccountFact
from services.common.errors import BotError, Refused
from services.memory.account_facts import keep_facts
from services.store import Store

ANSWERED, REFUSED, NOT_KNOWN = 0, 1, 2


@dataclass(frozen=True)
class ProbeChoice:
    """What the options choose. `tried`: the token whose scopes are tried; "": none."""

    questions: tuple[ProbeQuestion, ...]
    token: str = field(repr=False)
    tried: str = field(default="", repr=False)
    region: str = ""
    bucket: str = ""
    yes: bool = False
    clean: bool = False


class ProbeCommand:
    """Deletes leftovers, tells and asks, probes, deletes, prints and stores."""

    def __init__(
        self,
        settings: Settings,
        choice: ProbeChoice,
        adapters: ClusterAdapters,
        journal: JournalFile,
        say: Callable[[str], None],
        ask: Callable[[str], Awaitable[bool]],
        store: Callable[[], Store] | None = None,
    ) -> None:
        self._settings = settings
        self._choice = choice
        self._clock = adapters.clock
        self._adapters = adapters
        self._journal = journal
        self._print, self._ask = say, ask
        self._open_store = store or (lambda: open_store(settings.state, adapters.clock))
        self._buckets: dict[str, ObjectStore] = {}

    def _say(self, text: str) -> None:
        """Print it, if anyone is there to read: a closed terminal keeps nothing from deletion."""
        with contextlib.suppress(OSError):
            self._print(text)

    async def run(self) -> int:
        """Return the exit code. Refused, or another error, when nothing was begun."""
        api = self._client(self._choice.token)
        tried = self._client(self._choice.tried) if self._choice.tried else None
        try:
            with self._journal.alone():
                account = owner_of(await api.account())
                self._say(account_line(account))
                await self._store_kept()
                if self._choice.clean:
                    return await self._clean(api, account)
                await self._clean_own(api, account)
                return await self._probe(api, tried, account)
        finally:
            await api.aclose()
            if tried is not None:
                await tried.aclose()
            for bucket in self._buckets.values():
                if isinstance(bucket, SpacesClient):
                    await bucket.aclose()

    def _client(self, token: str) -> DigitalOceanClient:
        ca_file = self._settings.digitalocean.ca_file
        return DigitalOceanClient(
            token,
            endpoint=self._settings.digitalocean.api_url,
            ca_file=str(ca_file) if ca_file else None,
            transport=self._adapters.transport,
            clock=self._clock,
            share=self._settings.digitalocean.request_share,
        )

    # Leftovers

    async def _clean(self, api: DigitalOceanClient, account: str) -> int:
        """Delete what any probe left in this account."""
        sessions = (await asyncio.to_thread(self._journal.read)).sessions
        own = [session for session in sessions if session.is_of(account)]
        cleaner = ProbeCleaner(
            api,
            self._clock,
            await self._journal_buckets(),
            namespaces=any(session.namespace for session in own),
        )
        left = await cleaner.clean(self._deleting)
        if left:
            self._say("\n".join(leftover_lines("Still there:", left)))
            return NOT_KNOWN
        for session in own:
            await asyncio.to_thread(self._journal.end, session.tag)
        if others := [session for session in sessions if session not in own]:
            self._say("\n".join(elsewhere_lines(others)))
            return NOT_KNOWN
        self._say("Nothing is left of any probe.")
        return ANSWERED

    async def _clean_own(self, api: DigitalOceanClient, account: str) -> None:
        """Delete what earlier probes of this machine left. Refused if another's is there."""
        sessions = (await asyncio.to_thread(self._journal.read)).sessions
        own = {session.tag for session in sessions if session.is_of(account)}
        if others := [session for session in sessions if session.tag not in own]:
            self._say("\n".join(elsewhere_lines(others)))
        found = await ProbeCleaner(api, self._clock, await self._journal_buckets()).find()
        foreign = [leftover for leftover in found if leftover.tag not in own]
        if foreign:
            lines = leftover_lines("There is something of another probe in this account:", foreign)
            raise Refused(
                "\n".join(lines) + "\nIf no probe runs elsewhere: openvidu-bot probe --clean"
            )
        for tag in own:
            await self._clean_tag(api, tag)

    async def _clean_tag(self, api: DigitalOceanClient, tag: str, *, lost: bool = False) -> None:
        buckets = await self._journal_buckets()
        sessions = (await asyncio.to_thread(self._journal.read)).sessions
        cleaner = ProbeCleaner(
            api,
            self._clock,
            buckets,
            lambda other: other == tag,
            namespaces=any(s.namespace for s in sessions if s.tag == tag),
        )
        left = await cleaner.clean(self._deleting, lost=lost)
        if left:
            raise Refused("\n".join(leftover_lines("Not deleted within 10 min:", left)))
        try:
            await asyncio.to_thread(self._journal.end, tag)
        except Refused as error:
            self._say(f"Everything was deleted, but {error}. The next probe looks once more.")

    async def _journal_buckets(self) -> list[ObjectStore]:
        """Return the buckets that probes of this machine wrote to."""
        sessions = (await asyncio.to_thread(self._journal.read)).sessions
        names = {session.bucket for session in sessions} | {self._choice.bucket}
        buckets = [self._bucket(name) for name in sorted(names) if name]
        return [bucket for bucket in buckets if bucket is not None]

    def _bucket(self, name: str) -> ObjectStore | None:
        cluster = self._settings.clusters.get(name)
        if name not in self._buckets and cluster is not None:
            bucket = bucket_of(cluster, self._adapters)
            if bucket is not None:
                self._buckets[name] = bucket
        return self._buckets.get(name)

    def _deleting(self, leftover: Leftover) -> None:
        self._say(f"  deleting {leftover.text}")

    # The probe

    async def _probe(
        self, api: DigitalOceanClient, tried: DigitalOceanClient | None, account: str
    ) -> int:
        choice = self._choice
        announced = await self._estimate(api)
        tag = f"{PREFIX}{secrets.token_hex(4)}"
        self._say("\n".join(announcement(choice.questions, announced, tag, choice.bucket)))
        observes = self._settings.observes
        if observes:
            self._say("The bot only observes. This command does create; --yes is not enough.")
        if (observes or not choice.yes) and not await self._ask("Do this?"):
            self._say("Nothing was created.")
            return REFUSED
        began = self._clock.now()
        ssh_key = ""
        if announced.droplets:
            await check_deletes(api, tag)
            ssh_key = await self._ssh_key(api)
        session = ProbeSession(tag, began, announced.region, choice.bucket, account)
        await asyncio.to_thread(self._journal.begin, session)
        probe = ProbeRun(
            api,
            self._clock,
            tag,
            announced,
            ssh_key,
            began + LONGEST,
            self._say,
            tried,
            self._bucket(choice.bucket) if choice.bucket else None,
            lambda: asyncio.to_thread(self._journal.note_namespace, tag),
        )
        left = ""
        try:
            answers = await self._answers(probe)
        finally:
            # Also when it was interrupted. What cannot be deleted now, the next probe finds.
            self._say("Deleting what was created:")
            try:
                await self._clean_tag(api, tag, lost=probe.lost)
            except BotError as error:
                left = cannot_clean(error)
        if left:
            self._say(left)
        await self._report(account, answers)
        known = all(answer.answer for answer in answers)
        return ANSWERED if known and not left else NOT_KNOWN

    async def _estimate(self, api: DigitalOceanClient) -> ProbeEstimate:
        choice = self._choice
        region = choice.region or next(iter(self._settings.clusters.values())).region
        sizes = None
        if any(q.pool or q.droplet for q in choice.questions):
            sizes = choose_sizes(listed(size_of, await api.sizes()).entries, region)
        return estimate(choice.questions, region, sizes)

    async def _ssh_key(self, api: DigitalOceanClient) -> str:
        return next(iter(await ssh_keys(api.requests)), "")

    async def _answers(self, probe: ProbeRun) -> list[ProbeAnswer]:
        names = tuple(question.name for question in self._choice.questions)
        answers: list[ProbeAnswer] = []
        if "conditional-writes" in names:
            self._say("conditional-writes: …")
            answers += await bucket_answers(probe)
        if "trigger-scope" in names:
            self._say("trigger-scope: …")
            answers.append(await trigger_answer(probe))
        if "resize-on" in names:
            self._say("resize-on: …")
            answers.append(await resize_answer(probe))
        if any(question.pool for question in self._choice.questions):
            answers += await PoolProbe(probe).answers(names)
        order = list(QUESTION_OF)
        return sorted(answers, key=lambda answer: order.index(answer.fact))

    # The answers

    async def _report(self, account: str, answers: Sequence[ProbeAnswer]) -> None:
        now = self._clock.now()
        self._say("\n".join(answer_lines(answers)))
        facts = [AccountFact(a.fact, a.answer, now) for a in answers if a.answer]
        if not facts:
            return
        self._say("\n".join(settings_block(facts, now)))
        self._say(await self._stored(account, facts))

    async def _stored(self, account: str, facts: Sequence[AccountFact]) -> str:
        """Store the answers; return what became of them."""
        try:
            await self._keep(account, facts)
        except StateInUse:
            kept = tuple((fact.name, fact.answer, fact.at) for fact in facts)
            try:
                await asyncio.to_thread(self._journal.keep, account, kept)
            except Refused as error:
                return f"The answers were not stored: {error}. Paste them into the settings."
            return (
                f"A bot uses the state, so the answers wait in {self._journal.path}. "
                "They are stored when that bot starts again."
            )
        except (BotError, Unusable) as error:
            return f"The answers were not stored: {error}. Paste them into the settings."
        return "Stored in the state: plans use them from now on."

    async def _keep(self, account: str, facts: Sequence[AccountFact]) -> None:
        async with self._store() as store:
            await keep_facts(store, account, facts)

    @contextlib.asynccontextmanager
    async def _store(self) -> AsyncIterator[Store]:
        """Open the state. Unusable, or StateInUse while a bot has it."""
        store = self._open_store()
        try:
            await must_be_usable(self._settings, store, self._clock, own_version())
            yield store
        finally:
            await store.aclose()

    async def _store_kept(self) -> None:
        """Store what an earlier probe could not, if that is possible now."""
        if not (await asyncio.to_thread(self._journal.read)).answers:
            return
        with contextlib.suppress(BotError, Unusable):
            async with self._store() as store:
                await store_waiting(self._journal, store)
            self._say("The answers of an earlier probe are stored in the state now.")
