"""Mutants are small changes that compile, and a run of one tells an assertion from a crash, a hang and nothing."""

from __future__ import annotations

import ast
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.mutants import run
from benchmarks.mutants.__main__ import EXAMPLE, UNCHANGED, Rows, by_hand, fair_order, patience
from benchmarks.mutants.claims import CLAIMS, UNIT
from benchmarks.mutants.rules import mutants
from benchmarks.mutants.run import Subject
from benchmarks.mutants.table import table
from benchmarks.mutants.warm import COLD, Warm

pytestmark = pytest.mark.slow


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


@pytest.fixture(scope="module")
def python() -> Iterator[Warm]:
    with Warm({}, imports=()) as started:
        yield started


def judged(
    python: Warm, example: Path, source: str, *, patience: float = 60.0, seconds: float = 60.0
) -> run.Verdict:
    subject = run.Subject("by hand", "family", "what", "", "code_.py", source)
    return run.Judge(example, python, time.monotonic() + seconds).changed(subject, {"test.py": patience})


def test_an_assertion_under_pytest_is_one(python: Warm, tmp_path: Path) -> None:
    (tmp_path / "test.py").write_text(
        "import pytest\nfrom code_ import answer\n"
        "def test_it():\n    assert answer == 42, f'the answer is {answer}'\n"
        "if __name__ == '__main__':\n    raise SystemExit(pytest.main([__file__, '-q']))\n"
    )
    assert judged(python, tmp_path, "answer = 41").said == "the answer is 41"


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
def test_a_mutant_is_judged(python: Warm, example: Path, source: str, outcome: tuple[str, str]) -> None:
    verdict = judged(python, example, source, patience=2.0 if "sleep" in source else 60.0)
    assert (verdict.outcome, verdict.said) == outcome
    assert (example / "code_.py").read_text() == "answer = 42"


def test_an_example_as_it_is_passes_or_not(python: Warm, example: Path) -> None:
    judge = run.Judge(example, python, time.monotonic() + 60)
    assert judge.sound("test.py").outcome == "passed"
    (example / "code_.py").write_text("answer = 41")
    assert judge.sound("test.py").outcome == "assertion"


def test_a_mutant_that_the_budget_cuts_off_is_not_judged(python: Warm, example: Path) -> None:
    with pytest.raises(run.OutOfTime):
        judged(python, example, "import time; time.sleep(600)", seconds=2.0)


def test_a_process_that_a_test_quotes_is_what_crashed(python: Warm, example: Path) -> None:
    (example / "test.py").write_text(
        "import subprocess, sys\n"
        "ended = subprocess.run([sys.executable, 'code_.py'], stderr=subprocess.PIPE, text=True)\n"
        "assert ended.returncode == 0, ended.stderr\n"
    )
    verdict = judged(python, example, "1 / 0")
    assert (verdict.outcome, verdict.said) == ("crash", "ZeroDivisionError: division by zero")


def test_rows_are_kept_and_a_test_that_fails_on_the_example_judges_nothing(
    python: Warm, example: Path, tmp_path: Path
) -> None:
    (example / "bad.py").write_text("1 / 0")
    judge = run.Judge(example, python, time.monotonic() + 60)
    rows = Rows(tmp_path / "new" / "rows.jsonl")
    rows.add({"kind": UNCHANGED, "file": "", "by": "", "seconds": 10.0, "what": "known.py", "outcome": "passed"})
    assert patience(judge, rows, "known.py") == 100.0
    assert patience(judge, rows, "bad.py") is None
    assert patience(judge, rows, "test.py") is not None
    rows = Rows(tmp_path / "new" / "rows.jsonl")
    assert rows.have("", "bad.py")
    assert not rows.have("", "new.py")


def test_what_the_rules_make_comes_in_a_fair_order() -> None:
    """Of each rule the same share, however far one comes."""
    sizes = {"operator": 700, "constant": 400, "slice": 90, "reduce": 10}
    every = [Subject("by rule", rule, f"{n}", "", "a.py", "") for rule, size in sizes.items() for n in range(size)]
    order = fair_order(every, seed=0)
    assert Counter(order) == Counter(every)
    assert order == fair_order(every, seed=0) != fair_order(every, seed=1)
    for count in (50, 500, 1100):
        for rule, drawn in Counter(each.family for each in order[:count]).items():
            assert abs(drawn - count * sizes[rule] / len(every)) < 2


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
    rows = [{**row, "what": "a hole"}, {**row, "what": "nothing"}]
    rows += [
        {**row, "what": by, "outcome": "assertion", "by": by} for by in (f"{UNIT} -x unit_tests", "tests/a.py")
    ]
    page = table(rows, {("a.py", "nothing"): "it is the same number"}, "")
    assert "| loss | 4 | 2 | 0 | 0 | 1 | 1 | 66.7% | 33.3% |" in page
    assert "it is the same number" in page


def ended(python: Warm, directory: Path, code: str, *, patience: float = 60.0, **more: str) -> tuple[int, str]:
    """What a run of ``code`` ends with, and what it and its children print."""
    (directory / "run.py").write_text(code)
    with (directory / "output").open("w+") as output:
        environment = {**os.environ, **more}
        exit_code = python.run(["run.py"], directory, environment, output.fileno(), patience)
        output.seek(0)
        return exit_code, output.read()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", 0),
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('no')", 1),
        ("1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
    ],
)
def test_a_warm_process_and_its_child_end_as_cold_ones(
    python: Warm, tmp_path: Path, code: str, expected: int
) -> None:
    assert ended(python, tmp_path, code)[0] == expected
    child = "import subprocess, sys; print(subprocess.run([sys.executable, 'child.py']).returncode)"
    (tmp_path / "child.py").write_text(code)
    assert ended(python, tmp_path, child)[1].splitlines()[-1] == str(expected)


def test_a_signal_reaches_a_warm_child(python: Warm, tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\ntime.sleep(600)\n"
    )
    code = (
        "import subprocess, sys\nchild = subprocess.Popen([sys.executable, 'child.py'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\nchild.terminate()\nsys.exit(child.wait())\n"
    )
    assert ended(python, tmp_path, code)[0] == 7


def test_nothing_of_a_run_lives_on(python: Warm, tmp_path: Path) -> None:
    """Neither after its end nor after its time, in whatever session."""
    (tmp_path / "child.py").write_text(
        "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(600)\n"
    )
    start = (
        "import pathlib, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, 'child.py'], start_new_session=True)\n"
        "while not pathlib.Path('pid').exists() or not pathlib.Path('pid').read_text(): time.sleep(0.01)\n"
    )
    for cold in ({}, COLD):
        for rest in ("", "time.sleep(600)"):
            (tmp_path / "pid").unlink(missing_ok=True)
            if rest:
                with pytest.raises(TimeoutError):
                    ended(python, tmp_path, start + rest, patience=5.0, **cold)
            else:
                ended(python, tmp_path, start, **cold)
            pid = (tmp_path / "pid").read_text()
            assert not Path("/proc", pid).exists()


def test_a_file_of_the_run_comes_before_an_import_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("ours = True\n")
    with Warm({}, imports=("colorsys",)) as python:
        assert ended(python, tmp_path, "import colorsys; colorsys.ours") == (0, "")
