"""Compares the Terraform variables with each cluster before a window closes or opens it.

A difference is reported once for as long as it lasts. What cannot be read is reported as unknown,
once too, and never counts as no difference.
"""

import hashlib
from dataclasses import replace
from functools import partial

from services.common.clock import Clock
from services.common.markers import WARNING, strong
from services.common.text import count_of
from services.memory.schedule import Announcement, Book
from services.operations.assembly import Operations
from services.operations.terraform import TerraformReport
from services.windows import due

PART = "Terraform variables"
# Seconds before a closing or opening.
BEFORE = 2700.0
# Seconds between two attempts while something cannot be read.
AGAIN = 300.0
UNKNOWN = "unknown"
SHOWN = 3


class TerraformDrift:
    """Looks before each edge of a window, on the bot that drives the cluster."""

    def __init__(self, operations: Operations, clock: Clock) -> None:
        self._clusters = operations.clusters
        self._reader = operations.reader
        self._books = operations.memory.books
        self._terraform = operations.terraform
        self._bulkheads = operations.bulkheads
        self._clock = clock
        # By cluster: the edge before which it was compared.
        self._compared: dict[str, str] = {}
        self._looked: dict[str, float] = {}

    async def tick(self) -> None:
        """Compare every cluster that a window closes or opens soon."""
        names = [n for n in self._clusters.driven if self._terraform.source(n) is not None]
        await self._bulkheads.run_each(PART, names, self._before_edge)

    async def _before_edge(self, name: str) -> None:
        _, book = await self._books.read(name)
        now = self._clock.now()
        edge = due(book.windows, now, book.exceptions).next_edge
        if edge is None or edge.start - now > BEFORE or self._compared.get(name) == edge.name:
            return
        if now - self._looked.get(name, float("-inf")) < AGAIN:
            return
        if await self._reader.open_run(name) is not None:
            return
        self._looked[name] = now
        report = await self._terraform.reading(name)
        await self._tell(name, edge.name, report)
        if not report.unknown:
            self._compared[name] = edge.name

    async def _tell(self, name: str, edge: str, report: TerraformReport) -> None:
        notes = await self._terraform.notes.read(name)
        present = tuple(d.key for d in report.lasting)
        # While the cluster is shut down, what it differs in when it is up stays as it was.
        passing = tuple(f"{d.variable}=" for d in report.differences if d.passing)
        hidden = [key for key in notes.told if passing and key.startswith(passing)]
        told = tuple(dict.fromkeys((*hidden, *present)))
        if report.unknown:
            told = tuple(dict.fromkeys((*notes.told, *present, UNKNOWN)))
        new = [d for d in report.lasting if d.key not in notes.told]
        lines = [
            f"`{d.variable}` is {d.stated}, {name} has {d.actual}: an apply {d.apply}"
            for d in new[:SHOWN]
        ]
        if lines:
            head = strong(f"Terraform and {name} differ")
            more = count_of(len(new) - SHOWN, "more difference")
            rest = f". {more}" if len(new) > SHOWN else ""
            text = f"{WARNING} {head}. {'. '.join(lines)}{rest}. [[command terraform patch]]"
            await self._announce(name, edge, [d.key for d in new], text)
        if report.unknown and UNKNOWN not in notes.told:
            head = strong(f"Whether Terraform and {name} differ is unknown")
            text = f"{WARNING} {head}: {report.unknown[0]}. [[command terraform drift]]"
            await self._announce(name, edge, [UNKNOWN], text)
        if told != notes.told:
            await self._terraform.notes.edit(name, lambda n: replace(n, told=told))

    async def _announce(self, name: str, edge: str, keys: list[str], text: str) -> None:
        digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:12]
        message = Announcement(f"terraform/{edge}/{digest}", text)
        await self._books.edit(name, partial(Book.with_announcement, announcement=message))
