"""Options of the commands that people use in Slack too: `status`, `plan`, `run`, `approve` ..."""

import argparse

from bot.options import Subcommands, add_settings_options

VERBS = {
    "status": ("[NODE]", "a cluster as it is now, or one node of it"),
    "plan": ("WORDS", "what would happen: plan shutdown, plan scale 4; nothing is changed"),
    "run": ("WORDS", "ask for it and follow it: run shutdown --reason “power work”"),
    "approve": ("[REQUEST] [--reason WHY]", "look at what waits for approval, and approve it"),
    "reject": (
        "[REQUEST] --reason WHY",
        "close a request without doing anything; who asked for it reads why",
    ),
    "answer": ("RUN CHOICE", "answer a run's question"),
    "cancel": ("RUN", "stop a run at its next safe point"),
    "resume": ("RUN", "go on with a run that has stopped"),
    "abandon": ("RUN", "give up a run that has stopped"),
    "runs": ("[RUN]", "the newest runs, or one in full"),
    "watch": ("[RUN]", "follow a run until it is over"),
    "say": (
        "WORDS",
        "anything else that can be said to the bot in Slack: say hold “audit” until 18:00",
    ),
}
OWN_OPTIONS = ("--config", "--env-file", "--clock")
OPTIONS_USAGE = "[--config FILE] [--env-file FILE] [--detach] [--yes]"


def add_terminal_commands(commands: Subcommands) -> None:
    """Add one command for each verb; its words are parsed as in Slack."""
    for verb, (usage, text) in VERBS.items():
        command = commands.add_parser(
            verb,
            help=text,
            usage=f"openvidu-bot {verb} {OPTIONS_USAGE} {usage} [--cluster NAME]",
        )
        add_settings_options(command)
        command.add_argument("--detach", action="store_true", help="do not stay to follow it")
        command.add_argument("--yes", action="store_true", help="approve without being asked again")
        command.add_argument(
            "words", nargs=argparse.REMAINDER, metavar=usage, help="as after /openvidu in Slack"
        )
        command.set_defaults(entry="bot.terminal.command:run", verb=verb)


def take_own_options(options: argparse.Namespace) -> list[str]:
    """Move options of the program that follow the words into `options`; return the other words."""
    words, rest = [], iter(options.words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in ("--detach", "--yes"):
            setattr(options, word.removeprefix("--"), True)
        elif name in OWN_OPTIONS:
            if not equals:
                value = next(rest, "")
            parser = argparse.ArgumentParser(add_help=False)
            add_settings_options(parser)
            parser.parse_args([name, value], options)
        else:
            words.append(word)
    return words
