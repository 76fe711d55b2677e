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

WHY = Diagnosis(Blame.CODE, "nan", "", "ValueError: nan", 2, Frame("lib/loss.py", 7))
RED = Verdict(Outcome.FAILED, "exit code 1", WHY)
PASSED = Verdict(Outcome.PASSED, "in 1.0 s")


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
    said = markdown(found, None, LARGEST_SUMMARY)
    assert "| ❌ s | 1 passed, 1 failed | 30 min 00 s | 2.00 |" in said
    assert "| ✅ t | 1 passed | 30 min 00 s | 1.00 |" in said
    assert "**ValueError&#58; nan**<br>at: lib/loss.py&#58;7" in said and "<pre>trainci run --id b.py</pre>" in said
    assert one_line(found) == [
        "s: 1 passed, 1 failed, 2.00 GPU-hours",
        "    failed b.py: ValueError: nan",
        "t: 1 passed, 1.00 GPU-hours",
    ]


def test_what_is_new_against_the_base_branch_comes_first() -> None:
    found = merge([("s", run("a.py", RED)), ("s", run("b.py", RED))])
    said = markdown(found, merge([("s", run("a.py", RED)), ("s", run("b.py"))]), LARGEST_SUMMARY)
    new, old = (
        said.index("new: not red on the base branch".replace(":", "&#58;")),
        said.index("red on the base branch, too"),
    )
    assert said.index("<code>b.py</code>") < new < said.index("<code>a.py</code>") < old


@pytest.mark.parametrize("room", [2_000, 20_000, 500_000])
def test_what_is_too_much_is_cut_by_importance_and_said_to_be_cut(room: int) -> None:
    found = merge([("s", run(f"tests/test_{n:05}.py", RED if n % 3 == 0 else PASSED)) for n in range(6000)])
    said = markdown(found, None, room)
    assert len(said.encode()) <= room
    assert "| ❌ s | 4000 passed, 2000 failed |" in said and "there is no room for more" in said
    assert "ValueError" in said


def test_no_name_is_taken_for_markdown() -> None:
    hostile = "a|b`<script>*x*@team\n| x |"
    (merged,) = merge([(hostile, replace(run(hostile, RED), commit="<b>`"))])
    said = markdown([merged], None, LARGEST_SUMMARY)
    assert "<script>" not in said and "@team" not in said and "`" not in said and "<b>" not in said


def test_a_comment_calls_nobody_and_leads_nowhere() -> None:
    """GitHub unescapes before it looks for names, issues and addresses, and looks for none in code."""
    hostile = "@octocat closes owner/repo#1 GH-2 https://evil.example www.evil.example"
    (merged,) = merge([(hostile, run("a.py", Verdict(Outcome.FAILED, hostile)))])
    seen = html.unescape(re.sub(r"(?s)<(code|pre)>.*?</\1>", "", markdown([merged], None, LARGEST_SUMMARY)))
    assert "octocat" in seen and not re.search(r"@\w|#\d|GH-\d|://|www\.", seen), seen


def test_a_suite_of_which_nothing_ran_is_not_green() -> None:
    skipped = Verdict(Outcome.SKIPPED, "needs a GPU")
    found = merge([("s", run("a.py", skipped)), ("t", replace(run("a.py"), results=()))])
    said = markdown(found, None, LARGEST_SUMMARY)
    assert "| ⏭️ s | 1 skipped |" in said and "| ⏭️ t | no tests |" in said and "✅" not in said


def test_what_cannot_be_read_and_what_left_nothing_is_not_green() -> None:
    """A job that broke its events, or left none, is told beside those that are fine."""
    said = markdown(merge([("s", run("a.py"))]), None, LARGEST_SUMMARY, unread=["t"], ended="failure")
    assert "| ✅ s | 1 passed |" in said and "| ❌ t | what it left is no run's |" in said
    assert "❌ The workflow's run ended as **failure**" in said
    assert "❌ no run was found" in markdown([], None, LARGEST_SUMMARY)
    assert "❌" not in markdown(merge([("s", run("a.py"))]), None, LARGEST_SUMMARY, ended="success")
