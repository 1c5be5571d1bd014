"""Parsing of commands: whatever is typed, the result is a value or a helpful refusal."""

import string
from collections.abc import Callable
from dataclasses import MISSING
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.commands import InstantCommand
from handlers.commands.holds import parse_hold
from handlers.commands.parser import COMMANDS, ParsedCommand, parse
from handlers.commands.windows import KeepUpCommand, SkipDays, parse_length_of_keep_up
from services.common.errors import Refused
from services.procedures import PROCEDURES, Procedure, Shutdown, Startup
from services.windows import Until
from services.windows.times import parse_dates_typed, parse_length, parse_moment
from tests.support.clusters import law, procedures

REASONS = string.ascii_letters + " äé.!?;:,'"
# What these mean without a node: the plan of another command.
OF_THE_CLUSTER: dict[str, Procedure] = {"stop": Shutdown(), "start": Startup()}
SAID = [p for p in PROCEDURES if not p.hidden]


@law
@given(procedures(*SAID))
def test_the_words_of_a_procedure_make_it_again(procedure: Procedure) -> None:
    assert parse(procedure.command_line()) == ParsedCommand(procedure)
    assert parse(
        procedure.command_line()
        .upper()
        .replace(procedure.command_line().upper(), procedure.command_line())
    ) == ParsedCommand(procedure)
    assert parse(f"  {procedure.command_line()}   ") == ParsedCommand(procedure)


@law
@given(
    procedures(*SAID),
    st.booleans(),
    st.sampled_from(("", "acme", "globex-2")),
    st.text(REASONS, max_size=60),
)
def test_options_may_stand_anywhere(
    procedure: Procedure, dry: bool, cluster: str, reason: str
) -> None:
    reason = reason.replace("'", "").strip()
    more = ["--dry-run"] if dry else []
    more += [f"--cluster {cluster}"] if cluster else []
    more += [f'--reason "{reason}"'] if reason else []
    expected = ParsedCommand(procedure, cluster or None, reason, dry)
    assert parse(" ".join([procedure.command_line(), *more])) == expected
    head, tail = (
        procedure.command_line()[: len(procedure.command)],
        procedure.command_line()[len(procedure.command) :],
    )
    assert parse(" ".join([head, *more]) + tail) == expected


@law
@given(procedures(*SAID), st.booleans())
def test_every_changing_command_may_start_without_asking(procedure: Procedure, first: bool) -> None:
    words = procedure.command_line()
    typed = f"{words} --now"
    if first:
        typed = words.replace(procedure.command, f"{procedure.command} --now", 1)
    assert parse(typed) == ParsedCommand(procedure, now=True)


def test_a_dry_run_does_not_start() -> None:
    with pytest.raises(Refused, match="use one of them"):
        parse("startup --now --dry-run")
    with pytest.raises(Refused, match="does not know --now"):
        parse("status --now")


@pytest.mark.parametrize("dashes", ["—dry-run", "–dry-run", "--dry-run"])
def test_what_a_phone_makes_of_dashes_and_quotes(dashes: str) -> None:
    assert parse(
        f"shutdown {dashes} —reason “power work, Ben’s idea”".replace("’", "")
    ) == ParsedCommand(Shutdown(), None, "power work, Bens idea", True)


def test_options_with_equals_signs() -> None:
    assert parse("startup 3 --cluster=acme --reason=why") == ParsedCommand(
        Startup(3), "acme", "why"
    )


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda k: k.__name__)
def test_everything_that_can_be_said_is_found_by_its_command(
    kind: type[Procedure] | type[InstantCommand],
) -> None:
    for typed in (kind.command, kind.command.upper(), kind.command.title()):
        if kind.command in OF_THE_CLUSTER:
            parsed = parse(typed)
            assert (parsed.command, parsed.dry) == (OF_THE_CLUSTER[kind.command], True)
            assert type(parse(f"{typed} media-1").command) is kind
        elif any(f.default is MISSING for f in kind.parameters()):
            with pytest.raises(Refused, match=r"(?:is|are) missing") as refused:
                parse(typed)
            assert kind.usage() in str(refused.value)
        else:
            assert type(parse(typed).command) is kind


