"""Programs that read and write files and text."""

import re

from simulators.node.files import DENIED
from simulators.node.shell import Program, Shell
from simulators.node.streams import Streams


def _options(fields: list[str], with_value: str = "") -> tuple[dict[str, str], list[str]]:
    """Single-letter options and the rest; letters of `with_value` take one."""
    found: dict[str, str] = {}
    rest: list[str] = []
    words = iter(fields[1:])
    for word in words:
        if word == "--":
            rest.extend(words)
        elif word.startswith("-") and len(word) > 1 and not word.startswith("--"):
            for n, letter in enumerate(word[1:], 1):
                if letter in with_value:
                    found[letter] = word[n + 1 :] or next(words, "")
                    break
                found[letter] = ""
                if letter.isdigit():  # head -5
                    found["n"] = word[n:]
                    break
        else:
            rest.append(word)
    return found, rest


def _input(shell: Shell, name: str, paths: list[str], streams: Streams) -> str | None:
    if not paths or paths == ["-"]:
        return streams.read()
    texts = [shell.files.read(path) for path in paths]
    for path, text in zip(paths, texts, strict=True):
        if text is None:
            streams.complain(f"{name}: {path}: No such file or directory")
    return None if None in texts else "".join(text or "" for text in texts)


def _cat(shell: Shell, fields: list[str], streams: Streams) -> int:
    text = _input(shell, "cat", fields[1:], streams)
    if text:
        streams.out.append(text)
    return int(text is None)


def _tee(shell: Shell, fields: list[str], streams: Streams) -> int:
    options, paths = _options(fields)
    text = streams.read()
    for path in paths:
        if "a" not in options:
            shell.files.write(path, "")
        shell.files.append(path, text)
    streams.out.append(text)
    return 0


def _grep(shell: Shell, fields: list[str], streams: Streams) -> int:
    options, rest = _options(fields, "em")
    pattern = options["e"] if "e" in options else rest.pop(0)
    text = _input(shell, "grep", rest, streams)
    if text is None:
        return 2
    expression = (
        re.escape(pattern) if "F" in options else _to_python(pattern, extended="E" in options)
    )
    if "x" in options:
        expression = f"^(?:{expression})$"
    matcher = re.compile(expression, re.IGNORECASE if "i" in options else 0)
    lines = [line for line in text.splitlines() if bool(matcher.search(line)) != ("v" in options)]
    if "c" in options:
        streams.say(str(len(lines)))
    elif "q" not in options:
        for line in lines:
            streams.say(matcher.search(line)[0] if "o" in options else line)  # type: ignore[index]
    return int(not lines)


def _to_python(pattern: str, *, extended: bool) -> str:
    if extended:
        return pattern
    swap = {"\\|": "|", "\\(": "(", "\\)": ")", "\\+": "+", "\\?": "?", "(": "\\(", ")": "\\)", "|": "\\|", "+": "\\+", "?": "\\?",
            "{": "\\{", "}": "\\}"}  # fmt: skip
    return re.sub(r"\\[|()+?]|[()|+?{}]", lambda m: swap[m[0]], pattern)


def _head(shell: Shell, fields: list[str], streams: Streams) -> int:
    options, rest = _options(fields, "nc")
    text = _input(shell, fields[0], rest, streams)
    if text is None:
        return 1
    if "c" in options:
        streams.out.append(
            text[: int(options["c"])] if fields[0] == "head" else text[-int(options["c"]) :]
        )
        return 0
    count, lines = int(options.get("n", "10")), text.splitlines(keepends=True)
    streams.out.append(
        "".join(lines[:count] if fields[0] == "head" else lines[-count:] if count else [])
    )
    return 0


def _wc(shell: Shell, fields: list[str], streams: Streams) -> int:
    options, rest = _options(fields)
    text = _input(shell, "wc", rest, streams)
    if text is None:
        return 1
    counts = {"l": text.count("\n"), "w": len(text.split()), "c": len(text.encode())}
    streams.say(" ".join(str(counts[o]) for o in "lwc" if o in options or not options))
    return 0


def _cut(shell: Shell, fields: list[str], streams: Streams) -> int:
    options, rest = _options(fields, "dfc")
    text = _input(shell, "cut", rest, streams) or ""
    for line in text.splitlines():
        if "c" in options:
            streams.say("".join(_chosen(list(line), options["c"])))
        elif options.get("d", "\t") not in line:
            streams.say(line)
        else:
            separator = options.get("d", "\t")
            streams.say(separator.join(_chosen(line.split(separator), options["f"])))
    return 0


def _chosen(items: list[str], ranges: str) -> list[str]:
    chosen: list[str] = []
    for part in ranges.split(","):
        first, dash, last = part.partition("-")
        start, end = int(first or 1), (int(last) if last else len(items)) if dash else int(first)
        chosen.extend(items[start - 1 : end])
    return chosen


