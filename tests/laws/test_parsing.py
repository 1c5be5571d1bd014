"""From an operator's words to a value: whatever is typed, there is a value or a sentence that helps."""

import string
from dataclasses import MISSING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.parsing import SPOKEN, Words, parse
from handlers.talks import Talk
from services.errors import Refused
from services.procedures import PROCEDURES, Procedure, Shutdown, Startup
from tests.support.clusters import law, procedures

REASONS = string.ascii_letters + " äé.!?;:,'"
SAID = [p for p in PROCEDURES if not p.hidden]


@law
@given(procedures(*SAID))
def test_the_words_of_a_procedure_make_it_again(procedure: Procedure) -> None:
    assert parse(procedure.words()) == Words(procedure)
    assert parse(procedure.words().upper().replace(procedure.words().upper(), procedure.words())) == Words(procedure)
    assert parse(f"  {procedure.words()}   ") == Words(procedure)


@law
@given(procedures(*SAID), st.booleans(), st.sampled_from(("", "acme", "globex-2")), st.text(REASONS, max_size=60))
def test_options_may_stand_anywhere(procedure: Procedure, dry: bool, cluster: str, reason: str) -> None:
    reason = reason.replace("'", "").strip()
    more = ["--dry-run"] if dry else []
    more += [f"--cluster {cluster}"] if cluster else []
    more += [f'--reason "{reason}"'] if reason else []
    expected = Words(procedure, cluster or None, reason, dry)
    assert parse(" ".join([procedure.words(), *more])) == expected
    head, tail = procedure.words()[: len(procedure.command)], procedure.words()[len(procedure.command) :]
    assert parse(" ".join([head, *more]) + tail) == expected


@pytest.mark.parametrize("dashes", ["—dry-run", "–dry-run", "--dry-run"])
def test_what_a_phone_makes_of_dashes_and_quotes(dashes: str) -> None:
    assert parse(f"shutdown {dashes} —reason “power work, Ben’s idea”".replace("’", "")) == Words(
        Shutdown(), None, "power work, Bens idea", True
    )


def test_options_with_equals_signs() -> None:
    assert parse("startup 3 --cluster=acme --reason=why") == Words(Startup(3), "acme", "why")


@pytest.mark.parametrize("kind", SPOKEN, ids=lambda k: k.__name__)
def test_everything_that_can_be_said_is_found_by_its_command(kind: type[Procedure] | type[Talk]) -> None:
    for typed in (kind.command, kind.command.upper(), kind.command.title()):
        if any(f.default is MISSING for f in kind.parameters()):
            with pytest.raises(Refused, match="is missing") as refused:
                parse(typed)
            assert kind.usage() in str(refused.value)
        else:
            assert type(parse(typed).said) is kind


@pytest.mark.parametrize("text", ["", "   ", "\n", "\t  "])
def test_nothing_is_a_call_for_the_menu(text: str) -> None:
    assert type(parse(text).said).__name__ == "Menu"


def test_commands_of_the_issue() -> None:
    """`help | status | shutdown | startup [N] | runs | run ID | cancel ID | resume ID | abandon ID`."""
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


@pytest.mark.parametrize("command", sorted({k.command for k in SPOKEN if not k.hidden}))
def test_a_typo_gets_the_nearest_command(command: str) -> None:
    first = command.split(maxsplit=1)[0]
    if len(first) < 5:
        return
    typos = {first[:-1], first[0] + first[2] + first[1] + first[3:], first + first[-1], first[:2] + "x" + first[3:]}
    known = {k.command.split()[0] for k in SPOKEN}
    for typo in typos - known:
        rest = command[len(first) :]
        with pytest.raises(Refused, match=f"did you mean `/openvidu {command}`"):
            parse(typo + rest)


def test_nonsense_gets_help() -> None:
    with pytest.raises(Refused, match=r"“xyzzy” is not a command; `/openvidu help` lists what there is"):
        parse("xyzzy")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("startup three", "MEDIA is a whole number, not “three”; usage: `/openvidu startup [MEDIA]`"),
        ("startup -3", "MEDIA is a whole number, not “-3”"),
        ("startup 3.5", "is a whole number"),
        ("startup ٣", "is a whole number"),
        ("startup 3 4", "this was not understood: “4”"),
        ("shutdown now", "this was not understood: “now”; usage: `/openvidu shutdown"),
        ("shutdown --no-drian", "did you mean --no-drain?"),
        ("shutdown --wipe-disks", "does not know --wipe-disks; usage"),
        ("shutdown --no-drain=yes", "--no-drain takes no value"),
        ("shutdown --reason", "--reason needs a value after it"),
        ("shutdown --reason --dry-run", "--reason needs a value after it"),
        ("shutdown --cluster", "--cluster needs a value after it"),
        ('shutdown --reason "open', "a quote is not closed"),
        ("help now", "this was not understood: “now”"),
        ("status --dry-run", "does not know --dry-run"),
        ("cancel", "RUN is missing; usage: `/openvidu cancel RUN`"),
        ("cancel a b", "this was not understood: “b”"),
        ("x" * 1001, "that is 1001 characters; at most 1000 are read"),
    ],
)
def test_what_is_not_understood_is_said(text: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(text)
    assert words in str(refused.value)


WORDS = st.sampled_from(
    [
        *("shutdown", "startup", "status", "runs", "cancel", "--reason", "--cluster", "--dry-run", "--", "---", "-", "3", "0", "'", '"'),
        *("\\", "``", "<@U123|ana>", "<!channel>", "*", "&lt;", "\u200b", "\x00", "=", "--=", "--reason=", "𝟛", "--no-drain", "“", "’"),
        *("\u2028", "$(reboot)"),
    ]
)


@law
@given(st.one_of(st.text(max_size=1200), st.lists(WORDS, max_size=8).map(" ".join)))
def test_hostile_words_are_refused_and_nothing_worse(text: str) -> None:
    try:
        assert isinstance(parse(text), Words)
    except Refused as refused:
        said = str(refused)
        assert said
        assert "<!" not in said, "nobody is called by an answer"
        assert "<@" not in said


@pytest.mark.parametrize("name", ["<!channel>", "<@U123>", "a b", "*bold*", "`x`", "a" * 300, "acme-1|x", "acme\n-1"])
@pytest.mark.parametrize("command", ["cancel", "resume", "abandon", "runs"])
def test_names_of_runs_are_names(command: str, name: str) -> None:
    """What does not look like a run's name is refused at the door, and is not repeated as it was typed."""
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
