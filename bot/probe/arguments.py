"""Options of `openvidu-bot probe`."""

from bot.options import Subcommands, add_settings_options, examples
from bot.probe.questions import QUESTIONS

TOKEN = "OPENVIDU_BOT_PROBE_TOKEN"  # noqa: S105 - the name of a variable
TRIED_TOKEN = "OPENVIDU_BOT_PROBE_TRIED_TOKEN"  # noqa: S105 - the name of a variable


def add_probe(commands: Subcommands) -> None:
    """Add `probe`."""
    probe = commands.add_parser(
        "probe",
        help="find out what DigitalOcean's documents leave open about this account",
        description="Find out what DigitalOcean's documents leave open about this account, on\n"
        "throw-away resources of the smallest size, which are deleted afterwards. Says what it\n"
        f"creates, how long it takes and what it costs, and asks first. Takes a token of its own:\n"
        f"{TOKEN}, its _FILE, or typed when asked; it is never stored.\n"
        "Exit code 0: every question has an answer, 1: refused, 2: one is not known.\n\n"
        "questions:\n" + "\n".join(f"  {q.name:<20}{q.text}" for q in QUESTIONS),
        **examples(
            "openvidu-bot probe",
            "openvidu-bot probe zero cooldown --region ams3",
            "openvidu-bot probe conditional-writes --bucket acme",
            "openvidu-bot probe --clean",
        ),
    )
    probe.add_argument("names", nargs="*", metavar="NAME", help="questions (default: all)")
    probe.add_argument("--region", default="", help="region (default: the first cluster's)")
    probe.add_argument(
        "--bucket",
        metavar="CLUSTER",
        default="",
        help="for conditional-writes: write objects of its own into this cluster's bucket",
    )
    probe.add_argument(
        "--try-token-of",
        metavar="CLUSTER",
        default="",
        help="for pool-scope and trigger-scope: try the bot's token of this cluster on the "
        f"throw-away resources (or set {TRIED_TOKEN})",
    )
    probe.add_argument(
        "--production-token",
        action="store_true",
        help="allow a token that the bot itself uses",
    )
    probe.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    probe.add_argument(
        "--clean", action="store_true", help="only delete what an earlier probe left behind"
    )
    add_settings_options(probe)
    probe.set_defaults(entry="bot.probe.run:run")
