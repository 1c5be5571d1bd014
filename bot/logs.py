"""What is written to stderr: one line per event, as text or JSON, with the run or the person it is about, and no secret in it."""

import asyncio
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
from services.runs.executor import Progress
from services.runs.request import Request
from services.runs.run import Run
from services.secrets_env.mask import Masker

log = logging.getLogger(__name__)
REMEMBERED = 100

# Tasks are named after what they are for; that name is all it takes to tell whose lines are whose.
ABOUT = re.compile(
    r"^(?:run|card of|lease) (?P<run>[a-z0-9-]+-\d+)$|^(?:.+ of|.+ by) (?P<actor>[UW][A-Z0-9]+)$"
)

ASKED_BY: dict[str, str] = {}  # who is behind the runs that were heard of last

# Ours follow the settings. Libraries speak only when something is wrong: some of them print bodies and headers below that.
OURS = ("bot", "handlers", "services")
QUIET = {
    "apscheduler": logging.ERROR,
    "asyncio": logging.WARNING,
    "botocore": logging.WARNING,  # prints the id of the access key below that
    "slack_sdk": logging.WARNING,
    "slack_bolt": logging.ERROR,
}


def set_up(settings: Settings, *, quiet: bool = False) -> None:
    """Send everything to stderr as the settings say; `quiet`: warnings only, for commands that speak on stdout."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        Lines(as_json=settings.log.format == "json", masker=Masker(secrets_of(settings)))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel("WARNING" if quiet else settings.log.level.upper())
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)


def secrets_of(value: BaseModel) -> Iterator[str]:
    """Every secret in the settings, and the password inside of a Redis address."""
    for name in type(value).model_fields:
        held = getattr(value, name)
        if isinstance(held, SecretStr):
            yield held.get_secret_value()
            yield from _passwords(held.get_secret_value())
        for inner in held.values() if isinstance(held, dict) else (held,):
            if isinstance(inner, BaseModel):
                yield from secrets_of(inner)


def _passwords(text: str) -> Iterator[str]:
    """What stands before the last @ of an address, in every way that it may be repeated: also of an address that cannot be read."""
    password = text.partition("://")[2].rpartition("@")[0].partition(":")[2]
    # Without percent-encoding, libraries take a password's parts for something else, and quote them alone.
    yield from (
        part for part in (password, unquote(password), *re.split(r"[#/?@:]", password)) if part
    )


class Lines(logging.Formatter):
    """Formats records; masks last, so that nothing on the way can put a secret back."""

    def __init__(self, *, as_json: bool, masker: Masker) -> None:
        super().__init__()
        self._as_json = as_json
        self._masker = masker

    def format(self, record: logging.LogRecord) -> str:
        line = self._json(record) if self._as_json else self._text(record)
        return self._masker(markup(line))

    def _text(self, record: logging.LogRecord) -> str:
        about = "".join(f" [{value}]" for value in about_now().values())
        line = f"{_stamp(record.created)} {record.levelname.lower()} {record.name}{about}: {record.getMessage()}"
        return f"{line}\n{self._trace(record)}" if record.exc_info else line

    def _json(self, record: logging.LogRecord) -> str:
        told = {
            "at": _stamp(record.created),
            "level": record.levelname.lower(),
            "from": record.name,
            "text": record.getMessage(),
            **about_now(),
        }
        if record.exc_info:
            told["trace"] = self._trace(record)
        return json.dumps(told, ensure_ascii=False)

    def _trace(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info else ""


class RunLogger:
    """Writes down what becomes of requests and runs: one line for each step and state, not for each look."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def request(self, request: Request) -> None:
        """A request was made, approved, rejected or has expired."""
        who, plan = request.closed_by or request.requester, request.plan
        log.info(
            "request %s: %s of %s, %s by %s",
            request.id[:8],
            plan.procedure.words(),
            plan.cluster,
            request.state,
            who.user,
        )

    def run(self, progress: Progress) -> None:
        """A run moved."""
        run = progress.run
        _remember(run)
        doing = (
            run.stopped or run.end_text
            if run.over or run.stopped
            else run.step.title()
            if run.step
            else "finishing"
        )
        said = f"{run.state}: {doing or run.plan.procedure.words()}"
        if self._said.get(run.id) != said:
            self._said[run.id] = said
            log.info("%s %s", run.id, said)
        while len(self._said) > REMEMBERED:
            del self._said[next(iter(self._said))]


def _remember(run: Run) -> None:
    ASKED_BY[run.id] = run.requester.user
    while len(ASKED_BY) > REMEMBERED:
        del ASKED_BY[next(iter(ASKED_BY))]


def about_now() -> dict[str, str]:
    """The run and the person that the code running now works for, when its task says so: of a run, who asked for it."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return {}
    found = ABOUT.match(task.get_name()) if task is not None else None
    about = {name: value for name, value in found.groupdict().items() if value} if found else {}
    asked_by = ASKED_BY.get(about.get("run", ""))
    return {**about, "actor": asked_by} if asked_by else about


def _stamp(moment: float) -> str:
    return (
        datetime.fromtimestamp(moment, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
