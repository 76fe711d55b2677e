"""What a CI, a launcher or an engine puts before each line, or around it, changes nothing of whose fault it was."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from verdict.cases import Case, cases, one_of

from trainci.log_files import packaged_rules, reading_of
from trainci.verdict.diagnose import diagnose
from trainci.verdict.prefixes import shared, split

# Fewer lines do not say what stands before each.
CASES = [case for case in cases() if sum(map(bool, case.log.split(b"\n"))) >= 4 and len(case.log) < 60_000]
# Some of all, and some whose header stands behind a word of its own line.
SOME = one_of(120, CASES) + [case for case in CASES if b"Original Traceback" in case.log][:6]


def _clock(number: int) -> str:
    return f"10:{number // 60 % 60:02}:{number % 60:02}"


WRITINGS: dict[str, Callable[[int, str], str]] = {
    "github": lambda number, line: f"2026-11-20T{_clock(number)}.1234567Z {line}",
    "gh run view": lambda number, line: f"test (8)\tRun tests\t2026-11-20T{_clock(number)}.1234567Z {line}",
    "gitlab": lambda number, line: f"2026-11-20T{_clock(number)}.123456Z 01O {line}",
    "buildkite": lambda number, line: f"\x1b_bk;t=17000000{number % 90 + 10}123\x07{line}",
    "buildkite, shown": lambda number, line: f"[2026-11-20T{_clock(number)}Z] {line}",
    "jenkins": lambda number, line: f"{_clock(number)}  {line}",
    "jenkins, a pipeline": lambda number, line: f"[2026-11-20T{_clock(number)}.123Z] {line}",
    "jenkins, a branch": lambda number, line: f"[build-3] {line}",
    "teamcity": lambda number, line: f"[{_clock(number)}] {line}",
    "a time": lambda number, line: f"2026-11-20 {_clock(number)} {line}",
    "carriage returns": lambda number, line: f"{line}\r",
    "colours": lambda number, line: f"\x1b[31m{line}\x1b[0m",
    "kubelet": lambda number, line: f"2026-11-20T{_clock(number)}.123456789Z stderr F {line}",
    "kubectl": lambda number, line: f"[pod/train-0/main] {line}",
    "compose": lambda number, line: f"trainer-1  | {line}",
    "docker build": lambda number, line: f"#12 {number / 10:.2f} {line}",
    "docker": lambda number, line: json.dumps(
        {"log": f"{line}\n", "stream": "stderr", "time": "2026-11-20T10:00Z"}
    ),
    "a collector": lambda number, line: json.dumps({"time": _clock(number), "level": "info", "message": line}),
    "pdsh": lambda number, line: f"gpu-9: {line}",
    "srun": lambda number, line: f"3: {line}",
    "mpirun": lambda number, line: f"[1,3]<stderr>:{line}",
    "torchrun": lambda number, line: f"[default0]:{line}",
    "ray": lambda number, line: f"(Trainer pid=77, ip=10.0.0.7) {line}",
    "ray, an actor's own name": lambda number, line: f"[36m(Trainer[rank=0] pid=77)[0m {line}",
    "accelerate": lambda number, line: f"stderr: {line}",
    "horovod": lambda number, line: f"[1]<stderr>:{line}",
    "sglang": lambda number, line: f"[2026-11-20 {_clock(number)} DP0 ATTN_TP1] {line}",
}


def _unlike(writing: str, among: list[Case]) -> list[str]:
    """Those of which it says something else when they are written so."""
    found = []
    for case in among:
        lines = case.log.decode("utf-8", "replace").split("\n")
        log = "\n".join(WRITINGS[writing](number, line) for number, line in enumerate(lines))
        said = diagnose(reading_of(io.BytesIO(log.encode()), packaged_rules()), case.facts)
        if said.blame.value != case.expected["blame"]:
            found.append(f"{case.name}: {said.blame.value}, {said.rule}")
    return found


@pytest.mark.parametrize("writing", WRITINGS)
def test_whatever_writes_a_log_down_it_says_the_same(writing: str) -> None:
    assert not _unlike(writing, SOME)


@pytest.mark.slow  # each over another third of all logs
@pytest.mark.parametrize("number", range(len(WRITINGS)), ids=list(WRITINGS))
def test_all_logs_say_the_same_whatever_writes_them_down(number: int) -> None:
    assert not _unlike([*WRITINGS][number], CASES[number % 3 :: 3])


@pytest.mark.slow
def test_empty_lines_behind_a_log_change_nothing() -> None:
    packaged = packaged_rules()
    for case in CASES:
        said = diagnose(reading_of(io.BytesIO(case.log.rstrip(b"\n") + b"\n\n\n\n\n"), packaged), case.facts)
        assert said.blame.value == case.expected["blame"], case.name


def test_what_only_some_lines_have_and_what_names_a_kind_of_lines_is_no_prefix() -> None:
    assert shared(["gpu-9: a", "gpu-9: b", "gpu-10: c", "gpu-9: d"])
    assert not shared(["gpu-9: a", "gpu-9: b", "gpu-9: c"]), "too few"
    assert not shared(["gpu-9: a", "gpu-9: b", "gpu-9: c", "gpu-9: d", "e", "f"])
    assert not shared(["srun: error: a"] * 9)
    assert not shared(["epoch 3 loss 0.1"] * 9)


def test_ranks_are_told_apart_by_a_name_before_their_lines() -> None:
    name = shared(["gpu-9: a", "gpu-9: b", "gpu-10: c", "gpu-10: d"])
    assert [split(1, f"gpu-{host}: x", name).stream for host in (9, 10)] == ["gpu-9", "gpu-10"]
