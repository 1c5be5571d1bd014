"""Checks a commit message (git's commit-msg hook): subject, blank line, body.

The subject has at most 72 characters and no full stop. Merge, revert and fixup commits are left
alone: git writes their subjects.
"""

import sys
from pathlib import Path

MAX_SUBJECT = 72
WRITTEN_BY_GIT = ("Merge ", "Revert ", "fixup! ", "squash! ", "amend! ")


def main() -> int:
    """Check the file that git names; return 1 if the message is refused."""
    problems = check(Path(sys.argv[1]).read_text("utf-8"))
    for problem in problems:
        print(f"commit message: {problem}", file=sys.stderr)
    if problems:
        return 1
    return 0


def check(message: str) -> list[str]:
    """Return what is wrong with a commit message; git's own comment lines do not count."""
    lines = [line.rstrip() for line in message.splitlines() if not line.startswith("#")]
    subject, *body = lines or [""]
    if subject.startswith(WRITTEN_BY_GIT):
        return []
    problems = []
    if not subject:
        problems.append("the first line is the subject; found an empty line")
    if len(subject) > MAX_SUBJECT:
        problems.append(f"the subject has {len(subject)} characters; at most {MAX_SUBJECT}")
    if subject.endswith("."):
        problems.append("the subject ends without a full stop")
    if body and body[0]:
        problems.append("the second line is empty; the body begins in the third")
    return problems


if __name__ == "__main__":
    sys.exit(main())
