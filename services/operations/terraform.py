"""A cluster's Terraform variables: what differs, the patch, and its pull request.

A press is noted, with the audit entry, before anything is sent. From then on any bot opens the pull
request, or finds it, until it is there or the time is over: the branch is named by the patch, and
GitHub takes one of a name.
"""

import asyncio
import logging
import re
from dataclasses import dataclass, replace
from functools import partial

from services.access.clusters import ClusterRegistry
from services.access.policy import Actor
from services.cluster.model import Cluster, Fact
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.command import CommandClass
from services.common.errors import BotError, Refused, Rejected, Unreachable
from services.common.markers import WARNING, strong
from services.common.text import duration
from services.memory.schedule import Announcement, Book, ScheduleRepository
from services.memory.terraform import (
    ASKED,
    DONE,
    FAILED,
    PullNote,
    TerraformNotes,
    TerraformNotesRepository,
)
from services.operations.permissions import Permissions
from services.operations.reader import ClusterReader
from services.terraform.differences import (
    SEES,
    Comparison,
    Difference,
    as_it_is,
    compare,
    compare_version,
)
from services.terraform.patches import TerraformPatch, patch_of
from services.terraform.port import ProposedChange, PullRequest, TerraformSource
from services.terraform.tfvars import Value, read_variables

log = logging.getLogger(__name__)
BRANCH = "openvidu-bot/"
# Seconds for which the bot tries to open a pull request, and for which a press waits for it.
TRIES_FOR = 600.0
PRESS_WAITS = 20.0
NOT_CONFIGURED = (
    "where the Terraform variables of {name} are kept is not configured: set `terraform` of the "
    "cluster in the settings"
)
CHANGED = (
    "the variables or the cluster have changed since this patch was shown. "
    "[[command terraform patch]] shows the new one"
)


@dataclass(frozen=True)
class TerraformReport:
    """What an apply would do to a cluster, and the patch against it.

    `path`: of the file, "" where none is configured: then `values` describe the cluster. `unknown`:
    why something, or all of it, cannot be compared. `takes_pulls`: a press opens a pull request.
    `pull`: the one that exists for this patch.
    """

    cluster: str
    path: str = ""
    values: tuple[tuple[str, Value], ...] = ()
    differences: tuple[Difference, ...] = ()
    unknown: tuple[str, ...] = ()
    patch: TerraformPatch | None = None
    takes_pulls: bool = False
    pull: PullNote | None = None

    @property
    def lasting(self) -> tuple[Difference, ...]:
        """Return the differences that do not end by themselves."""
        return Comparison(self.differences).lasting


