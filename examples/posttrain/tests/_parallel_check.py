"""The check of the parallel layouts, for any number of devices."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable

import _shared

from trainci.testing import assert_close

# float32, sums in another order: seen to differ by 2e-6 of the norm.
TOLERANCE = 1e-4


def phases(num_gpus: int, least_rows: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """What prepares the check on ``num_gpus`` devices, and what runs it; the command line names a ``--family``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--family", default="qwen3")
    family = parser.parse_args().family
    return functools.partial(_shared.prepare, family), functools.partial(_execute, num_gpus, least_rows, family)


def _execute(num_gpus: int, least_rows: int, family: str) -> None:
    options = ["--dtype", "float32", "--prompts-per-step", "8", "--samples-per-prompt", "4"]
    rows = _shared.run("tests/_layouts.py", *options, num_gpus=num_gpus, family=family)
    assert len(rows) >= least_rows, f"only {len(rows)} layouts were tried"
    for per_token in (False, True):
        first, *others = [row for row in rows if row["per_token_loss"] is per_token]
        assert first["backend"] == "fsdp"
        assert first["grad_norm"] > 0.01, "nothing was learned, so nothing was compared"
        for row in others:
            for name in ("loss", "grad_norm"):
                assert_close(
                    row[name], first[name], rtol=TOLERANCE, atol=1e-6, name=f"{name} of {_layout(row)} against FSDP"
                )
            assert row["log_prob_gap"] <= 1e-5, (
                f"log-probabilities are off by {row['log_prob_gap']} in {_layout(row)}"
            )


def _layout(row: _shared.Row) -> str:
    return " ".join(f"{name}={size}" for name, size in row.items() if name.endswith("_parallel"))
