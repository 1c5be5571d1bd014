"""What people type: each row is what is typed, and what happens or what is answered."""

import re
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.commands import COMMANDS, InstantCommand
from handlers.commands.about import VersionCommand, WhoAmI
from handlers.commands.audit import Audit
from handlers.commands.catalog import SYNONYMS, TOPICS, CommandGroup, Rank, listed, opposite
from handlers.commands.config import ConfigSet
from handlers.commands.cost import Cost
from handlers.commands.help import Help
from handlers.commands.holds import HoldCommand
from handlers.commands.logs import Logs
from handlers.commands.parser import ParsedCommand, parse
from handlers.commands.run_control import Abandon, Cancel, HowToCancel, Resume
from handlers.commands.scale_by import ScaleBy
from handlers.commands.status import Runs, ShowStatus
from handlers.commands.stored import stored_command
from handlers.commands.suggestions import hint, mistakes
from handlers.commands.typed_words import quote_word, split_words
from handlers.commands.waiting import HowToApprove, HowToReject
from handlers.commands.why import Why
from handlers.commands.windows import KeepUpCommand, ListWindows
from handlers.slack.client import ReplyTarget
from services.common.command import Command
from services.common.errors import Refused
from services.procedures import (
    AddWindow,
    Procedure,
    ResizeMasters,
    Restart,
    Scale,
    Shutdown,
    Start,
    Startup,
    Stop,
    Upgrade,
)
from tests.support import virtual
from tests.support.clusters import law
from tests.support.entry_points import sample_command
from tests.support.scene import Scene

STATUS, DOWN, UP = ShowStatus(), Shutdown(), Startup()
NBSP, ZERO_WIDTH = "\N{NO-BREAK SPACE}", "\N{ZERO WIDTH SPACE}"


def plan_of(procedure: Procedure, reason: str = "") -> ParsedCommand:
    """A synonym of a command that changes something only shows its plan."""
    return ParsedCommand(procedure, reason=reason, dry=True)