class TerraformVariables:
    """The variables of all clusters. Methods with an actor check the role."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        reader: ClusterReader,
        permissions: Permissions,
        notes: TerraformNotesRepository,
        books: ScheduleRepository,
        bulkheads: Bulkheads,
        clock: Clock,
    ) -> None:
        self._clusters = clusters
        self._reader = reader
        self._permissions = permissions
        self.notes = notes
        self._books = books
        self._bulkheads = bulkheads
        self._clock = clock

    def source(self, name: str) -> TerraformSource | None:
        """Return where a cluster's variables are kept; None where that is not configured."""
        return self._clusters[name].variables

    async def report(self, name: str, actor: Actor) -> TerraformReport:
        """Return what differs, for someone who may see the cluster."""
        self._permissions.must_read(name, actor)
        return await self.reading(name)

    async def reading(self, name: str) -> TerraformReport:
        """Return what differs. What cannot be read is in `unknown`, never "no difference"."""
        source = self.source(name)
        try:
            cluster = await self._reader.look(name, SEES)
        except BotError as error:
            return TerraformReport(name, source.path if source else "", unknown=(str(error),))
        if source is None:
            values = tuple(as_it_is(cluster).items())
            problem = (cluster.problem,) if cluster.problem else ()
            return TerraformReport(name, values=values, unknown=problem)
        try:
            file = read_variables(source.path, await source.read())
            comparison = compare(file, cluster)
            patch = patch_of(file, comparison)
        except BotError as error:
            return TerraformReport(name, source.path, unknown=(str(error),))
        run = await self._reader.open_run(name)
        notes = await self.notes.read(name)
        differences, unknown = comparison.differences, comparison.unknown
        version = await self._version(name, source, cluster)
        if isinstance(version, Difference):
            differences = (*differences, version)
        elif version is not None:
            unknown = (*unknown, version)
        if run is not None:
            # Such as a pool that is doubled for a while: no patch holds what is between.
            unknown = (*unknown, f"{run.id} is changing {name}")
        return TerraformReport(
            name,
            source.path,
            patch.values,
            differences,
            unknown,
            patch if patch.values and run is None else None,
            source.takes_pulls,
            _pull_for(notes, patch.digest),
        )

    async def _version(
        self, name: str, source: TerraformSource, cluster: Cluster
    ) -> Difference | str | None:
        """Return how the template's version differs; a text where it is unknown.

        A master that is powered off tells no version, and none is missed.
        """
        if not source.template or not cluster.is_up:
            return None
        try:
            template = await source.read_template()
            seen = await self._reader.look(name, SEES | {Fact.VERSIONS})
        except BotError as error:
            return f"the version: {error}"
        return compare_version(source.template, template, seen)

    # Pull requests

    async def open_pull(self, name: str, digest: str, actor: Actor, about: str = "") -> PullNote:
        """Open the pull request of the patch with this digest, or return the one that is there.

        `about`: the run after which it is requested.
        """
        self._permissions.must_use(name, actor, CommandClass.CONFIGURATION)
        self._reader.must_be_ours(name)
        self._clusters.must_operate_here("opening a pull request")
        source = self.source(name)
        if source is None or not source.takes_pulls:
            raise Refused(NOT_CONFIGURED.format(name=name))
        report = await self.reading(name)
        if report.patch is None and report.unknown:
            raise Unreachable(report.unknown[0], sent=False)
        if report.patch is None or report.patch.digest != digest:
            raise Refused(CHANGED)
        note = await self._noted(name, source, report.patch, actor, about)
        if note.state == ASKED:
            note = await self._try(name, note)
        return note

    async def _noted(
        self, name: str, source: TerraformSource, patch: TerraformPatch, actor: Actor, about: str
    ) -> PullNote:
        """Return the note of this patch: the one that counts, or a new one."""
        old = _pull_for(await self.notes.read(name), patch.digest)
        over = ""
        if old is not None and old.state != ASKED:
            found = await source.find(old.branch) if old.state == DONE else None
            if found is not None and found.state == "open":
                return old
            over = old.branch
        now = self._clock.now()

        def change(notes: TerraformNotes) -> TerraformNotes:
            newest = _pull_for(notes, patch.digest)
            if newest is not None and newest.branch != over:
                return notes
            earlier = sum(p.digest == patch.digest for p in notes.pulls)
            again = f"-{earlier + 1}" if earlier else ""
            branch = f"{BRANCH}{name}-{patch.digest}{again}"
            note = PullNote(branch, patch.digest, patch.values, actor, now, now + TRIES_FOR, about)
            return notes.with_pull(note)

        note = _pull_for(await self.notes.edit(name, change), patch.digest)
        assert note is not None, "it was just written"
        return note

    async def _try(self, name: str, note: PullNote) -> PullNote:
        """Try once, for as long as a press waits; the rounds continue."""
        try:
            async with asyncio.timeout(PRESS_WAITS):
                return await self._open(name, note)
        except (Unreachable, TimeoutError) as error:
            why = str(error) or f"no answer within {duration(PRESS_WAITS)}"
            return replace(note, why=why)

    async def sweep(self) -> None:
        """Open what was requested and is not there yet, on every cluster of this bot."""
        if self._clusters.observes:
            return
        names = [n for n in self._clusters.driven if self.source(n) is not None]
        await self._bulkheads.run_each("pull requests", names, self._open_asked, together=True)

    async def _open_asked(self, name: str) -> None:
        for note in (await self.notes.read(name)).asked:
            try:
                await self._open(name, note)
            except Unreachable as error:
                log.info("%s of %s: %s", note.branch, name, error)
                if self._clock.now() > note.until:
                    why = f"no success within {duration(TRIES_FOR)}: {error}"
                    await self._end(name, replace(note, state=FAILED, why=why))

    async def _open(self, name: str, note: PullNote) -> PullNote:
        """Open it, or find it, and note the end. Unreachable: the end is not known yet."""
        source = self.source(name)
        if source is None:
            return await self._end(
                name, replace(note, state=FAILED, why=NOT_CONFIGURED.format(name=name))
            )
        try:
            pull = await self._proposed(name, source, note)
        except (Rejected, Refused) as error:
            return await self._end(name, replace(note, state=FAILED, why=str(error)))
        done = replace(note, state=DONE, number=pull.number, url=pull.url, why="")
        return await self._end(name, done)

    async def _proposed(self, name: str, source: TerraformSource, note: PullNote) -> PullRequest:
        if (found := await source.find(note.branch)) is not None:
            return found
        file = read_variables(source.path, await source.read())
        patch = TerraformPatch(file, file.with_values(dict(note.values)), note.values)
        if patch.digest != note.digest:
            raise Refused(f"{source.path} has changed since the patch was shown")
        comparison = compare(file, await self._reader.look(name, SEES))
        title = f"{name}: {_assignments(note)}"
        body = _body(name, note, comparison)
        change = ProposedChange(note.branch, file.text, patch.after.text, title, body)
        return await source.propose(change)

    async def _end(self, name: str, note: PullNote) -> PullNote:
        """Announce the end once, then note it: a crash in between repeats what has a name."""
        by, what = note.by.mention, _assignments(note)
        text = f"Pull request #{note.number} of {by} for Terraform: `{what}`. {note.url}"
        if note.state == FAILED:
            text = (
                f"{WARNING} {strong('No pull request was opened')} for {by} (`{what}`): "
                f"{note.why}. To try again: [[command terraform patch]]"
            )
        stored = (await self.notes.read(name)).pull(note.branch)
        if stored is not None and stored.state != ASKED:
            return stored
        message = Announcement(f"{note.branch}/{note.state}", text)
        await self._books.edit(name, partial(Book.with_announcement, announcement=message))

        def ended(notes: TerraformNotes) -> TerraformNotes:
            now = notes.pull(note.branch)
            return notes if now is not None and now.state != ASKED else notes.with_pull(note)

        return (await self.notes.edit(name, ended)).pull(note.branch) or note


def _pull_for(notes: TerraformNotes, digest: str) -> PullNote | None:
    """Return the newest pull request of this patch."""
    return next((p for p in reversed(notes.pulls) if p.digest == digest), None)


def _assignments(note: PullNote) -> str:
    return ", ".join(f"{name} = {value}" for name, value in note.values)


def _body(name: str, note: PullNote, comparison: Comparison) -> str:
    """Return the text of a pull request: who, why, and what an apply does without it."""
    who = re.sub(r"[^\w .()-]", "", note.by.name or note.by.user)
    lines = [f"Requested by {who} ({note.by.user}) in Slack."]
    if note.about:
        lines = [f"Requested by {who} ({note.by.user}) in Slack, after {note.about}."]
    lines.append("Without this change, an apply does this:")
    set_here = dict(note.values)
    lines.append(
        "\n".join(
            f"- `{d.variable}` is {d.stated}, {name} has {d.actual}: it {d.apply}."
            for d in comparison.differences
            if d.variable in set_here
        )
    )
    lines.append("Read the plan before you apply it.")
    return "\n\n".join(lines)