@pytest.mark.parametrize("text", ["", "   ", "\n", "\t  "])
def test_nothing_is_a_call_for_the_menu(text: str) -> None:
    assert type(parse(text).command).__name__ == "Menu"


def test_commands_of_the_issue() -> None:
    """`help`, `status`, `shutdown`, `startup [N]`, `runs`, `run ID`, `cancel ID`, and so on."""
    for typed in (
        "help",
        "status",
        "shutdown",
        "startup",
        "startup 3",
        "runs",
        "run acme-1",
        "cancel acme-1",
        "resume acme-1",
        "abandon acme-1",
    ):
        assert parse(typed)


@pytest.mark.parametrize("command", sorted({k.command for k in COMMANDS if not k.hidden}))
def test_a_typo_gets_the_nearest_command(command: str) -> None:
    first = command.split(maxsplit=1)[0]
    if len(first) < 5:
        return
    typos = {
        first[:-1],
        first[0] + first[2] + first[1] + first[3:],
        first + first[-1],
        first[:2] + "x" + first[3:],
    }
    known = {k.command.split()[0] for k in COMMANDS}
    rest, hinted = command[len(first) :], 0
    meant = OF_THE_CLUSTER[command].command if command in OF_THE_CLUSTER else command
    for typo in sorted(typos - known):
        with pytest.raises(Refused) as refused:
            parse(typo + rest)
        said = str(refused.value)
        hinted += f"did you mean `/openvidu {meant}`" in said
        # None rather than one that may be the opposite: `upnark` is as near to `park`.
        assert "did you mean" not in said or f"`/openvidu {meant}`" in said
    assert hinted >= len(typos - known) - 1


