"""record_metric, from the test's side: what lands in the file, and what does not."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.errors import MachineError, UsageError
from trainci.history import metric_files
from trainci.testing import record_metric


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "metrics.jsonl"
    monkeypatch.setenv("TRAINCI_METRICS_FILE", str(path))
    return path


def test_outside_trainci_nothing_is_written_and_nothing_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRAINCI_METRICS_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    record_metric("loss", 0.5, step=1)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("value", "step", "kept"),
    [
        (0.5, None, (0.5, None)),
        (3, 7, (3.0, 7)),
        (np.float32(0.5), np.int64(4), (0.5, 4)),
        (math.inf, 0, (math.inf, 0)),
    ],
)
def test_whatever_is_a_number_comes_back_as_it_was(file: Path, value: Any, step: Any, kept: Any) -> None:
    record_metric("loss", value, step)
    ((metric,)) = metric_files.read(file)
    assert (metric.name, metric.value, metric.step) == ("loss", *kept)


def test_nan_comes_back(file: Path) -> None:
    record_metric("loss", math.nan)
    assert [math.isnan(metric.value) for metric in metric_files.read(file)] == [True]


@pytest.mark.parametrize(
    ("name", "value", "step"),
    [("", 1.0, None), ("a\nb", 1.0, None), ("\udcff", 1.0, None), (3, 1.0, None)]
    + [("a", value, None) for value in ("much", None, 1j, np.ones(2), 10**400)]
    + [("a", 1.0, step) for step in (1.5, "1")],
)
def test_what_is_no_metric_is_refused_inside_and_outside(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: Any, value: Any, step: Any
) -> None:
    for _ in range(2):
        with pytest.raises(UsageError, match="record_metric"):
            record_metric(name, value, step)
        monkeypatch.delenv("TRAINCI_METRICS_FILE", raising=False)
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_the_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINCI_METRICS_FILE", str(tmp_path))
    with pytest.raises(MachineError, match=f"{tmp_path}: cannot be written"):
        record_metric("loss", 0.5)
    monkeypatch.setenv("TRAINCI_METRICS_FILE", "/dev/full")
    with pytest.raises(MachineError, match="/dev/full: cannot be written: No space left"):
        record_metric("loss", 0.5)


def test_ranks_that_record_at_once_lose_nothing(file: Path) -> None:
    program = "import sys; from trainci.testing import record_metric\n"
    program += "for step in range(500): record_metric(sys.argv[1] * 200, step, step)"
    ranks = [subprocess.Popen([sys.executable, "-c", program, name]) for name in "abcd"]
    assert [rank.wait() for rank in ranks] == [0] * 4
    kept = sorted((metric.name[0], metric.step) for metric in metric_files.read(file))
    assert kept == [(name, step) for name in "abcd" for step in range(500)]


GOOD = {"name": "loss", "value": 0.5, "step": 1, "at": 2.0}


@pytest.mark.parametrize(
    "change",
    [
        *({"name": name} for name in ("", "a\x1b[31m", None, 3)),
        *({"value": value} for value in (None, "1", True, 10**400)),
        *({"step": step} for step in (0.5, True, 2**63, "1")),
        *({"at": at} for at in (None, math.nan, math.inf)),
    ],
)
def test_lines_that_record_metric_did_not_write_are_left_out(file: Path, change: dict[str, Any]) -> None:
    file.write_text(f"{json.dumps({**GOOD, **change})}\n{json.dumps(GOOD)}\n")
    assert [metric.value for metric in metric_files.read(file)] == [0.5]


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"[" * 100000, b"1" * 70000, b"{}", b"\n"])))
def test_no_content_of_the_file_does_any_harm(tmp_path_factory: Any, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("any") / "metrics.jsonl"
    path.write_bytes(b"\n".join([*lines, json.dumps(GOOD).encode(), b'{"name": "cut o']))
    *_, last = metric_files.read(path)
    assert (last.name, last.value, last.step, last.at) == ("loss", 0.5, 1, 2.0)


def test_a_pipe_or_a_link_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("pipe", "link", "missing"):
        assert list(metric_files.read(tmp_path / name)) == []
