"""What a suite holds and shares: included suites, labels of several suites, and how they become jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.github.workflows import matrix
from trainci.model.project import Suite
from trainci.model.selection import Selected, Selection
from trainci.model.tests import Test

_TEST = "NUM_GPUS = 0\n\n\nif __name__ == '__main__':\n    print('ran')\n"
_SHARED = """\
[suites.small]
tests = ["tests/test_a.py", { path = "tests/test_b.py", args = ["--x"] }]
env = { ENGINE = "small" }
timeout_minutes = 5

[suites.large]
label = "run-ci-small"
runs_on = ["self-hosted", "h200"]
include = ["small"]
exclude = ["tests/test_b.py[--x]"]
tests = ["tests/test_c.py"]
env = { HOST = "h200" }

[suites.largest]
include = ["large"]
exclude = ["tests/*_c.py"]
env = { ENGINE = "largest" }
"""


@pytest.fixture
def shared(repository: Any) -> Any:
    for name in "abc":
        repository.write(f"tests/test_{name}.py", _TEST)
    repository.write("trainci.toml", _SHARED)
    return repository


def _dry_run(repository: Any, *arguments: str) -> str:
    said = repository.trainci("run", *arguments, "--dry-run", "--devices", "cpu:1")
    assert said.code == 0, said.err
    return str(said.out)


def _started(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines() if line.startswith("tests/")]


def test_a_suite_includes_the_tests_of_others_without_those_that_it_excludes(shared: Any) -> None:
    assert _started(_dry_run(shared, "large")) == ["tests/test_c.py", "tests/test_a.py"]
    assert _started(_dry_run(shared, "largest")) == ["tests/test_a.py"]


def test_an_included_test_keeps_the_settings_of_its_suite_where_the_including_one_says_nothing(shared: Any) -> None:
    assert "ENGINE=small" in _dry_run(shared, "large") and "HOST=h200" in _dry_run(shared, "large")
    assert "ENGINE=largest" in _dry_run(shared, "largest", "--id", "tests/test_a.py")
    assert "5 min" in shared.trainci("list", "largest").out


def test_one_label_names_the_tests_of_all_its_suites(repository: Any) -> None:
    for name in "ab":
        repository.write(f"tests/test_{name}.py", _TEST)
    repository.write(
        "trainci.toml",
        '[suites.one]\nlabel = "gpu"\ntests = ["tests/test_a.py"]\n'
        '[suites.two]\nlabel = "gpu"\ntests = ["tests/test_a.py", "tests/test_b.py"]\n',
    )
    assert _started(_dry_run(repository, "gpu")) == ["tests/test_a.py", "tests/test_b.py"]


def test_an_id_after_a_suite_is_that_test_as_this_suite_has_it(shared: Any) -> None:
    assert _started(_dry_run(shared, "large", "--id", "tests/test_a.py")) == ["tests/test_a.py"]
    said = shared.trainci("run", "large", "--id", "tests/test_b.py[--x]", "--dry-run")
    assert said.code == 2
    assert "tests/test_b.py[--x] is none of the tests that were named" in said.err


def test_an_included_test_that_starts_in_another_way_is_called_by_the_suite(repository: Any) -> None:
    for name in "ab":
        repository.write(f"tests/test_{name}.py", _TEST)
    repository.write(
        "trainci.toml",
        '[suites.one]\nlabel = "gpu"\ntests = ["tests/test_a.py", "tests/test_b.py"]\n'
        '[suites.two]\nlabel = "gpu"\ninclude = ["one"]\nenv = { HOST = "h200" }\n'
        '[suites.same]\nlabel = "gpu"\ninclude = ["one"]\nnum_gpus = 4\nruns_on = ["large"]\n',
    )
    own = ["tests/test_a.py", "tests/test_b.py"]
    called = ["tests/test_a.py in two", "tests/test_b.py in two"]

    def ids(*arguments: str) -> list[str]:
        return [line for line in _dry_run(repository, *arguments).splitlines() if line.startswith("tests/")]

    assert ids("gpu") == ids("one", "two") == [*own, *called]
    assert ids("two", "one") == [*called, *own], "an id does not hang on what is asked for first"
    assert ids("two") == called, "nor on what else is asked for"
    assert ids("same") == own
    assert ids("two", "--id", called[1]) == ids("two", "--id", own[1]) == called[1:]
    said = _dry_run(repository, "--id", called[1])
    assert said.startswith(called[1]) and "HOST=h200" in said
    assert repository.trainci("run", "--id", "tests/test_a.py in three", "--dry-run").code == 2


def test_diamonds_of_includes_take_no_longer_than_their_tests(repository: Any) -> None:
    repository.write("tests/test_a.py", _TEST)
    levels = ['[suites.a0]\ntests = ["tests/test_a.py"]\n[suites.b0]\ninclude = ["a0"]\n']
    levels += [
        f'[suites.{one}{level}]\ninclude = ["a{level - 1}", "b{level - 1}"]\n'
        for level in range(1, 60)
        for one in "ab"
    ]
    repository.write("trainci.toml", "".join(levels))
    assert _started(_dry_run(repository, "a59")) == ["tests/test_a.py"]


def _selection(limits: list[float]) -> Selection:
    tests = (Test(id=f"t{number}", timeout=limit) for number, limit in enumerate(limits))
    return Selection(tuple(Selected(test, "") for test in tests))


@given(st.lists(st.floats(1, 1e5), max_size=30), st.integers(1, 40))
def test_shards_hold_every_test_once_and_none_is_empty(limits: list[float], count: int) -> None:
    suite = Suite("s", "s", shards=count)
    jobs = matrix.entries(_selection(limits), 0, suite)
    ids = [test_id for job in jobs for test_id in job["test_id"].split("\n")]
    assert sorted(ids) == sorted(f"t{number}" for number in range(len(limits)))
    assert len(jobs) == min(count, len(limits))


def test_shards_are_even_by_the_time_that_tests_are_expected_to_take() -> None:
    suite = Suite("s", "s", shards=2)
    expected = {"t0": 10.0, "t1": 30.0, "t2": 20.0, "t3": 40.0}
    jobs = matrix.entries(_selection([60.0] * 4), 0, suite, expected)
    assert sorted(job["test_id"] for job in jobs) == ["t1\nt2", "t3\nt0"]


def test_a_packed_suite_is_one_job(repository: Any) -> None:
    assert [job["test_id"] for job in matrix.entries(_selection([60.0] * 3), 0, Suite("s", "s", pack=True))] == [
        "t0\nt1\nt2"
    ]
    assert matrix.entries(Selection(), 0, Suite("s", "s", pack=True)) == []


def test_list_says_what_narrows_a_suite(shared: Any) -> None:
    keys = 'branches = ["main", "v0.*"]\npaths = ["src/**"]\ndrafts = false\n'
    shared.write("trainci.toml", f'[suites.a]\nalways = true\n{keys}tests = ["tests/test_a.py"]\n')
    assert shared.trainci("list", "a").out.splitlines()[0] == "a: always, for main, v0.*, by its paths, no drafts"


def test_a_failed_test_of_a_suite_is_run_again_as_that_suite_has_it(shared: Any, tmp_path: Path) -> None:
    shared.write("tests/test_a.py", "NUM_GPUS = 0\n\nif __name__ == '__main__':\n    raise SystemExit(3)\n")
    command = ("run", "largest", "--id", "tests/test_a.py", "--devices", "cpu:1")
    said = shared.trainci(*command, environment={"TRAINCI_LOCK_DIR": str(tmp_path / "leases")})
    assert said.code == 1, said.out
    assert "replay: trainci run largest --id 'tests/test_a.py in largest' --devices cpu:1" in said.out
