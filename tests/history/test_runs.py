"""A run, read again from what it left."""

from __future__ import annotations

import errno
import fcntl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import run_events

from trainci.errors import UsageError
from trainci.history import runs
from trainci.history.event_log import EventLog, is_alive, read_events
from trainci.history.runs import find_run, read_run, run_of
from trainci.model import events
from trainci.model.run import Cause, Ending, Outcome, Phase, Verdict
from trainci.paths import RunPaths, StatePaths
from trainci.verdict.decide import fails

RED = Ending(Cause.EXITED, 1)


def keep(root: Path, run_id: str, told: list[events.Control]) -> Path:
    paths = RunPaths(StatePaths(root), run_id)
    log = EventLog(paths, print)
    for event in told:
        log(event)
    log.close()
    return paths.directory


def test_it_is_what_the_runner_made_of_it(repository: Any) -> None:
    """A real run, as it was reported, and as its events tell of it."""
    repository.write("trainci.toml", "[project]\n")
    repository.write("tests/test_a.py", "NUM_GPUS = 1\nif __name__ == '__main__':\n    assert 0, 'no'\n")
    repository.write("tests/test_b.py", "NUM_GPUS = 0\nif __name__ == '__main__':\n    print('fine')\n")
    repository.init()
    said = repository.trainci("run", "tests/test_a.py", "tests/test_b.py", "--devices", "cpu:2")
    assert said.code == 1, said.out
    run = read_run(find_run(StatePaths(repository.root), "")).run
    assert {r.test_id: r.verdict.outcome for r in run.results} == {
        "tests/test_a.py": Outcome.FAILED,
        "tests/test_b.py": Outcome.PASSED,
    }
    (red,) = (result for result in run.results if result.test_id == "tests/test_a.py")
    (attempt,) = red.attempts
    assert (len(attempt.devices), attempt.test.num_gpus, attempt.ending.exit_code) == (1, 1, 1)
    assert (repository.root / attempt.log).read_text().endswith("AssertionError: no\n")
    assert str(red.verdict.diagnosis and red.verdict.diagnosis.frame) == "tests/test_a.py:3"
    assert run.replay["tests/test_a.py"] == "trainci run --id tests/test_a.py --devices cpu:2"
    assert run.files == {"tests/test_a.py": "tests/test_a.py", "tests/test_b.py": "tests/test_b.py"}
    assert (run.exit_code, run.devices, run.commit) == (
        1,
        "2 virtual devices, no GPU",
        repository.git("rev-parse", "HEAD"),
    )


def test_a_run_whose_runner_was_killed_says_what_was_cut_off(tmp_path: Path) -> None:
    planned = tuple(events.Planned(test, 1, "") for test in ("a.py", "b.py", "c.py"))
    told = [
        events.RunStarted(0.0, "r", "c", "no GPU", planned),
        *run_events.attempt("a.py", 1, 1.0, 5.0),
        events.Concluded(6.0, "a.py", 1, run_events.VERDICT),
        events.Queued(7.0, "b.py", 1, "b.log", 1),
    ]
    run = read_run(keep(tmp_path, "r", told)).run
    assert [(r.test_id, r.verdict.outcome) for r in run.results] == [
        ("a.py", Outcome.PASSED),
        ("b.py", Outcome.INTERRUPTED),
        ("c.py", Outcome.INTERRUPTED),
    ]
    assert (run.exit_code, run.ended_at) == (130, 7.0)


def test_a_run_that_ends_while_it_is_read_is_not_called_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = RunPaths(StatePaths(tmp_path), "r")
    log = EventLog(paths, print)
    log(events.RunStarted(0.0, "r", "c", "no GPU", (events.Planned("a.py", 1, ""),)))
    log(events.Queued(1.0, "a.py", 1, "a.log", 1))
    real = runs.read_events

    def read_before_it_ends(file: Path) -> list[events.Control]:
        told = list(real(file))
        log(events.Concluded(2.0, "a.py", 1, run_events.VERDICT))
        log(events.RunEnded(3.0, 0))
        log.close()
        return told

    monkeypatch.setattr(runs, "read_events", read_before_it_ends)
    (result,) = read_run(paths.directory).run.results
    assert result.verdict.sentence == "it still runs"


def test_a_run_that_was_cut_off_before_its_first_test_is_not_green(tmp_path: Path) -> None:
    told: list[events.Control] = [events.RunStarted(0.0, "r", "c", "no GPU", (events.Planned("a.py", 1, ""),))]
    (result,) = read_run(keep(tmp_path, "r", told)).run.results
    assert result.verdict.outcome is Outcome.INTERRUPTED and "cut off" in result.verdict.sentence
    (result,) = run_of(told, alive=True).results
    assert result.verdict.outcome is Outcome.INTERRUPTED and "it waits" in result.verdict.sentence
    (result,) = run_of([*told, events.RunEnded(1.0, 1)]).results
    assert result.verdict.outcome is Outcome.SKIPPED


@pytest.mark.parametrize("run_id", ["../../x", "a/../../x", "/etc/x", "", ".", "..", "x\0y", "x" * 300])
def test_what_is_no_id_of_a_run_names_no_file(tmp_path: Path, run_id: str) -> None:
    """A report is named after its run: an artifact that lies must not choose where it is written."""
    folder = keep(tmp_path, "r", run_events.run(run_id, [1.0]))
    with pytest.raises(UsageError, match="is no id of a run"):
        read_run(folder)


