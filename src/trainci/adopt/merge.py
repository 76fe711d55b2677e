"""What the sources found as one proposal: each suite named once, what all say said once."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from trainci.adopt.proposal import Entry, Found, Note, Project, Proposal, Suite, Workflow
from trainci.adopt.sources.file_globs import where_tests_are
from trainci.adopt.tree import Tree
from trainci.text import counted

_HOSTED = ("ubuntu-", "macos-", "windows-")
# A machine without any, by its label; a test that wants one, by its marker.
_NO_DEVICES = re.compile(r"(?:^|[-_. ])cpu\b|\b\d+-?cores?\b", re.IGNORECASE)
_ASKS = re.compile(r"-m ['\"]?(?:(?!not )[^-'\"])*?(?<!not )\b(?:gpu|cuda)\b")
# Where a test says itself how many devices it needs.
_DECLARES = re.compile(r"^#?\s*NUM_GPUS\b", re.MULTILINE)


def merge(found: Mapping[str, Found], fallbacks: Sequence[Sequence[str]], tree: Tree, base: str) -> Proposal:
    """One proposal. The suites of ``fallbacks`` count only where no other source has any, nor a group before."""
    late = set(chain.from_iterable(fallbacks))
    suites = [suite for source, one in found.items() if source not in late for suite in one.suites]
    for group in fallbacks:
        if not any(suite.tests or suite.registered for suite in suites):
            suites += [suite for source in group for suite in found[source].suites]
    notes = list(chain.from_iterable(one.notes for one in found.values()))
    suites = _entries_named(_named(_registered(suites, notes)))
    suites = _with_gpu_notes(suites, tree)
    if suites and not any(suite.select == "changed" for suite in suites):
        about = "tests that the pull request adds or changes"
        suites.append(Suite(name=_free("changed", suites), description=about, select="changed"))
    workflow, suites = _workflow(suites, notes)
    project, suites = _project(suites)
    globs = dict.fromkeys(chain.from_iterable(one.globs for one in found.values()))
    registers = dict.fromkeys(chain.from_iterable(one.registers for one in found.values()))
    project = replace(project, tests=where_tests_are([*globs], tree), base=base, max_gpus=_most_gpus(suites))
    return Proposal(project, tuple(suites), tuple(registers), workflow, tuple(notes))


def _registered(suites: Iterable[Suite], notes: list[Note]) -> list[Suite]:
    """Suites whose tests register themselves, with what the job that runs them says."""
    jobs: dict[str, Suite] = {}
    kept: list[Suite] = []
    registrations: dict[str, Suite] = {}
    for suite in suites:
        if suite.registered:
            registrations[suite.name] = suite
        elif suite.registers and suite.tests and suite.place.file.endswith(".py"):
            # A table of tests, for the job that runs it.
            registrations.setdefault(suite.name, replace(suite, registers=False))
        elif suite.registers:
            jobs.setdefault(suite.name, suite)
        elif suite.tests or suite.select:
            kept.append(suite)
        else:
            notes += suite.notes
    for name, job in jobs.items():
        if name in registrations:
            one = registrations.pop(name)
            notes_of_both = (*one.notes, *job.notes)
            tests = one.tests or job.tests
            kept.append(replace(job, registered=one.registered, tests=tests, notes=notes_of_both))
        else:
            kept += [job] if job.tests else []
            notes.append(Note(f"the job {job.job} runs the suite {name}, which no test names", job.place))
    return [*kept, *registrations.values()]


def _named(suites: Sequence[Suite]) -> list[Suite]:
    """Each with a name of its own: that of its label, else of its job, and of its workflow where two have one."""
    wanted = [_wanted(suite) for suite in suites]
    made: list[Suite] = []
    for suite, name in zip(suites, wanted, strict=True):
        file = re.sub(r"\.ya?ml(\.j2)?$", "", posixpath.basename(suite.place.file))
        if not suite.registers and (wanted.count(name) > 1 or name.lower() == "all"):
            name = _slug(f"{file}-{name}") or "suite"
        made.append(replace(suite, name=_free(name, made), job="" if suite.select else _job(suite.job)))
    return _jobs_once(made)


def _jobs_once(suites: Sequence[Suite]) -> list[Suite]:
    """The suites, with no id of a job for two of them: the jobs of several workflows stand in one."""
    taken: dict[str, Suite] = {}
    made = []
    for suite in suites:
        first = taken.setdefault(suite.job.lower(), suite) if suite.job else suite
        if first is not suite:
            text = f"job {suite.job}: the suite {first.name} has that id in the one workflow; this one gets another"
            suite = replace(suite, job="", notes=(*suite.notes, Note(text, suite.place, left=False)))
        made.append(suite)
    return made


def _wanted(suite: Suite) -> str:
    # A test that registers itself names its suite.
    if suite.label.startswith("run-ci-") and not suite.registers:
        return _slug(suite.label.removeprefix("run-ci-")) or _slug(suite.name) or "suite"
    return _slug(suite.name) or "suite"


def _entries_named(suites: Sequence[Suite]) -> list[Suite]:
    """The suites, with no name for two entries that are started in different ways: a name is an id."""
    known: dict[str, tuple[str, object]] = {}

    def named(suite: Suite, entry: Entry) -> Entry:
        if not entry.name:
            return entry
        started = _started(suite, entry)
        first, _ = known.get(entry.name, (suite.name, None))
        elsewhere = (f"{entry.name} in {suite.name}",) if first != suite.name else ()
        names = (entry.name, *elsewhere, *(f"{entry.name}-{number}" for number in range(2, len(known) + 3)))
        name = next(one for one in names if known.setdefault(one, (suite.name, started))[1] == started)
        return replace(entry, name=name)

    return [replace(suite, tests=tuple(named(suite, entry) for entry in suite.tests)) for suite in suites]


def _started(suite: Suite, entry: Entry) -> object:
    """What differs between two tests that are no variant of each other."""
    env = sorted({**dict(suite.env), **dict(entry.env)}.items())
    num_gpus = suite.num_gpus if entry.num_gpus is None else entry.num_gpus
    what = replace(entry, name="", env=(), num_gpus=None, python="", timeout_minutes=None, disabled="")
    return what, env, num_gpus, entry.python or suite.python


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:80]


def _job(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) else ""


def _free(name: str, suites: Iterable[Suite]) -> str:
    taken = {suite.name for suite in suites}
    numbers = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(one for one in numbers if one not in taken)


def _with_gpu_notes(suites: Sequence[Suite], tree: Tree) -> list[Suite]:
    """The suites, with one note a kind of machine where nobody says how many devices its tests need."""
    silent: dict[tuple[str, ...], list[tuple[Suite, int]]] = {}
    for suite in suites:
        if count := _silent(suite, tree):
            silent.setdefault(suite.runs_on, []).append((suite, count))
    notes: dict[str, Note] = {}
    for runs_on, listed in silent.items():
        first, tests = listed[0][0], counted(sum(count for _, count in listed), "test")
        on = f" on {', '.join(runs_on)}" if runs_on else ""
        of = first.name if len(listed) == 1 else f"{len(listed)} suites{on}"
        text = f"{tests} of {of}: how many devices is said nowhere; num_gpus says it"
        notes[first.name] = Note(text, first.place)
    return [
        replace(suite, notes=(*suite.notes, notes[suite.name])) if suite.name in notes else suite
        for suite in suites
    ]


def _silent(suite: Suite, tree: Tree) -> int:
    """The tests of a suite of which nothing says how many devices they need."""
    if suite.num_gpus is not None or suite.select:
        return 0
    of_devices = "--gpus" in " ".join(suite.container_options)
    on_own = bool(suite.runs_on) and not _is_hosted(suite) and not _NO_DEVICES.search(" ".join(suite.runs_on))
    return sum(
        entry.num_gpus is None
        and not _declares(entry, tree)
        and (of_devices or on_own or _ASKS.search(" ".join((*entry.args, *entry.command))) is not None)
        for entry in suite.tests
    )


def _declares(entry: Entry, tree: Tree) -> bool:
    return bool(entry.path and _DECLARES.search(tree.read(entry.path)))


def _is_hosted(suite: Suite) -> bool:
    return any(label.startswith(_HOSTED) for label in suite.runs_on)


def _most_gpus(suites: Iterable[Suite]) -> int | None:
    said = [suite.num_gpus for suite in suites]
    said += [entry.num_gpus for suite in suites for entry in suite.tests]
    return max((number for number in said if number), default=None)


def _workflow(suites: Sequence[Suite], notes: list[Note]) -> tuple[Workflow, list[Suite]]:
    """The runners and mounts that most suites have; what others have is noted."""
    own = [suite for suite in suites if suite.runs_on and not _is_hosted(suite)]
    usual = Counter(suite.runs_on for suite in own).most_common(1)
    runs_on = usual[0][0] if usual else ()
    mounts = tuple(dict.fromkeys(mount for suite in suites for mount in suite.mounts))
    options = Counter(suite.container_options for suite in suites if suite.container_options).most_common()
    for other, _ in options[1:]:
        place = next(suite.place for suite in suites if suite.container_options == other)
        notes.append(Note(f"other options of a container: {' '.join(other)}", place))
    made = []
    for suite in suites:
        usual_one = suite.runs_on == runs_on and not suite.always
        usual_one |= suite.always and suite.runs_on == ("ubuntu-latest",)
        made.append(replace(suite, runs_on=() if usual_one else suite.runs_on))
    return Workflow(runs_on, mounts, " ".join(options[0][0]) if options else ""), made


def _project(suites: Sequence[Suite]) -> tuple[Project, list[Suite]]:
    """What every suite with tests says is said once, for the project."""
    own = [suite for suite in suites if suite.tests or suite.registered]
    if len(own) < 2:
        return Project(), list(suites)
    env = tuple(pair for pair in own[0].env if all(pair in suite.env for suite in own))
    secrets = tuple(name for name in own[0].secrets if all(name in suite.secrets for suite in own))
    machines = [suite for suite in own if not _is_hosted(suite)]
    images = Counter(suite.image for suite in machines).most_common(1)
    # A suite without an image would get the project's.
    image = images[0][0] if images and all(suite.image for suite in machines) else ""
    install = own[0].install if len({(suite.install, suite.setup) for suite in own}) == 1 else ""
    setup = own[0].setup if install else ()
    version = own[0].python_version if len({suite.python_version for suite in own}) == 1 else ""
    made = []
    for suite in suites:
        made.append(
            replace(
                suite,
                env=tuple(pair for pair in suite.env if pair not in env),
                secrets=tuple(name for name in suite.secrets if name not in secrets),
                image="" if suite.image == image and not _is_hosted(suite) else suite.image,
                install="" if install else suite.install,
                setup=() if install else suite.setup,
                python_version="" if version else suite.python_version,
            )
        )
    project = Project(image=image, python_version=version, setup=setup, install=install, env=env, secrets=secrets)
    return project, made
