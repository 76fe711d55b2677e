"""Pure: which entries labels, suites, files, ids, globs and changes name."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

from trainci.errors import UsageError
from trainci.globs import is_glob, matches
from trainci.model.project import Project, Suite
from trainci.model.tests import Entry, settle
from trainci.text import guess, printable


@dataclass(frozen=True)
class Choice:
    """An entry that was chosen, the suite that it was chosen from (if any), and why.

    ``taken_from`` is the suite that registers it, where ``suite`` has it from another one.
    """

    entry: Entry
    suite: Suite | None
    reason: str
    taken_from: Suite | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """What it may be called: by its suite, too, where that may start it in another way."""
        by_suite = f"{self.entry.id} in {self.suite.name}" if self.suite and self.taken_from else ""
        return (self.entry.id, by_suite) if by_suite else (self.entry.id,)


class UnknownSelector(UsageError):
    """``selector`` names nothing that could be run."""

    def __init__(self, selector: str, said: str) -> None:
        super().__init__(said)
        self.selector = selector


def choose(
    project: Project,
    selectors: Sequence[str],
    ids: Sequence[str],
    files: Sequence[str],
    changed: Mapping[str, str],
    *,
    only_changed: bool = False,
) -> tuple[Choice, ...]:
    """The entries that ``selectors`` and ``ids`` name.

    A selector is a label, a suite, a file (all its variants), a folder of files, a test id or a glob; an id names
    one variant, of what the selectors name where there are any.
    ``files`` are the test files that exist. ``changed`` maps the ids of the tests that a change reaches to the
    reason; with ``only_changed`` it narrows what the selectors name, or chooses alone when there are none.

    :raises UsageError: a selector that names nothing, with what it may have meant.
    """
    registered = _registered(project)
    if not selectors and not ids:
        return tuple(_changed_choices(registered, changed, files))
    known = set(files)
    chosen = [
        choice for selector in selectors for choice in _choose_one(project, registered, selector, known, changed)
    ]
    if selectors and ids:
        chosen = _narrowed(chosen, ids)
    else:
        chosen += _choose_ids(project, registered, ids, known)
    if only_changed:
        chosen = [
            replace(choice, reason="; ".join(dict.fromkeys([choice.reason, changed[choice.entry.id]])))
            for choice in chosen
            if choice.entry.id in changed
        ]
    return tuple(chosen)


def _narrowed(chosen: Sequence[Choice], ids: Sequence[str]) -> list[Choice]:
    """Those of ``chosen`` that ``ids`` name.

    :raises UsageError: an id names none of them.
    """
    there = {one for choice in chosen for one in choice.ids}
    if missing := [test_id for test_id in ids if test_id not in there]:
        raise UsageError(f"{printable(missing[0])} is none of the tests that were named. See `trainci list`.")
    wanted = set(ids)
    return [choice for choice in chosen if not wanted.isdisjoint(choice.ids)]


def wants_changes(project: Project, selectors: Iterable[str]) -> bool:
    """Whether a selector names the suite whose tests are those that a change touches."""
    wanted = set(selectors)
    return any(suite.changed and wanted & {suite.name, suite.label} for suite in project.suites)


@dataclass(frozen=True)
class _Registered:
    """The registrations of each file, in the order of trainci.toml."""

    by_file: Mapping[str, Sequence[Choice]]

    @cached_property
    def by_id(self) -> Mapping[str, Sequence[Choice]]:
        """Those of each id."""
        found: dict[str, list[Choice]] = {}
        for choices in self.by_file.values():
            for choice in choices:
                found.setdefault(choice.entry.id, []).append(choice)
        return found


def _registered(project: Project) -> _Registered:
    found: dict[str, list[Choice]] = {}
    for suite in project.suites:
        for entry in suite.entries:
            for file in entry.files or ("",):
                found.setdefault(file, []).append(Choice(entry, suite, ""))
    return _Registered(found)


def _choose_one(
    project: Project, registered: _Registered, selector: str, files: Set[str], changed: Mapping[str, str]
) -> list[Choice]:
    if suites := [suite for suite in project.suites if selector in (suite.label, suite.name)]:
        found = []
        for suite in suites:
            if suite.changed:
                touched = _changed_choices(registered, changed, files)
                found += [_taken_over(choice, suite, choice.reason) for choice in touched]
            else:
                reason = f"{'label' if selector == suite.label else 'suite'} {selector}"
                found += suite_choices(project, suite, reason)
        return found
    path = posixpath.normpath(selector)
    if by_file := _variants(registered, path, files, "file"):
        return by_file
    if by_id := registered.by_id.get(selector):
        return [replace(choice, reason="test id") for choice in by_id]
    if inside := sorted(file for file in {*files, *registered.by_file} if selector and is_below(file, path)):
        reason = f"folder {printable(path)}"
        return [choice for file in inside for choice in _variants(registered, file, files, reason)]
    if is_glob(selector):
        reason = f"glob {printable(selector)}"
        named = sorted(file for file in {*files, *registered.by_file} if matches(file, path))
        by_glob = [choice for file in named for choice in _variants(registered, file, files, reason)]
        by_glob = by_glob or [
            replace(choice, reason=reason)
            for choices in registered.by_file.values()
            for choice in choices
            if matches(choice.entry.id, selector)
        ]
        if by_glob:
            return by_glob
    expected = "label, suite, test file, folder, test id or glob of a test"
    raise UnknownSelector(selector, _unknown(project, selector, files, expected))


def suite_choices(project: Project, suite: Suite, reason: str) -> list[Choice]:
    """The entries of ``suite``: its own and those of the suites that it includes, or every registered one."""
    if suite.all_tests:
        everything = (Choice(entry, other, reason) for other in project.suites for entry in other.entries)
        return [_taken_over(c, suite, reason) for c in everything if not is_named(c.entry, suite.exclude)]
    made: dict[str, list[Choice]] = {}
    for one in _included_first(project, suite):
        own = {entry.id: Choice(entry, one, reason) for entry in one.entries}
        others = (choice for name in one.include for choice in made[name] if choice.entry.id not in own)
        taken = (_taken_over(c, one, reason) for c in others if not is_named(c.entry, one.exclude))
        first = {choice.entry.id: choice for choice in reversed([*taken])}
        made[one.name] = [*(Choice(entry, one, reason) for entry in one.entries), *reversed(first.values())]
    return made[suite.name]


def _included_first(project: Project, suite: Suite) -> list[Suite]:
    """``suite`` and all that it includes, each after those that it includes itself. There is no circle."""
    by_name = {other.name: other for other in project.suites}
    done: dict[str, Suite] = {}
    waiting = [suite]
    while waiting:
        missing = [by_name[name] for name in waiting[-1].include if name not in done]
        if missing:
            waiting += missing
        else:
            done.setdefault(waiting[-1].name, waiting.pop())
    return list(done.values())


def is_named(entry: Entry, patterns: Iterable[str]) -> bool:
    """Whether one of ``patterns`` is the id of ``entry``, or a glob of a file that it starts."""
    return any(entry.id == pattern or any(matches(file, pattern) for file in entry.files) for pattern in patterns)


def _choose_ids(project: Project, registered: _Registered, ids: Iterable[str], files: Set[str]) -> Iterator[Choice]:
    by_id = registered.by_id
    loose: dict[str, str] = {}
    for test_id in ids:
        if test_id not in by_id and (taken := _as_of_suite(project, test_id)):
            yield taken
        elif test_id not in by_id:
            loose = loose or {Entry(file).id: file for file in files}
            if test_id not in loose:
                raise UsageError(_unknown(project, test_id, files, "test's id"))
            yield Choice(Entry(loose[test_id]), None, "test id, not registered")
        for choice in by_id.get(test_id, ()):
            yield replace(choice, reason="test id")


def _as_of_suite(project: Project, test_id: str) -> Choice | None:
    """The test that is called ``tests/test_a.py in SUITE``, as that suite has it from another one."""
    name = test_id.rpartition(" in ")[2]
    suites = (suite for suite in project.suites if suite.name == name)
    choices = (choice for suite in suites for choice in suite_choices(project, suite, "test id"))
    return next((choice for choice in choices if test_id in choice.ids), None)


def is_below(file: str, folder: str) -> bool:
    """Whether the path ``file`` lies in ``folder`` (``.``: the root)."""
    return bool(file) and (folder == "." or file.startswith(f"{folder}/"))


def _variants(registered: _Registered, file: str, files: Set[str], reason: str) -> list[Choice]:
    """Every registered variant of ``file``, or the bare file when none is."""
    if found := registered.by_file.get(file):
        return [replace(choice, reason=reason) for choice in found]
    return [Choice(Entry(file), None, f"{reason}, not registered")] if file in files else []


def _changed_choices(registered: _Registered, changed: Mapping[str, str], files: Iterable[str]) -> list[Choice]:
    loose = {Entry(file).id: file for file in files if file not in registered.by_file} if changed else {}
    found: list[Choice] = []
    for test_id, why in changed.items():
        if test_id in loose:
            found.append(Choice(Entry(loose[test_id]), None, f"{why}, not registered"))
        found += [replace(choice, reason=why) for choice in registered.by_id.get(test_id, ())]
    return found


def _taken_over(choice: Choice, suite: Suite, reason: str) -> Choice:
    """``choice`` as a test of ``suite``, with the settings of its own suite where the new one says nothing."""
    if choice.suite is not None:
        suite = replace(suite, **vars(settle([suite, choice.suite])))
    return replace(choice, suite=suite, reason=reason, taken_from=choice.taken_from or choice.suite)


def _unknown(project: Project, selector: str, files: Iterable[str], expected: str) -> str:
    names = [name for suite in project.suites for name in (suite.label, suite.name)]
    known = [*names, *(entry.id for entry in project.registered), *sorted(files)]
    return f"{printable(selector)} is no {expected}.{guess(selector, known)} See `trainci list`."
