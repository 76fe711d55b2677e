"""A run that goes on, read on from look to look."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from browser.runs import made

from trainci.errors import UsageError
from trainci.history.event_log import EventLog
from trainci.history.runs import read_run, run_of
from trainci.model import events
from trainci.model.run import Metric, Outcome, Phase, Verdict
from trainci.paths import RunPaths, StatePaths
from trainci.reports.timeline import slices
from trainci.serve.following import Followed, Following

RUN = "20260101-000000-abcdef"


def log_of(state: StatePaths) -> EventLog:
    return EventLog(RunPaths(state, RUN), print)


def told(state: StatePaths, tests: int) -> list[events.Control]:
    folder = RunPaths(state, RUN).directory
    folder.mkdir(parents=True, exist_ok=True)
    place = folder.relative_to(state.root)
    return [
        replace(event, log=str(place / event.log)) if isinstance(event, events.Queued) else event
        for event in made(folder, tests, 2)
    ]


def test_read_on_after_every_event_it_is_what_it_is_when_all_of_it_is_read(tmp_path: Path) -> None:
    state = StatePaths(tmp_path)
    every, log = told(state, 12), log_of(state)
    followed = Following(RunPaths(state, RUN).directory)
    for number, event in enumerate(every, start=1):
        log(event)
        seen = followed.look()
        assert seen.alive and seen.slices == slices(every[:number])
        whole = read_run(RunPaths(state, RUN).directory)
        done = {one.test_id for one in every[:number] if isinstance(one, events.Concluded)}
        assert seen.run.results == tuple(result for result in whole.run.results if result.test_id in done)
        assert (seen.root, seen.going.done, seen.going.planned) == (whole.root, len(done), 12)
    log.close()
    assert followed.look().run == run_of(every) == read_run(RunPaths(state, RUN).directory).run
    assert not followed.look().alive and not followed.going().running


def test_of_what_is_planned_it_is_told_what_is_done_and_by_its_name_what_waits(tmp_path: Path) -> None:
    state = StatePaths(tmp_path)
    every, log = told(state, 3), log_of(state)
    log(every[0])
    log(events.Concluded(1.8e9, "tests/test_refused.py", 0, Verdict(Outcome.REFUSED, "it cannot be read")))
    going = Following(RunPaths(state, RUN).directory).going()
    assert (going.done, going.planned) == (0, 3), "a test that was refused is none of them"
    assert going.waiting == tuple(test.test_id for test in every[0].tests)


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    """The page of a run that goes on would cost the more the longer it runs."""
    state = StatePaths(tmp_path)
    every, log = told(state, 4), log_of(state)
    followed = Following(RunPaths(state, RUN).directory)
    for event in every[:-1]:
        log(event)
    before = followed.look()
    file = RunPaths(state, RUN).events
    with file.open("r+b") as stream:
        stream.write(b" " * file.stat().st_size)
    log(every[-1])
    log.close()
    after = followed.look()
    assert after.run.results == before.run.results and after.run.exit_code == 1


def test_what_is_kept_does_not_grow_with_what_is_told_of_a_test_that_waits(tmp_path: Path) -> None:
    state = StatePaths(tmp_path)
    (start, *_), log = told(state, 1), log_of(state)
    log(start)
    followed = Following(RunPaths(state, RUN).directory)
    followed.look()
    for number in range(3000):
        log(events.Waiting(1.8e9 + number, "a.py", 1, Phase.BOTH, 1, "w" * 500))
    tracemalloc.start()
    try:
        followed.look()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        log.close()
    assert followed.look().run.ended_at == 1.8e9 + 2999
    assert kept < 200_000, f"{kept} bytes of 1.5 MB of events are kept"


def test_of_what_a_test_recorded_the_last_of_each_metric_is_shown(tmp_path: Path) -> None:
    state = StatePaths(tmp_path)
    every, log = told(state, 1), log_of(state)
    lines = [f'{{"name": "loss", "value": {value}.5, "step": {value}, "at": 1.0}}\n' for value in range(3)]
    (RunPaths(state, RUN).directory / "00000.metrics.jsonl").write_text("".join(lines))
    for event in every:
        log(event)
    log.close()
    (found,) = Following(RunPaths(state, RUN).directory).look().metrics.values()
    assert found == [Metric("loss", 2.5, 2, 1.0)]


def test_what_is_no_run_is_refused_at_each_look(tmp_path: Path) -> None:
    state = StatePaths(tmp_path)
    every, log = told(state, 1), log_of(state)
    log(every[1])
    log.close()
    followed = Following(RunPaths(state, RUN).directory)
    for _ in range(2):
        with pytest.raises(UsageError, match="not the events of a run"):
            followed.look()


def test_few_runs_are_kept(tmp_path: Path) -> None:
    followed = Followed()
    first = followed.of(tmp_path / "0")
    assert followed.of(tmp_path / "0") is first
    for number in range(1, 40):
        followed.of(tmp_path / str(number))
    assert followed.of(tmp_path / "0") is not first
