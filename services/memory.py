"""What the bot remembers of a cluster between runs: its media number, a refused zero, host keys."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from services.books import Books, Fence, book_key, read_book
from services.chain import Chain
from services.clock import Clock
from services.cluster import Autoscaler, Cluster, FleetKind, FleetSeen
from services.errors import Unreachable
from services.store import Commit, Store
from services.store.origin import used_key
from services.wire import read_json

NOTED_EVERY = 3600.0
EVENINGS = 120  # closings that are remembered
KNOWN_AGAIN = (FleetKind.POOL, FleetKind.FIXED, FleetKind.AUTOSCALER)


class Memory:
    """Small facts in the state store, by cluster or droplet."""

    def __init__(self, store: Store, chain: Chain) -> None:
        self._store = store
        self.books = Books(store, chain)
        self.groups = KnownGroups(store)

    async def add_to(self, cluster: Cluster) -> Cluster:
        """The cluster with what is remembered of it."""
        pool = cluster.pool.id if cluster.pool else ""
        name = cluster.name
        media, zero, book, paused, seen, evenings = await self._store.get(
            f"media:{name}", f"zero:{pool}", book_key(name), f"pause:{name}", f"kind:{name}", f"evenings:{name}"
        )
        known: dict[str, Any] = json.loads(media) if media else {"number": None}
        kept = read_book(book).windows
        await self._note_kind(cluster, seen)
        return replace(
            cluster,
            remembered=known["number"],
            remembered_ids=tuple(known.get("ids", ())),
            zero_refused=zero is not None,
            windows=tuple(w.words() for w in kept),
            window_versions=tuple((w.name, w.version) for w in kept),
            last_seen=_seen(seen),
            evenings=_evenings(evenings),
            autoscaler=_with_pause(cluster.autoscaler, paused),
        )

    async def last_kind(self, name: str) -> FleetKind:
        """What kept its media nodes when that was last seen; a pool where nothing else ever was."""
        seen = _seen((await self._store.get(f"kind:{name}"))[0])
        return seen.kind if seen else FleetKind.POOL

    async def _note_kind(self, cluster: Cluster, text: str | None) -> None:
        """Where nothing keeps media nodes any more, only this tells what did."""
        seen, kind = _seen(text), cluster.kind
        if cluster.problem or kind not in KNOWN_AGAIN or (seen is None and kind is FleetKind.POOL):
            return  # a pool is never absent without a trace
        if seen is None or seen.kind is not kind or (cluster.media and cluster.seen_at - seen.at > NOTED_EVERY):
            note = json.dumps([kind.value, len(cluster.media), cluster.seen_at])
            await self._store.commit(Commit(checks={f"kind:{cluster.name}": text}, puts={f"kind:{cluster.name}": note}))

    # What a run notes of itself. `fence`: the lease that must still stand, or nothing is written and the answer is False.

    async def note_target(self, cluster: Cluster, number: int, fence: Fence, *, remember: int) -> bool:
        """Before the pool's number is set, keep how many media nodes the next start-up brings back: as the plan says, however often."""
        if remember < 1:
            return True
        note = json.dumps({"number": remember, "down": number < remember})
        return await self._store.commit(Commit(checks=dict(fence), puts={f"media:{cluster.name}": note}))

    async def note_media(self, cluster: Cluster, ids: tuple[int, ...], fence: Fence) -> bool:
        """Before droplets that stay are powered off on a way down, keep which, as the plan says. None: they are on again."""
        key = f"media:{cluster.name}"
        (text,) = await self._store.get(key)
        known = json.loads(text) if text else {"number": None}
        known = {"number": len(ids), "ids": list(ids)} if ids else known
        note = json.dumps({**known, "down": bool(ids)})
        return await self._store.commit(Commit(checks={**fence, key: text}, puts={key: note}))

    async def note_pause(self, cluster: Cluster, run: str, fence: Fence, *, frozen: bool) -> bool:
        """Before the autoscaler is paused, keep which run does, and when."""
        note = json.dumps({"run": run, "at": cluster.seen_at, "frozen": frozen})
        return await self._store.commit(Commit(checks=dict(fence), puts={f"pause:{cluster.name}": note}))

    async def forget_pause(self, cluster: Cluster, fence: Fence) -> bool:
        """No run of ours keeps it paused."""
        return await self._store.commit(Commit(checks=dict(fence), puts={f"pause:{cluster.name}": None}))

    async def note_evening(self, name: str, evening: tuple[str, float, bool]) -> None:
        """How long people met after a window's closing began. Noted once, by the name of its edge."""
        key = f"evenings:{name}"
        (text,) = await self._store.get(key)
        known = _evenings(text)
        if all(edge != evening[0] for edge, _, _ in known):
            note = json.dumps([*known, evening][-EVENINGS:])
            await self._store.commit(Commit(checks={key: text}, puts={key: note}))

    async def zero_was_refused(self, cluster: Cluster) -> None:
        """DigitalOcean does not take 0 for this pool: the next plan says so."""
        if cluster.pool is not None:
            await self._store.commit(Commit(puts={f"zero:{cluster.pool.id}": "refused"}))


