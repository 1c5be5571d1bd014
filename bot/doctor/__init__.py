"""`openvidu-bot doctor`: checks everything that the settings name; prints findings and remedies.

It changes nothing. A new check is a module with `checks(context)`, listed in `PARTS`.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bot import logs
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
from bot.doctor.check import Check, CheckFinding, examine, exit_code, fine, whereabouts, wrong
from bot.doctor.context import DoctorContext, open_context
from bot.doctor.probes import ask_on_the_terminal, probe
from bot.doctor.report import as_json, closing, line
from bot.options import read_settings
from config.settings import SettingsError, check_secrets
from config.values import Settings
from handlers.slack.markup import markup
from services.common.clock import Clock
from services.secrets_env.mask import Masker


def run(options: argparse.Namespace) -> int:
    """Run `openvidu-bot doctor`; return the exit code."""
    settings = read_settings(options, secrets=False)
    logs.set_up(settings, quiet=True)
    try:
        return asyncio.run(_chosen(options, settings))
    except BrokenPipeError:
        return 2  # the reader of the output has exited
    except Exception as error:  # noqa: BLE001 - a traceback helps no operator and may hold a secret
        sys.stderr.write(
            f"the doctor itself failed: {whereabouts(error)}; "
            "this is the bot's own fault, report it\n"
        )
        return 2


def _chosen(options: argparse.Namespace, settings: Settings) -> Coroutine[Any, Any, int]:
    if options.probe:
        return probing(settings, options.clock)
    return doctor(settings, options.clock, json=options.json, write_probe=options.write_probe)


def secrets(context: DoctorContext) -> Iterator[Check]:
    """Yield the check for the secrets that the settings call for."""
    yield Check("secrets", partial(_secrets, context))


async def _secrets(context: DoctorContext) -> Sequence[CheckFinding]:
    try:
        check_secrets(context.settings)
    except SettingsError as error:
        remedy = "set it in the environment or in the file of --env-file"
        return [
            wrong(f"secrets: {problem.partition(':')[0]}", problem.partition(": ")[2], remedy)
            for problem in error.problems
        ]
    return [fine("secrets", "every secret that the settings call for is there")]


PARTS: tuple[Callable[[DoctorContext], Iterator[Check]], ...] = (
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
    """Run all checks and print their findings; return the exit code."""
    findings: list[CheckFinding] = []
    masker = Masker(logs.secrets_of(settings))
    async with open_context(settings, clock, write_probe=write_probe) as context:
        async for finding in examine(checks(context)):
            # Masked last: a check may repeat a secret in an error.
            masked = replace(finding, said=masker(markup(finding.said)))
            masked = replace(masked, remedy=masker(markup(masked.remedy)))
            findings.append(masked)
            if not json:
                _print(line(masked))
    if json:
        _print(as_json(findings))
    else:
        _print(closing(findings))
    return exit_code(findings)


async def probing(settings: Settings, clock: Clock) -> int:
    """Run the probes that the user confirms; return 2 if one of them got no answer, else 0."""
    async with open_context(settings, clock) as context:
        unanswered = await probe(context, ask_on_the_terminal, _print)
    if unanswered:
        return 2
    return 0


def checks(context: DoctorContext) -> list[Check]:
    """Return all checks."""
    return [check for part in PARTS for check in part(context)]


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
