"""`openvidu-bot doctor`: checks everything that the settings name; prints findings and remedies.

It changes nothing, except what `--fix` lists. A new check is a module with `checks(context)`,
listed in `PARTS`.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TextIO

from bot import logs
from bot.doctor import (
    account_facts,
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
from bot.doctor.check import (
    Check,
    CheckFinding,
    attributed,
    examine,
    exit_code,
    fine,
    whereabouts,
    wrong,
)
from bot.doctor.context import DoctorContext, open_context
from bot.doctor.fixes import applied, channel_fixes, local_fixes, offered, secrets_file_fixes
from bot.doctor.live_checks import ask_on_the_terminal, live_checks
from bot.doctor.names import ids_of_names
from bot.doctor.report import as_json, closing, report
from bot.doctor.slack import CHANNEL
from bot.options import found_files, given_files, load_settings
from bot.settings_files import FoundFiles
from config.env_file import with_env_file
from config.settings import SettingsError, check_secrets
from config.values import Settings
from handlers.slack.markup import markup
from services.common.clock import Clock
from services.secrets_env.mask import Masker


def run(options: argparse.Namespace) -> int:
    """Run `openvidu-bot doctor`; return the exit code."""
    files = found_files(options)
    early = list(secrets_file_fixes(files))
    lines = offered(early)
    if options.fix:
        lines = asyncio.run(applied(early))
    say = partial(_say, to=sys.stderr if options.json else sys.stdout)
    say(files.line)
    if files.passed_over:
        say(files.passed_over)
    for text in lines:
        say(text)
    settings = _settings(files)
    logs.set_up(settings, quiet=True)
    try:
        return asyncio.run(_chosen(options, settings, say))
    except BrokenPipeError:
        return 2  # the reader of the output has exited
    except Exception as error:  # noqa: BLE001 - a traceback helps no operator and may hold a secret
        sys.stderr.write(
            f"doctor failed: {whereabouts(error)}. This is a bug of openvidu-bot: report it.\n"
        )
        return 2


def _settings(files: FoundFiles) -> Settings:
    """Read the settings. SettingsError with the Slack ids of names that stand for them."""
    try:
        return load_settings(files)
    except SettingsError as error:
        problems = list(error.problems)
    with contextlib.suppress(SettingsError):
        env = with_env_file(files.secrets, os.environ)
        problems += asyncio.run(ids_of_names(files.settings, env))
    raise SettingsError(problems)


def _chosen(
    options: argparse.Namespace, settings: Settings, say: Callable[[str], None]
) -> Coroutine[Any, Any, int]:
    if options.live_checks:
        return checking_live(settings, options.clock)
    return doctor(settings, options, say)


def secrets(context: DoctorContext) -> Iterator[Check]:
    """Yield the check for the secrets that the settings call for."""
    yield Check("secrets", partial(_secrets, context))


async def _secrets(context: DoctorContext) -> Sequence[CheckFinding]:
    try:
        check_secrets(context.settings)
    except SettingsError as error:
        remedy = "set it in bot.env or in the environment"
        return [
            wrong(f"secrets: {problem.partition(':')[0]}", problem.partition(": ")[2], remedy)
            for problem in error.problems
        ]
    return [fine("secrets", "all set")]


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
    account_facts.checks,
    clocks.checks,
    calendars.checks,
)


async def doctor(
    settings: Settings, options: argparse.Namespace, say: Callable[[str], None]
) -> int:
    """Run all checks and print their findings; return the exit code."""
    findings: list[CheckFinding] = []
    masker = Masker(logs.secrets_of(settings))
    async with open_context(settings, options.clock, write_probe=options.write_probe) as context:
        fixes = list(local_fixes(settings))
        if options.fix:
            for text in await applied([*fixes, *await channel_fixes(context)]):
                say(masker(text))
        todo = checks(context)
        progress = DoctorProgress(len(todo))
        async for finding in examine(todo, progress.advance):
            # Masked last: a check may repeat a secret in an error.
            masked = replace(finding, said=masker(markup(finding.said)))
            findings.append(replace(masked, remedy=masker(markup(masked.remedy))))
        progress.clear()
        if not options.fix and any(f.name.startswith(f"{CHANNEL} ") for f in findings if f.remedy):
            fixes += await channel_fixes(context)
    findings = attributed(findings)
    if options.json:
        _print(as_json(findings))
        return exit_code(findings)
    _print(f"\n{report(findings, verbose=options.verbose)}\n")
    if not options.fix:
        for text in offered(fixes):
            say(masker(text))
    _print(closing(findings, given_files(options)))
    return exit_code(findings)


class DoctorProgress:
    """Shows how many checks are done, on a terminal only."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._live = sys.stderr.isatty()

    def advance(self) -> None:
        """Count one more check."""
        self._done += 1
        if self._live:
            sys.stderr.write(f"\rChecked {self._done} of {self._total} ")
            sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


async def checking_live(settings: Settings, clock: Clock) -> int:
    """Run the live checks that the user confirms; return 2 if one got no answer, else 0."""
    async with open_context(settings, clock) as context:
        unanswered = await live_checks(context, ask_on_the_terminal, _print)
    if unanswered:
        return 2
    return 0


def checks(context: DoctorContext) -> list[Check]:
    """Return all checks."""
    return [check for part in PARTS for check in part(context)]


def _say(text: str, *, to: TextIO) -> None:
    to.write(f"{text}\n")
    to.flush()


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
