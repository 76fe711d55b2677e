"""The store in a file of its own: the schema of every version, and whatever else may lie in its place."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest
import run_events as story

from trainci.errors import MachineError
from trainci.history import open_store
from trainci.history.recorder import Recorder
from trainci.history.schema import MIGRATIONS
from trainci.history.store import AttemptKey, Past, Recorded
from trainci.host import mounts
from trainci.model import events
from trainci.model.run import Cause, Metric, Outcome, Phase, Verdict
from trainci.paths import StatePaths

# What the versions before this one wrote: an exit code (negative: a signal), whether it timed out, what was lost.
ENDINGS = {
    "passed.py": (0, 0, "", (Cause.EXITED, 0, None, "")),
    "failed.py": (3, 0, "", (Cause.EXITED, 3, None, "")),
    "killed.py": (-9, 0, "", (Cause.SIGNALLED, None, 9, "")),
    "slow.py": (-15, 1, "", (Cause.TIMED_OUT, None, 15, "")),
    "slow-and-polite.py": (0, 1, "", (Cause.TIMED_OUT, 0, None, "")),
    "lost.py": (None, 0, "gone", (Cause.LOST, None, None, "gone")),
    "prepared.py": (None, 0, "", (Cause.INTERRUPTED, None, None, "")),
}


PROGRAM = "NUM_GPUS = 1\ndef execute():\n    pass\nif __name__ == '__main__':\n    execute()\n"


def write_version(state, version: int) -> None:
    """A database as that version of the schema had it, with a run in it."""
    state.create()
    with sqlite3.connect(state.history) as db:
        for script in MIGRATIONS[:version]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("INSERT INTO runs (id, commit_id, devices, started, ended) VALUES ('run-1', 'c', 'd', 1.0, 9.0)")
        for test_id, (code, timed_out, lost, _) in ENDINGS.items():
            db.execute(
                "INSERT INTO attempts (run_id, test_id, number, gpus, log, queued, started, ended, exit_code,"
                " timed_out, lost) VALUES ('run-1', ?, 1, 1, 'l', 1.0, 2.0, 4.0, ?, ?, ?)",
                (test_id, code, timed_out, lost),
            )
        db.execute(
            "INSERT INTO attempts (run_id, test_id, number, gpus, log, queued)"
            " VALUES ('run-1', 'cut.py', 1, 1, 'l', 1.0)"
        )
        db.execute("INSERT INTO verdicts VALUES ('run-1', 'passed.py', 'passed', 'in 2.0 s', 5.0)")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_history_of_every_version_before_this_one_is_read_and_goes_on(state, version):
    write_version(state, version)
    history = open_store(state)
    assert history.past(["passed.py", "failed.py"]) == {
        "passed.py": Past(2.0, 2.0, "passed"),
        "failed.py": Past(None, None, "cut off"),
    }
    assert [item.attempt.test_id for item in history.unended_attempts("run-1")] == ["cut.py"]
    with sqlite3.connect(state.history) as db:
        rows = db.execute("SELECT test_id, cause, exit_code, signal, detail, phase FROM attempts").fetchall()
    told = {test_id: (cause and Cause(cause), *rest, Phase(phase)) for test_id, cause, *rest, phase in rows}
    assert told.pop("cut.py") == (None, None, None, "", Phase.BOTH)
    assert told == {test_id: (*ending, Phase.BOTH) for test_id, (*_, ending) in ENDINGS.items()}
    (state.root / "a.metrics.jsonl").write_text('{"name": "loss", "value": 0.5, "step": 1, "at": 1.0}\n')
    recorder = Recorder(history, state, "run-2")
    for event in story.run("run-2", [3.0]):
        recorder(event)
    assert history.past(["a.py"]) == {"a.py": Past(3.0, 3.0, "passed")}
    assert history.recorded("a.py") == [Recorded(Metric("loss", 0.5, 1, 1.0), "run-2", None)]


def test_the_state_directory_ignores_itself(state):
    subprocess.run(["git", "init", "-q", str(state.root)], check=True)
    open_store(state).close()
    status = subprocess.run(
        ["git", "-C", str(state.root), "status", "--porcelain"], capture_output=True, check=True
    )
    assert status.stdout == b""


def test_a_history_of_a_newer_trainci_is_refused_and_left_alone(state):
    open_store(state).close()
    with sqlite3.connect(state.history) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(MachineError, match=r"history\.db.*newer trainci.*version 99"):
        open_store(state)
    with sqlite3.connect(state.history) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_repository_that_cannot_be_written_is_an_error_with_its_place(state):
    state.root.chmod(0o555)
    with pytest.raises(MachineError, match="history"):
        open_store(state)


@pytest.mark.parametrize("state", ["missing", "no directory", "no history"])
def test_the_list_is_shown_whatever_is_wrong_with_the_history(repository, state):
    repository.write("trainci.toml", '[suites.short]\ntests = ["tests/test_a.py"]\n')
    repository.write("tests/test_a.py", "NUM_GPUS = 1\ndef test_a(): pass\n")
    if state == "no directory":
        repository.write(".trainci", "a file where a directory is to be")
    elif state == "no history":
        repository.write(".trainci/history.db", "not a database, and long enough to be taken for one" * 20)
    said = repository.trainci("list")
    assert said.code == 0, said.err
    assert "tests/test_a.py  1     60 min  -" in said.out
    assert ("without durations: " in said.err) == (state != "missing")


def test_two_processes_may_open_a_new_history_at_once(tmp_path):
    program = "import sys; from pathlib import Path; from trainci.history import open_store; "
    program += "from trainci.paths import StatePaths; open_store(StatePaths(Path(sys.argv[1]))).close()"
    openers = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(6)]
    assert [opener.wait() for opener in openers] == [0] * 6


def test_a_history_on_a_network_file_system_is_not_written_ahead(state, monkeypatch):
    """Seen on NFS 4.2: of 12 runs of two hosts it lost three. It may be one that is written ahead already."""
    open_store(state).close()
    assert state.history.read_bytes()[18:20] == b"\2\2", "a database of a disk (sqlite.org/fileformat.html)"
    mounted = f"30 25 0:27 / {state.history.parent} rw - nfs4 server:/ci rw\n"
    monkeypatch.setattr(mounts, "read_text", lambda path: mounted)
    open_store(state).close()
    assert state.history.read_bytes()[18:20] == b"\1\1"


@pytest.mark.parametrize("command", [("list",), ("metrics", "tests/test_a.py")])
@pytest.mark.parametrize("damage", ["zeroed pages", "another's tables"])
def test_no_command_shows_a_traceback_over_a_broken_history(repository, command, damage):
    repository.write("trainci.toml", '[suites.short]\ntests = ["tests/test_a.py"]\n')
    repository.write("tests/test_a.py", PROGRAM)
    state = StatePaths(repository.root)
    write_version(state, 3)
    open_store(state).close()
    if damage == "zeroed pages":
        size = state.history.stat().st_size
        with state.history.open("r+b") as file:
            file.seek(4096)
            file.write(b"\0" * (size - 4096))
    else:
        with sqlite3.connect(state.history) as db:
            for table in ("metrics", "attempts", "verdicts"):
                db.execute(f"DROP TABLE {table}")
    said = repository.trainci(*command)
    assert "Traceback" not in said.err + said.out
    assert "history.db: the history does not answer" in said.err
    assert (said.code == 0) == (command[0] == "list")


def test_what_a_history_says_is_shown_inert(repository):
    """Somebody may have committed it."""
    repository.write("trainci.toml", '[suites.short]\ntests = ["tests/test_a.py"]\n')
    repository.write("tests/test_a.py", PROGRAM)
    state = StatePaths(repository.root)
    store = open_store(state)
    key = AttemptKey("run\x1b]52;c;x\x07", "tests/test_a.py", 1)
    store.begin_run(key.run_id, "c", "d", 1.0)
    store.begin_attempt(key, 1, "l", 1.0)
    store.keep_metrics(key, [Metric("loss\x9b2J", 1.0, None, 1.0)])
    store.close()
    with sqlite3.connect(state.history) as db:
        db.execute("INSERT INTO verdicts VALUES (?, 'tests/test_a.py', ?, '', 5.0)", (key.run_id, "\x1bP+q\x1b\\"))
    for command in (("list",), ("metrics", "tests/test_a.py")):
        said = repository.trainci(*command)
        assert said.code == 0
        assert not {"\x1b", "\x07", "\x9b"} & set(said.out), said.out


def test_half_a_character_is_stored_and_is_no_sign_of_a_broken_database(tmp_path):
    """What an artifact says, or a byte of a file's name, must not have the whole history moved away."""
    with contextlib.closing(open_store(StatePaths(tmp_path))) as store:
        record = Recorder(store, StatePaths(tmp_path), "r")
        record(events.RunStarted(0.0, "r", "\udcff", "\udcff\0", ()))
        record(events.Concluded(1.0, "test_\udcff.py", 0, Verdict(Outcome.FAILED, "\udcff")))
        (result,) = store.results("test_\udcff.py", 9)
        assert list(store.tests()) == ["test_\\udcff.py"]
    assert result.sentence == "\\udcff"
