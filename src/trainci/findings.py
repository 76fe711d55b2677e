"""Pure: what is wrong with a repository's suites and test files. ``trainci check`` shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from trainci.globs import matches
from trainci.model.project import Accepted, Project, Suite, is_hosted, settings_of
from trainci.model.tests import Declarations, Entry
from trainci.text import counted, listed, printable

# What each means is in docs/checks.md. NOTES fail nothing.
CODES = (
    "accept-unused",
    "ambiguous-id",
    "cannot-run",
    "contradicts-file",
    "job-table",
    "lost-result",
    "no-num-gpus",
    "no-test-files",
    "not-read",
    "quarantine-over",
    "quarantine-unknown",
    "registered-twice",
    "stale-glob",
    "too-many-gpus",
    "unregistered",
)
NOTES = ("gpus-only", "no-image", "other-rules", "outside-globs")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, and a sentence with the way out.

    ``code`` is its kind, which no version changes. ``about`` is the file or the id of a test that it is about,
    where that is not ``file``.
    """

    file: str
    line: int
    sentence: str
    code: str = ""
    about: str = ""

    def __str__(self) -> str:
        code = f" [{self.code}]" if self.code else ""
        return f"{printable(self.file)}:{self.line}: {self.sentence}{code}"

    @property
    def subject(self) -> str:
        """What `[check] accept` calls it by."""
        return self.about or self.file


def without_accepted(project: Project, found: Sequence[Finding]) -> list[Finding]:
    """``found`` without what `[check] accept` names, and one for each of its lines that names nothing more."""
    left = [one for one in found if not any(_accepts(line, one) for line in project.accepted)]
    for line in project.accepted:
        if not any(_accepts(line, one) for one in found):
            sentence = f"accepts {line.code} of {printable(line.path)}, which is no longer found. Remove it."
            left.append(Finding(*place_of(line.where), sentence, "accept-unused"))
    return left


def _accepts(line: Accepted, finding: Finding) -> bool:
    same = finding.subject == line.path or matches(finding.subject, line.path)
    return finding.code == line.code and same


def of_quarantine(project: Project, known: Iterable[str], today: str) -> list[Finding]:
    """Entries of `[[quarantine]]` whose time is over on the day ``today`` (2026-12-31), and those about no test.

    ``known`` are the ids and files of all tests.
    """
    names = {*known}
    names |= {name.partition("[")[0] for name in names}
    found = []
    for one in project.quarantine:
        shown, place = printable(one.test), place_of(one.where)
        if one.until < today:
            sentence = (
                f"the quarantine of {shown} was over on {one.until} ({printable(one.owner)}), so it fails runs "
                "again. Mend the test and remove the entry, or say until when it needs more time."
            )
            found.append(Finding(*place, sentence, "quarantine-over", one.test))
        if one.test not in names:
            sentence = f"{shown} is in quarantine, and no test is called so. Correct the name, or remove the entry."
            found.append(Finding(*place, sentence, "quarantine-unknown", one.test))
    return found


def outside_globs(project: Project, files: Sequence[str], paths: Iterable[str]) -> list[Finding]:
    """A note that counts the files among ``paths`` that are named like tests and are none of ``files``."""
    started = project.started_files
    looks = sorted(path for path in {*paths} - {*files} if _TEST_LIKE.search(path) and not _is_below(path, started))
    if not looks:
        return []
    shown = listed(looks, most=3)
    verb = "is named like a test" if len(looks) == 1 else "are named like tests"
    sentence = f"{counted(len(looks), 'file')} {verb}, and no glob of project → tests finds them: {shown}."
    return [Finding(project.config_file, 1, sentence, "outside-globs")]


_UNREAD = (
    "it runs, and only pytest tells what is wrong in it. Accept that, where it is sound for the tests' own Python."
)

# So many alike are still read one by one.
_FEW = 3
_TEST_LIKE = re.compile(r"(^|/)(test_[^/]*|[^/]*_test)\.py$")


