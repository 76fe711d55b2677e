"""Who hung is named by what each rank knows of its groups, else by stacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import trainci
from trainci.model.look import Group, Look, Operation, ProcessLook, StackFrame, Thread
from trainci.verdict.who_hung import who

WAITS = (
    StackFrame("/venv/lib/python3.11/site-packages/torch/distributed/distributed_c10d.py", 3252, "all_reduce"),
    StackFrame("/repo/train.py", 20, "train"),
)
LOADS = (StackFrame("/repo/data.py", 41, "load_batch"), StackFrame("/repo/train.py", 18, "train"))


def thread(*frames: StackFrame) -> tuple[Thread, ...]:
    return (Thread("0x1", frames),)


def rank(
    number: int, last: int, waits: str = "", of: int = 2, frames: Sequence[StackFrame] = WAITS, sizes: str = "[[4]]"
) -> ProcessLook:
    name = waits or "all_reduce"
    operation = Operation(last, name, sizes)
    group = Group("0", tuple(range(of)), operation, operation if waits else None, "default_pg")
    return ProcessLook(
        100 + number, 1, "python", threads=thread(*frames), rank=number, world_size=of, groups=(group,)
    )


def said(*processes: ProcessLook, seconds: float = 600.0) -> str:
    return who(Look(0.0, processes), seconds)


def test_the_rank_that_never_reached_the_collective_is_named_with_its_place_and_who_waits() -> None:
    ranks = [rank(number, 3, "all_reduce", 4) for number in (0, 2, 3)]
    assert said(*ranks, rank(1, 2, of=4, frames=LOADS)) == (
        "rank 1 of 4 never reached all_reduce #3; it is in `load_batch` (data.py:41); "
        "ranks 0, 2, 3 wait for it since 10 min"
    )
    assert said(rank(0, 3, "all_reduce"), rank(1, 2, frames=LOADS), seconds=6.2).endswith(
        "rank 0 waits for it since 6 s"
    )


def test_a_rank_whose_process_is_gone_is_named() -> None:
    assert said(rank(1, 3, "barrier")).startswith(
        "rank 0 of 2 never reached barrier #3; its process has ended; rank 1"
    )


def test_a_rank_that_cannot_say_so_is_told_by_the_others() -> None:
    mute = ProcessLook(9, 1, "python", threads=thread(*LOADS), mute=True)
    assert said(rank(0, 3, "all_reduce"), mute).startswith(
        "rank 1 of 2 never reached all_reduce #3; it is in `load_batch` (data.py:41)"
    )


def test_ranks_that_do_not_do_the_same_are_both_named() -> None:
    swapped = said(rank(0, 3, "all_reduce"), rank(1, 3, "broadcast"))
    assert swapped.startswith("the ranks do not do the same: rank 0 of 2 is in all_reduce #3, called in `train`")
    assert "rank 1 of 2 is in broadcast #3" in swapped
    sizes = said(rank(0, 3, "all_reduce"), rank(1, 3, "all_reduce", sizes="[[8]]"))
    assert "all_reduce #3 of [[4]]" in sizes and "all_reduce #3 of [[8]]" in sizes
    gathered = said(rank(0, 3, "gather"), rank(1, 3, "gather", sizes="[[8]]"))
    assert gathered.startswith("every rank waits in gather #3"), "ranks may bring different parts to this one"


def test_groups_that_wait_crosswise_name_each_other() -> None:
    def member(number: int, of: str) -> ProcessLook:
        groups = tuple(
            Group(
                name,
                (0, 1),
                Operation(1, "all_reduce") if name == of else None,
                Operation(1, "all_reduce") if name == of else None,
            )
            for name in ("tp", "dp")
        )
        return ProcessLook(number, 1, "python", threads=thread(*WAITS), rank=number, world_size=2, groups=groups)

    crossed = said(member(0, "tp"), member(1, "dp"))
    assert "rank 0 waits in all_reduce #1 of group tp for rank 1" in crossed
    assert "rank 1 waits in all_reduce #1 of group dp for rank 0" in crossed
    assert "each waits for another" in crossed


def test_groups_of_the_same_name_and_other_ranks_are_not_compared() -> None:
    def member(number: int, ranks: tuple[int, ...], last: int, waits: bool) -> ProcessLook:
        operation = Operation(last, "all_reduce")
        group = Group("TENSOR_PARALLEL", ranks, operation, operation if waits else None)
        frames = WAITS if waits else LOADS
        return ProcessLook(number, 1, "python", threads=thread(*frames), rank=number, world_size=4, groups=(group,))

    found = said(
        member(2, (2, 3), 2, False),
        member(3, (2, 3), 2, False),
        member(0, (0, 1), 9, True),
        member(1, (0, 1), 8, False),
    )
    assert found.startswith("rank 1 of 4 never reached all_reduce #9") and "rank 0 waits for it" in found


def test_a_neighbour_that_does_not_send_is_named_by_its_stack() -> None:
    receive = Operation(2, "recv 1<-0", p2p=True)
    waits = ProcessLook(
        2, 1, "python", threads=thread(*WAITS), rank=1, world_size=2, groups=(Group("0", (0, 1), receive, receive),)
    )
    sends = ProcessLook(1, 1, "python", threads=thread(*LOADS), rank=0, world_size=2, groups=(Group("0", (0, 1)),))
    assert said(waits, sends) == "rank 0 of 2 is in `load_batch` (data.py:41); rank 1 waits since 10 min"


def test_who_waits_for_another_process_is_not_the_one_to_look_at() -> None:
    parent = (StackFrame("/lib/python3.11/subprocess.py", 1264, "wait"), StackFrame("/repo/main.py", 3, "main"))
    processes = [
        ProcessLook(1, 0, "python main.py", threads=thread(*parent)),
        ProcessLook(2, 1, "python data.py", threads=thread(*LOADS)),
    ]
    assert said(*processes) == "process 2 (python data.py) is in `load_batch` (data.py:41) since 10 min"
    program = ProcessLook(2, 1, "cat config", waits_in="pipe_read")
    assert said(processes[0], program) == "process 2 (cat config) is in the kernel's pipe_read since 10 min"
    assert said(processes[0]).startswith(
        "process 1 (python main.py) is in `main` (main.py:3), in wait (subprocess.py:1264)"
    )


def test_what_the_probe_itself_stands_around_is_nobodys_place() -> None:
    probe = StackFrame(str(Path(trainci.__file__).parent / "probe/ends.py"), 244, "asked")
    waits = StackFrame("/lib/python3.11/threading.py", 327, "wait")
    pool = ProcessLook(7, 1, "python", threads=thread(waits, probe, StackFrame("/repo/pool.py", 9, "outer")))
    assert "in `outer` (pool.py:9), in wait" in said(pool)


def test_nothing_at_all_is_said_too() -> None:
    assert said() == "nothing of it can be seen since 10 min"


_frames = st.lists(st.builds(StackFrame, st.text(max_size=9), st.integers(0, 99), st.text(max_size=9)), max_size=3)
_threads = st.lists(st.builds(Thread, st.text(max_size=2), _frames.map(tuple)), max_size=3)
_numbers, _words = st.integers(0, 4), st.text(max_size=5)
_operations = st.none() | st.builds(Operation, _numbers, _words, _words, st.booleans())
_ranks = st.lists(_numbers, max_size=4).map(tuple)
_groups = st.lists(st.builds(Group, st.sampled_from(["a", "b"]), _ranks, _operations, _operations), max_size=3)
_processes = st.builds(
    ProcessLook,
    st.integers(1, 9),
    _numbers,
    _words,
    threads=st.none() | _threads.map(tuple),
    rank=st.none() | _numbers,
    world_size=st.none() | _numbers,
    groups=st.none() | _groups.map(tuple),
    mute=st.booleans(),
)


@given(st.lists(_processes, max_size=5), st.floats(0, 1e6))
def test_any_look_has_its_sentence(processes: list[ProcessLook], seconds: float) -> None:
    assert " since " in said(*processes, seconds=seconds)
