"""`openvidu-bot probe` as it is typed, over real sockets: asks, answers, stores, cleans up."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.command_line import run
from bot.demo.world import DemoWorld
from bot.doctor import account_facts
from bot.doctor.check import CheckVerdict, examine
from bot.doctor.context import open_context
from bot.probe.arguments import TOKEN
from bot.probe.journal import journal_beside
from config.settings import load
from config.values import Settings
from services.memory.account_facts import read_facts
from services.store.sqlite import SqliteStore
from tests.e2e.test_doctor import clock_of
from tests.support.real_sockets import running_world

PROBE_TOKEN = "dop_v1_probe"  # a pretend one
SPEED = 100.0


async def typed(world: DemoWorld, words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command in this process; return exit code and output."""
    clock = world.clock
    options = ["--config", str(world.settings_file), "--env-file", "-"]
    options += ["--clock", f"{clock.speed}:{clock.origin}:{clock.started}"]
    code = await asyncio.to_thread(run, [*words, *options])
    text = capsys.readouterr()
    return f"{code}\n{text.out}{text.err}"


async def _doctor(world: DemoWorld, settings: Settings) -> tuple[CheckVerdict, str]:
    """Return the doctor's first finding about probes."""
    async with open_context(settings, clock_of(world)) as context:
        findings = [f async for f in examine(list(account_facts.checks(context)))]
    return findings[0].verdict, findings[0].said


def test_as_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story() -> None:
        async with running_world(tmp_path, SPEED) as world:
            for name, value in world.bot_environment().items():
                monkeypatch.setenv(name, value)
            settings = load(world.settings_file, world.bot_environment())
            token_file = tmp_path / "token"
            token_file.write_text(f"{PROBE_TOKEN}\n")
            world.environment.digitalocean.tokens.add(PROBE_TOKEN)
            probe = ("probe", "zero", "conditional-writes", "trigger-scope", "--bucket", "acme")

            without = await typed(world, probe, capsys)
            assert f"{TOKEN}: not set; required: a DigitalOcean token" in without

            monkeypatch.setenv(TOKEN, "dop_v1_sim")
            assert "found a token that the bot uses" in await typed(world, probe, capsys)
            monkeypatch.delenv(TOKEN)

            monkeypatch.setenv(f"{TOKEN}_FILE", str(token_file))
            monkeypatch.setattr("builtins.input", lambda _question: "no")
            refused = await typed(world, probe, capsys)
            assert refused.startswith("1\n")
            assert "Nothing was created." in refused
            assert not [r for r in world.estate.requests if r[0] != "GET"]

            mistyped = await typed(world, ("probe", "zeroo"), capsys)
            assert "there is no question zeroo (did you mean zero?)" in mistyped

            # A bot has the state: the answers wait beside it until it is free.
            bot = SqliteStore(settings.state.path, clock_of(world))
            answered = await typed(world, (*probe, "--yes"), capsys)
            assert answered.startswith("0\n"), answered
            for text in (
                "zero: a pool can be set to 0",
                "if_match: honoured",
                "trigger: allowed",
                "A bot uses the state, so the answers wait in",
            ):
                assert text in answered
            assert re.search(r"seen: \d{4}-\d\d-\d\d\n", answered)
            await bot.aclose()

            cleaned = await typed(world, ("probe", "--clean"), capsys)
            assert "answers of an earlier probe are stored" in cleaned
            assert "Nothing is left of any probe." in cleaned
            assert not journal_beside(settings.state.path).path.exists()
            store = SqliteStore(settings.state.path, clock_of(world))
            seed = world.estate.seed % 65536
            facts = await read_facts(store, f"5df3e3004a17e242b7c20ca6c9fc25b701a4{seed:04x}")
            await store.aclose()
            assert facts.answer("zero") == "accepted"

            # The doctor names what is open, and what was left.
            kind, finding = await _doctor(world, settings)
            assert kind is CheckVerdict.SKIPPED
            assert "not known: pool-scope, cooldown, removal, refill, resize-on:" in finding
            assert finding.endswith("openvidu-bot probe answers it")
            template = {"region": "ams3", "size": "s-1vcpu-1gb", "tags": []}
            world.estate.create_droplet("openvidu-bot-probe-0badcafe-resize", template)
            kind, finding = await _doctor(world, settings)
            assert kind is CheckVerdict.WRONG
            assert "of a probe left, which costs money: droplet openvidu-bot-probe-" in finding
            assert "Nothing is left" in await typed(world, ("probe", "--clean"), capsys)

            assert world.estate.violations == []
            assert not [d for d in world.estate.droplets.values() if "probe" in d.name]
            assert not [p for p in world.estate.pools.values() if "probe" in p.name]
            output = "".join((without, refused, mistyped, answered, cleaned))
            for secret in (PROBE_TOKEN, *world.estate.canaries):
                assert secret not in output

    asyncio.run(story())
