"""History and the event log: what they keep, also of a runner that was killed."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from trainci.errors import MachineError
from trainci.history.event_log import EventLog
from trainci.history.sqlite import History, Past, Recorded
from trainci.model import Event, Metric
from trainci.paths import RunPaths, StatePaths

WRITER = """
    import sys, time
    from pathlib import Path
    from trainci.history.event_log import EventLog
    from trainci.history.sqlite import History
    from trainci.model import (Event)
    from trainci.paths import RunPaths, StatePaths

    state = StatePaths(Path(sys.argv[1]))
    history = History(state)
    listeners = (EventLog(RunPaths(state, "run-1")), history.listener("run-1"))
    tell = lambda kind, test="", **data: [listen(Event(kind, time.time(), test, 1, data)) for listen in listeners]
    tell("run_started", commit="c0ffee", devices="no GPU", tests=[])
    for test in ("done.py", "cut.py"):
        tell("queued", test, log=f"{test}.log", gpus=1)
        tell("granted", test, devices=["cpu-0"])
        tell("started", test, pid=1)
        log = state.root / f"{test}.log"
        RunPaths.metrics(log).write_text(f'{{"name": "loss", "value": 0.5, "step": 3, "at": 9.0}}\\n{{"name": "cut')
    tell("ended", "done.py", exit_code=0, timed_out=False, lost="")
    tell("verdict", "done.py", outcome="passed", sentence="passed")
    print("ready", flush=True)
    for number in range(10**9):
        tell("queued", f"more-{number}.py", log="x", gpus=0)
