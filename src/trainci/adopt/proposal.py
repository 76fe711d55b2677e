"""What ``trainci init`` proposes: the tables of a trainci.toml, with the place that each came from.

The fields of a table are named and ordered as its keys in trainci.toml; what keeps its default is not written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Env = tuple[tuple[str, str], ...]


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file of the repository; ``line`` counts from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Note:
    """A comment of the proposal. ``left`` says that it could not be carried over and is left to the user."""

    text: str
    place: Place
    left: bool = True


@dataclass(frozen=True)
class Entry:
    """One test, or with ``steps`` several that run one after another."""

    path: str = ""
    module: str = ""
    command: tuple[str, ...] = ()
    name: str = ""
    runner: str = ""
    args: tuple[str, ...] = ()
    num_gpus: int | None = None
    env: Env = ()
    python: str = ""
    timeout_minutes: float | None = None
    disabled: str = ""
    steps: tuple[Entry, ...] = ()
    place: Place = field(default=Place("", 0), compare=False)
    notes: tuple[Note, ...] = field(default=(), compare=False)

    def commands(self) -> int:
        """How many commands of the CI it carries over."""
        return len(self.steps) or 1


@dataclass(frozen=True)
class Suite:
    """A suite. With ``registers`` tests name it in their own files; ``registered`` counts those."""

    name: str
    label: str = ""
    description: str = ""
    job: str = ""
    always: bool = False
    select: str = ""
    drafts: bool = True
    branches: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    paths_ignore: tuple[str, ...] = ()
    schedule: str = ""
    runs_on: tuple[str, ...] = ()
    image: str = ""
    num_gpus: int | None = None
    timeout_minutes: float | None = None
    jobs: int | None = None
    python: str = ""
    python_version: str = ""
    setup: tuple[str, ...] = ()
    install: str = ""
    env: Env = ()
    secrets: tuple[str, ...] = ()
    tests: tuple[Entry, ...] = ()
    place: Place = field(default=Place("", 0), compare=False)
    notes: tuple[Note, ...] = field(default=(), compare=False)
    mounts: tuple[str, ...] = ()
    container_options: tuple[str, ...] = ()
    registers: bool = False
    registered: int = 0


@dataclass(frozen=True)
class Project:
    """The table ``[project]``."""

    tests: tuple[str, ...] = ()
    base: str = ""
    max_gpus: int | None = None
    image: str = ""
    python_version: str = ""
    setup: tuple[str, ...] = ()
    install: str = ""
    env: Env = ()
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workflow:
    """The table ``[workflow]``."""

    runs_on: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    container_options: str = ""


@dataclass(frozen=True)
class Found:
    """What one source gives. ``globs`` match test files; ``generated`` are files that it read in another form."""

    suites: tuple[Suite, ...] = ()
    notes: tuple[Note, ...] = ()
    globs: tuple[str, ...] = ()
    registers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """A whole trainci.toml."""

    project: Project
    suites: tuple[Suite, ...] = ()
    registers: tuple[str, ...] = ()
    workflow: Workflow = Workflow()
    notes: tuple[Note, ...] = ()

    @property
    def entries(self) -> int:
        """Commands of the CI and registrations that are carried over."""
        return sum(suite.registered + sum(entry.commands() for entry in suite.tests) for suite in self.suites)

    @property
    def left(self) -> tuple[Note, ...]:
        """What could not be carried over, each once."""
        return tuple({note.text: note for note in self._all_notes() if note.left}.values())

    def _all_notes(self) -> Iterator[Note]:
        yield from self.notes
        for suite in self.suites:
            yield from suite.notes
            yield from _entry_notes(suite.tests)


def _entry_notes(entries: Iterable[Entry]) -> Iterator[Note]:
    for entry in entries:
        yield from entry.notes
        yield from _entry_notes(entry.steps)
