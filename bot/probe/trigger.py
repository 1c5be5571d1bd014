"""Whether a token may enable and disable a function's trigger."""

import uuid
from contextlib import suppress

from bot.probe.session import Json, NotKnown, ProbeAnswer, ProbeRun
from services.cloud.clients.throwaway import ThrowawayWrites
from services.common.errors import BotError, Forbidden, NotFound, Rejected

WITHIN = 120.0
NAME = "openvidu-bot-probe"


async def trigger_answer(run: ProbeRun) -> ProbeAnswer:
    """Create a trigger that is disabled, in a namespace of its own, and put that state again."""
    try:
        async with run.clock.timeout(WITHIN):
            answer, text = await _answer(run)
    except TimeoutError:
        answer, text = "", f"no answer within {WITHIN:.0f} s"
    except (NotKnown, BotError) as error:
        answer, text = "", str(error)
    return ProbeAnswer("trigger", answer, text)


async def _answer(run: ProbeRun) -> tuple[str, str]:
    with suppress(NotFound):  # the scope to delete it, before it is created
        await run.writes.delete_namespace(f"fn-{uuid.uuid4()}")
    await run.note_namespace()
    with run.creating():
        namespace = await run.writes.create_namespace(run.tag, run.estimate.region)
    body: Json = {
        "name": NAME,
        "function": "probe/none",
        "type": "SCHEDULED",
        "is_enabled": False,
        "scheduled_details": {"cron": "0 0 1 1 *", "body": {}},
    }
    try:
        await run.writes.create_trigger(namespace, body)
    except Forbidden:
        raise
    except Rejected as error:
        why = error.message or str(error)
        raise NotKnown(f"DigitalOcean creates no trigger without a function (“{why}”)") from None
    tried = ThrowawayWrites(run.tried) if run.tried is not None else run.writes
    whose = "the token that was tried" if run.tried is not None else "the probe's token"
    try:
        await tried.set_trigger(namespace, NAME, enabled=False)
    except Forbidden as error:
        if error.status == 401:
            raise NotKnown(f"{whose} is not valid") from None
        return "denied", f"{whose} may not change a trigger: function:admin may be needed"
    return "allowed", f"{whose} may enable and disable a trigger"
