"""The questions about autoscale pools, answered on one pool that grows, shrinks and ends at 0."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.probe.session import (
    LOST_SECONDS,
    POLL,
    Json,
    NotKnown,
    ProbeAnswer,
    ProbeRun,
    TooManyDroplets,
    is_no,
    must_be_seen,
)
from services.cloud.clients.throwaway import ThrowawayWrites
from services.cloud.parse import failure_of
from services.cluster.account_facts import NEVER
from services.common.errors import BotError, Forbidden, NotFound, Rejected, Unreachable

CREATE_SECONDS = 300.0
# DigitalOcean documents ten minutes for pools of fixed size, and at most twenty for others.
COOLDOWN_SECONDS = 1200.0
CARRIED_OUT = COOLDOWN_SECONDS + 120.0
AT_ONCE = 90.0  # a change that shows within this time did not wait
REFILL_SECONDS = 900.0
REMOVAL_SECONDS = COOLDOWN_SECONDS + 60.0
ZERO_SECONDS = COOLDOWN_SECONDS + 60.0
RETRY = 30.0


@dataclass(frozen=True)
class _Carried:
    """How a change of the number went: when it was accepted, and when it showed."""

    asked: float
    accepted: float
    shown: float


class PoolProbe:
    """One throw-away pool. Its members are known in the order in which they were created."""

    def __init__(self, run: ProbeRun) -> None:
        self._run = run
        self._id = ""
        # Members that are not being removed, oldest first.
        self._order: list[int] = []
        # When the pool last changed something by itself or by an edit.
        self._changed = 0.0
        # When the members were seen last, and for how long they were not before that change.
        self._looked, self._unseen = 0.0, 0.0
        # Whether the last edit was refused at first, and whether one was taken right after another.
        self._refuses = False
        self._free = False

    async def answers(self, wanted: tuple[str, ...]) -> list[ProbeAnswer]:
        """Answer the wanted questions, in an order in which each finds what it needs."""
        steps: dict[str, tuple[tuple[str, ...], Callable[[], Awaitable[list[ProbeAnswer]]]]] = {
            "pool-scope": (("pool_scope",), self._scope),
            "cooldown": (("cooldown",), self._cooldown),
            "removal": (("removal",), self._removal),
            "refill": (("refill_deleted", "refill_off"), self._refill),
            "zero": (("zero",), self._zero),
        }
        chosen = {name: step for name, step in steps.items() if name in wanted}
        answers: list[ProbeAnswer] = []
        why = ""
        try:
            await self._create()
        except (NotKnown, BotError) as error:
            why = str(error)
        for name, (facts, act) in chosen.items():
            if self._run.clock.now() >= self._run.ends_at:
                why = why or "the time of the probe was up"
            if why:
                answers += _unknown(facts, answers, why)
                continue
            self._run.say(f"{name}: …")
            try:
                answers += await act()
            except (NotKnown, BotError) as error:
                answers += _unknown(facts, answers, str(error))
                if isinstance(error, TooManyDroplets):
                    why = str(error)
        return answers

    # The pool

    async def _create(self) -> None:
        run = self._run
        body = {
            "name": run.tag,
            "config": {"target_number_instances": 1},
            "droplet_template": run.template(),
        }
        try:
            with run.creating():
                self._id = str((await run.writes.create_pool(body))["id"])
        except Unreachable as error:
            if error.sent is False:
                raise
            found = await run.until(LOST_SECONDS, self._find)
            if found is None:
                raise
            self._id = found
        if not await self._grown(1, CREATE_SECONDS):
            raise NotKnown(await self._why("DigitalOcean created no droplet within 5 min"))
        active = await run.until(CREATE_SECONDS, self._all_active)
        if active is None:
            raise NotKnown("the first droplet was not ready within 5 min")

    async def _find(self) -> str | None:
        pools = await self._run.api.pools()
        return next((str(p["id"]) for p in pools if p.get("name") == self._run.tag), None)

    async def _look(self) -> dict[int, str]:
        """Return the members that are not being removed, with their states."""
        members = await self._run.api.members(self._id)
        self._run.saw({int(m["droplet_id"]) for m in members})
        staying = {
            int(m["droplet_id"]): str(m["status"]) for m in members if m["status"] != "deleting"
        }
        now = self._run.clock.now()
        for droplet in sorted(staying):
            if droplet not in self._order:
                self._order.append(droplet)
                self._changed, self._unseen = now, now - (self._looked or now)
        self._looked = now
        return staying

    async def _all_active(self) -> bool | None:
        return all(status == "active" for status in (await self._look()).values()) or None

    async def _grown(self, number: int, seconds: float) -> bool:
        async def look() -> bool | None:
            return len(await self._look()) >= number or None

        return bool(await self._run.until(seconds, look))

    async def _body(self, number: int) -> Json:
        """Return the pool as it is, with another number."""
        pool = await self._run.api.pool(self._id)
        return {
            "name": pool["name"],
            "config": {"target_number_instances": number},
            "droplet_template": pool["droplet_template"],
        }

    async def _put(self, number: int) -> None:
        await self._run.writes.put_pool(self._id, await self._body(number))

    async def _set(self, number: int, why: str) -> tuple[float, float]:
        """Set the number; where that is refused for now, until it is accepted.

        Returns when it was requested first, and when it was accepted.
        """
        run, asked = self._run, self._run.clock.now()
        refusals: list[str] = []

        async def attempt() -> bool | None:
            try:
                await self._put(number)
            except Forbidden:
                raise
            except Rejected as error:
                if not is_no(error):
                    raise
                refusals.append(error.message or str(error))
                await run.clock.sleep(RETRY - POLL)
                return None
            return True

        if not await run.until(CARRIED_OUT, attempt):
            said = f" (“{refusals[-1]}”)" if refusals else ""
            raise NotKnown(f"DigitalOcean refused {why} for {CARRIED_OUT / 60:.0f} min{said}")
        must_be_seen(run.unseen)
        self._refuses = bool(refusals)
        return asked, run.clock.now()

    async def _grow(self, number: int) -> _Carried:
        """Raise the number, and wait until the new member shows."""
        asked, accepted = await self._set(number, f"to set the pool to {number}")
        if not await self._grown(number, CARRIED_OUT):
            raise NotKnown(
                await self._why(f"the pool did not grow to {number} within 22 min of the edit")
            )
        return _Carried(asked, accepted, self._run.clock.now())

    async def _why(self, otherwise: str) -> str:
        """Return the error in the pool's history, else what was seen."""
        try:
            failure = failure_of(await self._run.api.history(self._id))
        except (BotError, KeyError):
            failure = ""
        return f"DigitalOcean reports “{failure}”" if failure else otherwise

    # The questions

    async def _scope(self) -> list[ProbeAnswer]:
        """Put the pool back as it is, which changes nothing, with the token that is tried."""
        run = self._run
        if run.tried is None:
            raise NotKnown(
                "it needs a second token, whose scopes are tried: one without droplet:create "
                "decides it"
            )
        creates = await _may_create(run)
        body = await self._body(1)
        try:
            await ThrowawayWrites(run.tried).put_pool(self._id, body)
        except Forbidden as error:
            if error.status == 401:
                raise NotKnown("the token that was tried is not valid") from None
            if creates:
                text = "droplet:create alone is not enough to edit a pool"
                return [ProbeAnswer("pool_scope", "more", text)]
            await _must_update(run, self._order[0])
            text = "a token without droplet:create may not edit a pool"
            return [ProbeAnswer("pool_scope", "droplet:create", text)]
        if creates:
            raise NotKnown("the token that was tried has droplet:create: try one without it")
        text = "a token without droplet:create may edit a pool"
        return [ProbeAnswer("pool_scope", "droplet:update", text)]

    async def _cooldown(self) -> list[ProbeAnswer]:
        """Change the pool right after its first change."""
        must_be_seen(self._unseen)
        before = self._changed
        carried = await self._grow(2)
        must_be_seen(self._run.unseen)
        if carried.shown - carried.asked <= AT_ONCE and not self._refuses:
            self._free = True
            text = "a pool carries out a change right after another one"
            return [ProbeAnswer("cooldown", "0", text)]
        how, until = "waits", carried.shown
        if self._refuses:
            how, until = "is refused", carried.accepted
        seconds = round(until - before)
        text = f"a change {how} until {seconds} s after the last one"
        return [ProbeAnswer("cooldown", str(seconds), text)]

    async def _removal(self) -> list[ProbeAnswer]:
        """Grow to three, one after the other, and see twice who goes."""
        for number in (2, 3):
            if len(self._order) < number:
                await self._grow(number)
        await self._run.until(CREATE_SECONDS, self._all_active)
        seen = []
        for number in (2, 1):
            seen.append(await self._removed(number))
            if seen[-1] == "other":
                break
        if len(set(seen)) == 1 and seen[0] != "other":
            text = f"twice the {seen[0]} member was removed"
            return [ProbeAnswer("removal", seen[0], text)]
        text = f"neither always the newest nor always the oldest member goes ({', '.join(seen)})"
        return [ProbeAnswer("removal", "other", text)]

    async def _removed(self, number: int) -> str:
        """Lower the number by one; return which of the members goes."""
        before = list(self._order)
        await self._set(number, f"to set the pool to {number}")

        async def look() -> int | None:
            staying = await self._look()
            gone = [droplet for droplet in before if droplet not in staying]
            if len(gone) > 1 or any(droplet not in before for droplet in staying):
                raise NotKnown("members came or went that no edit is the reason for")
            return gone[0] if gone else None

        gone = await self._run.until(REMOVAL_SECONDS, look)
        if gone is None:
            raise NotKnown(await self._why("no member was removed within 21 min of the edit"))
        self._order.remove(gone)
        self._changed, self._unseen = self._run.clock.now(), self._run.unseen
        if gone == before[-1]:
            return "newest"
        return "oldest" if gone == before[0] else "other"

    async def _refill(self) -> list[ProbeAnswer]:
        """Delete a member, then power one off."""
        answers = []
        victim = await self._own(self._order[-1])
        await self._run.writes.delete_droplet(victim)
        self._order.remove(victim)
        answers.append(await self._seen_replaced("refill_deleted", victim, "deleted"))
        if not self._order:
            text = "after the deleted member was not replaced, there was none to power off"
            return [*answers, ProbeAnswer("refill_off", "", text)]
        await self._run.until(CREATE_SECONDS, self._all_active)
        victim = await self._own(self._order[-1])
        try:
            await self._run.writes.droplet_action(victim, "power_off")
        except BotError as error:
            return [*answers, ProbeAnswer("refill_off", "", str(error))]
        answers.append(await self._seen_replaced("refill_off", victim, "powered off"))
        return answers

    async def _own(self, droplet: int) -> int:
        """Return a member that is about to be disturbed. NotKnown unless it carries our tag."""
        for raw in await self._run.api.droplets():
            if int(raw["id"]) == droplet:
                named = str(raw.get("name", "")).startswith(self._run.tag)
                if named or self._run.tag in (raw.get("tags") or ()):
                    return droplet
        raise NotKnown("the member does not show the probe's tag, so it was not touched")

    async def _seen_replaced(self, fact: str, victim: int, how: str) -> ProbeAnswer:
        try:
            return await self._replaced(fact, victim, how)
        except NotKnown as error:
            if isinstance(error, TooManyDroplets):
                raise
            return ProbeAnswer(fact, "", str(error))

    async def _replaced(self, fact: str, victim: int, how: str) -> ProbeAnswer:
        """Wait for a new member, or for the same one to be active again."""
        began, known = self._run.clock.now(), {*self._order, victim}
        was_off = False

        async def look() -> bool | None:
            nonlocal was_off
            staying = await self._look()
            new = [d for d, status in staying.items() if d not in known and status == "active"]
            back = was_off and staying.get(victim) == "active"
            was_off = was_off or staying.get(victim) == "off"
            return bool(new or back) or None

        if await self._run.until(REFILL_SECONDS, look):
            seconds = round(self._run.clock.now() - began)
            if victim in self._order:
                self._order.remove(victim)
            must_be_seen(self._run.unseen)
            text = f"a member that was {how} is replaced after about {seconds} s"
            return ProbeAnswer(fact, str(seconds), text)
        trouble = await self._why("")
        if trouble:
            return ProbeAnswer(fact, "", trouble)
        if self._run.clock.now() < began + REFILL_SECONDS:
            return ProbeAnswer(fact, "", "the time of the probe was up")
        text = f"a member that was {how} is not replaced within {REFILL_SECONDS / 60:.0f} min"
        return ProbeAnswer(fact, NEVER, text)

    async def _zero(self) -> list[ProbeAnswer]:
        """Set the pool to 0. A refusal counts once another edit is accepted at the same time."""
        try:
            await self._put(0)
        except Rejected as error:
            if isinstance(error, Forbidden | NotFound) or not is_no(error):
                raise
            said = error.message or str(error)
            if not await self._refuses_zero_alone():
                return [ProbeAnswer("zero", "accepted", "a pool can be set to 0")]
            text = f"DigitalOcean refuses to set a pool to 0 (“{said}”)"
            return [ProbeAnswer("zero", "refused", text)]
        return [await self._at_zero()]

    async def _refuses_zero_alone(self) -> bool:
        """Return whether 0 stays refused while another edit is accepted.

        Within a cooldown that refuses every edit, a refusal of 0 says nothing.
        """
        if self._free:
            return True
        other = len(self._order) + 1
        await self._set(other, f"to set the pool to {other}")
        if not self._refuses:
            return True
        # Edits are refused for a while: wait until one would be accepted, and try 0 once more.
        await self._grown(other, CARRIED_OUT)
        await self._run.pause(COOLDOWN_SECONDS)
        try:
            await self._put(0)
        except Rejected as error:
            if not is_no(error):
                raise
            return True
        return (await self._at_zero()).answer != "accepted"

    async def _at_zero(self) -> ProbeAnswer:
        """See whether the pool shows 0 and has no members."""

        began = self._run.clock.now()

        async def look() -> str | None:
            config = (await self._run.api.pool(self._id)).get("config") or {}
            if config.get("target_number_instances"):
                # An edit may show late.
                return "ignored" if self._run.clock.now() - began > AT_ONCE else None
            return None if await self._look() else "accepted"

        seen = await self._run.until(ZERO_SECONDS, look)
        if seen == "accepted":
            return ProbeAnswer(
                "zero", "accepted", "a pool can be set to 0: its members are removed"
            )
        if seen == "ignored":
            return ProbeAnswer("zero", "ignored", "a pool accepts 0 and keeps its number")
        if self._run.clock.now() >= self._run.ends_at:
            raise NotKnown("the time of the probe was up before the members were removed")
        text = f"a pool accepts 0 and keeps its members for {ZERO_SECONDS / 60:.0f} min"
        return ProbeAnswer("zero", "ignored", text)


