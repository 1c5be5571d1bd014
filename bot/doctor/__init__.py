"""`openvidu-bot doctor`: looks at everything that the settings name, and says line by line what is fine, what is not, and the remedy.

Nothing is changed anywhere. A new check is a module with `checks(case)` and its name in `PARTS`; what it finds are plain values.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from bot.doctor import (
    addresses,
    bucket,
    calendars,
    clocks,
    cloud,
    hours,
    nodes,
    oncall,
    slack,
    state,
)
from bot.doctor.check import Check, Finding, examine, exit_code, fine, wrong
from bot.doctor.context import Case, open_case
from bot.doctor.probes import ask_on_the_terminal, probe
from bot.doctor.report import as_json, closing, line
from bot.logs import secrets_of
from config.settings import SettingsError, check_secrets
from config.values import Settings
from handlers.slack.markup import markup
from services.common.clock import Clock
from services.secrets_env.mask import Masker


def secrets(case: Case) -> Iterator[Check]:
    """Whether the secrets are there that the settings call for."""
    yield Check("secrets", partial(_secrets, case))


async def _secrets(case: Case) -> Sequence[Finding]:
    try:
        check_secrets(case.settings)
    except SettingsError as error:
        remedy = "set it in the environment or in the file of --env-file"
        return [
            wrong(f"secrets: {problem.partition(':')[0]}", problem.partition(": ")[2], remedy)
            for problem in error.problems
        ]
    return [fine("secrets", "every secret that the settings call for is there")]


PARTS: tuple[Callable[[Case], Iterator[Check]], ...] = (
    secrets,
    slack.checks,
    oncall.checks,
    cloud.checks,
    nodes.checks,
    addresses.checks,
    bucket.checks,
    hours.checks,
    state.checks,
    clocks.checks,
    calendars.checks,
)


async def doctor(
    settings: Settings, clock: Clock, *, json: bool = False, write_probe: bool = False
) -> int:
    """Look at everything and print it; returns the exit code."""
    found: list[Finding] = []
    masker = Masker(secrets_of(settings))
    async with open_case(settings, clock, write_probe=write_probe) as case:
        async for finding in examine(checks(case)):
            clean = replace(
                finding, said=masker(markup(finding.said)), remedy=masker(markup(finding.remedy))
            )  # last, whatever a check may have repeated
            found.append(clean)
            if not json:
                _print(line(clean))
    _print(as_json(found) if json else closing(found))
    return exit_code(found)


async def probing(settings: Settings, clock: Clock) -> int:
    """Try out what only a real account answers, each after a yes; 2 when something said yes to could not be answered."""
    async with open_case(settings, clock) as case:
        return 2 if await probe(case, ask_on_the_terminal, _print) else 0


def checks(case: Case) -> list[Check]:
    """Everything there is to look at."""
    return [check for part in PARTS for check in part(case)]


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
