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

from trainci.history.runs import read_run

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


@pytest.mark.parametrize("command", ["history", "metrics", "baseline"])
def test_a_file_is_known_by_its_path_from_where_one_stands(project: Any, command: str) -> None:
    assert project.trainci("run", "s").code == 0
    from_root = project.trainci(command, "tests/test_a.py")
    from_below = project.trainci(command, "test_a.py", directory="tests")
    assert from_below == from_root
    assert (from_below.code, from_below.err, from_below.out.splitlines()[0]) == (0, "", "tests/test_a.py")


@pytest.mark.parametrize("command", ["history", "metrics"])
def test_a_mistyped_test_is_guessed_though_nothing_ran_yet(project: Any, command: str) -> None:
    assert "Did you mean tests/test_a.py?" in project.trainci(command, "tests/tset_a.py").err


def test_a_mistyped_command_of_baseline_is_guessed(project: Any) -> None:
    said = project.trainci("baseline", "acept", "tests/test_a.py", "loss", "--reason", "meant")
    assert (said.code, said.err) == (2, "trainci: baseline: there is no test acept. Did you mean accept?\n")


def test_the_artifacts_of_another_host_are_entered_once(project: Any, new_repository: Callable[[], Any]) -> None:
    assert project.trainci("run", "s").code == 0
    other = new_repository()
    other.write("trainci.toml", "[project]\n")
    shutil.copytree(project.root / ".trainci/runs", other.root / "artifacts")
    for told in ("1 run entered", "0 runs (1 known already) entered"):
        said = other.trainci("import", "artifacts")
        assert said.code == 0 and f"artifacts: {told}" in said.out, said.err
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
    for command in ("history", "metrics"):
        said = repository.trainci(command, "tests/test_loss.py", "tests/test_los.py")
        assert said.err == "trainci: nothing is known of tests/test_los.py yet. Did you mean tests/test_loss.py?\n"
        assert said.code == 0 and said.out.startswith("tests/test_loss.py\n")


def test_what_others_left_of_a_run_that_is_known_changes_nothing(project: Any) -> None:
    assert project.trainci("run", "s").code == 0
    shutil.copytree(project.root / ".trainci/runs", project.root / "artifacts")
    (events,) = (project.root / "artifacts").glob("*/events.jsonl")
    events.write_text(events.read_text().replace('"flaky"', '"failed"'))
    assert "0 runs (1 known already) entered" in project.trainci("import", "artifacts").out
    assert answer(project)["tests"][0]["last"] == "flaky"


def test_a_folder_that_lies_too_deep_to_be_named_keeps_no_run_from_being_found(project: Any) -> None:
    assert project.trainci("run", "s").code == 0
    before = Path.cwd()
    os.chdir(project.root)
    for name in ("artifacts", *["d" * 200] * 30):
        Path(name).mkdir()
        os.chdir(name)
    os.chdir(before)
    (project.root / "artifacts/loop").symlink_to(project.root / "artifacts")
    shutil.copytree(project.root / ".trainci/runs", project.root / "artifacts/job")
    for words in (["summary", "artifacts"], ["report", "artifacts"], ["import", "artifacts"]):
        said = project.trainci(*words)
        assert said.code == 0, said.err


def test_events_that_are_none_are_read_to_an_end(project: Any) -> None:
    assert project.trainci("run", "s").code == 0
    (run,) = (project.root / ".trainci/runs").iterdir()
    with (run / "events.jsonl").open("a") as file:
        file.write("{}\n" * 20_000 + '{"kind": "run_ended", "at": 1.0, "exit_code": 77}\n')
    assert read_run(run).run.exit_code == 0
    os.truncate(run / "events.jsonl", 1 << 40)
    said = project.trainci("report", run.name)
    assert said.code == 2 and "larger than the events of any run" in said.err


def exported(table: str, **row: object) -> str:
    return json.dumps({"table": table, "row": row}) + "\n"