UNDERSTOOD: list[tuple[str, ParsedCommand | Command]] = [
    # Synonyms of commands that change something.
    *((word, plan_of(DOWN)) for word in ("stop", "off", "down", "halt", "turn off", "power off")),
    *((word, plan_of(UP)) for word in ("start", "on", "up", "turn on", "bring up")),
    ("start 3 --reason launch", plan_of(Startup(3), reason="launch")),
    ("stop --media-only", plan_of(Shutdown(media_only=True))),
    ("reboot master 1", plan_of(Restart("master-1"))),
    # The same letters are the same command.
    ("shut down", DOWN),
    ("start up 3", Startup(3)),
    ("keep up until 22:00", KeepUpCommand("until 22:00")),
    # Synonyms of commands that only read.
    *((word, STATUS) for word in ("people", "meetings", "users", "nodes", "Nodes?")),
    *((word, HowToCancel()) for word in ("undo", "abort")),
    ("abort acme-7", HowToCancel("acme-7")),
    *((word, HowToApprove()) for word in ("approve", "confirm")),
    ("approve 3f2a", HowToApprove("3f2a")),
    ("reject", HowToReject()),
    ("history", Runs()),
    ("who approved", Audit()),
    ("windows", ListWindows()),
    ("savings", Cost()),
    ("version", VersionCommand()),
    ("whoami", WhoAmI()),
    ("who am i", WhoAmI()),
    ("why", Why()),
    # Without a name: the one open run.
    ("cancel", Cancel()),
    ("resume", Resume()),
    ("abandon", Abandon()),
    ("cancel acme-7", Cancel("acme-7")),
    # Numbers and nodes.
    ("scale +1", ScaleBy("+1")),
    ("scale \N{MINUS SIGN}1", ScaleBy("-1")),
    ("scale \N{EN DASH}1 --no-drain", ScaleBy("-1", no_drain=True)),
    ("scale up by 1", ScaleBy("+1")),
    ("scale down by 2", ScaleBy("-2")),
    ("scale to 4", Scale(4)),
    ("scale up to 4", Scale(4)),
    ("restart master 1", Restart("master-1")),
    ("restart Master1", Restart("master-1")),
    ("stop media2", Stop("media-2")),
    ("upgrade to 3.7.0", Upgrade("3.7.0")),
    ("resize masters to s-8vcpu-16gb", ResizeMasters("s-8vcpu-16gb")),
    ("status Media 2", ShowStatus("media-2")),
    # Help.
    *((typed, Help()) for typed in ("help", "--help", "-h", "?", "HELP", "—help")),
    *((f"{typed}", Help("shutdown")) for typed in ("help shutdown", "shutdown help")),
    *((f"{typed}", Help("shutdown")) for typed in ("shutdown --help", "shutdown -h", "help halt")),
    ("help stop", Help("stop")),
    ("stop master 2", Stop("master-2")),
    ("start media-1", Start("media-1")),
    ("logs master 2 caddy --since 2h", Logs("master-2", "caddy", "2h")),
    ("logs media-1 --since=90m", Logs("media-1", since="90m")),
    ("shutdown --media-only -h", Help("shutdown")),
    ("help `shutdown`", Help("shutdown")),
    ("hold --help", Help("hold")),
    ("help all", Help("all")),
    ("help --cluster acme", ParsedCommand(Help(), "acme")),
    ("shutdown --cluster acme -h", ParsedCommand(Help("shutdown"), "acme")),
    ("help power", Help("power")),
    ("help windows", Help("window")),
    ("help config set", Help("config set")),
    # Blanks, dashes and quotes as phones and keyboards write them.
    (f"shutdown{NBSP}--dry-run", ParsedCommand(DOWN, dry=True)),
    ("shutdown\N{IDEOGRAPHIC SPACE}\N{EM DASH}dry-run", ParsedCommand(DOWN, dry=True)),
    ("shutdown \N{HORIZONTAL BAR}dry\N{NON-BREAKING HYPHEN}run", ParsedCommand(DOWN, dry=True)),
    ("shutdown --Dry_Run", ParsedCommand(DOWN, dry=True)),
    (f"sca{ZERO_WIDTH}le 4", Scale(4)),
    (f"{ZERO_WIDTH}status", STATUS),
    ("status.", STATUS),
    *((f"{a}status{a}", STATUS) for a in ("`", "```", "*", "_", "~", '"', "'")),
    ("“status”", STATUS),
    *(
        (f"shutdown --reason {quoted}", ParsedCommand(DOWN, reason="trabajos de noche"))
        for quoted in (
            *("«trabajos de noche»", "« trabajos de noche »", "»trabajos de noche«"),
            *("“trabajos de noche”", "„trabajos de noche“", "”trabajos de noche”"),
            *("‘trabajos de noche’", "‚trabajos de noche‘", "‹trabajos de noche›"),
            *("「trabajos de noche」", "'trabajos de noche'", '"trabajos de noche"'),
            *('“trabajos de noche"', '"trabajos de noche”'),
        )
    ),
    ("shutdown --reason can’t --dry-run", ParsedCommand(DOWN, reason="can’t", dry=True)),
    ("shutdown --reason can't --dry-run", ParsedCommand(DOWN, reason="can't", dry=True)),
    ("shutdown --reason “work — ams3”", ParsedCommand(DOWN, reason="work — ams3")),
    ('shutdown --reason "“a” — b"', ParsedCommand(DOWN, reason="“a” — b")),
    ('shutdown --reason "--now"', ParsedCommand(DOWN, reason="--now")),
    ("hold “exam — week” until 20h", HoldCommand("exam — week until 20h")),
    ("window add nights Mon–Fri 20:00–07:30", AddWindow("nights Mon-Fri 20:00-07:30")),
    # What stands around a command.
    ("/openvidu status", STATUS),
    ("/openvidu /openvidu status", STATUS),
    ("openvidu status", STATUS),
    ("@openvidu: status", STATUS),
    (", status", STATUS),
    (": status", STATUS),
    ("— status", STATUS),
    ("/status", STATUS),
    # Said twice, and the same.
    ("status --cluster acme --cluster acme", ParsedCommand(STATUS, "acme")),
    ("keepup 90 minutes", KeepUpCommand("90 minutes")),
]


