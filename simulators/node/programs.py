"""The small programs of a POSIX system that scripts lean on."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from simulators.node.files import DENIED
from simulators.node.shell import Program, Shell
from simulators.node.streams import Exit, Overdue, Streams

INTEGER: dict[str, Callable[[int, int], bool]] = {
    "-eq": int.__eq__, "-ne": int.__ne__, "-gt": int.__gt__, "-ge": int.__ge__, "-lt": int.__lt__, "-le": int.__le__,
}  # fmt: skip
TIMED_OUT = 124
SIGN_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\\\": "\\"}


def _true(_shell: Shell, _fields: list[str], _streams: Streams) -> int:
    return 0


def _false(_shell: Shell, _fields: list[str], _streams: Streams) -> int:
    return 1


def _echo(_shell: Shell, fields: list[str], streams: Streams) -> int:
    words = fields[1:]
    end = "\n"
    if words[:1] == ["-n"]:
        words, end = words[1:], ""
    streams.out.append(" ".join(words) + end)
    return 0


def _printf(_shell: Shell, fields: list[str], streams: Streams) -> int:
    form = re.sub(r"\\[nt\\]", lambda m: SIGN_ESCAPES[m[0]], fields[1])
    values = fields[2:]
    count = len(re.findall(r"%[sd]", form))
    while True:
        taken, values = values[:count], values[count:]
        given = iter(taken)
        streams.out.append(
            re.sub(
                r"%([sd%])",
                lambda m, g=given: "%" if m[1] == "%" else next(g, "0" if m[1] == "d" else ""),  # type: ignore[misc]
                form,
            )
        )
        if not values or not count:
            return 0


def _exit(shell: Shell, fields: list[str], _streams: Streams) -> int:
    raise Exit(int(fields[1]) if len(fields) > 1 else int(shell.variables["?"]))


def _set(shell: Shell, fields: list[str], _streams: Streams) -> int:
    for n, word in enumerate(fields[1:], 1):
        if word == "--":
            shell.arguments = fields[n + 1 :]
            break
        change = shell.options.update if word[0] == "-" else shell.options.difference_update
        change(set(word[1:]))
    return 0


def _export(shell: Shell, fields: list[str], _streams: Streams) -> int:
    for word in fields[1:]:
        name, is_given, value = word.partition("=")
        if is_given:
            shell.variables[name] = value
    return 0


def _unset(shell: Shell, fields: list[str], _streams: Streams) -> int:
    for name in fields[1:]:
        shell.variables.pop(name, None)
    return 0


def _read(shell: Shell, fields: list[str], streams: Streams) -> int:
    line, newline, streams.stdin[0] = streams.stdin[0].partition("\n")
    names = [name for name in fields[1:] if name != "-r"]
    values = line.split(None, len(names) - 1)
    shell.variables |= dict(zip(names, values + [""] * len(names), strict=False))
    return 0 if newline else 1


def _test(shell: Shell, fields: list[str], streams: Streams) -> int:
    words = fields[1:]
    if fields[0] == "[":
        if words[-1:] != ["]"]:
            streams.complain("sh: 1: [: missing ]")
            return 2
        words = words[:-1]
    try:
        return int(not _holds(shell, words))
    except ValueError:
        streams.complain("sh: 1: [: Illegal number")
        return 2


def _holds(shell: Shell, words: list[str]) -> bool:
    for joint, both in (("-o", any), ("-a", all)):
        if joint in words[1:-1] and len(words) > 3:
            at = words.index(joint, 1)
            return both((_holds(shell, words[:at]), _holds(shell, words[at + 1 :])))
    if words[:1] == ["!"]:
        return not _holds(shell, words[1:])
    if len(words) == 3:
        return _compare(*words)
    if len(words) == 2:
        return _ask(shell, *words)
    return bool(words and words[0])


def _compare(left: str, operator: str, right: str) -> bool:
    if operator in INTEGER:
        return INTEGER[operator](int(left), int(right))
    return (left == right) if operator in ("=", "==") else (left != right)


def _ask(shell: Shell, operator: str, word: str) -> bool:
    files = shell.files
    questions: dict[str, Callable[[], bool]] = {
        "-n": lambda: bool(word), "-z": lambda: not word, "-e": lambda: files.exists(word), "-f": lambda: files.is_file(word),
        "-d": lambda: files.is_directory(word), "-s": lambda: bool(files.read(word)), "-r": lambda: files.exists(word),
        "-w": lambda: files.exists(word) and files.barred(f"{word}/new") != DENIED,
        "-x": lambda: shell.programs(word) is not None or files.is_directory(word),
    }  # fmt: skip
    return questions[operator]()


def _command(shell: Shell, fields: list[str], streams: Streams) -> int:
    if fields[1:2] == ["-v"]:
        if shell.programs(fields[2]) is None:
            return 127
        streams.say(fields[2])
        return 0
    return shell.execute(fields[1:], streams)


def _prefix(shell: Shell, fields: list[str], streams: Streams) -> int:
    """`nohup`, `setsid`, `sudo`, `env`: run the rest."""
    rest = fields[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[1:]
    while rest and fields[0] == "env" and "=" in rest[0]:
        rest = rest[1:]
    return shell.execute(rest, streams) if rest else 0


def _timeout(shell: Shell, fields: list[str], streams: Streams) -> int:
    """`timeout [-k 5] [-s KILL] 10 COMMAND`: 124 when the time is over."""
    rest = fields[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[2 if rest[0] in ("-k", "-s", "--kill-after", "--signal") else 1 :]
    before, time = shell.time.ends, shell.time
    number = rest[0].rstrip("sm")
    time.ends = min(before, time.spent + float(number) * (60 if rest[0].endswith("m") else 1))
    mine = time.ends
    try:
        return shell.execute(rest[1:], streams)
    except Overdue:
        if mine == before:
            raise
        return TIMED_OUT
    finally:
        time.ends = before


def _sh(shell: Shell, fields: list[str], streams: Streams) -> int:
    options = [word for word in fields[1:] if word.startswith("-")]
    rest = [word for word in fields[1:] if not word.startswith("-")] if options else fields[1:]
    if any("c" in option for option in options):
        child = shell.child(rest[2:])
        child.options = {c for option in options for c in option[1:] if c in "eu"}
        return child.run(rest[0], streams)
    script = streams.read() if not rest else shell.files.read(rest[0])
    if script is None:
        return shell.execute(rest, streams)
    return shell.child(rest[1:]).run(script, streams)


def _date(clock: Callable[[], float]) -> Program:
    def date(_shell: Shell, fields: list[str], streams: Streams) -> int:
        form = next(
            (word[1:] for word in fields[1:] if word.startswith("+")), "%a %b %d %H:%M:%S UTC %Y"
        )
        moment = datetime.fromtimestamp(clock(), UTC)
        streams.say(moment.strftime(form.replace("%s", str(int(clock())))))
        return 0

    return date


def builtins(clock: Callable[[], float]) -> dict[str, Program]:
    """Programs by name; `clock` tells the node's time in epoch seconds."""
    table: dict[str, Program] = {
        "true": _true, ":": _true, "sleep": _true, "trap": _true, "cd": _true, "umask": _true, "wait": _true, "sync": _true, "chmod": _true,
        "chown": _true, "false": _false, "echo": _echo, "printf": _printf, "exit": _exit, "return": _exit, "set": _set, "export": _export,
        "unset": _unset, "read": _read, "[": _test, "test": _test, "command": _command, "sh": _sh, "bash": _sh, "date": _date(clock),
        "timeout": _timeout,
    }  # fmt: skip
    return table | dict.fromkeys(("nohup", "setsid", "sudo", "env", "exec"), _prefix)
