"""What failed inside of a job is known by what its processes say, unless something made it good later."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.model.run import Failure
from trainci.reported_ends import Log, failures, frameworks, read

SHOWN = 'File "/r/tests/t.py", line 3, in test_a\nAssertionError'


def told(*ends: dict[str, Any], log: str = SHOWN, ended: int = 0) -> tuple[Failure, ...]:
    return failures(reported(*ends), Log(lambda text: text in log, lambda by: ended))


def reported(*ends: dict[str, Any]) -> Any:
    return read(json.dumps(end).encode() for end in ends)


def session(failed: list[str], passed: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "by": "pytest",
        "pid": 1,
        "said": "1 failed",
        "root": "/r",
        "failed": failed,
        "passed": passed or [],
        **more,
    }


def raised(**more: Any) -> dict[str, Any]:
    place = {"frames": [["/r/tests/t.py", 3]], "cwd": "/r", "pid": 7, "who": "python t.py"}
    return {
        "by": "raised",
        "how": "process",
        "type": "AssertionError",
        "assertion": True,
        "said": "no",
        **place,
        **more,
    }


BEGUN = {"by": "begun", "framework": "pytest", "pid": 1}
FAILED = (Failure("pytest said: 1 failed (a::x)"),)
RAISED = (Failure("a process ended by AssertionError at tests/t.py:3: no"),)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([session(["a::x"])], FAILED),
        ([session([])], ()),
        ([session(["a::x"]), session([], ["a::x"])], ()),
        ([session([], ["a::x"]), session(["a::x"])], FAILED),
        ([session(["a::x"]), session([], ["a::y"])], FAILED),
        ([session(["a::x"]), session([], ["a::x"], root="/other")], FAILED),
        ([session(["a::x", "a::y"]), session([], ["a::y"])], FAILED),
        ([session(["a"]), session([], ["a::x"])], ()),
        ([session(["a"]), session([], ["ab::x"])], (Failure("pytest said: 1 failed (a)"),)),
        ([BEGUN, session(["a::x"]), {**BEGUN, "pid": 2}, session([], ["a::x"], pid=2)], ()),
        ([BEGUN, {**BEGUN, "pid": 2}, session(["a::x"]), session([], ["a::x"], pid=2)], FAILED),
        ([session(["a::x"], more=4)], (Failure("pytest said: 1 failed (a::x and 4 more)"),)),
        ([session([], code=4)], (Failure("pytest said: exit code 4, it could not begin"),)),
        ([session([], code=4), session([], ["a::x"])], ()),
        ([session([], code=5)], (Failure("pytest said: no tests ran"),)),
        ([session([], code=5), session([], good=1)], ()),
        ([session([], code=0)], ()),
        ([session([], left_out=2)], (Failure("its configuration or a plugin left 2 tests out", certain=False),)),
    ],
)
def test_tests_that_failed_are_a_failure_until_the_same_ones_pass(ends: Any, expected: Any) -> None:
    assert told(*ends) == expected


def test_a_run_that_never_ended_is_a_failure_until_another_one_is_good() -> None:
    begun, never = {"by": "begun", "framework": "pytest", "pid": 7}, (Failure("pytest did not come to its end"),)
    assert told(begun) == never
    assert told(begun, session([], pid=7)) == ()
    assert told(session([], pid=7), begun) == never
    assert told(begun, session([], pid=8)) == told(begun, session([], pid=-1)) == never
    assert told(begun, session([], ["a::x"], pid=8)) == ()
    assert told(begun, {"by": "begun", "framework": "unittest", "pid": 7}, session([], pid=7)) != ()


def test_a_process_that_became_another_program_has_its_end_in_the_log() -> None:
    """As a conftest does that sets a variable and starts pytest anew by `os.execve`."""
    begun = {"by": "begun", "framework": "pytest", "pid": 7}
    assert told(begun, ended=1) == ()
    assert told(session([], pid=8), begun, ended=1) != ()
    assert told(session([], pid=8), begun, ended=2) == ()
    assert frameworks(reported(begun)) == frozenset(), "its failures are read there, too"
    assert frameworks(reported(begun, session([], pid=7))) == {"pytest"}


def test_a_class_whose_set_up_failed_is_made_good_by_its_tests() -> None:
    bad = {"by": "unittest", "said": "1 error", "failed": ["setUpClass (m.T)"]}
    assert told(bad) == (Failure("unittest said: 1 error (setUpClass (m.T))"),)
    assert told(bad, {"by": "unittest", "passed": ["m.T.test_a"]}) == ()


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([raised()], RAISED),
        ([raised(), {"by": "well", "who": "python t.py"}], ()),
        ([{"by": "well", "who": "python t.py"}, raised()], RAISED),
        ([raised(), {"by": "well", "who": "python t.py", "after": 1}], ()),
        ([raised(), {"by": "well", "who": "python t.py", "after": 0}], RAISED),
        ([raised(), {"by": "well", "who": "python u.py"}], RAISED),
        ([raised(who=""), {"by": "well", "who": ""}], RAISED),
        ([raised(how="child"), {"by": "asked", "pid": 7}], ()),
        ([raised(), {"by": "asked", "pid": 8}], RAISED),
        ([raised(pid=0), {"by": "asked", "pid": 0}], RAISED),
        ([raised(frames=[])], ()),
        ([raised(frames=[["/r/tests/t.py", 4]])], ()),
        ([raised(), raised()], RAISED),
    ],
    ids=[
        "alone", "made good", "good before", "began later", "began before", "another is good",
        "nobody", "asked", "another is asked", "no pid",
        "of a library", "kept from the log", "twice",
    ],
)  # fmt: skip
def test_an_assertion_that_ended_a_process_is_a_failure_until_it_is_made_good(ends: Any, expected: Any) -> None:
    assert told(*ends) == expected


def test_what_the_log_cannot_show_need_not_be_in_it() -> None:
    assert told(raised(told=True), log="") == RAISED
    assert told(raised(how="future"), log="") == (
        Failure("a result that nobody asks for is AssertionError at tests/t.py:3: no"),
    )


def test_another_exception_is_worth_a_note() -> None:
    (found,) = told(raised(type="ValueError", assertion=False))
    assert found == Failure("a process ended by ValueError at tests/t.py:3: no", certain=False)


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.lists(
        st.binary(max_size=30)
        | st.fixed_dictionaries(
            {"by": st.sampled_from(["pytest", "unittest", "raised", "well", "asked"])},
            optional=dict.fromkeys(
                ["how", "said", "root", "code", "failed", "more", "passed", "type", "frames", "pid", "who", "cwd"],
                HOSTILE | st.sampled_from(["process", "thread"]),
            ),
        ).map(lambda said: json.dumps(said).encode()),
        max_size=6,
    )
)
def test_whatever_a_test_writes_there_is_read(lines: list[bytes]) -> None:
    for found in failures(read(lines), Log(lambda text: True, lambda by: 0)):
        assert found.sentence.isprintable()


def test_what_one_line_of_the_log_shows_is_looked_for_once() -> None:
    """Threads by the thousand may end in one place, and a log that does not show it is read to its end."""
    asked: list[str] = []
    log = Log(lambda text: bool(asked.append(text)), lambda by: 0)
    assert failures(reported(*[raised(pid=number, who=str(number)) for number in range(9)]), log) == ()
    assert asked == ['"/r/tests/t.py", line 3']


def test_the_log_is_looked_through_a_hundred_times_and_what_is_beyond_that_is_red() -> None:
    """Else whoever writes thousands of places has a log of gigabytes searched for each."""
    asked: list[str] = []
    log = Log(lambda text: bool(asked.append(text)), lambda by: 0)
    ends = reported(*[raised(frames=[["/r/tests/t.py", line]], who=str(line)) for line in range(150)])
    assert (len(failures(ends, log)), len(asked)) == (50, 100)


def test_a_framework_that_is_none_does_not_begin() -> None:
    """Of each that never ended, the log is read."""
    assert told({"by": "begun", "framework": "mine", "pid": 7}) == ()


def test_a_number_that_no_process_has_is_none() -> None:
    (found,) = told(session(list("abcd"), more=10**4300 - 1))
    assert found.sentence == "pytest said: 1 failed (a, b, c and 1 more)"


def test_a_line_that_is_too_deep_is_none() -> None:
    assert read([b"[" * 100_000]) == ()


def test_an_exit_code_that_nobody_asks_for_is_no_more_than_what_a_framework_tells() -> None:
    left = raised(how="left", type="exit code 1", who="command", pid=7)
    assert [one.certain for one in told(left)] == [True]
    assert told(left, {"by": "asked", "pid": 7}) == ()
    good = session([], ["a"])
    assert [one.certain for one in told(session(["a"]), left, good)] == [False], "it was made good"


def test_a_program_that_failed_an_assertion_is_not_made_good_by_who_prints_its_exit_code() -> None:
    process = raised(how="process", pid=7)
    assert told(process, {"by": "asked", "pid": 7}) == told(process) != ()