def _is_below(file: str, folders: Set[str]) -> bool:
    return "." in folders or any(file[:at] in folders for at, ch in enumerate(file) if ch == "/")


def _is_started(file: str, started: Set[str]) -> bool:
    return file in started or _is_below(file, started)


def entries(project: Project, files: Iterable[str]) -> tuple[Entry, ...]:
    """Every entry that there is: the registered ones, and a bare one for each of ``files`` that no suite starts."""
    registered = project.registered_entries
    started = {file for entry in registered for file in entry.files}
    return (*registered, *(Entry(file=file) for file in files if file not in started))


def find(
    project: Project, files: Sequence[str], declared: Mapping[Entry, Declarations], within: Set[str] = frozenset()
) -> list[Finding]:
    """Everything wrong, sorted by place.

    ``files`` are all test files, ``declared`` what each of `entries` says, ``within`` the files and folders that
    registered scripts and commands run.
    """
    started = project.started_files | within
    found = {*_unregistered(project, files, started), *_in_files(project, declared)}
    if not files:
        globs = printable(", ".join(project.test_globs)) or "none"
        found.add(
            Finding(
                project.config_file,
                1,
                f"there is no test file; project → tests looks for: {globs}.",
                "no-test-files",
            )
        )
    for suite in project.suites:
        found.update(_in_suite(project, suite, declared))
    found.update(_one_id_for_two(project, declared))
    for entry, says in declared.items():
        is_loose = not entry.where and entry.file in files
        if is_loose and not _is_started(entry.file, started):
            found.update(_undeclared(project, None, entry, says))
    return sorted(found, key=lambda finding: (finding.file, finding.line, finding.sentence))


def notes(declared: Mapping[Entry, Declarations]) -> list[Finding]:
    """What is not wrong, and leaves something out: the tests that virtual devices skip."""
    sentence = "runs on GPUs only: where devices are virtual, it is skipped."
    found = {
        Finding(entry.file, says.requires_gpu_line, sentence, "gpus-only")
        for entry, says in declared.items()
        if says.requires_gpu
    }
    return sorted(found, key=lambda finding: (finding.file, finding.line))


def in_lines(found: Sequence[Finding]) -> list[str]:
    """Each of ``found`` as a line; what is alike in many places is one, at the first of them."""
    alike: dict[tuple[str, str], list[Finding]] = {}
    for one in found:
        alike.setdefault((one.code, one.sentence), []).append(one)
    lines = []
    for one in found:
        first, *others = alike[one.code, one.sentence]
        if len(others) < _FEW:
            lines.append(str(one))
        elif one is first:
            places = listed([f"{other.file}:{other.line}" for other in others], most=3)
            lines.append(str(replace(one, sentence=f"{one.sentence} ({len(others) + 1} places: also {places})")))
    return lines


def parse_place(text: str, file: str) -> Finding | None:
    """Read back ``file:line: sentence``, the form of every fault; None when ``text`` does not begin with a place.

    The file is given, because its name may hold a colon, too.
    """
    shown = printable(file)
    line, _, sentence = text[len(shown) + 1 :].partition(": ")
    return Finding(file, int(line), sentence) if text.startswith(f"{shown}:") and line.isdecimal() else None


def _unregistered(project: Project, files: Sequence[str], started: Set[str]) -> Iterator[Finding]:
    for file in files:
        if not _is_started(file, started):
            sentence = f"not registered: no label runs it. Add it to a suite of {project.config_file}."
            yield Finding(file, 1, sentence, "unregistered")


