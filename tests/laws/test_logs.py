"""What the bot writes: no secret, and whose line it is."""

import asyncio
import json
import logging
import sys
from pathlib import Path

import yaml

from bot.logs import LineFormatter, RunLogger, secrets_of
from config.settings import load
from services.access.policy import Actor
from services.common.context import task_context
from services.procedures import Shutdown
from services.procedures.plan import make_plan
from services.runs.progress import Progress
from services.runs.run import Opened, fold
from services.secrets_env.mask import Masker
from tests.support.clusters import ready

TOKEN = "dop_v1_" + "5ec2e7" * 4


def line(text: str, *, as_json: bool = False, secrets: tuple[str, ...] = ()) -> str:
    try:
        raise ValueError(f"inside of {TOKEN}")
    except ValueError:
        record = logging.LogRecord(
            "bot.test", logging.WARNING, __file__, 1, text, (), sys.exc_info()
        )
    return LineFormatter(as_json=as_json, masker=Masker(secrets)).format(record)


def test_no_secret_gets_out_not_even_in_a_traceback() -> None:
    for as_json in (False, True):
        said = line(f"asking with {TOKEN}", as_json=as_json, secrets=(TOKEN,))
        assert TOKEN not in said
        assert "asking with •••" in said
        assert "ValueError" in said


def test_every_secret_of_the_settings_is_known(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    cluster = {"stack": "acme", "region": "ams3", "public_url": "https://meet.example.com"}
    file.write_text(yaml.safe_dump({"clusters": {"acme": cluster}}))
    env = {
        name: f"value-of-{name}"
        for name in (
            "SLACK_BOT_TOKEN",
            "SLACK_APP_TOKEN",
            "SLACK_SIGNING_SECRET",
            "DIGITALOCEAN_TOKEN",
        )
    }
    env |= {"LIVEKIT_API_SECRET": "value-of-livekit", "SPACES_SECRET_ACCESS_KEY": "value-of-spaces"}
    found = set(
        secrets_of(load(file, env | {"REDIS_URL": "redis://:the-password@redis.example.com/0"}))
    )
    assert found >= {*env.values(), "the-password"}


def test_a_line_names_its_run_or_person() -> None:
    async def about(run: str = "", actor: str = "") -> dict[str, str]:
        context = task_context(run=run, actor=actor)
        return await asyncio.create_task(logged(), context=context)

    async def logged() -> dict[str, str]:
        fields: dict[str, str] = json.loads(line("looked", as_json=True))
        return fields

    run = fold([Opened(1.0, "acme-18", make_plan(ready(3), Shutdown()), Actor("UANA"), (), "")])
    RunLogger().run(Progress(run, None, "", None, "", 1.0))
    fields = asyncio.run(about(run="acme-18"))
    assert (fields["run"], fields["actor"]) == ("acme-18", "UANA"), "the requester of the run"
    assert asyncio.run(about(run="acme-17"))["run"] == "acme-17"
    assert asyncio.run(about(actor="U012AB"))["actor"] == "U012AB"
    assert not {"run", "actor"} & asyncio.run(about()).keys()
    assert "run" not in json.loads(line("no loop here", as_json=True))
