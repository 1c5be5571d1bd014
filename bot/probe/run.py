"""The command: its tokens, what is chosen, and the terminal."""

import argparse
import asyncio
import contextlib
import getpass
import os
import signal
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

from bot import logs
from bot.clusters import ClusterAdapters
from bot.options import read_settings
from bot.probe.arguments import TOKEN, TRIED_TOKEN
from bot.probe.command import ProbeChoice, ProbeCommand
from bot.probe.journal import journal_beside
from bot.probe.questions import NoSuchQuestion, chosen_questions
from config.settings import SettingsError, secret_variable
from config.values import Settings
from handlers.slack.markup import markup
from services.cloud.clients.http import HttpClient
from services.common.errors import BotError

STOPPED = 130  # the exit code


def run(options: argparse.Namespace) -> int:
    """Run `openvidu-bot probe`; return the exit code."""
    settings = read_settings(options, secrets=False)
    logs.set_up(settings, quiet=True)
    try:
        choice = choice_of(options, settings, os.environ)
    except NoSuchQuestion as error:
        sys.stderr.write(f"{error}.\n")
        return 1
    return asyncio.run(cancelled_by_signals(_run(settings, choice, options)))


async def cancelled_by_signals(work: Coroutine[Any, Any, int]) -> int:
    """Do the work; a closed terminal or a `kill` cancels it, so that it deletes what it created.

    Only the first one, as what it began to delete must be deleted.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    asked = (signal.SIGHUP, signal.SIGTERM)

    def stop() -> None:
        for other in asked:
            loop.add_signal_handler(other, lambda: None)
        task.cancel()

    try:
        # Only the main thread has signals.
        with contextlib.suppress(ValueError, RuntimeError):
            for each in asked:
                loop.add_signal_handler(each, stop)
        return await task
    except asyncio.CancelledError:
        if asyncio.current_task().cancelling():  # type: ignore[union-attr]
            raise
        return STOPPED
    finally:
        for each in asked:
            with contextlib.suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(each)


async def _run(settings: Settings, choice: ProbeChoice, options: argparse.Namespace) -> int:
    adapters = ClusterAdapters(options.clock, HttpClient())
    journal = journal_beside(settings.state.path)
    command = ProbeCommand(settings, choice, adapters, journal, say, ask)
    try:
        return await command.run()
    except BotError as error:
        say(f"{error}.")
        return 1
    finally:
        await adapters.http.aclose()


def choice_of(
    options: argparse.Namespace, settings: Settings, env: Mapping[str, str]
) -> ProbeChoice:
    """Return what the options choose, with the tokens. SettingsError where they do not fit."""
    token = secret_variable(env, TOKEN) or _typed_token()
    own = {
        cluster.secrets.digitalocean_token.get_secret_value()
        for cluster in settings.clusters.values()
        if cluster.secrets.digitalocean_token
    }
    if token in own and not options.production_token:
        raise SettingsError(
            [
                f"{TOKEN}: found a token that the bot uses; required: one for the probe alone "
                "(--production-token allows it)"
            ]
        )
    for option in ("bucket", "try_token_of"):
        name = getattr(options, option)
        if name and name not in settings.clusters:
            clusters = ", ".join(settings.clusters)
            flag = f"--{option.replace('_', '-')}"
            raise SettingsError([f"{flag}: found {name}; allowed: {clusters}"])
    return ProbeChoice(
        questions=chosen_questions(options.names),
        token=token,
        tried=_tried_token(options.try_token_of, settings, env),
        region=options.region,
        bucket=options.bucket,
        yes=options.yes,
        clean=options.clean,
    )


def _tried_token(cluster: str, settings: Settings, env: Mapping[str, str]) -> str:
    if not cluster:
        return secret_variable(env, TRIED_TOKEN) or ""
    secret = settings.clusters[cluster].secrets.digitalocean_token
    if secret is None:
        raise SettingsError([f"--try-token-of: {cluster} has no DigitalOcean token here"])
    return secret.get_secret_value()


def _typed_token() -> str:
    token = ""
    if sys.stdin.isatty():
        prompt = "DigitalOcean token for the probe alone (hidden, never stored): "
        token = getpass.getpass(prompt, stream=sys.stderr).strip()
    if not token:
        raise SettingsError([f"{TOKEN}: not set; required: a DigitalOcean token for the probe"])
    return token


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{markup(text)}\n")
    sys.stdout.flush()


async def ask(question: str) -> bool:
    """Ask for y or yes; anything else means no."""
    try:
        answer = await asyncio.to_thread(input, f"{question} [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")
