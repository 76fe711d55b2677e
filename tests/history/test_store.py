"""The contract of a store (trainci.history.store), kept by each of them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from trainci.history import sqlite, transfer
from trainci.history.event_log import EventLog
from trainci.history.store import AttemptKey, CutOff, Past, PastRun, Recorded, StoreError
from trainci.model.gates import Decision, Measurement
from trainci.model.run import Cause, Ending, Metric, Outcome, Phase, Verdict
from trainci.paths import RunPaths, StatePaths
from trainci.verdict.suspects import Used

PASSED = Ending(Cause.EXITED, 0)
KEY = AttemptKey("run-1", "a.py", 1)


def write_attempt(store, key, seconds, ending=PASSED, phase=Phase.BOTH, at=10.0):
    store.begin_attempt(key, 1, "a.log", at)
    store.set_devices(key, ("GPU-1", "GPU-2"))
    store.set_started(key, at)
    store.end_attempt(key, phase, ending, at + seconds)


@pytest.fixture
def begun(store):
    """The store, with a run that has begun."""
    store.begin_run("run-1", "c0ffee", "no GPU", 1.0)
    return store


def test_a_new_history_knows_nothing(store):
    assert store.past(["a.py"]) == {}
    assert store.recorded("a.py") == []
    assert store.unended_runs() == []


def test_durations_are_the_last_and_the_median_of_passed_attempts(begun):
    for number, seconds in enumerate((5.0, 1.0, 3.0), start=1):
        write_attempt(begun, AttemptKey("run-1", "a.py", number), seconds, at=10.0 * number)
    begun.keep_verdict("run-1", "a.py", Verdict(Outcome.PASSED, "why"), 99.0)
    assert begun.past(["a.py", "never.py"]) == {"a.py": Past(3.0, 3.0, "passed")}


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("code", [0, 1, None])
def test_no_ending_but_a_pass_counts_as_a_duration(begun, cause, code):
    ending = Ending(cause, code, 15, "why")
    write_attempt(begun, KEY, 5.0, ending)
    begun.keep_verdict("run-1", "a.py", Verdict(Outcome.FAILED, "why"), 99.0)
    assert begun.past(["a.py"])["a.py"].last == (5.0 if ending.passed else None)


def test_an_attempt_that_never_held_its_devices_has_no_duration(begun):
    begun.begin_attempt(KEY, 1, "a.log", 10.0)
    begun.end_attempt(KEY, Phase.PREPARE, PASSED, 15.0)
    begun.keep_verdict("run-1", "a.py", Verdict(Outcome.INTERRUPTED, "why"), 99.0)
    assert begun.past(["a.py"]) == {"a.py": Past(None, None, "interrupted")}


def test_the_last_outcome_is_that_of_the_newest_verdict_also_of_a_test_without_an_attempt(begun):
    write_attempt(begun, KEY, 5.0)
    begun.keep_verdict("run-1", "a.py", Verdict(Outcome.PASSED, "why"), 99.0)
    begun.begin_run("run-2", "c", "no GPU", 100.0)
    begun.keep_verdict("run-2", "a.py", Verdict(Outcome.SKIPPED, "why"), 101.0)
    assert begun.past(["a.py"])["a.py"].outcome == "skipped"


def test_an_attempt_without_an_end_is_running_while_its_runner_lives_and_cut_off_afterwards(begun, state):
    begun.begin_attempt(KEY, 1, "a.log", 10.0)
    log = EventLog(RunPaths(state, "run-1"), print)
    assert begun.past(["a.py"])["a.py"].outcome == "running"
    log.close()
    assert begun.past(["a.py"])["a.py"].outcome == "cut off"


def test_runs_and_attempts_without_an_end_are_found_until_they_are_marked(begun):
    begun.begin_run("run-2", "c", "no GPU", 2.0)
    begun.begin_run("run-3", "c", "no GPU", 3.0)
    begun.end_run("run-3", 0, 4.0)
    write_attempt(begun, KEY, 1.0)
    later, earlier = AttemptKey("run-1", "b.py", 1), AttemptKey("run-1", "c.py", 1)
    begun.begin_attempt(later, 1, "b.log", 12.0)
    begun.begin_attempt(earlier, 1, "c.log", 11.0)
    assert begun.unended_runs() == ["run-1", "run-2"]
    assert begun.unended_attempts("run-1") == [CutOff(earlier, "c.log"), CutOff(later, "b.log")]
    begun.mark_cut_off("run-1")
    assert begun.unended_runs() == ["run-2"]


def test_metrics_are_remembered_run_by_run_and_nan_is_one(store):
    for run_id, values in (("run-1", [1.0, 0.25]), ("run-2", [math.inf]), ("run-3", [0.5, math.nan])):
        key = AttemptKey(run_id, "a.py", 1)
        store.begin_run(run_id, "c", "no GPU", 1.0)
        store.begin_attempt(key, 1, "a.log", 1.0)
        once = [Metric("only-once", 7.0, None, 1.0)] if run_id == "run-1" else []
        store.keep_metrics(key, [*once, *(Metric("loss", value, n, 1.0) for n, value in enumerate(values))])
    loss, once = store.recorded("a.py")
    assert math.isnan(loss.last.value)
    assert (loss.run_id, loss.last.step, loss.before) == ("run-3", 1, math.inf)
    assert once == Recorded(Metric("only-once", 7.0, None, 1.0), "run-1", None)


def test_metrics_that_are_kept_again_replace_what_was_kept(begun):
    begun.begin_attempt(KEY, 1, "a.log", 1.0)
    for values in ([1.0, 2.0], [3.0]):
        begun.keep_metrics(KEY, [Metric("loss", value, None, 1.0) for value in values])
    assert begun.recorded("a.py") == [Recorded(Metric("loss", 3.0, None, 1.0), "run-1", None)]


def test_metrics_that_fail_half_way_leave_what_was_kept(begun):
    def half() -> object:
        yield Metric("loss", 9.0, None, 1.0)
        raise KeyError("the file is gone")

    begun.begin_attempt(KEY, 1, "a.log", 1.0)
    begun.keep_metrics(KEY, [Metric("loss", 1.0, None, 1.0)])
    with pytest.raises(KeyError):
        begun.keep_metrics(KEY, half())
    assert [item.last.value for item in begun.recorded("a.py")] == [1.0]


def test_what_is_written_is_there_for_whoever_opens_it_next(begun, open_store):
    write_attempt(begun, KEY, 5.0)
    begun.keep_verdict("run-1", "a.py", Verdict(Outcome.PASSED, "why"), 99.0)
    assert open_store().past(["a.py"]) == {"a.py": Past(5.0, 5.0, "passed")}


def test_several_may_write_at_once_and_nothing_is_lost(store, open_store):
    def write(number: int) -> None:
        mine = open_store()
        mine.begin_run(f"run-{number}", "c", "no GPU", 1.0)
        for i in range(10):
            write_attempt(mine, AttemptKey(f"run-{number}", f"{number}-{i}.py", 1), 1.0)
        mine.close()

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(4)))
    assert sorted(store.unended_runs()) == [f"run-{number}" for number in range(4)]
    ids = [f"{number}-{i}.py" for number in range(4) for i in range(10)]
    assert {test_id: past.last for test_id, past in store.past(ids).items()} == dict.fromkeys(ids, 1.0)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.begin_run("run-1", "c", "no GPU", 1.0),
        lambda store: store.end_run("run-1", 0, 1.0),
        lambda store: store.begin_attempt(KEY, 1, "a.log", 1.0),
        lambda store: store.set_devices(KEY, ()),
        lambda store: store.set_started(KEY, 1.0),
        lambda store: store.end_attempt(KEY, Phase.BOTH, PASSED, 1.0),
        lambda store: store.used_devices("host-a", 1),
        lambda store: store.used_hosts(1),
        lambda store: store.keep_metrics(KEY, []),
        lambda store: store.keep_verdict("run-1", "a.py", Verdict(Outcome.PASSED, ""), 1.0),
        lambda store: store.past(["a.py"]),
        lambda store: store.recorded("a.py"),
        lambda store: store.unended_runs(),
        lambda store: store.unended_attempts("run-1"),
        lambda store: store.mark_cut_off("run-1"),
    ],
)
def test_a_store_that_does_not_answer_says_so_with_one_kind_of_error(store, state, ask):
    store.close()
    with pytest.raises(StoreError, match=r"the history does not answer: .*closed") as told:
        ask(store)
    assert (state.url.partition("@")[0] or str(state.root))[:9] in told.value.place


def test_the_results_of_a_test_are_its_runs_the_newest_first(store):
    for number in range(1, 4):
        run = f"run-{number}"
        store.begin_run(run, f"c{number}", "2 × GPU", 100.0 * number, "host-a")
        for attempt in range(1, number + 1):
            write_attempt(store, AttemptKey(run, "a.py", attempt), 2.0 * attempt, at=100.0 * number + attempt)
        store.keep_verdict(run, "a.py", Verdict(Outcome.PASSED, "why"), 100.0 * number + 50)
    found = store.results("a.py", 2)
    assert [(one.run, one.commit, one.attempts, one.duration) for one in found] == [
        ("run-3", "c3", 3, 6.0),
        ("run-2", "c2", 2, 4.0),
    ]
    assert (found[0].host, found[0].devices, found[0].outcome, found[0].at) == (
        "host-a",
        ("GPU-1", "GPU-2"),
        "passed",
        350.0,
    )
    assert store.tests() == ["a.py"] and store.results("never.py", 9) == []


def test_a_result_without_an_attempt_has_no_duration(begun):
    begun.keep_verdict("run-1", "a.py", Verdict(Outcome.SKIPPED, "disabled"), 99.0)
    (found,) = begun.results("a.py", 9)
    assert (found.attempts, found.devices, found.duration, found.host) == (0, (), None, "")


def runs_on(store, *told):
    """A run of a.py each, on a host, with what it says against its devices: these."""
    for number, (host, against) in enumerate(told, start=1):
        key = AttemptKey(f"run-{number}", "a.py", 1)
        store.begin_run(key.run_id, "c", "GPU", 1.0, host)
        write_attempt(store, key, 1.0)
        store.end_attempt(key, Phase.BOTH, PASSED, 10.0 * number, against)


def test_the_devices_of_a_host_are_known_by_the_attempts_that_say_something_of_them_the_newest_first(store):
    runs_on(store, ("a", True), ("a", False), ("a", None), ("b", True))
    held = ("GPU-1", "GPU-2")
    assert store.used_devices("a", 9) == [Used("a.py", held, False, 20.0), Used("a.py", held, True, 10.0)]
    assert store.used_devices("a", 1) == [Used("a.py", held, False, 20.0)]


def test_hosts_are_known_by_the_attempts_of_all_of_them_and_a_run_of_no_known_host_says_nothing(store):
    runs_on(store, ("a", True), ("b", False), ("", True), ("b", None))
    assert store.used_hosts(9) == [Used("a.py", ("b",), False, 20.0), Used("a.py", ("a",), True, 10.0)]
    assert store.used_hosts(1) == [Used("a.py", ("b",), False, 20.0)]


def test_the_last_runs_are_told_with_what_became_of_their_tests(begun):
    begun.keep_verdict("run-1", "a.py", Verdict(Outcome.PASSED, "why"), 5.0)
    begun.begin_run("run-2", "beef", "2 GPUs", 10.0, "gpu-7")
    for test, outcome in (("a.py", Outcome.FAILED), ("b.py", Outcome.PASSED), ("c.py", Outcome.PASSED)):
        begun.keep_verdict("run-2", test, Verdict(outcome, "why"), 20.0)
    begun.end_run("run-2", 1, 30.0)
    last = PastRun("run-2", "beef", "gpu-7", "2 GPUs", 10.0, 30.0, 1, False, {"failed": 1, "passed": 2})
    first = PastRun("run-1", "c0ffee", "", "no GPU", 1.0, None, None, False, {"passed": 1})
    assert begun.runs(9, math.inf) == [last, first]
    assert begun.runs(1, math.inf) == [last] and begun.runs(9, 10.0) == [first]
    assert begun.run("run-2") == last and begun.run("run-3") is None


def test_to_list_many_runs_asks_the_database_no_more_often_than_to_list_two(begun, monkeypatch):
    """Of a database elsewhere each question takes its way there and back."""
    for number in range(2, 40):
        begun.begin_run(f"run-{number}", "c0ffee", "no GPU", float(number))
        begun.keep_verdict(f"run-{number}", "a.py", Verdict(Outcome.PASSED, "why"), float(number))
    asked, execute = [], begun.execute
    monkeypatch.setattr(begun, "execute", lambda *statement: asked.append(statement) or execute(*statement))
    assert len(begun.runs(2, math.inf)) == 2
    of_two = len(asked)
    assert [run.outcomes for run in begun.runs(39, math.inf)] == [{"passed": 1}] * 38 + [{}]
    assert len(asked) == 2 * of_two


def test_results_of_one_run_and_of_the_last_runs_say_the_same_as_those_of_a_test(begun):
    write_attempt(begun, KEY, 3.0)
    begun.keep_verdict("run-1", "a.py", Verdict(Outcome.PASSED, "why"), 13.0)
    begun.begin_run("run-2", "beef", "2 GPUs", 10.0, "gpu-7")
    begun.keep_verdict("run-2", "b.py", Verdict(Outcome.FAILED, "why"), 20.0)
    begun.keep_verdict("run-2", "a.py", Verdict(Outcome.SKIPPED, "why"), 30.0)
    newest, oldest = begun.results("a.py", 9)
    assert (oldest.duration, oldest.devices, oldest.attempts, newest.duration) == (3.0, ("GPU-1", "GPU-2"), 1, None)
    (other,) = begun.results("b.py", 9)
    assert begun.results_of_run("run-1") == [oldest] and begun.results_of_run("run-2") == [newest, other]
    assert begun.results_of_runs(1) == [newest, other] and begun.results_of_runs(2) == [newest, other, oldest]


def measure(store, run, value, number=1, on_base=True, ending=PASSED, kind="H100", at=10.0):
    """A run of a.py that recorded a loss at steps 1 and 2."""
    key = AttemptKey(run, "a.py", number)
    store.begin_run(run, "c0ffee", "no GPU", at, "host", on_base)
    store.begin_attempt(key, 1, "a.log", at, "trainer:1")
    store.set_devices(key, ("GPU-1",), kind)
    store.end_attempt(key, Phase.BOTH, ending, at + 1)
    store.keep_metrics(
        key, [Metric("loss", value + 1, 1, at), Metric("loss", value, 2, at), Metric("x", 0.0, 2, at)]
    )
    return key


def test_what_passed_attempts_measured_is_known_with_its_series(store):
    measure(store, "run-1", 0.5)
    store.keep_verdict("run-1", "a.py", Verdict(Outcome.PASSED, "why"), 12.0)
    measure(store, "run-2", math.nan, on_base=False, kind="", at=20.0)
    measure(store, "run-3", 0.7, ending=Ending(Cause.EXITED, 1), at=30.0)
    measure(store, "run-4", 0.6, at=40.0)
    measure(store, "run-4", 0.8, number=2, at=40.0)
    found = store.measurements("a.py", "loss", None, 9)
    assert found[-1] == Measurement(
        "run-1", "c0ffee", 10.0, 1, 0.5, 2, "H100", "trainer:1", on_base=True, outcome="passed"
    )
    assert [(one.run, one.attempt, one.value, one.outcome) for one in found] == [
        ("run-4", 2, 0.8, ""),
        ("run-4", 1, 0.6, ""),
        ("run-2", 1, None, ""),
        ("run-1", 1, 0.5, "passed"),
    ]
    assert (found[2].on_base, found[2].kind) == (False, "")
    assert [one.value for one in store.measurements("a.py", "loss", 1, 2)] == [1.8, 1.6]
    assert store.measurements("a.py", "loss", 3, 9) == store.measurements("b.py", "loss", None, 9) == []


def test_who_decided_about_a_baseline_is_kept_once_and_found_newest_first(store):
    first = Decision("a.py", "loss", "run-1", "ana", "larger batch; «ß»", 10.0)
    second = Decision("a.py", "loss", "", "bo", "new driver", 20.0)
    for decision in (first, second, first, Decision("b.py", "loss", "", "bo", "new driver", 20.0)):
        store.keep_decision(decision)
    assert store.decisions("a.py") == [second, first]


def test_an_exported_history_comes_back_whatever_stands_in_it_and_however_often_it_is_entered(open_store, tmp_path):
    names = [
        "a\tb\n.py",
        "';--.py",
        "nul\0.py",
        "half \udc80.py",
        "half \ud83d.py",
        "😀.py",
        "%s.py",
        "",
        "\uffff.py",
    ]
    values = (0.5, math.nan, math.inf, -math.inf, 1e308, 5e-324, 1e20)
    other = sqlite.sqlite_store(StatePaths(tmp_path / "other"))
    other.begin_run("run-1", "c", "d", 1.0, "here")
    for name in names:
        key = AttemptKey("run-1", name, 1)
        other.begin_attempt(key, 1, name, 2.0)
        other.keep_metrics(key, [Metric(name, value, None, 1.0) for value in values])
        other.keep_verdict("run-1", name, Verdict(Outcome.PASSED, name), 3.0)
    lines = list(transfer.export(other))
    # As an older trainci has written them.
    older = [line.replace("nul\\\\x00", "nul\\u0000") for line in lines]
    store = open_store()
    for each in (older, lines):
        transfer.enter(store, each)
    assert sorted(transfer.export(store)) == sorted(lines)
    assert len(store.rows("metrics")) == len(names) * len(values)


def test_an_exported_history_keeps_baselines(open_store, tmp_path):
    store = open_store()
    measure(store, "run-1", 0.5)
    store.keep_decision(Decision("a.py", "loss", "run-1", "ana", "why", 10.0))
    lines = list(transfer.export(store))
    other = sqlite.sqlite_store(StatePaths(tmp_path / "other"))
    transfer.enter(other, lines)
    assert other.decisions("a.py") == store.decisions("a.py") != []
    assert other.measurements("a.py", "loss", None, 9) == store.measurements("a.py", "loss", None, 9) != []
