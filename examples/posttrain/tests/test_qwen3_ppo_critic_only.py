"""PPO's warm-up on Megatron: the critic learns, the policy stays as it is."""

import _shared

from trainci.testing import main

NUM_GPUS = 2
NUM_STEPS = 16


def prepare():
    _shared.prepare("qwen3")


def execute():
    options = ["--advantage-estimator", "ppo", "--critic-warmup-steps", str(NUM_STEPS), "--pipeline-parallel", "2"]
    options += [*_shared.DENSE_REWARD, *_shared.CALM_CRITIC]
    rows = _shared.train(
        "--backend", "megatron", *options, num_gpus=NUM_GPUS, family="qwen3", num_steps=NUM_STEPS, held=2
    )
    _shared.assert_critic_learns(rows)
    for row in rows[1:]:
        assert row["weights"] == rows[0]["weights"], f"the policy moved at step {row['step']} of the warm-up"


if __name__ == "__main__":
    main(prepare, execute)
