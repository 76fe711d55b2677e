"""Progress is what is new: by table and by property, whatever the clock and the activity say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.model.look import Group, Look, Operation, ProcessLook, StackFrame, Thread
from trainci.verdict.progress import Glance, Places, Said, is_hung, places_of, silent_since

WINDOW = 40.0


def glance(at: float, fact: object = 0, places: dict[int, int] | None = None) -> Glance:
    return Glance(at, (fact,), Places({(1, part): place for part, place in (places or {}).items()}))


def still(until: float, fact: object = 0, begin: float = 0.0) -> list[Glance]:
    return [glance(begin + second, fact, {1: 7}) for second in range(int(until - begin) + 1)]


def test_nothing_new_for_the_window_is_hung_and_a_moment_less_is_not() -> None:
    assert is_hung(still(40), WINDOW)
    assert not is_hung(still(39), WINDOW)


def test_without_many_looks_nobody_hangs() -> None:
    blind = [Glance(float(second), (0,)) for second in range(80)]
    assert not is_hung(blind, WINDOW)
    few = [*blind, *still(108, begin=80)]
    assert not is_hung(few, WINDOW), "look, and look again"
    assert is_hung([*few, glance(109.0, 0, {1: 7})], WINDOW)


def test_a_busy_host_on_which_looks_are_rare_takes_longer_and_is_not_wrong() -> None:
    rare = [glance(10.0 * number, 0, {1: 7}) for number in range(29)]
    assert not is_hung(rare, WINDOW)
    assert is_hung([*rare, glance(290.0, 0, {1: 7})], WINDOW)


@given(st.integers(0, 60), st.integers(11, 90))
def test_a_fact_that_changes_within_the_window_is_progress(before: int, end: int) -> None:
    """Output, a metric, a file: whatever the facts are."""
    glances = [*still(before, "old"), *still(before + end, "new", before + 1)]
    assert silent_since(glances) == before + 1
    for number in range(before + 2, len(glances)):
        assert is_hung(glances[: number + 1], WINDOW) == (glances[number].at - (before + 1) >= WINDOW)


@given(
    st.lists(st.integers(0, 3), min_size=41, max_size=60) | st.lists(st.sampled_from([0] * 40 + [1]), min_size=41)
)
def test_a_job_whose_stack_is_elsewhere_at_more_than_one_look_of_the_window_never_hangs(lines: list[int]) -> None:
    glances = [glance(float(at), 0, {1: line}) for at, line in enumerate(lines)]
    elsewhere = sum(line != lines[-1] for line in lines[-41:])
    assert is_hung(glances, WINDOW) == (elsewhere <= 1 and lines[-1] == lines[-2])


def test_a_thread_that_polls_may_be_caught_between_two_waits_once() -> None:
    glances = still(80)
    glances[55] = glance(55.0, 0, {1: 8})
    assert is_hung(glances, WINDOW)
    glances[57] = glance(57.0, 0, {1: 9})
    assert not is_hung(glances, WINDOW)


def test_a_thread_or_a_process_that_comes_or_goes_is_progress() -> None:
    for before in ({1: 7, 2: 5}, {}):
        glances = still(80)
        glances[60:62] = [glance(60.0, 0, before), glance(61.0, 0, before)]
        assert not is_hung(glances, WINDOW)


def test_a_process_that_has_not_run_is_where_it_was() -> None:
    unasked = [Glance(float(at), (0,), Places({}, frozenset({1}))) for at in range(38)]
    asked = [glance(float(at), 0, {1: 7}) for at in range(38, 42)]
    assert is_hung([*unasked, *asked], WINDOW)
    assert not is_hung([*unasked, *asked, glance(42.0, 0, {1: 8})], WINDOW)


def test_of_processes_that_do_not_run_two_looks_are_enough() -> None:
    asleep = [Glance(10.0 * number, (0,), Places({}, frozenset({1}), ran=False)) for number in range(5)]
    assert is_hung(asleep, WINDOW)
    assert not is_hung([*asleep[:-1], Glance(40.0, (0,), Places({(1, 1): 7}, ran=True))], WINDOW)


def test_a_process_that_had_no_time_to_answer_is_not_known_to_be_where_it_was() -> None:
    late = [Look(float(at), (ProcessLook(5, 1, "python train.py", state="R", late=True),)) for at in range(80)]
    glances = [Glance(look.at, (0,), places_of(look, frozenset(), True, lambda command: False)) for look in late]
    assert not is_hung(glances, WINDOW)


def _look(*frames: StackFrame, group: Group | None = None, command: str = "python train.py") -> Look:
    threads = (Thread("main", frames),)
    groups = None if group is None else (group,)
    return Look(0.0, (ProcessLook(5, 1, command, threads=threads, groups=groups),))


def _differ(one: Look, other: Look) -> bool:
    first, second = (
        places_of(look, frozenset(), True, lambda command: "raylet" in command) for look in (one, other)
    )
    return bool(first.elsewhere(second))


def test_places_are_lines_groups_and_what_is_beneath_a_wait_is_none() -> None:
    wait = [StackFrame("/lib/threading.py", line, "wait") for line in (320, 331)]
    own = StackFrame("/repo/train.py", 7, "train")
    assert not _differ(_look(wait[0], own), _look(StackFrame("/lib/x.py", 1, "inner"), wait[1], own))
    assert _differ(_look(own), _look(StackFrame("/repo/train.py", 8, "train")))
    groups = [Group("0", (0, 1), Operation(number, "all_reduce")) for number in (3, 4)]
    assert _differ(_look(own, group=groups[0]), _look(own, group=groups[1])), (
        "a collective that was not reached before"
    )
    assert not _differ(_look(wait[0], command="raylet"), _look(own, command="raylet")), (
        "a service is none of the job"
    )


@pytest.mark.parametrize(
    ("printed", "news"),
    [
        ([b"step 1\n", b"step 2\n"], [1, 2]),
        ([b"step 1\n", b"step 1\n"], [1, 1]),
        ([b"\r|", b"\r/", b"\r-", b"\r|", b"\r/", b"\r-"], [1, 2, 3, 3, 3, 3]),
        ([b"a\b|", b"\b/", b"\b|", b"\b/"], [1, 2, 2, 2]),
        ([b".", b".", b"."], [1, 2, 3]),
        ([b"[12:00:01] waiting\n", b"[12:00:09] waiting\n"], [1, 1]),
        ([b"2026-01-01 waiting for 3 s\n", b"2026-01-02 waiting for 14.5 s\n"], [1, 1]),
        ([b"\x1b[31mwaiting\x1b[0m\n", b"waiting\n"], [1, 1]),
        ([b" 1/100 [00:03]\r", b" 2/100 [00:06]\r"], [1, 2]),
        ([b"", b"\n\n", b"\r\r"], [0, 0, 0]),
        ([b"\xff\xfe\n", b"\xff\n"], [1, 2]),
    ],
)
def test_output_is_news_once_and_times_are_none(printed: list[bytes], news: list[int]) -> None:
    said = Said()
    seen = []
    for data in printed:
        said.add(data)
        seen.append(said.take())
    assert seen == news


@given(st.lists(st.binary(max_size=6000), max_size=20))
def test_any_output_is_taken_in_bounded_memory(printed: list[bytes]) -> None:
    said = Said()
    for data in printed:
        said.add(data)
        assert len(said._tail) <= 4096
        said.take()
        assert len(said._known) <= 512


@given(st.lists(st.from_regex(r"[a-z]{1,9} \d{1,4}", fullmatch=True), unique=True, min_size=1, max_size=40))
def test_a_line_that_was_never_printed_is_always_news(lines: list[str]) -> None:
    said = Said()
    for number, line in enumerate(lines, start=1):
        said.add(f"{line}\n".encode())
        assert said.take() == number
