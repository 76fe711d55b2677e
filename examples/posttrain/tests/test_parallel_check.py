"""Precision: the same samples through every layout of the devices give one loss and one gradient norm.

``--family`` names the model. Both ways to average the loss are tried, over tokens and over samples.
"""

import argparse
import functools

import _shared

from trainci.testing import assert_close, main

NUM_GPUS = 4
# float32, sums in another order: seen to differ by 2e-6 of the norm.
TOLERANCE = 1e-4


def execute(family):
    options = ["--dtype", "float32", "--prompts-per-step", "8", "--samples-per-prompt", "4"]
    rows = _shared.run("parallel_check.py", *options, num_gpus=NUM_GPUS, family=family)
    assert len(rows) >= 20, f"only {len(rows)} layouts were tried"
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


def _layout(row):
    return " ".join(f"{name}={size}" for name, size in row.items() if name.endswith("_parallel"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--family", default="qwen3")
    chosen = parser.parse_args().family
    main(functools.partial(_shared.prepare, chosen), functools.partial(execute, chosen))
