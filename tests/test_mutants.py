"""Mutants are small changes that compile, and a run of one tells an assertion from a crash, a hang and nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from benchmarks.mutants import run
from benchmarks.mutants.__main__ import EXAMPLE, by_hand
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


@pytest.mark.parametrize("source", ["raise E('a' + 'b')", "def f(a: 'int') -> 3: ...", "import os", "assert a < b"])
def test_words_are_left_alone(source: str) -> None:
    assert list(mutants(source)) == []


def test_an_assertion_under_pytest_is_one(tmp_path: Path) -> None:
    (tmp_path / "test.py").write_text(
        "import pytest\nfrom code_ import answer\n"
        "def test_it():\n    assert answer == 42, f'the answer is {answer}'\n"
        "if __name__ == '__main__':\n    raise SystemExit(pytest.main([__file__, '-q']))\n"
    )
    subject = run.Subject("by hand", "family", "what", "", "code_.py", "answer = 41")
    assert run.judge(tmp_path, subject, ["test.py"]).said == "the answer is 41"


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("answer = 42", ("survived", "")),
        ("answer = 41", ("assertion", "the answer is 41")),
        ("answer = 1 / 0", ("crash", "ZeroDivisionError: division by zero")),
        ("import time; time.sleep(60)", ("hung", "not done after 2 s")),
    ],
)
def test_a_mutant_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, outcome: tuple[str, str]
) -> None:
    monkeypatch.setattr(run, "TIMEOUT_S", 2)
    (tmp_path / "test.py").write_text("from code_ import answer\nassert answer == 42, f'the answer is {answer}'\n")
    (tmp_path / "code_.py").write_text("answer = 42")
    subject = run.Subject("by hand", "family", "what", "", "code_.py", source)
    verdict = run.judge(tmp_path, subject, ["test.py"])
    assert (verdict.outcome, verdict.said) == outcome
    assert (tmp_path / "code_.py").read_text() == "answer = 42"
    assert "| family | 1 |" in table([run.as_row(subject, verdict)], {}, "")


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
