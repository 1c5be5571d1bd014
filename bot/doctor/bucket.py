"""The bucket that holds secrets.env: listing, reading, and with --write-probe also writing an object of the doctor's own."""

from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, Finding, failed, fine, skipped, wrong
from bot.doctor.context import Case, Patient
from services.cloud.secrets_bucket import Objects
from services.common.errors import BotError, NotFound
from services.secrets_env import Harm, SecretsFile, findings, remedy, would
from services.store.port import new_id

SECRETS = "secrets.env"
SHOWN = 5
PROBE = "openvidu-bot/doctor/"


def checks(case: Case) -> Iterator[Check]:
    """For each cluster that names one."""
    for patient in case.patients:
        yield Check(
            f"{patient.name}: bucket",
            partial(_bucket, patient, write=case.write_probe),
            seconds=60.0,
        )


async def _bucket(patient: Patient, *, write: bool) -> Sequence[Finding]:
    name = f"{patient.name}: bucket"
    if patient.bucket is None:
        return [
            skipped(
                name, "clusters.NAME.spaces is not set: secrets.env cannot be changed from chat"
            )
        ]
    try:
        await patient.bucket.list("openvidu-bot/")
        content, _ = await patient.bucket.get(SECRETS)
    except NotFound as error:
        said = f"{error.cause}, so no {SECRETS}" if error.cause else f"there is no {SECRETS} in it"
        return [
            wrong(
                name,
                said,
                error.remedy
                or "name the deployment's cluster-data bucket (<STACK>-space-clusterdata-...)",
            )
        ]
    there = fine(name, f"lists and reads; {SECRETS} is there ({len(content)} bytes)")
    found = [there, *_file(f"{patient.name}: {SECRETS}", SecretsFile(content))]
    writing = f"{name}: writing"
    return [
        *found,
        await _write(writing, patient.bucket)
        if write
        else skipped(writing, "--write-probe was not said"),
    ]


def _file(name: str, file: SecretsFile) -> Sequence[Finding]:
    """Whether masters and media nodes can start with it: lines and keys, never values."""
    bad = findings(file)
    if bad:
        return [wrong(name, f"{would([f])}: {f}", remedy(bad)) for f in bad[:SHOWN]]
    lesser = len([p for p in file.problems() if p.harm is not Harm.IGNORED])
    more = (
        f"; {lesser} values are not read as they stand: `/openvidu config list`" if lesser else ""
    )
    return [
        fine(name, f"masters and media nodes can start with it ({len(file.names())} keys){more}")
    ]


async def _write(name: str, bucket: Objects) -> Finding:
    key = f"{PROBE}{new_id()}"
    try:
        await bucket.put(key, b"written by openvidu-bot doctor --write-probe\n")
        await bucket.get(key)
        await bucket.delete(key)
    except BotError as error:
        return failed(name, error)
    return fine(name, "an object of the doctor's own was put, read and deleted")
