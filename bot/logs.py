"""The log on stderr: a line per event, as text or JSON, with its run or person, no secrets."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import unquote

from pydantic import BaseModel, SecretStr

from config.values import Settings
from handlers.slack.markup import markup
from services.common.context import current_work
from services.runs.progress import Progress
from services.runs.request import Request
from services.runs.run import Run
from services.secrets_env.mask import Masker

log = logging.getLogger(__name__)
MAX_REMEMBERED = 100  # runs

REQUESTERS: dict[str, str] = {}  # of the runs logged last

# Our loggers follow the settings. Libraries log problems only: below that some of them print bodies
# and headers.
OURS = ("bot", "handlers", "services")
QUIET = {
    "apscheduler": logging.ERROR,
    "asyncio": logging.WARNING,
    "botocore": logging.WARNING,  # below that it prints the id of the access key
    "slack_sdk": logging.WARNING,
    "slack_bolt": logging.ERROR,
}


def set_up(settings: Settings, *, quiet: bool = False) -> None:
    """Log to stderr as the settings say.

    `quiet`: warnings only, for commands that print to stdout.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        LineFormatter(as_json=settings.log.format == "json", masker=Masker(secrets_of(settings)))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    level = "WARNING" if quiet else settings.log.level.upper()
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)


def secrets_of(value: BaseModel) -> Iterator[str]:
    """Yield every secret in the settings, also the password inside a Redis address."""
    for name in type(value).model_fields:
        field = getattr(value, name)
        if isinstance(field, SecretStr):
            yield field.get_secret_value()
            yield from _passwords(field.get_secret_value())
        elif isinstance(field, BaseModel):
            yield from secrets_of(field)
        elif isinstance(field, dict):
            for inner in field.values():
                if isinstance(inner, BaseModel):
                    yield from secrets_of(inner)


def _passwords(text: str) -> Iterator[str]:
    """Yield the password of an address in every form that a library may print.

    Also for an address that cannot be parsed: what precedes its last @ counts.
    """
    password = text.partition("://")[2].rpartition("@")[0].partition(":")[2]
    # Libraries parse a password that is not percent-encoded as several parts, and print one alone.
    forms = (password, unquote(password), *re.split(r"[#/?@:]", password))
    yield from filter(None, forms)


class LineFormatter(logging.Formatter):
    """Formats records. Masks last, so that no earlier step can put a secret back."""

    def __init__(self, *, as_json: bool, masker: Masker) -> None:
        super().__init__()
        self._as_json = as_json
        self._masker = masker

    def format(self, record: logging.LogRecord) -> str:
        if self._as_json:
            return self._masker(markup(self._json(record)))
        return self._masker(markup(self._text(record)))

    def _text(self, record: logging.LogRecord) -> str:
        about = "".join(f" [{value}]" for value in about_now().values())
        head = f"{_stamp(record.created)} {record.levelname.lower()} {record.name}{about}"
        line = f"{head}: {record.getMessage()}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line

    def _json(self, record: logging.LogRecord) -> str:
        fields = {
            "at": _stamp(record.created),
            "level": record.levelname.lower(),
            "from": record.name,
            "text": record.getMessage(),
            **about_now(),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


class RunLogger:
    """Logs requests and runs: one line for each new step and state."""

    def __init__(self) -> None:
        self._logged: dict[str, str] = {}

    def request(self, request: Request) -> None:
        """Log a request that was made, approved, rejected or has expired."""
        actor, plan = request.closed_by or request.requester, request.plan
        log.info(
            "request %s: %s on %s, %s by %s",
            request.id[:8],
            plan.procedure.command_line(),
            plan.cluster,
            request.state,
            actor.user,
        )

    def run(self, progress: Progress) -> None:
        """Log a run whose state or step changed."""
        run = progress.run
        _remember(run)
        text = f"{run.state}: {_activity(run) or run.plan.procedure.command_line()}"
        if self._logged.get(run.id) != text:
            self._logged[run.id] = text
            log.info("%s %s", run.id, text)
        while len(self._logged) > MAX_REMEMBERED:
            del self._logged[next(iter(self._logged))]


def _activity(run: Run) -> str:
    """Return what the run does now, or how it ended."""
    if run.over or run.stopped:
        return run.stopped or run.end_text
    if run.step:
        return run.step.title()
    return "finishing"


def _remember(run: Run) -> None:
    REQUESTERS[run.id] = run.requester.user
    while len(REQUESTERS) > MAX_REMEMBERED:
        del REQUESTERS[next(iter(REQUESTERS))]


def about_now() -> dict[str, str]:
    """Return the run and the person that the running code works for: of a run, its requester."""
    work = current_work()
    actor = REQUESTERS.get(work.run) or work.actor
    return {name: value for name, value in (("run", work.run), ("actor", actor)) if value}


def _stamp(moment: float) -> str:
    return (
        datetime.fromtimestamp(moment, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
