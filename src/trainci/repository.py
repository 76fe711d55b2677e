"""The repository that a command is called in: its root, project and test files, and what is selected of them."""

from __future__ import annotations

import contextlib
import gc
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trainci import config, git
from trainci.affected import Affected, find_affected
from trainci.catalog.files import find_test_files, walk
from trainci.catalog.registrations import register
from trainci.catalog.styles import STYLES, declarations, in_steps
from trainci.errors import PlacedFaults, UsageError
from trainci.findings import Finding
from trainci.github import actions as github
from trainci.github import payload
from trainci.interpreter import default_python
from trainci.model.project import Project
from trainci.model.selection import Selection
from trainci.model.tests import Declarations, Entry, as_id
from trainci.paths import StatePaths, from_here, state_paths
from trainci.selection.choose import UnknownSelector, choose, is_below, wants_changes
from trainci.selection.resolve import clashing as clashing_entries
from trainci.selection.resolve import resolve, told_apart
from trainci.text import listed, printable


@dataclass(frozen=True)
class Request:
    """Which tests are asked for: what ``selectors`` and ``ids`` name (see ``trainci.selection``).

    ``changed`` narrows that to what differs from ``base``, or asks for all that does where they name nothing; an
    empty ``base`` is what a job's event says, else the project's own branch. ``timeout`` (seconds) overrides all.
    """

    selectors: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    changed: bool = False
    base: str = ""
    timeout: float | None = None


