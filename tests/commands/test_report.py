"""``trainci report``: a run that is over, as a file."""

from __future__ import annotations

import json
import shutil
from typing import Any
from xml.etree import ElementTree

import pytest

FAILS = "NUM_GPUS = 1\nif __name__ == '__main__':\n    assert 0, 'no'\n"


@pytest.fixture
def ran(repository: Any) -> Any:
    repository.write("trainci.toml", "[project]\n")
    repository.write("tests/test_a.py", FAILS)
    assert repository.trainci("run", "tests/test_a.py", "--devices", "cpu:1").code == 1
    return repository


def test_the_newest_run_becomes_a_page_beside_which_its_log_is_linked(ran: Any) -> None:
    said = ran.trainci("report")
    assert said.code == 0
    page = (ran.root / said.out.strip()).read_text()
    assert "AssertionError: no" in page and "tests/test_a.py:3" in page
    (log,) = ran.root.glob(".trainci/runs/*/*.log")
    assert f'href="{log.relative_to(ran.root)}"' in page


@pytest.mark.parametrize("form", ["junit", "ctrf", "trace", "json"])
def test_other_programs_get_their_own_forms(ran: Any, form: str) -> None:
    said = ran.trainci("report", "--format", form, "-o", "out/file")
    assert said.code == 0, said.err
    text = (ran.root / "out/file").read_text()
    if form == "junit":
        case = ElementTree.fromstring(text).find(".//testcase/failure")
        assert case is not None and case.get("message") == "AssertionError: no"
    else:
        assert "tests/test_a.py" in json.dumps(json.loads(text))


def test_the_artifacts_of_a_job_are_read_where_no_repository_is(ran: Any, tmp_path: Any) -> None:
    shutil.move(ran.root / ".trainci", tmp_path / "artifact")
    (ran.root / "trainci.toml").unlink()
    said = ran.trainci("report", str(tmp_path / "artifact"), "-o", str(tmp_path / "page.html"))
    assert said.code == 0, said.err
    assert "AssertionError: no" in (tmp_path / "page.html").read_text()


def test_a_run_that_is_not_there_is_told_with_the_place(ran: Any) -> None:
    said = ran.trainci("report", "1999")
    assert said.code == 2 and "no run 1999 is kept in" in said.err and "Traceback" not in said.err


def test_a_report_that_cannot_be_written_is_told(ran: Any) -> None:
    ran.write("there/file")
    said = ran.trainci("report", "-o", "there/file/page.html")
    assert said.code == 3 and "the report cannot be written" in said.err


def test_the_runs_of_a_repository_whose_state_lies_elsewhere_are_found(repository: Any, tmp_path: Any) -> None:
    repository.write("trainci.toml", "[project]\n")
    repository.write("tests/test_a.py", FAILS)
    elsewhere = {"TRAINCI_STATE_DIR": str(tmp_path / "state")}
    assert repository.trainci("run", "tests/test_a.py", "--devices", "cpu:1", environment=elsewhere).code == 1
    assert repository.trainci("report", "-o", "page.html", environment=elsewhere).code == 0
    page = (repository.root / "page.html").read_text()
    assert "Traceback (most recent call last)" in page, "the log is found"
    assert "tests/test_a.py  1" in repository.trainci("history", environment=elsewhere).out
