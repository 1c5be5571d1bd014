"""Whether a droplet that is powered on is resized."""

from bot.probe.session import LOST_SECONDS, Json, NotKnown, ProbeAnswer, ProbeRun, is_no
from services.common.errors import BotError, Forbidden, Rejected, Unreachable

READY_SECONDS = 300.0
RESIZE_SECONDS = 600.0
PENDING_SECONDS = 120.0
PENDING = "pending event"


async def resize_answer(run: ProbeRun) -> ProbeAnswer:
    """Request a resize of a droplet that is on, and see what becomes of it."""
    try:
        return await _DropletProbe(run).answer()
    except (NotKnown, BotError) as error:
        return ProbeAnswer("resize_on", "", str(error))


class _DropletProbe:
    def __init__(self, run: ProbeRun) -> None:
        self._run = run
        assert run.estimate.sizes is not None, "a size was chosen"
        self._larger = run.estimate.sizes.larger.slug
        self._id = 0

    async def answer(self) -> ProbeAnswer:
        await self._create()
        refusal = await self._request()
        if refusal:
            return await self._refused(refusal)
        ended = await self._run.until(RESIZE_SECONDS, self._ended)
        if ended is None:
            raise NotKnown(f"the resize did not end within {RESIZE_SECONDS / 60:.0f} min")
        if ended["size_slug"] != self._larger:
            raise NotKnown("the resize ended without a new size")
        if ended["status"] == "off":
            text = "a droplet that is on is powered off for a resize and has to be powered on"
            return ProbeAnswer("resize_on", "powers_off", text)
        return ProbeAnswer("resize_on", "stays_on", "a droplet that is on stays on during a resize")

    async def _create(self) -> None:
        body = {"name": f"{self._run.tag}-resize", **self._run.template()}
        try:
            with self._run.creating():
                self._id = int((await self._run.writes.create_droplet(body))["id"])
        except Unreachable as error:
            if error.sent is False:
                raise
            found = await self._run.until(LOST_SECONDS, self._find)
            if found is None:
                raise
            self._id = int(found["id"])
        self._run.saw({self._id})

        async def ready() -> Json | None:
            droplet = await self._find()
            return droplet if _is(droplet, "active") else None

        if await self._run.until(READY_SECONDS, ready) is None:
            raise NotKnown("the droplet was not ready within 5 min")

    async def _find(self) -> Json | None:
        name = f"{self._run.tag}-resize"
        droplets = await self._run.api.droplets()
        return next((d for d in droplets if d.get("name") == name), None)

    async def _request(self) -> str:
        """Request the resize; return the refusal, "" if it was accepted.

        A pending event is waited for: it is refused whatever is requested.
        """
        refusals: list[str] = []

        async def attempt() -> str | None:
            try:
                await self._run.writes.droplet_action(
                    self._id, "resize", size=self._larger, disk=False
                )
            except Forbidden:
                raise
            except Rejected as error:
                if not is_no(error):
                    raise
                said = error.message or str(error)
                refusals[:] = [said]
                return None if PENDING in said.lower() else said
            return ""

        refusal = await self._run.until(PENDING_SECONDS, attempt)
        if refusal is None:
            raise NotKnown(f"DigitalOcean refused the resize (“{refusals[-1]}”)")
        return refusal

    async def _ended(self) -> Json | None:
        """Return the droplet once its resize has ended, whichever way."""
        actions = await self._run.api.actions(self._id)
        newest = next((a for a in actions if a.get("type") == "resize"), None)
        if newest is None or newest.get("status") == "in-progress":
            return None
        if newest.get("status") == "errored":
            raise NotKnown("the resize ended in an error, without a reason")
        droplet = await self._find()
        # The status follows a few seconds after the action.
        if droplet is None or droplet.get("locked") or droplet["size_slug"] != self._larger:
            return None
        await self._run.clock.sleep(15.0)
        return await self._find()

    async def _refused(self, refusal: str) -> ProbeAnswer:
        """Power the droplet off and request the same: only then was it refused for being on."""
        await self._run.writes.droplet_action(self._id, "power_off")

        async def off() -> Json | None:
            droplet = await self._find()
            return droplet if _is(droplet, "off") else None

        if await self._run.until(READY_SECONDS, off) is None:
            raise NotKnown("the droplet was not powered off within 5 min")
        if again := await self._request():
            raise NotKnown(
                f"DigitalOcean refuses the resize also of a powered-off droplet (“{again}”)"
            )
        text = f"a droplet that is on is not resized (“{refusal}”)"
        return ProbeAnswer("resize_on", "refused", text)


def _is(droplet: Json | None, status: str) -> bool:
    return droplet is not None and droplet["status"] == status and not droplet.get("locked")
