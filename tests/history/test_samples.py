"""How busy devices were while tests held them: kept during the run, and read whatever is there."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import run_events
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import wait_until

from trainci.errors import MachineError
from trainci.history.samples import SAMPLES, NewSamples, Sampler, read_samples
from trainci.host.devices import usage
from trainci.model import events
from trainci.model.look import Sample, Usage
from trainci.model.run import Phase

HELD = events.Granted(1.0, "a.py", 1, Phase.BOTH, ("GPU-1", "GPU-2"))
ENDED = events.Ended(2.0, "a.py", 1, Phase.BOTH, run_events.PASSED)


def test_only_what_tests_hold_is_looked_at_and_from_the_beginning(tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def usage(wanted: Sequence[str]) -> tuple[Usage, ...]:
        asked.append(tuple(wanted))
        return tuple(Usage(device, 97, 5 << 30) for device in wanted)

    sampler = Sampler(tmp_path, usage, lambda: 7.5, interval=0.01)
    sampler(events.RunStarted(0.0, "r", "", "", ()))
    sampler(HELD)
    wait_until(lambda: ("GPU-1", "GPU-2") in asked, "a look at what is held")
    sampler(ENDED)
    wait_until(lambda: asked[-1] == (), "a look at nothing")
    sampler.close()
    assert set(read_samples(tmp_path)) == {Sample(7.5, device, 97, 5 << 30) for device in ("GPU-1", "GPU-2")}


def test_a_driver_that_fails_for_a_while_costs_nothing_but_its_samples(tmp_path: Path) -> None:
    calls = iter([MachineError("the driver is gone"), None])

    def usage(wanted: Sequence[str]) -> tuple[Usage, ...]:
        if error := next(calls, None):
            raise error
        return tuple(Usage(device, None, 1) for device in wanted)

    sampler = Sampler(tmp_path, usage, lambda: 1.0, interval=0.01)
    sampler(HELD)
    wait_until(lambda: list(read_samples(tmp_path)), "a sample after the failure")
    sampler.close()


def test_of_virtual_devices_nothing_is_kept(tmp_path: Path) -> None:
    sampler = Sampler(tmp_path, usage.usage, lambda: 1.0, interval=0.01)
    sampler(events.Granted(1.0, "a.py", 1, Phase.BOTH, ("cpu-0",)))
    sampler._thread.join(60)
    assert not sampler._thread.is_alive() and not (tmp_path / SAMPLES).exists()
    sampler.close()


def test_a_run_without_devices_starts_no_thread(tmp_path: Path) -> None:
    sampler = Sampler(tmp_path, usage.usage, lambda: 1.0)
    sampler.close()
    assert sampler._thread.ident is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60) | st.dictionaries(st.text(max_size=5), st.integers() | st.text()).map(repr)))
def test_what_is_no_sample_is_left_out(tmp_path: Path, lines: list[bytes | str]) -> None:
    good = json.dumps({"at": 1.5, "device": "GPU-1", "percent": None, "memory": 3})
    data = [line.encode() if isinstance(line, str) else line.replace(b"\n", b"") for line in lines]
    (tmp_path / SAMPLES).write_bytes(b"\n".join([*data, good.encode()]) + b"\n")
    assert list(read_samples(tmp_path))[-1] == Sample(1.5, "GPU-1", None, 3)


@pytest.mark.parametrize(
    "line",
    [
        '{"at": NaN, "device": "d", "percent": 1, "memory": 1}',
        '{"at": 1.0, "device": "d", "percent": 101, "memory": 1}',
        '{"at": 1.0, "device": "d", "percent": 1, "memory": -1}',
        '{"at": 1.0, "device": 3, "percent": 1, "memory": 1}',
        "[" * 4000,
    ],
)
def test_a_number_that_none_can_be_is_no_sample(tmp_path: Path, line: str) -> None:
    (tmp_path / SAMPLES).write_text(f"{line}\n")
    assert list(read_samples(tmp_path)) == []


def test_of_a_run_that_goes_on_few_samples_are_kept_and_none_of_the_peaks_is_lost(tmp_path: Path) -> None:
    kept = NewSamples(tmp_path)
    for part in range(4):
        lines = [
            json.dumps({"at": float(at), "device": "GPU-0", "percent": 100 * (at % 977 == 5), "memory": at})
            for at in range(part * 2500, (part + 1) * 2500)
        ]
        with (tmp_path / SAMPLES).open("a") as file:
            file.write("\n".join(lines) + "\n")
        kept.look()
    found = kept.look()
    assert 1000 <= len(found) <= 2000 and max(sample.memory for sample in found) == 9999
    assert sum(sample.percent == 100 for sample in found) == len([at for at in range(10_000) if at % 977 == 5])
    steps = [after.at - before.at for before, after in itertools.pairwise(found)]
    assert max(steps) == min(steps), "each stands for as many as the others"
