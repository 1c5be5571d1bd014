"""What is kept of each cluster's Terraform variables: pull requests, and reported differences."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from services.access.policy import Actor
from services.audit.chain import AuditChain
from services.audit.entries import AuditAction, AuditRecord
from services.common.errors import BadRecord
from services.common.serialize import Classes, read, write
from services.store import Commit, Store
from services.store.edit import retried, too_fast
from services.store.keys import terraform_key
from services.terraform.tfvars import Value

KEPT = 20
ASKED, DONE, FAILED = "asked", "done", "failed"


@dataclass(frozen=True)
class PullNote:
    """A pull request that someone requested. `state`: `asked` until it is there or has failed.

    `digest`: of the patch that was shown. `values`: the variables it sets. `about`: the run after
    which it was requested; "" for none. `until`: when the bot stops trying. `url` and `number` once
    it is there; `why`: the reason why not.
    """

    branch: str
    digest: str
    values: tuple[tuple[str, Value], ...]
    by: Actor
    at: float
    until: float
    about: str = ""
    state: str = ASKED
    number: int = 0
    url: str = ""
    why: str = ""


@dataclass(frozen=True)
class TerraformNotes:
    """Pull requests, newest last, and the keys of differences that were reported and are there."""

    pulls: tuple[PullNote, ...] = ()
    told: tuple[str, ...] = ()

    def pull(self, branch: str) -> PullNote | None:
        """Return the pull request of that branch; None for none."""
        return next((p for p in self.pulls if p.branch == branch), None)

    @property
    def asked(self) -> tuple[PullNote, ...]:
        """Return those that are not there yet."""
        return tuple(p for p in self.pulls if p.state == ASKED)

    def with_pull(self, note: PullNote) -> "TerraformNotes":
        """Return it with this one, in place of the one of the same branch."""
        others = tuple(p for p in self.pulls if p.branch != note.branch)
        return replace(self, pulls=(*others, note)[-KEPT:])


CLASSES: Classes = {k.__name__: k for k in (TerraformNotes, PullNote, Actor)}
NO_NOTES = TerraformNotes()


@lru_cache(maxsize=512)  # the same text is read at every round
def read_terraform(text: str | None) -> TerraformNotes:
    """Return the notes in a stored text."""
    if text is None:
        return NO_NOTES
    notes = read(text, CLASSES, "what is kept of the Terraform variables")
    if not isinstance(notes, TerraformNotes):
        raise BadRecord("what is kept of the Terraform variables cannot be read: it is damaged")
    return notes


class TerraformNotesRepository:
    """The documents of all clusters."""

    def __init__(self, store: Store, chain: AuditChain) -> None:
        self._store = store
        self._chain = chain

    async def read(self, cluster: str) -> TerraformNotes:
        """Return what is kept of a cluster's variables."""
        (text,) = await self._store.get(terraform_key(cluster))
        return read_terraform(text)

    async def edit(
        self, cluster: str, change: Callable[[TerraformNotes], TerraformNotes]
    ) -> TerraformNotes:
        """Change it; repeated on a concurrent write. A new request is in the audit."""
        key = terraform_key(cluster)

        async def attempt() -> TerraformNotes | None:
            (text,) = await self._store.get(key)
            before = read_terraform(text)
            after = change(before)
            if after == before:
                return before
            commit = Commit(checks={key: text}, puts={key: write(after, CLASSES, text)})
            if await self._chain.commit(commit, cluster, *_decisions(before, after)):
                return after
            return None

        return await retried(attempt, too_fast(f"what is kept of Terraform's {cluster}"))


def _decisions(before: TerraformNotes, after: TerraformNotes) -> tuple[AuditRecord, ...]:
    known = {p.branch for p in before.pulls}
    return tuple(
        AuditRecord(
            AuditAction.PULL_REQUEST,
            p.by,
            p.branch,
            p.about,
            "",
            ", ".join(f"{name} = {value}" for name, value in p.values),
            p.digest,
        )
        for p in after.pulls
        if p.branch not in known and p.state == ASKED
    )
