"""Checks the bucket of secrets.env: list, read, and with --write-probe also write an object."""

from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, Finding, failed, fine, skipped, wrong
from bot.doctor.context import Case, Patient
from services.cloud.secrets_bucket import Objects
from services.common.errors import BotError, NotFound
from services.secrets_env import Harm, SecretsFile, remedy, would
from services.secrets_env import findings as fatal_problems
from services.store.port import new_id

SECRETS = "secrets.env"
SHOWN = 5
PROBE = "openvidu-bot/doctor/"


def checks(case: Case) -> Iterator[Check]:
    """Yield one check for each cluster."""
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
        return [_missing(name, error)]
    readable = fine(name, f"lists and reads; {SECRETS} is there ({len(content)} bytes)")
    findings = [readable, *_file(f"{patient.name}: {SECRETS}", SecretsFile(content))]
    writing = f"{name}: writing"
    if write:
        return [*findings, await _write(writing, patient.bucket)]
    return [*findings, skipped(writing, "--write-probe was not said")]


def _missing(name: str, error: NotFound) -> Finding:
    problem = f"there is no {SECRETS} in it"
    if error.cause:
        problem = f"{error.cause}, so no {SECRETS}"
    usual = "name the deployment's cluster-data bucket (<STACK>-space-clusterdata-...)"
    return wrong(name, problem, error.remedy or usual)


def _file(name: str, file: SecretsFile) -> Sequence[Finding]:
    """Check whether nodes can start with the file; findings name lines and keys, never values."""
    fatal = fatal_problems(file)
    if fatal:
        return [wrong(name, f"{would([f])}: {f}", remedy(fatal)) for f in fatal[:SHOWN]]
    text = f"masters and media nodes can start with it ({len(file.names())} keys)"
    lesser = len([p for p in file.problems() if p.harm is not Harm.IGNORED])
    if lesser:
        text += f"; {lesser} values are not read as they stand: `/openvidu config list`"
    return [fine(name, text)]


async def _write(name: str, bucket: Objects) -> Finding:
    key = f"{PROBE}{new_id()}"
    try:
        await bucket.put(key, b"written by openvidu-bot doctor --write-probe\n")
        await bucket.get(key)
        await bucket.delete(key)
    except BotError as error:
        return failed(name, error)
    return fine(name, "an object of the doctor's own was put, read and deleted")
