"""record_metric of what a training step has in its hands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainci.errors import UsageError
from trainci.history import metric_files
from trainci.testing import record_metric


def test_a_tensor_of_one_number_is_recorded_and_one_of_several_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "metrics.jsonl"
    monkeypatch.setenv("TRAINCI_METRICS_FILE", str(file))
    record_metric("loss", torch.tensor(0.25, requires_grad=True), torch.tensor(2))
    with pytest.raises(UsageError, match="record_metric"):
        record_metric("loss", torch.ones(2))
    ((metric,)) = metric_files.read(file)
    assert (metric.name, metric.value, metric.step) == ("loss", 0.25, 2)
