"""Pure: what is wrong with a repository's suites and test files. ``trainci check`` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trainci.model import Declarations, Entry, Project, Suite
from trainci.text import counted, printable


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, and a sentence with the way out."""

    file: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}: {self.sentence}"


def find(project: Project, files: Sequence[str], declared: Mapping[str, Declarations]) -> list[Finding]:
    """Everything wrong, sorted by place. ``files`` are all test files, ``declared`` what each says."""
    found = {*_in_files(project, files, declared)}
    if not files:
        globs = printable(", ".join(project.test_globs)) or "none"
        found.add(Finding(project.config_file, 1, f"there is no test file; project → tests looks for: {globs}."))
    for suite in project.suites:
        found.update(_in_suite(project, suite, declared))
    return sorted(found, key=lambda finding: (finding.file, finding.line, finding.sentence))


def notes(files: Sequence[str], declared: Mapping[str, Declarations]) -> list[Finding]:
    """What is not wrong, and leaves something out: the tests that virtual devices skip."""
    sentence = "runs on GPUs only: where devices are virtual, it is skipped."
    return [
        Finding(file, declared[file].requires_gpu_line, sentence) for file in files if declared[file].requires_gpu
    ]


def parse_place(text: str, file: str) -> Finding | None:
    """Read back ``file:line: sentence``, the form of every fault; None when ``text`` does not begin with a place.

    The file is given, because its name may hold a colon, too.
    """
    shown = printable(file)
    line, _, sentence = text[len(shown) + 1 :].partition(": ")
    return Finding(file, int(line), sentence) if text.startswith(f"{shown}:") and line.isdecimal() else None


def _in_files(project: Project, files: Sequence[str], declared: Mapping[str, Declarations]) -> Iterator[Finding]:
    registered = {entry.file for entry in project.registered}
    undecided = {entry.file for entry in project.registered if entry.num_gpus is None}
    for file in files:
        says = declared[file]
        if file not in registered:
            yield Finding(file, 1, f"not registered: no label runs it. Add it to a suite of {project.config_file}.")
        if says.fault:
            yield parse_place(says.fault, file) or Finding(file, 1, says.fault)
            continue
        if says.num_gpus is None and (file in undecided or file not in registered):
            yield Finding(
                file,
                1,
                f"no NUM_GPUS, so it takes {counted(project.num_gpus(Entry(file), says), 'device')}. "
                "Write NUM_GPUS = N at the top level.",
            )
        for line, sentence in says.remarks:
            yield Finding(file, line, sentence)
        if (says.num_gpus or 0) > project.max_gpus:
            yield Finding(file, says.line, _too_many(says.num_gpus or 0, project))


def _in_suite(project: Project, suite: Suite, declared: Mapping[str, Declarations]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for entry in suite.entries:
        file, line = _place(entry)
        if entry.id in seen:
            yield Finding(
                file, line, f"{entry.id} is already in suite {suite.name} ({seen[entry.id]}). Remove one."
            )
        seen.setdefault(entry.id, entry.where)
        says = declared[entry.file]
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