def _seen(note: str | None) -> FleetSeen | None:
    if not note:
        return None
    kind, media, at = json.loads(note)
    return FleetSeen(FleetKind(kind), media, at)


def _evenings(note: str | None) -> tuple[tuple[str, float, bool], ...]:
    """What is recorded of closings; a damaged record only costs the prediction, and begins anew."""
    with suppress(ValueError, TypeError):
        return tuple((str(edge), float(lasted), bool(ended)) for edge, lasted, ended in json.loads(note or "[]"))
    return ()


def _with_pause(autoscaler: Autoscaler | None, note: str | None) -> Autoscaler | None:
    """What is remembered of a pause counts only while it is paused."""
    if autoscaler is None or autoscaler.enabled or not note:
        return autoscaler
    known = json.loads(note)
    return replace(autoscaler, paused_by=known["run"], paused_at=known["at"], frozen=known["frozen"])


@dataclass(frozen=True)
class CardPlace:
    """Where a card stands in Slack, how many of the run's events its thread has told, and whether its final state is shown."""

    channel: str
    ts: str
    told: int = 0
    final: bool = False
    unattended: bool = False  # last changed by a process without Slack: whoever has it shows what becomes of it
    # Where the channel is closed: person, conversation and ts of what they read instead, and what these show. Under a key of its own:
    # 0.1.0 cannot read a card with more in it.
    copies: tuple[tuple[str, str, str], ...] = field(default=(), metadata={"stored": False})
    copied: str = field(default="", metadata={"stored": False})


def _place(text: str, copies: str | None) -> CardPlace:
    """As it was stored, by this version or another one."""
    known = {f.name for f in fields(CardPlace) if f.metadata.get("stored", True)}
    place = CardPlace(**{key: value for key, value in json.loads(text).items() if key in known})
    if copies is None:
        return place
    said = json.loads(copies)
    return replace(place, copies=tuple((str(u), str(c), str(t)) for u, c, t in said["copies"]), copied=str(said["copied"]))


def _texts(place: CardPlace) -> tuple[str, str | None]:
    """What is stored of it: the card, and its copies where there are any."""
    said = asdict(place)
    copies = {f.name: said.pop(f.name) for f in fields(CardPlace) if not f.metadata.get("stored", True)}
    return json.dumps(said), json.dumps(copies) if any(copies.values()) else None


def card_keys(name: str) -> tuple[str, str]:
    """Where the card of a request or run is remembered, and its copies."""
    return f"card:{name}", f"copies:{name}"


