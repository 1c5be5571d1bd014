"""The keys of secrets.env: what is wrong, which can be changed, why the others cannot."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from handlers.slack.blocks import Block, Card, context, escape, header, section
from handlers.views.text import sentence, without_formatting
from services.common.text import count_of
from services.secrets_env import KEYS, ChangePolicy, SecretsFile

KEY, VALUE = 40, 60  # characters of an unknown key, and of a value
LINES = 12  # keys in a block; Slack takes 3,000 characters
CARE = {ChangePolicy.ALLOW: "", ChangePolicy.GUARDED: " · with care"}


def secrets_card(cluster: str, file: SecretsFile, problems: Sequence[str]) -> Card:
    """List the keys, grouped by whether they can be changed here. Secret values are never shown."""
    names = file.names()
    unknown = [_unknown(name) for name in names if name not in KEYS]
    changeable = [n for n in names if n in KEYS and KEYS[n].policy is not ChangePolicy.REFUSED]
    wrong = [f":warning: {sentence(escape(problem), (cluster,))}" for problem in problems]
    summary = (
        f"{count_of(len(names), 'key')}, of which {len(changeable)} can be changed with "
        "`/openvidu config set KEY`."
    )
    title = f"secrets.env of {cluster}"
    blocks = [
        header(title),
        *_sections("", wrong),
        section(summary),
        *_sections(
            "Can be changed", [f"{_key(n, file)}{CARE[KEYS[n].policy]}" for n in changeable]
        ),
        *_sections("Read-only here", list(_read_only(names, file))),
        *_sections("Unknown: OpenVidu ignores them", unknown),
        context(
            "Values of secrets are never shown. `/openvidu config history` lists earlier versions."
        ),
    ]
    return Card(without_formatting(" ".join([f"{title}.", *wrong, summary])), tuple(blocks))


def _sections(title: str, lines: Sequence[str]) -> Iterator[Block]:
    heading = ""
    if title:
        heading = f"*{title}*\n"
    for first in range(0, len(lines), LINES):
        yield section(heading + "\n".join(lines[first : first + LINES]))
        heading = ""


def _read_only(names: Sequence[str], file: SecretsFile) -> Iterator[str]:
    """Yield a line for each reason, with the keys that it is about."""
    refused = [n for n in names if n in KEYS and KEYS[n].policy is ChangePolicy.REFUSED]
    for why, keys in groupby(sorted(refused, key=lambda n: KEYS[n].why), key=lambda n: KEYS[n].why):
        yield f"{', '.join(_key(n, file) for n in keys)}: {escape(why)}"


def _key(name: str, file: SecretsFile) -> str:
    """Return a key and its value, unless that is secret."""
    if KEYS[name].secret:
        return f"`{name}`"
    return f"`{name}` {escape((file.value(name) or 'empty')[:VALUE])}"


def _unknown(name: str) -> str:
    return f"`{escape(name[:KEY])}`"
