"""Smoke test: GRPO with the next rollout sampled while the last one is trained on."""

import _shared

from trainci.testing import main

NUM_GPUS = 4


def prepare():
    _shared.prepare()


def execute():
    rows = _shared.train("--async-rollout", num_gpus=NUM_GPUS, held=3)
    _shared.assert_losses_finite(rows)
    _shared.assert_weights_move_together(rows, NUM_GPUS)
    _shared.assert_log_probs_agree(rows[1:2], tolerance=1e-5)
    _shared.assert_rollouts_lag(rows, updates=1)
    assert max(row["clip_fraction"] for row in rows[1:]) > 0, (
        "no step went so far from its rollout as to be clipped"
    )
    _shared.assert_reward_rises(rows, by=0.2)


if __name__ == "__main__":
    main(prepare, execute)
