"""The recorder, the event log and crash recovery: what they keep, also of a runner that was killed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import run_events as story

from trainci.errors import MachineError
from trainci.history import open_store as open_default
from trainci.history.event_log import EventLog, read_events
from trainci.history.recorder import Recorder
from trainci.history.recovery import take_cut_off
from trainci.history.store import Past, Recorded
from trainci.model import events
from trainci.model.diagnosis import Blame, Diagnosis
from trainci.model.event_lines import read_event
from trainci.model.run import Cause, Ending, Metric, Outcome, Phase, Verdict
from trainci.paths import RunPaths, StatePaths

# It never stops writing, so that a kill falls into the middle of something.
WRITER = """
    import sys
    from pathlib import Path
    from trainci.history import open_store
    from trainci.history.event_log import EventLog
    from trainci.history.recorder import Recorder
    from trainci.model import events
    from trainci.model.run import Cause, Ending, Outcome, Phase, Verdict
    from trainci.paths import RunPaths, StatePaths

    state = StatePaths(Path(sys.argv[1]))
    listeners = (EventLog(RunPaths(state, "run-1"), print), Recorder(open_store(state), state, "run-1"))

    def tell(event):
        for listen in listeners:
            listen(event)

    tell(events.RunStarted(1.0, "run-1", "c0ffee", "no GPU", ()))
    for test in ("done.py", "cut.py"):
        tell(events.Queued(2.0, test, 1, f"{test}.log", 1))
        tell(events.Granted(3.0, test, 1, Phase.BOTH, ("cpu-0",)))
        tell(events.Started(4.0, test, 1, Phase.BOTH, 1))
        log = state.root / f"{test}.log"
        RunPaths.metrics(log).write_text(f'{{"name": "loss", "value": 0.5, "step": 3, "at": 9.0}}\\n{{"name": "cut')
    tell(events.Ended(5.0, "done.py", 1, Phase.BOTH, Ending(Cause.EXITED, 0)))
    tell(events.Concluded(6.0, "done.py", 1, Verdict(Outcome.PASSED, "passed")))
    print("ready", flush=True)
    for number in range(10**9):
        tell(events.Queued(7.0, f"more-{number}.py", 1, "x", 0))
