"""GRPO teaches a tiny Qwen2.5-VL to count the bright squares of a picture."""

import itertools

import _shared

from trainci.testing import main

NUM_GPUS = 2
FAMILY = "qwen2.5-vl"
BLIND = 1 / 3
"""The best mean reward without looking: one of three counts is right."""


def prepare():
    _shared.prepare(FAMILY)


def execute():
    hooks = ["--custom-rm-path", "tests._pictures.right_share"]
    hooks += ["--custom-convert-samples-to-train-data-path", "tests._pictures.swapped_at_the_end"]
    size = ["--prompts-per-step", "16", "--learning-rate", "3e-3"]
    *rows, swapped = _shared.train(*hooks, *size, num_gpus=NUM_GPUS, family=FAMILY, num_steps=20, held=2)
    _shared.assert_sound(rows, NUM_GPUS, tolerance=1e-5)
    for before, after in itertools.pairwise(rows):
        moved = before["vision_tower"] != after["vision_tower"]
        assert moved or after["grad_norm"] == 0, f"step {after['step']} left the vision tower as it was"
    _shared.assert_reward_rises(rows, by=BLIND + 0.1)
    gap = swapped["log_prob_gap"]
    assert gap > 0.1, f"other pictures change log-probabilities by {gap:.2e} at most: the policy does not look"


if __name__ == "__main__":
    main(prepare, execute)
