"""What a program says last of itself, from logs that may hold anything."""

from __future__ import annotations

import signal
import time

from hypothesis import given
from hypothesis import strategies as st

from trainci.log_files import packaged_rules
from trainci.model.diagnosis import Blame, Diagnosis, Facts
from trainci.model.run import Outcome, Verdict
from trainci.reports.reason import reason
from trainci.verdict.diagnose import diagnose
from trainci.verdict.last_words import Tail, last_line, last_words
from trainci.verdict.log_reader import LogReader

PIECES = [
    *("error: ", "fatal: ", "panicked at a.rs:1:2:", "╭─ Error ─╮"),
    *("Assertion `x' failed", "a.c:3: ", "usage: ", "+ "),
]
PARTS = st.one_of(st.sampled_from(PIECES), st.text(max_size=9))
LINES = st.lists(st.lists(PARTS, max_size=4).map("".join), max_size=9)


@given(LINES)
def test_whatever_is_said_stands_in_its_line(lines: list[str]) -> None:
    for said in (last_words(Tail(7, lines)), last_line(Tail(7, lines))):
        if said:
            assert said.text[:3] in lines[said.line - 7]


@given(LINES, st.integers(0, 3))
def test_a_log_of_any_lines_is_judged(lines: list[str], exit_code: int) -> None:
    reader = LogReader(packaged_rules())
    reader.feed([line for text in lines for line in text.split("\n")])
    assert diagnose(reader.finish(), Facts(exit_code=exit_code))


def test_of_many_errors_the_first_of_the_last_ones_is_told() -> None:
    lines = ["error: an old one", *["compiles"] * 50, "a.c:1: error: first", "a.c:9: error: second", "2 errors"]
    assert last_words(Tail(1, lines)).text == "a.c:1: error: first"


def test_a_warning_a_trace_of_the_shell_and_advice_tell_no_reason() -> None:
    lines = ["+ echo error: no", "warning: error: ignored", "0 errors: fine", "Try --help: error: more", "done"]
    assert last_words(Tail(1, lines)) is None and last_line(Tail(1, lines)).text == "done"


def test_very_long_lines_cost_no_more_than_a_moment() -> None:
    lines = [piece * 4000 for piece in ("a", "error", "thread '", "a:", "Assertion ", "a.b:1", "x/", ": ")] * 50
    began = time.process_time()
    last_words(Tail(1, [line[:4000] for line in lines]))
    assert time.process_time() - began < 5


def test_where_a_program_says_nothing_of_why_it_ends_its_exit_code_comes_first() -> None:
    for said, wanted in (
        ("it runs", "exit code 7, after: it runs"),
        ("error: no such model", "error: no such model"),
    ):
        reader = LogReader(packaged_rules())
        reader.feed(["begins", said])
        diagnosis = diagnose(reader.finish(), Facts(exit_code=7))
        assert reason(Verdict(Outcome.FAILED, "exit code 7", diagnosis)) == wanted
    reader = LogReader(packaged_rules())
    diagnosis = diagnose(reader.finish(), Facts(exit_code=7))
    assert reason(Verdict(Outcome.FAILED, "exit code 7", diagnosis)) == "exit code 7"


def test_what_pytest_draws_around_a_line_is_no_part_of_the_reason() -> None:
    for said, wanted in (
        ("!!!!! _pytest.outcomes.Exit: no GPU !!!!!!", "_pytest.outcomes.Exit: no GPU"),
        ("=" * 9,) * 2,
    ):
        diagnosis = Diagnosis(Blame.CODE, "last-words", "", said, 1)
        assert reason(Verdict(Outcome.FAILED, "exit code 7", diagnosis)) == wanted


def test_what_trainci_wrote_into_a_log_is_nothing_that_the_program_said() -> None:
    assert last_words(Tail(1, ["done", "trainci: error: step 1"])) is None
    assert last_line(Tail(1, ["done", "trainci: step 1 of 2 ended"])).text == "done"
    assert last_line(Tail(1, ["trainci lease: waiting for 2 devices", "trainci lease: got devices 6,7."])) is None


def test_above_advice_the_first_line_tells_more_than_the_last() -> None:
    said = ["Could not override lr", "Key lr is not there", ""]
    assert last_line(Tail(1, [*said, "Set the environment variable X=1 for more"])).text == said[0]
    assert last_line(Tail(1, [*said, ""])).text == said[1]


