"""Pure: turns labels, suites, paths, ids, globs and changed files into Tests, each with its reason."""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Protocol

from trainci.errors import UsageError
from trainci.globs import is_glob, matches
from trainci.model.project import Project, Suite, settings_of
from trainci.model.selection import Refused, Selected, Selection
from trainci.model.tests import Declarations, Entry, Settings, Step, Test, settle
from trainci.text import printable


@dataclass(frozen=True)
class Choice:
    """An entry that was chosen, the suite that it was chosen from (if any), and why."""

    entry: Entry
    suite: Suite | None
    reason: str


class Commands(Protocol):
    """What selection needs of a test style."""

    @property
    def leaves_results(self) -> bool:
        """Its tests are started by pytest, which can write what became of each item."""

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """The words that start ``entry`` on ``num_gpus`` devices; ``python`` are those of the interpreter.

        :raises UsageError: it cannot be started like that.
        """


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

    A selector is a label, a suite, a file (all its variants), a test id or a glob; an id names one variant, of what
    the selectors name where there are any.
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
        chosen += [choice for test_id in ids for choice in _choose_id(project, registered, test_id, known)]
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
    there = {choice.entry.id for choice in chosen}
    if missing := [test_id for test_id in ids if test_id not in there]:
        raise UsageError(f"{printable(missing[0])} is none of the tests that were named. See `trainci list`.")
    return [choice for choice in chosen if choice.entry.id in ids]


def wants_changes(project: Project, selectors: Iterable[str]) -> bool:
    """Whether a selector names the suite whose tests are those that a change touches."""
    wanted = set(selectors)
    return any(suite.changed and wanted & {suite.name, suite.label} for suite in project.suites)


# The registrations of each file, in the order of trainci.toml.
_Registered = Mapping[str, Sequence[Choice]]


def _registered(project: Project) -> _Registered:
    found: dict[str, list[Choice]] = {}
    for suite in project.suites:
        for entry in suite.entries:
            for file in entry.files or ("",):
                found.setdefault(file, []).append(Choice(entry, suite, ""))
    return found


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
    if by_id := _by_id(registered, selector):
        return by_id
    if is_glob(selector):
        reason = f"glob {printable(selector)}"
        named = sorted(file for file in {*files, *registered} if matches(file, path))
        by_glob = [choice for file in named for choice in _variants(registered, file, files, reason)]
        by_glob = by_glob or [
            replace(choice, reason=reason)
            for choices in registered.values()
            for choice in choices
            if matches(choice.entry.id, selector)
        ]
        if by_glob:
            return by_glob
    raise UsageError(_unknown(project, selector, files, "label, suite, test file, test id or glob of a test"))


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


def _choose_id(project: Project, registered: _Registered, test_id: str, files: Set[str]) -> list[Choice]:
    if by_id := _by_id(registered, test_id):
        return by_id
    for file in sorted(files):
        if Entry(file).id == test_id:
            return [Choice(Entry(file), None, "test id, not registered")]
    raise UsageError(_unknown(project, test_id, files, "test's id"))


def _by_id(registered: _Registered, test_id: str) -> list[Choice]:
    choices = (choice for choices in registered.values() for choice in choices)
    return [replace(choice, reason="test id") for choice in choices if choice.entry.id == test_id]


def _variants(registered: _Registered, file: str, files: Set[str], reason: str) -> list[Choice]:
    """Every registered variant of ``file``, or the bare file when none is."""
    if found := registered.get(file):
        return [replace(choice, reason=reason) for choice in found]
    return [Choice(Entry(file), None, f"{reason}, not registered")] if file in files else []


def _changed_choices(registered: _Registered, changed: Mapping[str, str], files: Iterable[str]) -> list[Choice]:
    by_id: dict[str, list[Choice]] = {}
    for choices in registered.values():
        for choice in choices:
            by_id.setdefault(choice.entry.id, []).append(choice)
    loose = {Entry(file).id: file for file in files if file not in registered} if changed else {}
    found: list[Choice] = []
    for test_id, why in changed.items():
        if test_id in loose:
            found.append(Choice(Entry(loose[test_id]), None, f"{why}, not registered"))
        found += [replace(choice, reason=why) for choice in by_id.get(test_id, ())]
    return found


def _taken_over(choice: Choice, suite: Suite, reason: str) -> Choice:
    """``choice`` as a test of ``suite``, with the settings of its own suite where the new one says nothing."""
    if choice.suite is not None:
        suite = replace(suite, **vars(settle([suite, choice.suite])))
    return replace(choice, suite=suite, reason=reason)


def _both(first: str, second: str) -> str:
    """Two reasons, the second left out when it is said already."""
    said = first.split("; ")
    return "; ".join([first, *(part for part in second.split("; ") if part not in said)])


def _unknown(project: Project, selector: str, files: Iterable[str], expected: str) -> str:
    names = [name for suite in project.suites for name in (suite.label, suite.name)]
    known = dict.fromkeys([*names, *(entry.id for entry in project.registered), *sorted(files)])
    close = difflib.get_close_matches(selector, known, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(printable(name) for name in close)}?" if close else ""
    return f"{printable(selector)} is no {expected}.{hint} See `trainci list`."