@pytest.mark.parametrize(
    ("typed", "meant"), UNDERSTOOD, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_is_typed_is_understood(typed: str, meant: ParsedCommand | Command) -> None:
    if isinstance(meant, Command):
        assert isinstance(meant, Procedure | InstantCommand)
        meant = ParsedCommand(meant)
    assert parse(typed) == meant


HELP = "`/openvidu help` lists the commands"
ANSWERED: list[tuple[str, str]] = [
    ("pause", f"“pause” is not a command; {HELP}"),
    ("stopp", "“stopp” is not a command; did you mean `/openvidu shutdown`?"),
    ("logs", "NODE is missing; usage: `/openvidu logs NODE [SERVICE] [--since 30m]`"),
    ("what is going on", "“what” is not a command; did you mean `/openvidu status`?"),
    ("is it down?", "“is” is not a command; did you mean `/openvidu status`?"),
    ("how many people are online", "“how” is not a command; did you mean `/openvidu status`?"),
    (
        "please shutdown the cluster",
        "“please” is not a command; did you mean `/openvidu help shutdown`?",
    ),
    ("ufreeze", f"“ufreeze” is not a command; {HELP}"),
    ("npark", f"“npark” is not a command; {HELP}"),
    ("windwo", "“windwo” is not a command; did you mean `/openvidu help window`?"),
    (
        "window forcast",
        "“window forcast” is not a command; did you mean `/openvidu window forecast`?",
    ),
    (
        "start --now",
        "“start” shows the plan only; to start at once, type `/openvidu startup --now`",
    ),
    ("scale +1 --now", "`scale +1` shows the plan only; with `--now`, write the number"),
    (
        "scale down 1",
        "“down 1” can be read in two ways: write `scale -1` or `scale 1`",
    ),
    (
        "shutdown at 20:00",
        "this was not understood: “at”, “20:00”; did you mean `/openvidu shutdown --at 20:00`?",
    ),
    (
        "shutdown --reason power work",
        'this was not understood: “work”; put the reason in quotes: --reason "power work"',
    ),
    (
        "shutdown --reason can’t --dry-run won’t",
        "this was not understood: “won’t”; usage: `/openvidu shutdown [--no-drain] [--media-only]`",
    ),
    (
        "shutdown --drain",
        "`shutdown` does not know --drain; usage: `/openvidu shutdown [--no-drain] [--media-only]`",
    ),
    ("startup --nwo", "`startup` does not know --nwo; usage: `/openvidu startup [MEDIA]`"),
    ("shutdown --no-drian", "`shutdown` does not know --no-drian; did you mean --no-drain?"),
    (
        "status --cluster acme --cluster beta, gamma",
        "`--cluster` is given twice, as “acme” and “beta,gamma”; use one of them",
    ),
    ("startup --reason a --reason b", "`--reason` is given twice; write one reason"),
    (
        "startup --at 20:00 --at 21:00",
        "`--at` is given twice, as “20:00” and “21:00”; use one of them",
    ),
    (
        "shutdown --reason “open",
        'a quote is not closed; write it as in `--reason "power work in ams3"`',
    ),
    ("config set", "KEY is missing; usage: `/openvidu config set KEY`"),
    ("scale", "NUMBER is missing; usage: `/openvidu scale NUMBER [--no-drain]`"),
    ("help xyzzy", f"there is no command “xyzzy”; {HELP}"),
    (
        "help shutdwn",
        "there is no command “shutdwn”; did you mean `/openvidu help shutdown`?",
    ),
]


@pytest.mark.parametrize(("typed", "answer"), ANSWERED)
def test_what_is_not_understood_is_answered(typed: str, answer: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(typed)
    assert str(refused.value) == answer
    for sentence in re.split(r"[.;:?] ", answer):
        assert len(sentence.split()) <= 20


# Hints

EDITS = st.sampled_from(["leave out", "double", "swap", "wrong"])


@st.composite
def typos(draw: st.DrawFn) -> tuple[str, str]:
    """Return a command or synonym, and a mistyped form of it."""
    words = {k.command: k.command for k in COMMANDS} | {
        w: c for c, ws in SYNONYMS.items() for w in ws
    }
    word = draw(st.sampled_from(sorted(words)))
    typed = word
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(typed) - 1))
        letter = draw(st.sampled_from(string.ascii_lowercase))
        typed = {
            "leave out": typed[:at] + typed[at + 1 :],
            "double": typed[:at] + typed[at] + typed[at:],
            "swap": typed[:at] + typed[at : at + 2][::-1] + typed[at + 2 :],
            "wrong": typed[:at] + letter + typed[at + 1 :],
        }[draw(EDITS)] or "x"
    return words[word], typed.strip() or "x"


