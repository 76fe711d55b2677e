"""FSDP: rollout and training give every sampled token the same log-probability, to the last bit."""

import _shared

from trainci.testing import main

NUM_GPUS = 2


def prepare():
    _shared.prepare("qwen3")


def execute():
    rows = _shared.train(
        "--true-on-policy",
        "--sequence-width",
        "16",
        "--temperature",
        "0.8",
        *_shared.DENSE_REWARD,
        num_gpus=NUM_GPUS,
        family="qwen3",
        num_steps=10,
        held=2,
    )
    _shared.assert_losses_finite(rows)
    _shared.assert_weights_move_together(rows, NUM_GPUS)
    _shared.assert_log_probs_agree(rows[1:], tolerance=0)


if __name__ == "__main__":
    main(prepare, execute)