def resolve(
    project: Project,
    choices: Iterable[Choice],
    declared: Mapping[Entry, Declarations],
    styles: Mapping[str, Commands],
    python: tuple[str, ...],
    *,
    timeout: float | None = None,
    note: str = "",
) -> Selection:
    """Fill in every default, and refuse what cannot be run as it is declared.

    ``styles`` give each test its command, by the style that read its file; ``python`` are the words of the
    interpreter where nobody names one. A test that several choices name appears once, with the longest of its
    timeouts and all reasons. ``timeout`` (seconds) overrides every other.
    """
    tests: dict[str, Selected] = {}
    refused: dict[str, Refused] = {}
    for choice in choices:
        entry, says = choice.entry, declared[choice.entry]
        parts = [declared[part] for part in (entry, *entry.steps)]
        fault = next((part.fault for part in parts if part.fault), "")
        refusal = next((part.refusal for part in parts if part.refusal), "")
        if (fault or refusal) and not entry.disabled:
            place = "" if entry.files else _place(entry)
            refused[entry.id] = Refused(entry.id, f"{place}{fault or refusal}", has_job=not fault)
            continue
        settings = settings_of(project, choice.suite, entry, says, python)
        reason = choice.reason
        if entry.where == "" and settings.num_gpus is None and says.needs_count:
            reason = f"{reason}; it declares no NUM_GPUS, so it gets no device"
        test = _test(project, choice, says, settings)
        try:
            test = _with_commands(test, entry, declared, styles, settings.python)
        except UsageError as error:
            refused[entry.id] = Refused(entry.id, f"{_place(entry)}{error}", has_job=True)
            continue
        if timeout is not None:
            test = replace(test, timeout=timeout)
        if (known := tests.get(entry.id)) and _started(known.test) != _started(test):
            sentence = "is registered twice, with other settings. Give one of the two a `name`."
            refused[entry.id] = Refused(entry.id, f"{_place(entry)}{sentence}")
        elif known:
            longest = max(known.test.timeout, test.timeout)
            tests[entry.id] = Selected(replace(known.test, timeout=longest), _both(known.reason, reason))
        else:
            tests[entry.id] = Selected(test, reason)
    sound = (selected for test_id, selected in tests.items() if test_id not in refused)
    return Selection(tuple(sound), tuple(refused.values()), note)


def clashing(project: Project) -> tuple[Entry, ...]:
    """The entries that share their id with one that says another number of devices."""
    counts: dict[str, set[int | None]] = {}
    for entry in project.registered_entries:
        counts.setdefault(entry.id, set()).add(entry.num_gpus)
    return tuple(entry for entry in project.registered_entries if len(counts[entry.id]) > 1)


def told_apart(project: Project, declared: Mapping[Entry, Declarations]) -> Project:
    """``project`` with the number of devices in the ids of those ``clashing`` entries that differ in it.

    A number that says again what the file declares makes no other test.
    """

    def named(entry: Entry) -> Entry:
        file = declared[entry].num_gpus if entry in declared else None
        counts = {
            settings_of(project, other_suite, other, declared[other]).num_gpus
            for other_suite in project.suites
            for other in other_suite.entries
            if other in declared and other.id == entry.id
        }
        differs = len(counts) > 1 and entry.num_gpus not in (None, file)
        return replace(entry, by_num_gpus=differs)

    suites = (replace(s, entries=tuple(map(named, s.entries))) for s in project.suites)
    return replace(project, suites=tuple(suites))


def _test(project: Project, choice: Choice, says: Declarations, settings: Settings) -> Test:
    entry, suite = choice.entry, choice.suite
    said = {name: value for name, value in vars(settings).items() if value is not None}
    return Test(
        id=entry.id,
        file=entry.file,
        image=(suite.image if suite else "") or project.image,
        where=entry.where,
        phased=says.phased,
        framework=says.framework,
        requires_gpu=says.requires_gpu,
        disabled=entry.disabled,
        expected=entry.expected,
        **said,
    )


def _with_commands(
    test: Test,
    entry: Entry,
    declared: Mapping[Entry, Declarations],
    styles: Mapping[str, Commands],
    python: tuple[str, ...],
) -> Test:
    """``test`` with the words that start it, or each of its steps.

    :raises UsageError: one of them cannot be started like that.
    """
    if test.disabled:
        return test
    if not entry.steps:
        style = styles[declared[entry].style]
        command = style.command(entry, test.num_gpus, python)
        framework = _framework(declared[entry], command)
        return replace(test, command=command, leaves_results=style.leaves_results, framework=framework)
    steps = []
    for step in entry.steps:
        style = styles[declared[step].style]
        command = style.command(step, test.num_gpus, step.python or python)
        framework = _framework(declared[step], command)
        steps.append(Step(step.id, command, step.env, style.leaves_results, framework))
    return replace(test, steps=tuple(steps))


def _framework(says: Declarations, command: tuple[str, ...]) -> str:
    """What runs the tests of a command, as far as its file or its words tell."""
    named = any(word.rpartition("/")[2] == "pytest" for word in command)
    return says.framework or ("pytest" if named else "")


def _started(test: Test) -> Test:
    """What is started, without what several choices of one test may say of it."""
    return replace(test, timeout=0.0, image="", where="", install="", setup=(), python_version="", secrets=())


def _place(entry: Entry) -> str:
    return f"{entry.where}: " if entry.where else ""