def test_each_attempt_of_a_test_is_there_and_a_prepare_phase_is_none() -> None:
    prepared = events.Ended(2.0, "a.py", 1, Phase.PREPARE, run_events.PASSED)
    told = [
        events.RunStarted(0.0, "r", "c", "no GPU", ()),
        events.Queued(1.0, "a.py", 1, "1.log", 2),
        events.Started(1.5, "a.py", 1, Phase.PREPARE, 1),
        prepared,
        events.Granted(3.0, "a.py", 1, Phase.EXECUTE, ("cpu-0", "cpu-1")),
        events.Started(3.5, "a.py", 1, Phase.EXECUTE, 1),
        events.Ended(9.5, "a.py", 1, Phase.EXECUTE, RED),
        *run_events.attempt("a.py", 2, 10.0, 2.0),
        events.Concluded(12.0, "a.py", 2, Verdict(Outcome.PASSED, "in 2.0 s")),
        events.RunEnded(13.0, 0),
    ]
    (result,) = run_of(told).results
    assert [(a.number, a.duration, a.devices) for a in result.attempts] == [
        (1, 6.0, ("cpu-0", "cpu-1")),
        (2, 2.0, ("cpu-0",)),
    ]


def test_a_run_is_named_by_the_beginning_of_its_id_and_the_newest_by_nothing(tmp_path: Path) -> None:
    for run_id in ("20260101-a", "20260102-a", "20260102-b"):
        keep(tmp_path, run_id, run_events.run(run_id, [1.0]))
    state = StatePaths(tmp_path)
    assert find_run(state, "").name == "20260102-b"
    assert find_run(state, "20260101").name == "20260101-a"
    with pytest.raises(UsageError, match="2 runs are there; the newest is 20260102-b"):
        find_run(state, "20260102")
    with pytest.raises(UsageError, match="no run 2027 is kept"):
        find_run(state, "2027")


@pytest.mark.parametrize(
    "log", ["/etc/passwd", "../../secret", "..", "", ".trainci/runs/r/../../../secret", "a\0b"]
)
def test_no_log_is_read_elsewhere_than_beside_the_events(tmp_path: Path, log: str) -> None:
    """A job's artifacts are whatever the code of a pull request wrote."""
    mine, hostile = ".trainci/runs/r/001.log", events.Queued(2.0, "b.py", 1, log, 0)
    told = [replace(e, log=mine) if isinstance(e, events.Queued) else e for e in run_events.run("r", [1.0])]
    kept = read_run(keep(tmp_path, "r", [*told[:-1], hostile, told[-1]]))
    folder = tmp_path / ".trainci/runs/r"
    for event in kept.events:
        if isinstance(event, events.Queued):
            assert (kept.root / event.log).parent == folder and event.log.isprintable(), event


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    folder = keep(tmp_path, "r", [events.RunEnded(1.0, 0)])
    with pytest.raises(UsageError, match="not the events of a run"):
        read_run(folder)


def test_the_logs_of_a_run_that_was_moved_away_are_found_beside_its_events(tmp_path: Path) -> None:
    """As in the artifacts of a job, which hold no project around them."""
    log = ".trainci/runs/r/001-a-1.log"
    told = [replace(e, log=log) if isinstance(e, events.Queued) else e for e in run_events.run("r", [1.0])]
    folder = keep(tmp_path, "r", told)
    kept = read_run(folder)
    assert (kept.root, kept.run.results[0].attempts[0].log) == (tmp_path, log)
    moved = folder.rename(tmp_path / "r")
    kept = read_run(find_run(StatePaths(tmp_path / "elsewhere"), str(tmp_path)))
    assert (kept.root, kept.run.results[0].attempts[0].log) == (moved, "001-a-1.log")


def test_a_flake_that_failed_its_run_fails_it_in_every_report(repository: Any) -> None:
    """Also in those that are made of what the run left."""
    repository.write("trainci.toml", "[project]\nretries = 1\nfail_on_flaky = true\n")
    flaky = "from pathlib import Path\nNUM_GPUS = 0\nif __name__ == '__main__':\n    seen = Path('seen').exists()\n"
    repository.write("tests/test_a.py", f"{flaky}    Path('seen').touch()\n    assert seen\n")
    repository.init()
    assert repository.trainci("run", "tests/test_a.py").code == 1
    (result,) = read_run(find_run(StatePaths(repository.root), "")).run.results
    assert result.verdict.outcome is Outcome.FLAKY and fails(result)


def test_on_a_file_system_without_locks_a_run_is_kept_and_lives_until_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Lustre is mounted, and NFS whose server has no lock daemon."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    paths = RunPaths(StatePaths(tmp_path), "1")
    log = EventLog(paths, print)
    log(events.RunStarted(1.0, "1", "c", "no GPU", ()))
    assert is_alive(paths.events)
    log(events.RunEnded(2.0, 0))
    log.close()
    assert not is_alive(paths.events)
    assert [type(event) for event in read_events(paths.events)] == [events.RunStarted, events.RunEnded]
