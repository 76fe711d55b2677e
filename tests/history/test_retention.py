"""Runs are kept as long as trainci.toml says, and what is kept of them lies where it says."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.history.retention import Kept, expired
from trainci.model.project import Retention

DAY_S = 24 * 3600.0
PASSES = "NUM_GPUS = 0\nif __name__ == '__main__':\n    print('hello')\n"


@pytest.fixture
def project(repository: Any) -> Any:
    repository.write("trainci.toml", '[project]\nkeep = "10 days"\nkeep_size = "1 MB"\n')
    repository.write("tests/test_a.py", PASSES)
    return repository


def run_of(folder: Path, name: str, days: float, size: int = 10) -> Path:
    """A run that ended so many days ago."""
    (folder / name).mkdir(parents=True)
    (folder / name / "001-tests-test_a.py-1.log").write_bytes(b"x" * size)
    events = folder / name / "events.jsonl"
    events.write_text("")
    os.utime(events, (time.time() - days * DAY_S,) * 2)
    return folder / name


def test_what_is_too_old_goes_and_of_the_rest_the_oldest_that_is_too_much():
    runs = [Kept("new", 90.0, 60), Kept("older", 80.0, 30), Kept("oldest", 70.0, 20), Kept("too old", 10.0, 0)]
    gone = expired(runs, Retention(seconds=50.0, size=100), now=100.0)
    assert [run.run_id for run in gone] == ["oldest", "too old"]


def test_what_is_still_to_be_sent_is_never_too_old_and_goes_for_its_size_after_all_others():
    runs = [
        Kept("newest", 95.0, 10),
        Kept("sent", 90.0, 60),
        Kept("unsent", 10.0, 60, unsent=True),
        Kept("long unsent", 5.0, 60, unsent=True),
    ]
    gone = expired(runs, Retention(seconds=50.0, size=140), now=100.0)
    assert [run.run_id for run in gone] == ["sent"]


def test_the_newest_is_never_too_much_however_large_it_is():
    runs = [Kept("red a moment ago", 90.0, 500), Kept("older", 80.0, 1)]
    gone = expired(runs, Retention(seconds=50.0, size=100), now=100.0)
    assert [run.run_id for run in gone] == ["older"]


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 100), st.booleans()), max_size=20),
    st.floats(0, 1000),
    st.integers(0, 500),
)
def test_what_is_kept_is_young_and_little_enough_and_never_older_than_what_went_for_its_size(runs, seconds, size):
    kept_all = [Kept(str(number), *run) for number, run in enumerate(runs)]
    gone = expired(kept_all, Retention(seconds, size), now=1000.0)
    kept = [run for run in kept_all if run not in gone]
    assert all(1000.0 - run.at <= seconds or run.unsent for run in kept)
    newest = max((at for at, _, _ in runs), default=0.0)
    assert sum(run.size for run in kept) <= size or [run.at for run in kept] == [newest]
    young = [run for run in gone if 1000.0 - run.at <= seconds or run.unsent]
    assert all(
        run.at == newest or (run.unsent, run.at) >= (other.unsent, other.at) for run in kept for other in young
    )


def test_a_run_removes_by_itself_what_is_too_old_and_the_history_stays(project):
    assert project.trainci("run", "tests/test_a.py").code == 0
    (first,) = (project.root / ".trainci/runs").iterdir()
    old = time.time() - 11 * DAY_S
    os.utime(first / "events.jsonl", (old, old))
    said = project.trainci("run", "tests/test_a.py")
    assert "trainci: removed the logs of 1 run (`keep`, `keep_size`)" in said.err
    assert not first.exists()
    assert len(list((project.root / ".trainci/runs").iterdir())) == 1
    assert project.trainci("history", "tests/test_a.py").out.count(" passed ") == 2


def test_clean_says_what_it_would_remove_and_removes_it(project):
    runs = project.root / ".trainci/runs"
    old = run_of(runs, "20260101-000000-aaaaaa", 11)
    large = run_of(runs, "20260102-000000-bbbbbb", 2, size=900_000)
    new = run_of(runs, "20260103-000000-cccccc", 1, size=200_000)
    said = project.trainci("clean", "--dry-run")
    assert said.out == f"2 runs of 3, 0.9 MB, would be removed from {project.root}/.trainci.\n"
    assert old.exists()
    assert project.trainci("clean").out == f"2 runs of 3, 0.9 MB, removed from {project.root}/.trainci.\n"
    assert [old.exists(), large.exists(), new.exists()] == [False, False, True]
    assert project.trainci("clean", "--all").out.startswith("1 run of 1, 0.2 MB, removed")


def test_what_is_not_sent_yet_is_kept_and_said_so(project, tmp_path):
    place = tmp_path / "file"
    place.write_text("")
    project.write("trainci.toml", f'[project]\nartifacts = "{place}/x"\nkeep = "10 days"\n')
    assert "artifacts: " in project.trainci("run", "tests/test_a.py").out
    (folder,) = (project.root / ".trainci/runs").iterdir()
    os.utime(folder / "events.jsonl", (time.time() - 11 * DAY_S,) * 2)
    for options in [(), ("--all",), ("--all", "--dry-run")]:
        said = project.trainci("clean", *options)
        assert said.out.startswith("0 runs of 1, 0.0 MB, ")
        assert f"1 run not yet sent to {place}/x: kept until then." in said.out
    assert folder.exists()
    # Nobody wants it there any more.
    project.write("trainci.toml", '[project]\nkeep = "10 days"\n')
    assert project.trainci("clean").out.startswith("1 run of 1, ")
    assert not folder.exists()


@pytest.mark.slow
def test_what_the_history_lacks_is_taken_in_before_its_run_goes_else_it_stays(project):
    project.write("trainci.toml", '[project]\nkeep = "0 days"\n')
    assert project.trainci("run", "tests/test_a.py").code == 0
    with closing(sqlite3.connect(project.root / ".trainci/history.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        said = project.trainci("run", "tests/test_a.py")
        assert "a later run enters this one" in said.out
        held = list((project.root / ".trainci/runs").iterdir())
        said = project.trainci("clean", "--all")
        assert said.code == 3
        assert "not removed: 1 run may hold what the history lacks" in said.err
        assert list((project.root / ".trainci/runs").iterdir()) == held
    assert project.trainci("clean", "--all").out.startswith("1 run of 1, ")
    assert project.trainci("history", "tests/test_a.py").out.count(" passed ") == 2


def test_nothing_but_runs_that_have_ended_is_ever_removed(project, tmp_path):
    """What lies there besides may be somebody's own."""
    runs = project.root / ".trainci/runs"
    mine = run_of(runs, "thesis", 1000)
    no_run = runs / "20260101-000000-aaaaaa"
    no_run.mkdir()
    elsewhere = run_of(tmp_path, "20260101-000000-bbbbbb", 1000)
    (runs / "20260101-000000-bbbbbb").symlink_to(elsewhere)
    goes_on = run_of(runs, "20260101-000000-cccccc", 1000)
    # Its tests go on elsewhere, though its runner was killed.
    to_attach = run_of(runs, "20260101-000000-eeeeee", 1000)
    (to_attach / "plan.json").write_text("{}")
    with (goes_on / "events.jsonl").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert project.trainci("clean", "--all").out.startswith("0 runs of 0")
    assert all(path.exists() for path in (mine, no_run, elsewhere, goes_on, to_attach))
    linked = run_of(runs, "20260101-000000-dddddd", 1000)
    (linked / "link").symlink_to(tmp_path, target_is_directory=True)
    assert project.trainci("clean").code == 0
    assert elsewhere.exists()
    assert not linked.exists()
    # A pull request may bring the state as a link to somebody's own.
    (project.root / ".trainci").rename(tmp_path / "state")
    (project.root / ".trainci").symlink_to(tmp_path / "state")
    run_of(tmp_path / "state/runs", "20260101-000000-ffffff", 1000)
    said = project.trainci("clean", "--all")
    assert said.code == 2 and ".trainci is a symbolic link" in said.err
    assert (tmp_path / "state/runs/20260101-000000-ffffff").exists()