def _in_files(project: Project, declared: Mapping[Entry, Declarations]) -> Iterator[Finding]:
    for entry, says in declared.items():
        for fault in filter(None, (says.fault, says.refusal)):
            place = place_of(entry.where) if entry.where and not entry.file else (entry.file, 1)
            found = parse_place(fault, entry.file) or Finding(*place, fault)
            yield replace(found, code="cannot-run")
        if says.fault:
            continue
        if says.unread:
            found = parse_place(says.unread, entry.file) or Finding(entry.file, 1, says.unread)
            yield replace(
                found, sentence=f"{found.sentence}. It runs by pytest all the same, unread.", code="not-read"
            )
        for line, sentence in says.remarks:
            # What is no file is found where it is registered; its sentence has the place.
            place = (entry.file, line) if entry.file or not entry.where else place_of(entry.where)
            yield Finding(*place, sentence, "lost-result", "" if entry.file else entry.id)
        if (says.num_gpus or 0) > project.max_gpus and entry.file:
            yield Finding(entry.file, says.line, _too_many(says.num_gpus or 0, project), "too-many-gpus")


def _one_id_for_two(project: Project, declared: Mapping[Entry, Declarations]) -> Iterator[Finding]:
    """Entries of two suites that look alike and start something else."""
    first: dict[str, tuple[Entry, object]] = {}
    for suite in project.suites:
        for entry in suite.entries:
            settings = settings_of(project, suite, entry, declared[entry])
            started = (
                settings.env,
                settings.num_gpus,
                settings.python,
                settings.retries,
                settings.machine_retries,
                settings.fail_on_flaky,
                entry.runner,
                entry.steps,
                # In the id only of an entry without a name.
                *(entry.file, entry.node, entry.module, entry.command, entry.args),
            )
            other, before = first.setdefault(entry.id, (entry, started))
            if before != started:
                file, line = place_of(entry.where)
                sentence = f"{entry.id} is at {other.where}, too, with other settings. Give one of them a `name`."
                yield Finding(file, line, sentence, "ambiguous-id", entry.id)


def _undeclared(project: Project, suite: Suite | None, entry: Entry, says: Declarations) -> Iterator[Finding]:
    """How many devices a test takes that does not say so itself, unless its suite does."""
    said = entry.num_gpus is not None or says.num_gpus is not None or (suite and suite.num_gpus is not None)
    # A machine of GitHub's has no devices to take.
    if says.fault or says.refusal or said or not says.needs_count or (suite and is_hosted(suite.runs_on)):
        return
    count = settings_of(project, suite, entry, says).num_gpus
    takes = counted(count, "device") if count else "no device"
    is_shell = entry.runner == "shell" or entry.file.endswith(".sh")
    how = "# NUM_GPUS = N in its head" if is_shell else "NUM_GPUS = N at the top level"
    sentence = f"no NUM_GPUS, so it takes {takes}. Write {how}."
    yield Finding(entry.file, 1, sentence, "no-num-gpus")


def _in_suite(project: Project, suite: Suite, declared: Mapping[Entry, Declarations]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for entry in suite.entries:
        file, line = place_of(entry.where)
        if entry.id in seen:
            sentence = f"{entry.id} is already in suite {suite.name} ({seen[entry.id]}). Remove one."
            yield Finding(file, line, sentence, "registered-twice", entry.id)
        seen.setdefault(entry.id, entry.where)
        says = declared[entry]
        yield from _undeclared(project, suite, entry, says)
        if entry.num_gpus is None or says.fault:
            continue
        if says.num_gpus is not None and says.num_gpus != entry.num_gpus:
            yield Finding(
                file,
                line,
                f"num_gpus = {entry.num_gpus} contradicts NUM_GPUS = {says.num_gpus} of "
                f"{printable(entry.file)}:{says.line}. Remove the override or change the file.",
                "contradicts-file",
                entry.id,
            )
        if entry.num_gpus > project.max_gpus:
            yield Finding(file, line, _too_many(entry.num_gpus, project), "too-many-gpus", entry.id)


def place_of(where: str) -> tuple[str, int]:
    """The file and the line of ``trainci.toml:14``."""
    file, _, line = where.rpartition(":")
    return file, int(line)


def _too_many(count: int, project: Project) -> str:
    return f"needs {counted(count, 'device')}, and the largest host has {project.max_gpus} (project → max_gpus)."
