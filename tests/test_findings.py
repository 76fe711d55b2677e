from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.findings import Finding, entries, find, in_lines, parse_place
from trainci.model.project import Project, Suite
from trainci.model.tests import Declarations, Entry
from trainci.text import printable

_GOOD = Declarations(num_gpus=1, line=3)


def _project(*entries: Entry, max_gpus: int = 8) -> Project:
    return Project(("tests/*.py",), "main", max_gpus, suites=(Suite("short", "go", entries=entries),), num_gpus=8)


def _entry(file: str = "a.py", line: int = 5, gpus: int | None = None, *args: str) -> Entry:
    return Entry(file, args, num_gpus=gpus, where=f"trainci.toml:{line}")


def _find(project: Project, **declared: Declarations) -> list[str]:
    says = {f"{name}.py": value for name, value in declared.items()}
    of_entries = {entry: says[entry.file] for entry in entries(project, says)}
    return [str(finding) for finding in find(project, tuple(says), of_entries)]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert _find(_project(_entry()), a=_GOOD) == []


@pytest.mark.parametrize(
    ("registered", "says", "finding"),
    [
        ([], _GOOD, "a.py:1: not registered"),
        ([_entry()], Declarations(), "a.py:1: no NUM_GPUS, so it takes 8 devices"),
        ([_entry(), _entry("a.py", 6, None, "--x")], Declarations(), "a.py:1: no NUM_GPUS"),
        ([_entry()], Declarations(num_gpus=1, remarks=((7, "does nothing"),)), "a.py:7: does nothing"),
        (
            [_entry()],
            Declarations(num_gpus=9, line=4),
            "a.py:4: needs 9 devices, and the largest host has 8",
        ),
        ([_entry()], Declarations(fault="a.py:7: does not parse: x: y"), "a.py:7: does not parse: x: y"),
        ([_entry(gpus=2)], _GOOD, "trainci.toml:5: num_gpus = 2 contradicts NUM_GPUS = 1 of a.py:3."),
        ([_entry(gpus=9)], Declarations(), "trainci.toml:5: needs 9 devices"),
        ([_entry(), _entry(line=6)], _GOOD, "trainci.toml:6: a.py is already in suite short (trainci.toml:5)."),
    ],
)
def test_what_is_wrong_is_found_with_its_place(registered: list[Entry], says: Declarations, finding: str) -> None:
    found = _find(_project(*registered), a=says)
    assert len(found) == 1 and found[0].startswith(finding), found


def test_one_name_for_two_files_is_found_and_both_count_as_registered() -> None:
    suites = tuple(
        Suite(label, label, entries=(Entry(file, name="n", where=f"trainci.toml:{line}"),))
        for label, file, line in (("one", "a.py", 5), ("two", "b.py", 8))
    )
    (found,) = _find(Project(("*.py",), "main", 8, suites=suites, num_gpus=8), a=_GOOD, b=_GOOD)
    assert found.startswith("trainci.toml:8: n is at trainci.toml:5, too, with other settings."), found


@pytest.mark.parametrize(
    ("registered", "says"),
    [
        ([_entry(gpus=2)], Declarations()),
        ([_entry(gpus=1)], _GOOD),
        ([_entry(), _entry("a.py", 6, None, "--x")], _GOOD),
        ([_entry()], Declarations(num_gpus=8)),
    ],
)
def test_what_is_right_is_not_found(registered: list[Entry], says: Declarations) -> None:
    assert _find(_project(*registered), a=says) == []


def test_what_is_alike_in_many_places_is_one_line_with_their_number_and_the_first_of_them() -> None:
    alike = [Finding(f"t{number}.py", 1, "is lost.", "lost") for number in range(6)]
    other = Finding("t3.py", 2, "is lost.", "found")
    assert in_lines([*alike[:4], other, *alike[4:]]) == [
        "t0.py:1: is lost. (6 places: also t1.py:1, t2.py:1, t3.py:1 and 2 more) [lost]",
        "t3.py:2: is lost. [found]",
    ]
    assert in_lines([*alike[:3], other]) == [*map(str, alike[:3]), str(other)]
    assert in_lines(alike[:4]) == ["t0.py:1: is lost. (4 places: also t1.py:1, t2.py:1, t3.py:1) [lost]"]


def test_the_same_test_in_two_suites_is_no_fault() -> None:
    suites = tuple(Suite(name, name, entries=(_entry(),)) for name in ("short", "long"))
    project = Project(("*.py",), "main", 8, suites=suites)
    assert _find(project, a=_GOOD) == []


def test_a_repository_without_tests_is_a_finding() -> None:
    assert _find(_project()) == [
        "trainci.toml:1: there is no test file; project → tests looks for: tests/*.py. [no-test-files]"
    ]


def test_findings_come_sorted_by_place_and_each_once() -> None:
    idle = Declarations(remarks=((1, "does nothing"),))
    found = find(_project(), ("b.py", "a.py"), {Entry("a.py"): idle, Entry("b.py"): idle})
    assert [(finding.file, finding.line) for finding in found] == [("a.py", 1)] * 3 + [("b.py", 1)] * 3
    assert len(set(found)) == len(found)


@given(
    st.one_of(st.text(min_size=1), st.text(":1 a", min_size=1)),
    st.integers(0, 10**6),
    st.one_of(st.text(), st.text(":1 a")),
)
def test_a_place_is_read_back_whatever_the_files_name_holds(file: str, line: int, sentence: str) -> None:
    assert parse_place(f"{printable(file)}:{line}: {sentence}", file) == Finding(file, line, sentence)


@pytest.mark.parametrize("text", ["", "a.py", "a.py: no", "a.py:x: no", "b.py:1: no", "no trainci.toml in /a:1: b"])
def test_what_has_no_place_is_none(text: str) -> None:
    assert parse_place(text, "a.py") is None
