"""`check` as a gate on day one: what is found now is written down, and only what comes new is found."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.config.accepting import with_accepted
from trainci.findings import CODES, NOTES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_DOCS = Path(__file__).parent.parent / "docs" / "checks.md"
_GOOD = "NUM_GPUS = 1\n\n\nif __name__ == '__main__':\n    print(1)\n"
_CONFIG = """\
# what we run
[suites.short]
tests = [
  "tests/test_a.py",  # the first one
  { path = "tests/test_a.py", args = ["--x"], num_gpus = 9 },
]
"""


@pytest.fixture
def faulty(repository: Any) -> Any:
    repository.write("tests/test_a.py", _GOOD)
    repository.write("tests/test_b.py", "if __name__ == '__main__':\n    print(1)\n")
    repository.write("trainci.toml", _CONFIG)
    return repository


def test_what_is_found_now_is_accepted_and_what_comes_new_is_found(faulty: Any) -> None:
    assert faulty.trainci("check").code == 1
    assert faulty.trainci("check", "--accept-current").code == 0
    assert (faulty.root / "trainci.toml").read_text().startswith(_CONFIG)
    after = faulty.trainci("check")
    assert after.code == 0, after.out
    assert "nothing is wrong besides what 4 lines of [check] accept takes as it is." in after.out
    faulty.write("tests/test_new.py", _GOOD)
    new = faulty.trainci("check")
    assert new.code == 1
    assert "tests/test_new.py:1: not registered: no label runs it" in new.out and "1 finding." in new.out
    assert faulty.trainci("check", "--accept-current").out.startswith("1 line written")
    assert faulty.trainci("check").code == 0


def test_an_accept_that_matches_nothing_any_more_is_a_finding_with_its_line(faulty: Any) -> None:
    accept = '[check]\naccept = [\n  { code = "unregistered", path = "tests/gone*.py", reason = "x" },\n]\n'
    faulty.write("trainci.toml", _CONFIG + accept)
    found = faulty.trainci("check").out
    assert "trainci.toml:9: accepts unregistered of tests/gone*.py, which is no longer found. Remove it." in found


def test_an_accept_takes_only_its_code_and_its_path(faulty: Any) -> None:
    accept = '[check]\naccept = [{ code = "unregistered", path = "tests/*.py", reason = "by hand" }]\n'
    faulty.write("trainci.toml", _CONFIG + accept)
    found = faulty.trainci("check").out
    assert "[unregistered]" not in found and "[accept-unused]" not in found
    assert "[no-num-gpus]" in found and "[too-many-gpus]" in found


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ('{ code = "nothing", path = "x", reason = "y" }', "check → accept[0] → code: "),
        ('{ code = "unregistered", path = "x" }', "check → accept[0] → reason: required, but missing"),
        ('{ code = "unregistered", path = "x", reason = "" }', "check → accept[0] → reason: must not be empty"),
        (
            '{ code = "unregistered", path = "x", reason = "y", z = 1 }',
            "check → accept[0] → z: unknown key",
        ),
    ],
)
def test_an_accept_without_its_parts_is_refused(faulty: Any, written: str, fault: str) -> None:
    faulty.write("trainci.toml", f"[check]\naccept = [{written}]\n")
    assert f"trainci.toml:2: {fault}" in faulty.trainci("check").err


def test_every_code_is_documented_and_every_documented_code_is_one() -> None:
    documented = re.findall(r"^\| `([a-z-]+)` \|", _DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted((*CODES, *NOTES))


_LAYOUTS = (
    "",
    "# only a comment",
    "[check]",
    "[check] # why\n\n[project]\nmax_gpus = 1\n",
    "[check]\naccept = []\n",
    "[check]\naccept = [ # open\n]\n",
    '[check]\naccept = [{ code = "unregistered", path = "a=[", reason = "r" }] # end\n[project]\n',
    '[check]\naccept=[\n  # first\n  { code = "no-num-gpus", path = "b", reason = "r" }, # last\n]\n',
    '\ufeff[project]\nbase = "accept = ["\n',
)


@given(
    st.sampled_from(_LAYOUTS),
    st.lists(st.tuples(st.sampled_from(CODES), st.text(min_size=1)), min_size=1, unique=True),
)
def test_any_path_is_added_to_any_layout_and_nothing_that_stands_there_is_lost(
    source: str, wanted: list[tuple[str, str]]
) -> None:
    made = with_accepted(source, wanted)
    before, after = (tomllib.loads(text.removeprefix("\ufeff")) for text in (source, made))
    known = before.pop("check", {}).get("accept", [])
    accepted = after.pop("check", {}).get("accept", [])
    assert before == after
    assert [(one["code"], one["path"]) for one in accepted] == [
        *wanted,
        *((one["code"], one["path"]) for one in known),
    ]
    assert all(comment in made for comment in re.findall(r"#[^\n]*", source))


def test_tests_outside_the_globs_are_counted(faulty: Any) -> None:
    for name in ("test_far.py", "near_test.py", "testing.py"):
        faulty.write(f"pkg/{name}", "")
    assert (
        "trainci.toml:1: 2 files are named like tests, and no glob of project → tests finds them: "
        "pkg/near_test.py, pkg/test_far.py. [outside-globs]\n"
    ) in faulty.trainci("check").out


_TABLE = """\
<% set jobs = {'short': {'label': 'run-ci-short', 'tests': [
    {'test_file': 'test_a.py', 'num_gpus': 1},
    {'test_file': 'test_b.py', 'num_gpus': 0},
]}} %>
on:
  pull_request:
    types: [labeled]
jobs:
<% for name, job in jobs.items() %>
  << name >>:
    if: contains(github.event.pull_request.labels.*.name, '<< job.label >>')
    runs-on: self-hosted
    strategy:
      matrix:
        info: << job.tests | tojson >>
    steps:
      - run: python tests/${{ matrix.info.test_file }}
<% endfor %>
"""


def test_check_and_plan_say_when_the_committed_workflow_has_rules_of_its_own(faulty: Any) -> None:
    faulty.write(".github/workflows/pr-test.yml.j2", _TABLE)
    faulty.write("trainci.toml", '[suites.short]\ntests = [{ path = "tests/test_a.py", num_gpus = 1 }]\n')
    said = faulty.trainci("check").out
    own = "runs tests by rules of its own: `trainci plan` says only what trainci.toml starts. [other-rules]"
    assert own in said
    assert "1 test of short in this job table, and in no suite of trainci.toml" in said
    assert 'path = "tests/test_b.py"' in said or '"tests/test_b.py"' in said
    assert "[job-table]" in said and "test_a.py" not in said.partition("[job-table]")[0].rpartition("\n")[2]
    faulty.write("event.json", '{"pull_request": {"labels": []}, "action": "opened"}')
    assert own in faulty.trainci("plan", "--event", "event.json").out
    tests = '[{ path = "tests/test_a.py", num_gpus = 1 }, { path = "tests/test_b.py", num_gpus = 0 }]'
    faulty.write("trainci.toml", f"[suites.short]\ntests = {tests}\n")
    assert "[job-table]" not in faulty.trainci("check").out
