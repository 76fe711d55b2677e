"""Both engines, trained alike from the same weights, report the same numbers; prompts differ in length."""

import _shared

from trainci.testing import assert_close, main

NUM_GPUS = 2
NUM_STEPS = 8
# float32: the engines add up in another order, and each step carries the difference on.
TOLERANCE = 1e-3


def prepare():
    _shared.prepare("qwen3")


def execute():
    options = {"num_gpus": NUM_GPUS, "family": "qwen3", "num_steps": NUM_STEPS, "held": 2}
    common = ["--dtype", "float32", "--temperature", "1.2", "--micro-batch-size", "32"]
    common += ["--data-source-path", "tests._uneven.Source", *_shared.DENSE_REWARD]
    fsdp = _shared.train(*common, **options)
    megatron = _shared.train(*common, "--backend", "megatron", **options)
    assert max(row["grad_norm"] for row in fsdp[1:]) > 0.01, "nothing was learned, so nothing was compared"
    for theirs, ours in zip(fsdp[1:], megatron[1:], strict=True):
        what = f"megatron against FSDP at step {ours['step']}"
        for name in ("loss", "grad_norm", "reward"):
            assert_close(ours[name], theirs[name], rtol=TOLERANCE, atol=1e-5, name=f"{name} of {what}")
        assert_close(ours["log_prob_gap"], 0.0, atol=1e-5, rtol=0, name=f"log_prob_gap of {what}")


if __name__ == "__main__":
    main(prepare, execute)
