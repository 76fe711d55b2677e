"""A page is made once for all who look, and again as soon as it would show something else."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from pathlib import Path

import served

from trainci.answers.gpus import Status
from trainci.history import open_store
from trainci.history.event_log import EventLog
from trainci.model.run import Outcome, Verdict
from trainci.paths import RunPaths, StatePaths
from trainci.serve import views
from trainci.serve.made import Made, stamp_of
from trainci.serve.views import Source

RUN = "20260101-000000-abcdef"
TESTS = ("tests/test_a.py", "tests/test_b.py")
LONG_AGO = time.time() - 60


def source_of(state: StatePaths) -> Source:
    return Source(state, {}, lambda: Status((), ()))


def settle(state: StatePaths) -> None:
    """As if nothing of it had changed for a minute."""
    for file in [state.directory, *state.directory.rglob("*")]:
        os.utime(file, (LONG_AGO, LONG_AGO))


def test_a_page_is_made_again_only_where_its_stamp_is_another() -> None:
    pages, made = Made[int](), iter(range(9))
    shown = [pages.page("a", lambda stamp=stamp: stamp, lambda: next(made)) for stamp in (1, 1, 2, 2, 1)]
    assert shown == [0, 0, 1, 1, 2]
    assert [pages.page("a", lambda: None, lambda: next(made)) for _ in range(2)] == [3, 4]
    assert pages.page("b", lambda: 1, lambda: next(made)) == 5


def test_what_could_not_be_made_is_not_kept() -> None:
    def fail() -> int:
        raise ValueError

    pages = Made[int]()
    for make, shown in ((fail, None), (lambda: 7, 7), (fail, 7)):
        try:
            assert pages.page("a", lambda: 1, make) == shown
        except ValueError:
            assert shown is None


def test_only_the_pages_that_were_asked_for_last_are_kept() -> None:
    pages, made = Made[str](), []
    for address in [*map(str, range(17)), "16", "0"]:
        pages.page(address, lambda: 1, lambda address=address: made.append(address) or address)
    assert made == [*map(str, range(17)), "0"]


def test_of_many_who_ask_at_once_one_makes_the_page() -> None:
    pages, made, began = Made[int](), [], threading.Event()

    def make() -> int:
        began.wait(30)
        made.append(1)
        return len(made)

    asking = [threading.Thread(target=pages.page, args=("a", lambda: 1, make)) for _ in range(8)]
    for one in asking:
        one.start()
    began.set()
    for one in asking:
        one.join(30)
    assert made == [1]


def test_what_changed_just_now_has_no_stamp_as_it_may_change_again_and_look_the_same(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert stamp_of(file) is not None
    file.write_text("a")
    os.utime(file, (time.time() + 60, time.time() + 60))
    assert stamp_of(file) is None
    os.utime(file, (LONG_AGO, LONG_AGO))
    before = stamp_of(file)
    assert before is not None and before == stamp_of(file)
    file.write_text("ab")
    os.utime(file, (LONG_AGO, LONG_AGO))
    assert stamp_of(file) not in (None, before)


def test_whatever_is_written_to_the_history_makes_its_pages_anew(state: StatePaths) -> None:
    served.add_run(state, RUN)
    source = source_of(state)
    with closing(open_store(state)) as store:
        settle(state)
        before = views.history_stamp(source)
        assert before is not None and before == views.history_stamp(source)
        store.keep_verdict(RUN, TESTS[0], Verdict(Outcome.FAILED, "why"), 5.0)
        settle(state)
        assert views.history_stamp(source) not in (None, before)


def test_whatever_a_run_tells_makes_its_page_anew(state: StatePaths) -> None:
    served.add_run(state, RUN)
    source, folder = source_of(state), state.runs / RUN
    settle(state)
    ended = views.run_stamp(source, RUN)
    assert ended is not None and ended == views.run_stamp(source, RUN)
    with (folder / "events.jsonl").open("a") as events:
        events.write("{}\n")
    settle(state)
    more = views.run_stamp(source, RUN)
    assert more not in (None, ended)
    with closing(EventLog(RunPaths(state, RUN), print)):
        settle(state)
        alive = views.run_stamp(source, RUN)
    settle(state)
    assert alive is not None and alive != views.run_stamp(source, RUN) and alive != more


def test_whatever_is_printed_makes_the_page_of_its_log_anew(state: StatePaths) -> None:
    served.add_run(state, RUN)
    source, log = source_of(state), state.runs / RUN / "00000.log"
    settle(state)
    before = views.log_stamp(source, RUN, log.name)
    assert before is not None and before == views.log_stamp(source, RUN, log.name)
    with log.open("a") as opened:
        opened.write("more\n")
    settle(state)
    assert views.log_stamp(source, RUN, log.name) not in (None, before)
    assert views.log_stamp(source, RUN, "../events.jsonl") is None


def test_a_history_that_hosts_share_is_always_asked(tmp_path: Path) -> None:
    assert views.history_stamp(source_of(StatePaths(tmp_path, url="postgresql://nowhere/x"))) is None


def test_where_runs_have_very_many_results_fewer_of_them_are_looked_back_on(state: StatePaths, monkeypatch) -> None:
    for number in range(4):
        served.add_run(state, f"2026010{number + 1}-000000-abcdef", TESTS, at=1e6 * number)
    source = source_of(state)
    for most, runs in ((8, 4), (7, 3), (4, 2), (1, 1)):
        monkeypatch.setattr(views, "_MOST_RESULTS", most)
        assert views.tests(source)["looked_back"] == runs
