"""The addresses that stand for "it serves": each master's health page, the public address, LiveKit."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.case import Case, Patient
from bot.doctor.check import Check, Finding, fine, skipped, unknown, wrong
from services.cluster import Fact
from services.errors import Forbidden, Rejected, Unreachable
from services.seen import NotSeen, Observed


def checks(case: Case) -> Iterator[Check]:
    """For each cluster."""
    for patient in case.patients:
        yield Check(f"{patient.name}: health", partial(_health, patient), seconds=60.0)
        yield Check(f"{patient.name}: LiveKit", partial(_livekit, patient))


async def _health(patient: Patient) -> Sequence[Finding]:
    cluster = await patient.world.observe(frozenset({Fact.HEALTH, Fact.FRONT}))
    off = sum(not m.active for m in cluster.masters)
    ill = [m.name for m in cluster.masters if m.active and not m.well]
    well = len(cluster.masters) - off - len(ill)
    name = f"{patient.name}: health pages"
    found = []
    if ill:
        remedy = f"see whether {patient.settings.health_url} is the right address and port 7880 is open to this machine"
        found.append(wrong(name, f"{', '.join(ill)} {'does' if len(ill) == 1 else 'do'} not answer 200", remedy))
    elif well:
        found.append(fine(name, f"{well} masters answer 200{f', {off} are off' if off else ''}"))
    else:
        found.append(skipped(name, "no master is on"))
    return [*found, _front(patient, cluster.front, all_off=not well and not ill)]


def _front(patient: Patient, front: Observed[bool], *, all_off: bool) -> Finding:
    name = f"{patient.name}: public address"
    if front is True:
        return fine(name, f"{patient.settings.public_url} answers")
    if all_off:
        return skipped(name, "no master is on")
    why = f": {front.reason}" if isinstance(front, NotSeen) and front.since else ""
    remedy = "correct clusters.NAME.public_url, or fix the load balancer or DNS"
    return wrong(name, f"{patient.settings.public_url} does not answer{why}", remedy)


async def _livekit(patient: Patient) -> Sequence[Finding]:
    name = f"{patient.name}: LiveKit"
    if patient.people is None:
        return [skipped(name, "livekit_url is not set: how many meetings are running stays unknown")]
    try:
        async with asyncio.timeout(15):
            load = await patient.people.load()
    except Forbidden as error:
        return [wrong(name, str(error), "take LIVEKIT_API_KEY and LIVEKIT_API_SECRET from the deployment's secrets.env")]
    except Rejected as error:
        return [wrong(name, str(error), "correct clusters.NAME.livekit_url")]
    except (Unreachable, TimeoutError) as error:
        said = str(error) or "no answer within 15 s"
        return [unknown(name, said, "fine while the cluster is down; else see whether livekit_url is right")]
    return [fine(name, f"tells of {load['rooms']} meetings with {load['participants']} people")]
