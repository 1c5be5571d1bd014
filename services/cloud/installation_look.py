"""Parses what `update_scripts.INSTALLED` prints on a node. Pure.

Only a look that ran to its last line has seen anything.
"""

from services.cluster.installation import Installation, Updater, UpdateRecord, UpdateState
from services.common.text import strip_invisible
from services.common.values import replace

CUT_OFF = "its answer was truncated"
NAMED = "OPENVIDU_VERSION:-"
LONGEST = 40


def parse_installation(text: str) -> Installation | str:
    """Return what is installed on the node, or why nothing was seen there."""
    found = Installation("")
    for line in text.splitlines():
        if line == "end":
            if not found.version:
                return "deployment-info.yaml names no version"
            return found
        key, _, value = line.partition("=")
        parsed = _with_line(found, key, strip_invisible(value).strip())
        if parsed is None:
            return f"a line of its answer is not understood: {strip_invisible(line)[:80]}"
        found = parsed
    return CUT_OFF


def _with_line(found: Installation, key: str, value: str) -> Installation | None:
    """Return the installation with what a line shows; None when it cannot be parsed."""
    match key:
        case "version":
            return replace(found, version=value.strip("\"'")[:LONGEST])
        case "unit":
            return replace(found, unit=value[:LONGEST])
        case "free":
            return replace(found, free=int(value) if value.isdigit() else None)
        case "update":
            record = _record(value)
            return replace(found, updates=(*found.updates, record)) if record else None
        case "script":
            version, _, named = value.partition(" ")
            updater = Updater(version, named.strip().removeprefix(NAMED))
            return replace(found, updaters=(*found.updaters, updater))
        case "paths":
            return _with_paths(found, value)
        case "backups" | "started" | "errors":
            return _with_detail(found, key, value)
        case _:
            return None


def _record(value: str) -> UpdateRecord | None:
    version, state, *status = [*value.split(), "", ""]
    if state not in set(UpdateState):
        return None
    if state != UpdateState.ENDED:
        return UpdateRecord(version, UpdateState(state))
    if not status[0].isdigit():
        return None
    return UpdateRecord(version, UpdateState.ENDED, int(status[0]))


def _with_detail(found: Installation, key: str, value: str) -> Installation | None:
    """Return it with a detail of the update that was named last."""
    if not found.updates:
        return None
    *earlier, last = found.updates
    match key:
        case "backups":
            last = replace(last, backups=tuple(value.split()))
        case "started":
            last = replace(last, started=value == "yes")
        case _:
            numbers = [int(word) for word in value.split() if word.isdigit()]
            if len(numbers) == 2:
                last = replace(last, errors=max(0, numbers[1] - numbers[0]))
    return replace(found, updates=(*earlier, last))


def _with_paths(found: Installation, value: str) -> Installation | None:
    """Return it with the table of the script that was named last: `3.6.0echo3.6.1 ...`."""
    if not found.updaters:
        return None
    *earlier, last = found.updaters
    pairs = [word.partition("echo") for word in value.split()]
    paths = tuple((was, version) for was, echo, version in pairs if echo and version)
    return replace(found, updaters=(*earlier, replace(last, paths=paths)))
