"""A node's files. A directory is an entry that ends in a slash; a few exist without an entry."""

from collections.abc import Mapping

ALWAYS = {"/", "/run", "/var", "/var/log", "/opt", "/opt/openvidu", "/etc", "/root"}
RUN = "/run"
DENIED, FULL = "Permission denied", "No space left on device"
BARS = {"run-denied": DENIED, "unprivileged": DENIED, "run-full": FULL}
"""Faults under which nothing new can be made below /run, and the system's text."""


class Files:
    """Paths over a dict."""

    def __init__(self, stored: dict[str, bytes], faults: Mapping[str, object]) -> None:
        self.stored = stored
        self._bar = next((text for kind, text in BARS.items() if kind in faults), "")

    def is_directory(self, path: str) -> bool:
        """Return whether it is a directory."""
        return (
            path in ALWAYS
            or path + "/" in self.stored
            or any(p.startswith(path + "/") for p in self.stored)
        )

    def writable(self, path: str) -> bool:
        """Return whether it is a directory that this user may write to."""
        return self.is_directory(path) and self._why_barred(f"{path}/new") != DENIED

    def read(self, path: str) -> str | None:
        """Return the content, None when there is no such file."""
        if path not in self.stored:
            return None
        return self.stored[path].decode(errors="replace")

    def append(self, path: str, line: str) -> None:
        """Add a line to a file."""
        self.stored[path] = self.stored.get(path, b"") + f"{line}\n".encode()

    def make_directory(self, path: str) -> str:
        """Run `mkdir`. Returns its complaint; "" when the directory was made."""
        if self.is_directory(path) or path in self.stored:
            return f"mkdir: cannot create directory '{path}': File exists"
        if not self.is_directory(path.rpartition("/")[0]):
            return f"mkdir: cannot create directory '{path}': No such file or directory"
        if why := self._why_barred(path):
            return f"mkdir: cannot create directory '{path}': {why}"
        self.stored[path + "/"] = b""
        return ""

    def make_directories(self, path: str) -> str:
        """Run `mkdir -p`. Returns its complaint; "" when the directory exists now."""
        parts = path.split("/")
        for end in range(2, len(parts) + 1):
            whole = "/".join(parts[:end])
            if not self.is_directory(whole) and (complaint := self.make_directory(whole)):
                return complaint
        return ""

    def _why_barred(self, path: str) -> str:
        if path.startswith(RUN + "/"):
            return self._bar
        return ""