@law
@given(typos())
def test_a_hint_never_changes_more_than_what_was_typed_nor_the_opposite(
    typo: tuple[str, str],
) -> None:
    command, typed = typo
    try:
        understood = parse(typed)
    except Refused as refused:
        named = re.findall(r"did you mean `/openvidu ([^`]+)`", str(refused))
    else:
        # A command, or a synonym that shows its plan.
        assert understood.command.command in TOPICS
        return
    for hinted in named:
        kind = next(k for k in sorted(TOPICS, key=len, reverse=True) if hinted.startswith(k))
        assert TOPICS[kind].rank <= TOPICS[command].rank, f"{typed} for {command}: {hinted}"
        assert not opposite(kind, command), f"{typed} for {command}: {hinted}"


@law
@given(st.lists(st.sampled_from([w for k in COMMANDS for w in k.command.split()]), max_size=4))
def test_no_synonym_of_a_change_acts(words: list[str]) -> None:
    """Whatever stands behind it."""
    for command, synonyms in SYNONYMS.items():
        for synonym in synonyms:
            try:
                parsed = parse(" ".join([synonym, *words]))
            except Refused:
                continue
            if parsed.command.command == synonym:
                continue  # `stop media-2`: the command of that name, with a node
            changes = isinstance(parsed.command, Procedure) or parsed.command.changes
            assert parsed.dry or not changes, f"{synonym} for {command}"


@law
@given(st.text(max_size=12), st.text(max_size=12))
def test_mistakes_are_counted_alike_from_both_sides(one: str, other: str) -> None:
    count = mistakes(one, other, 30)
    assert count == mistakes(other, one, 30)
    assert (count == 0) == (one == other)
    assert count <= max(len(one), len(other))
    assert min(count, 2) == min(mistakes(one, other, 1), 2)


def test_a_hint_is_a_command() -> None:
    assert hint(["shutdwon"]) == "shutdown"
    assert hint([""]) == hint(["xyzzy"]) == ""


# Words


@law
@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_a_quoted_word_is_read_as_it_is(words: list[str]) -> None:
    line = " ".join(["hold", *map(quote_word, words)])
    assert [w.text for w in split_words(line)][1:] == words


@law
@given(st.text(max_size=60), st.booleans())
def test_a_stored_command_is_read_as_what_it_was(reason: str, window: bool) -> None:
    """Whatever stands in a reason: it is taken up again from its text after a restart."""
    held = HoldCommand(f"x {reason.strip()} “why” --cluster beta")
    parsed = ParsedCommand(held, "acme", now=True)
    if window:
        added = AddWindow("nights Mon-Fri 20:00-07:30 --except 2026-12-24")
        parsed = ParsedCommand(added, "acme", reason.strip(), now=True)
    text = str(stored_command(parsed, {}, ReplyTarget("C", "U"))["text"])
    marks = str.maketrans({"<": "‹", ">": "›", "&": "+"})
    if not window:
        parsed = replace(parsed, command=HoldCommand(held.what.translate(marks)))
    if not re.search("&(lt|gt|amp);", reason):
        assert parse(text) == parsed


def test_what_an_earlier_version_stored_is_read() -> None:
    """It quoted as shells do."""
    typed = """shutdown --cluster acme --at 'Fri 22:00' --reason 'it'"'"'s time'"""
    assert parse(typed) == ParsedCommand(DOWN, "acme", "it's time", at="Fri 22:00")