class CardPlaces:
    """Which message shows which request or run: edited, never posted anew, by whichever bot drives it."""

    OPEN = "cards"

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, name: str) -> CardPlace | None:
        """The place of the card of a request or run."""
        text, copies = await self._store.get(*card_keys(name))
        return _place(text, copies) if text else None

    async def put(self, name: str, place: CardPlace) -> None:
        """Remember it; and in the same act that it is open until its final state has been shown."""
        said = dict(zip(card_keys(name), _texts(place), strict=True))
        while True:
            (text,) = await self._store.get(self.OPEN)
            names = json.loads(text or "[]")
            after = [n for n in names if n != name] if place.final else list(dict.fromkeys([*names, name]))
            puts = {**said, **({self.OPEN: json.dumps(after)} if after != names else {})}
            if await self._store.commit(Commit(checks={self.OPEN: text}, puts=puts)):
                return

    async def unfinished(self) -> list[str]:
        """Cards whose final state has not been shown yet."""
        (text,) = await self._store.get(self.OPEN)
        return list(json.loads(text or "[]"))


@dataclass(frozen=True)
class Viewer:
    """Somebody who has opened App Home, and until when it is kept true for them."""

    user: str
    team: str
    enterprise: str
    until: float


class Homes:
    """Who has App Home open: kept true by whichever bot is there, so that none goes on showing what was so before a restart."""

    KEY = "homes"
    MOST = 200

    def __init__(self, store: Store) -> None:
        self._store = store

    async def viewers(self, now: float) -> list[Viewer]:
        """Those whose Home is kept true now."""
        (text,) = await self._store.get(self.KEY)
        return [v for raw in json.loads(text or "[]") if (v := Viewer(*raw)).until > now]

    async def opened(self, viewer: Viewer, now: float) -> None:
        """Remember it. The newest count when there are very many."""
        while True:
            (text,) = await self._store.get(self.KEY)
            kept = [raw for raw in json.loads(text or "[]") if raw[0] != viewer.user and raw[3] > now]
            after = json.dumps([*kept, [viewer.user, viewer.team, viewer.enterprise, viewer.until]][-self.MOST :])
            if await self._store.commit(Commit(checks={self.KEY: text}, puts={self.KEY: after})):
                return


class ClosedChannels:
    """Which channels take no message of the bot: one list for all bots."""

    KEY = "doors"

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> tuple[str | None, dict[str, Any]]:
        """As it is stored, and what it says."""
        (text,) = await self._store.get(self.KEY)
        return text, json.loads(text or "{}")

    async def write(self, before: str | None, after: str) -> bool:
        """In the place of what was read. False: it was changed meanwhile."""
        return await self._store.commit(Commit(checks={self.KEY: before}, puts={self.KEY: after}))


