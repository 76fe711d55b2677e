"""Routing replay: training sends each token to the experts that the rollout chose, whatever it would choose itself.

The rollout samples with FP8 weights, so that its choices differ from training's own.
"""

import _shared

from trainci.testing import main

NUM_GPUS = 1


def prepare():
    _shared.prepare("qwen3-moe")


def execute():
    options = ["--backend", "megatron", "--fp8-rollout", "--use-tis", *_shared.DENSE_REWARD]
    run = {"num_gpus": NUM_GPUS, "family": "qwen3-moe", "num_steps": 4}
    own = _shared.train(*options, **run)
    replayed = _shared.train(*options, "--routing-replay", held=2, **run)
    _shared.assert_losses_finite(replayed)
    _shared.assert_weights_move_together(replayed, NUM_GPUS)
    _shared.assert_experts_replayed(replayed)
    # The first step trains both on the same samples by the same weights.
    before, after = own[1]["mean_log_prob_gap"], replayed[1]["mean_log_prob_gap"]
    assert after < 0.9 * before, f"replay left the mean gap to the rollout at {after:.2e}, from {before:.2e}"


if __name__ == "__main__":
    main(prepare, execute)
