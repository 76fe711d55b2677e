"""Mutants are small changes that compile, and a run of one tells an assertion from a crash, a hang and nothing."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest
from benchmarks.mutants import run
from benchmarks.mutants.__main__ import EXAMPLE, UNCHANGED, Rows, by_hand
from benchmarks.mutants.claims import CLAIMS
from benchmarks.mutants.rules import mutants
from benchmarks.mutants.table import table


def test_faults_by_hand_are_one_change_of_a_claimed_file_each() -> None:
    """More than 60, most of them met in a trainer; ``by_hand`` fails where the source has moved on."""
    subjects = by_hand()
    assert len(subjects) >= 60
    assert len([subject for subject in subjects if subject.met != "common"]) >= 60
    for subject in subjects:
        assert subject.file in CLAIMS
        assert subject.source != (EXAMPLE / subject.file).read_text()
        ast.parse(subject.source)


def test_every_claim_names_files_and_tests_that_are_there() -> None:
    for file, tests in CLAIMS.items():
        assert (EXAMPLE / file).is_file(), file
        for test in tests:
            (path,) = [word for word in test.split() if word.startswith("tests/")]
            assert (EXAMPLE / path).is_file(), test


@pytest.mark.parametrize(
    ("source", "rule", "changed"),
    [
        ("x = a + b", "operator", "x = a - b"),
        ("x = a < b", "comparison", "x = a <= b"),
        ("x = 1", "constant", "x = 2"),
        ("x = 0.0", "constant", "x = 1.0"),
        ("x = True", "constant", "x = False"),
        ("x = -a", "sign", "x = +a"),
        ("x = a[1:]", "slice", "x = a[1 + 1:]"),
        ("f(a)", "dropped statement", "None"),
        ("x = a.max()", "min and max", "x = a.min()"),
        ("x = gather(a)", "missing reduce", "x = list((a,))"),
        ("x = f(a, b)", "swapped arguments", "x = f(b, a)"),
    ],
)
def test_a_rule_makes_its_change(source: str, rule: str, changed: str) -> None:
    assert changed in [mutant.source for mutant in mutants(source) if mutant.rule == rule]


@pytest.mark.parametrize(
    "source",
    ["raise E('a' + 'b')", "def f(a: 'int') -> 3: ...", "import os", "assert a < b", "x = zip(a, strict=True)"],
)
def test_words_are_left_alone(source: str) -> None:
    assert list(mutants(source)) == []


def judged(example: Path, source: str, *, patience: float = 60.0, seconds: float = 60.0) -> run.Verdict:
    subject = run.Subject("by hand", "family", "what", "", "code_.py", source)
    return run.Judge(example, time.monotonic() + seconds).changed(subject, {"test.py": patience})


def test_an_assertion_under_pytest_is_one(tmp_path: Path) -> None:
    (tmp_path / "test.py").write_text(
        "import pytest\nfrom code_ import answer\n"
        "def test_it():\n    assert answer == 42, f'the answer is {answer}'\n"
        "if __name__ == '__main__':\n    raise SystemExit(pytest.main([__file__, '-q']))\n"
    )
    assert judged(tmp_path, "answer = 41").said == "the answer is 41"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    (tmp_path / "test.py").write_text("from code_ import answer\nassert answer == 42, f'the answer is {answer}'\n")
    (tmp_path / "code_.py").write_text("answer = 42")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("answer = 42", ("survived", "")),
        ("answer = 41", ("assertion", "the answer is 41")),
        ("answer = 1 / 0", ("crash", "ZeroDivisionError: division by zero")),
        ("import time; time.sleep(600)", ("hung", "not done after 2 s")),
    ],
)
def test_a_mutant_is_judged(example: Path, source: str, outcome: tuple[str, str]) -> None:
    verdict = judged(example, source, patience=2.0 if "sleep" in source else 60.0)
    assert (verdict.outcome, verdict.said) == outcome
    assert (example / "code_.py").read_text() == "answer = 42"


def test_an_example_as_it_is_passes_or_not(example: Path) -> None:
    judge = run.Judge(example, time.monotonic() + 60)
    assert judge.sound("test.py").outcome == "passed"
    (example / "code_.py").write_text("answer = 41")
    assert judge.sound("test.py").outcome == "assertion"


def test_a_mutant_that_the_budget_cuts_off_is_not_judged(example: Path) -> None:
    with pytest.raises(run.OutOfTime):
        judged(example, "import time; time.sleep(600)", seconds=2.0)


def test_rows_are_kept_and_a_test_that_fails_on_the_example_judges_nothing(tmp_path: Path) -> None:
    file = tmp_path / "new" / "rows.jsonl"
    row = {"kind": UNCHANGED, "file": "", "by": "", "seconds": 10.0}
    Rows(file).add({**row, "what": "tests/test_good.py", "outcome": "passed"})
    Rows(file).add({**row, "what": "tests/test_bad.py", "outcome": "crash"})
    rows = Rows(file)
    assert rows.have("", "tests/test_bad.py")
    assert not rows.have("", "tests/test_new.py")
    assert rows.patience() == {"tests/test_good.py": 100.0}


def test_a_survivor_that_changes_nothing_is_not_counted() -> None:
    row = {
        "kind": "by hand",
        "family": "loss",
        "met": "",
        "file": "a.py",
        "by": "",
        "said": "",
        "outcome": "survived",
    }
    rows = [{**row, "what": "a hole"}, {**row, "what": "nothing"}, {**row, "what": "seen", "outcome": "assertion"}]
    page = table(rows, {("a.py", "nothing"): "it is the same number"}, "")
    assert "| loss | 3 | 1 | 0 | 0 | 1 | 1 | 50% |" in page
    assert "it is the same number" in page
