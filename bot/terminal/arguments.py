"""Options of the commands that people use in Slack too: `status`, `plan`, `run`, `approve` ..."""

import argparse
from pathlib import Path

from bot.options import Subcommands, add_settings_options, examples

VERBS = {
    "status": ("[NODE]", "show a cluster, or one of its nodes"),
    "plan": ("WORDS", "show what a change would do; changes nothing"),
    "rehearse": ("WORDS", "play a change in a simulated copy of the cluster"),
    "run": ("WORDS", "request a change and follow it"),
    "approve": ("[REQUEST] [--reason WHY]", "show a waiting request and approve it"),
    "reject": ("[REQUEST] --reason WHY", "reject a request; the requester reads the reason"),
    "answer": ("RUN CHOICE", "answer a run's question"),
    "cancel": ("RUN", "stop a run at its next safe point"),
    "resume": ("RUN", "continue a run that has stopped"),
    "abandon": ("RUN", "end a run that has stopped, and unlock its cluster"),
    "runs": ("[RUN]", "list the newest runs, or show one"),
    "logs": (
        "NODE [SERVICE] [--since 30m] [--output FILE]",
        "print the newest log lines of a node, or of one container there",
    ),
    "watch": ("[RUN]", "follow a run to its end"),
    "say": ("WORDS", "any other command of Slack"),
}
EXAMPLES = {
    "status": ("status", "status media-2 --cluster acme"),
    "plan": ("plan shutdown", "plan scale 4"),
    "rehearse": ("rehearse shutdown", "rehearse scale 4"),
    "run": ('run shutdown --reason "power work"', "run startup 3"),
    "approve": ("approve",),
    "reject": ('reject --reason "a webinar is running"',),
    "answer": ("answer acme-7 wait",),
    "cancel": ("cancel acme-7",),
    "resume": ("resume acme-7",),
    "abandon": ("abandon acme-7",),
    "runs": ("runs", "runs acme-7"),
    "logs": ("logs master-2 caddy", "logs media-1 --since 2h --output media-1.log"),
    "watch": ("watch",),
    "say": ('say hold "audit" until 18:00', "say window list"),
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
            description=f"{text[:1].upper()}{text[1:]}.",
            **examples(*(f"openvidu-bot {words}" for words in EXAMPLES[verb])),
        )
        add_settings_options(command)
        command.add_argument("--detach", action="store_true", help="do not follow the run")
        command.add_argument(
            "--yes", action="store_true", help="approve without asking for confirmation"
        )
        command.add_argument(
            "words", nargs=argparse.REMAINDER, metavar=usage, help="as after /openvidu in Slack"
        )
        command.set_defaults(entry="bot.terminal.command:run", verb=verb, output=None)


def take_own_options(options: argparse.Namespace) -> list[str]:
    """Move options of the program that follow the words into `options`; return the other words."""
    words, rest = [], iter(options.words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in ("--detach", "--yes"):
            setattr(options, word.removeprefix("--"), True)
        elif name == "--output" and options.verb in ("logs", "say"):
            options.output = Path(value if equals else next(rest, ""))
        elif name in OWN_OPTIONS:
            if not equals:
                value = next(rest, "")
            parser = argparse.ArgumentParser(add_help=False)
            add_settings_options(parser)
            parser.parse_args([name, value], options)
        else:
            words.append(word)
    return words
