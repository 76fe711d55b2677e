"""Pure: the entries that were chosen become Tests, with every default filled in, or are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any, Protocol

from trainci.errors import UsageError
from trainci.model.project import Project, Suite, settings_of
from trainci.model.selection import Refused, Selected, Selection
from trainci.model.tests import Declarations, Entry, Settings, Step, Test, settle
from trainci.selection.choose import Choice

# What several choices of one test may say of it: its limits, and what is for its job.
_SAID_OF_ONE: Mapping[str, Any] = {
    "timeout": None,
    "stall": None,
    "install": "",
    "setup": (),
    "python_version": "",
    "secrets": (),
    "executor": "",
}


class Commands(Protocol):
    """What selection needs of a test style."""

    @property
    def leaves_results(self) -> bool:
        """Its tests are started by pytest, which can write what became of each item."""

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """The words that start ``entry`` on ``num_gpus`` devices; ``python`` are those of the interpreter.

        :raises UsageError: it cannot be started like that.
        """


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
    timeouts and all reasons; what a suite has from another one and starts in another way is called by that suite,
    whatever else is chosen.
    ``timeout`` (seconds) overrides every other.
    """
    tests: dict[str, Selected] = {}
    refused: dict[str, Refused] = {}
    places: dict[str, int] = {}
    for number, choice in sorted(enumerate(choices), key=lambda one: one[1].taken_from is not None):
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
        first = choice.taken_from
        if first and not entry.name and _way(settings) != _way(settings_of(project, first, entry, says, python)):
            test = replace(test, id=choice.ids[-1])
        known = tests.get(test.id)
        places[test.id] = min(number, places.get(test.id, number))
        if known and _started(known.test) != _started(test):
            sentence = "is registered twice, with other settings. Give one of the two a `name`."
            refused[entry.id] = Refused(entry.id, f"{_place(entry)}{sentence}")
        elif known:
            longest = max(known.test.timeout, test.timeout)
            stall = max(known.test.stall, test.stall)
            tests[test.id] = Selected(
                replace(known.test, timeout=longest, stall=stall), _both(known.reason, reason)
            )
        else:
            tests[test.id] = Selected(test, reason)
    sound = (tests[test_id] for test_id in sorted(tests, key=places.__getitem__) if test_id not in refused)
    return Selection(tuple(sound), tuple(refused.values()), note)


def clashing(project: Project) -> tuple[Entry, ...]:
    """The entries that share their id with one that is started in another way."""
    ways: dict[str, set[object]] = {}
    for suite, entry in _entries(project):
        ways.setdefault(entry.id, set()).add((entry.num_gpus, _way(settle([entry, suite]))))
    return tuple(entry for _, entry in _entries(project) if len(ways[entry.id]) > 1)


def told_apart(project: Project, declared: Mapping[Entry, Declarations]) -> Project:
    """``project`` with an id of its own for each of those ``clashing`` entries that is another test.

    Where two say different numbers of devices, these are part of their ids; a number that says again what the file
    declares makes no other test. Of what suites start in different ways the later ones are called by their suite. A
    name that somebody gave stays.
    """
    counts: dict[str, set[int | None]] = {}
    for suite, entry in _entries(project):
        if entry in declared:
            count = settings_of(project, suite, entry, declared[entry]).num_gpus
            counts.setdefault(entry.id, set()).add(count)
    ways: dict[str, Settings] = {}

    def named(suite: Suite, entry: Entry) -> Entry:
        if entry not in declared:
            return entry
        says = declared[entry]
        differs = len(counts[entry.id]) > 1 and entry.num_gpus not in (None, says.num_gpus)
        made = replace(entry, by_num_gpus=differs)
        way = _way(settings_of(project, suite, entry, says))
        if entry.name or ways.setdefault(made.id, way) == way:
            return made
        return replace(made, name=f"{made.id} in {suite.name}")

    suites = (replace(one, entries=tuple(named(one, entry) for entry in one.entries)) for one in project.suites)
    return replace(project, suites=tuple(suites))


def _entries(project: Project) -> Iterator[tuple[Suite, Entry]]:
    return ((suite, entry) for suite in project.suites for entry in suite.entries)


def _way(settings: Settings) -> Settings:
    """What of ``settings`` makes another test."""
    return replace(settings, **_SAID_OF_ONE)


def _test(project: Project, choice: Choice, says: Declarations, settings: Settings) -> Test:
    entry, suite = choice.entry, choice.suite
    said = {name: value for name, value in vars(settings).items() if value is not None}
    return Test(
        id=entry.id,
        file=entry.file,
        image=(suite.image if suite else "") or project.image,
        where=entry.where,
        phased=says.phased,
        hands_over=says.hands_over,
        may_turn_away=says.may_turn_away,
        expects=says.expects,
        requires_gpu=says.requires_gpu,
        disabled=entry.disabled,
        expected=entry.expected,
        pack=suite.name if suite and suite.pack else "",
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
        says = declared[step]
        framework, ways = _framework(says, command), (says.hands_over, says.may_turn_away)
        steps.append(Step(step.id, command, step.env, style.leaves_results, framework, *ways))
    expects = reduce(or_, (declared[one].expects for one in entry.steps))
    return replace(test, steps=tuple(steps), expects=expects)


def _framework(says: Declarations, command: tuple[str, ...]) -> str:
    """What runs the tests of a command, as far as its file or its words tell."""
    named = any(word.rpartition("/")[2] == "pytest" for word in command)
    return says.framework or ("pytest" if named else "")


def _started(test: Test) -> Test:
    """What is started, without what several choices of one test may say of it."""
    return replace(test, **{**_SAID_OF_ONE, "timeout": 0.0, "stall": 0.0}, image="", where="", pack="")


def _place(entry: Entry) -> str:
    return f"{entry.where}: " if entry.where else ""


def _both(first: str, second: str) -> str:
    """Two reasons, the second left out when it is said already."""
    said = first.split("; ")
    return "; ".join([first, *(part for part in second.split("; ") if part not in said)])
