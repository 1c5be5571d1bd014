"""A node's files. A directory is an entry that ends in a slash; a few are there without being listed."""

from collections.abc import Callable, Iterable

ALWAYS = {
    "/", "/run", "/tmp", "/var", "/var/log", "/var/lib", "/var/run", "/opt", "/opt/openvidu", "/etc", "/root", "/usr/local/bin", # noqa: S108 - the node's
    "/dev", "/proc", "/home", "/srv",
}  # fmt: skip
HOME = "/root"
DENIED = "Permission denied"


class Files:
    """Paths over a dict; `live` are files whose content is made when they are read, as in /proc."""

    def __init__(
        self, stored: dict[str, bytes], live: dict[str, Callable[[], str]] | None = None
    ) -> None:
        self.stored, self.live = stored, live or {}
        self.bars: dict[str, str] = {}
        """Directories in which nothing new can be made, and what the system says then."""

    def path(self, name: str) -> str:
        """The absolute path."""
        path = name if name.startswith("/") else f"{HOME}/{name}"
        return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))

    def is_file(self, name: str) -> bool:
        """Whether it is a file."""
        return self.path(name) in self.stored or self.path(name) in self.live

    def is_directory(self, name: str) -> bool:
        """Whether it is a directory."""
        path = self.path(name)
        return (
            path in ALWAYS
            or path + "/" in self.stored
            or any(p.startswith(path + "/") for p in self.stored)
        )

    def exists(self, name: str) -> bool:
        """Whether there is anything."""
        return self.is_file(name) or self.is_directory(name)

    def has_parent(self, name: str) -> bool:
        """Whether the directory that it would be in exists."""
        return self.is_directory(self.path(name).rpartition("/")[0] or "/")

    def barred(self, name: str) -> str:
        """Why nothing can be made there, if it cannot."""
        path = self.path(name)
        return next((why for place, why in self.bars.items() if path.startswith(place + "/")), "")

    def read(self, name: str) -> str | None:
        """The content, None when there is no such file."""
        path = self.path(name)
        if path in self.live:
            return self.live[path]()
        return self.stored[path].decode(errors="replace") if path in self.stored else None

    def write(self, name: str, text: str) -> None:
        """Replace the content."""
        self.stored[self.path(name)] = text.encode()

    def append(self, name: str, text: str) -> None:
        """Add to the content."""
        path = self.path(name)
        self.stored[path] = self.stored.get(path, b"") + text.encode()

    def make_directory(self, name: str) -> None:
        """Make a directory."""
        self.stored[self.path(name) + "/"] = b""

    def remove(self, name: str) -> None:
        """Remove a file, or a directory with all that is in it."""
        path = self.path(name)
        for other in [p for p in self.stored if p == path or p.startswith(path + "/")]:
            del self.stored[other]

    def move(self, name: str, to: str) -> None:
        """Rename a file or a directory."""
        path, target = self.path(name), self.path(to)
        if self.is_directory(target):
            target += "/" + path.rpartition("/")[2]
        for other in [p for p in self.stored if p == path or p.startswith(path + "/")]:
            self.stored[target + other[len(path) :]] = self.stored.pop(other)

    def paths(self) -> Iterable[str]:
        """Everything that a pattern can match."""
        return [p.rstrip("/") for p in (*self.stored, *self.live)]
