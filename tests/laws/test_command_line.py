"""The command line as a newcomer meets it: help, typos, nothing typed at all."""

import pytest

from bot.argument_parser import SYNONYMS
from bot.command_line import GROUPS, SUBCOMMANDS, build_parser, run
from bot.terminal.arguments import VERBS, take_own_options

TYPED = {
    ("dcotor",): "there is no command dcotor. Did you mean doctor?",
    ("srve",): "there is no command srve. Did you mean serve?",
    ("start",): "there is no command start. Did you mean serve?",
    ("setup",): "there is no command setup. Did you mean init?",
    ("check",): "there is no command check. Did you mean doctor?",
    ("shutdown",): "As in Slack: openvidu-bot run shutdown",
    ("shutdown", "--dry-run", "--reason", "power work"): (
        "As in Slack: openvidu-bot run shutdown --dry-run --reason 'power work'"
    ),
    ("hold",): "As in Slack: openvidu-bot say hold",
    ("audit", "verfy"): "Did you mean verify?",
    ("doctor", "--confg", "x"): "there is no option --confg. Did you mean --config?",
    ("doctor", "--jsn"): "Did you mean --json?",
    ("init", "--stak", "acme"): "Did you mean --stack?",
    ("serve", "now"): "now is not expected here.",
    ("demo", "--kind", "pol"): "Did you mean pool?",
    ("demo", "--port", "99999"): "99999 is not a port (0 to 65535)",
}


@pytest.mark.parametrize("words", TYPED, ids=" ".join)
def test_a_typo_is_answered_in_two_lines_with_a_hint(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert TYPED[words] in said
    assert said.count("\n") == 2
    assert said.splitlines()[1].endswith("--help")


def test_nothing_typed_shows_the_commands_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    places = [shown.index(title) for title, _ in GROUPS]
    assert places == sorted(places)
    for name in ("demo", "init", "doctor", "serve", "manifest", "audit", *VERBS):
        assert f"\n  {name} " in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert len(SUBCOMMANDS) == sum(len(adders) for _, adders in GROUPS)


@pytest.mark.parametrize("words", [("help",), ("--help",)])
def test_help_is_help(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(words)
    assert ended.value.code == 0
    assert "set up and run" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["demo", "init", "doctor", "serve", "manifest", "audit", "audit verify", *VERBS]
)
def test_each_help_ends_with_an_example_that_is_understood(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(["help", *name.split()])
    shown = capsys.readouterr().out
    examples = [line.strip() for line in shown.partition("example")[2].splitlines()[1:]]
    assert examples
    for example in examples:
        words = example.partition(" > ")[0].replace('"', "").split()[1:]
        assert build_parser().parse_args(words).entry, example


def test_a_synonym_names_a_command_that_exists() -> None:
    shown = build_parser().format_help()
    for name in SYNONYMS.values():
        assert f"\n  {name} " in shown


def test_options_of_slack_reach_the_words_of_a_terminal_command() -> None:
    options = build_parser().parse_args(["status", "--cluster", "acme", "--config", "x.yaml"])
    assert take_own_options(options) == ["--cluster", "acme"]
    assert str(options.config) == "x.yaml"


def test_wrong_settings_name_their_file(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "settings.yaml").write_text("clusterz: {}\n")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("OPENVIDU_BOT_CONFIG", raising=False)
    assert run(["serve"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "clusterz: found an unknown key; allowed: clusters, " in said[1]
    assert said[-1] == "Settings: settings.yaml (working directory). Secrets: the environment."


def test_without_settings_one_line_says_what_to_do(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    monkeypatch.delenv("OPENVIDU_BOT_CONFIG", raising=False)
    for command in ("doctor", "serve", "status"):
        assert run([command]) == 2
        assert capsys.readouterr().err.startswith(
            "No settings file. Use --config FILE or set OPENVIDU_BOT_CONFIG.\n"
        )


@pytest.mark.parametrize("typed", ["record --minutes %s f", "demo --speed %s"])
@pytest.mark.parametrize("number", ["fast", "nan", "-1", "1e9"])
def test_a_number_out_of_range_is_refused_with_the_range(
    typed: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args((typed.replace(" %s", "=%s") % number).split())
    assert f"{number} is not between " in capsys.readouterr().err