@dataclass(frozen=True)
class Repository:
    """A repository with trainci's file in it.

    ``files`` are its test files, registered ones included. ``python`` are the words that start the interpreter of a
    test which names none. ``misregistered`` is what is wrong with the files that name their suites themselves.
    """

    root: Path
    project: Project
    files: tuple[str, ...]
    python: tuple[str, ...]
    misregistered: tuple[Finding, ...] = ()

    @property
    def state(self) -> StatePaths:
        """Where its runs and its history are kept."""
        return state_paths(self.root, self.project.state_dir, os.environ, self.project.history)

    def declarations(self, entries: Iterable[Entry]) -> dict[Entry, Declarations]:
        """What the file of each of ``entries`` and of their steps declares; what is started alike is read once.

        A file that no suite names is pytest's, if it can be, where pytest runs the folder around it.
        """
        parts = [part for each in entries for part in (*each.steps, each)]
        # Of what is started alike nothing else differs; those of a file one after another, as its style wants them.
        folders = self._pytest_folders()
        alike = {
            part: (
                Entry(
                    file=part.file,
                    node=part.node,
                    runner=part.runner,
                    module=part.module,
                    command=part.command,
                    args=part.args,
                ),
                "pytest" if not part.where and any(is_below(part.file, folder) for folder in folders) else "",
            )
            for part in parts
            if not part.steps
        }
        started = sorted(set(alike.values()), key=lambda one: one[0].file)
        with _no_search_for_cycles():
            read = {(entry, first): declarations(self.root, entry, first) for entry, first in started}
        found: dict[Entry, Declarations] = {}
        for part in parts:
            found[part] = in_steps([found[step] for step in part.steps]) if part.steps else read[alike[part]]
        return found

    def _pytest_folders(self) -> frozenset[str]:
        parts = [part for entry in self.project.registered_entries for part in (entry, *entry.steps)]
        files = {part.file for part in parts if part.file and part.runner in ("", "pytest")}
        return frozenset(file for file in files if (self.root / file).is_dir())

    def select(self, request: Request) -> Selection:
        """The tests that ``request`` asks for, each with its reason and its command.

        :raises UsageError: a selector names nothing, or there is nothing to compare with.
        """
        compared = request.changed or wants_changes(self.project, request.selectors)
        event = payload.base(os.environ) if compared and not request.base else ""
        base = request.base or event or f"origin/{self.project.base}"
        affected = self._changed(base) if compared else Affected({})
        try:
            choices = choose(
                self.project,
                request.selectors,
                request.ids,
                self.files,
                affected.tests,
                only_changed=request.changed,
            )
        except UnknownSelector as error:
            raise UsageError(self._left_out(error.selector) or str(error)) from None
        selected = resolve(
            self.project,
            choices,
            self.declarations(choice.entry for choice in choices),
            STYLES,
            self.python,
            timeout=request.timeout,
            note=f"No changed tests relative to {base}: nothing to run." if compared and not choices else "",
        )
        return replace(selected, unseen=affected.notes)

    def changed_files(self, base: str) -> tuple[str, ...]:
        """The files that differ from ``base``, or from the project's own branch where it is empty.

        :raises UsageError: there is nothing to compare with.
        """
        base = base or f"origin/{self.project.base}"
        changes = git.compare(self.root, base, uncommitted=False).changes
        return tuple(dict.fromkeys(path for one in changes for path in (one.path, one.old_path) if path))

    def paths(self) -> frozenset[str]:
        """Every file of the repository, as git lists them; outside of one, all but what is in hidden folders."""
        listing = git.listing(self.root)
        return frozenset(walk(self.root, "")) if listing is None else listing.files | listing.links

    def from_root(self, selectors: Sequence[str]) -> tuple[str, ...]:
        """Selectors with each file and folder of tests, as the current directory names it, from the root."""
        here, files = Path.cwd().as_posix(), set(self.files)
        placed = [posixpath.relpath(posixpath.join(here, text), self.root) for text in selectors]
        names = {name for suite in self.project.suites for name in (suite.name, suite.label)}
        return tuple(
            path
            if path in files or (text and text not in names and any(is_below(f, path) for f in files))
            else text
            for path, text in zip(placed, selectors, strict=True)
        )

    def typed_ids(self, names: Sequence[str]) -> tuple[str, ...]:
        """Ids as somebody types them: from the current directory, and as the disk has their names."""
        return self.ids(self.from_root(names))

    def ids(self, names: Sequence[str]) -> tuple[str, ...]:
        """Ids as they are shown, of which each may be told by the name that its file has on the disk."""
        own = {name: as_id(name) for name in names}
        if all(name == shown for name, shown in own.items()):
            return tuple(names)
        known = set(self.everything())
        return tuple(own[name] if name not in known and own[name] in known else name for name in names)

    def everything(self) -> tuple[str, ...]:
        """The ids of all tests: of the suites in their order, then of the files that no suite names."""
        started = self.project.started_files
        loose = (Entry(file).id for file in self.files if file not in started)
        return tuple(dict.fromkeys([*(entry.id for entry in self.project.registered), *loose]))

    def _left_out(self, selector: str) -> str:
        """What is said of a file or folder in which nothing counts as a test; empty: none is there."""
        name = selector.partition("::")[0]
        places = [Path(os.path.normpath(base / name)) for base in (Path.cwd(), self.root)]
        there = next((path for path in places if path.is_relative_to(self.root) and os.path.lexists(path)), None)
        if not name or there is None or there == self.root:
            return ""
        place = there.relative_to(self.root).as_posix()
        wanted = f"{place}/**/test_*.py" if there.is_dir() else place
        return (
            f"{printable(place)} is there, and holds no test: it is none of {listed(self.project.test_globs)}, the "
            f'`tests` of [project] in {self.project.config_file}. Add "{printable(wanted)}" to them.'
        )

    def _changed(self, base: str) -> Affected:
        """The tests that what differs from ``base``, a branch or a commit, reaches.

        By hand, what is not committed counts too; in a job, only what the commit holds.
        """
        compared = git.compare(self.root, base, uncommitted=not github.in_actions(os.environ))
        return find_affected(self.root, self.project, self.files, compared)


@contextlib.contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Syntax trees are many objects and no cycle: to look for some takes a quarter of the time of reading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def open_repository() -> Repository:
    """The repository around the current directory.

    :raises UsageError: there is none, or its trainci.toml has faults.
    """
    root = config.find_root(Path.cwd())
    try:
        project = config.load(root)
    except PlacedFaults as error:
        if github.in_actions(os.environ):
            # Annotations name places from the root.
            raise
        lines = str(error).splitlines()
        raise PlacedFaults("\n".join(from_here(root, line) for line in lines)) from None
    found = sorted({*find_test_files(root, project.test_globs), *_started_files(root, project)})
    project, misregistered = register(root, project, found)
    repository = Repository(root, project, tuple(found), default_python(root, os.environ), misregistered)
    if clashing := clashing_entries(project):
        apart = told_apart(project, repository.declarations(clashing))
        repository = replace(repository, project=apart)
    return repository


def _started_files(root: Path, project: Project) -> Iterable[str]:
    """The files that entries start: a folder of tests is none."""
    return (file for file in project.started_files if (root / file).is_file())