"""


def killed_writer(root: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), str(root)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    # It is writing without a pause, so this falls into the middle of something.
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def tell(state: StatePaths, history: History, run: str, seconds: list[float], outcome: str = "passed") -> None:
    listen = history.listener(run)
    listen(Event("run_started", 0.0, data={"commit": "c", "devices": "d"}))
    for number, duration in enumerate(seconds, start=1):
        listen(Event("queued", 10.0 * number, "a.py", number, {"log": "l", "gpus": 1}))
        listen(Event("started", 10.0 * number, "a.py", number, {"pid": 1}))
        ended = {"exit_code": 0, "timed_out": False, "lost": ""}
        listen(Event("ended", 10.0 * number + duration, "a.py", number, ended))
    listen(Event("verdict", 99.0, "a.py", len(seconds), {"outcome": outcome, "sentence": "s"}))
    listen(Event("run_ended", 100.0, data={"exit_code": 0}))


def test_a_killed_runner_leaves_a_history_that_opens_and_says_what_was_cut_off(tmp_path):
    killed_writer(tmp_path)
    history = History(StatePaths(tmp_path))
    assert history.past(["cut.py"])["cut.py"].outcome == "cut off", "before any other run has told"
    cut = {item.test_id: item for item in history.take_cut_off()}
    assert cut["cut.py"].log == "cut.py.log"
    assert "done.py" not in cut
    assert history.take_cut_off() == [], "each is told once"
    assert history.past(["done.py", "cut.py"])["cut.py"].outcome == "cut off"
    assert history.past(["done.py"])["done.py"].outcome == "passed"


def test_a_killed_runner_leaves_events_that_can_be_read_line_by_line(tmp_path):
    killed_writer(tmp_path)
    events = RunPaths(StatePaths(tmp_path), "run-1").events.read_bytes()
    complete = events[: events.rindex(b"\n")].split(b"\n")
    kinds = [json.loads(line)["kind"] for line in complete]
    assert kinds[:2] == ["run_started", "queued"]


def test_what_a_test_recorded_is_kept_also_of_a_runner_that_was_killed(tmp_path):
    killed_writer(tmp_path)
    history = History(StatePaths(tmp_path))
    kept = [Recorded(Metric("loss", 0.5, 3, 9.0), "run-1", None)]
    assert history.recorded("done.py") == kept, "it was taken in when its attempt ended"
    assert history.recorded("cut.py") == []
    history.take_cut_off()
    assert history.recorded("cut.py") == kept
    with sqlite3.connect(history._state.history) as db:
        db.execute("UPDATE runs SET cut_off = 0")  # as if that had been killed half way, too
    history.take_cut_off()
    with sqlite3.connect(history._state.history) as db:
        assert db.execute("SELECT count(*) FROM metrics WHERE test_id = 'cut.py'").fetchone() == (1,)


def test_metrics_are_remembered_run_by_run_and_nan_is_one(tmp_path):
    state = StatePaths(tmp_path)
    history = History(state)
    for run, values in (("run-1", [1.0, 0.25]), ("run-2", [math.inf]), ("run-3", [0.5, math.nan])):
        lines = [{"name": "loss", "value": value, "step": n, "at": 1.0} for n, value in enumerate(values)]
        lines += [{"name": "only-once", "value": 7.0, "step": None, "at": 1.0}] if run == "run-1" else []
        text = "".join(json.dumps(line) + "\n" for line in lines)
        RunPaths.metrics(tmp_path / "l").write_text(text)
        tell(state, history, run, [1.0])
    loss, once = history.recorded("a.py")
    assert math.isnan(loss.last.value)
    assert (loss.run_id, loss.last.step, loss.before) == ("run-3", 1, math.inf)
    assert once == Recorded(Metric("only-once", 7.0, None, 1.0), "run-1", None)


def test_a_history_without_metrics_learns_to_hold_them_and_forgets_nothing(tmp_path):
    """What the first version of trainci wrote, brought to this one."""
    state = StatePaths(tmp_path)
    history = History(state)
    tell(state, history, "run-1", [2.0])
    history.close()
    with sqlite3.connect(state.history) as db:
        db.execute("DROP TABLE metrics")
        db.execute("DROP INDEX verdicts_of_test")
        db.execute("PRAGMA user_version = 1")
    RunPaths.metrics(tmp_path / "l").write_text('{"name": "loss", "value": 0.5, "step": 1, "at": 1.0}\n')
    history = History(state)
    tell(state, history, "run-2", [3.0])
    assert history.past(["a.py"]) == {"a.py": Past(3.0, 2.5, "passed")}
    assert [item.last.value for item in history.recorded("a.py")] == [0.5]


def test_a_run_that_is_alive_is_not_cut_off(tmp_path):
    state = StatePaths(tmp_path)
    history = History(state)
    log = EventLog(RunPaths(state, "run-1"))
    history.listener("run-1")(Event("run_started", 1.0, data={"commit": "c", "devices": "d"}))
    history.listener("run-1")(Event("queued", 1.0, "a.py", 1, {"log": "l", "gpus": 1}))
    other = History(state)
    assert other.take_cut_off() == []
    assert other.past(["a.py"])["a.py"].outcome == "running"
    log.close()
    assert [item.test_id for item in other.take_cut_off()] == ["a.py"]


def test_durations_are_the_last_and_the_median_of_passed_attempts(tmp_path):
    state = StatePaths(tmp_path)
    history = History(state)
    tell(state, history, "run-1", [5.0, 1.0, 3.0])
    assert history.past(["a.py", "never.py"]) == {"a.py": Past(3.0, 3.0, "passed")}


def test_output_is_in_the_logs_and_not_in_the_event_log(tmp_path):
    paths = RunPaths(StatePaths(tmp_path), "run-1")
    log = EventLog(paths)
    log(Event("output", 1.0, "a.py", 1, {"text": "a great deal"}))
    log(Event("verdict", 2.0, "a.py", 1, {"outcome": "passed", "sentence": "s"}))
    log.close()
    lines = paths.events.read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["verdict"]


def test_the_state_directory_ignores_itself(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    History(StatePaths(tmp_path)).close()
    status = subprocess.run(["git", "-C", str(tmp_path), "status", "--porcelain"], capture_output=True, check=True)
    assert status.stdout == b""


def test_a_history_of_a_newer_trainci_is_refused_and_left_alone(tmp_path):
    state = StatePaths(tmp_path)
    History(state).close()
    with sqlite3.connect(state.history) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(MachineError, match=r"history\.db.*newer trainci.*version 99"):
        History(state)
    with sqlite3.connect(state.history) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_file_that_is_no_history_is_an_error_with_a_way_out(tmp_path):
    state = StatePaths(tmp_path)
    state.create()
    state.history.write_bytes(b"not a database, and long enough to be taken for one" * 40)
    with pytest.raises(MachineError, match="Move the file away"):
        History(state)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_repository_that_cannot_be_written_is_an_error_with_its_place(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(MachineError, match="history"):
        History(StatePaths(tmp_path))


@pytest.mark.parametrize("state", ["missing", "no directory", "no history"])
def test_the_list_is_shown_whatever_is_wrong_with_the_history(repository, state):
    repository.write("trainci.toml", '[suites.short]\ntests = ["tests/test_a.py"]\n')
    repository.write("tests/test_a.py", "NUM_GPUS = 1\n")
    if state == "no directory":
        repository.write(".trainci", "a file where a directory is to be")
    elif state == "no history":
        repository.write(".trainci/history.db", "not a database, and long enough to be taken for one" * 20)
    said = repository.trainci("list")
    assert said.code == 0, said.err
    assert "tests/test_a.py  1     60 min  -" in said.out
    assert ("without durations: " in said.err) == (state == "no history")


def test_two_processes_may_open_a_new_history_at_once(tmp_path):
    program = "import sys; from pathlib import Path; from trainci.history.sqlite import History; "
    program += "from trainci.paths import StatePaths; History(StatePaths(Path(sys.argv[1]))).close()"
    openers = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(6)]
    assert [opener.wait() for opener in openers] == [0] * 6


LIMITED = """
    import resource, sys
    from pathlib import Path
    from trainci.errors import MachineError
    from trainci.history.sqlite import History
    from trainci.model import (Event)
    from trainci.paths import StatePaths

    listen = History(StatePaths(Path(sys.argv[1]))).listener("run-1")
    listen(Event("run_started", 0.0, data={"commit": "c0ffee", "devices": "no GPU", "tests": []}))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        listen(Event("queued", 1.0, "a.py", 1, {"log": "a.log", "gpus": 1}))
    except MachineError as error:
        print(error)
"""


def test_a_disk_that_takes_no_more_is_the_machines_fault(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED), tmp_path], capture_output=True, text=True, check=True
    )
    assert "history.db: what happened cannot be written: disk I/O error" in done.stdout
    paths = RunPaths(StatePaths(tmp_path), "run-1")
    paths.directory.mkdir()
    paths.events.symlink_to("/dev/full")
    with pytest.raises(MachineError, match=r"events\.jsonl: what happened cannot be written: No space left"):
        EventLog(paths)(Event("run_ended", 1.0, data={"exit_code": 0}))


def test_a_directory_of_runs_that_cannot_be_written_is_the_machines_fault(tmp_path):
    paths = RunPaths(StatePaths(tmp_path), "run-1")
    paths.directory.parent.parent.mkdir()
    paths.directory.parent.write_text("a file where the runs should go")
    with pytest.raises(MachineError, match=r"events\.jsonl: what happened cannot be written"):
        EventLog(paths)