def _sort(shell: Shell, fields: list[str], streams: Streams) -> int:
    options, rest = _options(fields)
    lines = sorted(
        (_input(shell, "sort", rest, streams) or "").splitlines(), reverse="r" in options
    )
    for line in dict.fromkeys(lines) if "u" in options else lines:
        streams.say(line)
    return 0


def _tr(_shell: Shell, fields: list[str], streams: Streams) -> int:
    options, rest = _options(fields)
    names = {"\\n": "\n", "\\t": "\t"}
    sets = [re.sub(r"\\[nt]", lambda m: names[m[0]], word) for word in rest]
    if "d" in options:
        streams.out.append(streams.read().translate(dict.fromkeys(map(ord, sets[0]))))
    else:
        to = sets[1].ljust(len(sets[0]), sets[1][-1])
        streams.out.append(
            streams.read().translate({ord(a): b for a, b in zip(sets[0], to, strict=False)})
        )
    return 0


def _mkdir(shell: Shell, fields: list[str], streams: Streams) -> int:
    options, rest = _options(fields, "m")
    status = 0
    for path in rest:
        if "p" in options:
            status = max(status, _make_parents(shell, path, streams))
        elif shell.files.exists(path):
            streams.complain(f"mkdir: cannot create directory '{path}': File exists")
            status = 1
        elif not shell.files.has_parent(path):
            streams.complain(f"mkdir: cannot create directory '{path}': No such file or directory")
            status = 1
        elif why := shell.files.barred(path):
            streams.complain(f"mkdir: cannot create directory '{path}': {why}")
            status = 1
        else:
            shell.files.make_directory(path)
    return status


def _make_parents(shell: Shell, path: str, streams: Streams) -> int:
    whole = shell.files.path(path)
    for end in [*[m.start() for m in re.finditer("/", whole)][1:], len(whole)]:
        if shell.files.is_directory(whole[:end]):
            continue
        if why := shell.files.barred(whole[:end]):
            streams.complain(f"mkdir: cannot create directory '{whole[:end]}': {why}")
            return 1
        shell.files.make_directory(whole[:end])
    return 0


def _rm(shell: Shell, fields: list[str], streams: Streams) -> int:
    options, rest = _options(fields)
    status = 0
    for path in rest:
        is_directory = shell.files.is_directory(path)
        if not shell.files.exists(path):
            if "f" not in options:
                streams.complain(f"rm: cannot remove '{path}': No such file or directory")
                status = 1
        elif is_directory and "r" not in options:
            streams.complain(f"rm: cannot remove '{path}': Is a directory")
            status = 1
        elif shell.files.barred(path) == DENIED:
            streams.complain(f"rm: cannot remove '{path}': {DENIED}")
            status = 1
        else:
            shell.files.remove(path)
    return status


def _rmdir(shell: Shell, fields: list[str], _streams: Streams) -> int:
    for path in fields[1:]:
        if not shell.files.is_directory(path) or shell.files.barred(path) == DENIED:
            return 1
        shell.files.remove(path)
    return 0


def _mv(shell: Shell, fields: list[str], streams: Streams) -> int:
    _, rest = _options(fields)
    if not shell.files.exists(rest[0]):
        streams.complain(f"{fields[0]}: cannot stat '{rest[0]}': No such file or directory")
        return 1
    if fields[0] == "cp":
        shell.files.write(rest[1], shell.files.read(rest[0]) or "")
    else:
        shell.files.move(rest[0], rest[1])
    return 0


def _touch(shell: Shell, fields: list[str], _streams: Streams) -> int:
    for path in fields[1:]:
        if not shell.files.exists(path):
            shell.files.write(path, "")
    return 0


def _ls(shell: Shell, fields: list[str], streams: Streams) -> int:
    _, rest = _options(fields)
    path = shell.files.path(rest[0] if rest else ".")
    if not shell.files.exists(path):
        streams.complain(f"ls: cannot access '{rest[0]}': No such file or directory")
        return 2
    if shell.files.is_file(path):
        streams.say(rest[0])
        return 0
    prefix = path.rstrip("/") + "/"
    names = {
        p[len(prefix) :].split("/")[0]
        for p in shell.files.stored
        if p.startswith(prefix) and p != prefix
    }
    for name in sorted(names):
        streams.say(name)
    return 0


TEXT: dict[str, Program] = {
    "cat": _cat, "tee": _tee, "grep": _grep, "head": _head, "tail": _head, "wc": _wc, "cut": _cut, "sort": _sort, "tr": _tr,
    "mkdir": _mkdir, "rm": _rm, "rmdir": _rmdir, "mv": _mv, "cp": _mv, "touch": _touch, "ls": _ls,
}  # fmt: skip
