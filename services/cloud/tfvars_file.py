"""A Terraform variables file on this machine: read only, because people apply it elsewhere."""

import asyncio
from pathlib import Path

from services.common.errors import NotFound, Unreadable
from services.terraform.port import ProposedChange, PullRequest
from services.terraform.tfvars import LONGEST


class LocalFile:
    """A file that other programs keep current, such as a checkout."""

    takes_pulls = False
    template = ""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.path = file.name

    async def read(self) -> str:
        """Return the text. NotFound, Unreadable: what it says is unknown."""
        return await asyncio.to_thread(self._read)

    async def read_template(self) -> str:
        """Refuse: beside a file no template is configured."""
        raise NotFound(f"no template is configured beside {self.path}")

    def _read(self) -> str:
        try:
            with self._file.open("rb") as opened:
                return opened.read(4 * LONGEST + 1).decode()
        except OSError as error:
            raise NotFound(f"reading {self.path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise Unreadable(self.path, "text") from None

    async def find(self, branch: str) -> PullRequest | None:
        """Return None: a file has no branches."""
        del branch
        return None

    async def propose(self, change: ProposedChange) -> PullRequest:
        """Refuse: nothing is written to the file."""
        raise NotFound(f"{change.branch}: {self.path} is a file, not a repository")
