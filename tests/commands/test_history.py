"""``trainci history`` and ``trainci import``: what became of tests, here and elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/json/history.schema.json").read_text())
FLAKY = """
NUM_GPUS = 0
if __name__ == "__main__":
    from pathlib import Path
    seen = Path("seen")
    if not seen.exists():
        seen.touch()
        raise SystemExit(7)
"""


@pytest.fixture
def project(repository: Any) -> Any:
    repository.write("trainci.toml", '[suites.s]\ntests = [{ path = "tests/test_a.py", retries = 1 }]\n')
    repository.write("tests/test_a.py", FLAKY)
    repository.init()
    return repository


def answer(project: Any, *words: str) -> Any:
    found = json.loads(project.trainci("history", *words, "--json").out)
    jsonschema.validate(found, SCHEMA)
    return found


def test_a_test_that_passed_only_after_it_failed_is_a_flake_in_its_history(project: Any) -> None:
    assert project.trainci("history").out.startswith("nothing is known yet")
    for _ in range(2):
        assert project.trainci("run", "s").code == 0
    (summary,) = answer(project)["tests"]
    assert (summary["id"], summary["runs"], summary["passed"], summary["flaky"]) == ("tests/test_a.py", 2, 2, 0.5)
    results = answer(project, "tests/test_a.py")["results"]
    assert [result["attempts"] for result in results] == [1, 2], "the newest first"
    assert {result["commit"] for result in results} == {project.git("rev-parse", "HEAD")}
    assert all(result["host"] for result in results)
    said = project.trainci("history", "tests/test_a.py").out
    assert "  passed  " in said and "  flaky  " in said and project.git("rev-parse", "HEAD")[:10] in said


def test_the_artifacts_of_another_host_are_entered_once(project: Any, new_repository: Callable[[], Any]) -> None:
    assert project.trainci("run", "s").code == 0
    other = new_repository()
    other.write("trainci.toml", "[project]\n")
    shutil.copytree(project.root / ".trainci/runs", other.root / "artifacts")
    for _ in range(2):
        said = other.trainci("import", "artifacts")
        assert said.code == 0 and "artifacts: 1 run entered" in said.out, said.err
    (summary,) = answer(other)["tests"]
    assert (summary["runs"], summary["flaky"]) == (1, 1.0)


def test_a_junit_report_is_a_past_on_day_one(project: Any) -> None:
    assert project.trainci("run", "s", "--junit", "j.xml").code == 0
    shutil.rmtree(project.root / ".trainci")
    said = project.trainci("import", "j.xml")
    assert said.code == 0 and "1 test entered" in said.out, said.err
    assert "tests/test_a.py  1" in project.trainci("history").out
    assert "flaky" in project.trainci("list").out


REPORT = '<testsuite><testcase name="{}"/></testsuite>'


def zipped(file: Path, **entries: str) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)


def test_a_zip_or_a_folder_of_reports_is_entered_whole(repository: Any) -> None:
    repository.write("trainci.toml", "[project]\n")
    names = {"a.xml": REPORT.format("a"), "deep/b.xml": REPORT.format("b"), "other.xml": "<x/>", "c.txt": "c"}
    for name, text in names.items():
        repository.write(f"reports/{name}", text)
    zipped(repository.root / "reports.zip", **names)
    for place in ("reports", "reports.zip", "reports.zip"):
        said = repository.trainci("import", place)
        assert said.code == 0 and said.out == f"{place}: 2 tests of 2 reports entered\n", said.err
    assert [(one["id"], one["runs"]) for one in answer(repository)["tests"]] == [("a", 1), ("b", 1)]


def test_the_zip_of_a_jobs_artifacts_is_entered_as_its_runs(
    project: Any, new_repository: Callable[[], Any]
) -> None:
    assert project.trainci("run", "s").code == 0
    other = new_repository()
    other.write("trainci.toml", "[project]\n")
    shutil.make_archive(str(other.root / "artifacts"), "zip", project.root / ".trainci/runs")
    said = other.trainci("import", "artifacts.zip")
    assert said.code == 0 and said.out == "artifacts.zip: 1 run entered\n", said.err


def test_nothing_of_a_zip_is_written_elsewhere(repository: Any, tmp_path: Path) -> None:
    repository.write("trainci.toml", "[project]\n")
    evil = {"../evil.xml": REPORT.format("a"), f"{tmp_path}/evil.xml": REPORT.format("b")}
    zipped(repository.root / "evil.zip", **evil)
    assert repository.trainci("import", "evil.zip").code == 0
    assert not list(tmp_path.rglob("evil.xml")) and not list(repository.root.parent.rglob("evil.xml"))


@pytest.mark.parametrize("how", ["cut", "wrong", "encrypted", "empty"])
def test_a_zip_that_cannot_be_unpacked_is_told(repository: Any, how: str) -> None:
    repository.write("trainci.toml", "[project]\n")
    file = repository.root / "x.zip"
    zipped(file, **({} if how == "empty" else {"a.xml": REPORT.format("a") * 9}))
    data = bytearray(file.read_bytes())
    if how == "wrong":
        data[40] ^= 0xFF
    elif how == "encrypted":
        data[data.index(b"PK\1\2") + 8] |= 1
        data[6] |= 1
    file.write_bytes(data[40:] if how == "cut" else data)
    said = repository.trainci("import", "x.zip")
    assert said.code == 2 and said.err.startswith("trainci: x.zip: ") and "Traceback" not in said.err, said.err


@pytest.mark.parametrize("what", ["nothing", "nonsense", "an empty folder"])
def test_what_holds_no_run_is_told_and_nothing_is_entered(project: Any, what: str) -> None:
    if what == "nonsense":
        project.write("x", "nonsense")
    elif what == "an empty folder":
        (project.root / "x").mkdir()
    said = project.trainci("import", "x")
    assert said.code == 2 and said.err.startswith("trainci: x: "), said.err
    assert project.trainci("history").out.startswith("nothing is known yet")


def test_a_history_that_others_wrote_breaks_no_table(repository: Any, tmp_path: Path) -> None:
    repository.write("trainci.toml", "[project]\n")
    (tmp_path / "a.json").write_text('{"results": {"tests": [{"name": "a", "status": "passed"}]}}')
    assert repository.trainci("import", str(tmp_path / "a.json")).code == 0
    with contextlib.closing(sqlite3.connect(repository.root / ".trainci/history.db")) as opened, opened:
        changed = opened.execute("UPDATE verdicts SET at = 1e300").rowcount
    assert changed == 1
    said = repository.trainci("history", "a")
    assert said.code == 0 and "passed" in said.out, said.err


def test_what_is_no_file_is_not_waited_for(repository: Any, tmp_path: Path) -> None:
    repository.write("trainci.toml", "[project]\n")
    os.mkfifo(tmp_path / "pipe")
    said = repository.trainci("import", str(tmp_path / "pipe"))
    assert said.code == 2 and "it is no file" in said.err


def test_of_a_test_that_is_unknown_the_nearest_known_ones_are_named(repository: Any) -> None:
    repository.write("trainci.toml", "[project]\n")
    repository.write("a.xml", '<testsuite><testcase name="tests/test_loss.py"/></testsuite>')
    assert repository.trainci("import", "a.xml").code == 0
    said = repository.trainci("history", "tests/test_los.py", "tests/test_loss.py")
    assert said.err == "trainci: nothing is known of tests/test_los.py yet. Did you mean tests/test_loss.py?\n"
    assert said.code == 0 and said.out.startswith("tests/test_loss.py\n")