class EscalationNotes:
    """What has come of everything that waits for people, by cluster: one list for all bots."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, cluster: str) -> tuple[str | None, dict[str, Any]]:
        """As it is stored, and what it says."""
        (text,) = await self._store.get(f"escalations:{cluster}")
        return text, dict(read_json(text, {}, f"what waits for people of {cluster}"))

    async def write(self, cluster: str, before: str | None, after: Mapping[str, Any]) -> bool:
        """In the place of what was read. False: it was changed meanwhile."""
        key = f"escalations:{cluster}"
        return await self._store.commit(Commit(checks={key: before}, puts={key: json.dumps(after) if after else None}))


@dataclass(frozen=True)
class Unanswered:
    """Something that a bot took and did not answer. `sure`: it was confirmed; `newest`: its sender has sent nothing since."""

    name: str
    what: dict[str, str | float]
    sure: bool
    newest: bool


class Intake:
    """Commands and presses that were taken, so that none is forgotten when a bot dies over it. Taking one is a single round trip."""

    LOG = "intake"
    SEEN = "intake:seen"
    KEPT = 3600.0  # seconds after which nobody waits for an answer any more

    def __init__(self, store: Store) -> None:
        self._store = store

    def taking(self, name: str, what: Mapping[str, str | float], seconds: float, trigger: str = "") -> Commit:
        """What stores it, once for each trigger, and holds it; sent again, as the same commit, when the first answer was lost."""
        hand, seen = f"hand:{name}", f"seen:trigger:{trigger}"
        once = {seen: "1"} if trigger else {}
        ttl = {hand: seconds} | dict.fromkeys(once, self.KEPT)
        note = json.dumps({**what, "name": name})  # its own name, whatever it is about
        return Commit(checks=dict.fromkeys(once, None), puts={hand: "1", **once}, ttl=ttl, appends=[(self.LOG, note)])

    async def take(self, taking: Commit) -> bool:
        """Store it; only then say that it was taken. False: it came before, and some bot has it."""
        return await self._store.commit(taking)

    async def hold(self, name: str, seconds: float) -> None:
        """It is worked on, and its sender was not told otherwise: for so long others leave it alone."""
        hand, sure = f"hand:{name}", f"sure:{name}"
        await self._store.commit(Commit(puts={hand: "1", sure: "1"}, ttl={hand: seconds, sure: self.KEPT}))

    async def claim(self, name: str, seconds: float) -> bool:
        """Take it up from whoever does not hold it any more. False: another was first."""
        hand = f"hand:{name}"
        return await self._store.commit(Commit(checks={hand: None}, puts={hand: "1"}, ttl={hand: seconds}))

    async def answered(self, name: str) -> None:
        """It has its answer."""
        key = f"answered:{name}"
        await self._store.commit(Commit(puts={key: "1"}, ttl={key: 2 * self.KEPT}))

    async def unanswered(self, now: float, most: int = 100) -> list[Unanswered]:
        """What nobody answered and nobody holds. Each is returned until it counts as answered, or is an hour old."""
        (seen,) = await self._store.get(self.SEEN)
        position = start = int(seen or 0)
        left: list[Unanswered] = []
        pending = False  # one before it is open still: where to begin the next time
        notes = [json.loads(text) for text in await self._store.read(self.LOG, start, most)]
        last = {str(note["user"]): number for number, note in enumerate(notes)}
        for number, note in enumerate(notes):
            name = str(note["name"])
            done, hand, sure = await self._store.get(f"answered:{name}", f"hand:{name}", f"sure:{name}")
            if done is None and now - float(note["at"]) < self.KEPT:
                pending = True
                if hand is None:
                    left.append(Unanswered(name, note, sure is not None, last[str(note["user"])] == number))
            elif not pending:
                position += 1
        if position != start:
            await self._store.commit(Commit(checks={self.SEEN: seen}, puts={self.SEEN: str(position)}))
        return left


async def first_time(store: Store, name: str, within: float = 3600.0) -> bool:
    """True once per name within that many seconds: Slack delivers events again, also to another bot."""
    return await store.commit(Commit(checks={f"seen:{name}": None}, puts={f"seen:{name}": "1"}, ttl={f"seen:{name}": within}))


class KnownGroups:
    """Who was in which user group, as one bot was told: the others need not ask."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, groups: Iterable[str]) -> list[tuple[str, str]]:
        """What is noted of these groups, as far as anything is."""
        names = list(groups)
        texts = await self._store.get(*(f"members:{g}" for g in names))
        return [(g, text) for g, text in zip(names, texts, strict=True) if text is not None]

    async def put(self, group: str, text: str) -> None:
        """Note it, until something newer is known or it is of no use any more."""
        key = f"members:{group}"
        await self._store.commit(Commit(puts={key: text}, ttl={key: 86400.0}))


class HostKeys:
    """SSH host keys, pinned per droplet id: a pool's members are new hosts each time, and addresses are reused."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, droplet_id: int) -> str | None:
        """The pinned key, if this droplet was seen before. That it was of use today is noted: one that is not for long goes."""
        key, used = await self._store.get(f"hostkey:{droplet_id}", used_key(droplet_id))
        now = self._clock.now()
        if key is not None and (used is None or now - float(used) > 86400.0):
            with suppress(Unreachable):  # reading works without it
                await self._store.commit(Commit(checks={used_key(droplet_id): used}, puts={used_key(droplet_id): f"{now:.0f}"}))
        return key

    async def put(self, droplet_id: int, key: str) -> None:
        """Pin the key of a droplet that is seen for the first time."""
        pin, used = f"hostkey:{droplet_id}", used_key(droplet_id)
        await self._store.commit(Commit(checks={pin: None}, puts={pin: key, used: f"{self._clock.now():.0f}"}))
