"""Which tests a change reaches, and which changed files reach none."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, KeysView, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from trainci.affected.entries import Altered
from trainci.affected.graph import Graph, Node, Start, Step
from trainci.affected.modules import folders_above
from trainci.affected.tree import Tree
from trainci.affected.ways import origin, way
from trainci.globs import matches
from trainci.model.project import PathRule, Project, Suite
from trainci.model.selection import Change
from trainci.model.tests import Entry
from trainci.selection.choose import suite_choices
from trainci.text import counted, listed, printable

_CHANGE_WORDS = {"A": "added", "M": "modified", "T": "modified", "C": "copied"}


@dataclass(frozen=True)
class Affected:
    """The ids of the tests that a change reaches, each with the reason, and sentences about what it does not."""

    tests: Mapping[str, str]
    notes: tuple[str, ...] = ()


def find(
    project: Project, test_files: Iterable[str], tree: Tree, changes: Sequence[Change], altered: Sequence[Altered]
) -> Affected:
    """The tests that ``changes`` reach: changed ones in the order of ``changes``, then those that use what changed.

    ``altered`` are the entries of trainci.toml that the change adds or alters.
    """
    return _Finder(project, test_files, tree, changes, altered).found()


class _Finder:
    def __init__(
        self,
        project: Project,
        test_files: Iterable[str],
        tree: Tree,
        changes: Sequence[Change],
        altered: Sequence[Altered],
    ) -> None:
        self._project, self._tree, self._changes, self._altered = project, tree, changes, altered
        test_files = frozenset(test_files)
        # A folder of tests is started by the one entry that names it.
        below: dict[str, list[str]] = {file: [] for file in project.started_files}
        for path in tree.files:
            for folder in folders_above(path):
                if folder in below:
                    below[folder].append(path)
        # Below the root is everything; what is called a test there is one.
        if "." in below:
            below["."] = sorted(test_files)
        self._tests = test_files | ({*below, *chain.from_iterable(below.values())} & tree.files)
        self._by_file: dict[str, list[Entry]] = {}
        for entry in project.registered:
            for file in entry.files:
                for path in (file, *below[file]):
                    self._by_file.setdefault(path, []).append(entry)
        touched = {path for change in changes for path in (change.path, change.old_path) if path}
        self._graph = Graph(
            tree.files | self._tests,
            tree.links,
            self._tests,
            [
                start
                for suite in project.suites
                for entry in suite.entries
                for start in _start(entry, project, suite)
            ],
            # What trainci.toml says of a test is no reason to run who reads trainci.toml.
            lambda path: None if path == project.config_file else tree.read(path),
            gone=touched - tree.files,
            stdlib=sys.stdlib_module_names,
        )
        self._reasons: dict[str, str] = {}
        self._notes: list[str] = []

    def found(self) -> Affected:
        changed = self._groups()
        reaching = {*self._changed_tests(), *self._altered_entries(), *self._by_rules()}
        quiet = {
            path
            for path in changed
            if any(rule.nothing and _is_about(rule, path) for rule in self._project.path_rules)
        }
        cut = [path for path, nodes in changed.items() if path not in quiet and self._is_too_many(nodes)]
        followed = {path: nodes for path, nodes in changed.items() if path not in quiet and path not in cut}
        reaching.update(self._within_submodules(followed))
        walked = self._graph.walk(node for nodes in followed.values() for node in nodes)
        for node in sorted(filter(self._graph.is_test, walked), key=_order):
            if walked[node] is not None:
                source = origin(node, walked)
                for test_id in self._ids([node]):
                    file = (node.file or node.id) if isinstance(node, Start) else node
                    self._add(test_id, f"{printable(source)} reaches {printable(file)} by {way(node, walked)}")
        useful = self._graph.useful(walked)
        reaching.update(path for path, nodes in followed.items() if not useful.isdisjoint(nodes))
        if unreached := [path for path in followed if path not in reaching]:
            verb = "reaches" if len(unreached) == 1 else "reach"
            self._notes.append(f"{counted(len(unreached), 'changed file')} {verb} no test: {listed(unreached)}.")
        if cut:
            self._say_cut(cut, changed)
        return Affected(self._reasons, (*self._notes, *self._tree.notes()))

    def _groups(self) -> dict[str, list[str]]:
        """Each changed path, and the files that change with it."""
        groups: dict[str, list[str]] = {}
        for change in self._changes:
            nodes = groups.setdefault(change.path, [])
            nodes += [path for path in (change.path, change.old_path) if path]
            if change.path in self._tree.submodules or change.path in self._tree.links:
                nodes += self._graph.below(change.path)
                if change.path in self._tree.submodules and len(nodes) == 1:
                    self._notes.append(
                        f"the submodule {printable(change.path)} changed and is not checked out here, so tests "
                        "that use it are not seen. Run `git submodule update --init`, or set `submodules: true` on "
                        "actions/checkout."
                    )
        return groups

    def _changed_tests(self) -> list[str]:
        changed = [change for change in self._changes if change.path in self._tests]
        for change in changed:
            word = _CHANGE_WORDS.get(change.status, "changed")
            if change.status == "R":
                word = f"renamed from {printable(change.old_path)}"
            for test_id in self._ids([change.path]):
                self._add(test_id, word)
        return [change.path for change in changed]

    def _within_submodules(self, followed: Mapping[str, Sequence[str]]) -> list[str]:
        """Add the tests that a changed submodule holds."""
        holding = []
        for path in self._tree.submodules & followed.keys():
            for test_id in self._ids(node for node in followed[path] if node in self._tests):
                self._add(test_id, f"is in the submodule {printable(path)}, which changed")
                holding.append(path)
        return holding

    def _altered_entries(self) -> list[str]:
        by_line = [
            (one, entry) for one in self._altered for entry in self._project.registered_entries if one.means(entry)
        ]
        for one, entry in by_line:
            self._add(entry.id, f"{'added' if one.is_new else 'altered'} at {entry.where}")
        return [self._project.config_file] if by_line else []

    def _by_rules(self) -> list[str]:
        reaching = []
        loose = [Entry(file) for file in sorted(self._tests - self._by_file.keys())]
        for rule in self._project.path_rules:
            about = [
                one.path for one in self._changes if _is_about(rule, one.path) or _is_about(rule, one.old_path)
            ]
            entries = [
                entry
                for entry in (*self._project.registered_entries, *loose)
                if about and self._selects(rule, entry)
            ]
            for entry in entries:
                self._add(entry.id, f"{printable(about[0])} reaches it by [[affected]] at {rule.where}")
            reaching += about if entries else []
        return reaching

    def _selects(self, rule: PathRule, entry: Entry) -> bool:
        if any(entry.id == test or matches(entry.file, test) for test in rule.tests):
            return True
        named = [suite for suite in self._project.suites if suite.name in rule.suites]
        return bool(entry.where) and any(
            suite.all_tests or entry in (choice.entry for choice in suite_choices(self._project, suite, ""))
            for suite in named
        )

    def _is_too_many(self, nodes: Iterable[str]) -> bool:
        most = self._project.max_changed
        return most is not None and len(self._reached(self._graph.walk(nodes, most))) > most

    def _reached(self, walked: Mapping[Node, Step | None]) -> KeysView[str]:
        return self._ids(node for node, step in walked.items() if step and self._graph.is_test(node))

    def _say_cut(self, cut: Sequence[str], changed: Mapping[str, Sequence[str]]) -> None:
        reached = self._reached(self._graph.walk(node for path in cut for node in changed[path]))
        holds: Counter[Suite] = Counter()
        for suite in self._project.suites:
            if not (suite.all_tests or suite.changed):
                holds[suite] = len(reached & {entry.id for entry in suite.entries})
        labels = [
            f"{'suite ' + suite.name if suite.always else suite.label} (holds {count} of them)"
            for suite, count in holds.most_common(3)
            if count
        ]
        instead = f"add {' or '.join(labels)} instead" if labels else "no suite holds them; name them by hand"
        verb = "reaches" if len(cut) == 1 else "each reach"
        self._notes.append(
            f"{listed(cut)} {verb} more than {counted(self._project.max_changed or 0, 'test')} (project → "
            f"max_changed), {len(reached)} in all, which are not selected for it: {instead}."
        )

    def _ids(self, nodes: Iterable[Node]) -> KeysView[str]:
        found: dict[str, None] = {}
        for node in nodes:
            if isinstance(node, Start):
                found[node.id] = None
            else:
                entries = self._by_file.get(node) or [Entry(node)]
                found.update((entry.id, None) for entry in entries)
        return found.keys()

    def _add(self, test_id: str, reason: str) -> None:
        self._reasons.setdefault(test_id, reason)


def _start(entry: Entry, project: Project, suite: Suite) -> list[Start]:
    parts = (entry, *entry.steps)
    environment = tuple(value for part in (project, suite, *parts) for _, value in part.env)
    arguments = [word for part in parts for word in (*_module(part), *part.command, *part.args)]
    if not (arguments or environment or entry.also):
        return []
    return [Start(entry.id, next(iter(entry.files), ""), tuple(arguments), environment, entry.also)]


def _module(part: Entry) -> tuple[str, ...]:
    return ("-m", part.module) if part.module else ()


def _is_about(rule: PathRule, path: str) -> bool:
    return any(matches(path, pattern) for pattern in rule.paths)


def _order(node: Node) -> tuple[str, str]:
    return (node.file, node.id) if isinstance(node, Start) else (node, "")
