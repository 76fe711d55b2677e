"""The summary on a job's page: complete, and nothing in it is taken for Markdown or HTML."""

from __future__ import annotations

from dataclasses import replace

from trainci.model.run import Attempt, Cause, Ending, Item, Outcome, Result, Results, Run, Verdict
from trainci.model.tests import Test
from trainci.reports.summary import markdown

HOSTILE = "tests/test_|`x`<img src=x onerror=y>**b**[a](http://evil)\n| passed | @team $(x).py"
TEST = Test("tests/test_a.py", "tests/test_a.py", num_gpus=2)
ATTEMPT = Attempt(TEST, 1, 0.0, 10.0, 72.5, Ending(Cause.EXITED, 1), "log", ("cpu-0", "cpu-1"))
RESULT = Result(TEST.id, Verdict(Outcome.FAILED, "exit code 1"), (ATTEMPT,))
REPLAY = "trainci run --id tests/test_a.py --devices cpu:2"
RUN = Run("1", "0123456789abcdef", 0, 80, (RESULT,), "2 virtual devices, no GPU", 1, {TEST.id: REPLAY})


def test_it_holds_verdict_duration_devices_and_replay():
    text = markdown(RUN)
    assert "### trainci · 2 virtual devices, no GPU · 0123456789ab\n" in text
    assert "| ❌ failed | <code>tests/test&#95;a.py</code> | 1 min 02 s | cpu-0, cpu-1 |\n" in text
    assert "<pre>trainci run --id tests/test&#95;a.py --devices cpu&#58;2</pre>" in text


def test_what_passed_needs_no_replay():
    text = markdown(replace(RUN, results=(replace(RESULT, verdict=Verdict(Outcome.PASSED, "in 1 s")),)))
    assert "| ✅ passed |" in text
    assert "<pre>" not in text


def test_a_hostile_name_stays_one_cell():
    result = replace(RESULT, test_id=HOSTILE)
    text = markdown(replace(RUN, results=(result,), replay={HOSTILE: f"trainci run --id {HOSTILE}"}))
    (row,) = (line for line in text.splitlines() if line.startswith("| ❌"))
    assert row.count("|") == 5
    assert not any(piece in text for piece in ("<img", "`", "**b**", "[a]", "@team"))


def test_beyond_what_github_shows_the_tests_that_passed_are_only_counted():
    """Of a summary of more than 1 MiB GitHub shows nothing."""
    passed = replace(RESULT, verdict=Verdict(Outcome.PASSED, "in 1 s"))
    run = replace(RUN, results=(*[passed] * 30_000, RESULT))
    text = markdown(run)
    assert len(text.encode()) <= 1 << 20
    assert "| ❌ failed |" in text and REPLAY.split()[0] in text and "| ✅ passed |" not in text
    assert text.endswith("… and 30000 tests that passed: GitHub shows no more of a step than 1 MiB.\n")
    assert "Nothing ran" not in text
    assert markdown(replace(run, results=run.results[-10:])).count("| ✅ passed |") == 9


def test_each_item_of_a_test_stands_below_it() -> None:
    items = (Item("tests.a::test_a", "passed", 1.0), Item("b|c", "failed", 0.0, "no"))
    attempt = Attempt(Test("a.py"), 1, 0.0, 1.0, 2.0, Ending(Cause.EXITED, 1), "log", results=Results(items))
    result = Result("a.py", Verdict(Outcome.FAILED, "exit code 1"), (attempt,))
    text = markdown(Run("r", "c", 0.0, 1.0, (result,), "no GPU", 1))
    rows = [line for line in text.splitlines() if line.startswith(("| ❌", "| ✅"))]
    assert rows[0].startswith("| ❌ failed | <code>a.py</code>")
    assert rows[1:] == [
        "| ✅ passed | ↳ <code>tests.a::test&#95;a</code> | 1.0 s | |".replace("::", "&#58;&#58;"),
        "| ❌ failed | ↳ <code>b&#124;c</code> | 0.0 s | |",
    ]


def test_a_red_test_has_the_lines_that_put_it_into_quarantine_and_one_that_is_in_it_has_none():
    text = markdown(RUN)
    assert "known to be bad? In trainci.toml:" in text and "[[quarantine]]" in text.replace("&#91;", "[").replace(
        "&#93;", "]"
    )
    known = replace(RESULT, verdict=replace(RESULT.verdict, excused="in quarantine until 2026-12-31 (ana)"))
    text = markdown(replace(RUN, results=(known,)))
    assert (
        "known to be bad" not in text
        and "but: in quarantine until 2026-12-31" in text
        and "of them in quarantine" in text
    )