@pytest.mark.parametrize("how", ["state_dir", "the environment"])
def test_the_state_may_be_outside_of_the_checkout_and_outlives_it(project, tmp_path, how):
    place = tmp_path / "state of it"
    environment = {"TRAINCI_STATE_DIR": str(place)} if how == "the environment" else {}
    if how == "state_dir":
        project.write("trainci.toml", f'[project]\nstate_dir = "{place}"\n')
    project.init()
    said = project.trainci("run", "tests/test_a.py", environment=environment)
    assert said.code == 0
    project.git("clean", "-ffdx")
    assert not (project.root / ".trainci").exists()
    listed = project.trainci("list", environment=environment)
    assert "passed" in listed.out
    (log,) = place.glob("runs/*/*.log")
    assert log.read_text() == "hello\n"


@pytest.mark.parametrize(("shared", "modes"), [(0o2775, (0o2775, 0o664)), (0o2755, (0o2755, 0o644))])
def test_what_a_group_may_write_into_it_may_share_whatever_the_umask(project, tmp_path, shared, modes):
    place = tmp_path / "state"
    place.mkdir()
    place.chmod(shared)
    before = os.umask(0o022)
    try:
        environment = {"TRAINCI_STATE_DIR": str(place)}
        assert project.trainci("run", "tests/test_a.py", environment=environment).code == 0
    finally:
        os.umask(before)
    assert tuple(stat.S_IMODE((place / name).stat().st_mode) for name in ("runs", "history.db")) == modes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('state_dir = "state"', "state is no absolute path; write /var/lib/…, or ~/…"),
        ('keep = "forever"', 'forever is no length of time; write "12 hours", "30 days" or "8 weeks"'),
        ('keep = "-1 days"', "-1 days is no length of time"),
        ('keep_size = "20"', '20 is no amount of data; write "500 MB" or "20 GB"'),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(project, line, said):
    project.write("trainci.toml", f"[project]\n{line}\n")
    err = project.trainci("clean").err
    assert err.startswith("trainci.toml:2: ")
    assert said in err


def test_in_a_job_the_logs_are_found_in_the_checkout_too_wherever_they_are_kept(project, tmp_path):
    """An action uploads them from there, also where the job is killed."""
    place = tmp_path / "tool cache/trainci"
    job = {"GITHUB_ACTIONS": "true", "TRAINCI_STATE_DIR": str(place)}
    assert project.trainci("run", "tests/test_a.py", environment=job).code == 0
    (log,) = (project.root / ".trainci/runs").glob("*/*.log")
    assert log.read_text() == "hello\n"
    assert log.resolve().is_relative_to(place)
    assert project.trainci("run", "tests/test_a.py", environment={"TRAINCI_STATE_DIR": str(place)}).code == 0
    assert len(list((project.root / ".trainci/runs").iterdir())) == 1