def test_nonsense_gets_help() -> None:
    with pytest.raises(
        Refused, match=r"“xyzzy” is not a command; `/openvidu help` lists the commands"
    ):
        parse("xyzzy")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "startup three",
            "MEDIA is a whole number, not “three”; usage: `/openvidu startup [MEDIA]`",
        ),
        ("startup -3", "MEDIA is a whole number, not “-3”"),
        ("startup 3.5", "is a whole number"),
        ("startup ٣", "is a whole number"),
        ("startup 3 4", "this was not understood: “4”"),
        (
            "shutdown now",
            "this was not understood: “now”; leave it out, or see `/openvidu help shutdown`",
        ),
        ("shutdown --no-drian", "did you mean --no-drain?"),
        ("shutdown --wipe-disks", "does not know --wipe-disks; usage"),
        ("shutdown --no-drain=yes", "--no-drain takes no value"),
        ("shutdown --reason", "--reason needs a value after it"),
        ("shutdown --reason --dry-run", "--reason needs a value after it"),
        ("shutdown --cluster", "--cluster needs a value after it"),
        ('shutdown --reason "open', "a quote is not closed"),
        ("help now", "there is no command “now”; `/openvidu help` lists the commands"),
        ("status --dry-run", "does not know --dry-run"),
        ("run", "RUN is missing; usage: `/openvidu run RUN`"),
        ("cancel a b", "this was not understood: “b”"),
        ("x" * 1001, "that is 1001 characters; the bot reads at most 1000"),
    ],
)
def test_what_is_not_understood_is_said(text: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(text)
    assert words in str(refused.value)


WORDS = st.sampled_from(
    [
        *(
            "shutdown",
            "startup",
            "status",
            "runs",
            "cancel",
            "--reason",
            "--cluster",
            "--dry-run",
            "--",
            "---",
            "-",
            "3",
            "0",
            "'",
            '"',
        ),
        *(
            "\\",
            "``",
            "<@U123|ana>",
            "<!channel>",
            "*",
            "&lt;",
            "\u200b",
            "\x00",
            "=",
            "--=",
            "--reason=",
            "𝟛",
            "--no-drain",
            "“",
            "’",
        ),
        *("\u2028", "$(reboot)"),
    ]
)


@law
@given(st.one_of(st.text(max_size=1200), st.lists(WORDS, max_size=8).map(" ".join)))
def test_hostile_words_are_refused_and_nothing_worse(text: str) -> None:
    try:
        assert isinstance(parse(text), ParsedCommand)
    except Refused as refused:
        said = str(refused)
        assert said
        assert "<!" not in said, "nobody is called by an answer"
        assert "<@" not in said


@pytest.mark.parametrize(
    "name", ["<!channel>", "<@U123>", "a b", "*bold*", "`x`", "a" * 300, "acme-1|x", "acme\n-1"]
)
@pytest.mark.parametrize("command", ["cancel", "resume", "abandon", "runs"])
def test_names_of_runs_are_names(command: str, name: str) -> None:
    """What is no run's name is refused by the parser, and not repeated as it was typed."""
    with pytest.raises(Refused) as refused:
        parse(f'{command} "{name}"')
    for mark in ("<", ">", "*bold*", "`x`"):
        assert mark not in str(refused.value).replace("`/openvidu", "")
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("name", ["<!channel>", "*bold*", "a" * 300])
def test_names_of_clusters_are_names(name: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(f'status --cluster "{name}"')
    assert "<" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_usage_for_every_procedure() -> None:
    assert Shutdown.usage() == "shutdown [--no-drain] [--media-only]"
    assert Startup.usage() == "startup [MEDIA]"
    assert len({p.usage() for p in PROCEDURES}) == len(PROCEDURES)


# Times and durations

MADRID = "Europe/Madrid"
HOUR = 3600.0


def madrid(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(MADRID), fold=fold).timestamp()


THREE = madrid("2026-11-25T15:00")  # a Wednesday


@pytest.mark.parametrize(("text", "seconds"), [
    ("90m", 5400), ("90 minutes", 5400), ("90 min", 5400), ("1 minute", 60), ("2h", 7200),
    ("2 hours", 7200), ("2 hrs", 7200),
    ("1h30", 5400), ("1 h 30", 5400), ("1h30m", 5400), ("1 hour 30 minutes", 5400),
    ("1 hour and 30 minutes", 5400), ("1.5h", 5400),
    ("1,5 h", 5400), ("2:30", 9000), ("0:45", 2700), ("1d", 86400), ("2 days", 172800),
    ("1 week", 604800), ("1d 12h", 129600),
    ("an hour", 3600), ("half an hour", 1800), ("20h", 72000), ("  2   H ", 7200),
])  # fmt: skip
def test_lengths_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_length(text) == seconds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("90", "90 has no unit; write 90m for minutes, or 90h for hours"),
        ("20:00", "20:00 can be read in two ways: write `until 20:00`, or `for 20h00`"),
        ("0m", "“0m” is a length of zero"),
        ("2:75", "2:75 has 75 minutes"),
        ("30m 1h", "“30m 1h” is not a length of time; write 90m, 2h, 1h30, 1.5h, 2 days"),
        ("1h 2h", "is not a length of time"),
        ("1h75", "is not a length of time"),
        ("-1h", "is not a length of time"),
        ("tomorrow", "is not a length of time"),
        ("", "is not a length of time"),
        ("1e9h", "is not a length of time"),
    ],
)
def test_what_is_no_length_is_said(text: str, told: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_length(text)
    assert told in str(refused.value)


@pytest.mark.parametrize(("text", "moment"), [
    ("22:00", "2026-11-25T22:00"), ("20h", "2026-11-25T20:00"), ("20h30", "2026-11-25T20:30"),
    ("20 h", "2026-11-25T20:00"),
    ("14:59", "2026-11-26T14:59"), ("15:00", "2026-11-26T15:00"), ("15:01", "2026-11-25T15:01"),
    ("8:05", "2026-11-26T08:05"),
    ("6pm", "2026-11-25T18:00"), ("6 PM", "2026-11-25T18:00"), ("6:30 p.m.", "2026-11-25T18:30"),
    ("12am", "2026-11-26T00:00"),
    ("12pm", "2026-11-26T12:00"), ("noon", "2026-11-26T12:00"), ("midnight", "2026-11-26T00:00"),
    ("24:00", "2026-11-26T00:00"),
    ("tomorrow 08:00", "2026-11-26T08:00"), ("tomorrow at 8am", "2026-11-26T08:00"),
    ("today 18:00", "2026-11-25T18:00"),
    ("Fri 22:00", "2026-11-27T22:00"), ("friday 22h", "2026-11-27T22:00"),
    ("Wed 16:00", "2026-11-25T16:00"),
    ("Wed 14:00", "2026-12-02T14:00"), ("2026-12-24 08:00", "2026-12-24T08:00"),
    ("2026-12-24T08:00", "2026-12-24T08:00"),
    ("Fri 24:00", "2026-11-28T00:00"), ("2:30", "2026-11-26T02:30"),
])  # fmt: skip
def test_moments_as_people_write_them(text: str, moment: str) -> None:
    """Typed on Wednesday 25 November at 15:00."""
    assert parse_moment(text, THREE, MADRID) == madrid(moment)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "20",
            (
                "“20” can be read in two ways: write 20:00 for the hour, `for 20m` or `for "
                "20h` for a length"
            ),
        ),
        ("90", "“90” can be read in two ways: `for 90m` or `for 90h` for a length"),
        ("2h", "“2h” can be read in two ways: write `until 02:00`, or `for 2h`"),
        ("1h30", "“1h30” can be read in two ways: write `until 01:30`, or `for 1h30`"),
        ("90m", "“90m” is a length; write `for 90m`, or `until 16:30`"),
        ("2 hours", "“2 hours” is a length; write `for 2 hours`, or `until 17:00`"),
        (
            "Friday",
            (
                "“Friday” can be read in two ways: write `until Friday 00:00` for its "
                "beginning, or `until Friday 24:00` for its end"
            ),
        ),
        (
            "tomorrow",
            "write `until tomorrow 00:00` for its beginning, or `until tomorrow 24:00` for its end",
        ),
        ("today 14:00", "today 14:00 has already passed"),
        ("2026-11-01 08:00", "has already passed"),
        ("2026-02-30 08:00", "does not exist"),
        ("25:00", "there is no 25:00 on the clock"),
        ("13pm", "there is no 13pm on the clock"),
        ("whenever", "“whenever” is not a time; write 18:00, 6pm, tomorrow 08:00"),
        ("someday 08:00", "“someday” is not a day"),
        ("*now* <!channel>", "“now !channel” is not a time"),
        ("", "is not a time"),
    ],
)
def test_what_is_no_moment_or_two_is_said(text: str, told: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_moment(text, THREE, MADRID)
    assert told in str(refused.value)


@law
@given(
    st.integers(0, 3 * 366 * 24 * 60),
    st.integers(0, 1439),
    st.sampled_from([MADRID, "America/New_York", "Asia/Tokyo"]),
)
def test_a_time_of_day_is_the_next_moment_at_which_the_clocks_show_it(
    later: int, minutes: int, zone: str
) -> None:
    now = madrid("2026-01-01") + later * 60
    at = parse_moment(f"{minutes // 60:02}:{minutes % 60:02}", now, zone)
    assert now < at <= now + 25 * HOUR
    shown = datetime.fromtimestamp(at, ZoneInfo(zone))
    if (shown.hour, shown.minute) != (
        minutes // 60,
        minutes % 60,
    ):  # skipped by the clocks: the first moment after the gap
        before = datetime.fromtimestamp(at - 1, ZoneInfo(zone))
        assert shown.utcoffset() != before.utcoffset()
    earlier = [
        datetime.fromtimestamp(t, ZoneInfo(zone))
        for t in range(int(now) // 60 * 60 + 60, int(at), 60)
    ]
    assert (minutes // 60, minutes % 60) not in {(e.hour, e.minute) for e in earlier}


def test_a_repeated_hour_is_its_next_showing() -> None:
    first, second = madrid("2026-10-25T02:30"), madrid("2026-10-25T02:30", fold=1)
    assert parse_moment("02:30", first - 60, MADRID) == first
    assert parse_moment("02:30", first + 60, MADRID) == second


@pytest.mark.parametrize(
    ("text", "reason", "until"),
    [
        ("exam week until 20h", "exam week", "2026-11-25T20:00"),
        ("exam week for 2:30", "exam week", "2026-11-25T17:30"),
        ("exam week for 90 minutes", "exam week", "2026-11-25T16:30"),
        ("exam week 2h", "exam week", "2026-11-25T17:00"),
        ("exam week 90 minutes", "exam week", "2026-11-25T16:30"),
        ("waiting for ben until Fri 22:00", "waiting for ben", "2026-11-27T22:00"),
        ("closed until repaired for 1 day", "closed until repaired", "2026-11-26T15:00"),
    ],
)
def test_a_hold_says_why_and_until_when(text: str, reason: str, until: str) -> None:
    assert parse_hold(text, THREE, MADRID) == (reason, madrid(until))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("exam week 20h", "20h can be read in two ways: write `for 20 hours`, or `until 20:00`"),
        ("exam week 18:00", "18:00 can be read in two ways: write `until 18:00`, or `for 18h00`"),
        ("exam week until 90m", "“90m” is a length"),
        ("exam week", "say why and until when"),
        ("until 18:00", "say why and until when"),
        ("exam week for 91 days", "a hold lasts 90 days at most"),
    ],
)
def test_a_hold_that_can_be_read_in_two_ways_is_refused_with_both(text: str, told: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_hold(text, THREE, MADRID)
    assert told in str(refused.value)


def test_a_keep_up_takes_a_length_a_moment_or_tonight() -> None:
    assert parse_length_of_keep_up("tonight", THREE, MADRID) == "tonight"
    for text in ("90m", "90 minutes", "for 1h30", "1.5h"):
        assert parse_length_of_keep_up(text, THREE, MADRID) == 5400
    assert parse_length_of_keep_up("until 22:00", THREE, MADRID) == Until(
        madrid("2026-11-25T22:00")
    )
    assert parse("keepup until 22:00").command == KeepUpCommand("until 22:00")
    assert parse("keepup 90 minutes").command == KeepUpCommand("90 minutes")
    assert parse("keepup").command == KeepUpCommand("tonight")
    with pytest.raises(
        Refused, match=r"22:00 can be read in two ways: write `until 22:00`, or `for 22h00`"
    ):
        parse_length_of_keep_up("22:00", THREE, MADRID)


def test_days_to_skip_may_be_said_by_name() -> None:
    assert (
        parse("skip tomorrow").command
        == SkipDays("tomorrow")
        == parse("window skip tomorrow").command
    )
    assert parse_dates_typed("tomorrow", THREE, MADRID) == ("2026-11-26",)
    assert parse_dates_typed("tonight, Fri", THREE, MADRID) == ("2026-11-25", "2026-11-27")
    assert parse_dates_typed("2026-12-24..2026-12-25 2027-01-06", THREE, MADRID) == (
        "2026-12-24",
        "2026-12-25",
        "2027-01-06",
    )
    late = madrid("2026-11-25T23:30")
    assert parse_dates_typed("tomorrow", late, "UTC") == ("2026-11-26",)
    assert parse_dates_typed("tomorrow", late + 2 * HOUR, MADRID) == ("2026-11-27",)
    with pytest.raises(
        Refused,
        match="Wed can be read in two ways: today, 2026-11-25, or 2026-12-02; write the date",
    ):
        parse_dates_typed("Wed", THREE, MADRID)


@law
@given(st.text(max_size=60), st.sampled_from(["until", "for", ""]))
def test_whatever_is_typed_is_a_time_or_a_sentence(text: str, word: str) -> None:
    readings: list[Callable[[], bool]] = [
        lambda: parse_length(text, word) > 0,
        lambda: parse_moment(text, THREE, MADRID) > THREE,
        lambda: bool(parse_dates_typed(text, THREE, MADRID)),
        lambda: parse_hold(f"why {word} {text}", THREE, MADRID)[1] > THREE,
    ]
    for read in readings:
        said = ""
        try:
            assert read()
        except Refused as refused:
            said = str(refused)
        assert "<" not in said
        assert len(said) < 400
