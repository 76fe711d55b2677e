"""A run as a Chrome trace: by the published format, and by an importer of Chrome's own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import run_events
from browser.runs import made
from hypothesis import given
from hypothesis import strategies as st
from support import unavailable

from trainci.history.runs import run_of
from trainci.model import events
from trainci.model.look import Sample
from trainci.model.run import Phase
from trainci.reports.timeline import slices
from trainci.reports.trace import trace

HERE = Path(__file__).parent
ENGINE = HERE.parent / "browser/node_modules/@paulirish/trace_engine"
HOSTILE = ("tests/<script>.py", "tests/\u202e\ud800.py", "tests/" + "x" * 10_000)


def events_of(told: Sequence[events.Control], samples: Sequence[Sample] = ()) -> list[dict[str, Any]]:
    whole = json.loads(trace(run_of(told), slices(told), samples))
    assert whole.keys() == {"traceEvents", "displayTimeUnit"} and whole["displayTimeUnit"] == "ms"
    found: list[dict[str, Any]] = whole["traceEvents"]
    return found


moments = st.floats(0, 1e6, allow_nan=False)


@given(
    st.lists(st.tuples(moments, moments, moments, st.sampled_from(["a.py", "b.py", *HOSTILE])), max_size=12),
    st.lists(st.tuples(moments, st.sampled_from(["GPU-0", "\u202e"]), st.none() | st.integers(0, 100)), max_size=5),
)
def test_whatever_a_run_was_its_trace_is_of_the_published_format(
    attempts: list[tuple[float, float, float, str]], looks: list[tuple[float, str, int | None]]
) -> None:
    """Trace Event Format: complete events, counters and metadata, with the fields that each must have.

    What an importer cannot nest it drops: no two slices of a track may overlap, not by a microsecond. Tests on
    several nodes of an engine hold devices of one name at once.
    """
    told: list[events.Control] = [events.RunStarted(1.8e9, "r", "c", "1 GPU", ())]
    now = dict.fromkeys((test for *_, test in attempts), 1.8e9)
    for number, (waits, prepares, runs, test) in enumerate(attempts, start=1):
        key, at = (test, number), now[test]
        told.append(events.Queued(at, *key, "a.log", 1))
        told.append(events.Started(at := at + waits / 1e3, *key, Phase.PREPARE, 1))
        told.append(events.Granted(at := at + prepares / 1e3, *key, Phase.EXECUTE, ("GPU-0",)))
        told.append(events.Ended(at := at + runs / 1e3, *key, Phase.EXECUTE, run_events.PASSED))
        now[test] = at
    told.sort(key=lambda event: event.at)
    samples = [Sample(1.8e9 + at, device, percent, 1 << 30) for at, device, percent in looks]
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for one in events_of(told, samples):
        assert isinstance(one["name"], str) and type(one["pid"]) is int and isinstance(one["args"], dict)
        if one["ph"] == "X":
            assert type(one["ts"]) is type(one["dur"]) is type(one["tid"]) is int and isinstance(one["cat"], str)
            assert one["ts"] >= 0 and one["dur"] >= 0
            tracks.setdefault((one["pid"], one["tid"]), []).append((one["ts"], one["ts"] + one["dur"]))
        elif one["ph"] == "C":
            assert type(one["ts"]) is int and one["args"]
            assert all(type(value) in (int, float) for value in one["args"].values())
        else:
            assert one["ph"] == "M" and one["name"] in ("process_name", "thread_name", "thread_sort_index")
    for found in tracks.values():
        assert all(before[1] <= after[0] for before, after in pairwise(sorted(found)))


@pytest.mark.slow
def test_an_importer_of_chromes_own_makes_of_it_what_the_run_was(tmp_path: Path) -> None:
    """The importer of DevTools. Perfetto's own takes a program that it downloads; it reads the same format."""
    if not (ENGINE.exists() and shutil.which("node")):
        unavailable("node, or the importer of DevTools, is not installed (npm ci --prefix tests/browser)")
    told = made(tmp_path, 12, 3, HOSTILE)
    file = tmp_path / "run.trace.json"
    file.write_bytes(trace(run_of(told), slices(told)))
    done = subprocess.run(
        ["node", HERE / "import_trace.mjs", file], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    tracks = json.loads(done.stdout)
    read = {
        (track["process"], track["name"], name, start, length)
        for track in tracks
        for name, start, length in track["slices"]
    }
    wanted = set()
    for one in slices(told):
        start, end = (round((at - 1.8e9) * 1e6) for at in (one.start, one.end))
        wanted.add(("tests", one.test_id, one.doing.value, start, end - start))
        wanted |= {("devices", device, one.test_id, start, end - start) for device in one.devices}
    assert read == wanted and len(wanted) > 40
    devices = [
        track["name"] for track in sorted(tracks, key=lambda t: t["number"]) if track["process"] == "devices"
    ]
    assert devices == ["GPU-0", "GPU-1", "GPU-2"]