async def _may_create(run: ProbeRun) -> bool:
    """Return whether the tried token has droplet:create, by a request that creates nothing.

    It names neither a size nor an image, so that only the scope can be accepted.
    """
    assert run.tried is not None, "there is one to try"
    try:
        await ThrowawayWrites(run.tried).create_droplet({})
    except Forbidden as error:
        if error.status == 401:
            raise NotKnown("the token that was tried is not valid") from None
        return False
    except Rejected as error:
        if is_no(error):
            return True
        raise
    return True


async def _must_update(run: ProbeRun, droplet: int) -> None:
    """Raise NotKnown if the tried token may not act on droplets either: then that is its no."""
    assert run.tried is not None, "there is one to try"
    try:
        # The droplet is on, so this changes nothing.
        await ThrowawayWrites(run.tried).droplet_action(droplet, "power_on")
    except Forbidden:
        raise NotKnown(
            "the token that was tried lacks droplet:update too: try one that has it"
        ) from None
    except Rejected as error:
        if not is_no(error):
            raise


def _unknown(facts: tuple[str, ...], so_far: list[ProbeAnswer], why: str) -> list[ProbeAnswer]:
    known = {answer.fact for answer in so_far}
    return [ProbeAnswer(fact, "", why) for fact in facts if fact not in known]
