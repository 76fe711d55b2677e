"""Two to eight ranks write into one log, line by line, and a launcher reports: who failed first is told apart."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import pytest
from verdict.cases import Case, cases, one_of

from trainci.log_files import packaged_rules, reading_of
from trainci.model.diagnosis import Facts
from trainci.verdict.diagnose import diagnose

# What ranks end by when another one has.
CONSEQUENCES = [
    [
        "Traceback (most recent call last):",
        '  File "/repo/train.py", line 30, in step',
        "    dist.all_reduce(loss)",
        "torch.distributed.DistBackendError: NCCL error: remote process exited or there was a network error",
    ],
    [
        "Traceback (most recent call last):",
        '  File "/repo/train.py", line 30, in step',
        "    dist.barrier()",
        "RuntimeError: [/pytorch/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4021",
    ],
    ["[E1120 10:00:00.1 ProcessGroupNCCL.cpp:629] Watchdog caught collective operation timeout: Work()"],
]
LAUNCHERS: dict[str, tuple[Callable[[int, str], str], Callable[[int], list[str]]]] = {
    "torchrun": (
        lambda rank, line: f"[rank{rank}]: {line}",
        lambda rank: [
            "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:",
            "=" * 60,
            "Root Cause (first observed failure):",
            "[0]:",
            f"  rank      : {rank} (local_rank: {rank})",
            "  exitcode  : 1 (pid: 4711)",
            "=" * 60,
        ],
    ),
    "srun": (
        lambda rank, line: f"{rank}: {line}",
        lambda rank: [
            f"srun: error: gpu-1: task {rank}: Exited with exit code 1",
            "slurmstepd: error: *** STEP 77.0 ON gpu-1 CANCELLED AT 2026-11-20T10:00:00 ***",
        ],
    ),
    "mpirun": (
        lambda rank, line: f"[1,{rank}]<stderr>:{line}",
        lambda rank: [
            "mpirun detected that one or more processes exited with non-zero status, thus causing",
            f"  Process name: [[1,1],{rank}]",
        ],
    ),
    "ray": (
        lambda rank, line: f"(Trainer pid={rank + 100}, ip=10.0.0.{rank}) {line}",
        lambda rank: ["ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task."],
    ),
    "pdsh": (
        lambda rank, line: f"gpu-{rank}: {line}",
        lambda rank: [f"pdsh@head: gpu-{rank}: ssh exited with exit code 1"],
    ),
}
_OTHER_RANKS = (
    b"[rank",
    b"[default",
    b"pid=",
    b"<stderr>",
    b"FAILURES",
    b"NCCL",
    b"srun",
    b'{"',
    b"| Traceback",
    b"pdsh",
)
# One rank's own, by an exception that is the consequence of nobody's.
CASES = [
    case
    for case in one_of(8, cases())
    if b"Traceback" in case.log
    and case.log.count(b"\n") < 40
    and case.expected["blame"] in ("code", "machine")
    and case.facts == Facts(exit_code=1)
    and not any(
        mark in case.log for mark in (*_OTHER_RANKS, b"wandb", b"raylet", b"rendezvous", b"The client socket")
    )
]


def _interleaved(case: Case, launcher: str, chance: random.Random) -> str:
    written, report = LAUNCHERS[launcher]
    ranks = chance.randint(2, 8)
    failed = chance.randrange(ranks)
    own = case.log.decode().rstrip("\n").split("\n")
    left = [list(own) if rank == failed else list(chance.choice(CONSEQUENCES)) for rank in range(ranks)]
    lines = []
    while writing := [rank for rank in range(ranks) if left[rank]]:
        rank = chance.choice(writing)
        lines.append(written(rank, left[rank].pop(0)))
    return "\n".join([*lines, *report(failed), ""])


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_of_ranks_that_write_into_one_log_the_one_that_failed_by_itself_is_judged(launcher: str) -> None:
    wrong = []
    for case in CASES:
        chance = random.Random(f"{launcher} {case.name}")
        log = _interleaved(case, launcher, chance)
        said = diagnose(reading_of(io.BytesIO(log.encode()), packaged_rules()), case.facts)
        if said.blame.value != case.expected["blame"]:
            wrong.append(f"{case.name}: {said.blame.value} by {said.rule}, {said.evidence}")
    assert not wrong


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 20
