"""The runs of a matrix's jobs as one summary."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from trainci.github.actions import LARGEST_SUMMARY
from trainci.model.diagnosis import Blame, Diagnosis, Frame
from trainci.model.run import Attempt, Cause, Ending, Outcome, Result, Run, Verdict
from trainci.model.tests import Test
from trainci.reports.merged import markdown, merge, one_line, suite_of
from trainci.reports.outlook import Base, Cost, cost

WHY = Diagnosis(Blame.CODE, "nan", "", "ValueError: nan", 2, Frame("lib/loss.py", 7))
RED = Verdict(Outcome.FAILED, "exit code 1", WHY)
PASSED = Verdict(Outcome.PASSED, "in 1.0 s")
NOTHING = Base("main", unknown="there is no history here")


def run(test_id: str, verdict: Verdict = PASSED, at: float = 0.0) -> Run:
    attempt = Attempt(Test(test_id), 1, at, at, at + 1800.0, Ending(Cause.EXITED, 0), "log", ("GPU-0", "GPU-1"))
    result = Result(test_id, verdict, (attempt,))
    return Run(
        f"r{at}", "c0ffee", at, at + 1800, (result,), "8 × H100", 1, {test_id: f"trainci run --id {test_id}"}
    )


def test_an_artifact_is_of_the_suite_that_its_name_begins_with() -> None:
    assert suite_of("e2e-test-short-12-attempt-2") == "e2e-test-short"
    assert suite_of("elsewhere") == "elsewhere"


def test_of_jobs_that_were_run_again_the_newest_counts() -> None:
    (merged,) = merge([("s", run("a.py", PASSED, 9.0)), ("s", run("a.py", RED, 1.0)), ("s", run("b.py", RED, 2.0))])
    assert {r.test_id: r.verdict.outcome for r in merged.run.results} == {
        "a.py": Outcome.PASSED,
        "b.py": Outcome.FAILED,
    }
    assert merged.gpu_hours == 2.0


def test_it_says_of_each_suite_its_verdicts_and_gpu_hours_and_of_each_red_test_why() -> None:
    found = merge([("s", run("a.py")), ("s", run("b.py", RED)), ("t", run("c.py"))])
    said = markdown(found, NOTHING, (), LARGEST_SUMMARY)
    assert "| ❌ s | 1 passed, 1 failed | not known | 30 min 00 s | 2.00 |" in said
    assert "| ✅ t | 1 passed |  | 30 min 00 s | 1.00 |" in said
    assert "**ValueError&#58; nan**<br>at: lib/loss.py&#58;7" in said and "<pre>trainci run --id b.py</pre>" in said
    assert one_line(found, NOTHING, ()) == [
        "s: 1 passed, 1 failed, 2.00 GPU-hours",
        "    failed b.py: ValueError: nan",
        "t: 1 passed, 1.00 GPU-hours",
        "what is new is not known: there is no history here",
    ]


def test_what_is_new_against_the_base_branch_comes_first_and_what_nobody_knows_is_said() -> None:
    found = merge([("s", run("a.py", RED)), ("s", run("b.py", RED)), ("s", run("c.py", RED)), ("t", run("d.py"))])
    base = Base("release/1", {"a.py": "failed", "b.py": "flaky", "d.py": "passed"})
    said = markdown(found, base, (), LARGEST_SUMMARY)
    assert "| ❌ s | 3 failed | 1 red, 1 not known |" in said and "| ✅ t | 1 passed |  |" in said
    notes = ["new&#58; not red on release/1", "not known&#58; it never ran on release/1", "red on release/1, too"]
    places = [said.index(part) for pair in zip(["b.py", "c.py", "a.py"], notes, strict=True) for part in pair]
    assert places == sorted(places)
    assert one_line(found, base, ())[1].endswith("(new: not red on release/1)")
    assert "What is new" not in said


def test_without_a_history_what_is_new_is_not_known_and_not_guessed() -> None:
    said = markdown(merge([("s", run("a.py", RED))]), NOTHING, (), LARGEST_SUMMARY)
    assert "| ❌ s | 1 failed | not known |" in said and "new&#58;" not in said
    assert "What is new is not known: there is no history here" in said
    assert "not known" not in markdown(merge([("s", run("a.py"))]), NOTHING, (), LARGEST_SUMMARY)


def test_what_the_next_label_would_cost_is_told_and_what_is_not_known_of_it() -> None:
    tests = [Test("a.py", num_gpus=4), Test("b.py", num_gpus=2, num_nodes=2), Test("c.py", num_gpus=8)]
    past = {"a.py": 1800.0, "b.py": 900.0, "c.py": 3600.0}
    whole, part = cost("run-ci-long", tests, past), cost("run-ci-new", tests, {"a.py": 1800.0, "b.py": None})
    none = cost("run-ci-none", tests, {})
    off = cost("run-ci-off", [*tests[:1], Test("d.py", num_gpus=8, disabled="broken")], past)
    changed = Cost("run-ci-changed", why="its tests are those that the change reaches")
    said = markdown([], NOTHING, (whole, part, none, off, changed), LARGEST_SUMMARY)
    assert "| <code>run-ci-long</code> | 3 | 11.00 | 1 h 00 min all at once, 1 h 45 min one after another |" in said
    assert "| 3 | at least 2.00 | 30 min 00 s; 2 of 3 tests not counted, without a past |" in said
    assert "| <code>run-ci-none</code> | 3 | not known | none of its 3 tests has a past |" in said
    assert "| <code>run-ci-off</code> | 1 | 2.00 | 30 min 00 s |" in said
    assert "| <code>run-ci-changed</code> |  | not known | its tests are those that the change reaches |" in said
    assert one_line([], NOTHING, [whole])[-1].startswith("run-ci-long would cost, in GPU-hours: 11.00 (1 h 00")
    many = [Cost(f"l{number}", why="x") for number in range(50)]
    assert "and 30 more labels" in markdown([], NOTHING, many, LARGEST_SUMMARY)


@pytest.mark.parametrize("room", [2_000, 20_000, 500_000])
def test_what_is_too_much_is_cut_by_importance_and_said_to_be_cut(room: int) -> None:
    found = merge([("s", run(f"tests/test_{n:05}.py", RED if n % 3 == 0 else PASSED)) for n in range(6000)])
    said = markdown(found, NOTHING, (), room)
    assert len(said.encode()) <= room
    assert "| ❌ s | 4000 passed, 2000 failed |" in said and "there is no room for more" in said
    assert "ValueError" in said


def test_no_name_is_taken_for_markdown() -> None:
    hostile = "a|b`<script>*x*@team\n| x |"
    (merged,) = merge([(hostile, replace(run(hostile, RED), commit="<b>`"))])
    said = markdown([merged], NOTHING, (), LARGEST_SUMMARY)
    assert "<script>" not in said and "@team" not in said and "`" not in said and "<b>" not in said


def test_a_comment_calls_nobody_and_leads_nowhere() -> None:
    """GitHub unescapes before it looks for names, issues and addresses, and looks for none in code."""
    hostile = "@octocat closes owner/repo#1 GH-2 https://evil.example www.evil.example"
    (merged,) = merge([(hostile, run("a.py", Verdict(Outcome.FAILED, hostile)))])
    texts = [
        markdown([merged], Base(hostile, {"a.py": "passed"}), [Cost(hostile, why=hostile)], LARGEST_SUMMARY),
        markdown([merged], Base(hostile, unknown=hostile), (), LARGEST_SUMMARY),
    ]
    seen = html.unescape(re.sub(r"(?s)<(code|pre)>.*?</\1>", "", "".join(texts)))
    assert "octocat" in seen and not re.search(r"@\w|#\d|GH-\d|://|www\.", seen), seen


def test_a_suite_of_which_nothing_ran_is_not_green() -> None:
    skipped = Verdict(Outcome.SKIPPED, "needs a GPU")
    found = merge([("s", run("a.py", skipped)), ("t", replace(run("a.py"), results=()))])
    said = markdown(found, NOTHING, (), LARGEST_SUMMARY)
    assert "| ⏭️ s | 1 skipped |" in said and "| ⏭️ t | no tests |" in said and "✅" not in said


def test_what_cannot_be_read_and_what_left_nothing_is_not_green() -> None:
    """A job that broke its events, or left none, is told beside those that are fine."""
    said = markdown(merge([("s", run("a.py"))]), NOTHING, (), LARGEST_SUMMARY, unread=["t"], ended="failure")
    assert "| ✅ s | 1 passed |" in said and "| ❌ t | what it left is no run's |" in said
    assert "❌ The workflow's run ended as **failure**" in said
    assert "❌ no run was found" in markdown([], NOTHING, (), LARGEST_SUMMARY)
    assert "❌" not in markdown(merge([("s", run("a.py"))]), NOTHING, (), LARGEST_SUMMARY, ended="success")