DOCTEST = """\
**********************************************************************
File "/repo/tests/test_sums.py", line 12, in __main__.add
Failed example:
    add(1, 1)
Expected:
    3
Got:
    2
**********************************************************************
1 items had failures:
   1 of   1 in __main__.add
***Test Failed*** 1 failures.
"""
GLOG = """\
loading
F0102 12:00:00.123456 12345 gemm.cc:88] Check failed: m == n (3 vs. 4) bad gemm
*** Check failure stack trace: ***
    @     0x7f0000000000  google::LogMessage::Fail()
"""
ABSL = """\
I0000 00:00:1700000000.123456   12345 server.cc:10] up
F0000 00:00:1700000001.123456   12345 pool.cc:31] Check failed: free >= 0
"""


def told(log: str, **facts: int) -> tuple[str, str, str]:
    reader = LogReader(packaged_rules())
    reader.feed(log.splitlines())
    diagnosis = diagnose(reader.finish(), Facts(**facts), "/repo")
    place = f"{diagnosis.frame.file}:{diagnosis.frame.line}" if diagnosis.frame else ""
    return diagnosis.rule, diagnosis.evidence, place


def test_a_doctest_that_failed_is_told_by_its_example_and_its_place() -> None:
    found = told(DOCTEST, exit_code=1)
    assert found == ("test-compared", "Failed example: add(1, 1)", "tests/test_sums.py:12")


def test_a_script_that_its_shell_cannot_go_on_with_is_told_with_its_place() -> None:
    for said in ("unexpected EOF while looking for matching ``'", "x: unbound variable", "syntax error near `fi'"):
        line = f"./tests/run.sh: line 7: {said}"
        assert told(f"begins\n{line}\n", exit_code=2) == ("last-words", line, "tests/run.sh:7")


def test_an_exception_of_node_is_at_the_place_where_it_was_thrown() -> None:
    log = """\
/repo/lib/a.js:1
function f(x) { return x.go(); }

TypeError: Cannot read properties of undefined (reading 'go')
    at f (/repo/lib/a.js:1:26)
    at Object.<anonymous> (/repo/lib/main.js:9:1)
    at Module._compile (node:internal/modules/cjs/loader:1364:14)

Node.js v20.11.0
"""
    assert told(log, exit_code=1)[2] == "lib/a.js:1"


def test_an_exception_that_stands_above_a_traceback_only_announces_it() -> None:
    log = """\
ERROR: tests (unittest.loader._FailedTest.tests)
----------------------------------------------------------------------
ImportError: Failed to import test module: tests
Traceback (most recent call last):
  File "/usr/lib/python3.11/unittest/loader.py", line 162, in loadTestsFromName
    module = __import__(module_name)
  File "/repo/tests/sums.py", line 2, in <module>
    import kernels
ModuleNotFoundError: No module named 'kernels'


Ran 1 test in 0.019s

FAILED (errors=1)
"""
    assert told(log, exit_code=1)[1:] == ("ModuleNotFoundError: No module named 'kernels'", "tests/sums.py:2")


def test_an_error_of_pytests_own_is_told_as_any_other() -> None:
    log = """\
INTERNALERROR> Traceback (most recent call last):
INTERNALERROR>   File "/x/site-packages/_pytest/main.py", line 289, in wrap_session
INTERNALERROR>     session.exitstatus = doit(config, session) or 0
INTERNALERROR>   File "/repo/tests/conftest.py", line 2, in pytest_collection_modifyitems
INTERNALERROR>     raise RuntimeError("the hook has no shard map")
INTERNALERROR> RuntimeError: the hook has no shard map
"""
    found = told(log, exit_code=3)
    assert found[1:] == ("RuntimeError: the hook has no shard map", "tests/conftest.py:2")


def test_a_check_that_failed_in_native_code_is_told_whatever_signal_ends_it() -> None:
    for number in (signal.SIGABRT, signal.SIGILL, signal.SIGTRAP):
        rule, evidence, _ = told(GLOG, signal=number)
        assert (rule, evidence) == ("crash", "Check failed: m == n (3 vs. 4) bad gemm")
    rule, evidence, _ = told(ABSL, signal=signal.SIGABRT)
    assert (rule, evidence.endswith("Check failed: free >= 0")) == ("crash", True)
