"""What one look shows of a master's configuration: digests of its files, never their content."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeptFile:
    """A file that a change keeps on the master until the change is verified.

    `change`: the id of the change. `digest`: of the file before it. `start`: which start of
    OpenVidu ran when the configuration was last written by it.
    """

    change: str
    digest: str
    start: str


@dataclass(frozen=True)
class NodeConfiguration:
    """The configuration of one master, and what its services make of it.

    `layout`: `cluster` where several nodes share it, `flat` where one node has everything.
    `files`: the digest of each file, by its path below the directory of the configuration.
    `start`: this start of OpenVidu's unit. `running`: containers that run. `troubled`: containers
    that restart again and again. `since`: when the unit started, as the node's clock
    says. `errors`: of nodes_errors.log, each with its time; "" where none is written.
    """

    layout: str
    files: tuple[tuple[str, str], ...] = ()
    kept: tuple[KeptFile, ...] = ()
    start: str = ""
    unit: str = ""
    running: tuple[str, ...] = ()
    troubled: tuple[str, ...] = ()
    since: str = ""
    errors: tuple[tuple[str, str], ...] = ()

    def errors_since(self, moment: str) -> tuple[str, ...]:
        """Return the errors from that moment on. An error without a time always counts."""
        return tuple(text for at, text in self.errors if not at or not moment or at >= moment)

    def digest(self, path: str) -> str:
        """Return the digest of a file; "" if there is none."""
        return dict(self.files).get(path, "")

    def kept_file(self, change: str) -> KeptFile | None:
        """Return what a change keeps here; None if nothing."""
        return next((kept for kept in self.kept if kept.change == change), None)