@pytest.mark.parametrize(
    "lines",
    [
        b"\xff\xfe",
        b"[" * 200_000,
        b"x" * (20 << 20),
        b'{"table": ["runs"], "row": {}}',
        exported("runs; DROP TABLE runs").encode(),
        exported("runs", id={"a": 1}).encode(),
        exported("runs", id=10**30).encode(),
        exported("runs", id="a", started="yesterday").encode(),
        exported("runs", id="a", started=float("nan")).encode(),
        exported("runs").encode(),
    ],
    ids=["bytes", "deep", "long", "list", "table", "object", "huge", "text for a time", "nan", "empty"],
)
def test_a_history_that_is_none_is_told_with_its_line(project: Any, lines: bytes) -> None:
    (project.root / "in").write_bytes(lines)
    said = project.trainci("history", "--import", "in")
    assert said.code == 2 and said.err.startswith("trainci: in: line 1") and len(said.err.splitlines()) == 1, (
        said.err
    )


def test_an_import_that_never_ends_is_refused_and_an_export_that_finds_no_room_is_told(project: Any) -> None:
    said = project.trainci("history", "--import", "/dev/zero")
    assert said.code == 2 and "/dev/zero: line 1" in said.err
    assert project.trainci("run", "s").code == 0
    for target in ("/dev/full", "tests", "missing/file"):
        said = project.trainci("history", "--export", target)
        assert said.code == 3 and f"{target}: it cannot be written: " in said.err and "Traceback" not in said.err


@pytest.mark.parametrize("command", ["history", "list", "metrics x", "baseline", "run s --lf --dry-run"])
def test_a_link_in_the_place_of_the_history_is_not_followed(project: Any, command: str) -> None:
    outside = project.root / "outside.db"
    with contextlib.closing(sqlite3.connect(outside)) as db:
        db.execute("CREATE TABLE mine (x)")
    before = outside.read_bytes()
    (project.root / ".trainci").mkdir()
    (project.root / ".trainci/history.db").symlink_to(outside)
    said = project.trainci(*command.split())
    # What there is to run is shown all the same.
    assert said.code == (0 if command == "list" else 2), said
    assert "history.db is a symbolic link; trainci keeps its own files there" in said.err
    assert outside.read_bytes() == before


@pytest.mark.parametrize("devices", ["null", "[1, null, {}]", "[" * 100_000, "5", "{}"])
def test_devices_that_are_no_names_are_shown_as_what_they_are(project: Any, devices: str) -> None:
    assert project.trainci("run", "s").code == 0
    with contextlib.closing(sqlite3.connect(project.root / ".trainci/history.db", isolation_level=None)) as db:
        db.execute("UPDATE attempts SET devices = ?", (devices,))
    assert project.trainci("history", "tests/test_a.py").code == 0


FORGETS = "CREATE TRIGGER t BEFORE INSERT ON verdicts BEGIN SELECT RAISE(IGNORE); END"
NEVER_ENDS = """
DROP TABLE verdicts;
CREATE VIEW verdicts AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)
    SELECT x AS run_id, x AS test_id, x AS outcome, x AS sentence, x AS at FROM c
"""


@pytest.mark.parametrize("program", [FORGETS, NEVER_ENDS], ids=["a trigger that forgets", "a view without an end"])
def test_a_history_that_holds_a_program_is_set_aside_by_the_next_run(project: Any, program: str) -> None:
    assert project.trainci("run", "s").code == 0
    with contextlib.closing(sqlite3.connect(project.root / ".trainci/history.db")) as db:
        db.executescript(program)
    said = project.trainci("history")
    assert said.code == 3 and "a trigger or a view" in said.err
    said = project.trainci("run", "s")
    assert said.code == 0 and said.out.count("and a new history begins") == 1, said.out
    assert answer(project)["tests"][0]["last"] == "passed"


def test_a_name_that_is_very_long_leaves_the_others_where_they_are(project: Any) -> None:
    tests = [{"name": name, "status": "passed"} for name in ("a", "b" * 100_000)]
    (project.root / "in").write_text(json.dumps({"results": {"tests": tests}}))
    assert project.trainci("import", "in").code == 0
    lines = project.trainci("history").out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("b")) < 300