@pytest.mark.parametrize(
    "typed",
    ["config sett hunter2", "config set A --reason hunter2 --reason b", "config list hunter2"],
)
def test_a_value_is_never_repeated(typed: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(typed)
    assert "hunter2" not in str(refused.value)
    assert parse("config set A hunter2").command == ConfigSet("A hunter2")


# The table

# Words of usage lines that are typed as they stand.
LITERAL = {"drift", "patch", "reason", "until", "for", "tonight", "tomorrow", "wait", "ask", "skip"}


def test_every_command_has_its_topic() -> None:
    assert {k.command for k in COMMANDS} == {*TOPICS}
    for command, topic in TOPICS.items():
        changes = topic.rank is not Rank.READING
        assert bool(topic.downtime) == bool(topic.approval) == changes, command
        assert parse(topic.example), command
    for kind in COMMANDS:
        changing = isinstance(parse(sample_command(kind)).command, Procedure)
        if changing or getattr(kind, "changes", False):
            assert TOPICS[kind.command].rank is not Rank.READING, kind.command


def test_help_lists_each_command_once() -> None:
    groups = listed(COMMANDS)
    shown = [k.command for kinds in groups.values() for k in kinds]
    assert sorted(shown) == sorted(k.command for k in COMMANDS if not k.hidden)
    assert all(groups[g] for g in CommandGroup)


def test_usage_shows_placeholders_and_not_prose() -> None:
    for kind in COMMANDS:
        usage = kind.usage().removeprefix(kind.command)
        words = {*re.findall(r"(?<!-)\b[a-z]{3,}", usage)}
        assert words <= LITERAL, usage


def test_sentences_of_help_are_short() -> None:
    for kind in COMMANDS:
        topic = TOPICS[kind.command]
        for text in (kind.summary(), topic.downtime, topic.approval):
            for sentence in re.split(r"[.;:] ", text):
                assert len(sentence.split()) <= 20, f"{kind.command}: {sentence}"


# In Slack


async def _answer(scene: Scene, typed: str, user: str = "UANA", channel: str = "COPS") -> str:
    """Type it, and return the private answer: its text and its blocks."""
    person = scene.person(user)
    before = {m.ts for m in person.visible_messages(channel)}
    await person.type_text(channel, f"/openvidu {typed}")
    new = await person.wait_for(
        lambda: next(
            (
                m
                for m in person.visible_messages(channel)
                if m.ts not in before and m.ephemeral_to == user and "Looking;" not in m.text
            ),
            None,
        ),
        300.0,
    )
    return f"{new.text}\n{new.blocks}"


def test_a_synonym_shows_the_plan_and_changes_nothing() -> None:
    async def story() -> None:
        async with Scene(pydo=False) as scene:
            stop = await _answer(scene, "stop")
            assert "“stop” means `/openvidu shutdown`" in stop
            assert "Shut down acme" in stop
            more = await _answer(scene, "scale +1")
            assert "acme has 3 media nodes; +1 makes 4. Type `/openvidu scale 4`" in more
            fewer = await _answer(scene, "scale -3")
            assert "caling to 0 is a shutdown" in fewer
            assert "nothing to cancel" in await _answer(scene, "abort")
            assert "No request waits for approval on acme" in await _answer(scene, "approve")
            await scene.wait(30)
            assert await scene.bot.operations.reader.open_run("acme") is None
            assert await scene.bot.operations.reader.waiting("acme") == []
            assert [r for r in scene.estate.requests if r[0] != "GET"] == []

    virtual.run(story())


def test_questions_are_answered_truly() -> None:
    async def story() -> None:
        async with Scene(pydo=False) as scene:
            version = await _answer(scene, "version")
            assert re.search(r"openvidu-bot \d+\.\d+.*, running on \S+ as process \d+", version)
            mine = await _answer(scene, "whoami")
            assert "You are <@UANA>" in mine
            assert "operator" in mine
            assert (
                "You may use power, capacity, configuration, secrets and windows commands" in mine
            )
            reader = await _answer(scene, "whoami", "UDORA")
            assert "viewer. You may read. Changes: only operators" in reader
            assert "Last run* none" in await _answer(scene, "why")
            await scene.ana.type_text("COPS", '/openvidu shutdown --reason "power work"')
            card = await scene.card("Shut down acme")
            waiting = await _answer(scene, "approve", "UBEN")
            assert "press Approve on the card" in waiting
            assert (
                "*Shut down acme*, requested by <@UANA> in <#COPS>: you can approve it" in waiting
            )
            assert "your approval does not count" in await _answer(scene, "approve")
            await scene.ben.press(card, "Approve")
            run = await scene.run_is("acme-1", "done")
            why = await _answer(scene, "why")
            assert f"`{run.id}` Shut down acme, done" in why
            assert "by <@UANA>" in why
            assert "power work" in why

    virtual.run(story())


def test_cancel_alone_means_the_one_open_run() -> None:
    async def story() -> None:
        async with Scene(stacks=("acme", "beta"), pydo=False) as scene:
            scene.slack.workspace.add_channel("CLOBBY", "lobby", ["UANA"])
            none = await _answer(scene, "cancel --cluster acme")
            assert "No run is open on acme, so there is nothing to cancel" in none
            for cluster in ("acme", "beta"):
                scene.estate.open_meeting(people=2, minutes=90, cluster=cluster)
                await scene.ana.type_text("COPS", f"/openvidu shutdown --cluster {cluster}")
                card = await scene.card(f"Shut down {cluster}")
                await scene.ben.press(card, "Approve")
                await scene.run_is(f"{cluster}-1", "running")
            both = await _answer(scene, "cancel", channel="CLOBBY")
            assert "2 runs are open: `acme-1` (Shutting down acme) and `beta-1`" in both
            assert "Name one, as in `/openvidu cancel acme-1`" in both
            abort = await _answer(scene, "abort --cluster beta")
            assert "To stop it: `/openvidu cancel beta-1`" in abort
            answer = await _answer(scene, "cancel --cluster beta")
            assert "beta-1 stops at its next safe point" in answer
            await scene.run_is("beta-1", "cancelled", "rolled back")
            last = await _answer(scene, "cancel", channel="CLOBBY")
            assert "acme-1 stops at its next safe point" in last

    virtual.run(story())


def test_a_mention_may_be_spoken() -> None:
    async def story() -> None:
        async with Scene(pydo=False) as scene:
            bot = f"<@{scene.slack.workspace.bot.id}>"
            for number, said in enumerate(
                (
                    f"{bot}: runs",
                    f"{bot}, runs",
                    f"{bot} {bot} runs",
                    f"<@UBEN> look: {bot} `runs`",
                ),
                1,
            ):
                await scene.ana.type_text("COPS", said)
                seen = await scene.ana.wait_for(
                    lambda n=number: [  # type: ignore[misc]
                        m
                        for m in scene.ana.visible_messages("COPS")
                        if "has had no runs yet" in m.text
                    ][n - 1 : n],
                    60.0,
                )
                assert seen

    virtual.run(story())


def test_help_fits_a_phone_and_knows_state_and_role() -> None:
    async def story() -> None:
        async with Scene(pydo=False) as scene:
            card = await _answer(scene, "help")
            text = card.partition("\n")[0]
            assert "acme is in service" in text
            assert "power: shutdown" in text
            assert "startup" not in text.partition("capacity")[0], "it is up already"
            assert "unhold" not in text
            assert "cancel" not in text, "no run is open"
            assert len(text.split()) <= 90
            assert "\N{ZERO WIDTH SPACE}" not in card
            reader = await _answer(scene, "help", "UDORA")
            for word in ("stop", "upgrade", "module", "webhook", "create/schedule", "file set"):
                assert word in text, "what has no button is there, too"
            assert "shutdown," not in reader.partition("\n")[0]
            assert "You may read. Changes: only operators" in reader
            everything = await _answer(scene, "help all")
            names = everything.partition("\n")[0]
            for kind in COMMANDS:
                assert kind.hidden or re.search(rf"[:,] {kind.command}[,;.]", names), kind
            assert "in-place upgrades" not in everything, "the bot does them"
            for kind in COMMANDS:
                if not kind.hidden:
                    explained = await _answer(scene, f"help {kind.command}")
                    assert kind.usage() in explained
                    assert f"Help for {kind.command}" in explained
            capacity = await _answer(scene, "help capacity")
            assert "/openvidu scale NUMBER" in capacity
            assert "Not on this cluster: `park`, `unpark`, `freeze`" in capacity
            one = await _answer(scene, "shutdown --help")
            for part in ("[--no-drain]", "Downtime", "Approval", "stays down until", "stop, off"):
                assert part in one

    virtual.run(story())
