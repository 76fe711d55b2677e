"""Pure: what is wrong with a repository's suites and test files. ``trainci check`` shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trainci.model import Declarations, Entry, Project, Suite, settings_of
from trainci.text import counted, printable


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, and a sentence with the way out."""

    file: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}: {self.sentence}"


def entries(project: Project, files: Iterable[str]) -> tuple[Entry, ...]:
    """Every entry that there is: the registered ones, and a bare one for each of ``files`` that no suite starts."""
    registered = project.registered_entries
    started = {file for entry in registered for file in entry.files}
    return (*registered, *(Entry(file=file) for file in files if file not in started))


def find(project: Project, files: Sequence[str], declared: Mapping[Entry, Declarations]) -> list[Finding]:
    """Everything wrong, sorted by place. ``files`` are all test files, ``declared`` what each of `entries` says."""
    found = {*_unregistered(project, files), *_in_files(project, declared)}
    if not files:
        globs = printable(", ".join(project.test_globs)) or "none"
        found.add(Finding(project.config_file, 1, f"there is no test file; project → tests looks for: {globs}."))
    for suite in project.suites:
        found.update(_in_suite(project, suite, declared))
    found.update(_one_id_for_two(project, declared))
    for entry, says in declared.items():
        if not entry.where and entry.file in files:
            found.update(_undeclared(project, None, entry, says))
    return sorted(found, key=lambda finding: (finding.file, finding.line, finding.sentence))


def notes(declared: Mapping[Entry, Declarations]) -> list[Finding]:
    """What is not wrong, and leaves something out: the tests that virtual devices skip."""
    sentence = "runs on GPUs only: where devices are virtual, it is skipped."
    found = {
        Finding(entry.file, says.requires_gpu_line, sentence)
        for entry, says in declared.items()
        if says.requires_gpu
    }
    return sorted(found, key=lambda finding: (finding.file, finding.line))


def parse_place(text: str, file: str) -> Finding | None:
    """Read back ``file:line: sentence``, the form of every fault; None when ``text`` does not begin with a place.

    The file is given, because its name may hold a colon, too.
    """
    shown = printable(file)
    line, _, sentence = text[len(shown) + 1 :].partition(": ")
    return Finding(file, int(line), sentence) if text.startswith(f"{shown}:") and line.isdecimal() else None


def _unregistered(project: Project, files: Sequence[str]) -> Iterator[Finding]:
    started = {file for entry in project.registered for file in entry.files}
    for file in files:
        folders = (file[:at] for at, ch in enumerate(file) if ch == "/")
        if file not in started and not any(folder in started for folder in folders):
            yield Finding(file, 1, f"not registered: no label runs it. Add it to a suite of {project.config_file}.")


def _in_files(project: Project, declared: Mapping[Entry, Declarations]) -> Iterator[Finding]:
    for entry, says in declared.items():
        for fault in filter(None, (says.fault, says.refusal)):
            place = _place(entry) if entry.where and not entry.file else (entry.file, 1)
            yield parse_place(fault, entry.file) or Finding(*place, fault)
        if says.fault:
            continue
        yield from (Finding(entry.file, line, sentence) for line, sentence in says.remarks)
        if (says.num_gpus or 0) > project.max_gpus and entry.file:
            yield Finding(entry.file, says.line, _too_many(says.num_gpus or 0, project))


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
                entry.runner,
                entry.steps,
            )
            other, before = first.setdefault(entry.id, (entry, started))
            if before != started:
                file, line = _place(entry)
                sentence = f"{entry.id} is at {other.where}, too, with other settings. Give one of them a `name`."
                yield Finding(file, line, sentence)


def _undeclared(project: Project, suite: Suite | None, entry: Entry, says: Declarations) -> Iterator[Finding]:
    """How many devices a test takes that does not say so itself, unless its suite does."""
    said = entry.num_gpus is not None or says.num_gpus is not None or (suite and suite.num_gpus is not None)
    if says.fault or says.refusal or said or not says.needs_count:
        return
    count = settings_of(project, suite, entry, says).num_gpus
    takes = counted(count, "device") if count else "no device"
    yield Finding(entry.file, 1, f"no NUM_GPUS, so it takes {takes}. Write NUM_GPUS = N at the top level.")


def _in_suite(project: Project, suite: Suite, declared: Mapping[Entry, Declarations]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for entry in suite.entries:
        file, line = _place(entry)
        if entry.id in seen:
            yield Finding(
                file, line, f"{entry.id} is already in suite {suite.name} ({seen[entry.id]}). Remove one."
            )
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
            )
        if entry.num_gpus > project.max_gpus:
            yield Finding(file, line, _too_many(entry.num_gpus, project))


def _place(entry: Entry) -> tuple[str, int]:
    file, _, line = entry.where.rpartition(":")
    return file, int(line)


def _too_many(count: int, project: Project) -> str:
    return f"needs {counted(count, 'device')}, and the largest host has {project.max_gpus} (project → max_gpus)."