"""


def killed_writer(root: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), str(root)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_run_is_remembered_by_its_events(tell, store):
    tell("run-1", story.run("run-1", [5.0, 1.0, 3.0]))
    assert store.past(["a.py"]) == {"a.py": Past(3.0, 3.0, "passed")}
    assert store.unended_runs() == []


def test_a_prepare_phase_is_a_part_of_its_attempt_and_no_start_of_it(store, state):
    first, then = ("a.py", 1, Phase.PREPARE), ("a.py", 1, Phase.EXECUTE)
    recorder = Recorder(store, state, "run-1")
    for event in (
        events.RunStarted(0.0, "run-1", "c", "no GPU", ()),
        events.Queued(1.0, "a.py", 1, "a.log", 1),
        events.Started(2.0, *first, 1),
        events.Ended(50.0, *first, story.PASSED),
    ):
        recorder(event)
    assert [item.attempt.test_id for item in store.unended_attempts("run-1")] == ["a.py"]
    recorder(events.Ended(60.0, *then, story.PASSED))
    recorder(events.Concluded(61.0, "a.py", 1, story.VERDICT))
    assert store.unended_attempts("run-1") == []
    assert store.past(["a.py"])["a.py"].last is None


def test_the_duration_begins_with_what_holds_the_devices(tell, store):
    first, then = ("a.py", 1, Phase.PREPARE), ("a.py", 1, Phase.EXECUTE)
    told = [
        events.RunStarted(0.0, "run-1", "c", "no GPU", ()),
        events.Queued(1.0, "a.py", 1, "a.log", 1),
        events.Started(2.0, *first, 1),
        events.Ended(50.0, *first, story.PASSED),
        events.Started(56.0, *then, 2),
        events.Ended(60.0, *then, story.PASSED),
    ]
    tell("run-1", told)
    assert store.past(["a.py"])["a.py"].last == 4.0


def test_an_attempt_that_fails_to_prepare_has_ended(tell, store):
    told = [
        events.RunStarted(0.0, "run-1", "c", "no GPU", ()),
        events.Queued(1.0, "a.py", 1, "a.log", 1),
        events.Ended(2.0, "a.py", 1, Phase.PREPARE, Ending(Cause.EXITED, 1)),
        events.Concluded(3.0, "a.py", 1, Verdict(Outcome.FAILED, "exit code 1")),
    ]
    tell("run-1", told)
    assert store.unended_attempts("run-1") == []


def test_of_a_red_test_the_line_that_tells_why_is_kept(tell, store):
    why = Diagnosis(Blame.CODE, "nan", "a number is none", "ValueError: the loss is nan", 7)
    verdict = Verdict(Outcome.FAILED, "exit code 1", why)
    told = [
        events.RunStarted(0.0, "run-1", "c", "no GPU", ()),
        events.Queued(1.0, "a.py", 1, "a.log", 1),
        events.Ended(2.0, "a.py", 1, Phase.BOTH, Ending(Cause.EXITED, 1)),
        events.Concluded(3.0, "a.py", 1, verdict),
    ]
    tell("run-1", told)
    (result,) = store.results("a.py", 9)
    assert result.sentence == "ValueError: the loss is nan"


def test_a_killed_runner_leaves_a_history_that_opens_and_says_what_was_cut_off(state):
    killed_writer(state.root)
    history = open_default(state)
    assert history.past(["cut.py"])["cut.py"].outcome == "cut off", "before any other run has told"
    cut = {item.attempt.test_id: item for item in take_cut_off(history, state, "run-9")}
    assert cut["cut.py"].log == "cut.py.log"
    assert "done.py" not in cut
    assert take_cut_off(history, state, "run-9") == [], "each is told once"
    assert history.past(["done.py", "cut.py"])["cut.py"].outcome == "cut off"
    assert history.past(["done.py"])["done.py"].outcome == "passed"


def test_a_killed_runner_leaves_events_that_can_be_read_line_by_line(state):
    killed_writer(state.root)
    lines = RunPaths(state, "run-1").events.read_bytes()
    complete = lines[: lines.rindex(b"\n")].split(b"\n")
    read = [read_event(line) for line in complete]
    assert read[:2] == [
        events.RunStarted(1.0, "run-1", "c0ffee", "no GPU", ()),
        events.Queued(2.0, "done.py", 1, "done.py.log", 1),
    ]


def test_what_a_test_recorded_is_kept_also_of_a_runner_that_was_killed(state):
    killed_writer(state.root)
    history = open_default(state)
    kept = [Recorded(Metric("loss", 0.5, 3, 9.0), "run-1", None)]
    assert history.recorded("done.py") == kept, "it was taken in when its attempt ended"
    assert history.recorded("cut.py") == []
    take_cut_off(history, state, "run-9")
    assert history.recorded("cut.py") == kept


def test_a_run_that_is_alive_is_not_cut_off(tell, store, state):
    log = EventLog(RunPaths(state, "run-1"), print)
    tell("run-1", story.run("run-1", [1.0])[:2])
    assert take_cut_off(store, state, "run-9") == []
    log.close()
    assert [item.attempt.test_id for item in take_cut_off(store, state, "run-9")] == ["a.py"]


def test_every_event_is_a_line_that_is_read_back(state):
    paths = RunPaths(state, "run-1")
    log = EventLog(paths, print)
    told = story.run("run-1", [1.0, 2.0])
    for event in told:
        log(event)
    log.close()
    assert [read_event(line) for line in paths.events.read_text().splitlines()] == told


def test_an_event_log_that_cannot_be_written_is_told_once_and_goes_on(state):
    """What a full disk cut off stays apart from what is written once there is room."""
    said: list[str] = []
    paths = RunPaths(state, "run-1")
    log = EventLog(paths, said.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log(events.RunStarted(0.0, "run-1", "c0ffee", "no GPU", ()))
    resource.setrlimit(resource.RLIMIT_FSIZE, (paths.events.stat().st_size + 10, hard))
    try:
        for _ in range(3):
            log(events.RunEnded(1.0, 0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log(events.RunEnded(2.0, 0))
    log.close()
    assert said == [
        ".trainci/runs/run-1/events.jsonl: what happens cannot be written: File too large. The run goes on."
    ]
    assert list(read_events(paths.events)) == [
        events.RunStarted(0.0, "run-1", "c0ffee", "no GPU", ()),
        events.RunEnded(2.0, 0),
    ]


@pytest.mark.parametrize("place", ["runs", "events.jsonl"])
def test_where_no_event_log_can_be_made_the_run_goes_on(state, place):
    said: list[str] = []
    paths = RunPaths(state, "run-1")
    if place == "runs":
        state.directory.mkdir()
        state.runs.write_text("a file where the runs should go")
    else:
        paths.directory.mkdir(parents=True)
        os.mkfifo(paths.events)
    log = EventLog(paths, said.append)
    log(events.RunEnded(1.0, 0))
    log.close()
    assert len(said) == 1 and "what happens cannot be written" in said[0]


def test_a_store_that_does_not_answer_is_told_with_its_place(tell, store):
    store.close()
    with pytest.raises(MachineError, match=r"(history\.db|postgresql:.*): the history does not answer: "):
        tell("run-1", story.run("run-1", [1.0]))


def test_what_is_written_twice_is_there_once(tell, store):
    for _ in range(2):
        tell("run-1", story.run("run-1", [5.0, 1.0, 3.0]))
    assert store.past(["a.py"]) == {"a.py": Past(3.0, 3.0, "passed")}


def leave_events(state: StatePaths, run_id: str, told: list[events.Control]) -> None:
    log = EventLog(RunPaths(state, run_id), print)
    for event in told:
        log(event)
    log.close()


def test_a_run_that_could_not_be_entered_is_entered_by_a_later_one(store, state):
    leave_events(state, "run-1", story.run("run-1", [5.0]))
    assert take_cut_off(store, state, "run-9") == [], "it ended by itself"
    assert store.past(["a.py"]) == {"a.py": Past(5.0, 5.0, "passed")}
    assert store.unended_runs() == []


def test_a_killed_run_that_could_not_be_entered_is_cut_off(store, state):
    leave_events(state, "run-1", story.run("run-1", [5.0])[:3])
    assert [item.attempt.test_id for item in take_cut_off(store, state, "run-9")] == ["a.py"]
    assert take_cut_off(store, state, "run-9") == [], "it is told once"


@pytest.mark.parametrize("left", ["nonsense", "another run", "a pipe", "nothing"])
def test_what_is_no_run_is_not_entered(store, state, left):
    paths = RunPaths(state, "run-1")
    paths.directory.mkdir(parents=True)
    if left == "nonsense":
        paths.events.write_bytes(b"\xff\n{}\n" + b"[" * 100_000)
    elif left == "another run":
        leave_events(state, "run-1", story.run("run-2", [1.0]))
    elif left == "a pipe":
        os.mkfifo(paths.events)
    assert take_cut_off(store, state, "run-9") == []
    assert store.unknown_runs(["run-1", "run-2"]) == ["run-1", "run-2"]
